// Retry schedules: which timer repeated something, when the next try was due,
// and whether the capture watched long enough to say that it never came. Timers
// of Linux fire up to an eighth late (the timer wheel since 4.8, linux-tcp 8)
// and never early.

#include <algorithm>

#include "facts/questions.hpp"

namespace tcpwhy::facts {

using namespace std::chrono_literals;

namespace {

constexpr Duration kEarly = 15ms;     // the capture's jitter, not the timer's
constexpr Duration kSlack = 80ms;     // one tick of the slowest clock, scheduling
constexpr Duration kGiveUpSlack = 300ms;

bool is_late_by_wheel(Duration gap, Duration nominal) {
  return gap >= nominal - kEarly && gap <= nominal + nominal / 8 + kSlack;
}

void push(Tries& tries, Index i) {
  if (tries.count < Tries::kMost) tries.at[tries.count] = i;
  // The last place always holds the last try.
  else tries.at[Tries::kMost - 1] = i;
  ++tries.count;
}

Duration gap_at(const Connection& c, const Tries& tries, std::uint32_t k) {
  return between(c, tries.at[k - 1], tries.at[k]);
}

/// Multiples of the 200 ms tick of the old SYN-ACK timer.
bool on_tick(Duration d) {
  const Duration rest = d % 200ms;
  return rest <= 12ms || rest >= 188ms;
}

}  // namespace

SynAttempts syn_attempts(const Connection& c) {
  SynAttempts out;
  if (c.syn < 0) return out;
  const SeqNum iss = c.segment(c.syn).seq;
  for (Index k = c.syn; k < static_cast<Index>(c.segments.size()); ++k) {
    const SegmentFact& s = c.segment(k);
    if (!s.from_server && s.syn() && !s.has_ack() && !s.rst() && s.seq == iss && !is_copy(c.note(k))) push(out.tries, k);
  }
  out.span = between(c, out.tries.first(), out.tries.last());
  const std::uint32_t n = out.tries.kept();
  out.next_due = 1s;
  if (n >= 2) {
    const Duration first = gap_at(c, out.tries, 1);
    bool doubling = true, linear = true, three = true, after_refusal = true;
    for (std::uint32_t k = 1; k < n; ++k) {
      const Duration gap = gap_at(c, out.tries, k);
      const Duration doubled = std::min<Duration>(1s * (1 << std::min(k - 1, 10u)), 120s);
      // Four linear repeats, counted from the first timeout: 0 1 2 3 4 5 7 11 (linux-tcp 8.2).
      const Duration stepped = k <= 5 ? Duration{1s} : std::min<Duration>(2s * (1 << std::min(k - 6, 10u)), 120s);
      doubling &= is_late_by_wheel(gap, doubled);
      linear &= is_late_by_wheel(gap, stepped);
      three &= is_late_by_wheel(gap, 3s * (1 << std::min(k - 1, 10u)));
      const Index before_it = last_before(c, Party::kServer, out.tries.at[k]);
      after_refusal &= before_it > out.tries.at[k - 1] && c.segment(before_it).rst() && gap > 300ms && gap < 900ms;
    }
    const Index own = last_before(c, Party::kClient, out.tries.at[1]);
    if (after_refusal) out.schedule = SynSchedule::kAfterRefusal, out.next_due = 1s;
    else if (first < 200ms && own >= 0 && c.segment(own).rst()) out.schedule = SynSchedule::kAtOnceAfterRst;
    else if (doubling && linear) out.schedule = SynSchedule::kLinuxEither, out.next_due = 2s;
    else if (doubling) {
      out.schedule = SynSchedule::kLinuxDoubling;
      out.next_due = 1s * (1 << std::min(n - 1, 10u));
      out.gives_up_at = 127s;
    } else if (linear) {
      out.schedule = SynSchedule::kLinuxLinear;
      out.next_due = n <= 5 ? Duration{1s} : Duration{2s * (1 << std::min(n - 6, 10u))};
      out.gives_up_at = 131s;
    } else if (three) {
      out.schedule = SynSchedule::kThreeSeconds;
      out.next_due = 3s * (1 << std::min(n - 1, 10u));
      out.gives_up_at = 21s;
    } else {
      out.schedule = SynSchedule::kOther;
      out.next_due = 2 * gap_at(c, out.tries, n - 1);
    }
    out.next_due = std::min<Duration>(out.next_due, 120s);
  }
  out.gave_up = out.tries.count > 0 &&
                coverage_after(c, out.tries.last()) > out.next_due + out.next_due / 8 + kGiveUpSlack;
  return out;
}

SynAckAttempts syn_ack_attempts(const Connection& c) {
  SynAckAttempts out;
  if (c.syn_ack < 0) return out;
  const SeqNum iss = c.segment(c.syn_ack).seq;
  const Duration crossing = rtt_estimate(c).value_or(Duration{50ms}) * 2 + 50ms;
  std::uint32_t timer = 0, per_request = 0, ticks = 0, off_nominal = 0, skipped = 0;
  Duration nominal = 1s;
  Index previous = -1;
  for (Index k = c.syn_ack; k < static_cast<Index>(c.segments.size()); ++k) {
    const SegmentFact& s = c.segment(k);
    if (!s.from_server || !s.syn() || !s.has_ack() || s.rst() || s.seq != iss || is_copy(c.note(k))) continue;
    push(out.tries, k);
    if (c.handshake_ack >= 0 && k > c.handshake_ack && s.time - c.segment(c.handshake_ack).time > crossing) ++out.after_ack;
    if (previous >= 0) {
      const Duration gap = between(c, previous, k);
      if (c.note(k).provoked_by >= 0 && between(c, c.note(k).provoked_by, k) < 100ms) {
        ++out.mirrored;
      } else {
        ++timer;
        if (is_late_by_wheel(gap, nominal)) ++per_request;
        if (on_tick(between(c, c.syn_ack, k))) ++ticks;
        if (gap > nominal + 150ms && gap < nominal + 700ms) ++off_nominal;
        // Due repeats that never came: 1, then 3, 7, 15 s after the first (linux-tcp 4.2).
        for (Duration sum = nominal + 2 * nominal, next = 4 * nominal; sum < 130s; sum += next, next *= 2)
          if (is_late_by_wheel(gap, sum) || (gap > sum && gap < sum + 700ms && on_tick(gap))) ++skipped;
        nominal = std::min<Duration>(2 * nominal, 120s);
      }
    }
    previous = k;
  }
  const std::uint32_t repeats = out.tries.count - (out.tries.count > 0 ? 1 : 0);
  if (repeats == 0) out.schedule = SynAckSchedule::kNone;
  else if (timer == 0) out.schedule = SynAckSchedule::kMirrorsSyns;
  else if (skipped > 0 && c.handshake_ack >= 0 && per_request + 1 <= timer) out.schedule = SynAckSchedule::kDeferred;
  else if (ticks == timer && off_nominal > 0) out.schedule = SynAckSchedule::kTableTimer;
  else if (per_request == timer) out.schedule = ticks == timer ? SynAckSchedule::kEither : SynAckSchedule::kPerRequestTimer;
  else out.schedule = SynAckSchedule::kOther;
  out.next_due = nominal;
  // Table timers may be 0.6 s late on top (linux-tcp 3.4).
  out.gave_up = out.tries.count > 0 && coverage_after(c, out.tries.last()) > nominal + nominal / 8 + 600ms;
  return out;
}

namespace {

DataRetry retry_of(const Connection& c, SeqNum octet, Party party, Index from) {
  DataRetry out;
  for (Index k = from; k < static_cast<Index>(c.segments.size()); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() != party || s.rst() || s.length() == 0 || is_copy(c.note(k))) continue;
    if (in_window(octet, s.seq, s.length()) && c.note(k).seq_place != SeqPlace::kBeyondWindow) push(out.tries, k);
  }
  const std::uint32_t n = out.tries.kept();
  if (n == 0) return out;
  const SegmentFact& first = c.segment(out.tries.first());
  out.span = between(c, out.tries.first(), out.tries.last());
  out.tlp_first = n >= 2 && c.note(out.tries.at[1]).repeat == Repeat::kTlp;
  const std::uint32_t base = out.tlp_first ? 2 : 1;
  if (n > base) out.first_rto = gap_at(c, out.tries, base);
  std::uint32_t doubled = 0, not_doubled = 0;
  for (std::uint32_t k = base + 1; k < n; ++k) {
    const double ratio = seconds(gap_at(c, out.tries, k)) / std::max(1e-9, seconds(gap_at(c, out.tries, k - 1)));
    const bool capped = gap_at(c, out.tries, k) > 100s && ratio > 0.8;
    ++((ratio > 1.5 && ratio < 2.7) || capped ? doubled : not_doubled);
  }
  out.backs_off = doubled > 0 && doubled >= not_doubled;
  const StreamFacts& acker = c.stream(other(party));
  out.answered = acker.ack_seen && after(acker.max_ack, octet);
  // Nothing came after the first repeat (after the original, where there is none) but what was already under way.
  const Index pivot = n >= 2 ? out.tries.at[1] : out.tries.at[0];
  const Duration under_way = rtt_estimate(c, other(party)).value_or(Duration{0}) / 2;
  out.peer_silent = true;
  for (Index k = first_after(c, other(party), pivot); k >= 0; k = first_after(c, other(party), k))
    if (c.segment(k).time - c.segment(pivot).time > under_way) out.peer_silent = false;
  const std::uint32_t mss = acker.mss != 0 ? acker.mss : 1338;
  out.full_size = first.payload_bytes * 10 >= mss * 9;
  out.next_due = n >= 2 ? std::min<Duration>(2 * gap_at(c, out.tries, n - 1), 120s) : Duration{1s};
  out.stopped = !out.answered && coverage_after(c, out.tries.last()) > out.next_due + out.next_due / 4 + 500ms;
  return out;
}

}  // namespace

