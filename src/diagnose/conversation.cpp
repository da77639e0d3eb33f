#include "diagnose/conversation.hpp"

#include <algorithm>

#include "diagnose/once.hpp"
#include "facts/farewell.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose::ending {

using facts::Connection;
using facts::index;
using facts::Party;
using facts::SegmentFact;

namespace {

/// Segment `i` passed only after place `n`, and its sender's FIN, which passed before `n`, says that it was written
/// before: the FIN overtook it, or it was lost and sent again.
bool said_before(const Connection& c, std::int32_t i, std::int32_t n) {
  const SegmentFact& s = c.segment(i);
  const facts::StreamFacts& stream = c.stream(s.from());
  if (!stream.fin_seen || stream.fin >= n || s.payload_bytes == 0 || s.rst() || !before(s.seq, stream.fin_seq)) return false;
  return facts::new_payload(c, i);
}

/// The last segment that was said before place `n`.
std::int32_t last_said_before(const Connection& c, std::int32_t n) {
  for (std::int32_t i = facts::size_of(c) - 1; i >= n; --i)
    if (said_before(c, i, n)) return i;
  return n - 1;
}

/// The client's first new segment within [from, to] that lies beyond `ack`, -1 none.
std::int32_t unacknowledged_from(const Connection& c, std::int32_t from, std::int32_t to, SeqNum ack) {
  for (std::int32_t k = from; k <= to; ++k)
    if (const SegmentFact& s = c.segment(k); s.from() == Party::kClient && facts::new_payload(c, k) && !before(s.seq, ack)) return k;
  return -1;
}

Talk find_talk_before(const Connection& c, std::int32_t end) {
  constexpr Duration kLongSince = std::chrono::milliseconds{500};
  Talk t;
  const std::int32_t n = end < 0 ? facts::size_of(c) : std::min(end, facts::size_of(c));
  const std::int32_t last = last_said_before(c, n);
  std::array<std::optional<SeqNum>, 2> sent{}, acked{};
  std::optional<SeqNum> answered;  // the highest ACK number that came with payload of the server
  for (std::int32_t i = 0; i <= last; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.rst() || (i >= n && !said_before(c, i, n))) continue;
    const std::size_t me = index(s.from()), peer = 1 - me;
    if (i < n && s.has_ack() && c.note(i).ack_place != facts::AckPlace::kImpossible && (!acked[peer] || after(s.ack, *acked[peer])))
      acked[peer] = s.ack;
    // It acknowledges octets of the server that never passed here: the answer came, and the capture missed it.
    if (i < n && s.from() == Party::kClient && c.note(i).ack_place == facts::AckPlace::kUnseen && t.request >= 0) t.request = -1;
    if (i < n && !facts::new_payload(c, i)) continue;
    const SeqNum end_of = s.seq + s.payload_bytes;
    if (!sent[me] || after(end_of, *sent[me])) sent[me] = end_of;
    t.bytes[me] += s.payload_bytes;
    if (s.from() == Party::kServer && s.has_ack() && (!answered || after(s.ack, *answered))) answered = s.ack;
    // A capture that stores frames out of order shows the answer before the request; its ACK number tells.
    if (s.from() == Party::kClient && answered && !after(end_of, *answered)) continue;
    if (s.from() == Party::kClient && t.request < 0 && facts::is_goodbye(c, i)) continue;
    // Nor is it the end of a request that has waited long since.
    if (s.from() == Party::kClient && t.request >= 0 && s.time - c.segment(t.request_end).time >= kLongSince && facts::is_goodbye(c, i)) continue;
    if (s.from() == Party::kClient) {
      if (t.request < 0) {
        t.request = i;
        t.request_bytes = 0;
      }
      t.request_end = i;
      t.request_bytes += s.payload_bytes;
    } else {
      // What the answer does not acknowledge had not come when it was written: it crossed it, and still waits.
      const std::int32_t rest = t.request >= 0 && s.has_ack() ? unacknowledged_from(c, t.request, t.request_end, s.ack) : -1;
      if (t.request < 0 ? t.answer < 0 : rest != t.request) {
        t.answer = i;
        if (t.request >= 0) ++t.answers;
      }
      t.request = rest;
    }
    t.last_payload[me] = i;
  }
  // A RST with ACK flag says what had arrived, too.
  if (end >= 0 && end < facts::size_of(c) && c.segment(end).has_ack()) {
    const SegmentFact& s = c.segment(end);
    const std::size_t peer = 1 - index(s.from());
    if (!acked[peer] || after(s.ack, *acked[peer])) acked[peer] = s.ack;
  }
  for (std::size_t p : {std::size_t{0}, std::size_t{1}})
    if (sent[p]) t.acked[p] = acked[p] && !after(*sent[p], *acked[p]);
  for (const facts::Exchange& x : c.exchanges) {
    if (x.response < 0 || (x.response >= n && !said_before(c, x.response, n))) continue;
    t.announced = x.announced_bytes;
    t.delivered = x.delivered_bytes;
    t.answer_short = x.announced && x.delivered_bytes < x.announced_bytes;
    t.answer_whole = x.announced && !t.answer_short;
    if (!x.announced && x.response_complete) t.answer_whole = true;
  }
  return t;
}

}  // namespace

