// The tracker, told frame by frame: which packets make one connection, what is
// told of it, and what stays bounded.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/frames.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::flow {
namespace {

using facts::Party;
using facts::Signal;
using test::Bytes;
using wire::Flag;

constexpr std::uint8_t kSyn = Flag::kSyn, kAck = Flag::kAck, kFin = Flag::kFin, kRst = Flag::kRst, kPsh = Flag::kPsh;
constexpr std::uint32_t kClientIss = 0xffff'fff0, kServerIss = 0xffff'ff01;

/// A capture written by hand, one frame a millisecond unless told otherwise.
class Wire {
 public:
  explicit Wire(Options options = {}) : tracker{options} {}

  struct Segment {
    std::uint8_t flags = kAck;
    std::uint32_t seq = 0, ack = 0, payload = 0;
    std::string text = {};
    std::uint16_t client_port = 40112, server_port = 443;
  };
  void client(const Segment& s) { put(s, false); }
  void server(const Segment& s) { put(s, true); }
  void wait(Duration d) { now += d; }
  void raw(const Bytes& packet) {
    kept = test::ethernet(packet);
    Frame f = test::frame(kept);
    f.time = now;
    f.number = ++frames;
    tracker.observe({&f, 1});
    now += std::chrono::milliseconds{1};
  }
  /// SYN, SYN-ACK, ACK.
  void open(std::uint16_t port = 40112, std::uint32_t client_iss = kClientIss, std::uint32_t server_iss = kServerIss) {
    client({.flags = kSyn, .seq = client_iss, .client_port = port});
    server({.flags = kSyn | kAck, .seq = server_iss, .ack = client_iss + 1, .client_port = port});
    client({.seq = client_iss + 1, .ack = server_iss + 1, .client_port = port});
  }
  /// A request of 100 octets and an answer of 300, acknowledged.
  void exchange(std::uint16_t port = 40112, std::uint32_t c = kClientIss + 1, std::uint32_t s = kServerIss + 1) {
    client({.flags = kPsh | kAck, .seq = c, .ack = s, .payload = 100, .client_port = port});
    server({.flags = kPsh | kAck, .seq = s, .ack = c + 100, .payload = 300, .client_port = port});
    client({.seq = c + 100, .ack = s + 300, .client_port = port});
  }
  void close(std::uint16_t port = 40112, std::uint32_t c = kClientIss + 101, std::uint32_t s = kServerIss + 301) {
    client({.flags = kFin | kAck, .seq = c, .ack = s, .client_port = port});
    server({.flags = kFin | kAck, .seq = s, .ack = c + 1, .client_port = port});
    client({.seq = c + 1, .ack = s + 1, .client_port = port});
  }
  /// Everything that is told, in order.
  std::vector<facts::Connection> told(Grouping grouping = Grouping::kEach) {
    tracker.finish({});
    std::vector<facts::Connection> out;
    tracker.tell(grouping, [&](const Told& t) { out.push_back(*t.connection); });
    return out;
  }

