// Loss: how it is noticed (RACK, RFC 8985; three duplicates without SACK, RFC 6582), what is sent again, and
// what it costs the congestion window (CUBIC, RFC 9438, with proportional rate reduction, RFC 6937) or, when
// the alarm was false, does not (RFC 5682, RFC 3708). Linux net/ipv4/tcp_input.c tcp_fastretrans_alert(),
// net/ipv4/tcp_recovery.c. Pieces hold one segment each, so that the scoreboard is flags and three counts.

#include <algorithm>
#include <bit>
#include <cmath>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;

constexpr std::uint8_t kPersist = 16;         // TCP_RACK_RECOVERY_THRESH
constexpr std::uint32_t kMaxReordering = 300;  // tcp_max_reordering
constexpr std::uint32_t kBeta = 717, kBetaScale = 1024;

bool sent_after(ModelTime t1, SeqNum s1, ModelTime t2, SeqNum s2) {
  return Kernel::us(t1) > Kernel::us(t2) || (Kernel::us(t1) == Kernel::us(t2) && after(s1, s2));
}

bool reduces(const Endpoint& e) { return e.ca == CaState::kCwr || e.ca == CaState::kRecovery; }

bool any_retransmitted(const Endpoint& e) {
  return e.retrans_out != 0 || (e.packets_out() != 0 && e.sent[e.sent_head].ever_retransmitted);
}

/// CUBIC's share of the window after a loss.
std::uint32_t reduced(Endpoint& e) {
  e.cubic.epoch = 0;
  e.cubic.last_max = e.cwnd < e.cubic.last_max ? e.cwnd * (kBetaScale + kBeta) / (2 * kBetaScale) : e.cwnd;
  return std::max(e.cwnd * kBeta / kBetaScale, 2u);
}

void start_reduction(Endpoint& e) {
  e.high_seq = e.snd_nxt;
  e.tlp_open = false;
  e.cwnd_count = 0;
  e.prior_cwnd = e.cwnd;
  e.prr_delivered = e.prr_out = 0;
  e.ssthresh = reduced(e);
  if (e.neg.ecn) e.ecn_queue_cwr = true;
}

void end_reduction(Kernel& k, Endpoint& e) {
  if (e.ssthresh < kInfiniteSsthresh && (e.ca == CaState::kCwr || e.undo_possible)) {
    e.cwnd = e.ssthresh;
    e.cwnd_tick = k.jiffies(k.now);
  }
}

void mark_undo(Endpoint& e) {
  e.undo_marker = e.snd_una;
  e.undo_possible = true;
  e.undo_retrans = static_cast<std::int32_t>(e.retrans_out);
  if (e.tlp_open && e.tlp_retransmitted) ++e.undo_retrans;
  if (e.undo_retrans == 0) e.undo_retrans = -1;  // 0 would mean: undo now
}

void forget_undo(Endpoint& e) {
  e.undo_marker = SeqNum{};
  e.undo_possible = false;
}

/// Was nothing repeated, or does the echo come from before the first repeat?
bool packet_delayed(const Kernel& k, const Endpoint& e) {
  if (e.retrans_stamp != ModelTime{}) return k.echo_before(e, e.retrans_stamp);
  if (!e.neg.sack && !before(e.snd_una, e.high_seq)) return false;
  return e.state != State::kSynSent;
}

bool may_undo(const Kernel& k, const Endpoint& e) {
  return e.undo_possible && (e.undo_retrans == 0 || packet_delayed(k, e));
}

enum class Unmark : std::uint8_t { kNo, kYes };

void undo(Kernel& k, Endpoint& e, Unmark unmark) {
  if (unmark == Unmark::kYes) {
    for (std::size_t i = e.sent_head; i < e.sent.size(); ++i) e.sent[i].lost = false;
    e.lost_out = 0;
  }
  if (e.prior_ssthresh != 0) {
    e.cwnd = std::max(e.cwnd, e.prior_cwnd);
    if (e.prior_ssthresh > e.ssthresh) {
      e.ssthresh = e.prior_ssthresh;
      e.ecn_queue_cwr = false;
    }
  }
  e.cwnd_tick = k.jiffies(k.now);
  forget_undo(e);
  e.rack_advanced = true;
}

