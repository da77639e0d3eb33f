#include "model/verdicts.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;

bool paws_refuses(const KernelProfile& kernel, const TimeWaitMemory& tw, const Packet& p) {
  if (!p.has(Opt::kTimestamps) || tw.ts_recent == 0) return false;
  if (static_cast<std::int32_t>(p.tsval - tw.ts_recent) >= 0) return false;
  if (tw.ts_age >= kernel.paws_expiry) return false;
  // A RST is believed in spite of PAWS once the memory is older than a minute: TCP_PAWS_MSL.
  return !(p.rst() && tw.ts_age >= std::chrono::seconds{60});
}

}  // namespace

TimeWaitVerdict on_time_wait(const KernelProfile& kernel, const TimeWaitMemory& tw, Rfc1337 rfc1337,
                             ListenerThere listener, const Packet& p) {
  TimeWaitVerdict v;
  v.paws_failed = paws_refuses(kernel, tw, p);
  if (!v.paws_failed && p.seq == tw.rcv_nxt) {
    if (p.rst()) {
      if (rfc1337 == Rfc1337::kOff) {
        v.act = TimeWaitAct::kDelete;
        v.because = Rule::kTimeWaitRst;
      } else {
        v.restarts = kernel.rfc1337_restart == Rfc1337Restart::kRestarts;
        v.because = Rule::kTimeWaitRstKept;
      }
      return v;
    }
    if (p.length() == 0) {
      v.restarts = true;
      return v;
    }
  }
  const bool only_syn = p.syn() && !p.has_ack() && !p.rst();
  const bool newer =
      p.has(Opt::kTimestamps) && tw.ts_recent != 0 && static_cast<std::int32_t>(p.tsval - tw.ts_recent) > 0;
  if (only_syn && !v.paws_failed && (after(p.seq, tw.rcv_nxt) || newer)) {
    switch (listener) {
      case ListenerThere::kYes:
        v.act = TimeWaitAct::kHandToListener;
        v.because = Rule::kTimeWaitSyn;
        return v;
      case ListenerThere::kNo:
        v.act = TimeWaitAct::kAckUnlimited;
        v.because = Rule::kTimeWaitAck;
        return v;
    }
  }
  if (p.rst()) return v;
  v.act = TimeWaitAct::kAck;
  v.restarts = v.paws_failed || p.has_ack();
  v.because = v.paws_failed ? Rule::kTimeWaitPaws : Rule::kTimeWaitAck;
  return v;
}

RstFate on_rst(const KernelProfile& kernel, State state, SeqNum seq, SeqNum wup, SeqNum rcv_nxt,
               std::uint32_t window, std::optional<SeqNum> sack_edge) {
  const bool inside = !before(seq, wup) && !after(seq, rcv_nxt + window);
  const bool after_fin = state == State::kCloseWait || state == State::kLastAck || state == State::kClosing;
  switch (kernel.rst_acceptance) {
    case RstAcceptance::kInWindow:
      return inside ? RstFate::kEnds : RstFate::kIgnored;
    case RstAcceptance::kExact:
      break;
    case RstAcceptance::kExactSackOrAfterFin:
      // macOS sends its RST one number below the FIN it sent before.
      if (after_fin && seq == rcv_nxt - 1) return RstFate::kEnds;
      [[fallthrough]];
    case RstAcceptance::kExactOrSack:
      if (inside && sack_edge && seq == *sack_edge) return RstFate::kEnds;
      break;
  }
  if (!inside) return RstFate::kIgnored;
  return seq == rcv_nxt ? RstFate::kEnds : RstFate::kChallenged;
}

}  // namespace tcpwhy::model
