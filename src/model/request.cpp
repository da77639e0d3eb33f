// A request is what a listener remembers of a SYN it has answered, until the third ACK makes it a connection.
// It has a timer, repeats its SYN-ACK, and believes few segments. Kernels up to 3.16 keep requests in a table
// of the listener and walk some of it every 200 ms; later ones give each request its own timer.
//
//   SYN ──▶ request ──third ACK──▶ connection in the accept queue
//              │ ├─ accept queue full, or TCP_DEFER_ACCEPT: stays, "acked"
//              │ └─ timer: SYN-ACK again, or gone
//              └── RST, another SYN, ICMP: gone

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Flag = wire::Flag;

constexpr Duration kTableTick = 200ms;  // TCP_SYNQ_INTERVAL

/// Linux tcp_synack_window(): what the SYN-ACK said, which is never scaled.
std::uint32_t offered(const Request& r) { return std::min(r.rcv_wnd, 65535u); }

/// Linux net/ipv4/tcp_minisocks.c tcp_in_window().
bool inside(const Packet& p, SeqNum from, SeqNum to) {
  if (p.seq == from) return true;
  if (after(p.end(), from) && before(p.seq, to)) return true;
  return p.seq == to && p.length() == 0;
}

/// Timeouts and deferred ACKs are counted since 2.6.33 or so.
bool counts_events(const KernelProfile& kernel) { return kernel.synack_counters != SynAckCounters::kNone; }

}  // namespace

// The SYN is remembered: young, and with its first timeout set.
void Kernel::queue_request(std::uint32_t index) {
  Request& r = requests[index];
  Listener& l = listeners[r.listener.index];
  const Duration wait = request_timeout(config.kernel, 0);
  hash_in({Kind::kRequest, index}, r.tuple);
  r.in_table = true;
  ++l.syn_queue;
  ++l.young;
  ++l.pending_requests;
  r.expires = timer_at(wait);
  switch (config.kernel.request_storage) {
    case RequestStorage::kHash: return requeue({Kind::kRequest, index});
    case RequestStorage::kTable: break;
  }
  if (l.table.empty()) l.table.resize(std::size_t{1} << l.table_bits);
  const std::uint64_t h = mix(hash(r.tuple.remote, config.seed) + r.tuple.remote_port);
  r.bucket = static_cast<std::uint32_t>(h) & static_cast<std::uint32_t>(l.table.size() - 1);
  auto& bucket = l.table[r.bucket];
  bucket.insert(bucket.begin(), index);
  if (l.syn_queue == 1) {
    l.tick_at = timer_at(wait);
    requeue(r.listener);
  }
}

void Kernel::remove_request(std::uint32_t index) {
  Request& r = requests[index];
  const std::uint32_t owner = r.listener.index;
  Listener& l = listeners[owner];
  if (r.in_table) {
    hash_out({Kind::kRequest, index}, r.tuple);
    --l.syn_queue;
    if (r.timeouts == 0) --l.young;
    --l.pending_requests;
    if (!l.table.empty()) {
      auto& bucket = l.table[r.bucket];
      bucket.erase(std::remove(bucket.begin(), bucket.end(), index), bucket.end());
      if (l.syn_queue == 0) l.tick_at = kNever;
    }
  }
  requests.give_back(index);
  if (l.fd < 0 && l.pending_requests == 0) listeners.give_back(owner);
}

// Linux inet_csk_listen_stop(), reqsk_queue_destroy().
void Kernel::release_listener(std::uint32_t index) {
  Listener& l = listeners[index];
  l.tick_at = kNever;
  std::vector<std::uint32_t> gone;
  for (const auto& bucket : l.table) gone.insert(gone.end(), bucket.begin(), bucket.end());
  if (gone.empty() && l.pending_requests == 0) return listeners.give_back(index);
  for (const std::uint32_t request : gone) {
    because(Rule::kOrphanedRequest);
    remove_request(request);  // the last one takes the listener along
  }
}

