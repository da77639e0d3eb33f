// A whole connection, and how each side may end it.

#include <gtest/gtest.h>

#include "driver.hpp"

namespace tcpwhy::model::test {
namespace {

std::uint8_t flags(const Packet& p) { return p.flags; }

TEST(Connection, OpensWithThreeSegments) {
  Pair p;
  const int l = p.listener();
  const int c = p.connecting();
  p.run(10ms);
  ASSERT_EQ(p.seen.size(), 3u);
  EXPECT_EQ(flags(p.seen[0]), Flag::kSyn);
  EXPECT_EQ(flags(p.seen[1]), Flag::kSyn | Flag::kAck);
  EXPECT_EQ(flags(p.seen[2]), Flag::kAck);
  EXPECT_EQ(p.seen[1].ack, p.seen[0].seq + 1);
  EXPECT_EQ(p.seen[2].ack, p.seen[1].seq + 1);
  EXPECT_EQ(p.client.state(c), State::kEstablished);
  EXPECT_EQ(p.client.connect_result(p.now, c, p.step).value, 0);
  const CallResult a = p.server.accept(p.now, l, nullptr, p.step);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(p.server.state(static_cast<int>(a.value)), State::kEstablished);
  EXPECT_EQ(p.client.counter(Mib::kActiveOpens), 1u);
  EXPECT_EQ(p.server.counter(Mib::kPassiveOpens), 1u);
  EXPECT_EQ(p.client.counter(Mib::kCurrEstab), 1u);
}

// linux-tcp 11.1, 11.2: the windows of SYN and SYN-ACK, and their options.
TEST(Connection, ShowsTheFingerprintOfLinux) {
  Pair p;
  p.listener();
  p.connecting();
  p.run(10ms);
  ASSERT_GE(p.seen.size(), 2u);
  const auto all = Opt::kMss | Opt::kSackPermitted | Opt::kTimestamps | Opt::kWindowScale;
  EXPECT_EQ(p.seen[0].window, 64240);
  EXPECT_EQ(p.seen[0].options, all);
  EXPECT_EQ(p.seen[0].tsecr, 0u);
  EXPECT_EQ(p.seen[1].window, 65160);
  EXPECT_EQ(p.seen[1].options, all);
  EXPECT_EQ(p.seen[1].ip_id, 0);
}

TEST(Connection, CarriesDataBothWaysAndCloses) {
  Pair p;
  const int l = p.listener();
  const int c = p.connecting();
  p.run(10ms);
  const int s = static_cast<int>(p.server.accept(p.now, l, nullptr, p.step).value);
  p.server.set_blocking(s, Blocking::kNo);

  const std::string hello = "hello";
  EXPECT_EQ(p.done(p.client.send(p.now, c, 5, 0, {reinterpret_cast<const std::uint8_t*>(hello.data()), 5}, p.step)).value, 5);
  p.run(10ms);
  std::vector<std::uint8_t> got;
  EXPECT_EQ(p.done(p.server.recv(p.now, s, 100, 0, &got, p.step)).value, 5);
  EXPECT_EQ(std::string(got.begin(), got.end()), "hello");
  EXPECT_EQ(p.server.recv(p.now, s, 100, 0, &got, p.step).error, Errno::kEAGAIN);

  EXPECT_EQ(p.done(p.server.send(p.now, s, 100000, 0, {}, p.step)).value, 100000);
  p.run(200ms);
  std::int64_t sum = 0;
  for (int i = 0; i < 100; ++i) {
    const CallResult r = p.done(p.client.recv(p.now, c, 4096, 0, nullptr, p.step));
    if (!r.ok()) break;
    sum += r.value;
    p.run(1ms);
  }
  EXPECT_EQ(sum, 100000);

  p.seen.clear();
  p.done(p.client.close(p.now, c, p.step));
  p.run(10ms);
  EXPECT_EQ(p.server.state(s), State::kCloseWait);
  EXPECT_EQ(p.server.recv(p.now, s, 100, 0, nullptr, p.step).value, 0);
  p.done(p.server.close(p.now, s, p.step));
  p.run(10ms);
  ASSERT_GE(p.seen.size(), 3u);  // the ACK of the FIN waits for company and travels with the other FIN
  EXPECT_EQ(flags(p.seen[0]), Flag::kFin | Flag::kAck);
  EXPECT_EQ(flags(p.seen[p.seen.size() - 2]), Flag::kFin | Flag::kAck);
  EXPECT_EQ(flags(p.seen.back()), Flag::kAck);
  const auto client = p.client.sockets(p.now);
  ASSERT_EQ(client.size(), 1u);
  EXPECT_EQ(client[0].state, State::kTimeWait);
  EXPECT_EQ(p.server.sockets(p.now).size(), 1u);  // the listener
  p.run(63s);  // the timer wheel rounds up
  EXPECT_TRUE(p.client.sockets(p.now).empty());
  EXPECT_EQ(p.client.counter(Mib::kTW), 1u);
}

TEST(Connection, ClosedPortRefuses) {
  Pair p;
  const int c = p.connecting();
  p.run(10ms);
  ASSERT_EQ(p.seen.size(), 2u);
  EXPECT_EQ(flags(p.seen[1]), Flag::kRst | Flag::kAck);
  EXPECT_EQ(p.seen[1].seq, SeqNum{0});
  EXPECT_EQ(p.seen[1].ack, p.seen[0].seq + 1);
  EXPECT_EQ(p.seen[1].window, 0);
  EXPECT_EQ(p.client.connect_result(p.now, c, p.step).error, Errno::kECONNREFUSED);
  EXPECT_EQ(p.client.counter(Mib::kAttemptFails), 1u);
  EXPECT_EQ(p.server.counter(Mib::kOutRsts), 1u);
}

// linux-tcp 8.2, default of 6.18: 0 1 2 3 4 5 7 11 19 35 67, fails at 131; the wheel may be an eighth late.
TEST(Connection, RepeatsTheSynLinearlyThenDoubling) {
  Alone a{"6.18", kClient};
  const int c = a.socket();
  EXPECT_EQ(a.host.connect(a.now, c, {kServer, kPort}, a.step).error, Errno::kEINPROGRESS);
  const ModelTime start = a.now;
  std::vector<double> at;
  while (a.host.state(c) == State::kSynSent && a.now - start < 200s) {
    const auto next = a.host.next_timer();
    ASSERT_TRUE(next);
    a.now = *next;
    a.step.clear();
    a.host.fire(a.now, a.step);
    if (!a.step.sent.empty()) at.push_back(seconds(a.now - start));
  }
  const std::vector<double> nominal = {1, 2, 3, 4, 5, 7, 11, 19, 35, 67};
  ASSERT_EQ(at.size(), nominal.size());
  for (std::size_t i = 0; i < at.size(); ++i) {
    EXPECT_GE(at[i], nominal[i]);
    EXPECT_LE(at[i], nominal[i] * 1.125 + 0.05);
  }
  EXPECT_GE(a.now - start, 131s);
  EXPECT_EQ(a.host.connect_result(a.now, c, a.step).error, Errno::kETIMEDOUT);
  EXPECT_EQ(a.counted(Mib::kTCPAbortOnTimeout), 1u);
}

// linux-tcp 12.7 M17.
TEST(Close, WithUnreadDataResets) {
  Alone a;
  const int s = a.accepted(a.listener());
  a.in(a.segment(Flag::kAck | Flag::kPsh, 1001, a.iss.raw() + 1, 5));
  a.step.clear();
  a.host.close(a.now, s, a.step);
  ASSERT_EQ(a.step.sent.size(), 1u);
  EXPECT_EQ(a.step.sent[0].flags, Flag::kRst | Flag::kAck);
  EXPECT_EQ(a.step.sent[0].seq, a.iss + 1);
  EXPECT_EQ(a.step.sent[0].ack, SeqNum{1006});
  EXPECT_GT(a.step.sent[0].window, 60000);
  EXPECT_EQ(a.counted(Mib::kTCPAbortOnClose), 1u);
  EXPECT_EQ(a.counted(Mib::kEstabResets), 1u);
  EXPECT_EQ(a.counted(Mib::kOutRsts), 1u);
}

// M18.
TEST(Close, WithLingerZeroResets) {
  Alone a;
  const int s = a.accepted(a.listener());
  a.host.set_linger(a.now, s, 1, 0, a.step);
  a.step.clear();
  a.host.close(a.now, s, a.step);
  ASSERT_EQ(a.step.sent.size(), 1u);
  EXPECT_EQ(a.step.sent[0].flags, Flag::kRst | Flag::kAck);
  EXPECT_EQ(a.counted(Mib::kTCPAbortOnData), 1u);
  EXPECT_EQ(a.counted(Mib::kTCPAbortOnLinger), 0u);
  EXPECT_EQ(a.counted(Mib::kEstabResets), 1u);
}

// M19: data while the FIN is not acknowledged. M20: data for the mini-socket.
TEST(Close, DataAfterItIsReset) {
  for (const bool fin_acked : {false, true}) {
    Alone a;
    const int s = a.accepted(a.listener());
    a.step.clear();
    a.host.close(a.now, s, a.step);
    ASSERT_EQ(a.step.sent.size(), 1u);
    EXPECT_EQ(a.step.sent[0].flags, Flag::kFin | Flag::kAck);
    const std::uint32_t next = a.iss.raw() + 2;
    if (fin_acked) {
      EXPECT_TRUE(a.in(a.segment(Flag::kAck, 1001, next)).empty());
    }
    const auto out = a.in(a.segment(Flag::kAck | Flag::kPsh, 1001, fin_acked ? next : next - 1, 10));
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].flags, Flag::kRst);
    EXPECT_EQ(out[0].seq, SeqNum{fin_acked ? next : next - 1});
    EXPECT_EQ(a.counted(Mib::kTCPAbortOnData), fin_acked ? 0u : 1u);
    EXPECT_EQ(a.host.sockets(a.now).size(), 1u);
  }
}

