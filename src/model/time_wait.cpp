// What is left of a connection that this side closed first: a mini-socket that knows two sequence numbers,
// the last timestamp and a deadline. In TIME_WAIT it repeats its last ACK; in FIN_WAIT2, once the program is
// gone, it waits for the peer's FIN and refuses data. RFC 9293 3.6.1, RFC 1337, RFC 6191.

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Flag = wire::Flag;

constexpr Duration kKilledAtMost = 4s;  // __inet_twsk_schedule(): shorter ones are TWKilled, not TW

/// Linux net/ipv4/tcp_minisocks.c tcp_in_window().
bool inside(const Packet& p, SeqNum from, SeqNum to) {
  if (p.seq == from) return true;
  if (after(p.end(), from) && before(p.seq, to)) return true;
  return p.seq == to && p.length() == 0;
}

Duration three_and_a_half(Duration rto) { return rto * 4 - rto / 2; }

}  // namespace

// Linux include/net/tcp.h tcp_fin_time(); RFC 1122 4.2.2.20.
Duration Kernel::fin_time(const Endpoint& e) const {
  const Duration wait =
      std::chrono::seconds{e.opt.linger2_s ? e.opt.linger2_s : config.sysctls.tcp_fin_timeout};
  return std::max(wait, three_and_a_half(e.rto));
}

// Linux net/ipv4/tcp_minisocks.c tcp_time_wait().
void Kernel::time_wait(std::uint32_t index, State substate, Duration length) {
  Endpoint& e = endpoints[index];
  const KernelProfile& kernel = config.kernel;
  bool recycles = false;
  if (config.sysctls.tcp_tw_recycle != 0 && kernel.recycle != RecycleRule::kGone &&
      substate == State::kTimeWait && e.neg.timestamps && e.ts_seen)
    recycles = remember_stamp(e.tuple.remote, e.ts_recent, second(e.ts_recent_at));

  if (static_cast<std::int64_t>(time_waits.used()) >= config.sysctls.tcp_max_tw_buckets) {
    because(Rule::kTimeWaitOverflow);
    if (kernel.syn_drops_counted == SynDropsCounted::kYes) count(Mib::kTCPTimeWaitOverflow);
    return done(index);
  }
  const std::uint32_t slot = time_waits.take();
  TimeWait& tw = time_waits[slot];
  tw.tuple = e.tuple;
  tw.substate = substate;
  tw.rcv_nxt = e.rcv_nxt;
  tw.snd_nxt = e.snd_nxt;
  tw.rcv_wnd = receive_window(e);
  tw.rcv_wscale = e.neg.rcv_wscale;
  tw.ts_recent = e.ts_recent;
  tw.ts_recent_at = e.ts_recent_at;
  tw.ts_offset = e.ts_offset;
  tw.timestamps = e.neg.timestamps && e.ts_seen;
  tw.reuse = e.opt.reuse;
  tw.tos = e.opt.tos;
  tw.entered = now;
  tw.shortest = three_and_a_half(e.rto);
  tw.length = recycles ? tw.shortest : kTimewaitLen;
  length = std::max(length, tw.shortest);
  if (substate == State::kTimeWait && !recycles) length = kTimewaitLen;
  tw.killed = length <= kKilledAtMost;
  because(substate == State::kTimeWait ? Rule::kTimeWaitEntered : Rule::kFinWait2Mini);
  if (kernel.time_wait_counted == TimeWaitCounted::kAtStart) count(tw.killed ? Mib::kTWKilled : Mib::kTW);

  hold_port(tw.tuple.local_port, tw.reuse);
  done(index);
  hash_in({Kind::kTimeWait, slot}, tw.tuple);
  restart_time_wait(slot, length);
}

void Kernel::restart_time_wait(std::uint32_t index, Duration length) {
  time_waits[index].ends = timer_at(length);
  requeue({Kind::kTimeWait, index});
}