void Kernel::accept_now(std::uint32_t listener, std::uint32_t endpoint) {
  Listener& l = listeners[listener];
  l.accept_queue.push_back(endpoint);
  endpoints[endpoint].listener = {Kind::kListener, listener};
  if (l.fd >= 0) step->woken.push_back(l.fd);
}

// Linux net/ipv4/tcp_output.c tcp_make_synack(): only options the SYN offered. The window is never scaled.
void Kernel::send_synack(Request& r, const Options& opt, SynAck kind) {
  Packet& out = step->sent.emplace_back();
  out.source = r.tuple.local;
  out.destination = r.tuple.remote;
  out.source_port = r.tuple.local_port;
  out.destination_port = r.tuple.remote_port;
  out.ttl = opt.ttl ? opt.ttl : static_cast<std::uint8_t>(config.sysctls.ip_default_ttl);
  out.tos = opt.tos;
  out.dont_fragment = config.sysctls.ip_no_pmtu_disc == 0;
  out.seq = r.iss;
  out.ack = r.rcv_nxt;
  out.flags = Flag::kSyn | Flag::kAck;
  if (r.neg.ecn) out.flags |= Flag::kEce;
  out.window = static_cast<std::uint16_t>(offered(r));
  out.options = Opt::kMss;
  // The path may have become narrower since the SYN came.
  out.mss = std::min(r.advmss, advertised_mss(Options{}, r.tuple.remote));
  if (r.neg.window_scaling) {
    out.options |= Opt::kWindowScale;
    out.window_scale = r.neg.rcv_wscale;
  }
  if (r.neg.sack) out.options |= Opt::kSackPermitted;
  if (r.neg.timestamps) {
    out.options |= Opt::kTimestamps;
    switch (kind) {
      case SynAck::kCookie: out.tsval = cookie_tsval(r); break;
      case SynAck::kRequest: out.tsval = clock_tsval(r.ts_offset); break;
    }
    if (!r.ts_seen) {
      // The first value must not be 0, which would say that none was sent.
      if (out.tsval == 0) out.tsval = 0xffffffffu;
      r.sent_tsval = out.tsval;
      r.ts_seen = true;
    }
    r.last_tsval = out.tsval;
    out.tsecr = r.ts_recent;
  }
  if (r.cookie_in_synack) {
    out.options |= Opt::kFastOpen;
    out.cookie_bytes = r.cookie_bytes;
    out.cookie_experimental = r.cookie_experimental;
    out.cookie = r.cookie;
    r.cookie_in_synack = false;  // repeats go without
  }
  if (r.synack_sent_at == ModelTime{}) r.synack_sent_at = now;
  count(Mib::kOutSegs);
}

// Linux net/ipv4/tcp_output.c tcp_rtx_synack().
void Kernel::repeat_synack(Request& r, const Options& opt) {
  send_synack(r, opt);
  ++r.retransmitted;
  switch (config.kernel.synack_counters) {
    case SynAckCounters::kNone: return;
    case SynAckCounters::kAlsoSynRetrans: count(Mib::kTCPSynRetrans); break;
    case SynAckCounters::kTimeoutsAndRetrans: break;
  }
  count(Mib::kRetransSegs);
}

// Linux net/ipv4/tcp_ipv4.c tcp_v4_reqsk_send_ack(). RFC 7323: the window is scaled here, unlike in the
// SYN-ACK.
void Kernel::send_request_ack(Request& r, const Packet& offender) {
  Packet& out = answer(offender);
  out.seq = r.iss + 1;
  out.ack = r.rcv_nxt;
  out.flags = Flag::kAck;
  out.window = static_cast<std::uint16_t>(offered(r) >> r.neg.rcv_wscale);
  if (r.ts_recent != 0) {
    out.options = Opt::kTimestamps;
    out.tsval = clock_tsval(r.ts_offset);
    out.tsecr = r.ts_recent;
  }
}