  Tracker tracker;
  CaptureTime now{std::chrono::seconds{1'700'000'000}};
  std::uint32_t frames = 0;

 private:
  void put(const Segment& s, bool from_server) {
    test::Tcp t;
    t.source_port = from_server ? s.server_port : s.client_port;
    t.destination_port = from_server ? s.client_port : s.server_port;
    t.seq = s.seq;
    t.ack = s.ack;
    t.flags = s.flags;
    t.payload = s.text.empty() ? Bytes(s.payload, 0xa7) : test::text(s.text);
    test::Ip ip;
    ip.id = static_cast<std::uint16_t>(1000 + frames);
    if (from_server) {
      ip.source = {198, 51, 100, 7};
      ip.destination = {192, 0, 2, 10};
      ip.ttl = 57;
    }
    raw(test::ipv4(test::tcp(t), ip));
  }
  Bytes kept;
};

TEST(Tracker, ACaptureThatSaysWhenItStoppedCoversTheSilenceBeforeThat) {
  Wire w;
  w.open();
  w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 100});
  const CaptureTime stopped = w.now + std::chrono::seconds{30};
  capture::Losses losses;
  losses.watched_until = stopped;
  w.tracker.finish(losses);
  CaptureTime covered{};
  ASSERT_TRUE(w.tracker.tell_one(0, [&](const facts::Connection& c) { covered = c.capture_end; }));
  EXPECT_EQ(covered, stopped);
}

TEST(Tracker, CountsAHealthyConnectionAndTellsNothing) {
  Wire w;
  w.open();
  w.exchange();
  w.close();
  EXPECT_THAT(w.told(), testing::IsEmpty());
  EXPECT_EQ(w.tracker.survey().connections, 1u);
  EXPECT_EQ(w.tracker.survey().healthy_untold, 1u);
}

TEST(Tracker, TellsHealthyOnesOnRequestAndWhole) {
  Wire w{{.tell_all = true}};
  w.open();
  w.exchange();
  w.close();
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].segments.size(), 9u);
  EXPECT_EQ(told[0].streams[0].payload_bytes, 100u);
  EXPECT_EQ(told[0].streams[1].payload_bytes, 300u);
  EXPECT_EQ(to_string(told[0].ends[0]), "192.0.2.10:40112");
  EXPECT_EQ(to_string(told[0].ends[1]), "198.51.100.7:443");
  EXPECT_EQ(told[0].outcome, facts::Outcome::kCompleted);
  EXPECT_FALSE(told[0].quality.story_incomplete);
}

TEST(Tracker, KeepsEveryFactOfALoneSyn) {
  Wire w;
  w.wait(std::chrono::seconds{3});
  w.client({.flags = kSyn, .seq = kClientIss});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  ASSERT_EQ(told[0].segments.size(), 1u);
  const facts::SegmentFact& syn = told[0].segments[0];
  EXPECT_EQ(syn.seq, SeqNum{kClientIss});
  EXPECT_EQ(syn.frame, 1u);
  EXPECT_EQ(syn.window, 502);
  EXPECT_EQ(syn.ttl, 64);
  EXPECT_EQ(syn.ip_id, 1000);
  EXPECT_TRUE(syn.dont_fragment);
  EXPECT_EQ(syn.from(), Party::kClient);
  EXPECT_EQ(syn.time, CaptureTime{std::chrono::seconds{1'700'000'003}});
  EXPECT_TRUE(told[0].has(Signal::kSynUnanswered));
}

TEST(Tracker, TellsALoneSynsFloodOnceWithItsIds) {
  Wire w;
  for (std::uint16_t port = 1025; port < 1025 + 1201; ++port) w.client({.flags = kSyn, .seq = port, .client_port = port});
  w.wait(std::chrono::seconds{60});
  w.open(50001);
  w.tracker.finish({});
  std::vector<std::uint64_t> alike, ids;
  w.tracker.tell(Grouping::kLoneSynsTogether, [&](const Told& t) {
    alike.push_back(t.alike);
    ids.assign(t.ids.begin(), t.ids.end());
  });
  EXPECT_THAT(alike, testing::ElementsAre(1201u));
  ASSERT_EQ(ids.size(), 1000u);
  EXPECT_EQ(ids.front(), 0u);
  EXPECT_EQ(ids.back(), 999u);
  EXPECT_EQ(w.tracker.survey().services.begin()->second.lone_syns, 1201u);
}

TEST(Tracker, CountsEverySynOfAFloodWhetherASampleKeepsItOrNot) {
  Wire w;
  constexpr std::uint16_t kSyns = 20'000;
  for (std::uint16_t port = 1025; port < 1025 + kSyns; ++port) w.client({.flags = kSyn, .seq = port, .client_port = port});
  w.tracker.finish({});
  const facts::ServiceFacts& service = w.tracker.survey().services.begin()->second;
  EXPECT_EQ(service.attempts, kSyns);
  EXPECT_EQ(service.lone_syns, kSyns);
  EXPECT_EQ(service.unanswered, kSyns);
  EXPECT_EQ(service.attempts_sample.seen, kSyns);
  EXPECT_EQ(service.failures_sample.seen, kSyns);
  EXPECT_EQ(w.tracker.survey().one_direction_connections, kSyns);
}

TEST(Tracker, TakesARepeatedSynAsTheSameAttempt) {
  Wire w;
  w.client({.flags = kSyn, .seq = kClientIss});
  w.wait(std::chrono::seconds{1});
  w.client({.flags = kSyn, .seq = kClientIss});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].segments.size(), 2u);
  EXPECT_TRUE(told[0].has(Signal::kSynRepeated));
}

TEST(Tracker, NumbersConnectionsByTheirFirstFrames) {
  Wire w;
  w.client({.flags = kSyn, .seq = 7, .client_port = 50003});
  w.open(50001);
  w.client({.flags = kSyn, .seq = 11, .client_port = 50002});
  w.server({.flags = kRst | kAck, .ack = 12, .client_port = 50002});
  w.server({.flags = kRst | kAck, .ack = 8, .client_port = 50003});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].id, 0u);
  EXPECT_EQ(told[0].ends[0].port, 50003);
  EXPECT_EQ(told[1].id, 2u);
  EXPECT_EQ(told[1].ends[0].port, 50002);
}

