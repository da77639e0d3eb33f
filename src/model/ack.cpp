// What an ACK says about what we sent: how far it came, how long it took, how wide the window is now
// (RFC 9293 3.10.7.4 fifth, RFC 6298). Linux net/ipv4/tcp_input.c tcp_ack(). What it means for the congestion
// window is recovery.cpp's.

#include <algorithm>
#include <optional>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;
using Opt = wire::Opt;

/// Header prediction: nothing about the segment is new but its data or its ACK number.
bool predicted(const Kernel& k, const Endpoint& e, const Packet& p) {
  if (e.state != State::kEstablished || (p.flags & ~Flag::kPsh) != Flag::kAck || !(p.seq == e.rcv_nxt)) return false;
  if (e.slow_path || (std::uint32_t{p.window} << e.neg.snd_wscale) != e.snd_wnd) return false;
  if (p.sack_blocks != 0 || p.has(Opt::kTimestamps) != e.neg.timestamps) return false;
  if (e.neg.timestamps && static_cast<std::int32_t>(p.tsval - e.ts_recent) < 0) return false;
  return p.payload_bytes == 0 || !after(p.end(), e.rcv_nxt + k.receive_window(e));
}

/// A segment that needs another page than those the socket has set aside takes the long way through
/// tcp_rcv_established(). Older kernels kept what they once had.
bool fits_set_aside(const Kernel& k, const Endpoint& e, const Packet& p) {
  if (k.config.kernel.socket_memory == SocketMemory::kKept)
    return e.bytes_received != 0 || e.bytes_acked != 0 || e.sent.size() > e.sent_head;
  return static_cast<std::int32_t>(k.truesize(p)) <= e.set_aside;
}

/// What the echoed timestamp of an ACK that acknowledges something says of its round trip; nothing: not a thing.
std::optional<std::int64_t> echoed_us(const Kernel& k, const Endpoint& e, const Kernel::AckWork& w) {
  if (!e.saw_ts || e.last_tsecr == 0 || !w.acked()) return std::nullopt;
  const std::int64_t unit = 1'000'000 / k.config.kernel.timestamp_hz;
  const std::uint32_t delta = k.clock_tsval(0) - e.last_tsecr;
  if (delta >= 0x7fffffffu / unit) return std::nullopt;
  return std::int64_t{std::max(delta, 1u)} * unit;
}

}  // namespace

/// Linux tcp_fast_path_check(): asked when data was queued in order, and when the peer's window changed.
void Kernel::predict_again(Endpoint& e) const {
  if (e.holes().empty() && e.rcv_wnd != 0 && e.rcv_memory < rcvbuf_of(e.opt)) e.slow_path = false;
}

/// Header prediction, Linux tcp_rcv_established(): data that is nothing but the next is queued before its ACK is looked at,
/// and stays even if that ACK is none we can believe.
bool Kernel::take_predicted(Endpoint& e, std::uint32_t index, const Packet& p) {
  if (p.payload_bytes == 0 || after(p.ack, e.snd_nxt) || !predicted(*this, e, p) || !fits_set_aside(*this, e, p)) return false;
  count(Mib::kTCPHPHits);
  because(Rule::kDataInOrder);
  store_timestamp(e, p);
  queue_received(e, buffer_of(p));
  take_data(e, p, e.rcv_nxt, p.payload_bytes);
  received_data(e, p);
  if (p.ack == e.snd_una) {
    e.snd_wl1 = p.seq;
    ack_check(e);
  } else {
    if (on_ack(e, index, p, Path::kPredicted) == AckFate::kRefused) challenge(e, Rule::kAckTooOld);
    push(e);
    if (e.ack.scheduled) ack_check(e);
  }
  wake(e);
  return true;
}