// Linux net/ipv4/tcp_minisocks.c tcp_check_req(); RFC 9293 3.10.7.4 as far as it applies to SYN-RECEIVED.
void Kernel::on_request(std::uint32_t index, const Packet& p) {
  Request& r = requests[index];
  const KernelProfile& kernel = config.kernel;
  const std::uint32_t owner = r.listener.index;
  if (listeners[owner].fd < 0) {
    because(Rule::kOrphanedRequest);
    remove_request(index);
    const Handle other = find_listener(p.destination, p.destination_port);
    return other ? on_listener(other.index, p) : send_reset(p, Rule::kNoSocket);
  }
  const Options& opt = listeners[owner].opt;

  const bool stamped = p.has(Opt::kTimestamps) && config.sysctls.tcp_timestamps != 0;
  // TCP_PAWS_MSL: a RST is believed once a minute has passed, which is guessed from the back-off.
  const bool paws = stamped && r.ts_recent != 0 && static_cast<std::int32_t>(p.tsval - r.ts_recent) < 0 &&
                    !(p.rst() && request_timeout(kernel, r.timeouts) >= kPawsMsl);
  const bool tsecr =
      stamped && kernel.paws_counters == PawsCounters::kSplit && r.neg.timestamps && p.tsecr != 0 &&
      (before(SeqNum{p.tsecr}, SeqNum{r.sent_tsval}) || after(SeqNum{p.tsecr}, SeqNum{r.last_tsval}));
  const auto answer_allowed = [&] { return ack_allowed(r.answered_at, Mib::kTCPACKSkippedSynRecv, p); };

  const std::uint8_t kinds = p.flags & (Flag::kRst | Flag::kSyn | Flag::kAck);
  if (p.seq == r.irs && kinds == Flag::kSyn && !paws) {
    because(Rule::kRequestSynAgain);
    if (kernel.request_ack_limit != RequestAckLimit::kNone && !answer_allowed()) return;
    repeat_synack(r, opt);
    if (kernel.syn_again == SynAgain::kResends) return;
    r.expires = timer_at(request_timeout(kernel, r.timeouts));
    if (kernel.request_storage == RequestStorage::kHash) requeue({Kind::kRequest, index});
    return;
  }

  // The ACK is looked at before the sequence number; the listener answers, and the request knows nothing of
  // it.
  const bool rst_by_seq = p.rst() && kernel.request_rst == RequestRst::kExact;
  if (p.has_ack() && !rst_by_seq && p.ack != r.iss + 1) {
    because(Rule::kRequestWrongAck);
    switch (kernel.request_storage) {
      case RequestStorage::kTable: return send_reset(p, Rule::kListenRefusesAck);
      case RequestStorage::kHash: return on_listener(owner, p);
    }
  }

  const SeqNum rcv_nxt = r.rcv_nxt;
  if (paws || tsecr || !inside(p, rcv_nxt, rcv_nxt + offered(r))) {
    because(paws ? Rule::kRequestPaws : tsecr ? Rule::kRequestTsecr : Rule::kRequestOutOfWindow);
    if (!p.rst() && (kernel.request_ack_limit != RequestAckLimit::kAll || answer_allowed()))
      send_request_ack(r, p);
    if (paws)
      count(Mib::kPAWSEstab);
    else if (tsecr)
      count(Mib::kTSEcrRejected);
    return;
  }

  // RFC 5961 3.2 for a request.
  if (rst_by_seq && p.seq != rcv_nxt) {
    because(Rule::kRstChallenged);
    if (!ack_allowed(r.answered_at, Mib::kTCPACKSkippedChallenge)) return;
    count(Mib::kTCPChallengeACK);
    return send_request_ack(r, p);
  }
  // A SYN at our first number lies before the window: only what follows it counts.
  const bool another_syn = p.syn() && p.seq != r.irs;
  if (p.rst() || another_syn) {
    count(Mib::kAttemptFails);
    if (p.rst())
      because(Rule::kRequestReset);
    else
      send_reset(p, Rule::kRequestSynReset);
    remove_request(index);
    return count(Mib::kEmbryonicRsts);
  }
  if (!p.has_ack()) return because(Rule::kRequestNoAck);

  if (r.timeouts < opt.defer_timeouts && p.end() == rcv_nxt) {
    because(Rule::kRequestDeferred);
    r.acked = true;
    if (counts_events(kernel)) count(Mib::kTCPDeferAcceptDrop);
    return;
  }
  take_third_ack(index, p);
}

