// Answers to active questions in, diagnoses out; no network. The answers are what Linux 6.18 gave in
// tests/live/probe.py, reduced to what matters.

#include "diagnose/probe/judge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tcpwhy::diagnose::probe {
namespace {

using facts::Came;
using facts::ProbeAddress;
using facts::Question;

facts::Address ip(const char* text) { return *facts::parse_address(text); }

Question question(std::uint16_t port, Came came, std::uint8_t ttl = 0) {
  Question q;
  q.port = port;
  q.local_port = 40000;
  q.came = came;
  if (came == Came::kRst) q.error = ECONNREFUSED;
  if (ttl != 0) q.header = facts::AnswerHeader{.ttl = ttl};
  return q;
}
Question icmp(std::uint16_t port, const char* sender, std::uint8_t type, std::uint8_t code) {
  Question q = question(port, Came::kIcmp);
  q.icmp = facts::IcmpWord{.sender = ip(sender), .version = 4, .type = type, .code = code, .mtu = 0};
  return q;
}

/// Routers that answer, then `end` (left out when it is nothing).
facts::Trace trace(std::uint16_t port, std::initializer_list<const char*> routers, std::optional<Question> end) {
  facts::Trace t;
  t.port = port;
  std::uint8_t ttl = 0;
  for (const char* router : routers) t.hops.push_back({++ttl, {icmp(port, router, 11, 0)}});
  t.hops.push_back({++ttl, {end.value_or(question(port, Came::kNothing))}});
  return t;
}

/// Port 81 of a host three hops away, whose port 80 is open.
ProbeAddress address(const Question& answer) {
  ProbeAddress a;
  a.target = {ip("198.51.100.7"), 81};
  a.route.source = ip("192.0.2.10");
  a.route.gateway = ip("192.0.2.1");
  a.connects = {answer};
  a.others = {question(80, Came::kSynAck, 62)};
  a.control = trace(80, {"192.0.2.1", "203.0.113.1"}, question(80, Came::kSynAck));
  return a;
}

TEST(ProbeJudge, SaysNothingOfAHostThatAccepts) {
  ProbeAddress a = address(question(81, Came::kSynAck, 62));
  const ProbeAnswer got = judge(a);
  EXPECT_TRUE(got.healthy);
  EXPECT_TRUE(got.diagnoses.empty());
  EXPECT_EQ(got.outcome, "completed");
}

TEST(ProbeJudge, SaysNothingWhereNothingCouldBeAsked) {
  const ProbeAnswer got = judge(ProbeAddress{});
  EXPECT_TRUE(got.diagnoses.empty());
  EXPECT_EQ(got.outcome, "partial");
}

TEST(ProbeJudge, NamesAClosedPortWhenTheRstComesFromWhereTheHostIs) {
  ProbeAddress a = address(question(81, Came::kRst, 62));
  a.trace = trace(81, {"192.0.2.1", "203.0.113.1"}, question(81, Came::kRst));
  const ProbeAnswer got = judge(a);
  ASSERT_FALSE(got.diagnoses.empty());
  EXPECT_EQ(got.diagnoses.front().cause, CauseId::kPortClosed);
  EXPECT_EQ(got.diagnoses.front().verdict, Verdict::kLikely);
  EXPECT_EQ(got.outcome, "refused");
  EXPECT_FALSE(got.healthy);
}

// The TTL at which the RST began differs, the distance does not: a stack that starts its RSTs at 255.
TEST(ProbeJudge, TakesNoOtherInitialTtlForAnotherDevice) {
  ProbeAddress a = address(question(81, Came::kRst, 253));
  a.trace = trace(81, {"192.0.2.1", "203.0.113.1"}, question(81, Came::kRst));
  EXPECT_EQ(judge(a).diagnoses.front().cause, CauseId::kPortClosed);
}

TEST(ProbeJudge, ProvesAMiddleboxWhenTheRefusedSynHadTooFewHopsToGetToTheHost) {
  ProbeAddress a = address(question(81, Came::kRst));
  a.trace = trace(81, {"192.0.2.1"}, question(81, Came::kRst));
  const Diagnosis d = judge(a).diagnoses.front();
  EXPECT_EQ(d.cause, CauseId::kRejectedByMiddlebox);
  EXPECT_EQ(d.verdict, Verdict::kProven);
  EXPECT_EQ(d.side, facts::Side::kPath);
}

TEST(ProbeJudge, FindsAMiddleboxByTheTtlOfItsRst) {
  ProbeAddress a = address(question(81, Came::kRst, 63));
  a.trace = trace(81, {"192.0.2.1", "203.0.113.1"}, question(81, Came::kRst));
  EXPECT_EQ(judge(a).diagnoses.front().cause, CauseId::kRejectedByMiddlebox);
}

TEST(ProbeJudge, BlamesWhoSentTheIcmpError) {
  struct Row { const char* sender; std::uint8_t code; CauseId cause; facts::Side side; };
  const Row rows[] = {{"203.0.113.1", 13, CauseId::kRejectedByIcmp, facts::Side::kPath},
                      {"198.51.100.7", 3, CauseId::kRejectedByIcmp, facts::Side::kServer},
                      {"203.0.113.1", 1, CauseId::kHostUnreachable, facts::Side::kPath},
                      {"203.0.113.1", 0, CauseId::kHostUnreachable, facts::Side::kPath},
                      {"192.0.2.10", 1, CauseId::kNeighbourUnresolved, facts::Side::kPath}};  // this host itself
  for (const Row& row : rows) {
    const ProbeAnswer got = judge(address(icmp(81, row.sender, 3, row.code)));
    ASSERT_FALSE(got.diagnoses.empty()) << row.sender << " code " << int{row.code};
    EXPECT_EQ(got.diagnoses.front().cause, row.cause) << row.sender << " code " << int{row.code};
    EXPECT_EQ(got.diagnoses.front().side, row.side) << row.sender << " code " << int{row.code};
    EXPECT_EQ(got.outcome, "refused");
  }
}

TEST(ProbeJudge, NamesTheHopThatTheControlPassesAndThePortDoesNot) {
  ProbeAddress a = address(question(81, Came::kNothing));
  a.trace = trace(81, {"192.0.2.1"}, std::nullopt);
  const Diagnosis d = judge(a).diagnoses.front();
  EXPECT_EQ(d.cause, CauseId::kSynDroppedOnPath);
  EXPECT_NE(d.summary.find("192.0.2.1"), std::string::npos) << d.summary;
  EXPECT_NE(d.summary.find("203.0.113.1"), std::string::npos) << d.summary;
}

/// Silence behind the last router; what the full timestamp option and the stray ACKs told.
ProbeAddress silent(Came option_here, Came option_control, Came ack_here) {
  ProbeAddress a = address(question(81, Came::kNothing));
  a.trace = trace(81, {"192.0.2.1", "203.0.113.1"}, std::nullopt);
  for (const auto& [port, came] : {std::pair{std::uint16_t{81}, option_here}, std::pair{std::uint16_t{80}, option_control}}) {
    Question q = came == Came::kIcmp ? icmp(port, "198.51.100.7", 12, 0) : question(port, came);
    q.ask = facts::Ask::kConnectOption;
    a.options.push_back(q);
  }
  if (ack_here != Came::kNotAsked) {
    a.acks = {question(81, ack_here), question(80, Came::kRst)};
    for (Question& q : a.acks) q.ask = facts::Ask::kAck;
  }
  return a;
}

TEST(ProbeJudge, TellsTheHostsFilterFromTheLastRoutersByTheHostsObjection) {
  EXPECT_EQ(judge(silent(Came::kIcmp, Came::kIcmp, Came::kNothing)).diagnoses.front().cause, CauseId::kSynDroppedByHostFilter);
  EXPECT_EQ(judge(silent(Came::kNothing, Came::kIcmp, Came::kNothing)).diagnoses.front().cause, CauseId::kSynDroppedOnPath);
}

// RFC 9293 3.10.7.2: a listener answers a stray ACK with RST, whatever its queues hold.
TEST(ProbeJudge, NamesTheListenerWhenAStrayAckIsResetAndNoSynIsAnswered) {
  EXPECT_EQ(judge(silent(Came::kIcmp, Came::kIcmp, Came::kRst)).diagnoses.front().cause, CauseId::kAcceptQueueOverflow);
}

// An access list of the "established" kind lets the ACK through; the SYN does not arrive.
TEST(ProbeJudge, TakesAFilterOfSynsForNoListener) {
  EXPECT_EQ(judge(silent(Came::kNothing, Came::kIcmp, Came::kRst)).diagnoses.front().cause, CauseId::kSynDroppedOnPath);
}

TEST(ProbeJudge, StaysGenericWhereOptionsAreDroppedAndNothingElseTells) {
  const ProbeAnswer got = judge(silent(Came::kNothing, Came::kNothing, Came::kNotAsked));
  EXPECT_EQ(got.diagnoses.front().cause, CauseId::kSynUnanswered);
  for (std::size_t i = 1; i < got.diagnoses.size(); ++i) EXPECT_EQ(got.diagnoses[i].verdict, Verdict::kPossible);
  EXPECT_GE(got.diagnoses.size(), 3u);
}

TEST(ProbeJudge, StaysGenericWithoutAnyControl) {
  ProbeAddress a = address(question(81, Came::kNothing));
  a.others.clear();
  a.control.reset();
  a.trace = trace(81, {"192.0.2.1"}, std::nullopt);
  const ProbeAnswer got = judge(a);
  EXPECT_EQ(got.diagnoses.front().cause, CauseId::kSynUnanswered);
  EXPECT_EQ(got.diagnoses.front().verdict, Verdict::kLikely);
}

/// Two rounds of four timestamps; `answered` by quarter.
ProbeAddress stamped(std::array<std::array<bool, 4>, 2> answered) {
  ProbeAddress a = address(question(81, Came::kSynAck, 62));
  for (const auto& round : answered)
    for (std::uint32_t n = 0; n < 4; ++n) {
      Question q = question(81, round[n] ? Came::kSynAck : Came::kNothing);
      q.ask = facts::Ask::kSynStamped;
      q.tsval = 0x10000000u + n * 0x40000000u;
      a.stamps.push_back(q);
    }
  return a;
}

TEST(ProbeJudge, FindsTheHalfCircleOfAPerHostTimestampCheckAlsoAcrossZero) {
  for (const std::array<bool, 4>& round : {std::array{true, true, false, false}, std::array{false, true, true, false}}) {
    const ProbeAnswer got = judge(stamped({round, round}));
    ASSERT_FALSE(got.diagnoses.empty());
    EXPECT_EQ(got.diagnoses.front().cause, CauseId::kPerHostTimestampCheck);
    EXPECT_FALSE(got.healthy);
  }
}

TEST(ProbeJudge, TakesLossForNoTimestampCheck) {
  EXPECT_TRUE(judge(stamped({{{true, true, false, false}, {true, false, true, false}}})).diagnoses.empty());   // not the same twice
  EXPECT_TRUE(judge(stamped({{{true, false, true, false}, {true, false, true, false}}})).diagnoses.empty());   // no half of the circle
  EXPECT_TRUE(judge(stamped({{{true, true, true, true}, {true, true, true, true}}})).diagnoses.empty());
}

ProbeAddress sized(std::initializer_list<std::pair<std::uint32_t, Came>> sizes) {
  ProbeAddress a = address(question(81, Came::kSynAck, 62));
  for (const auto& [octets, came] : sizes) {
    facts::SizeQuestion q;
    q.octets = octets;
    q.came = came;
    if (came == Came::kIcmp) q.icmp = facts::IcmpWord{.sender = ip("203.0.113.1"), .version = 4, .type = 3, .code = 4, .mtu = 1300};
    a.size.asked.push_back(q);
  }
  return a;
}

TEST(ProbeJudge, TellsABlackHoleFromAPathThatSaysItsMtu) {
  const ProbeAnswer hole = judge(sized({{140, Came::kAck}, {1500, Came::kNothing}, {576, Came::kAck}, {1038, Came::kAck}, {1400, Came::kNothing}}));
  ASSERT_FALSE(hole.diagnoses.empty());
  EXPECT_EQ(hole.diagnoses.front().cause, CauseId::kPmtuBlackhole);
  EXPECT_FALSE(hole.healthy);
  const ProbeAnswer told = judge(sized({{140, Came::kAck}, {1500, Came::kIcmp}, {1300, Came::kAck}}));
  ASSERT_FALSE(told.diagnoses.empty());
  EXPECT_EQ(told.diagnoses.front().cause, CauseId::kPmtudAdjusted);
  EXPECT_TRUE(told.healthy);
  // A large one lost beside a larger one that passed is loss.
  EXPECT_TRUE(judge(sized({{140, Came::kAck}, {1300, Came::kNothing}, {1500, Came::kAck}})).diagnoses.empty());
}

TEST(ProbeJudge, SaysThatThisHostHasNoRoute) {
  Question q = question(81, Came::kLocal);
  q.error = ENETUNREACH;
  const Diagnosis d = judge(address(q)).diagnoses.front();
  EXPECT_EQ(d.cause, CauseId::kHostUnreachable);
  EXPECT_EQ(d.side, facts::Side::kClient);
}

}  // namespace
}  // namespace tcpwhy::diagnose::probe