// M25.
TEST(Close, OfAListenerResetsWhoWaitsAndForgetsRequests) {
  Alone a;
  const int l = a.listener();
  const SeqNum first = a.in(a.syn(1000, 1)).at(0).seq;
  a.in(a.segment(Flag::kAck, 1001, first.raw() + 1, 0, 1));
  const SeqNum second = a.in(a.syn(2000, 2)).at(0).seq;
  a.step.clear();
  a.host.close(a.now, l, a.step);
  ASSERT_EQ(a.step.sent.size(), 1u);
  EXPECT_EQ(a.step.sent[0].flags, Flag::kRst | Flag::kAck);
  EXPECT_EQ(a.step.sent[0].destination_port, 1);
  const auto out = a.in(a.segment(Flag::kAck, 2001, second.raw() + 1, 0, 2));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].flags, Flag::kRst);
  EXPECT_EQ(out[0].seq, second + 1);
}

// M12.
TEST(Rst, ExactEndsInWindowIsChallengedOutsideIsIgnored) {
  Alone a;
  const int s = a.accepted(a.listener());
  EXPECT_TRUE(a.in(a.segment(Flag::kRst, 1000 + 100000, 0)).empty());
  const auto challenge = a.in(a.segment(Flag::kRst, 1001 + 10, 0));
  ASSERT_EQ(challenge.size(), 1u);
  EXPECT_EQ(challenge[0].flags, Flag::kAck);
  EXPECT_EQ(challenge[0].seq, a.iss + 1);
  EXPECT_EQ(challenge[0].ack, SeqNum{1001});
  EXPECT_EQ(a.host.state(s), State::kEstablished);
  EXPECT_TRUE(a.in(a.segment(Flag::kRst, 1001, 0)).empty());
  EXPECT_EQ(a.host.state(s), State::kClose);
  EXPECT_EQ(a.host.recv(a.now, s, 10, 0, nullptr, a.step).error, Errno::kECONNRESET);
  EXPECT_EQ(a.host.recv(a.now, s, 10, 0, nullptr, a.step).value, 0);
  EXPECT_EQ(a.host.send(a.now, s, 10, 0, {}, a.step).error, Errno::kEPIPE);
}

