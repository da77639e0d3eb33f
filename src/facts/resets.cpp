// What one may ask about a RST: whether anybody acted on it, and how it compares
// with the other segments of the side it claims to come from (linux-tcp 11.5).

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "facts/questions.hpp"

namespace tcpwhy::facts {

using namespace std::chrono_literals;

namespace {

/// What is still on its way when a RST passes: half a round trip, and the capture's own jitter.
Duration crossing(const Connection& c, Party p) {
  const auto rtt = rtt_estimate(c, p);
  return (rtt ? *rtt + *rtt / 2 : Duration{100ms}) + 3ms;
}

bool went_on_sending(const Connection& c, Index rst) {
  const SegmentFact& r = c.segment(rst);
  for (Index k = first_after(c, r.from(), rst); k >= 0; k = first_after(c, r.from(), k)) {
    const SegmentFact& s = c.segment(k);
    if (s.rst()) continue;
    // Overtaken by the RST: older numbers, right behind it.
    if (s.time - r.time > 5ms) return true;
    if (s.length() > 0 && r.has_ack() && after(s.end(), r.seq)) return true;
  }
  return false;
}

bool went_on_receiving(const Connection& c, Index rst) {
  const Party p = c.segment(rst).from();
  const Party q = other(p);
  const Duration still = crossing(c, q);
  for (Index k = first_after(c, q, rst); k >= 0; k = first_after(c, q, k)) {
    const SegmentFact& s = c.segment(k);
    if (!s.rst() && s.time - c.segment(rst).time > still) return true;
  }
  return false;
}

bool acted_on(const Connection& c, Index rst, bool sender_went_on) {
  const bool receiver_went_on = went_on_receiving(c, rst);
  // A number no receiver takes (RFC 9293 3.10.7.4) ends nothing where the receiver is seen to go on.
  const SeqPlace place = c.note(rst).seq_place;
  if (place == SeqPlace::kBeforeWindow || place == SeqPlace::kBeyondWindow) {
    if (receiver_went_on) return false;
    // Nor does the last of several alike, when the earlier ones ended nothing.
    const SegmentFact& r = c.segment(rst);
    const Index before_it = c.stream(r.from()).rst;
    if (before_it >= 0 && before_it < rst && c.segment(before_it).seq == r.seq && went_on_receiving(c, before_it)) return false;
  }
  // The sender is gone, or its peer stopped: the connection ended there. Both going on means it was ignored.
  return !sender_went_on || !receiver_went_on;
}

}  // namespace

bool is_effective(const Connection& c, Index rst) { return acted_on(c, rst, went_on_sending(c, rst)); }

ResetFacts reset_at(const Connection& c, Index i) {
  ResetFacts out;
  if (i < 0) return out;
  const SegmentFact& r = c.segment(i);
  const Note& n = c.note(i);
  out.index = i;
  out.by = r.from();
  out.shape = n.rst_shape;
  out.place = n.seq_place;
  out.provoked_by = n.provoked_by;
  out.window_zero = r.window == 0;
  out.since_previous = idle_before(c, i);
  out.sender_went_on = went_on_sending(c, i);
  out.effective = acted_on(c, i, out.sender_went_on);

  if (const std::uint8_t usual = usual_ttl(c, out.by); usual != 0) {
    out.ttl_delta = static_cast<std::int32_t>(r.ttl) - static_cast<std::int32_t>(usual);
    out.ttl_differs = std::abs(out.ttl_delta) > 1;
  }
  const Index previous = last_before(c, out.by, i);
  if (previous >= 0 && counts_ip_ids(c, out.by) && r.ip_id != 0) {
    const std::uint16_t step = static_cast<std::uint16_t>(r.ip_id - c.segment(previous).ip_id);
    out.ip_id_break = step == 0 || step >= 1024;
  }
  const bool in_use = previous >= 0 && c.segment(previous).has(wire::Opt::kTimestamps) && !c.segment(previous).syn();
  out.timestamp_missing = r.has_ack() && (in_use || c.stream(out.by).timestamps) && !r.has(wire::Opt::kTimestamps) &&
                          n.rst_shape != RstShape::kAnswerToSyn;
  if (n.provoked_by >= 0)
    if (const auto rtt = rtt_estimate(c, out.by)) {
      const Duration took = between(c, n.provoked_by, i);
      out.faster_than_rtt = *rtt > 2ms && took * 2 < *rtt;
    }
  for (Index k = next_rst(c, i); k >= 0 && c.segment(k).time - r.time <= 100ms; k = next_rst(c, k))
    if (c.segment(k).from() == out.by) ++out.burst;
  return out;
}

Index next_rst(const Connection& c, Index i) {
  for (Index k = i + 1; k < static_cast<Index>(c.segments.size()); ++k)
    if (c.segment(k).rst()) return k;
  return -1;
}

bool took_unseen(const Connection& c, Index i) {
  if (i < 0 || c.quality.story_incomplete) return false;
  const SegmentFact& r = c.segment(i);
  if (r.syn() || !r.has_ack()) return false;
  const Party peer = other(r.from());
  // What its own side had acknowledged well before is an older matter.
  constexpr Duration kMixedUp = 5ms;  // a mirror or a card with several queues keeps no segment longer
  std::optional<SeqNum> reach;
  for (Index k = 0; k < i; ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.rst()) continue;
    const bool acknowledged = s.has_ack() && c.note(k).ack_place != AckPlace::kImpossible && r.time - s.time > kMixedUp;
    if (s.from() == peer ? !reach : acknowledged && (!reach || after(s.ack, *reach)))
      reach = s.from() == peer ? s.seq : s.ack;
  }
  // A socket that has heard nothing has nothing to acknowledge: the client was told this number by a SYN-ACK.
  if (!reach) return r.from() == Party::kClient && c.stream(Party::kClient).syn_seen && r.ack != SeqNum{0};
  constexpr int kPasses = 8;  // segments that came out of order
  bool moved = true;
  for (int pass = 0; moved && pass < kPasses; ++pass) {
    moved = false;
    for (Index k = 0; k < i; ++k) {
      const SegmentFact& s = c.segment(k);
      if (s.from() != peer || s.rst() || after(s.seq, *reach) || !after(s.end(), *reach)) continue;
      reach = s.end();
      moved = true;
    }
  }
  constexpr std::int32_t kNoWindowIsWider = 1 << 30;  // RFC 7323 2.3
  const std::int32_t beyond = offset(*reach, r.ack);
  return beyond > 0 && beyond < kNoWindowIsWider;
}

ResetFacts reset(const Connection& c) {
  const Index a = c.stream(Party::kClient).rst, b = c.stream(Party::kServer).rst;
  const Index first = a < 0 ? b : b < 0 ? a : std::min(a, b);
  // A storm of RSTs need not be read to its end: the ones that count come first.
  constexpr int kMostRead = 16;
  Index k = first;
  for (int read = 0; k >= 0 && read < kMostRead; k = next_rst(c, k), ++read) {
    if (is_effective(c, k)) return reset_at(c, k);
  }
  return reset_at(c, first);
}

}  // namespace tcpwhy::facts
