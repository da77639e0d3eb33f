// What a side that closed first says to whom it meets later. linux-tcp 6.4 to 6.7, 12.7.

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

constexpr std::uint16_t kFrom = 4001;

/// A connection the host has closed first, and its FIN acknowledged.
struct Closed {
  Peer peer;
  int listener = -1;
  SeqNum theirs, mine;  ///< next numbers: of the peer, and of the host

  explicit Closed(std::string_view kernel = "6.18", const std::function<void(HostConfig&)>& change = {},
                  int lingers = 0)
      : peer{kernel, change} {
    listener = peer.listen(5);
    SeqNum isn;
    const int fd = peer.connect(kFrom, listener, &isn);
    if (lingers) peer.host.setsockopt(peer.now, fd, SocketOption::kLinger2, lingers, peer.step);
    peer.host.close(peer.now, fd, peer.step);
    peer.collect();
    theirs = Peer::kIsn + 1;
    mine = isn + 2;
    peer.arrives(kFrom, kA, theirs, mine);
  }
  void fin() {
    peer.arrives(kFrom, kFA, theirs, mine);
    theirs = theirs + 1;
  }
  std::vector<Packet> arrives(std::uint8_t flags, SeqNum seq, std::uint32_t bytes = 0) {
    return peer.arrives(kFrom, flags, seq, mine, bytes);
  }
  std::optional<State> state() {
    for (const SocketView& v : peer.host.sockets(peer.now))
      if (v.state != State::kListen) return v.state;
    return std::nullopt;
  }
};

Closed in_time_wait(std::string_view kernel = "6.18", const std::function<void(HostConfig&)>& change = {}) {
  Closed c{kernel, change};
  c.fin();
  return c;
}

void expect_old_ack(const Closed& c, const std::vector<Packet>& answers) {
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kA);
  EXPECT_EQ(answers[0].seq, c.mine);
  EXPECT_EQ(answers[0].ack, c.theirs);
}

TEST(TimeWait, EchoesTheTimestampOfTheHandshakesAckAlthoughNoneWasAgreedOn) {
  // `lab fuzz` on 6.18.44, seed 801185; tcp_check_req() of 6.14 and later.
  for (const auto& [kernel, echoes] : {std::pair{"6.18", true}, std::pair{"6.1", false}}) {
    Peer peer{kernel};
    const int listener = peer.listen(5);
    const SeqNum isn = peer.arrives(Peer::segment(kFrom, kS, Peer::kIsn)).at(0).seq;
    Packet third = Peer::segment(kFrom, kA, Peer::kIsn + 1, isn + 1);
    third.options = Opt::kTimestamps;
    third.tsval = 1000;
    peer.arrives(third);
    const int fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
    peer.host.close(peer.now, fd, peer.step);
    peer.arrives(kFrom, kFA, Peer::kIsn + 1, isn + 2);
    const auto answers = peer.arrives(kFrom, kPA, Peer::kIsn + 2, isn + 2, 100);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].has(Opt::kTimestamps), echoes) << kernel;
    if (echoes) {
      EXPECT_EQ(answers[0].tsecr, 1000u);
    }
  }
}

TEST(TimeWait, AcknowledgesEveryFreshSynWhereNobodyListensAnyMore) {
  // tcp_v4_rcv(), case TCP_TW_SYN: what finds no listener is acknowledged, and the limit of one in 500 ms is not asked.
  Closed c = in_time_wait();
  c.peer.host.close(c.peer.now, c.listener, c.peer.step);
  for (int i = 0; i < 3; ++i) {
    c.peer.wait(10ms);
    expect_old_ack(c, c.arrives(kS, c.theirs + 1000));
  }
}