/// Without SACK the state stays until something above high_seq is acknowledged: RFC 6582 3.2 step 1.
bool reno_stays(Endpoint& e) {
  if (!(e.snd_una == e.high_seq) || e.neg.sack) return false;
  if (!any_retransmitted(e)) e.retrans_stamp = {};
  return true;
}

void set_open(Endpoint& e) {
  e.ca = CaState::kOpen;
  e.sack_reneged = false;
}

bool undo_recovery(Kernel& k, Endpoint& e) {
  if (may_undo(k, e)) {
    k.count(e.ca == CaState::kLoss ? Mib::kTCPLossUndo : Mib::kTCPFullUndo);
    undo(k, e, Unmark::kNo);
  } else if (e.rack_persist != 0) {
    --e.rack_persist;
  }
  if (reno_stays(e)) return true;
  set_open(e);
  return false;
}

bool undo_dsack(Kernel& k, Endpoint& e) {
  if (!e.undo_possible || e.undo_retrans != 0) return false;
  e.rack_persist = std::min<std::uint8_t>(kPersist, static_cast<std::uint8_t>(e.rack_persist + 1));
  undo(k, e, Unmark::kNo);
  k.count(Mib::kTCPDSACKUndo);
  return true;
}

bool undo_loss(Kernel& k, Endpoint& e, bool frto) {
  if (!frto && !may_undo(k, e)) return false;
  undo(k, e, Unmark::kYes);
  k.count(Mib::kTCPLossUndo);
  if (frto) k.count(Mib::kTCPSpuriousRTOs);
  e.retransmits = 0;
  if (reno_stays(e)) return true;
  if (frto || e.neg.sack) set_open(e);
  return true;
}

void keep_open(Endpoint& e) {
  const CaState state =
      e.sacked_out + e.lost_out != 0 || any_retransmitted(e) ? CaState::kDisorder : CaState::kOpen;
  if (e.ca == state) return;
  e.ca = state;
  e.high_seq = e.snd_nxt;
}

}  // namespace

/// The echo is that of the first SYN: its timeout was for nothing. Linux tcp_try_undo_spurious_syn().
void Kernel::undo_spurious_syn(Endpoint& e, const Packet& p) const {
  if (config.kernel.syn_timeout_undo == SynTimeoutUndo::kYes && e.undo_marker != SeqNum{} && e.saw_ts && p.tsecr == e.first_syn_tsval)
    forget_undo(e);
}

std::uint32_t Kernel::in_flight(const Endpoint& e) const {
  return static_cast<std::uint32_t>(e.packets_out()) - e.sacked_out - e.lost_out + e.retrans_out;
}

std::uint32_t Kernel::ssthresh_now(const Endpoint& e) const {
  return reduces(e) ? e.ssthresh : std::max(e.ssthresh, (e.cwnd >> 1) + (e.cwnd >> 2));
}

void Kernel::mark_lost(Endpoint& e, Piece& piece) {
  if (piece.sacked) return;
  if (piece.lost) {
    if (!piece.retransmitted) return;
    piece.retransmitted = false;  // lost once more
    --e.retrans_out;
    count(Mib::kTCPLostRetransmit);
  } else {
    ++e.lost_out;
    piece.lost = true;
  }
  ++e.lost_total;
}

std::uint32_t Kernel::resend(Endpoint& e, std::size_t at, std::uint32_t segments) {
  const std::uint32_t n = retransmit(e, at, segments);
  for (std::size_t i = at; i < at + n; ++i) {
    if (!e.sent[i].retransmitted) ++e.retrans_out;
    e.sent[i].retransmitted = true;
  }
  if (e.retrans_stamp == ModelTime{}) e.retrans_stamp = e.sent[at].sent_at;
  e.undo_retrans = std::max(e.undo_retrans, 0) + static_cast<std::int32_t>(std::max(n, 1u));
  return n;
}