// M14, M15.
TEST(Challenge, OnlyOneInHalfASecond) {
  Alone a;
  a.accepted(a.listener());
  EXPECT_EQ(a.in(a.syn(77)).size(), 1u);
  EXPECT_EQ(a.counted(Mib::kTCPSYNChallenge), 1u);
  EXPECT_EQ(a.counted(Mib::kTCPChallengeACK), 1u);
  EXPECT_EQ(a.counted(Mib::kInErrs), 1u);
  a.wait(100ms);
  EXPECT_TRUE(a.in(a.segment(Flag::kAck, 1001, a.iss.raw() + 100001)).empty());
  EXPECT_EQ(a.counted(Mib::kTCPACKSkippedChallenge), 1u);
  a.wait(600ms);
  EXPECT_EQ(a.in(a.segment(Flag::kAck, 1001, a.iss.raw() + 100001)).size(), 1u);
}

// RFC 9293 3.5 figure 7.
TEST(Open, SimultaneousMakesOneConnection) {
  Alone a{"6.18", kClient};
  const int c = a.socket();
  a.host.bind(a.now, c, {kClient, kPort}, a.step);
  a.step.clear();
  a.host.connect(a.now, c, {kServer, kClientPort}, a.step);
  ASSERT_EQ(a.step.sent.size(), 1u);
  const SeqNum iss = a.step.sent[0].seq;
  const auto crossed = a.in(a.syn(500));
  ASSERT_EQ(crossed.size(), 1u);
  EXPECT_EQ(crossed[0].flags, Flag::kSyn | Flag::kAck);
  EXPECT_EQ(crossed[0].seq, iss);
  EXPECT_EQ(crossed[0].ack, SeqNum{501});
  EXPECT_EQ(a.host.state(c), State::kSynRecv);
  Packet synack = a.syn(500);
  synack.flags |= Flag::kAck;
  synack.ack = iss + 1;
  a.in(synack);
  EXPECT_EQ(a.host.state(c), State::kEstablished);
}

TEST(Close, SimultaneousGoesThroughClosingToTimeWait) {
  Alone a;
  const int s = a.accepted(a.listener());
  a.host.close(a.now, s, a.step);
  const auto ack = a.in(a.segment(Flag::kFin | Flag::kAck, 1001, a.iss.raw() + 1));
  ASSERT_EQ(ack.size(), 1u);
  EXPECT_EQ(ack[0].flags, Flag::kAck);
  EXPECT_EQ(ack[0].ack, SeqNum{1002});
  EXPECT_TRUE(a.in(a.segment(Flag::kAck, 1002, a.iss.raw() + 2)).empty());
  const auto all = a.host.sockets(a.now);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].state, State::kTimeWait);
}

}  // namespace
}  // namespace tcpwhy::model::test
