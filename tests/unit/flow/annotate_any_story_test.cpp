// Any segments in any order give an annotation: nothing out of range, nothing
// undefined, the same twice. Numbers are drawn from a few places, so that they
// meet, repeat, overlap and wrap.

#include <gtest/gtest.h>

#include <random>

#include "facts/questions.hpp"
#include "support/ladder.hpp"

namespace tcpwhy {
namespace {

using facts::Index;
using facts::Party;

constexpr std::uint32_t kSeed = 20261124;

facts::Connection any_story(std::mt19937& random) {
  auto draw = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  facts::Connection c;
  const std::uint32_t length = 1 + draw(60);
  std::int64_t t = std::int64_t{ladder::kEpoch} * 1'000'000'000;
  const std::uint32_t places[] = {0xFFFF'FF00u, 0xFFFF'FFFFu, 0u, 1u, 100u, 1'600u, 0x8000'0000u, 70'000u};
  for (std::uint32_t k = 0; k < length; ++k) {
    facts::SegmentFact s;
    const std::int64_t steps[] = {0, 10'000, 3'000'000, 250'000'000, 1'000'000'000, 80'000'000'000, -40'000, -2'000'000'000};
    t += steps[draw(8)];
    s.time = CaptureTime{Duration{t}};
    s.frame = k + 1;
    s.from_server = draw(2) & 1;
    s.seq = SeqNum{places[draw(8)] + draw(3)};
    s.ack = SeqNum{places[draw(8)] + draw(3)};
    const std::uint8_t flags[] = {0x10, 0x18, 0x02, 0x12, 0x11, 0x04, 0x14, static_cast<std::uint8_t>(draw(256))};
    s.flags = flags[draw(8)];
    const std::uint32_t sizes[] = {0, 0, 1, 100, 1460, 65'000, 0x7FFF'FFFFu, 0xFFFF'FFFFu};
    s.payload_bytes = sizes[draw(draw(20) ? 6 : 8)];
    s.window = static_cast<std::uint16_t>(draw(3) * 700);
    s.window_scale = draw(15) & 15;
    s.options = static_cast<std::uint16_t>(draw(2048));
    s.anomalies = static_cast<std::uint16_t>(draw(8) ? 0 : draw(2048));
    s.tsval = places[draw(8)];
    s.tsecr = places[draw(8)];
    s.sack_blocks = draw(5) & 7;
    s.dsack = draw(2) & 1;
    s.sack_left = SeqNum{places[draw(8)]};
    s.sack_right = SeqNum{places[draw(8)]};
    s.ip_id = static_cast<std::uint16_t>(draw(4));
    s.ttl = static_cast<std::uint8_t>(draw(3) * 64);
    s.app = static_cast<facts::App>(draw(9));
    s.app_flags = static_cast<std::uint8_t>(draw(64));
    s.app_length = places[draw(8)];
    c.segments.push_back(s);
  }
  c.start = c.segments.front().time;
  c.end = c.segments.back().time;
  c.capture_begin = c.start;
  c.capture_end = c.end + std::chrono::seconds{draw(20)};
  c.roles_inferred = draw(2) != 0;
  if (draw(4) == 0) {
    c.quality.story_incomplete = true;
    c.gap_after = static_cast<Index>(draw(length + 1)) - 1;
  }
  if (draw(4) == 0) c.previous_end = c.start;
  return c;
}

TEST(AnnotateAnyStory, StaysInRangeAndSaysTheSameTwice) {
  std::mt19937 random{kSeed};
  for (int round = 0; round < 600; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    facts::Connection c = any_story(random);
    const Index size = static_cast<Index>(c.segments.size());
    facts::Connection twin = c;
    flow::annotate(c);
    ASSERT_EQ(c.notes.size(), c.segments.size());
    auto in_range = [&](Index i) { return i >= -1 && i < size; };
    for (Index i = 0; i < size; ++i) {
      ASSERT_TRUE(c.note(i).original < i) << i;
      ASSERT_TRUE(in_range(c.note(i).original));
      ASSERT_TRUE(c.note(i).provoked_by < i && in_range(c.note(i).provoked_by));
      ASSERT_EQ(c.note(i).rst_shape == facts::RstShape::kNotRst, !c.segment(i).rst());
    }
    for (Index i : {c.syn, c.syn_ack, c.handshake_ack}) ASSERT_TRUE(in_range(i));
    for (const facts::Exchange& e : c.exchanges) ASSERT_TRUE(in_range(e.request) && e.request >= 0 && in_range(e.response_end));
    ASSERT_FALSE(facts::zeek_words(c).conn_state.empty());
    // Every question has an answer for every segment.
    for (Index i = 0; i < size; ++i) {
      (void)facts::reset_at(c, i);
      (void)facts::data_retry(c, i);
      (void)facts::answer_to(c, i);
      (void)facts::at_rest_before(c, i);
      (void)facts::requests_before(c, i);
      (void)facts::exchange_at(c, i);
      (void)facts::quiet_before(c, i);
    }
    for (Party p : {Party::kClient, Party::kServer}) {
      (void)facts::keepalives(c, p);
      (void)facts::zero_window(c, p);
      (void)facts::open_retry(c, p);
    }
    (void)facts::syn_attempts(c);
    (void)facts::syn_ack_attempts(c);

    flow::annotate(twin);
    ASSERT_EQ(twin.signals, c.signals);
    ASSERT_EQ(facts::zeek_words(twin).history, facts::zeek_words(c).history);
    ASSERT_EQ(twin.outcome, c.outcome);
  }
}

}  // namespace
}  // namespace tcpwhy
