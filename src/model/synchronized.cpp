// A segment for a connection: the checks of RFC 9293 3.10.7.4 in its order. Linux net/ipv4/tcp_input.c
// tcp_validate_incoming(), tcp_rcv_state_process() and, for ESTABLISHED, tcp_rcv_established().

#include <array>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Check = Next (Kernel::*)(Endpoint&, std::uint32_t, const Packet&);

// Third (security) cannot fail a connection; sixth (URG) to eighth (FIN) follow in on_synchronized().
constexpr std::array<Check, 5> kChecks = {
    &Kernel::check_sequence,  // first; RFC 7323 5.3
    &Kernel::check_rst,       // second; RFC 5961 3.2
    &Kernel::check_syn,       // fourth; RFC 5961 4.2
    &Kernel::check_ack,       // fifth; RFC 5961 5.2
    &Kernel::check_state,     // fifth: what the ACK means to the state
};

constexpr std::int32_t kPawsWindow = 1;  // TCP_PAWS_WINDOW

bool carries_new_data(const Endpoint& e, const Packet& p) {
  return p.length() != 0 && after(p.end() - (p.fin() ? 1u : 0u), e.rcv_nxt);
}

}  // namespace

void Kernel::on_synchronized(std::uint32_t index, const Packet& p) {
  Endpoint& e = endpoints[index];
  e.saw_ts = e.neg.timestamps && p.has(Opt::kTimestamps);
  if (e.fastopen_child && check_fastopen(e, index, p) == Next::kDone) return;
  if (e.fastopen_child && check_fastopen(e, index, p) == Next::kDone) return;
  if (take_predicted(e, index, p)) return;
  if (!p.has_ack() && !p.rst() && !p.syn()) {
    because(Rule::kNoAckFlag);
    return;
  }
  for (const Check check : kChecks)
    if ((this->*check)(e, index, p) == Next::kDone) return;

  take_urgent(e, p);
  switch (e.state) {
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
      // The peer said it would send no more. What lies before its FIN is a repetition.
      if (!before(p.seq, e.rcv_nxt)) break;
      [[fallthrough]];
    case State::kFinWait1:
    case State::kFinWait2:
      // RFC 1122 4.2.2.13: who has closed must say so with a RST.
      if (e.rcv_shut && carries_new_data(e, p)) {
        count(Mib::kTCPAbortOnData);
        peer_reset(e, index);
        send_reset(p, Rule::kDataAfterClose);
        return;
      }
      [[fallthrough]];
    case State::kEstablished:
      if (p.length() == 1 && p.syn()) {
        // The SYN-ACK that ended a simultaneous open carries nothing but a number we have.
        because(Rule::kDataOld);
        count(Mib::kDelayedACKLost);
        say_duplicate(e, p.seq, p.end());
        quick_acks(e, kMaxQuickAcks);
        e.ack.scheduled = true;
      } else {
        on_text(e, index, p);
      }
      break;
    case State::kUnseen:
    case State::kSynSent:
    case State::kSynRecv:
    case State::kTimeWait:
    case State::kClose:
    case State::kListen:
    case State::kNewSynRecv: break;
  }
  if (!endpoints.live(index) || e.state == State::kClose) return;  // the FIN may have made a TIME_WAIT of it
  push(e);
  ack_check(e);
}

// First: the sequence number, and before it PAWS

bool Kernel::newer_timestamp(const Endpoint& e, const Packet& p, std::int32_t slack) const {
  if (static_cast<std::int32_t>(e.ts_recent - p.tsval) <= slack) return true;
  if (second(now) - second(e.ts_recent_at) >= config.kernel.paws_expiry.count()) return true;
  return e.ts_recent == 0;
}