TEST(Tracker, BeginsANewConnectionAtANewSynOnAClosedTuple) {
  Wire w;
  w.open();
  w.exchange();
  w.close();
  w.wait(std::chrono::seconds{31});
  w.client({.flags = kSyn, .seq = 77'000});
  w.server({.flags = kRst | kAck, .ack = 77'001});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].id, 1u);
  EXPECT_TRUE(told[0].previous_end.has_value());
  EXPECT_TRUE(told[0].previous_closed);
  EXPECT_EQ(told[0].previous_closer, Party::kClient);
  EXPECT_EQ(told[0].previous_client_next, SeqNum{kClientIss + 102});
  EXPECT_EQ(told[0].previous_server_next, SeqNum{kServerIss + 302});
}

// RFC 9293 3.10.7.4 and RFC 5961 4: the challenge ACK quotes the old numbers and
// the RST answers it; both, and the SYN after them, belong to the new attempt.
TEST(Tracker, GivesTheChallengeAndItsResetToTheNewAttempt) {
  Wire w;
  w.open();
  w.exchange();
  w.wait(std::chrono::seconds{5});
  w.client({.flags = kSyn, .seq = 77'000});
  w.server({.seq = kServerIss + 301, .ack = kClientIss + 101});
  w.client({.flags = kRst, .seq = kClientIss + 101});
  w.wait(std::chrono::seconds{1});
  w.client({.flags = kSyn, .seq = 77'000});
  w.server({.flags = kSyn | kAck, .seq = 9'000, .ack = 77'001});
  w.client({.seq = 77'001, .ack = 9'001});
  const auto told = w.told();
  // The connection that held the tuple is told as well: the challenge shows that its end was never heard of.
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].id, 0u);
  ASSERT_TRUE(told[0].challenged_at.has_value());
  EXPECT_EQ(told[0].challenged_by, 1u);
  EXPECT_EQ(told[1].id, 1u);
  EXPECT_EQ(told[1].segments.size(), 6u);
  EXPECT_TRUE(told[1].previous_end.has_value());
  EXPECT_FALSE(told[1].previous_closed);
}

// A SYN that both ends ignore (RFC 5961 4) takes nothing away from the connection.
TEST(Tracker, GivesDataBackToTheConnectionThatAStraySynDidNotEnd) {
  Wire w{{.tell_all = true}};
  w.open();
  w.exchange();
  w.client({.flags = kSyn, .seq = 77'000});
  w.exchange(40112, kClientIss + 101, kServerIss + 301);
  w.close(40112, kClientIss + 201, kServerIss + 601);
  const auto told = w.told();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].segments.size(), 12u);
  EXPECT_EQ(told[1].segments.size(), 1u);
}

TEST(Tracker, KeepsLateSegmentsWithTheClosedConnection) {
  Wire w;
  w.open();
  w.exchange();
  w.close();
  w.wait(std::chrono::seconds{40});
  w.client({.flags = kRst, .seq = kClientIss + 102});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].segments.size(), 10u);
  EXPECT_EQ(w.tracker.survey().connections, 1u);
}

TEST(Tracker, InfersTheClientOfAConnectionPickedUpMidStream) {
  Wire w{{.tell_all = true}};
  // The port says nothing; the words do.
  w.server({.seq = 500, .ack = 900, .client_port = 40112, .server_port = 50112});
  w.client({.flags = kPsh | kAck, .seq = 900, .ack = 500, .text = "GET / HTTP/1.1\r\n\r\n", .client_port = 40112, .server_port = 50112});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].roles_inferred);
  EXPECT_EQ(told[0].ends[index(Party::kClient)].port, 40112);
  EXPECT_EQ(told[0].segments[1].app, facts::App::kHttpRequest);
  EXPECT_EQ(told[0].segments[1].app_length, 18u);
}

TEST(Tracker, TakesTheSenderOfASynAckForTheServer) {
  Wire w{{.tell_all = true}};
  w.server({.flags = kSyn | kAck, .seq = kServerIss, .ack = kClientIss + 1, .client_port = 80, .server_port = 61001});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].ends[index(Party::kServer)].port, 61001);
}

