// An answer to our SYN, or a SYN that crossed it: RFC 9293 3.10.7.3, in its order. Linux
// net/ipv4/tcp_input.c tcp_rcv_synsent_state_process().

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {
using Opt = wire::Opt;
using Flag = wire::Flag;

constexpr Duration kTimeoutMinTicks{2};  // TCP_TIMEOUT_MIN, in ticks

/// What both kinds of SYN settle: RFC 9293 3.7.1, RFC 7323 2.2 and 3.2.
void take_options(Endpoint& e, const Negotiated& offered, const Packet& p) {
  const std::uint8_t ours = e.neg.rcv_wscale;
  const std::uint16_t mss = e.neg.mss_clamp;  // where the peer says nothing, what was thought of it: data in our SYN needed a number
  e.neg = offered;
  if (!p.has(wire::Opt::kMss) || p.mss == 0) e.neg.mss_clamp = mss;
  e.neg.rcv_wscale = offered.window_scaling ? ours : std::uint8_t{0};
  if (!offered.window_scaling) {
    e.neg.snd_wscale = 0;
    e.window_clamp = std::min(e.window_clamp, 65535u);
  }
  if (offered.timestamps) e.ts_recent = p.tsval;
  e.saw_ts = offered.timestamps;
}
}  // namespace

// The echoed timestamp must lie between that of our first SYN and now.
bool Kernel::tsecr_of_syn(const Endpoint& e, const Packet& p) const {
  if (!p.has(Opt::kTimestamps) || p.tsecr == 0 || config.sysctls.tcp_timestamps == 0) return true;
  const std::uint32_t latest = clock_tsval(e.ts_offset);
  const std::uint32_t age = latest - e.first_syn_tsval;
  return latest - p.tsecr <= age;
}

void Kernel::on_syn_sent(std::uint32_t index, const Packet& p) {
  Endpoint& e = endpoints[index];
  // First: the ACK.
  if (p.has_ack()) {
    if (!after(p.ack, e.snd_una) || after(p.ack, e.snd_nxt)) {
      if (e.retransmits == 0 && config.kernel.syn_repeat_at_once == SynRepeatAtOnce::kYes) {
        because(Rule::kSynRepeatAtOnce);
        arm_xmit(e, XmitTimer::kRetransmit, tick() * kTimeoutMinTicks.count());
      }
      if (p.rst()) because(Rule::kSynSentIgnores);
      else send_reset(p, Rule::kSynSentBadAck);
      return;
    }
    if (!tsecr_of_syn(e, p)) {
      count(Mib::kPAWSActive);
      if (p.rst()) because(Rule::kSynSentIgnores);
      else send_reset(p, Rule::kSynSentBadTsecr);
      return;
    }
    // Second: the RST.
    if (p.rst()) {
      because(Rule::kSynSentRefused);
      peer_reset(e, index);
      return;
    }
    // Fifth: without a SYN it says nothing.
    if (!p.syn()) {
      because(Rule::kSynSentIgnores);
      return;
    }
    // Fourth: the SYN, and our SYN is acknowledged.
    because(Rule::kSynAckReceived);
    take_options(e, read_options(p, e.opt), p);
    e.neg.ecn = config.sysctls.tcp_ecn == 1 && e.ecn_offered && (p.flags & Flag::kEce) && !(p.flags & Flag::kCwr);
    e.snd_wl1 = p.seq;
    undo_spurious_syn(e, p);
    on_ack(e, index, p);
    e.irs = p.seq;
    e.rcv_nxt = e.rcv_wup = e.copied_seq = p.seq + 1;
    e.snd_wnd = p.window;  // never scaled in a SYN: RFC 7323 2.2
    e.max_window = std::max(e.max_window, e.snd_wnd);
    if (e.neg.timestamps) {
      e.advmss -= kTimestampBytes;
      e.ts_recent_at = now;
      e.ts_seen = true;
    }
    set_mss(e, e.pmtu);
    first_rcv_mss(e);
    set_state(e, State::kEstablished);
    e.ack.last_received = now;
    e.slow_path = e.neg.snd_wscale != 0;  // tcp_finish_connect(): until the window is told with its scale
    enter_established(e);
    e.lsndtime = now;
    if (e.opt.keepalive) start_keepalive(e, keepalive_idle(e));
    const bool fell_back = (e.syn_fastopen || e.syn_data) && fastopen_synack(e, p);
    wake(e);
    if (!fell_back) {
      if (e.write_pending || e.opt.defer_timeouts != 0 || e.ack.pingpong != 0) {
        // The ACK waits for the data that is about to be written.
        e.ack.scheduled = true;
        quick_acks(e, kMaxQuickAcks);
        e.ack.timer = true;
        e.ack.due_tick = jiffies(now) + kDelackMax / tick();
        e.ack.due = timer_at(kDelackMax);
        because(Rule::kAckDelayed);
        return;
      }
      send_ack(e);
    }
    take_urgent(e, p);
    push(e);
    return;
  }
  if (p.rst()) {
    because(Rule::kSynSentIgnores);
    return;
  }
  if (e.ts_recent_at != ModelTime{} && p.has(Opt::kTimestamps) && !newer_timestamp(e, p, 0)) {
    because(Rule::kPawsDrop);
    return;
  }
  if (p.syn()) {
    // SYN crossed SYN. Data in it is not taken; the peer sends it again.
    because(Rule::kSimultaneousOpen);
    set_state(e, State::kSynRecv);
    // The SYN-ACK repeats the SYN's scale, offered or not: tcp_rcv_synsent_state_process() clears it for a SYN-ACK only.
    const std::uint8_t ours = e.neg.rcv_wscale;
    take_options(e, read_options(p, e.opt), p);
    e.neg.rcv_wscale = ours;
    if (e.neg.timestamps) {
      e.ts_recent_at = now;
      e.ts_seen = true;
    }
    e.irs = p.seq;
    e.rcv_nxt = e.rcv_wup = e.copied_seq = p.seq + 1;
    e.snd_wnd = e.max_window = p.window;
    e.snd_wl1 = p.seq;
    e.neg.ecn = e.ecn_offered && (p.flags & Flag::kEce) && (p.flags & Flag::kCwr);
    set_mss(e, e.pmtu);
    first_rcv_mss(e);
    send_crossed_synack(e);
    return;
  }
  because(Rule::kSynSentIgnores);
}

}  // namespace tcpwhy::model