/// Linux tcp_xmit_retransmit_queue().
void Kernel::retransmit_lost(Endpoint& e) {
  bool rearm = false;
  const std::uint32_t most = burst_segments(e, current_mss(e));
  for (std::size_t i = e.sent_head; i < e.sent.size(); ++i) {
    if (in_flight(e) >= e.cwnd || e.retrans_out >= e.lost_out) break;
    const Piece& piece = e.sent[i];
    if (!piece.lost || piece.sacked || piece.retransmitted) continue;
    const bool slow = e.ca == CaState::kLoss;
    because(slow ? Rule::kRto : Rule::kFastRetransmit);
    split_before(e, i);
    const std::uint32_t n = resend(e, i, std::min(e.cwnd - in_flight(e), most));
    if (n == 0) break;
    for (std::uint32_t s = 0; s < n; ++s) count(slow ? Mib::kTCPSlowStartRetrans : Mib::kTCPFastRetrans);
    if (reduces(e)) e.prr_out += n;
    if (i == e.sent_head && e.xmit != XmitTimer::kReorder) rearm = true;
    i += n - 1;
  }
  if (rearm) arm_xmit(e, XmitTimer::kRetransmit, e.rto);
}

// ---------------------------------------------------------------------------------------------------------
// RACK

/// RFC 8985 6.2 step 2; Linux tcp_rack_advance(). `end`: of the buffer that the piece lies in.
void Kernel::rack_advance(Endpoint& e, const Piece& piece, SeqNum end) {
  const auto rtt = static_cast<std::uint32_t>(us_between(piece.sent_at, now));
  if ((piece.retransmitted || piece.ever_retransmitted) && (e.min_rtt == 0 || rtt < e.min_rtt)) return;
  e.rack_advanced = true;
  e.rack_rtt = rtt;
  if (sent_after(piece.sent_at, end, e.rack_mstamp, e.rack_end)) {
    e.rack_mstamp = piece.sent_at;
    e.rack_end = end;
  }
}

void Kernel::see_reordering(Endpoint& e, SeqNum low, Mib counter, SeqNum fack) {
  if (!before(low, fack)) return;
  const std::uint32_t metric = distance(low, fack);
  if (e.mss != 0 && metric > e.reordering * e.mss)
    e.reordering = std::min((metric + e.mss - 1) / e.mss, kMaxReordering);
  ++e.reord_seen;
  count(counter);
}

/// More duplicates than there can be holes: it was reordering. Linux tcp_check_reno_reordering().
void Kernel::check_reno_reordering(Endpoint& e, std::uint32_t addend) {
  const auto out = static_cast<std::uint32_t>(e.packets_out());
  const std::uint32_t holes = std::min(std::max(e.lost_out, 1u), out);
  if (e.sacked_out + holes <= out) return;
  e.sacked_out = out - holes;
  e.reordering = std::min(out + addend, kMaxReordering);
  ++e.reord_seen;
  count(Mib::kTCPRenoReorder);
}

namespace {

/// How long a segment may be late before it counts as lost. RFC 8985 6.2 step 4; Linux tcp_rack_reo_wnd().
std::int64_t reorder_window_us(const Kernel& k, const Endpoint& e) {
  if (e.reord_seen == 0) {
    if (e.ca >= CaState::kRecovery) return 0;
    if (e.sacked_out >= e.reordering && !(k.config.sysctls.tcp_recovery & 4)) return 0;
  }
  const std::int64_t min_rtt = e.min_rtt == 0 ? std::int64_t{0xffffffff} : std::int64_t{e.min_rtt};
  return std::min(min_rtt / 4 * e.rack_steps, std::int64_t{e.srtt8 >> 3});
}

/// RFC 8985 6.2 step 5. The longest wait for what may still come, in microseconds; 0: none.
std::int64_t detect_loss(Kernel& k, Endpoint& e) {
  std::int64_t wait = 0;
  const std::int64_t window = reorder_window_us(k, e);
  for (std::size_t first = e.sent_head, last = 0; first < e.sent.size(); first = last) {
    last = Kernel::buffer_end(e, first);
    const Piece piece = e.sent[first];
    if (piece.sacked || (piece.lost && !piece.retransmitted)) continue;
    if (!sent_after(e.rack_mstamp, e.rack_end, piece.sent_at, e.sent[last - 1].end)) continue;
    const std::int64_t left = e.rack_rtt + window - Kernel::us_between(piece.sent_at, k.now);
    if (left > 0)
      wait = std::max(wait, left);
    else
      for (std::size_t i = first; i < last; ++i) k.mark_lost(e, e.sent[i]);
  }
  return wait;
}

void identify_loss(Kernel& k, Endpoint& e, Kernel::AckWork& w) {
  if (e.packets_out() == 0) return;
  if (!e.neg.sack) {
    if ((e.ca < CaState::kRecovery && e.sacked_out >= e.reordering) || (e.ca == CaState::kRecovery && w.advanced))
      if (!e.sent[e.sent_head].lost) {
        k.split_before(e, e.sent_head + 1);
        k.mark_lost(e, e.sent[e.sent_head]);
      }
    return;
  }
  const std::uint32_t repeats = e.retrans_out;
  if (e.rack_advanced) {
    e.rack_advanced = false;
    if (const std::int64_t wait = detect_loss(k, e); wait != 0) {
      k.arm_xmit(e, XmitTimer::kReorder, std::min(k.ticks_of_us(wait + 2000), e.rto));
      w.set_timer = false;
    }
  }
  if (repeats > e.retrans_out) w.lost_retrans = true;
}

}  // namespace