// The end of tcp_check_req(): the accept queue decides.
void Kernel::take_third_ack(std::uint32_t index, const Packet& p) {
  Request& r = requests[index];
  const std::uint32_t owner = r.listener.index;
  if (accept_queue_full(listeners[owner])) {
    overflowed();
    if (config.sysctls.tcp_abort_on_overflow == 0) {
      because(Rule::kThirdAckIgnored);
      r.acked = true;
      return;
    }
    send_reset(p, Rule::kAbortOnOverflow);
    remove_request(index);
    return count(Mib::kEmbryonicRsts);
  }
  because(Rule::kRequestBecomesChild);
  const std::uint32_t child = make_child(r, p);
  Endpoint& e = endpoints[child];
  const bool remembers = e.neg.timestamps || config.kernel.third_ack_stamp == StampOfThirdAck::kAlways;
  if (remembers && config.sysctls.tcp_timestamps != 0 && p.has(Opt::kTimestamps) && !after(p.seq, r.irs + 1))
    e.ts_recent = p.tsval;
  // tcp_synack_rtt_meas(): RFC 6298 3, no sample from what was repeated, unless the echoed timestamp tells
  // which of them was meant (RFC 7323 4).
  AckWork work;
  work.syn_acked = true;
  e.saw_ts = e.neg.timestamps && p.has(Opt::kTimestamps);
  if (e.saw_ts && p.tsecr != 0) e.last_tsecr = p.tsecr - e.ts_offset;
  const std::int64_t round_trip = r.retransmitted == 0 ? us_between(r.synack_sent_at, now) : -1;
  update_rtt(e, round_trip, -1, round_trip, work);
  remove_request(index);
  accept_now(owner, child);
  on_endpoint(child, p);
}

// Linux tcp_create_openreq_child(), tcp_v4_syn_recv_sock().
std::uint32_t Kernel::make_child(Request& r, const Packet& p) {
  const Listener& l = listeners[r.listener.index];
  const std::uint32_t child = new_endpoint();
  Endpoint& e = endpoints[child];
  e.tuple = r.tuple;
  e.opt = l.opt;
  if (l.opt.interactive) e.ack.pingpong = static_cast<std::uint8_t>(config.kernel.pingpong_threshold);
  e.neg = r.neg;
  e.bound = true;
  e.state = State::kSynRecv;
  e.iss = r.iss;
  e.irs = r.irs;
  e.snd_una = e.snd_nxt = e.snd_sml = e.write_seq = e.pushed_seq = r.iss + 1;
  e.rcv_nxt = e.rcv_wup = e.copied_seq = r.irs + 1;
  e.out_seq = e.snd_up = r.iss + 1;
  e.rcv_rtt_seq = e.rcv_space_seq = r.irs + 1;
  e.snd_wl1 = r.irs;
  if (!e.neg.window_scaling) e.neg.snd_wscale = e.neg.rcv_wscale = 0;
  e.snd_wnd = std::uint32_t{p.window} << e.neg.snd_wscale;
  e.max_window = e.snd_wnd;
  e.rcv_wnd = e.rcv_ssthresh = r.rcv_wnd;
  e.window_clamp = e.neg.window_scaling ? r.window_clamp : std::min(r.window_clamp, 65535u);
  e.scaling = static_cast<std::uint8_t>(config.kernel.window_share);
  e.ts_offset = r.ts_offset;
  if (e.neg.timestamps) {
    e.ts_recent = r.ts_recent;
    e.ts_recent_at = now;
    e.ts_seen = true;
  }
  e.last_ack_sent = e.rcv_nxt;
  e.ip_id = static_cast<std::uint16_t>(hash(r.tuple, config.seed ^ 0x1d) + r.iss.raw());
  e.rto = config.kernel.initial_rto;
  e.reordering = static_cast<std::uint32_t>(config.sysctls.tcp_reordering);
  e.cwnd = static_cast<std::uint32_t>(config.kernel.initial_cwnd);
  e.created = e.lsndtime = e.ack.last_received = e.ack_heard = now;
  e.first_syn_tsval = r.sent_tsval;
  e.retrans_total = r.retransmitted;
  if (r.timeouts > 0) {
    e.total_rto = r.timeouts;
    e.undo_marker = r.iss;
    // Nobody has counted repeats of the child's own yet, and none means that an undo is due: the first odd ACK finds it.
    e.undo_possible = config.kernel.syn_timeout_undo == SynTimeoutUndo::kYes;
    e.undo_retrans = 0;
    e.retrans_stamp = r.synack_sent_at;
  }
  if (p.payload_bytes >= kMssDefault) e.ack.last_segment = static_cast<std::uint16_t>(p.payload_bytes);
  set_mss(e, path_mtu(e.tuple.remote));
  e.advmss = r.advmss;
  first_rcv_mss(e);
  hold_port(e.tuple.local_port, e.opt.reuse);
  e.port_held = true;
  hash_in({Kind::kEndpoint, child}, e.tuple);
  e.hashed = true;
  if (e.opt.keepalive) start_keepalive(e, keepalive_idle(e));
  count(Mib::kPassiveOpens);
  return child;
}