Kernel::AckFate Kernel::on_ack(Endpoint& e, std::uint32_t, const Packet& p, Path path) {
  const SeqNum ack = p.ack;
  e.saw_ts = p.has(Opt::kTimestamps) && (e.neg.timestamps || e.state == State::kSynSent);
  if (e.saw_ts) e.last_tsecr = p.tsecr - (p.tsecr != 0 ? e.ts_offset : 0);
  AckWork w;
  w.prior_una = e.snd_una;
  w.prior_delivered = e.delivered;
  const std::uint32_t lost_before = e.lost_total;
  const bool fast =
      path == Path::kPredicted || (p.payload_bytes == 0 && !after(ack, e.snd_nxt) && predicted(*this, e, p));
  // A predicted ACK without data has its timestamp stored before anybody asks whether its number is too old.
  if (fast && path != Path::kPredicted) store_timestamp(e, p);
  const auto newly_delivered = [&] {
    const std::uint32_t n = e.delivered - w.prior_delivered;
    for (std::uint32_t i = 0; i < n; ++i) count(Mib::kTCPDelivered);
    return n;
  };
  const auto resend_now = [&](Resend what) {
    if (what == Resend::kNothing || e.state == State::kSynSent) return;
    if (what == Resend::kNew) {
      constexpr int kNagleOff = 1;
      if (e.has_unsent()) write_out(e, kNagleOff, PushOne::kNo);
      if (after(e.snd_nxt, e.high_seq)) return;
      e.frto = false;
    }
    retransmit_lost(e);
  };

  if (before(ack, w.prior_una)) {
    if (config.kernel.syn_in_connection == SynInConnection::kChallenged) {
      // RFC 5961 5.2.
      std::uint64_t window = e.max_window;
      if (config.kernel.old_ack_window == OldAckWindow::kNotMoreThanAcked) window = std::min(window, e.bytes_acked);
      if (before(ack, w.prior_una - static_cast<std::uint32_t>(window))) return AckFate::kRefused;
    }
    because(Rule::kAckOld);
    if (p.sack_blocks != 0 && e.neg.sack) {
      take_sack(e, p, w);
      if (config.kernel.old_ack_sack == OldAckSack::kDelivers) e.delivered += w.sack_delivered;
      const Resend what = recover(e, w, 0);
      newly_delivered();
      resend_now(what);
    }
    return AckFate::kOld;
  }
  if (after(ack, e.snd_nxt)) return AckFate::kRefused;
  w.advanced = after(ack, w.prior_una);
  if (w.advanced) e.retransmits = 0;
  because(w.advanced ? Rule::kAckNew : Rule::kAckSame);

  const std::size_t prior_packets = e.packets_out();
  const SeqNum prior_fack = e.neg.sack && e.sacked_out != 0 ? e.highest_sack : e.snd_una;
  if (e.state != State::kSynSent) store_timestamp(e, p);
  const auto advance_una = [&] {
    e.bytes_acked += distance(e.snd_una, ack);
    e.snd_una = ack;
  };
  if (fast && w.advanced) {
    e.snd_wl1 = p.seq;
    advance_una();
    w.window_update = true;
    count(Mib::kTCPHPAcks);
  } else {
    if (p.length() != 0)
      w.data = true;
    else
      count(Mib::kTCPPureAcks);
    const std::uint32_t window = p.syn() ? p.window : std::uint32_t{p.window} << e.neg.snd_wscale;
    // RFC 9293 3.10.7.4, with a wider or a closed window of the same segment believed too.
    if (w.advanced || after(p.seq, e.snd_wl1) || (p.seq == e.snd_wl1 && (window > e.snd_wnd || window == 0))) {
      w.window_update = true;
      e.snd_wl1 = p.seq;
      if (window != e.snd_wnd) {
        e.snd_wnd = window;
        e.slow_path = true;
        predict_again(e);
        if (e.has_unsent()) restart_after_idle(e);
        if (window > e.max_window) {
          e.max_window = window;
          set_mss(e, e.pmtu);
        }
      }
    }
    advance_una();
    if (p.sack_blocks != 0 && e.neg.sack) take_sack(e, p, w);
    if (e.neg.ecn && (p.flags & Flag::kEce) && !p.syn()) w.ece = true;
    e.delivered += w.sack_delivered;
  }
  // RFC 3168 6.1.2: CWR ends the echo.
  if (e.neg.ecn && (p.flags & Flag::kCwr)) {
    e.ecn_demand_cwr = false;
    if (p.length() != 0) e.ack.now = true;
  }
  e.soft_error = Errno::kNone;
  e.probes_out = 0;
  e.ack_heard = now;

  if (prior_packets == 0) {
    if (w.dsack) {
      recover(e, w, 0);
      newly_delivered();
    }
    ack_probe(e);
    if (e.tlp_open) tlp_ack(e, ack, w);
    return AckFate::kOk;
  }

  clean_sent(e, w, prior_fack);
  // Reordering seen by DSACKs widens the window RACK waits (RFC 8985 6.2 step 4).
  if (e.rack_dsack_seen) {
    if (e.rack_steps < 255) ++e.rack_steps;
    e.rack_dsack_seen = false;
    e.rack_last_delivered = e.delivered;
    e.rack_persist = 16;
  } else if (e.rack_persist == 0) {
    e.rack_steps = 1;
  }
  if (e.tlp_open) tlp_ack(e, ack, w);

  Resend what = Resend::kNothing;
  if (!w.not_dup() || w.sacked || w.ece || w.dsack || e.ca != CaState::kOpen) {
    const std::uint32_t dupacks = !w.advanced && !w.not_dup() && !w.dsack ? 1 : 0;
    what = recover(e, w, dupacks);
  }
  if (w.set_timer && !schedule_loss_probe(e, true)) rearm_rto(e);

  const std::uint32_t n = newly_delivered();
  const bool reordered = e.reordering > config.sysctls.tcp_reordering;
  if (e.ca == CaState::kCwr || e.ca == CaState::kRecovery)
    reduce_cwnd(e, n, e.lost_total - lost_before, w.advanced);
  else if (w.data_acked || (reordered && (w.acked() || w.sacked)))
    grow_cwnd(e, n);
  set_pacing_rate(e);
  resend_now(what);
  return AckFate::kOk;
}

