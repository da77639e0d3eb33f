// A listener under the floods of the articles, and the door of LISTEN. linux-tcp 2, 3.1, 12.1, 12.2, 12.7.

#include <gtest/gtest.h>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

/// listen(1) as the articles had it; SYNs of hping3: no options, window 512.
Peer flooded(std::string_view kernel, int syncookies, int syns) {
  Peer peer{kernel, [&](HostConfig& c) {
              c.sysctls.tcp_syncookies = syncookies;
              c.sysctls.tcp_max_syn_backlog = 81920;
              c.sysctls.somaxconn = 65535;
              c.sysctls.tcp_synack_retries = 2;
            }};
  peer.listen(1);
  for (int i = 0; i < syns; ++i) {
    Packet syn =
        Peer::segment(static_cast<std::uint16_t>(1024 + i), kS, Peer::kIsn + static_cast<std::uint32_t>(i));
    syn.window = 512;
    peer.arrives(syn);
    peer.wait(1ms);
  }
  return peer;
}

struct Flood {
  std::string_view kernel;
  int syncookies, syns;
  std::size_t answers;
  std::uint64_t drops, overflows, do_cookies, full_drops, cookies;
};

class FloodedListener : public testing::TestWithParam<Flood> {};

TEST_P(FloodedListener, CountsWhatTheArticlesCounted) {
  const Flood f = GetParam();
  const Peer peer = flooded(f.kernel, f.syncookies, f.syns);
  EXPECT_EQ(peer.sent.size(), f.answers);
  for (const Sent& s : peer.sent) EXPECT_EQ(s.packet.flags, kSA);
  EXPECT_EQ(peer.count(Mib::kListenDrops), f.drops);
  EXPECT_EQ(peer.count(Mib::kListenOverflows), f.overflows);
  EXPECT_EQ(peer.count(Mib::kTCPReqQFullDoCookies), f.do_cookies);
  EXPECT_EQ(peer.count(Mib::kTCPReqQFullDrop), f.full_drops);
  EXPECT_EQ(peer.count(Mib::kSyncookiesSent), f.cookies);
  EXPECT_EQ(peer.count(Mib::kOutRsts), 0u);
}

INSTANTIATE_TEST_SUITE_P(Golden, FloodedListener,
                         testing::Values(Flood{"el7", 0, 542, 16, 526, 0, 0, 526, 0},     // 003-A
                                         Flood{"el7", 1, 282, 282, 266, 0, 266, 0, 266},  // 003-B
                                         Flood{"el7", 1, 455, 455, 439, 0, 439, 0, 439},  // 003-C1
                                         Flood{"el7", 0, 358, 16, 342, 0, 0, 342, 0},     // 003-C2
                                         Flood{"2.6.32", 0, 542, 16, 0, 0, 0, 0, 0},    // nothing is counted
                                         Flood{"el6", 1, 282, 282, 0, 0, 0, 0, 266},    //
                                         Flood{"3.10", 0, 542, 16, 526, 0, 0, 526, 0},  //
                                         Flood{"4.4", 0, 542, 1, 541, 0, 0, 541, 0},    //
                                         Flood{"4.4", 1, 282, 282, 281, 0, 281, 0, 281},  //
                                         Flood{"4.19", 1, 282, 282, 0, 0, 281, 0, 281},   //
                                         Flood{"6.18", 0, 542, 2, 540, 0, 0, 540, 0},     // M33
                                         Flood{"6.18", 1, 282, 282, 0, 0, 280, 0, 280},   //
                                         Flood{"6.18", 1, 455, 455, 0, 0, 453, 0, 453},   //
                                         Flood{"6.18", 0, 358, 2, 356, 0, 0, 356, 0}));

TEST(Listener, AnsweredByCookieASynWithoutTimestampsGetsMssOnly) {
  const Peer peer = flooded("el7", 1, 282);
  const Packet& last = peer.sent.back().packet;
  EXPECT_EQ(last.options, Opt::kMss);
  EXPECT_EQ(last.mss, 1460);
  EXPECT_EQ(last.window, 29200);
  EXPECT_EQ(last.ip_id, 0);
  EXPECT_TRUE(last.dont_fragment);
}