Talk talk_before(const Connection& c, std::int32_t end) {
  Once* const once = Once::of(c);
  if (once == nullptr) return find_talk_before(c, end);
  for (const auto& [at, talk] : once->talks)
    if (talk && at == end) return *talk;
  auto& kept = once->talks[once->oldest_talk ^= 1];
  kept = {end, find_talk_before(c, end)};
  return *kept.second;
}

bool counts_unseen(const Connection& c, std::int32_t i) {
  const SegmentFact& stop = c.segment(i);
  std::optional<SeqNum> sent;
  for (std::int32_t k = 0; k < facts::size_of(c); ++k)
    if (const SegmentFact& s = c.segment(k); (k < i || s.payload_bytes > 0) && s.from() == stop.from() && !s.rst() && !s.fin() && (!sent || after(s.end(), *sent)))
      sent = s.end();
  return sent && before(*sent, stop.seq);
}

bool server_spoke_before(const Connection& c, std::int32_t stop) {
  const facts::StreamFacts& server = c.stream(Party::kServer);
  return c.segment(stop).payload_bytes > 0 || talk_before(c, stop).bytes[index(Party::kServer)] > 0 ||
         (server.syn_seen && after(c.segment(stop).seq, server.iss + 1));
}

Duration pause_before(const Connection& c, std::int32_t i) {
  for (std::int32_t k = i - 1; k >= 0; --k)
    if (c.segment(k).from() == Party::kServer && facts::new_payload(c, k)) return facts::between(c, k, i);
  return Duration{};
}

Duration unusual_pause(const Connection& c, const Talk& t, std::int32_t i) {
  Duration longest{};
  std::int32_t last = -1;
  for (std::int32_t k = std::max(t.answer, 0); k < i; ++k) {
    if (c.segment(k).from() != Party::kServer || !facts::new_payload(c, k)) continue;
    if (last >= 0) longest = std::max(longest, facts::between(c, last, k));
    last = k;
  }
  return std::max(kPause, longest * 3 / 2);
}

bool speaks_http(const Connection& c) {
  for (const SegmentFact& s : c.segments)
    if (s.app == facts::App::kHttpRequest || s.app == facts::App::kHttpResponse) return true;
  return false;
}

bool owes_answer(const Connection& c, std::int32_t request) {
  if (request < 0) return false;
  const SegmentFact& s = c.segment(request);
  // RFC 8446 4.1: the first thing a client says; what follows the server's flight needs no answer of its own.
  const bool hello = s.app == facts::App::kTlsHandshake && !c.stream(Party::kServer).payload_bytes;
  return s.app == facts::App::kHttpRequest || hello;
}

std::int32_t next_of(const Connection& c, Party from, std::int32_t i) {
  for (std::int32_t k = i + 1; k < facts::size_of(c); ++k)
    if (c.segment(k).from() == from && !c.segment(k).rst()) return k;
  return -1;
}

std::int32_t ack_of(const Connection& c, Party acker, SeqNum seq, std::int32_t i) {
  for (std::int32_t k = i + 1; k < facts::size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() == acker && !s.rst() && s.has_ack() && !before(s.ack, seq)) return k;
  }
  return -1;
}

}  // namespace tcpwhy::diagnose::ending