/// What the ACK covers leaves the sent queue. Linux tcp_clean_rtx_queue().
void Kernel::clean_sent(Endpoint& e, AckWork& w, SeqNum prior_fack) {
  const std::uint32_t prior_sacked = e.sacked_out;
  ModelTime first{}, last{};
  bool timed = false;
  std::uint32_t gone = 0;
  w.reord = e.snd_nxt;
  SeqNum reord = e.snd_nxt;
  const auto acknowledged = [&](const Piece& piece, SeqNum buffer_ends) {
    ++gone;
    if (piece.retransmitted || piece.ever_retransmitted) {
      w.retrans_acked = true;
    } else if (!piece.sacked) {
      last = piece.sent_at;
      if (!timed) first = last;
      timed = true;
      if (before(piece.seq, reord)) reord = piece.seq;
      if (!after(buffer_ends, e.high_seq)) w.orig_sacked = true;
    }
    if (!piece.sacked && e.neg.sack) {
      ++e.delivered;
      // An echo older than the repeat: the repeat was for nothing.
      const bool spurious = (piece.retransmitted || piece.ever_retransmitted) && echo_before(e, piece.sent_at);
      if (!spurious) rack_advance(e, piece, buffer_ends);
    }
    if (piece.flags & Flag::kSyn) {
      w.syn_acked = true;
      e.retrans_stamp = {};
      if (piece.length() > 1) w.data_acked = true;
    } else {
      w.data_acked = true;
    }
  };
  bool in_buffer = false;  // the buffer at the front was of more segments when this ACK came
  while (e.packets_out() != 0) {
    const Piece piece = e.sent[e.sent_head];
    const std::size_t segments = buffer_end(e, e.sent_head) - e.sent_head;
    const SeqNum buffer_ends = e.sent[e.sent_head + segments - 1].end;
    in_buffer = in_buffer || segments > 1;
    if (after(piece.end, e.snd_una)) {
      // Of a buffer of several segments the front is cut off, and what is left may be one segment less: tcp_tso_acked().
      if (!in_buffer || !after(e.snd_una, piece.seq)) break;
      e.sent[e.sent_head].seq = e.snd_una;
      free_write_memory(e, distance(piece.seq, e.snd_una));
      recut(e, e.sent_head, UINT32_MAX, piece.length());
      if (buffer_end(e, e.sent_head) - e.sent_head < segments) acknowledged(piece, buffer_ends);
      break;
    }
    acknowledged(piece, buffer_ends);
    if (piece.retransmitted) --e.retrans_out;
    if (piece.sacked) --e.sacked_out;
    if (piece.lost) --e.lost_out;
    in_buffer = segments > 1;
    free_front(e);
    if (++e.sent_head == e.sent.size()) {
      e.sent.clear();
      e.sent_head = 0;
    } else if (e.sent_head >= 64 && e.sent_head * 2 > e.sent.size()) {
      e.sent.erase(e.sent.begin(), e.sent.begin() + static_cast<std::ptrdiff_t>(e.sent_head));
      e.sent_head = 0;
    }
  }
  if (after(e.snd_una, e.out_seq)) {
    e.out.drop(distance(e.out_seq, e.snd_una));
    e.out_seq = e.snd_una;
    zero_copy_freed(e, Freed::kAcked);
  }
  if (!after(w.prior_una, e.snd_up) && !after(e.snd_up, e.snd_una)) e.snd_up = e.snd_una;
  if (e.packets_out() != 0 && e.sent[e.sent_head].sacked) w.reneging = true;

  std::int64_t seq_us = -1, sack_us = -1, ca_us = -1;
  if (timed && !w.retrans_acked) {
    seq_us = us_between(first, now);
    ca_us = us_between(last, now);
    if (gone == 1 && prior_sacked == 0 && distance(w.prior_una, e.snd_una) < e.mss &&
        w.prior_delivered + 1 == e.delivered && !w.sacked && !w.ece && !w.dsack && !w.syn_acked)
      w.maybe_delayed = true;
  }
  if (w.first_sack != ModelTime{}) {
    sack_us = us_between(w.first_sack, now);
    ca_us = us_between(w.last_sack, now);
  }
  // The congestion control hears of it too (rate_sample::rtt_us).
  if (seq_us < 0 && sack_us < 0)
    if (const auto echoed = echoed_us(*this, e, w)) seq_us = ca_us = *echoed;
  const bool updated = update_rtt(e, seq_us, sack_us, ca_us, w);
  if (w.acked()) {
    w.set_timer = true;
    if (!e.neg.sack) {
      // Without SACK duplicates were counted; one ACK fills the hole, the rest ate duplicates.
      if (gone != 0) {
        e.delivered += gone > e.sacked_out + 1 ? gone - e.sacked_out : 1;
        e.sacked_out -= std::min(e.sacked_out, gone - 1);
      }
      check_reno_reordering(e, gone);
      if (w.retrans_acked) w.orig_sacked = false;
    } else if (before(reord, prior_fack)) {
      see_reordering(e, reord, Mib::kTCPSACKReorder, prior_fack);
    }
  } else if (e.packets_out() != 0 && updated && sack_us >= 0 && sack_us > us_between(e.sent[e.sent_head].sent_at, now)) {
    w.set_timer = true;
  }
  const std::int64_t rtt = ca_us;
  if (rtt >= 0 && !(e.cubic.epoch != 0 && jiffies(now) - e.cubic.epoch < config.kernel.hz)) {
    const auto delay = static_cast<std::uint32_t>(std::max<std::int64_t>(rtt, 1));
    if (e.cubic.delay_min == 0 || delay < e.cubic.delay_min) e.cubic.delay_min = delay;
  }
}