TEST(Listener, WithBacklogOneHoldsTwoConnectionsInItsAcceptQueue) {
  for (const std::string_view kernel : {"el7", "4.4", "4.19", "6.18"}) {
    Peer peer{kernel};
    const int fd = peer.listen(1);
    for (const std::uint16_t from : std::initializer_list<std::uint16_t>{4001, 4002, 4003}) {
      const SeqNum isn = peer.open(from);
      if (isn != SeqNum{}) peer.arrives(from, kA, Peer::kIsn + 1, isn + 1);
    }
    EXPECT_TRUE(peer.host.accept(peer.now, fd, nullptr, peer.step).ok()) << kernel;
    EXPECT_TRUE(peer.host.accept(peer.now, fd, nullptr, peer.step).ok()) << kernel;
    EXPECT_EQ(peer.host.accept(peer.now, fd, nullptr, peer.step).error, Errno::kEAGAIN) << kernel;
  }
}

// M29, 12.2 D: the client sees a dead host, not a hanging connection.
TEST(Listener, With618DropsEverySynWhileTheAcceptQueueIsFull) {
  Peer peer;
  const int fd = peer.listen(1);
  for (const std::uint16_t from : std::initializer_list<std::uint16_t>{4001, 4002}) {
    const SeqNum isn = peer.open(from);
    peer.arrives(from, kA, Peer::kIsn + 1, isn + 1);
  }
  EXPECT_TRUE(peer.arrives(4003, kS, Peer::kIsn).empty());
  EXPECT_TRUE(peer.fired(Rule::kAcceptQueueFull));
  EXPECT_EQ(peer.count(Mib::kListenOverflows), 1u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 1u);
  EXPECT_EQ(peer.count(Mib::kTCPReqQFullDrop), 0u);
  EXPECT_TRUE(peer.host.accept(peer.now, fd, nullptr, peer.step).ok());
  EXPECT_EQ(peer.arrives(4003, kS, Peer::kIsn).size(), 1u);
}

// M1: the last quarter of tcp_max_syn_backlog.
TEST(Listener, WithoutCookiesKeepsTheLastQuarterForProvenPeers) {
  for (const auto& [most, held] : {std::pair{16, 13u}, std::pair{100, 76u}}) {
    Peer peer{"6.18", [m = most](HostConfig& c) {
                c.sysctls.tcp_syncookies = 0;
                c.sysctls.tcp_max_syn_backlog = m;
              }};
    peer.listen(1000);
    for (std::uint16_t i = 0; i < 127; ++i) peer.open(static_cast<std::uint16_t>(2000 + i));
    EXPECT_EQ(peer.sent.size(), held);
    EXPECT_EQ(peer.count(Mib::kListenDrops), 127u - held);
    EXPECT_EQ(peer.count(Mib::kTCPReqQFullDrop), 0u);
  }
}

// M32
TEST(Listener, OfBacklogZeroOn618AdmitsOneRequestAtATime) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 0; }};
  peer.listen(0);
  for (std::uint16_t i = 0; i < 5; ++i) peer.open(static_cast<std::uint16_t>(3000 + i));
  EXPECT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.count(Mib::kTCPReqQFullDrop), 4u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 4u);
}

// M30, M31; linux-tcp 2.1.
TEST(Listener, AnswersAnAckByRstAndIgnoresWhateverElseIsNoSyn) {
  Peer peer;
  peer.listen(5);
  for (const std::uint8_t flags :
       {std::uint8_t{0}, kF, kR, kRA, std::uint8_t{kS | kF}, std::uint8_t{kF | kP | Flag::kUrg}})
    EXPECT_TRUE(peer.arrives(4007, flags, Peer::kIsn, SeqNum{77}).empty()) << int{flags};
  for (const std::uint8_t flags : {kA, kSA, kFA, kPA}) {
    const auto answers = peer.arrives(4007, flags, Peer::kIsn, SeqNum{77});
    ASSERT_EQ(answers.size(), 1u) << int{flags};
    EXPECT_EQ(answers[0].flags, kR);
    EXPECT_EQ(answers[0].seq, SeqNum{77});
    EXPECT_EQ(answers[0].window, 0);
    EXPECT_EQ(answers[0].options, 0);
  }
  EXPECT_EQ(peer.count(Mib::kOutRsts), 4u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 0u);
}

TEST(Listener, Of2632TakesSynWithFinAsASyn) {
  Peer peer{"2.6.32"};
  peer.listen(5);
  const auto answers = peer.arrives(4007, kS | kF, Peer::kIsn);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kSA);
}