DataRetry data_retry(const Connection& c, Index i) {
  const Index original = c.note(i).original;
  return retry_of(c, c.segment(i).seq, c.segment(i).from(), original >= 0 ? original : i);
}

std::optional<DataRetry> open_retry(const Connection& c, Party party) {
  const Index first = first_unacked(c, party);
  if (first < 0) return std::nullopt;
  const StreamFacts& acker = c.stream(other(party));
  SeqNum octet = c.segment(first).seq;
  if (acker.ack_seen && after(acker.max_ack, octet)) octet = acker.max_ack;
  return retry_of(c, octet, party, first);
}

Keepalives keepalives(const Connection& c, Party party) {
  Keepalives out;
  Index last = static_cast<Index>(c.segments.size()) - 1;
  while (last >= 0 && !(c.note(last).repeat == Repeat::kKeepalive && c.segment(last).from() == party)) --last;
  if (last < 0) return out;
  // Back to the beginning of the series: probes of this side and bare ACKs of the other.
  Index first = last, before_series = -1;
  for (Index k = last; k >= 0; --k) {
    const SegmentFact& s = c.segment(k);
    const bool probe = c.note(k).repeat == Repeat::kKeepalive;
    const bool bare = s.length() == 0 && !s.rst() && c.note(k).ack_place != AckPlace::kNew;
    if (probe && s.from() == party) first = k;
    else if (!probe && !bare) {
      before_series = k;
      break;
    }
  }
  for (Index k = first; k <= last; ++k)
    if (c.note(k).repeat == Repeat::kKeepalive && c.segment(k).from() == party) push(out.tries, k);
  const Index answer = last_before(c, other(party), static_cast<Index>(c.segments.size()));
  for (std::uint32_t k = 0; k < out.tries.kept(); ++k) out.unanswered += out.tries.at[k] > answer ? 1u : 0u;
  if (out.tries.count > out.tries.kept() && out.unanswered == out.tries.kept()) out.unanswered = out.tries.count;
  out.idle = between(c, before_series >= 0 ? before_series : 0, first);
  if (out.tries.count > 1) out.interval = out.tries.count == 2 ? between(c, first, last)
                                          : between(c, first, last) / static_cast<std::int64_t>(out.tries.count - 1);
  return out;
}