TEST(TimeWait, LastsAMinuteWhateverFinTimeoutSays) {
  Closed c = in_time_wait("6.18", [](HostConfig& h) { h.sysctls.tcp_fin_timeout = 5; });
  EXPECT_EQ(c.state(), State::kTimeWait);
  c.peer.wait(59s);
  EXPECT_EQ(c.state(), State::kTimeWait);
  c.peer.wait(9s);
  EXPECT_EQ(c.state(), std::nullopt);
  EXPECT_TRUE(c.peer.fired(Rule::kTimeWaitEnded));
  // And then nobody is there.
  EXPECT_EQ(c.arrives(kFA, c.theirs - 1).at(0).flags, kR);
}

TEST(TimeWait, RepeatsItsAckForTheFinOnceInHalfASecondIfItIsEmpty) {
  Closed c = in_time_wait();
  expect_old_ack(c, c.arrives(kFA, c.theirs - 1));
  expect_old_ack(c, c.arrives(kFA, c.theirs - 1));  // a FIN has a length: never limited
  expect_old_ack(c, c.arrives(kA, c.theirs - 5));
  EXPECT_TRUE(c.arrives(kA, c.theirs - 5).empty());
  EXPECT_EQ(c.peer.count(Mib::kTCPACKSkippedTimeWait), 1u);
}

// M21, M22, M23: row b and c1.
TEST(TimeWait, IsTakenOverByAHigherSynIfSomebodyListens) {
  Closed c = in_time_wait();
  const auto low = c.peer.arrives(kFrom, kS, c.theirs);
  expect_old_ack(c, low);
  const auto answers = c.peer.arrives(kFrom, kS, c.theirs + 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kSA);
  EXPECT_EQ(answers[0].seq, c.mine + 65537);
  EXPECT_TRUE(c.peer.fired(Rule::kTimeWaitSyn));
}

TEST(TimeWait, AnswersASynByItsOldAckIfNobodyListens) {
  Closed c = in_time_wait();
  c.peer.host.close(c.peer.now, c.listener, c.peer.step);
  c.peer.collect();
  expect_old_ack(c, c.peer.arrives(kFrom, kS, c.theirs + 1000));
}

TEST(TimeWait, TakenOverBypassesTheSynQueueButNotTheAcceptQueue) {
  Closed c = in_time_wait("6.18", [](HostConfig& h) { h.sysctls.tcp_syncookies = 0; });
  c.peer.host.listen(c.peer.now, c.listener, 1, c.peer.step);
  c.peer.open(4101);
  c.peer.open(4102);
  ASSERT_EQ(c.peer.open(4103), SeqNum{}) << "the SYN queue is full";
  EXPECT_EQ(c.peer.arrives(kFrom, kS, c.theirs + 7).at(0).flags, kSA);
}

TEST(TimeWait, EndsByAnExactRstUnlessRfc1337IsAskedFor) {
  Closed c = in_time_wait();
  EXPECT_TRUE(c.arrives(kR, c.theirs + 1).empty());
  EXPECT_EQ(c.state(), State::kTimeWait);
  EXPECT_TRUE(c.arrives(kR, c.theirs).empty());
  EXPECT_EQ(c.state(), std::nullopt);

  Closed kept = in_time_wait("6.18", [](HostConfig& h) { h.sysctls.tcp_rfc1337 = 1; });
  EXPECT_TRUE(kept.arrives(kR, kept.theirs).empty());
  EXPECT_EQ(kept.state(), State::kTimeWait);
  EXPECT_TRUE(kept.peer.fired(Rule::kTimeWaitRstKept));
}

// M24
TEST(TimeWait, IsNotMadeBeyondItsLimitAndTheFinThenMeetsNobody) {
  Closed c = in_time_wait("6.18", [](HostConfig& h) { h.sysctls.tcp_max_tw_buckets = 0; });
  EXPECT_EQ(c.state(), std::nullopt);
  EXPECT_GE(c.peer.count(Mib::kTCPTimeWaitOverflow), 1u);
  EXPECT_EQ(c.peer.arrives(kFrom, kFA, c.theirs - 1, c.mine).at(0).flags, kR);
}