/// Does the echoed timestamp lie before `t`? Then what was acknowledged was sent before `t`.
bool Kernel::echo_before(const Endpoint& e, ModelTime t) const {
  if (!e.saw_ts || e.last_tsecr == 0) return false;
  const auto unit = Duration{1'000'000'000 / config.kernel.timestamp_hz};
  const auto then = clock_tsval(0) - static_cast<std::uint32_t>((now.time_since_epoch() / unit) - (t.time_since_epoch() / unit));
  return static_cast<std::int32_t>(e.last_tsecr - then) < 0;
}

// ---------------------------------------------------------------------------------------------------------
// Round trips

/// RFC 6298 3: what was repeated gives no sample, unless timestamps tell which was acknowledged (RFC 7323 4).
/// Linux tcp_ack_update_rtt().
bool Kernel::update_rtt(Endpoint& e, std::int64_t seq_us, std::int64_t sack_us, std::int64_t ca_us, const AckWork& w) {
  if (seq_us < 0) seq_us = sack_us;
  if (seq_us < 0)
    if (const auto echoed = echoed_us(*this, e, w)) seq_us = ca_us = *echoed;
  if (seq_us < 0) return false;
  if (ca_us >= 0 && !(w.maybe_delayed && e.min_rtt != 0 && ca_us > e.min_rtt)) {
    const auto fresh = static_cast<std::uint32_t>(ca_us == 0 ? tick() / std::chrono::microseconds{1} : ca_us);
    if (e.min_rtt == 0 || fresh < e.min_rtt) e.min_rtt = fresh;
  }
  rtt_sample(e, seq_us);
  set_rto(e);
  e.backoff = 0;
  return true;
}

/// RFC 6298 2.3 in the arithmetic of Jacobson's paper as Linux bends it: srtt is kept eightfold, the mean
/// deviation fourfold, and the variation falls only once per round trip. Linux tcp_rtt_estimator().
void Kernel::rtt_sample(Endpoint& e, std::int64_t sample_us) {
  std::int64_t m = sample_us;
  std::int64_t srtt = e.srtt8;
  const auto least = static_cast<std::uint32_t>(config.sysctls.tcp_rto_min_us);
  if (srtt != 0) {
    m -= srtt >> 3;
    srtt += m;
    if (m < 0) {
      m = -m - (e.mdev4 >> 2);
      if (m > 0) m >>= 3;  // a round trip that shrinks says little about its variation
    } else {
      m -= e.mdev4 >> 2;
    }
    e.mdev4 = static_cast<std::uint32_t>(std::int64_t{e.mdev4} + m);
    if (e.mdev4 > e.mdev_max) {
      e.mdev_max = e.mdev4;
      e.rttvar = std::max(e.rttvar, e.mdev_max);
    }
    if (after(e.snd_una, e.rtt_seq)) {
      if (e.mdev_max < e.rttvar) e.rttvar -= (e.rttvar - e.mdev_max) >> 2;
      e.rtt_seq = e.snd_nxt;
      e.mdev_max = least;
    }
  } else {
    srtt = m << 3;
    e.mdev4 = static_cast<std::uint32_t>(m << 1);
    e.rttvar = std::max(e.mdev4, least);
    e.mdev_max = e.rttvar;
    e.rtt_seq = e.snd_nxt;
  }
  e.srtt8 = static_cast<std::uint32_t>(std::max<std::int64_t>(srtt, 1));
}

void Kernel::set_rto(Endpoint& e) {
  e.rto = std::min(ticks_of_us(std::int64_t{e.srtt8 >> 3} + e.rttvar), rto_max());
}

/// The window opened, or not, while nothing was on its way. Linux tcp_ack_probe().
void Kernel::ack_probe(Endpoint& e) {
  if (!e.has_unsent()) return;
  if (!after(e.unsent[e.unsent_head].end, window_end(e))) {
    e.backoff = 0;
    e.probe_stamp = {};
    e.xmit = XmitTimer::kNone;
  } else {
    arm_xmit(e, XmitTimer::kProbe0, probe_delay(e));
  }
}

}  // namespace tcpwhy::model
