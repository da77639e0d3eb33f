// The questions causes share, asked of ladders whose answers one can count.

#include "facts/questions.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/ladder.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy {
namespace {

using facts::Party;
using namespace std::chrono_literals;

const std::string kAnswered = R"(
0.000 > S 100 <mss 1460,sackok,ts,ws 7>
0.020 < SA 300 101 <mss 1460,sackok,ts,ws 7>
0.020 > A 101 301
0.021 > PA 101(90) 301 http-req
0.041 < A 301 191
0.060 < PA 301(500) 191 http-resp length 500
0.060 > A 191 801
)";

std::string syns(std::initializer_list<double> times) {
  std::string story;
  for (double t : times) story += std::to_string(t) + " > S 100 <mss 1460>\n";
  return story;
}

// linux-tcp 8.2 and 8.8; the times of its measured rows.
TEST(SynAttempts, AreKnownByTheirSchedule) {
  using facts::SynSchedule;
  auto schedule = [](std::initializer_list<double> times) {
    return facts::syn_attempts(ladder::connection(syns(times))).schedule;
  };
  EXPECT_EQ(schedule({0}), SynSchedule::kNone);
  EXPECT_EQ(schedule({0, 1.03}), SynSchedule::kLinuxEither);
  EXPECT_EQ(schedule({0, 1.03, 3.06, 7.3}), SynSchedule::kLinuxDoubling);
  EXPECT_EQ(schedule({0.03, 1.04, 2.05, 3.08, 4.1, 5.12, 7.14, 11.36, 19.56}), SynSchedule::kLinuxLinear);
  EXPECT_EQ(schedule({0, 3.0, 9.0}), SynSchedule::kThreeSeconds);
  EXPECT_EQ(schedule({0, 0.7, 0.9}), SynSchedule::kOther);
}

TEST(SynAttempts, GiveUpOnlyWhereTheCaptureWatchedPastTheNextOne) {
  EXPECT_TRUE(facts::syn_attempts(ladder::connection(syns({0, 1.03, 3.06, 7.3}) + "@end 20")).gave_up);
  EXPECT_FALSE(facts::syn_attempts(ladder::connection(syns({0, 1.03, 3.06, 7.3}) + "@end 12")).gave_up);
}

TEST(SynAttempts, OfWindowsFollowARefusal) {
  const auto c = ladder::connection(R"(
    0.0 > S 100
    0.001 < RA 0 101
    0.5 > S 100
    0.501 < RA 0 101
    1.0 > S 100
    1.001 < RA 0 101)");
  EXPECT_EQ(facts::syn_attempts(c).schedule, facts::SynSchedule::kAfterRefusal);
}

std::string syn_acks(std::initializer_list<double> times, bool acked) {
  std::string story = "0 > S 100 <mss 1460>\n0.0001 < SA 300 101 <mss 1460>\n";
  if (acked) story += "0.02 > A 101 301\n";
  for (double t : times) story += std::to_string(t) + " < SA 300 101 <mss 1460>\n";
  return story;
}

// linux-tcp 3.3, 3.4, 4.2 and the traces of 12.1.
TEST(SynAckAttempts, AreKnownByTheirTimer) {
  using facts::SynAckSchedule;
  auto schedule = [](std::initializer_list<double> times, bool acked) {
    return facts::syn_ack_attempts(ladder::connection(syn_acks(times, acked))).schedule;
  };
  EXPECT_EQ(schedule({}, true), SynAckSchedule::kNone);
  EXPECT_EQ(schedule({1.03, 3.05, 7.3}, true), SynAckSchedule::kPerRequestTimer);
  EXPECT_EQ(schedule({1.4031, 3.4031, 7.8031}, true), SynAckSchedule::kTableTimer);
  EXPECT_EQ(schedule({1.2011, 3.4011}, true), SynAckSchedule::kTableTimer);
  EXPECT_EQ(schedule({3.02}, true), SynAckSchedule::kDeferred);
  EXPECT_EQ(schedule({15.46}, true), SynAckSchedule::kDeferred);
}

TEST(SynAckAttempts, ThatFollowRepeatedSynsHaveNoTimerBehindThem) {
  const auto c = ladder::connection(R"(
    0.00 > S 100 <mss 1460>
    0.00 < SA 300 101 <mss 1460>
    1.02 > S 100 <mss 1460>
    1.02 < SA 300 101 <mss 1460>
    3.05 > S 100 <mss 1460>
    3.05 < SA 300 101 <mss 1460>)");
  const auto attempts = facts::syn_ack_attempts(c);
  EXPECT_EQ(attempts.schedule, facts::SynAckSchedule::kMirrorsSyns);
  EXPECT_EQ(attempts.mirrored, 2u);
  EXPECT_EQ(attempts.after_ack, 0u);
}

TEST(SynAckAttempts, CountWhatCameAfterTheClientsAck) {
  EXPECT_EQ(facts::syn_ack_attempts(ladder::connection(syn_acks({1.03, 3.05}, true))).after_ack, 2u);
}