TEST(Tracker, KeepsTheBeginningAndTheEndOfALongStory) {
  Wire w{{.story_segments = 256}};
  w.open();
  w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 10});
  w.wait(std::chrono::seconds{2});
  w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 10});
  for (std::uint32_t i = 0; i < 997; ++i)
    w.server({.seq = kServerIss + 1 + 10 * i, .ack = kClientIss + 11, .payload = 10});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  const facts::Connection& c = told[0];
  EXPECT_TRUE(c.quality.story_incomplete);
  EXPECT_LE(c.segments.size(), 256u + 32u);
  ASSERT_GE(c.gap_after, 0);
  EXPECT_EQ(c.segments.front().frame, 1u);
  EXPECT_EQ(c.segments.back().frame, w.frames);
  EXPECT_EQ(c.segment(c.gap_after).frame, static_cast<std::uint32_t>(c.gap_after) + 1);
  EXPECT_GT(c.segment(c.gap_after + 1).frame, c.segment(c.gap_after).frame + 1);
  EXPECT_EQ(c.streams[1].packets, 998u);
  EXPECT_EQ(c.frames, w.frames);
}

/// A transfer that lost one segment early and then runs for as long as it is told to.
struct Transfer {
  Wire w;
  std::uint32_t sent = 0;
  explicit Transfer(Options options = {}) : w{options} {
    w.open();
    w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 10});
    w.wait(std::chrono::milliseconds{300});
    w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 10});
  }
  void run(std::uint32_t segments) {
    for (; segments > 0; --segments) {
      w.server({.seq = kServerIss + 1 + 10 * sent++, .ack = kClientIss + 11, .payload = 10});
      if (sent % 16 == 0) w.client({.seq = kClientIss + 11, .ack = kServerIss + 1 + 10 * sent});
    }
  }
};

TEST(Tracker, KeepsLittleOfALossyTransferThatIsWell) {
  Transfer t;
  t.run(2000);
  const auto told = t.w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_LE(told[0].segments.size(), 256u + 32u);
  EXPECT_EQ(told[0].segments.front().frame, 1u);
  EXPECT_EQ(told[0].segments.back().frame, t.w.frames);
  EXPECT_EQ(told[0].streams[0].repeats, 1u);
}

TEST(Tracker, KeepsMoreOfALossyTransferOnceItGoesWrong) {
  Transfer t;
  t.run(2000);
  t.w.server({.flags = kRst | kAck, .seq = kServerIss + 1 + 10 * t.sent, .ack = kClientIss + 11});
  const auto told = t.w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].segments.back().frame, t.w.frames);
  EXPECT_TRUE((told[0].segments.back().flags & kRst) != 0);
}