int Kernel::synack_limit(const Listener& l) const {
  const int retries =
      l.opt.syn_retries ? l.opt.syn_retries : static_cast<int>(config.sysctls.tcp_synack_retries);
  return synack_timeouts_allowed(config.kernel, queues_of(l), retries);
}

// Linux reqsk_timer_handler(), and of older kernels the body of inet_csk_reqsk_queue_prune().
bool Kernel::time_out(std::uint32_t index, int allowed) {
  Request& r = requests[index];
  Listener& l = listeners[r.listener.index];
  const KernelProfile& kernel = config.kernel;
  const RequestTimer what =
      request_timer(r.timeouts, allowed, l.opt.defer_timeouts, r.acked ? Acked::kYes : Acked::kNo);
  if (counts_events(kernel)) count(Mib::kTCPTimeouts);
  switch (what) {
    case RequestTimer::kRemoves: {
      const int retries =
          l.opt.syn_retries ? l.opt.syn_retries : static_cast<int>(config.sysctls.tcp_synack_retries);
      because(r.timeouts < retries ? Rule::kRequestAged : Rule::kRequestExpired);
      remove_request(index);
      return false;
    }
    case RequestTimer::kWaits: because(Rule::kRequestDeferWait); break;
    case RequestTimer::kRepeatsSynAck:
      because(Rule::kSynAckRepeat);
      repeat_synack(r, l.opt);
      break;
  }
  if (r.timeouts++ == 0) --l.young;
  r.expires = timer_at(request_timeout(kernel, r.timeouts));
  return true;
}

void Kernel::fire_request(std::uint32_t index) {
  Request& r = requests[index];
  Listener& l = listeners[r.listener.index];
  if (l.fd < 0) {
    because(Rule::kOrphanedRequest);
    return remove_request(index);
  }
  if (time_out(index, synack_limit(l))) requeue({Kind::kRequest, index});
}

// Linux up to 4.3 inet_csk_reqsk_queue_prune(): a hand goes round the table, some buckets at each tick, so
// that it comes by twice in the time of the first timeout. What expired since waits for the hand.
void Kernel::fire_table(std::uint32_t listener) {
  Listener& l = listeners[listener];
  l.tick_at = kNever;
  if (l.syn_queue == 0) return;
  const auto size = static_cast<std::uint32_t>(l.table.size());
  const auto ticks = static_cast<std::uint32_t>(config.kernel.initial_rto / kTableTick);
  const int allowed = synack_limit(l);
  int budget = static_cast<int>(2 * (size / ticks));
  std::uint32_t hand = l.hand;
  do {
    const std::vector<std::uint32_t> bucket = l.table[hand];
    for (const std::uint32_t request : bucket)
      if (now >= requests[request].expires) time_out(request, allowed);
    hand = (hand + 1) & (size - 1);
  } while (--budget > 0);
  l.hand = hand;
  if (l.syn_queue == 0) return;
  l.tick_at = timer_at(kTableTick);
  requeue({Kind::kListener, listener});
}

}  // namespace tcpwhy::model