void Kernel::fire_reorder(Endpoint& e) {
  because(Rule::kRackReorderTimer);
  const std::uint32_t before_it = in_flight(e), lost = e.lost_total;
  detect_loss(*this, e);
  if (before_it != in_flight(e)) {
    if (e.ca != CaState::kRecovery) {
      enter_recovery(e, false);
      reduce_cwnd(e, 1, e.lost_total - lost, false);
    }
    retransmit_lost(e);
  }
  if (e.xmit != XmitTimer::kRetransmit) rearm_rto(e);
}

// ---------------------------------------------------------------------------------------------------------
// States

void Kernel::enter_recovery(Endpoint& e, bool ece) {
  if (!any_retransmitted(e)) e.retrans_stamp = {};
  count(e.neg.sack ? Mib::kTCPSackRecovery : Mib::kTCPRenoRecovery);
  e.prior_ssthresh = 0;
  mark_undo(e);
  if (!reduces(e)) {
    if (!ece) e.prior_ssthresh = ssthresh_now(e);
    start_reduction(e);
  }
  e.ca = CaState::kRecovery;
}

void Kernel::enter_cwr(Endpoint& e) {
  e.prior_ssthresh = 0;
  if (e.ca >= CaState::kCwr) return;
  forget_undo(e);
  start_reduction(e);
  e.ca = CaState::kCwr;
}

/// After a timeout everything not SACKed is lost, what was sent just now excepted. Linux tcp_enter_loss().
void Kernel::enter_loss(Endpoint& e) {
  const bool fresh = e.ca < CaState::kRecovery;
  const bool reneged = e.packets_out() != 0 && e.sent[e.sent_head].sacked;
  if (reneged) {
    count(Mib::kTCPSACKReneging);
    e.sack_reneged = true;
    e.sacked_out = 0;
  } else if (!e.neg.sack) {
    e.sacked_out = 0;
  }
  const std::size_t head_end = e.packets_out() != 0 ? buffer_end(e, e.sent_head) : 0;
  for (std::size_t i = e.sent_head; i < e.sent.size(); ++i) {
    Piece& piece = e.sent[i];
    if (reneged)
      piece.sacked = false;
    else if (i >= head_end && std::int64_t{e.rack_rtt} - us_between(piece.sent_at, now) > 0)
      continue;
    mark_lost(e, piece);
  }
  if (e.ca <= CaState::kDisorder || !after(e.high_seq, e.snd_una) || (e.ca == CaState::kLoss && e.retransmits == 0)) {
    e.prior_ssthresh = ssthresh_now(e);
    e.prior_cwnd = e.cwnd;
    e.ssthresh = reduced(e);
    mark_undo(e);
  }
  const std::uint32_t flying = in_flight(e);
  e.cwnd = flying + 1;
  e.cwnd_count = 0;
  e.cwnd_tick = jiffies(now);
  const auto least = static_cast<std::uint32_t>(config.sysctls.tcp_reordering);
  if (e.ca <= CaState::kDisorder && e.sacked_out >= least) e.reordering = std::min(e.reordering, least);
  e.cubic = {};
  e.ca = CaState::kLoss;
  e.high_seq = e.snd_nxt;
  e.tlp_open = false;
  if (e.neg.ecn || (e.state == State::kSynSent && e.ecn_offered)) e.ecn_queue_cwr = true;
  e.frto = config.sysctls.tcp_frto != 0 && (fresh || e.retransmits != 0);
}