TEST(Tracker, AFinInThePartThatWasNotKeptHasClosedItsSideAllTheSame) {
  // The server's FIN overtook 8,000 octets that had to be sent again; only then the client closed.
  Transfer t{{.story_segments = 256}};
  t.run(1000);
  const std::uint32_t end = kServerIss + 1 + 10 * (t.sent + 800);
  t.w.server({.flags = kFin | kAck, .seq = end, .ack = kClientIss + 11});
  t.run(800);
  t.w.client({.flags = kFin | kAck, .seq = kClientIss + 11, .ack = end + 1});
  t.w.server({.seq = end + 1, .ack = kClientIss + 12});
  t.w.wait(std::chrono::minutes{10});
  t.w.open(50003);
  const auto told = t.w.told();
  ASSERT_GE(told.size(), 1u);
  EXPECT_TRUE(told[0].quality.story_incomplete);
  EXPECT_FALSE(told[0].streams[1].fin_seen);
  EXPECT_TRUE(told[0].streams[1].fin_not_kept);
  EXPECT_EQ(told[0].outcome, facts::Outcome::kCompleted);
}

TEST(Tracker, SaysSoWhenTheHistoryNoLongerReachesTheBeginning) {
  Wire w{{.history_segments = 32768}};
  w.open(50001);
  w.exchange(50001);
  w.open(50002, 5, 6);
  for (std::uint32_t i = 0; i < 33'000; ++i) {
    w.server({.seq = 7 + i, .ack = 6, .payload = 1, .client_port = 50002});
    if (i % 100 == 0) w.client({.seq = 6, .ack = 8 + i, .client_port = 50002});
  }
  w.server({.flags = kRst, .seq = kServerIss + 301, .client_port = 50001});
  const auto told = w.told();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told[0].ends[0].port, 50001);
  EXPECT_TRUE(told[0].quality.story_incomplete);
  EXPECT_TRUE(told[0].streams[0].syn_seen);
  EXPECT_EQ(told[0].streams[0].iss, SeqNum{kClientIss});
  EXPECT_EQ(told[0].frames, 7u);
}

TEST(Tracker, LetsGoOfTheOldestBeyondItsBoundAndCounts) {
  Wire w{{.max_connections = 101}};
  for (std::uint16_t i = 0; i < 307; ++i) w.client({.flags = kSyn, .seq = i, .client_port = static_cast<std::uint16_t>(2000 + i)});
  const auto told = w.told();
  EXPECT_EQ(told.size(), 101u);
  EXPECT_EQ(w.tracker.survey().evicted, 206u);
  EXPECT_EQ(told.front().ends[0].port, 2206);
}

TEST(Tracker, TiesAnIcmpErrorToTheSegmentItQuotes) {
  Wire w;
  w.client({.flags = kSyn, .seq = kClientIss});
  Bytes quoted = test::ipv4(test::tcp({.seq = kClientIss, .flags = kSyn}));
  quoted.resize(28);
  Bytes icmp = {3, 13, 0, 0, 0, 0, 0, 0};
  test::put(icmp, quoted);
  w.raw(test::ipv4(icmp, {.source = {203, 0, 113, 1}, .destination = {192, 0, 2, 10}, .protocol = 1, .ttl = 250}));
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  ASSERT_EQ(told[0].icmp.size(), 1u);
  EXPECT_EQ(told[0].icmp[0].type, 3);
  EXPECT_EQ(told[0].icmp[0].code, 13);
  EXPECT_EQ(told[0].icmp[0].quoted_from, Party::kClient);
  EXPECT_EQ(told[0].icmp[0].quoted_seq, SeqNum{kClientIss});
  EXPECT_EQ(to_string(told[0].icmp[0].sender), "203.0.113.1");
}

TEST(Tracker, AddsLaterFragmentsToTheSegmentTheyBelongTo) {
  Wire w{{.tell_all = true}};
  w.open();
  Bytes whole = test::tcp({.seq = kClientIss + 1, .ack = kServerIss + 1, .flags = kPsh | kAck, .payload = Bytes(60, 0xa7)});
  const Bytes first(whole.begin(), whole.begin() + 48), rest(whole.begin() + 48, whole.end());
  w.raw(test::ipv4(first, {.id = 4711, .fragment = 0x2000}));
  w.raw(test::ipv4(rest, {.id = 4711, .fragment = 48 / 8}));
  w.client({.flags = kPsh | kAck, .seq = kClientIss + 61, .ack = kServerIss + 1, .payload = 5});
  const auto told = w.told();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].streams[0].payload_bytes, 65u);
  EXPECT_EQ(told[0].segments[3].payload_bytes, 60u);
  EXPECT_FALSE(told[0].has(Signal::kCaptureGap));
}