// Seed 001: exact test of 12.4.
TEST(Listener, WithTwRecycleRefusesOlderTimestampsOfAnAddressForAMinute) {
  Peer peer{"el7", [](HostConfig& c) { c.sysctls.tcp_tw_recycle = 1; }};
  const int listener = peer.listen(100);
  const auto stamped = [](std::uint16_t from, std::uint8_t flags, SeqNum seq, SeqNum ack, std::uint32_t tsval,
                          std::uint32_t tsecr) {
    Packet p = Peer::segment(from, flags, seq, ack);
    p.options = Opt::kTimestamps;
    p.tsval = tsval;
    p.tsecr = tsecr;
    return p;
  };
  constexpr std::uint32_t kStored = 900'000'000;
  // The first client connects, and the server closes first.
  const Packet synack = peer.arrives(stamped(5001, kS, Peer::kIsn, SeqNum{}, kStored, 0)).at(0);
  peer.arrives(stamped(5001, kA, Peer::kIsn + 1, synack.seq + 1, kStored, synack.tsval));
  const int fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
  peer.host.close(peer.now, fd, peer.step);
  peer.collect();
  peer.arrives(stamped(5001, kA, Peer::kIsn + 1, synack.seq + 2, kStored, synack.tsval));
  peer.arrives(stamped(5001, kFA, Peer::kIsn + 1, synack.seq + 2, kStored, synack.tsval));
  ASSERT_TRUE(peer.fired(Rule::kTimeWaitEntered));
  // The second, behind the same address, has the smaller clock.
  int refused = 0;
  for (const Duration gap : {1s, 1s, 2s, 4s, 8s, 16s}) {
    peer.wait(gap);
    if (peer.arrives(stamped(5002, kS, Peer::kIsn, SeqNum{}, 50'000, 0)).empty()) ++refused;
  }
  EXPECT_EQ(refused, 6);
  EXPECT_TRUE(peer.fired(Rule::kRecycleRefused));
  EXPECT_EQ(peer.count(Mib::kPAWSPassive), 6u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 6u);
  EXPECT_EQ(peer.arrives(stamped(5003, kS, Peer::kIsn, SeqNum{}, kStored - 1, 0)).size(), 1u);
  EXPECT_TRUE(peer.arrives(stamped(5004, kS, Peer::kIsn, SeqNum{}, kStored - 2, 0)).empty());
  EXPECT_TRUE(peer.arrives(5005, kS, Peer::kIsn).empty()) << "el7 refuses SYNs without timestamps too";
  peer.wait(32s);
  EXPECT_EQ(peer.arrives(stamped(5002, kS, Peer::kIsn, SeqNum{}, 50'000, 0)).size(), 1u);
}

TEST(Listener, ThatClosesResetsFastOpenChildrenInSynRecvAndWhoStandsBehindThem) {
  // inet_csk_listen_stop(): each in the accept queue is disconnected, and SYN_RECV is a state whose abort the peer is told of.
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_fastopen = 0x203; }};
  const int listener = peer.listen(10);
  peer.host.setsockopt(peer.now, listener, SocketOption::kFastOpen, 5, peer.step);
  const Packet synack = peer.arrives(5001, kS, Peer::kIsn, SeqNum{}, 10).at(0);
  ASSERT_EQ(synack.ack, Peer::kIsn + 11) << "the SYN's data is taken without a cookie";
  const SeqNum second = peer.open(5002);
  peer.arrives(5002, kA, Peer::kIsn + 1, second + 1);
  peer.step.clear();
  peer.host.close(peer.now, listener, peer.step);
  ASSERT_EQ(peer.step.sent.size(), 2u);
  for (const Packet& p : peer.step.sent) EXPECT_TRUE(p.rst()) << p.destination_port;
  EXPECT_EQ(peer.step.sent[0].destination_port, 5001);
  EXPECT_EQ(peer.step.sent[0].seq, synack.seq + 1);
  EXPECT_EQ(peer.step.sent[1].destination_port, 5002);
  peer.collect();
  EXPECT_TRUE(peer.host.sockets(peer.now).empty());
  const std::size_t before = peer.sent.size();
  peer.wait(200s);
  EXPECT_EQ(peer.sent.size(), before) << "the SYN-ACK is not repeated for a child that is gone";
  const auto late = peer.arrives(5001, kA, Peer::kIsn + 11, synack.seq + 1);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_TRUE(late[0].rst());
}

TEST(Listener, ThatClosesForgetsAFastOpenChildThatWasResetBefore) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_fastopen = 0x203; }};
  const int listener = peer.listen(10);
  peer.host.setsockopt(peer.now, listener, SocketOption::kFastOpen, 5, peer.step);
  peer.arrives(5001, kS, Peer::kIsn, SeqNum{}, 10);
  peer.arrives(5001, kR, Peer::kIsn + 11);
  peer.step.clear();
  peer.host.close(peer.now, listener, peer.step);
  EXPECT_TRUE(peer.step.sent.empty()) << "no RST for a RST";
  peer.collect();
  EXPECT_TRUE(peer.host.sockets(peer.now).empty());
}

}  // namespace
}  // namespace tcpwhy::model