namespace {

/// Linux tcp_process_loss(): RFC 5682 3.1 decides whether the timeout was needed.
Kernel::Resend in_loss(Kernel& k, Endpoint& e, const Kernel::AckWork& w, std::uint32_t dupacks) {
  const bool recovered = !before(e.snd_una, e.high_seq);
  if ((w.advanced || e.synack_at != kNever) && undo_loss(k, e, false)) return Kernel::Resend::kNothing;
  if (e.frto) {
    if (w.orig_sacked && undo_loss(k, e, true)) return Kernel::Resend::kNothing;
    if (after(e.snd_nxt, e.high_seq)) {
      if (w.sacked || dupacks != 0) e.frto = false;
    } else if (w.advanced && !recovered) {
      e.high_seq = e.snd_nxt;
      if (e.has_unsent() && after(k.window_end(e), e.snd_nxt)) return Kernel::Resend::kNew;
      e.frto = false;
    }
  }
  if (recovered) {
    undo_recovery(k, e);
    return Kernel::Resend::kNothing;
  }
  if (!e.neg.sack) {
    if (after(e.snd_nxt, e.high_seq) && dupacks != 0) {
      e.sacked_out += dupacks;
      k.check_reno_reordering(e, 0);
    } else if (w.advanced) {
      e.sacked_out = 0;
    }
  }
  return Kernel::Resend::kLost;
}

void add_duplicates(Kernel& k, Endpoint& e, std::uint32_t dupacks) {
  if (dupacks == 0) return;
  const std::uint32_t prior = e.sacked_out;
  e.sacked_out += dupacks;
  k.check_reno_reordering(e, 0);
  if (e.sacked_out > prior) e.delivered += e.sacked_out - prior;
}

void try_open(Kernel& k, Endpoint& e, bool ece) {
  if (!any_retransmitted(e)) e.retrans_stamp = {};
  if (ece) k.enter_cwr(e);
  if (e.ca != CaState::kCwr) keep_open(e);
}

/// A partial ACK that came of the original: RFC 3522. True: nothing more to decide now.
bool undo_partial(Kernel& k, Endpoint& e, SeqNum prior_una) {
  if (!e.undo_possible || !packet_delayed(k, e)) return false;
  k.see_reordering(e, prior_una, Mib::kTCPTSReorder, e.sacked_out == 0 ? e.snd_una : e.highest_sack);
  if (e.retrans_out != 0) return true;
  if (!any_retransmitted(e)) e.retrans_stamp = {};
  undo(k, e, Unmark::kYes);
  k.count(Mib::kTCPPartialUndo);
  keep_open(e);
  return false;
}

}  // namespace