TEST(Tracker, TellsWhatHasEndedAsItEnds) {
  Wire w{{.tell_as_they_end = true}};
  w.client({.flags = kSyn, .seq = kClientIss});
  w.server({.flags = kRst | kAck, .ack = kClientIss + 1});
  std::vector<std::uint64_t> told;
  const auto note = [&](const Told& t) { told.push_back(t.connection->id); };
  w.tracker.tell(Grouping::kEach, note);
  EXPECT_THAT(told, testing::IsEmpty());
  w.wait(std::chrono::seconds{5});
  w.open(50001);
  w.tracker.tell(Grouping::kEach, note);
  EXPECT_THAT(told, testing::ElementsAre(0u));
  w.tracker.finish({});
  w.tracker.tell(Grouping::kEach, note);
  EXPECT_THAT(told, testing::ElementsAre(0u));
}

TEST(Tracker, TellsWhatHasEndedWhileNoFrameComes) {
  Wire w{{.tell_as_they_end = true}};
  w.client({.flags = kSyn, .seq = kClientIss});
  w.server({.flags = kRst | kAck, .ack = kClientIss + 1});
  std::size_t told = 0;
  const auto note = [&](const Told&) { ++told; };
  w.wait(std::chrono::seconds{1});
  w.tracker.pass(w.now);
  w.tracker.tell(Grouping::kEach, note);
  EXPECT_EQ(told, 0u);  // late segments may come
  w.wait(std::chrono::seconds{4});
  w.tracker.pass(w.now);
  w.tracker.tell(Grouping::kEach, note);
  EXPECT_EQ(told, 1u);
}

/// Everything that identifies what was told, as text.
std::string story_of(const std::string& file, unsigned threads) {
  auto source = capture::open_file(file, 0, {});
  if (!source) return source.error().message;
  Tracker tracker{{.tell_all = true, .threads = threads}};
  tracker.run(**source, {}, {});
  tracker.finish((*source)->losses());
  std::string out = std::to_string(tracker.survey().connections);
  tracker.tell(Grouping::kEach, [&](const Told& t) {
    const facts::Connection& c = *t.connection;
    out += '\n' + std::to_string(c.id) + ' ' + to_string(c.ends[0]) + ' ' + to_string(c.ends[1]) + ' ' + facts::zeek_words(c).history + ' ' +
           std::to_string(c.signals);
    for (const facts::SegmentFact& f : c.segments) out += ' ' + std::to_string(f.frame);
  });
  return out;
}

TEST(Tracker, TellsTheSameWithAnyNumberOfThreads) {
  std::size_t captures = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string{TCPWHY_SOURCE_DIR} + "/tests/cases")) {
    if (entry.path().extension() != ".pcap" || ++captures % 7 != 0) continue;
    const std::string alone = story_of(entry.path().string(), 1);
    EXPECT_EQ(alone, story_of(entry.path().string(), 2)) << entry.path();
  }
  EXPECT_GT(captures, 0u);
}

TEST(Tracker, APauseOfTheWholeCaptureEndsWhatItCanSayOfAConnection) {
  // Two captures of different years in one file: what the second holds says nothing about the silence of the first.
  Wire w{{.tell_all = true}};
  w.client({.flags = kSyn, .seq = kClientIss});
  const CaptureTime last = w.now - std::chrono::milliseconds{1};
  w.wait(std::chrono::hours{24 * 400});
  w.open(40113);
  const auto told = w.told();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].capture_end, last);
  EXPECT_EQ(told[1].capture_end, w.now - std::chrono::milliseconds{1});
}

TEST(Tracker, AQuietHalfHourIsNoPause) {
  Wire w;
  w.client({.flags = kSyn, .seq = kClientIss});
  w.wait(std::chrono::minutes{30});
  w.open(40113);
  const auto told = w.told();
  ASSERT_GE(told.size(), 1u);
  EXPECT_EQ(told[0].capture_end, w.now - std::chrono::milliseconds{1});
}