// The end by time; other ends go through forget_time_wait().
void Kernel::end_time_wait(std::uint32_t index) {
  const TimeWait& tw = time_waits[index];
  because(tw.substate == State::kTimeWait ? Rule::kTimeWaitEnded : Rule::kFinWait2Expired);
  if (config.kernel.time_wait_counted == TimeWaitCounted::kAtEnd)
    count(tw.killed ? Mib::kTWKilled : Mib::kTW);
  forget_time_wait(index);
}

void Kernel::forget_time_wait(std::uint32_t index) {
  const TimeWait& tw = time_waits[index];
  hash_out({Kind::kTimeWait, index}, tw.tuple);
  release_port(tw.tuple.local_port, tw.reuse);
  time_waits.give_back(index);
}

// Linux net/ipv4/tcp_ipv4.c tcp_v4_timewait_ack().
void Kernel::send_time_wait_ack(const TimeWait& tw, const Packet& offender, TwAck kind) {
  Packet& out = answer(offender);
  out.tos = tw.tos;
  switch (kind) {
    case TwAck::kOutOfWindow: out.tos = static_cast<std::uint8_t>(out.tos & ~3u); break;
    case TwAck::kInOrder: break;
  }
  out.seq = tw.snd_nxt;
  out.ack = tw.rcv_nxt;
  out.flags = Flag::kAck;
  out.window = static_cast<std::uint16_t>(tw.rcv_wnd >> tw.rcv_wscale);
  if (tw.ts_recent != 0) {
    out.options = Opt::kTimestamps;
    out.tsval = clock_tsval(tw.ts_offset);
    out.tsecr = tw.ts_recent;
  }
}

// Linux net/ipv4/tcp_minisocks.c tcp_timewait_state_process(); what it decides is in verdicts.cpp.
void Kernel::on_time_wait(std::uint32_t index, const Packet& p) {
  TimeWait& tw = time_waits[index];
  if (tw.substate == State::kFinWait2) return on_fin_wait2_mini(tw, index, p);
  const bool stamped = tw.timestamps && p.has(Opt::kTimestamps) && config.sysctls.tcp_timestamps != 0;
  const TimeWaitMemory memory{tw.rcv_nxt, tw.snd_nxt, stamped ? tw.ts_recent : 0,
                              std::chrono::seconds{second(now) - second(tw.ts_recent_at)}};
  const Handle listener = find_listener(p.destination, p.destination_port);
  const TimeWaitVerdict verdict = model::on_time_wait(
      config.kernel, memory, config.sysctls.tcp_rfc1337 != 0 ? Rfc1337::kOn : Rfc1337::kOff,
      listener ? ListenerThere::kYes : ListenerThere::kNo, p);
  because(verdict.because);
  if (verdict.paws_failed && verdict.act != TimeWaitAct::kDelete)
    count(config.kernel.paws_counters == PawsCounters::kSplit ? Mib::kPAWSTimewait : Mib::kPAWSEstab);
  switch (verdict.act) {
    case TimeWaitAct::kDelete: return forget_time_wait(index);
    case TimeWaitAct::kHandToListener: {
      const SeqNum isn = isn_after_time_wait(tw.snd_nxt);
      forget_time_wait(index);
      return on_listener_syn(listener.index, p, isn);
    }
    case TimeWaitAct::kNothing:
      if (stamped && !verdict.paws_failed && p.seq == tw.rcv_nxt) {
        tw.ts_recent = p.tsval;
        tw.ts_recent_at = now;
      }
      break;
    case TimeWaitAct::kAckUnlimited: return send_time_wait_ack(tw, p, TwAck::kOutOfWindow);
    case TimeWaitAct::kAck: break;
  }
  if (verdict.restarts) restart_time_wait(index, tw.length);
  if (verdict.act != TimeWaitAct::kAck) return;
  if (ack_allowed(tw.answered_at, Mib::kTCPACKSkippedTimeWait, p))
    send_time_wait_ack(tw, p, TwAck::kOutOfWindow);
}

