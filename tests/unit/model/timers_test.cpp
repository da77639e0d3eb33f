// The retransmission timeout, from RFC 6298 and Linux's two changes to it: at least 200 ms of deviation, at most 120 s.

#include <gtest/gtest.h>

#include "driver.hpp"

namespace tcpwhy::model::test {
namespace {

/// A connection whose SYN-ACK was acknowledged `rtt` later; its descriptor.
int accepted_after(Alone& a, Duration rtt) {
  const int l = a.listener();
  const auto answer = a.in(a.syn());
  a.iss = answer.at(0).seq;
  a.wait(rtt);
  a.in(a.segment(Flag::kAck, 1001, a.iss.raw() + 1));
  a.step.clear();
  return static_cast<int>(a.host.accept(a.now, l, nullptr, a.step).value);
}

std::uint32_t rto_us(Alone& a, int fd) { return a.host.tcp_info(a.now, fd).value().rto; }

// RFC 6298 2.2: RTTVAR is half the first sample, and four times that is added to it.
TEST(RetransmissionTimeout, IsThreeTimesTheFirstRoundTrip) {
  Alone a;
  const int fd = accepted_after(a, 200ms);
  EXPECT_NEAR(rto_us(a, fd), 600'000, 4'000);
}

// linux-tcp: smoothed RTT + max(200 ms, 4 x mean deviation).
TEST(RetransmissionTimeout, HasAFloorOf200MillisecondsAboveTheRoundTrip) {
  Alone a;
  const int fd = accepted_after(a, 20ms);
  EXPECT_NEAR(rto_us(a, fd), 220'000, 4'000);
}

// RFC 6298 5.5: doubled at every timeout.
TEST(RetransmissionTimeout, DoublesUntilTwoMinutes) {
  Alone a;
  const int fd = accepted_after(a, 200ms);
  a.host.send(a.now, fd, 100, 0, {}, a.step);
  a.step.clear();
  std::vector<ModelTime> times;
  const ModelTime end = a.now + std::chrono::minutes{14};
  while (const auto next = a.host.next_timer()) {
    if (*next > end) break;
    if (!a.wait(*next - a.now).empty()) times.push_back(a.now);
  }
  ASSERT_GT(times.size(), 10u);
  // The first is the tail-loss probe; from the first timeout on each gap is twice the one before.
  for (std::size_t i = 3; i + 1 < times.size(); ++i) {
    const Duration gap = times[i] - times[i - 1], next = times[i + 1] - times[i];
    const double expected = std::min(2.0 * static_cast<double>(gap.count()), 120e9);
    EXPECT_NEAR(static_cast<double>(next.count()), expected, 0.13 * expected) << i;
  }
  EXPECT_NEAR(static_cast<double>((times.back() - times[times.size() - 2]).count()), 120e9, 16e9);
}

}  // namespace
}  // namespace tcpwhy::model::test
