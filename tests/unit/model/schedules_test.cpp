// Schedules as the kernel keeps them: linux-tcp sections 3.3, 4.1, 4.2, 8.2 and 8.3.

#include "model/schedules.hpp"

#include <gtest/gtest.h>

#include "model/reset_rules.hpp"

namespace tcpwhy::model {
namespace {
using namespace std::chrono_literals;

/// Seconds at which SYNs leave; the last is when connect() fails.
std::vector<int> syns(std::string_view name, int retries) {
  const KernelProfile kernel = *profile(name);
  const Sysctls sysctls = Sysctls::of(kernel);
  std::vector<int> at;
  Duration t{};
  for (int repeats = 0;; ++repeats) {
    at.push_back(static_cast<int>(t / 1s));
    t += syn_timeout(kernel, sysctls, repeats);
    if (syn_fate(kernel, sysctls, retries, repeats, t) == Fate::kGivesUp) break;
  }
  at.push_back(static_cast<int>(t / 1s));
  return at;
}

TEST(SynSchedule, IsThatOfEachKernel) {
  EXPECT_EQ(syns("2.6.32", 5), (std::vector{0, 3, 9, 21}));
  EXPECT_EQ(syns("el6", 5), (std::vector{0, 1, 3, 7, 15, 31, 63}));
  EXPECT_EQ(syns("3.10", 6), (std::vector{0, 1, 3, 7, 15, 31, 63, 127}));
  EXPECT_EQ(syns("4.19", 6), (std::vector{0, 1, 3, 7, 15, 31, 63, 127}));
  EXPECT_EQ(syns("6.1", 6), (std::vector{0, 1, 3, 7, 15, 31, 63, 127}));
  EXPECT_EQ(syns("6.18", 6), (std::vector{0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131}));
}

TEST(SynSchedule, FewRetriesEndByTheClockOn618) {
  EXPECT_EQ(syns("6.18", 1), (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(syns("6.18", 2), (std::vector{0, 1, 2, 3, 4, 5, 7}));
  EXPECT_EQ(syns("6.18", 3).back(), 19);
  EXPECT_EQ(syns("6.18", 7).back(), 251);
}

TEST(DataSchedule, TheSysctlIsATimeNotACount) {
  EXPECT_EQ(doubled_time(kRtoMin, 15), 924600ms);
  EXPECT_EQ(doubled_time(kRtoMin, 8), 102200ms);
  EXPECT_EQ(data_fate(2, 1399ms), Fate::kRepeats);
  EXPECT_EQ(data_fate(2, 1400ms), Fate::kGivesUp);
}

TEST(DeferAccept, SecondsBecomeTimeouts) {
  const KernelProfile now = *profile("6.18"), old = *profile("2.6.32");
  for (auto [set, count, told] : {std::tuple{0, 0, 0},
                                  {1, 1, 1},
                                  {2, 2, 3},
                                  {3, 2, 3},
                                  {7, 3, 7},
                                  {8, 4, 15},
                                  {10, 4, 15},
                                  {60, 6, 63}}) {
    EXPECT_EQ(defer_timeouts(now, set), count) << set;
    EXPECT_EQ(defer_seconds(now, count), told) << set;
  }
  for (auto [set, count, told] : {std::tuple{1, 1, 3}, {3, 1, 3}, {4, 2, 9}, {10, 3, 21}, {46, 5, 93}}) {
    EXPECT_EQ(defer_timeouts(old, set), count) << set;
    EXPECT_EQ(defer_seconds(old, count), told) << set;
  }
}

/// Seconds at which SYN-ACKs leave for one request; the last is its end.
std::vector<int> synacks(int retries, int defer, Acked acked) {
  const KernelProfile kernel = *profile("6.18");
  std::vector<int> at{0};
  Duration t{};
  for (int timeouts = 0;; ++timeouts) {
    t += request_timeout(kernel, timeouts);
    const RequestTimer what = request_timer(timeouts, retries, defer, acked);
    if (what != RequestTimer::kWaits) at.push_back(static_cast<int>(t / 1s));
    if (what == RequestTimer::kRemoves) return at;
  }
}

TEST(RequestSchedule, DoublesAndEnds) {
  EXPECT_EQ(synacks(0, 0, Acked::kNo), (std::vector{0, 1}));
  EXPECT_EQ(synacks(2, 0, Acked::kNo), (std::vector{0, 1, 3, 7}));
  EXPECT_EQ(synacks(5, 0, Acked::kNo), (std::vector{0, 1, 3, 7, 15, 31, 63}));
}

TEST(RequestSchedule, ADeferredRequestAsksOnceAtTheEndOfItsPeriod) {
  // 10 s are four timeouts: the SYN-ACK at 15 s, whatever tcp_synack_retries says.
  EXPECT_EQ(synacks(5, 4, Acked::kYes)[1], 15);
  EXPECT_EQ(synacks(2, 4, Acked::kYes)[1], 15);
  EXPECT_EQ(synacks(5, 1, Acked::kYes)[1], 1);
}

TEST(ResetForNoSocket, NeverAnswersAReset) {
  for (int flags = 0; flags < 256; ++flags) {
    Packet in;
    in.flags = static_cast<std::uint8_t>(flags);
    in.seq = SeqNum{1000};
    in.ack = SeqNum{7000};
    in.payload_bytes = 5;
    const auto out = reset_for(in);
    ASSERT_EQ(out.has_value(), !in.rst());
    if (!out) continue;
    EXPECT_TRUE(out->rst());
    EXPECT_EQ(out->has_ack(), !in.has_ack());
    EXPECT_EQ(out->seq, in.has_ack() ? SeqNum{7000} : SeqNum{0});
    if (out->has_ack()) {
      EXPECT_EQ(out->ack, SeqNum{1005} + (in.syn() ? 1u : 0u) + (in.fin() ? 1u : 0u));
    }
    EXPECT_EQ(out->window, 0);
    EXPECT_EQ(out->options, 0);
  }
}

}  // namespace
}  // namespace tcpwhy::model