// The first half of tcp_timewait_state_process(): the tests of FIN_WAIT2 once more, with less to know.
void Kernel::on_fin_wait2_mini(TimeWait& tw, std::uint32_t index, const Packet& p) {
  const bool stamped = tw.timestamps && p.has(Opt::kTimestamps) && config.sysctls.tcp_timestamps != 0;
  const std::chrono::seconds age{second(now) - second(tw.ts_recent_at)};
  const bool paws = stamped && tw.ts_recent != 0 && static_cast<std::int32_t>(p.tsval - tw.ts_recent) < 0 &&
                    age < config.kernel.paws_expiry && !(p.rst() && age >= kPawsMsl);
  if (paws || !inside(p, tw.rcv_nxt, tw.rcv_nxt + tw.rcv_wnd)) {
    because(Rule::kFinWait2MiniAck);
    if (ack_allowed(tw.answered_at, Mib::kTCPACKSkippedFinWait2, p))
      send_time_wait_ack(tw, p, TwAck::kOutOfWindow);
    return;
  }
  if (p.rst()) {
    because(Rule::kFinWait2MiniGone);
    return forget_time_wait(index);
  }
  const bool syn = p.syn() && !before(p.seq, tw.rcv_nxt);
  const bool nothing_new = !p.has_ack() || !after(p.end(), tw.rcv_nxt) || p.length() == 0;
  if (!syn && nothing_new) return because(Rule::kFinWait2MiniQuiet);
  // RFC 1122 4.2.2.13: nobody is there to read it.
  if (syn || !p.fin() || p.end() != tw.rcv_nxt + 1) {
    send_reset(p, Rule::kFinWait2MiniReset);
    switch (config.kernel.mini_reset) {
      case MiniReset::kDeletes: return forget_time_wait(index);
      case MiniReset::kKeeps: return;
    }
  }
  because(Rule::kTimeWaitEntered);
  tw.substate = State::kTimeWait;
  tw.rcv_nxt = p.end();
  tw.entered = now;
  if (stamped) {
    tw.ts_recent = p.tsval;
    tw.ts_recent_at = now;
    if (config.sysctls.tcp_tw_recycle != 0 && config.kernel.recycle != RecycleRule::kGone &&
        remember_stamp(tw.tuple.remote, tw.ts_recent, second(now)))
      tw.length = tw.shortest;
  }
  restart_time_wait(index, tw.length);
  send_time_wait_ack(tw, p, TwAck::kInOrder);
}

// Linux 2.6.32 to 4.11 tcp_remember_stamp(): within a minute the value of an address never falls.
bool Kernel::remember_stamp(const Address& peer, std::uint32_t tsval, std::int64_t at) {
  const auto [entry, fresh] = stamps.try_emplace(hash(peer, config.seed), Stamp{tsval, at});
  Stamp& stamp = entry->second;
  const bool newer = static_cast<std::int32_t>(tsval - stamp.tsval) >= 0;
  const bool outdated = second(now) - stamp.second > kPawsMsl / 1s && stamp.second <= at;
  if (fresh || newer || outdated) stamp = {tsval, at};
  return true;
}

// Linux net/ipv4/tcp_ipv4.c tcp_twsk_unique(); RFC 6191.
bool Kernel::tw_reusable(const TimeWait& tw, bool program_chose_port) const {
  if (!tw.timestamps) return false;
  if (program_chose_port) return true;
  const KernelProfile& kernel = config.kernel;
  if (tw.substate == State::kFinWait2 && kernel.reuse_mini == ReuseMini::kRefused) return false;
  const std::int64_t reuse = config.sysctls.tcp_tw_reuse;
  if (reuse == 0 || (reuse == 2 && !tw.tuple.local.is_loopback() && !tw.tuple.remote.is_loopback()))
    return false;
  const std::int64_t stamp = second(tw.ts_recent_at);
  switch (kernel.reuse_age) {
    case ReuseAge::kTwoSeconds: return second(now) - stamp > 1;
    case ReuseAge::kSecondChanged: return second(now) > stamp;
    case ReuseAge::kDelaySysctl:
      return now.time_since_epoch() / 1ms >
             tw.entered.time_since_epoch() / 1ms + config.sysctls.tcp_tw_reuse_delay;
  }
  return false;
}

}  // namespace tcpwhy::model
