// What a socket's buffers cost, where it can be seen from outside. Numbers are those of 6.18.44 (tcpi_rcv_ssthresh, packetdrill).

#include <gtest/gtest.h>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

constexpr std::uint16_t kFrom = 40'000;

struct Receiver {
  // The buffers of the machine the numbers are from.
  explicit Receiver(std::string_view kernel = "6.18") : peer{kernel, [](HostConfig& h) { h.small_head = 256; }} {}
  Peer peer;
  int fd = -1;
  SeqNum isn;

  void connect(std::uint32_t rcvbuf, std::uint8_t options) {
    const int listener = peer.listen(8);
    if (rcvbuf != 0) peer.host.setsockopt(peer.now, listener, SocketOption::kRcvBuf, rcvbuf, peer.step);
    Packet syn = Peer::segment(kFrom, kS, Peer::kIsn);
    syn.options = static_cast<std::uint8_t>(Opt::kMss | options);
    syn.mss = 100;
    syn.window_scale = 7;
    syn.tsval = stamp;
    isn = peer.arrives(syn).at(0).seq;
    data_options = options & Opt::kTimestamps;
    peer.wait(30ms);
    arrives(1, 0);
    fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
  }
  /// `bytes` from the peer's octet `at` on; the answer's ACK, as a distance from the peer's ISN.
  std::uint32_t arrives(std::uint32_t at, std::uint32_t bytes) {
    peer.wait(100ms);
    Packet p = Peer::segment(kFrom, kPA, Peer::kIsn + at, isn + 1, bytes);
    p.options = data_options;
    p.tsval = stamp += 100;
    p.window = 500;
    const auto answers = peer.arrives(p);
    return answers.empty() ? 0 : distance(Peer::kIsn, answers.back().ack);
  }
  std::uint32_t rcv_ssthresh() { return peer.host.tcp_info(peer.now, fd)->rcv_ssthresh; }
  std::uint8_t data_options = 0;
  std::uint32_t stamp = 1'000'000;
};

TEST(SocketMemory, TheReceiveBufferGrowsForWhatLiesBeyondAHole) {
  constexpr std::uint8_t kAll = Opt::kSackPermitted | Opt::kTimestamps | Opt::kWindowScale;
  Receiver with_hole, without;
  for (Receiver* r : {&with_hole, &without}) r->connect(0, kAll);
  with_hole.arrives(101, 100);
  without.arrives(1, 100);
  EXPECT_EQ(with_hole.rcv_ssthresh(), 15360u);
  EXPECT_EQ(without.rcv_ssthresh(), 15360u);
  with_hole.arrives(1, 1000);
  without.arrives(101, 1000);
  EXPECT_EQ(with_hole.rcv_ssthresh(), 68432u);
  EXPECT_EQ(without.rcv_ssthresh(), 56832u);
}

TEST(SocketMemory, BuffersBeyondAHoleThatTouchAreSqueezedBeforeAnythingIsThrownAway) {
  Receiver r;
  r.connect(1000, 0);
  r.arrives(2, 100);
  r.arrives(102, 1000);
  r.arrives(1102, 100);
  EXPECT_EQ(r.peer.count(Mib::kTCPOFODrop), 0u);
  EXPECT_EQ(r.arrives(1, 1), 1202u);  // the hole is filled: all of it is there
}

TEST(SocketMemory, LoneSegmentsBeyondHolesEndTheSearchForThoseThatTouch) {
  // `lab fuzz` on 6.18.44, seeds 7008919 and 7009368; tcp_collapse_ofo_queue() gives up behind an eighth of the buffer.
  Receiver lone, touching;
  for (Receiver* r : {&lone, &touching}) {
    r->connect(1000, Opt::kTimestamps);
    r->arrives(r == &lone ? 202 : 802, 200);
    r->arrives(602, 50);
    r->arrives(502, 100);
    r->arrives(1052, 50);
    EXPECT_EQ(r->peer.count(Mib::kPruneCalled), 1u);
  }
  EXPECT_EQ(lone.peer.count(Mib::kTCPOFODrop), 1u);
  EXPECT_EQ(lone.peer.count(Mib::kRcvPruned), 1u);
  EXPECT_EQ(lone.peer.count(Mib::kTCPRcvCollapsed), 0u);
  EXPECT_EQ(touching.peer.count(Mib::kTCPOFODrop), 0u);
  EXPECT_EQ(touching.peer.count(Mib::kTCPRcvCollapsed), 2u);
}

TEST(SocketMemory, WhatIsThrownAwayBeyondAHoleIsNoLongerSacked) {
  // `lab fuzz` on 6.18.44, seed 7008919; RFC 2018 8 allows it.
  Receiver r;
  r.connect(1000, Opt::kSackPermitted);
  r.arrives(502, 50);
  r.arrives(702, 100);
  r.arrives(802, 200);
  r.arrives(802, 50);
  EXPECT_EQ(r.peer.count(Mib::kOfoPruned), 1u);
  r.peer.wait(10ms);
  const Packet& said = r.peer.sent.back().packet;
  ASSERT_EQ(said.sack_blocks, 1u);
  EXPECT_EQ(said.sack[0], Peer::kIsn + 802);
}

TEST(HeaderPrediction, RemembersTheTimestampOfAnAckThatIsTooOldToBeBelieved) {
  // `lab fuzz` on 6.18.44, seed 3001204; tcp_rcv_established() stores it before tcp_ack() looks at the number.
  Receiver r;
  r.connect(0, Opt::kTimestamps);
  Packet old = Peer::segment(kFrom, kA, Peer::kIsn + 1, r.isn + 1 - 100'000);
  old.options = Opt::kTimestamps;
  old.tsval = r.stamp + 5000;
  old.window = 500;
  r.peer.arrives(old);
  EXPECT_EQ(r.arrives(1, 100), 1u);  // older than that: refused (RFC 7323 5.3)
}

TEST(SocketMemory, AnOpeningThatIcmpEndedIsAnErrorForPollEvenWhenItWasTaken) {
  for (const auto& [kernel, stays] : {std::pair{"6.18", true}, std::pair{"5.15", false}}) {
    Peer peer{kernel};
    const int fd = static_cast<int>(peer.host.socket(peer.now, Family::kInet, Blocking::kNo, peer.step).value);
    peer.step.clear();
    peer.host.connect(peer.now, fd, {Peer::kPeer, 80}, peer.step);
    Packet quoted = peer.step.sent.at(0);
    quoted.kind = PacketKind::kIcmp;
    quoted.icmp_type = 3;  // unreachable,
    quoted.icmp_code = 0;  // the network
    peer.arrives(quoted);
    EXPECT_EQ(peer.host.send(peer.now, fd, 1, 0, {}, peer.step).error, Errno::kENETUNREACH) << kernel;
    EXPECT_EQ((peer.host.poll(peer.now, fd).value & PollEvents::kErr) != 0, stays) << kernel;
  }
}

}  // namespace
}  // namespace tcpwhy::model
