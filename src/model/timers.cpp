// What time does. Deadlines are data in the sockets; the queue only says which socket is next, and an entry
// that a later deadline overtook is put right when it comes up. A deadline is a whole number of ticks from
// the tick it was set in; since 4.8 Linux rounds far ones up to coarser and coarser steps, so that a timer
// may be an eighth late and is never early.

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;

std::int64_t ms(ModelTime t) { return t.time_since_epoch() / std::chrono::milliseconds{1}; }

/// Linux kernel/time/timer.c calc_wheel_index(): eight times coarser at each of its levels of 64 buckets.
int wheel_shift(std::int64_t ticks) {
  int shift = 0;
  for (std::int64_t end = 63; ticks >= end && shift < 24; end *= 8) shift += 3;
  return shift;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------
// The queue

std::uint32_t Kernel::new_endpoint() {
  const std::uint32_t i = endpoints.take();
  endpoints[i].self = i;
  return i;
}

ModelTime Kernel::timer_at(Duration d) const {
  const std::int64_t ticks = (d + tick() - Duration{1}) / tick();
  std::int64_t expires = jiffies(now) + std::max<std::int64_t>(ticks, 0);
  switch (config.kernel.timer_rounding) {
    case TimerRounding::kTick:
      if (ticks <= 0) ++expires;
      break;
    case TimerRounding::kWheel: {
      const int shift = wheel_shift(ticks);
      expires = ((expires >> shift) + 1) << shift;
      break;
    }
  }
  return ModelTime{tick() * expires - jiffies_lead()};
}

ModelTime Kernel::deadline_of(Handle h) const {
  switch (h.kind) {
    case Kind::kEndpoint: return deadline_of(endpoints[h.index]);
    case Kind::kRequest: return requests[h.index].expires;
    case Kind::kTimeWait: return time_waits[h.index].ends;
    case Kind::kListener: return listeners[h.index].tick_at;
    case Kind::kNone: break;
  }
  return kNever;
}

namespace {

/// The slot of a handle, as far as the queue is concerned.
struct Queued {
  bool live;
  std::uint32_t generation;
  ModelTime* at;
};

Queued queued(Kernel& k, Handle h) {
  switch (h.kind) {
    case Kind::kEndpoint:
      return {k.endpoints.live(h.index), k.endpoints.generation(h.index), &k.endpoints[h.index].queued_at};
    case Kind::kRequest:
      return {k.requests.live(h.index), k.requests.generation(h.index), &k.requests[h.index].queued_at};
    case Kind::kTimeWait:
      return {k.time_waits.live(h.index), k.time_waits.generation(h.index), &k.time_waits[h.index].queued_at};
    case Kind::kListener:
      return {k.listeners.live(h.index), k.listeners.generation(h.index), &k.listeners[h.index].queued_at};
    case Kind::kNone: break;
  }
  return {false, 0, nullptr};
}

}  // namespace

void Kernel::requeue(Handle h) {
  const Queued q = queued(*this, h);
  if (!q.live) return;
  const ModelTime at = deadline_of(h);
  if (at >= *q.at) return;  // an entry that comes up too early is put right then
  *q.at = at;
  timers.push(at, h, q.generation);
}

std::optional<ModelTime> Kernel::next_timer() {
  while (!timers.empty()) {
    const TimerQueue::Entry top = timers.top();
    const Queued q = queued(*this, top.who);
    if (!q.live || q.generation != top.generation || *q.at != top.at) {
      timers.pop();
      continue;
    }
    const ModelTime at = deadline_of(top.who);
    if (at == top.at) return at;
    timers.pop();
    *q.at = kNever;
    requeue(top.who);
  }
  return std::nullopt;
}

void Kernel::fire() {
  for (auto at = next_timer(); at && *at <= now; at = next_timer()) {
    const Handle who = timers.top().who;
    timers.pop();
    *queued(*this, who).at = kNever;
    switch (who.kind) {
      case Kind::kEndpoint: fire_endpoint(who.index); break;
      case Kind::kRequest: fire_request(who.index); break;
      case Kind::kTimeWait: end_time_wait(who.index); break;
      case Kind::kListener: fire_table(who.index); break;
      case Kind::kNone: break;
    }
    requeue(who);
  }
}

void Kernel::fire_endpoint(std::uint32_t index) {
  Endpoint& e = endpoints[index];
  const std::uint32_t generation = endpoints.generation(index);
  const auto gone = [&] { return !endpoints.live(index) || endpoints.generation(index) != generation; };
  if (e.synack_at <= now) {
    e.synack_at = kNever;
    fire_fastopen_synack(e, index);
  } else if (e.xmit != XmitTimer::kNone && e.xmit_at <= now) {
    const XmitTimer what = e.xmit;
    switch (what) {
      case XmitTimer::kNone: break;
      case XmitTimer::kRetransmit:
        e.xmit = XmitTimer::kNone;
        fire_retransmit(e, index);
        break;
      case XmitTimer::kLossProbe: fire_loss_probe(e); break;
      case XmitTimer::kReorder: fire_reorder(e); break;
      case XmitTimer::kProbe0:
        e.xmit = XmitTimer::kNone;
        fire_probe0(e, index);
        break;
    }
  } else if (e.ack.timer && e.ack.due <= now) {
    fire_delayed_ack(e);
  } else if (e.compress_at <= now) {
    send_compressed(e);
  } else if (e.sk_at <= now) {
    e.sk_at = kNever;
    fire_keepalive(e, index);
  }
  if (!gone()) settle(index);
}

void Kernel::clear_timers(Endpoint& e) {
  e.xmit = XmitTimer::kNone;
  e.ack.timer = e.ack.scheduled = false;
  e.ack.due = kNever;
  e.sk_at = e.compress_at = e.synack_at = kNever;
}

void Kernel::arm_xmit(Endpoint& e, XmitTimer kind, Duration d) {
  e.xmit = kind;
  e.xmit_at = timer_at(std::min(d, rto_max()));
  timer_changed(e);
}

// ---------------------------------------------------------------------------------------------------------
// Retransmission

void Kernel::rearm_rto(Endpoint& e) {
  if (e.synack_at != kNever) return;  // a Fast Open SYN-ACK has the timer
  if (e.packets_out() == 0) {
    e.xmit = XmitTimer::kNone;
    return;
  }
  Duration rto = e.rto;
  if (e.xmit == XmitTimer::kReorder || e.xmit == XmitTimer::kLossProbe)
    rto = ticks_of_us(std::max<std::int64_t>(us_between(now, e.sent[e.sent_head].sent_at + e.rto), 1));
  arm_xmit(e, XmitTimer::kRetransmit, rto);
}

/// RFC 8985 7.2; Linux tcp_schedule_loss_probe(). False: no probe here, the RTO it is.
bool Kernel::schedule_loss_probe(Endpoint& e, bool advancing) {
  if (e.synack_at != kNever || config.kernel.loss_probe == LossProbe::kNone) return false;
  const std::int64_t early = config.sysctls.tcp_early_retrans;
  if ((early != 3 && early != 4) || e.packets_out() == 0 || !e.neg.sack ||
      (e.ca != CaState::kOpen && e.ca != CaState::kCwr))
    return false;
  Duration timeout = config.kernel.initial_rto;
  if (e.srtt8 != 0) {
    // A lone segment's ACK may be a delayed one.
    constexpr std::int64_t kTimeoutMinUs = 2000;  // TCP_TIMEOUT_MIN_US
    timeout = ticks_of_us(e.srtt8 / 4 + (e.packets_out() == 1 ? config.sysctls.tcp_rto_min_us : kTimeoutMinUs));
  }
  const std::int64_t rto_us =
      advancing ? e.rto / std::chrono::microseconds{1}
                : us(e.sent[e.sent_head].sent_at) + e.rto / std::chrono::microseconds{1} - us(now);
  if (rto_us > 0) timeout = std::min(timeout, ticks_of_us(rto_us));
  arm_xmit(e, XmitTimer::kLossProbe, timeout);
  return true;
}

Duration Kernel::clamp_rto_to_user_timeout(const Endpoint& e) const {
  const bool shortens = config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kBurst ||
                        config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kHonoured;
  if (e.opt.user_timeout_ms == 0 || !shortens) return e.rto;
  const std::int64_t left = e.opt.user_timeout_ms - (ms(now) - ms(e.retrans_stamp));
  if (left <= 0) return tick();
  return std::min(e.rto, ticks_of_us(left * 1000));
}

/// The time since the first repeat against a model of doublings, or against TCP_USER_TIMEOUT. Linux
/// retransmits_timed_out(); RFC 9293 3.8.3 (R1 and R2 as times).
bool Kernel::timed_out(const Endpoint& e, int boundary, std::uint32_t user_timeout_ms) const {
  if (e.retransmits == 0) return false;
  const Duration base = e.state == State::kSynSent || e.state == State::kSynRecv ? Duration{config.kernel.initial_rto}
                                                                                  : kRtoMin;
  const Duration limit = user_timeout_ms != 0 ? std::chrono::milliseconds{user_timeout_ms}
                                              : doubled_time(base, boundary, rto_max());
  return std::chrono::milliseconds{ms(now) - ms(e.retrans_stamp)} >= limit;
}

void Kernel::write_error(Endpoint& e, std::uint32_t index, Rule why) {
  because(why);
  const Errno error = e.soft_error != Errno::kNone ? e.soft_error : Errno::kETIMEDOUT;
  count(Mib::kTCPAbortOnTimeout);
  done_with_error(index, error);
}

namespace {

int orphan_retries(const Kernel& k, const Endpoint& e, bool alive) {
  auto retries = static_cast<int>(k.config.sysctls.tcp_orphan_retries);
  if (e.soft_error != Errno::kNone && !alive) retries = 0;
  return retries == 0 && alive ? 8 : retries;
}

/// Orphans beyond tcp_max_orphans go first, the silent ones before others. Linux tcp_out_of_resources().
bool starved(Kernel& k, Endpoint& e, std::uint32_t index, bool reset) {
  int shift = 0;
  if (k.now - e.lsndtime > 2 * k.rto_max() || !reset) ++shift;
  if (e.soft_error != Errno::kNone) ++shift;
  if (!k.too_many_orphans(shift)) return false;
  if (k.now - e.lsndtime <= kTimewaitLen || (e.snd_wnd == 0 && e.packets_out() == 0)) reset = true;
  if (reset)
    k.send_active_reset(e, Rule::kTooManyOrphans);
  else
    k.because(Rule::kTooManyOrphans);
  k.done(index);
  k.count(Mib::kTCPAbortOnMemory);
  return true;
}

}  // namespace

/// Linux tcp_write_timeout(). True: the connection is no more.
bool Kernel::gave_up(Endpoint& e, std::uint32_t index) {
  const Sysctls& s = config.sysctls;
  if (e.state == State::kSynSent || e.state == State::kSynRecv) {
    const int retries = e.opt.syn_retries != 0 ? e.opt.syn_retries : static_cast<int>(s.tcp_syn_retries);
    const std::uint32_t user = config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kHonoured ||
                                       config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kBurst
                                   ? e.opt.user_timeout_ms
                                   : 0;
    bool expired = false;
    Rule why = Rule::kSynGivenUp;
    if (e.state == State::kSynSent && (user == 0 || config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kBurst)) {
      const Duration elapsed = std::chrono::milliseconds{ms(now) - ms(e.retrans_stamp)};
      expired = syn_fate(config.kernel, s, retries, e.retransmits, elapsed) == Fate::kGivesUp;
    } else {
      const int most = retries + (e.state == State::kSynSent ? static_cast<int>(s.tcp_syn_linear_timeouts) : 0);
      expired = e.retransmits >= most;
      if (!expired && timed_out(e, retries, user)) {
        expired = true;
        if (user != 0) why = Rule::kUserTimeout;
      }
    }
    suspect_fastopen(e, expired);
    if (!expired) return false;
    write_error(e, index, why);
    return true;
  }
  if (config.kernel.data_give_up == DataGiveUp::kByCountWithReset) {
    if (e.retransmits < config.kernel.data_retries) return false;
    send_active_reset(e, Rule::kWriteTimeout);
    write_error(e, index, Rule::kWriteTimeout);
    return true;
  }
  auto retries = static_cast<int>(s.tcp_retries2);
  if (e.orphan) {
    const bool alive = e.rto < rto_max();
    retries = orphan_retries(*this, e, alive);
    if (starved(*this, e, index, alive || !timed_out(e, retries, 0))) return true;
  }
  const bool expired = timed_out(e, retries, e.opt.user_timeout_ms);
  suspect_fastopen(e, expired);
  if (!expired) return false;
  write_error(e, index, e.opt.user_timeout_ms != 0 ? Rule::kUserTimeout : e.orphan ? Rule::kOrphanTimeout : Rule::kWriteTimeout);
  return true;
}

/// RFC 6298 5.4 to 5.7; Linux tcp_retransmit_timer().
void Kernel::fire_retransmit(Endpoint& e, std::uint32_t index) {
  if (e.packets_out() == 0) return;
  const bool opening = e.state == State::kSynSent || e.state == State::kSynRecv;
  if (e.snd_wnd == 0 && !e.orphan && !opening) {
    // The peer took its window back: what we repeat is a probe, and it may go on for long.
    const std::int64_t since = ms(now) - ms(e.retrans_stamp != ModelTime{} ? e.retrans_stamp : e.sent[e.sent_head].sent_at);
    std::int64_t limit = ms(ModelTime{rto_max()}) * (config.kernel.zero_window_limit == ZeroWindowLimit::kTwice ? 2 : 1);
    bool dead = false;
    if (e.opt.user_timeout_ms != 0) {
      dead = since > e.opt.user_timeout_ms;
      limit = std::min<std::int64_t>(limit, e.opt.user_timeout_ms);
    }
    if (!dead && ms(now) - ms(e.ack_heard) > limit) dead = since > limit;
    if (dead) {
      write_error(e, index, Rule::kProbesExhausted);
      return;
    }
    because(Rule::kZeroWindowProbe);
    enter_loss(e);
    resend(e, e.sent_head, 1);
  } else {
    const bool counted = config.kernel.timeouts_counted == TimeoutsCounted::kEvery;
    if (counted) count(Mib::kTCPTimeouts);
    if (gave_up(e, index)) return;
    if (counted) {
      // sk_rethink_txhash(): another path may be taken from here on.
      ++e.rehash;
      count(Mib::kTcpTimeoutRehash);
    }
    if (!counted && e.retransmits == 0) count(Mib::kTCPTimeouts);
    if (counted && e.retransmits == 0) {
      if (e.ca == CaState::kRecovery)
        count(e.neg.sack ? Mib::kTCPSackRecoveryFail : Mib::kTCPRenoRecoveryFail);
      else if (e.ca == CaState::kLoss)
        count(Mib::kTCPLossFailures);
      else if (e.ca == CaState::kDisorder || e.sacked_out != 0)
        count(e.neg.sack ? Mib::kTCPSackFailures : Mib::kTCPRenoFailures);
    }
    because(e.state == State::kSynSent ? Rule::kSynRepeat : Rule::kRto);
    enter_loss(e);
    if (e.retransmits < 255) ++e.retransmits;
    if (e.total_rto < 255) ++e.total_rto;
    if (resend(e, e.sent_head, 1) == 0 && local_queue == LocalQueue::kDrops)
      return arm_xmit(e, XmitTimer::kRetransmit, kProbeInterval);
  }
  const bool thin = e.packets_out() < 4 && !(e.ssthresh >= kInfiniteSsthresh);
  if (e.state == State::kEstablished && config.sysctls.tcp_thin_linear_timeouts && thin && e.retransmits <= 6) {
    e.backoff = 0;
    set_rto(e);
  } else if (e.state != State::kSynSent || e.total_rto > config.sysctls.tcp_syn_linear_timeouts) {
    if (e.backoff < 255) ++e.backoff;
    e.rto = std::min(2 * e.rto, rto_max());
  }
  arm_xmit(e, XmitTimer::kRetransmit, clamp_rto_to_user_timeout(e));
}

/// RFC 8985 7.3: something at the end is sent (again), so that SACKs can show a loss. Linux
/// tcp_send_loss_probe().
void Kernel::fire_loss_probe(Endpoint& e) {
  const auto rearm = [&] { rearm_rto(e); };
  if (e.tlp_open) return rearm();
  e.tlp_retransmitted = false;
  const std::uint32_t mss = current_mss(e);
  if (e.has_unsent()) {
    const Piece& head = e.unsent[e.unsent_head];
    const std::uint32_t data = head.length() - ((head.flags & Flag::kFin) ? 1u : 0u);
    const SeqNum end = data > mss ? head.seq + mss : head.end;
    if (!after(end, window_end(e))) {
      const std::size_t before_it = e.packets_out();
      because(Rule::kTailLossProbe);
      constexpr int kNagleOff = 1;
      write_out(e, kNagleOff, PushOne::kProbe);
      if (e.packets_out() <= before_it) return rearm();
      e.tlp_open = true;
      e.tlp_high_seq = e.snd_nxt;
      count(Mib::kTCPLossProbes);
      e.xmit = XmitTimer::kNone;
      return rearm();
    }
  }
  if (e.packets_out() == 0) {
    e.xmit = XmitTimer::kNone;
    return;
  }
  because(Rule::kTailLossProbe);
  // Of the last buffer the last segment, as it would be cut now.
  const auto last_buffer = [&] {
    std::size_t at = e.sent.size() - 1;
    while (e.sent[at].joined) --at;
    return at;
  };
  const std::size_t at = last_buffer();
  const auto before_last = static_cast<std::uint32_t>(e.sent.size() - at - 1) * current_mss(e);
  const bool fin = (e.sent.back().flags & Flag::kFin) != 0;
  if (before_last != 0 && distance(e.sent[at].seq, e.sent.back().end) - (fin ? 1u : 0u) > before_last)
    recut(e, at, before_last, current_mss(e));
  if (retransmit(e, last_buffer(), 1) == 0) return rearm();
  e.tlp_retransmitted = true;
  e.tlp_open = true;
  e.tlp_high_seq = e.snd_nxt;
  count(Mib::kTCPLossProbes);
  e.xmit = XmitTimer::kNone;
  rearm();
}

// ---------------------------------------------------------------------------------------------------------
// A closed window, a silent peer, an ACK that waited

namespace {

/// Linux tcp_clamp_probe0_to_user_timeout().
Duration before_user_timeout(const Kernel& k, const Endpoint& e, Duration when) {
  if (e.opt.user_timeout_ms == 0 || e.probe_stamp == ModelTime{}) return when;
  const Duration left = k.ticks_of_us(std::int64_t{e.opt.user_timeout_ms} * 1000) -
                        k.tick() * (k.jiffies(k.now) - k.jiffies(e.probe_stamp));
  return std::min(when, std::max<Duration>(left, 2 * k.tick()));
}

}  // namespace

/// RFC 9293 3.8.6.1; Linux tcp_probe_timer(), tcp_send_probe0().
void Kernel::fire_probe0(Endpoint& e, std::uint32_t index) {
  if (e.packets_out() != 0 || !e.has_unsent()) {
    e.probes_out = 0;
    e.probe_stamp = {};
    return;
  }
  if (e.probe_stamp == ModelTime{}) {
    e.probe_stamp = now;
  } else if (e.opt.user_timeout_ms != 0 &&
             tick() * (jiffies(now) - jiffies(e.probe_stamp)) >= ticks_of_us(std::int64_t{e.opt.user_timeout_ms} * 1000)) {
    write_error(e, index, Rule::kUserTimeout);
    return;
  }
  auto most = static_cast<int>(config.sysctls.tcp_retries2);
  if (e.orphan) {
    Duration next = e.rto;
    for (int i = 0; i < e.backoff && next < rto_max(); ++i) next *= 2;
    const bool alive = next < rto_max();
    most = orphan_retries(*this, e, alive);
    if (!alive && e.backoff >= most) {
      write_error(e, index, Rule::kOrphanTimeout);
      return;
    }
    if (starved(*this, e, index, true)) return;
  }
  const bool out = config.kernel.probes_give_up == ProbesGiveUp::kAtRetries ? e.probes_out >= most : e.probes_out > most;
  if (out) {
    write_error(e, index, Rule::kProbesExhausted);
    return;
  }
  because(Rule::kZeroWindowProbe);
  write_wakeup(e, Mib::kTCPWinProbe);
  if (e.packets_out() != 0 || !e.has_unsent()) {
    e.probes_out = 0;
    e.backoff = 0;
    e.probe_stamp = {};
    return;
  }
  ++e.probes_out;
  if (local_queue == LocalQueue::kDrops)
    return arm_xmit(e, XmitTimer::kProbe0, before_user_timeout(*this, e, kProbeInterval));
  if (e.backoff < config.sysctls.tcp_retries2) ++e.backoff;
  arm_xmit(e, XmitTimer::kProbe0, probe_delay(e));
}

/// The next zero-window probe: doubling, and not later than TCP_USER_TIMEOUT. Linux tcp_probe0_when().
Duration Kernel::probe_delay(const Endpoint& e) const {
  constexpr int kMostDoublings = 10;  // of TCP_RTO_MIN within TCP_RTO_MAX, and one more
  Duration when = std::max<Duration>(e.rto, kRtoMin) * (1 << std::min<int>(e.backoff, kMostDoublings));
  when = std::min(when, rto_max());
  return before_user_timeout(*this, e, when);
}

void Kernel::start_keepalive(Endpoint& e, Duration d) {
  e.sk_at = timer_at(d);
  timer_changed(e);
}

/// How long until the peer was silent for TCP_KEEPIDLE.
Duration Kernel::keepalive_after(const Endpoint& e) const {
  const Duration idle = tick() * (jiffies(now) - jiffies(std::max(e.ack.last_received, e.ack_heard)));
  return idle < keepalive_idle(e) ? keepalive_idle(e) - idle : Duration{};
}

/// RFC 1122 4.2.3.6, and the FIN_WAIT2 of an orphan, which uses the same timer. Linux tcp_keepalive_timer().
void Kernel::fire_keepalive(Endpoint& e, std::uint32_t index) {
  if (e.state == State::kFinWait2 && e.orphan) {
    if (e.opt.linger2_s >= 0) {
      const Duration left = fin_time(e) - kTimewaitLen;
      if (left > Duration{}) {
        time_wait(index, State::kFinWait2, left);
        return;
      }
    }
    send_active_reset(e, Rule::kFinWait2Expired);
    done(index);
    return;
  }
  if (!e.opt.keepalive || e.state == State::kClose || e.state == State::kSynSent) return;
  const Duration idle = keepalive_idle(e);
  // Alive without being asked: what is on its way has its own timer.
  if (e.packets_out() != 0 || e.has_unsent()) return start_keepalive(e, idle);
  const Duration elapsed = tick() * (jiffies(now) - jiffies(std::max(e.ack.last_received, e.ack_heard)));
  if (elapsed < idle) return start_keepalive(e, idle - elapsed);
  const std::uint32_t user = e.opt.user_timeout_ms;
  const int probes = e.opt.keep_count != 0 ? e.opt.keep_count : static_cast<int>(config.sysctls.tcp_keepalive_probes);
  const bool dead = user != 0 ? elapsed >= ticks_of_us(std::int64_t{user} * 1000) && e.probes_out > 0
                              : e.probes_out >= probes;
  if (dead) {
    send_active_reset(e, Rule::kKeepaliveDead);
    write_error(e, index, user != 0 ? Rule::kUserTimeout : Rule::kKeepaliveDead);
    return;
  }
  because(Rule::kKeepaliveProbe);
  write_wakeup(e, Mib::kTCPKeepAlive);
  ++e.probes_out;
  start_keepalive(e, std::chrono::seconds{e.opt.keep_interval_s != 0 ? e.opt.keep_interval_s
                                                                     : config.sysctls.tcp_keepalive_intvl});
}

/// Linux tcp_delack_timer_handler().
void Kernel::fire_delayed_ack(Endpoint& e) {
  e.ack.timer = false;
  e.ack.due = kNever;
  if (e.state == State::kClose || e.state == State::kListen) return;
  if (e.compressed != 0) {
    send_compressed(e);
    return;
  }
  if (!e.ack.scheduled) return;
  because(Rule::kDelayedAckTimer);
  if (interactive(e)) {
    e.ack.pingpong = 0;
    e.ack.ato = kAtoMin;
  } else {
    e.ack.ato = std::min(e.ack.ato * 2, e.rto);
  }
  send_ack(e);
  count(Mib::kDelayedACKs);
}

}  // namespace tcpwhy::model