/// A connection beside which the capture loses a thousand octets of the server (acknowledged, never seen), and one that
/// fell silent with its request 1 ms before (`silent_before`) or after that.
facts::Connection beside_a_loss(bool silent_before) {
  Wire w{{.tell_all = true}};
  w.open(40112);
  w.exchange(40112);
  const auto other = [&] {
    w.open(40113);
    w.client({.flags = kPsh | kAck, .seq = kClientIss + 1, .ack = kServerIss + 1, .payload = 90, .client_port = 40113});
  };
  if (silent_before) other();
  w.wait(std::chrono::milliseconds{20});
  w.client({.seq = kClientIss + 101, .ack = kServerIss + 1301});
  w.server({.flags = kPsh | kAck, .seq = kServerIss + 1301, .ack = kClientIss + 101, .payload = 200});
  if (!silent_before) other();
  w.client({.seq = kClientIss + 101, .ack = kServerIss + 1501});
  w.wait(std::chrono::seconds{30});
  w.close(40112, kClientIss + 101, kServerIss + 1501);
  for (const facts::Connection& c : w.told())
    if (c.ends[0].port == 40113) return c;
  return {};
}

TEST(Tracker, WhatTheCaptureLostOfOthersItMayHaveLostOfAConnectionThatWasSilentSince) {
  const facts::Connection c = beside_a_loss(true);
  ASSERT_EQ(c.segments.size(), 4u);
  EXPECT_TRUE(c.quality.coverage_cut);
  EXPECT_LT(c.capture_end - c.segments.back().time, std::chrono::milliseconds{30});
}

TEST(Tracker, ALossOfTheCaptureSaysNothingAgainstWhatWasSeenAfterIt) {
  const facts::Connection c = beside_a_loss(false);
  ASSERT_EQ(c.segments.size(), 4u);
  EXPECT_FALSE(c.quality.coverage_cut);
  EXPECT_GT(c.capture_end - c.segments.back().time, std::chrono::seconds{29});
}

TEST(Tracker, AnAckRecordedBeforeItsDataIsNoLossOfTheCapture) {
  Wire w{{.tell_all = true}};
  w.open(40112);
  w.client({.flags = kSyn, .seq = kClientIss, .client_port = 40113});
  w.client({.seq = kClientIss + 1, .ack = kServerIss + 301});
  w.server({.flags = kPsh | kAck, .seq = kServerIss + 1, .ack = kClientIss + 1, .payload = 300});
  w.server({.flags = kPsh | kAck, .seq = kServerIss + 301, .ack = kClientIss + 1, .payload = 300});
  w.client({.seq = kClientIss + 1, .ack = kServerIss + 601});
  for (const facts::Connection& c : w.told()) EXPECT_FALSE(c.quality.coverage_cut) << c.ends[0].port;
}

TEST(Tracker, ASynStoredBehindItsOwnConnectionsFinsIsStillItsSyn) {
  // RFC 9293 3.4: the SYN-ACK says which number the SYN had.
  Wire w;
  w.server({.flags = kSyn | kAck, .seq = kServerIss, .ack = kClientIss + 1});
  w.client({.seq = kClientIss + 1, .ack = kServerIss + 1});
  w.exchange();
  w.close();
  w.client({.flags = kSyn, .seq = kClientIss});
  w.told();
  EXPECT_EQ(w.tracker.survey().connections, 1u);
}

TEST(Tracker, ASynWithANewNumberBehindTheFinsOpensAConnection) {
  Wire w;
  w.server({.flags = kSyn | kAck, .seq = kServerIss, .ack = kClientIss + 1});
  w.client({.seq = kClientIss + 1, .ack = kServerIss + 1});
  w.exchange();
  w.close();
  w.client({.flags = kSyn, .seq = kClientIss + 100'000});
  w.told();
  EXPECT_EQ(w.tracker.survey().connections, 2u);
}

}  // namespace
}  // namespace tcpwhy::flow
