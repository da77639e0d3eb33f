// Kernel events in, verdicts out. The events are what Linux 6.18's tracepoints gave for the same situations on
// loopback; reason numbers are looked up by name, as the reader of the kernel's own type data does.

#include "diagnose/kernel/judge.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tcpwhy::diagnose::kernel {
namespace {

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10, kPsh = 0x08;

struct Bench {
  facts::ReasonNames names{{"NOT_SPECIFIED", "NO_SOCKET", "TCP_ABORT_ON_CLOSE"}, {}};
  Judge judge{names, [](std::uint32_t, const facts::Address&) { return true; },
              [](std::uint64_t) { return Owner{}; }};

  static tw_event reset_sent(std::uint32_t reason) {
    tw_event e{};
    e.time_ns = 5'000'000'000;
    e.kind = TW_RESET_SENT;
    e.family = 4;
    e.reason = reason;
    e.local_port = 4444;
    e.remote_port = 40112;
    e.flags = TW_HAS_PACKET | TW_INCOMING;
    const auto local = facts::parse_address("198.51.100.7"), remote = facts::parse_address("192.0.2.10");
    std::copy_n(local->bytes.begin(), 16, e.local);
    std::copy_n(remote->bytes.begin(), 16, e.remote);
    return e;
  }
  std::vector<Failure> after(const tw_event& e) {
    judge.observe(e);
    return judge.rest(e.time_ns + 1'000'000'000);
  }
};

// RFC 9293 3.10.7.1; Linux names the reason NO_SOCKET and knows the SYN it answers.
TEST(Judge, NamesAClosedPortWhenTheKernelFoundNoSocketForASyn) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kSyn;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kPortClosed);
  EXPECT_EQ(verdicts[0].server.port, 4444);
  EXPECT_EQ(verdicts[0].reset_reason, "NO_SOCKET");
}

// The last ACK of a connection that is over meets no socket and is answered by RST: nothing is lost by it.
TEST(Judge, SaysNothingOfABareAckForATupleNobodyHolds) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kAck;
  e.ack = 3952222962;
  EXPECT_TRUE(b.after(e).empty());
}

// Data is another matter: somebody believes in a connection that this host does not have.
TEST(Judge, CallsDataForATupleNobodyHoldsAHalfOpenConnection) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kAck | kPsh;
  e.payload = 90;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kHalfOpen);
  EXPECT_NE(verdicts[0].diagnoses.front().verdict, Verdict::kProven);
}

// Linux tcp_close() with unread data (RFC 9293 3.10.4 asks for a RST): the kernel says so itself.
TEST(Judge, TakesTheKernelsWordForACloseWithUnreadData) {
  Bench b;
  tw_event e = Bench::reset_sent(2);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN;
  e.state = 1;
  e.pid = 4711;
  std::copy_n("worker", 7, e.comm);
  e.bytes_in = 100;
  e.unread = 100;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kCloseWithUnreadData);
  EXPECT_EQ(verdicts[0].process.comm, "worker");
  EXPECT_EQ(verdicts[0].process.pid, 4711u);
}

}  // namespace
}  // namespace tcpwhy::diagnose::kernel