ZeroWindow zero_window(const Connection& c, Party party) {
  ZeroWindow out;
  Index open_probe = -1;
  bool closed = false;
  for (Index k = 0; k < static_cast<Index>(c.segments.size()); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() == party) {
      if (open_probe >= 0) {
        ++out.probes_answered;
        open_probe = -1;
      }
      if (s.rst() || s.syn() || c.note(k).ack_place == AckPlace::kOld) {
        if (s.rst() && closed) break;
        continue;
      }
      if (s.window == 0 && !closed && !(s.anomalies & wire::Anomaly::kWindowUnseen)) {
        closed = true;
        ++out.closures;
        out.closed = k;
        out.reopened = -1;
        out.probes = out.probes_answered = 0;
      } else if (s.window != 0 && closed) {
        closed = false;
        out.reopened = k;
        out.last = between(c, out.closed, k);
        out.longest = std::max(out.longest, out.last);
      }
    } else if (closed) {
      const Repeat r = c.note(k).repeat;
      if (r == Repeat::kZeroWindowProbe || r == Repeat::kRto || r == Repeat::kTlp) {
        ++out.probes;
        open_probe = k;
      }
    }
  }
  if (closed) {
    CaptureTime end = c.capture_end;
    const Index rst_a = c.stream(Party::kClient).rst, rst_b = c.stream(Party::kServer).rst;
    for (Index rst : {rst_a, rst_b})
      if (rst > out.closed) end = std::min(end, c.segment(rst).time);
    out.last = std::max(Duration{0}, Duration{end - c.segment(out.closed).time});
    out.longest = std::max(out.longest, out.last);
  }
  return out;
}

}  // namespace tcpwhy::facts