Kernel::Resend Kernel::recover(Endpoint& e, AckWork& w, std::uint32_t dupacks) {
  if (e.packets_out() == 0) e.sacked_out = 0;
  if (w.ece) e.prior_ssthresh = 0;
  if (w.reneging && w.advanced) {
    // The peer forgot what it SACKed; a moment's patience before we believe it.
    arm_xmit(e, XmitTimer::kRetransmit, std::max(ticks_of_us(e.srtt8 >> 4), ticks_of_us(10'000)));
    w.set_timer = false;
    return Resend::kNothing;
  }
  if (e.ca == CaState::kOpen) {
    e.retrans_stamp = {};
  } else if (!before(e.snd_una, e.high_seq)) {
    if (e.ca == CaState::kCwr) {
      if (!(e.snd_una == e.high_seq)) {
        end_reduction(*this, e);
        e.ca = CaState::kOpen;
      }
    } else if (e.ca == CaState::kRecovery) {
      if (!e.neg.sack) e.sacked_out = 0;
      if (undo_recovery(*this, e)) return Resend::kNothing;
      end_reduction(*this, e);
    }
  }
  Resend what = Resend::kNothing;
  bool others = false;
  switch (e.ca) {
    case CaState::kRecovery:
      if (!w.advanced) {
        if (!e.neg.sack) add_duplicates(*this, e, dupacks);
      } else if (undo_partial(*this, e, w.prior_una)) {
        return Resend::kNothing;
      }
      if (undo_dsack(*this, e)) try_open(*this, e, w.ece);
      identify_loss(*this, e, w);
      if (e.ca != CaState::kRecovery) {
        if (e.lost_out == 0) return Resend::kNothing;
        enter_recovery(e, w.ece);
      }
      break;
    case CaState::kLoss:
      what = in_loss(*this, e, w, dupacks);
      identify_loss(*this, e, w);
      if (e.ca != CaState::kOpen && !w.lost_retrans) return what;
      others = true;
      break;
    case CaState::kOpen:
    case CaState::kDisorder:
    case CaState::kCwr: others = true; break;
  }
  if (others) {
    if (!e.neg.sack) {
      if (w.advanced) e.sacked_out = 0;
      add_duplicates(*this, e, dupacks);
    }
    if (e.ca <= CaState::kDisorder) undo_dsack(*this, e);
    identify_loss(*this, e, w);
    if (e.lost_out == 0) {
      try_open(*this, e, w.ece);
      return what;
    }
    enter_recovery(e, w.ece);
  }
  return Resend::kLost;
}

/// RFC 8985 7.4; Linux tcp_process_tlp_ack().
void Kernel::tlp_ack(Endpoint& e, SeqNum ack, const AckWork& w) {
  if (before(ack, e.tlp_high_seq)) return;
  if (!e.tlp_retransmitted || w.dsack_tlp) {
    e.tlp_open = false;
  } else if (after(ack, e.tlp_high_seq)) {
    // The probe filled a hole: that was a loss and is paid for as one.
    start_reduction(e);
    e.ca = CaState::kCwr;
    end_reduction(*this, e);
    keep_open(e);
    count(Mib::kTCPLossProbeRecovery);
  } else if (!w.advanced && !w.not_dup() && !w.sacked) {
    e.tlp_open = false;
  }
}

/// A path that became narrower: what is too long for it is cut and sent again, at no cost to the window.
void Kernel::simple_retransmit(Endpoint& e) {
  const bool all = e.syn_data && e.state == State::kSynSent;
  const std::uint32_t mss = current_mss(e);
  std::uint32_t longest = 0;  // of the segments of a buffer
  for (std::size_t i = e.sent_head; i < e.sent.size(); ++i) {
    const std::uint32_t n = e.sent[i].length() - ((e.sent[i].flags & Flag::kFin) ? 1u : 0u);
    longest = e.sent[i].joined ? std::max(longest, n) : n;
    if (all || longest > mss) mark_lost(e, e.sent[i]);
  }
  if (e.lost_out == 0) return;
  if (e.ca != CaState::kLoss) {
    e.high_seq = e.snd_nxt;
    e.ssthresh = ssthresh_now(e);
    e.prior_ssthresh = 0;
    forget_undo(e);
    e.cubic = {};
    e.ca = CaState::kLoss;
  }
  retransmit_lost(e);
}

// ---------------------------------------------------------------------------------------------------------
// The congestion window

/// RFC 6937; Linux tcp_cwnd_reduction().
void Kernel::reduce_cwnd(Endpoint& e, std::uint32_t delivered, std::uint32_t lost, bool advanced) {
  if (delivered == 0 || e.prior_cwnd == 0) return;
  const std::int64_t flying = in_flight(e);
  const std::int64_t room = std::int64_t{e.ssthresh} - flying;
  e.prr_delivered += delivered;
  std::int64_t send = 0;
  if (room < 0) {
    send = (std::int64_t{e.ssthresh} * e.prr_delivered + e.prior_cwnd - 1) / e.prior_cwnd - e.prr_out;
  } else {
    send = std::max<std::int64_t>(std::int64_t{e.prr_delivered} - e.prr_out, delivered);
    if (advanced && lost == 0) ++send;
    send = std::min(room, send);
  }
  send = std::max<std::int64_t>(send, e.prr_out != 0 ? 0 : 1);
  e.cwnd = static_cast<std::uint32_t>(std::max<std::int64_t>(flying + send, 1));
}

namespace {

/// The cubic root without its fraction. Linux comes by it with a table and one step of Newton's, by up to three off: of a
/// small window the root, cubed again, is then short of the packets that were lost, and the window opens by one at once.
std::uint32_t cubic_root(std::uint64_t a) { return static_cast<std::uint32_t>(std::cbrt(static_cast<double>(a))); }

/// RFC 9438 4.2 with C = 0.4 in units of 1/1024 s; Linux net/ipv4/tcp_cubic.c bictcp_update().
void cubic_update(const Kernel& k, Endpoint& e, std::uint32_t acked) {
  Cubic& c = e.cubic;
  const std::int64_t now = k.jiffies(k.now);
  const int hz = k.config.kernel.hz;
  c.acks += acked;
  if (c.last_cwnd == e.cwnd && now - c.last_time <= hz / 32) return;
  if (c.epoch == 0 || now != c.last_time) {
    c.last_cwnd = e.cwnd;
    c.last_time = now;
    if (c.epoch == 0) {
      c.epoch = now;
      c.acks = acked;
      c.tcp_cwnd = e.cwnd;
      if (c.last_max <= e.cwnd) {
        c.k = 0;
        c.origin = e.cwnd;
      } else {
        constexpr std::uint64_t kFactor = (std::uint64_t{1} << 40) / 410;
        c.k = cubic_root(kFactor * (c.last_max - e.cwnd));
        c.origin = c.last_max;
      }
    }
    const std::uint64_t delay = static_cast<std::uint64_t>(k.ticks_of_us(c.delay_min) / k.tick());
    const std::uint64_t t = ((static_cast<std::uint64_t>(now - c.epoch) + delay) << 10) / static_cast<std::uint64_t>(hz);
    const std::uint64_t off = t < c.k ? c.k - t : t - c.k;
    const auto delta = static_cast<std::uint32_t>((410 * off * off * off) >> 40);
    const std::uint32_t target = t < c.k ? c.origin - delta : c.origin + delta;
    c.count = target > e.cwnd && target - e.cwnd < 0x80000000u ? e.cwnd / (target - e.cwnd) : 100 * e.cwnd;
    if (c.last_max == 0 && c.count > 20) c.count = 20;
  }
  // As fast as Reno would be, at least (RFC 9438 4.3).
  const std::uint32_t step = (e.cwnd * 15) >> 3;
  while (step != 0 && c.acks > step) {
    c.acks -= step;
    ++c.tcp_cwnd;
  }
  if (c.tcp_cwnd > e.cwnd) c.count = std::min(c.count, e.cwnd / (c.tcp_cwnd - e.cwnd));
  c.count = std::max(c.count, 2u);
}

}  // namespace

/// Slow start and congestion avoidance, RFC 5681 3.1 and RFC 9438, only while the window is what limits.
void Kernel::grow_cwnd(Endpoint& e, std::uint32_t acked) {
  const bool slow_start = e.cwnd < e.ssthresh;
  if (!e.cwnd_limited && !(slow_start && e.cwnd < 2 * e.max_packets_out)) return;
  if (slow_start) {
    const std::uint32_t to = std::min(e.cwnd + acked, e.ssthresh);
    acked -= to - e.cwnd;
    e.cwnd = to;
    if (acked == 0) return;
  }
  cubic_update(*this, e, acked);
  const std::uint32_t w = e.cubic.count;
  if (e.cwnd_count >= w) {
    e.cwnd_count = 0;
    ++e.cwnd;
  }
  e.cwnd_count += acked;
  if (e.cwnd_count >= w) {
    e.cwnd += e.cwnd_count / w;
    e.cwnd_count %= w;
  }
  e.cwnd_tick = jiffies(now);
}

/// RFC 2861 3.1: idle for a timeout, the window halves per timeout down to the initial one.
void Kernel::restart_after_idle(Endpoint& e) {
  if (!config.sysctls.tcp_slow_start_after_idle || e.packets_out() != 0) return;
  Duration idle = tick() * (jiffies(now) - jiffies(e.lsndtime));
  if (idle <= e.rto || e.rto == Duration{}) return;
  e.ssthresh = ssthresh_now(e);
  const std::uint32_t least = std::min(static_cast<std::uint32_t>(config.kernel.initial_cwnd), e.cwnd);
  std::uint32_t cwnd = e.cwnd;
  for (idle -= e.rto; idle > Duration{} && cwnd > least; idle -= e.rto) cwnd >>= 1;
  e.cwnd = std::max(cwnd, least);
  e.cwnd_tick = jiffies(now);
  e.cwnd_used = 0;
}

}  // namespace tcpwhy::model
