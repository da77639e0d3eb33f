// A segment at a socket in LISTEN. Whatever is not a plain SYN is settled at the door; a SYN is judged by
// admission.cpp from lengths and settings alone, and what it decides is carried out here. A listener never
// refuses a SYN: it answers, or it is silent.

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

using Opt = wire::Opt;

ListenerQueues Kernel::queues_of(const Listener& l) const {
  ListenerQueues q;
  q.backlog = l.backlog;
  q.table_size = 1u << l.table_bits;
  q.syn_queue = l.syn_queue;
  q.young = l.young;
  q.accept_queue = static_cast<std::uint32_t>(l.accept_queue.size());
  return q;
}

bool Kernel::syn_queue_full(const Listener& l) const {
  return syn_queue_is_full(config.kernel, queues_of(l));
}

// Linux tcp_v4_syn_recv_sock(): every kernel counts here, those too that count no SYN.
void Kernel::overflowed() {
  count(Mib::kListenOverflows);
  count(Mib::kListenDrops);
}

// Linux net/ipv4/tcp_input.c tcp_rcv_state_process() in LISTEN, after tcp_v4_cookie_check(); RFC
// 9293 3.10.7.2.
void Kernel::on_listener(std::uint32_t index, const Packet& p) {
  if (p.rst()) return because(Rule::kListenIgnoresRst);
  if (p.has_ack()) {
    if (!p.syn() && try_cookie(index, p) == Next::kDone) return;
    return send_reset(p, Rule::kListenRefusesAck);
  }
  if (!p.syn()) return because(Rule::kListenIgnores);
  on_listener_syn(index, p, std::nullopt);
}

// Linux net/ipv4/tcp_input.c tcp_conn_request(). `tw_isn`: the SYN has just taken over a TIME_WAIT socket.
void Kernel::on_listener_syn(std::uint32_t index, const Packet& p, std::optional<SeqNum> tw_isn) {
  Listener& l = listeners[index];
  const KernelProfile& kernel = config.kernel;
  if (p.fin() && kernel.listen_syn_fin == ListenSynFin::kDropped) return because(Rule::kListenDropsSynFin);

  const bool recycles = config.sysctls.tcp_tw_recycle != 0 && kernel.recycle != RecycleRule::kGone;
  const Recycle recycle = recycles && recycle_refuses(p) ? Recycle::kRefuses : Recycle::kPasses;
  // The per-host check stands in for the last-quarter rule where it ran.
  const bool checked = recycles && (kernel.recycle == RecycleRule::kAlsoWithout || p.has(Opt::kTimestamps));
  const Proven proven = config.route_proves_peers || checked ? Proven::kYes : Proven::kNo;
  const std::size_t counted = step->counted.size();
  const Admission admission =
      admit_syn(kernel, config.sysctls, queues_of(l), tw_isn ? Displaces::kTimeWait : Displaces::kNothing,
                recycle, proven, *step);
  for (std::size_t i = counted; i < step->counted.size(); ++i)
    ++counters[static_cast<std::size_t>(step->counted[i])];
  if (admission == Admission::kDropped) return;

  const auto begin = [&](Request& r) {
    r.tuple = {p.destination, p.source, p.destination_port, p.source_port};
    r.listener = {Kind::kListener, index};
    r.irs = p.seq;
    r.rcv_nxt = p.seq + 1;
    r.syn_tos = p.tos;
    r.created = now;
    negotiate_request(r, p, l.opt);
    if (r.neg.timestamps) r.ts_offset = new_ts_offset(r.tuple);
  };

  if (admission == Admission::kCookie) {
    // Nothing is kept. Without timestamps there is no place for the options either.
    Request r;
    begin(r);
    if (!r.neg.timestamps) {
      const std::uint16_t mss = r.neg.mss_clamp;
      r.neg = {};
      r.neg.mss_clamp = mss;
    }
    r.iss = cookie_isn(p, r.neg.mss_clamp);
    const bool fresh = l.cookie_overflow != ModelTime::min() && now - l.cookie_overflow <= 1s &&
                       kernel.cookie_memory == CookieMemory::kTwoMinutes;
    if (!fresh) l.cookie_overflow = now;
    open_window(r, l.opt);
    return send_synack(r, l.opt, SynAck::kCookie);
  }

  const std::uint32_t request = requests.take();
  Request& r = requests[request];
  begin(r);
  r.iss = tw_isn ? *tw_isn : new_isn(r.tuple);
  open_window(r, l.opt);
  if (try_fastopen(index, p, r, request)) return;
  queue_request(request);
  send_synack(r, l.opt);
}

// Linux 2.6.32 to 4.10 tcp_v4_conn_request(), tcp_peer_is_proven(): the last timestamp of this address, by
// whatever port, less than a minute ago.
bool Kernel::recycle_refuses(const Packet& syn) const {
  const auto found = stamps.find(hash(syn.source, config.seed));
  if (found == stamps.end() || second(now) - found->second.second >= kPawsMsl / 1s) return false;
  const bool stamped = syn.has(Opt::kTimestamps) && config.sysctls.tcp_timestamps != 0;
  if (!stamped) return config.kernel.recycle == RecycleRule::kAlsoWithout;
  return static_cast<std::int32_t>(found->second.tsval - syn.tsval) > 1;  // TCP_PAWS_WINDOW
}

// RFC 6528: a keyed hash of the 4-tuple plus a clock of 64 ns. Linux net/core/secure_seq.c secure_tcp_seq().
SeqNum Kernel::new_isn(const Tuple4& t) const {
  const auto clock = static_cast<std::uint64_t>(now.time_since_epoch().count()) >> 6;
  return SeqNum{static_cast<std::uint32_t>(hash(t, config.seed ^ 0x15a) + clock)};
}

// Linux net/core/secure_seq.c secure_tcp_ts_off(). tcp_timestamps=2 asks for the bare clock.
std::uint32_t Kernel::new_ts_offset(const Tuple4& t) const {
  if (config.sysctls.tcp_timestamps != 1) return 0;
  switch (config.kernel.timestamp_offset) {
    case TimestampOffset::kNone: return 0;
    case TimestampOffset::kPerAddressPair:
      return static_cast<std::uint32_t>(hash(Tuple4{t.local, t.remote, 0, 0}, config.seed ^ 0x75));
    case TimestampOffset::kPerConnection: return static_cast<std::uint32_t>(hash(t, config.seed ^ 0x75));
  }
  return 0;
}

}  // namespace tcpwhy::model