// linux-tcp 8.3: R R 2R 4R after a tail-loss probe.
TEST(DataRetry, TellsTheProbeFromTheTimeouts) {
  const auto c = ladder::connection(kAnswered + R"(
    1.00 > PA 191(90) 801
    1.22 > PA 191(90) 801
    1.44 > PA 191(90) 801
    1.88 > PA 191(90) 801
    2.76 > PA 191(90) 801
    @end 20)");
  const auto retry = facts::open_retry(c, Party::kClient);
  ASSERT_TRUE(retry);
  EXPECT_EQ(retry->tries.count, 5u);
  EXPECT_EQ(retry->tries.first(), 7);
  EXPECT_TRUE(retry->tlp_first);
  EXPECT_EQ(retry->first_rto, 220ms);
  EXPECT_TRUE(retry->backs_off);
  EXPECT_TRUE(retry->peer_silent);
  EXPECT_TRUE(retry->stopped);
  EXPECT_FALSE(retry->answered);
  EXPECT_EQ(retry->next_due, 1760ms);
  EXPECT_FALSE(facts::open_retry(c, Party::kServer));
}

TEST(Keepalives, CountTheUnansweredOnesAtTheEnd) {
  const auto c = ladder::connection(kAnswered + R"(
    60.06 > A 190 801
    60.08 < A 801 191
    80.06 > A 190 801
    100.06 > A 190 801)");
  const auto k = facts::keepalives(c, Party::kClient);
  EXPECT_EQ(k.tries.count, 3u);
  EXPECT_EQ(k.unanswered, 2u);
  EXPECT_EQ(k.idle, 60s);
  EXPECT_EQ(k.interval, 20s);
}

TEST(ZeroWindow, LastsUntilItIsOpenedOrTheCaptureEnds) {
  const std::string closed = kAnswered + R"(
    1.0 > PA 191(500) 801
    1.0 < A 801 691 win 0
    1.3 > A 690 801
    1.3 < A 801 691 win 0)";
  const auto open_again = facts::zero_window(ladder::connection(closed + "\n3.0 < A 801 691 win 502"), Party::kServer);
  EXPECT_EQ(open_again.reopened, 11);
  EXPECT_EQ(open_again.longest, 2s);
  EXPECT_EQ(open_again.probes, 1u);
  EXPECT_EQ(open_again.probes_answered, 1u);
  const auto for_ever = facts::zero_window(ladder::connection(closed + "\n@end 11"), Party::kServer);
  EXPECT_EQ(for_ever.reopened, -1);
  EXPECT_EQ(for_ever.last, 10s);
}

TEST(Requests, AreOutstandingUntilTheirAnnouncedEnd) {
  const auto c = ladder::connection(R"(
    0.000 > S 100 <mss 1460>
    0.020 < SA 300 101 <mss 1460>
    0.020 > A 101 301
    0.021 > PA 101(90) 301 http-req
    0.060 < PA 301(500) 191 http-resp length 900
    0.061 > A 191 801
    0.070 < PA 801(400) 191
    0.071 > A 191 1201)");
  EXPECT_EQ(facts::requests_outstanding(c, 3), 0u);
  EXPECT_EQ(facts::requests_outstanding(c, 4), 1u);
  EXPECT_EQ(facts::requests_outstanding(c, 6), 1u);
  EXPECT_EQ(facts::requests_outstanding(c, 7), 0u);
  EXPECT_FALSE(facts::at_rest_before(c, 7));
  EXPECT_EQ(facts::outstanding_at(c, 6, Party::kServer), 400u);
  EXPECT_EQ(facts::outstanding_at(c, 7, Party::kServer), 0u);
}

TEST(Acknowledgment, IsFoundWhereItPassed) {
  const auto c = ladder::connection(kAnswered);
  EXPECT_EQ(facts::acked_by(c, 3), 4);
  EXPECT_TRUE(facts::was_acked(c, 5));
  EXPECT_EQ(facts::answer_to(c, 0), 1);
  EXPECT_EQ(facts::answer_to(c, 5), 6);
  EXPECT_EQ(facts::idle_before(c, 5), 19ms);
  EXPECT_EQ(facts::quiet_before(c, 5), 39ms);
  EXPECT_EQ(facts::coverage_after(c, 6), 60s);
}

// linux-tcp 11.5.
TEST(Reset, FromAStrangerDiffersFromTheSidesOtherSegments) {
  const auto own = facts::reset(ladder::connection(kAnswered + "1 < RA 801 191"));
  EXPECT_FALSE(own.ttl_differs);
  EXPECT_FALSE(own.timestamp_missing);
  EXPECT_TRUE(own.effective);
  const auto strange = facts::reset(ladder::connection(kAnswered + "1 < RA 801 191 ttl 51 nots id 60000\n1.01 < RA 801 191 ttl 51 nots"));
  EXPECT_TRUE(strange.ttl_differs);
  EXPECT_EQ(strange.ttl_delta, -11);
  EXPECT_TRUE(strange.timestamp_missing);
  EXPECT_EQ(strange.burst, 2u);
}

// A capture that holds both sides of a NAT shows every connection twice, one right behind the other.
TEST(Sample, KeepsBothOfTwoThatTakeTurns) {
  facts::Sample<int> s;
  for (int i = 0; i < 10'000; ++i) s.add(i % 2);
  const auto odd = std::count(s.values.begin(), s.values.end(), 1);
  const auto all = static_cast<std::ptrdiff_t>(s.values.size());
  EXPECT_GT(odd, all / 4);
  EXPECT_LT(odd, all * 3 / 4);
}

TEST(Sample, SpreadsOverAllThatCame) {
  facts::Sample<int> s;
  for (int i = 0; i < 100'000; ++i) s.add(i);
  EXPECT_LE(s.values.size(), 64u);
  EXPECT_GT(s.values.size(), 16u);
  EXPECT_TRUE(std::is_sorted(s.values.begin(), s.values.end()));
  EXPECT_LT(s.values.front(), 10'000);
  EXPECT_GT(s.values.back(), 90'000);
}

}  // namespace
}  // namespace tcpwhy