TEST(FinWait2, OfAnOrphanIsAMiniSocketForFinTimeout) {
  Closed c{"6.18", [](HostConfig& h) { h.sysctls.tcp_fin_timeout = 8; }};
  EXPECT_EQ(c.state(), State::kFinWait2);
  EXPECT_TRUE(c.peer.fired(Rule::kFinWait2Mini));
  c.peer.wait(7900ms);
  EXPECT_EQ(c.state(), State::kFinWait2);
  c.peer.wait(1200ms);
  EXPECT_EQ(c.state(), std::nullopt);
}

TEST(FinWait2, LongerThanAMinuteIsTwiceTheRest) {
  Closed c{"6.18", [](HostConfig& h) { h.sysctls.tcp_fin_timeout = 65; }};
  c.peer.wait(9900ms);
  EXPECT_EQ(c.state(), State::kFinWait2);
  c.peer.wait(1600ms);
  EXPECT_EQ(c.state(), std::nullopt);
}

// M20
TEST(FinWait2, MiniSocketRefusesDataByRst) {
  Closed c;
  const auto answers = c.arrives(kPA, c.theirs, 13);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kR);
  EXPECT_EQ(answers[0].seq, c.mine);
  EXPECT_EQ(c.state(), std::nullopt);
  EXPECT_EQ(c.peer.count(Mib::kOutRsts), 1u);
  EXPECT_EQ(c.peer.count(Mib::kTW), 1u);
  EXPECT_EQ(c.peer.count(Mib::kTCPAbortOnData), 0u);
}

TEST(FinWait2, MiniSocketBecomesTimeWaitByAFin) {
  Closed c;
  const auto answers = c.arrives(kFA, c.theirs);
  c.theirs = c.theirs + 1;
  expect_old_ack(c, answers);
  EXPECT_EQ(c.state(), State::kTimeWait);
}

TEST(FinWait2, MiniSocketEndsSilentlyByARst) {
  Closed c;
  EXPECT_TRUE(c.arrives(kR, c.theirs + 5).empty());
  EXPECT_EQ(c.state(), std::nullopt);
}

// 6.5: S, A of the old stream, R, S, SA.
TEST(TimeWait, WithARefusedSynIsEndedByTheClientsOwnRst) {
  Closed c = in_time_wait();
  const auto answers = c.peer.arrives(kFrom, kS, c.theirs - 1000);
  expect_old_ack(c, answers);
  c.peer.arrives(kFrom, kR, answers[0].ack);
  EXPECT_EQ(c.state(), std::nullopt);
  EXPECT_EQ(c.peer.arrives(kFrom, kS, c.theirs - 1000).at(0).flags, kSA);
}

// Recorded from a running 6.18.44: the same segments in the same order, all within half a second; every
// counter of Tcp and TcpExt but InSegs.
struct Recorded {
  const char* what;
  std::uint8_t flags;  ///< of the segment; 0 with close: close()
  std::int32_t seq;    ///< from the peer's ISN
  std::uint32_t ack;   ///< from the host's ISN
  std::uint32_t bytes;
  std::optional<std::pair<std::uint8_t, std::uint32_t>>
      answer;  ///< flags, and its ACK number from the peer's ISN
  std::map<std::string, std::int64_t> moved;
};