// tcp_paws_check(), tcp_disordered_ack_check(): RFC 7323 5.3, and what reordering makes of pure ACKs.
Kernel::Paws Kernel::paws(const Endpoint& e, const Packet& p) const {
  if (!e.neg.timestamps || !p.has(Opt::kTimestamps) || newer_timestamp(e, p, kPawsWindow)) return Paws::kPasses;
  if (!p.has_ack() || p.length() != 0) return Paws::kRefuses;
  if (!(p.seq == e.rcv_nxt)) return before(p.seq, e.rcv_nxt) ? Paws::kOldAck : Paws::kRefuses;
  if (!(p.ack == e.snd_una)) return Paws::kRefuses;
  const std::uint32_t window = std::uint32_t{p.window} << e.neg.snd_wscale;
  if (after(p.seq, e.snd_wl1) || (p.seq == e.snd_wl1 && (window > e.snd_wnd || window == 0))) return Paws::kRefuses;
  const auto replay = e.rto * 12 / 10 / Duration{1'000'000'000 / config.kernel.timestamp_hz};
  return static_cast<std::int32_t>(e.ts_recent - p.tsval) > replay ? Paws::kRefuses : Paws::kPasses;
}

void Kernel::store_timestamp(Endpoint& e, const Packet& p) {
  if (!e.saw_ts || after(p.seq, e.rcv_wup) || !newer_timestamp(e, p, 0)) return;
  e.ts_recent = p.tsval;
  e.ts_recent_at = now;
}

Next Kernel::check_sequence(Endpoint& e, std::uint32_t, const Packet& p) {
  const Paws verdict = paws(e, p);
  // A RST is believed in spite of PAWS, and a SYN is challenged.
  if (verdict != Paws::kPasses && !p.rst()) {
    if (p.syn() && config.kernel.syn_in_connection == SynInConnection::kChallenged) {
      challenge_syn(e);
      return Next::kDone;
    }
    if (verdict == Paws::kOldAck && config.kernel.paws_counters == PawsCounters::kSplit) {
      because(Rule::kPawsOldAck);
      count(Mib::kPAWSOldAck);
      return Next::kDone;
    }
    because(Rule::kPawsDrop);
    count(Mib::kPAWSEstab);
    if (ack_allowed(e.oow_at, Mib::kTCPACKSkippedPAWS, p)) send_dupack(e, p);
    return Next::kDone;
  }
  if (p.rst()) return Next::kGoOn;  // has its own test of the number

  const SeqNum edge = e.rcv_nxt + receive_window(e);
  const bool left = before(p.end(), e.rcv_wup);
  bool right = after(p.seq, edge);
  // 6.18 takes a segment that reaches beyond the edge only while nothing waits to be read.
  if (config.kernel.beyond_window_end == OldWindowedSegment::kDropped && after(p.end(), edge) && !e.received.empty())
    right = true;
  if (!left && !right) return Next::kGoOn;
  if (p.syn() && config.kernel.syn_in_connection == SynInConnection::kChallenged) {
    challenge_syn(e);
    return Next::kDone;
  }
  because(Rule::kOutOfWindow);
  if (!left && config.kernel.paws_counters == PawsCounters::kSplit) count(Mib::kBeyondWindow);
  if (ack_allowed(e.oow_at, Mib::kTCPACKSkippedSeq, p)) send_dupack(e, p);
  return Next::kDone;
}

// Second: RST

Next Kernel::check_rst(Endpoint& e, std::uint32_t index, const Packet& p) {
  if (!p.rst()) return Next::kGoOn;
  std::optional<SeqNum> edge;
  if (e.neg.sack)
    for (const Hole& h : e.holes())
      if (!edge || after(h.right, *edge)) edge = h.right;
  switch (on_rst(config.kernel, e.state, p.seq, e.rcv_wup, e.rcv_nxt, receive_window(e), edge)) {
    case RstFate::kEnds:
      because(config.kernel.rst_acceptance == RstAcceptance::kInWindow ? Rule::kRstInWindow : Rule::kRstAccepted);
      peer_reset(e, index);
      break;
    case RstFate::kChallenged:
      challenge(e, Rule::kRstChallenged);
      break;
    case RstFate::kIgnored:
      because(Rule::kRstOutOfWindow);
      break;
  }
  return Next::kDone;
}

// tcp_reset()
void Kernel::peer_reset(Endpoint& e, std::uint32_t index) {
  if (e.state == State::kClose) return;
  Errno error = Errno::kECONNRESET;
  if (e.state == State::kSynSent) error = Errno::kECONNREFUSED;
  if (e.state == State::kCloseWait) error = Errno::kEPIPE;
  done_with_error(index, error);
}

// Fourth: SYN

Next Kernel::check_syn(Endpoint& e, std::uint32_t index, const Packet& p) {
  if (!p.syn()) return Next::kGoOn;
  switch (config.kernel.syn_in_connection) {
    case SynInConnection::kAborts:
      if (before(p.seq, e.rcv_nxt)) return Next::kGoOn;
      if (e.state == State::kEstablished) count(Mib::kInErrs);
      count(Mib::kTCPAbortOnSyn);
      peer_reset(e, index);
      send_reset(p, Rule::kSynAborts);
      return Next::kDone;
    case SynInConnection::kChallenged: break;
  }
  // The SYN-ACK of a peer whose SYN crossed ours: nothing but the third segment of this handshake.
  if (config.kernel.simultaneous_synack == SynAckOfSimultaneousOpen::kTaken && e.state == State::kSynRecv && e.fd >= 0 &&
      p.has_ack() && p.length() == 1 && p.end() == e.rcv_nxt && p.ack == e.snd_nxt)
    return Next::kGoOn;
  challenge_syn(e);
  return Next::kDone;
}

void Kernel::challenge_syn(Endpoint& e) {
  if (e.state == State::kEstablished) count(Mib::kInErrs);
  count(Mib::kTCPSYNChallenge);
  challenge(e, Rule::kSynChallenged);
}

// __tcp_oow_rate_limited(), counted in ticks; a data segment is never part of a loop of ACKs.
bool Kernel::ack_allowed(ModelTime& last, Mib skipped) {
  if (config.kernel.per_socket_ack_limit == PerSocketAckLimit::kNo) return true;
  if (last != ModelTime::min()) {
    const std::int64_t since = jiffies(now) - jiffies(last);
    const std::int64_t limit = config.sysctls.tcp_invalid_ratelimit * config.kernel.hz / 1000;
    if (since >= 0 && since < limit) {
      because(Rule::kChallengeLimited);
      count(skipped);
      return false;
    }
  }
  last = now;
  return true;
}

bool Kernel::ack_allowed(ModelTime& last, Mib skipped, const Packet& p) {
  if (p.length() != 0 && !p.syn()) return true;
  return ack_allowed(last, skipped);
}

// tcp_send_challenge_ack(): RFC 5961 7 with two limits, one of the socket and one of the host.
void Kernel::challenge(Endpoint& e, Rule why) {
  because(why);
  if (!ack_allowed(e.oow_at, Mib::kTCPACKSkippedChallenge)) return;
  const std::int64_t limit = config.sysctls.tcp_challenge_ack_limit;
  if (limit != 2147483647) {
    const std::int64_t s = jiffies(now) / config.kernel.hz;
    if (s != challenge_second) {
      challenge_second = s;
      challenges_left = limit;
      if (config.kernel.challenge_limit != ChallengeLimit::kExact) {
        // Between a half and one and a half, so that nobody learns of others by counting: CVE-2016-5696.
        const std::int64_t half = (limit + 1) / 2;
        challenges_left = half + static_cast<std::int64_t>(mix(config.seed ^ static_cast<std::uint64_t>(s)) %
                                                           static_cast<std::uint64_t>(std::max<std::int64_t>(1, limit)));
      }
    }
    if (challenges_left <= 0) return;
    --challenges_left;
  }
  count(Mib::kTCPChallengeACK);
  send_ack(e);
}

// tcp_send_dupack(): RFC 2883 4 when it repeats what we have.
void Kernel::send_dupack(Endpoint& e, const Packet& p) {
  if (p.length() != 0 && before(p.seq, e.rcv_nxt)) {
    count(Mib::kDelayedACKLost);
    quick_acks(e, kMaxQuickAcks);
    say_duplicate(e, p.seq, after(p.end(), e.rcv_nxt) ? e.rcv_nxt : p.end());
  }
  send_ack(e);
}

// Fifth: ACK

Next Kernel::check_ack(Endpoint& e, std::uint32_t index, const Packet& p) {
  const bool unsent = after(p.ack, e.snd_nxt);
  const AckFate fate = on_ack(e, index, p);
  if (fate == AckFate::kOk) return Next::kGoOn;
  if (e.state == State::kSynRecv) {
    send_reset(p, Rule::kSynRecvBadAck);
    return Next::kDone;
  }
  if (fate == AckFate::kOld) return Next::kGoOn;
  if (!unsent) {
    challenge(e, Rule::kAckTooOld);
    return Next::kDone;
  }
  switch (config.kernel.ack_of_unsent) {
    case AckOfUnsent::kIgnoredOrUsed:
      because(Rule::kAckOfUnsent);
      return e.state == State::kEstablished ? Next::kDone : Next::kGoOn;
    case AckOfUnsent::kChallengedWhenClosing:
      if (e.state == State::kEstablished) {
        because(Rule::kAckOfUnsent);
        return Next::kDone;
      }
      break;
    case AckOfUnsent::kChallenged: break;
  }
  challenge(e, Rule::kAckOfUnsent);
  return Next::kDone;
}

Next Kernel::check_state(Endpoint& e, std::uint32_t index, const Packet& p) {
  switch (e.state) {
    case State::kSynRecv: {
      because(Rule::kSynRecvEstablished);
      ++e.delivered;
      if (e.srtt8 == 0) {
        // tcp_synack_rtt_meas(): of a Fast Open SYN-ACK, or what the echoed timestamp says.
        AckWork work;
        work.syn_acked = true;
        std::int64_t round_trip = -1;
        if (e.fastopen_child && e.fastopen_request != 0xffffffff && requests[e.fastopen_request].retransmitted == 0)
          round_trip = us_between(requests[e.fastopen_request].synack_sent_at, now);
        update_rtt(e, round_trip, -1, round_trip, work);
      }
      if (e.neg.timestamps) e.advmss -= kTimestampBytes;
      if (e.fastopen_child) {
        fastopen_established(e);
      } else {
        undo_spurious_syn(e, p);
        e.retrans_stamp = {};
        enter_established(e);
        e.copied_seq = e.rcv_nxt;
      }
      set_state(e, State::kEstablished);
      wake(e);
      e.snd_una = p.ack;
      e.snd_wnd = std::uint32_t{p.window} << e.neg.snd_wscale;
      e.snd_wl1 = p.seq;
      set_pacing_rate(e);
      e.lsndtime = now;
      first_rcv_mss(e);
      e.slow_path = false;
      if (e.snd_shut) {
        set_state(e, State::kFinWait1);
        queue_fin(e);
      }
      return Next::kGoOn;
    }
    case State::kFinWait1: {
      if (e.fastopen_child) fastopen_established(e);
      if (!(e.snd_una == e.write_seq)) return Next::kGoOn;
      because(Rule::kFinAcked);
      set_state(e, State::kFinWait2);
      e.snd_shut = true;
      if (!e.orphan) {
        wake(e);
        return Next::kGoOn;
      }
      if (e.opt.linger2_s < 0 || carries_new_data(e, p)) {
        const Rule why = e.opt.linger2_s < 0 ? Rule::kLingerReset : Rule::kDataAfterClose;
        done(index);
        count(Mib::kTCPAbortOnData);
        send_reset(p, why);
        return Next::kDone;
      }
      const Duration wait = fin_time(e);
      if (wait > kTimewaitLen) {
        start_keepalive(e, wait - kTimewaitLen);
      } else if (p.fin()) {
        start_keepalive(e, wait);
      } else {
        time_wait(index, State::kFinWait2, wait);
        return Next::kDone;
      }
      return Next::kGoOn;
    }
    case State::kClosing:
      if (!(e.snd_una == e.write_seq)) return Next::kGoOn;
      because(Rule::kFinAcked);
      time_wait(index, State::kTimeWait, kTimewaitLen);
      return Next::kDone;
    case State::kLastAck:
      if (!(e.snd_una == e.write_seq)) return Next::kGoOn;
      because(Rule::kLastAckDone);
      done(index);
      return Next::kDone;
    case State::kUnseen:
    case State::kEstablished:
    case State::kSynSent:
    case State::kFinWait2:
    case State::kTimeWait:
    case State::kClose:
    case State::kCloseWait:
    case State::kListen:
    case State::kNewSynRecv: return Next::kGoOn;
  }
  return Next::kGoOn;
}

// Sixth: URG. Linux tcp_urg(), tcp_check_urg(): the pointer names the octet after the last urgent one, as BSD had it.
void Kernel::take_urgent(Endpoint& e, const Packet& p) {
  if (p.flags & wire::Flag::kUrg) {
    std::uint32_t pointer = p.urgent;
    if (pointer != 0 && config.sysctls.tcp_stdurg == 0) --pointer;
    const SeqNum at = p.seq + pointer;
    const bool seen = after(e.copied_seq, at) || before(at, e.rcv_nxt) ||
                      (e.urgent_state != Urgent::kNone && !after(at, e.urgent));
    if (!seen) {
      e.urgent_state = Urgent::kNotYet;
      e.urgent = at;
    }
  }
  if (e.urgent_state == Urgent::kNotYet) {
    const std::uint32_t from = distance(p.seq, e.urgent) - (p.syn() ? 1u : 0u);
    if (from < p.payload_bytes) {
      e.urgent_byte = from < p.payload.size() ? p.payload[from] : std::uint8_t{0};
      e.urgent_state = Urgent::kValid;
    }
  }
}

}  // namespace tcpwhy::model