void expect_recorded(Peer& peer, int fd, SeqNum isn, const std::vector<Recorded>& rows) {
  for (const Recorded& r : rows) {
    const Counters before = peer.host.counters();
    std::vector<Packet> answers;
    if (std::string_view{r.what} == "close") {
      peer.host.close(peer.now, fd, peer.step);
      answers = peer.step.sent;
      peer.collect();
    } else {
      answers =
          peer.arrives(kFrom, r.flags, Peer::kIsn + static_cast<std::uint32_t>(r.seq), isn + r.ack, r.bytes);
    }
    ASSERT_EQ(answers.size(), r.answer ? 1u : 0u) << r.what;
    if (r.answer) {
      EXPECT_EQ(answers[0].flags, r.answer->first) << r.what;
      EXPECT_TRUE(!(r.answer->first & kA) || answers[0].ack == Peer::kIsn + r.answer->second) << r.what;
    }
    std::map<std::string, std::int64_t> moved;
    for (std::size_t i = 0; i < kMibs; ++i) {
      const auto by = static_cast<std::int64_t>(peer.host.counters()[i] - before[i]);
      if (by != 0 && static_cast<Mib>(i) != Mib::kInSegs)
        moved[std::string{row(static_cast<Mib>(i)).name}] = by;
    }
    EXPECT_EQ(moved, r.moved) << r.what;
  }
}

TEST(TimeWait, SaysAndCountsAsRecordedOn618) {
  Peer peer;
  const int listener = peer.listen(5);
  SeqNum isn;
  const int fd = peer.connect(kFrom, listener, &isn);
  const std::pair<std::uint8_t, std::uint32_t> old_ack{kA, 2};
  expect_recorded(
      peer, fd, isn,
      {{"close", 0, 0, 0, 0, {{kFA, 1}}, {{"TCPOrigDataSent", 1}, {"CurrEstab", -1}, {"OutSegs", 1}}},
       {"ACK of the FIN", kA, 1, 2, 0, {}, {{"TW", 1}, {"TCPPureAcks", 1}, {"TCPDelivered", 1}}},
       {"FIN", kFA, 1, 2, 0, old_ack, {{"OutSegs", 1}}},
       {"old ACK", kA, -10, 2, 0, old_ack, {{"OutSegs", 1}}},
       {"old ACK", kA, -10, 2, 0, {}, {{"TCPACKSkippedTimeWait", 1}}},
       {"old data", kPA, -10, 2, 3, old_ack, {{"OutSegs", 1}}},
       {"low SYN", kS, -100, 0, 0, {}, {{"TCPACKSkippedTimeWait", 1}}},
       {"exact ACK", kA, 2, 2, 0, {}, {}},
       {"no ACK flag", kP, 100, 0, 0, {}, {{"TCPACKSkippedTimeWait", 1}}},
       {"high SYN-ACK", kSA, 4000, 2, 0, {}, {{"TCPACKSkippedTimeWait", 1}}},
       // Handed to the listener, who drops it: TIME_WAIT is gone all the same.
       {"high SYN with FIN", kS | kF, 4000, 0, 0, {}, {}},
       {"high SYN", kS, 4000, 0, 0, {{kSA, 4001}}, {{"OutSegs", 1}}}});
}

TEST(FinWait2, MiniSocketSaysAndCountsAsRecordedOn618) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_fin_timeout = 3; }};
  const int listener = peer.listen(5);
  SeqNum isn;
  const int fd = peer.connect(kFrom, listener, &isn);
  expect_recorded(
      peer, fd, isn,
      {{"close", 0, 0, 0, 0, {{kFA, 1}}, {{"TCPOrigDataSent", 1}, {"CurrEstab", -1}, {"OutSegs", 1}}},
       {"ACK of the FIN", kA, 1, 2, 0, {}, {{"TWKilled", 1}, {"TCPPureAcks", 1}, {"TCPDelivered", 1}}},
       {"old ACK", kA, -10, 2, 0, {{kA, 1}}, {{"OutSegs", 1}}},
       {"old ACK", kA, -10, 2, 0, {}, {{"TCPACKSkippedFinWait2", 1}}},
       {"no ACK flag", kP, 1, 0, 1, {}, {}},
       {"bare ACK", kA, 1, 2, 0, {}, {}},
       {"data", kPA, 1, 2, 1, {{kR, 0}}, {{"OutSegs", 1}, {"OutRsts", 1}}}});
}

}  // namespace
}  // namespace tcpwhy::model
