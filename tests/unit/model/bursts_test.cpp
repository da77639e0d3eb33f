// A burst is one buffer and one header until the device cuts it: what is counted once for it, and what an ACK that ends
// inside it does. Found by `lab fuzz` on 6.18.44. Linux __tcp_transmit_skb(), tcp_tso_acked(), tcp_ack().

#include <gtest/gtest.h>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

struct Bursts : testing::Test {
  Peer peer;
  int fd = -1;
  SeqNum isn;

  /// A connection of 100 octets a segment, with SACK.
  void connect(std::uint32_t rcvbuf = 0) {
    const int listener = peer.listen(10);
    if (rcvbuf != 0) peer.host.setsockopt(peer.now, listener, SocketOption::kRcvBuf, rcvbuf, peer.step);
    Packet syn = Peer::segment(kFrom, kS, Peer::kIsn);
    syn.options = Opt::kMss | Opt::kSackPermitted;
    syn.mss = 100;
    isn = peer.arrives(syn).at(0).seq;
    ack(1);
    fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
    peer.host.set_blocking(fd, Blocking::kNo);
  }
  std::vector<Packet> ack(std::uint32_t upto, std::optional<std::pair<std::uint32_t, std::uint32_t>> sack = {}) {
    Packet p = Peer::segment(kFrom, kA, Peer::kIsn + 1, isn + upto);
    p.window = 64'000;
    if (sack) {
      p.options = Opt::kSack;
      p.sack_blocks = 1;
      p.sack[0] = isn + sack->first;
      p.sack[1] = isn + sack->second;
    }
    return peer.arrives(p);
  }
  std::size_t send(std::uint32_t bytes) {
    peer.step.clear();
    peer.host.send(peer.now, fd, bytes, 0, {}, peer.step);
    return peer.step.sent.size();
  }
  static constexpr std::uint16_t kFrom = 40'000;
};

TEST_F(Bursts, AnAckThatEndsInsideABurstIsNoReorderingWhenTheRestComes) {
  connect();
  ASSERT_EQ(send(1000), 10u);  // the initial window, two segments a burst
  ack(950);
  ack(1001);
  EXPECT_EQ(peer.count(Mib::kTCPSACKReorder), 0u);
}

TEST_F(Bursts, AZeroWindowThatIsWantedCountsOnceForABurst) {
  connect(1152);
  Packet data = Peer::segment(kFrom, kPA, Peer::kIsn + 1, isn + 1, 1000);
  peer.arrives(data);  // fills the buffer; nobody reads
  const std::uint64_t before = peer.count(Mib::kTCPWantZeroWindowAdv);
  ASSERT_EQ(send(1000), 10u);
  const auto bursts = std::count_if(peer.step.sent.begin(), peer.step.sent.end(), [](const Packet& p) { return p.flags & Flag::kPsh; });
  ASSERT_LT(bursts, 10);
  EXPECT_EQ(peer.count(Mib::kTCPWantZeroWindowAdv) - before, static_cast<std::uint64_t>(bursts));
}

TEST_F(Bursts, ASackInAnAckOlderThanTheLastMarksButDoesNotDeliver) {
  connect();
  ASSERT_EQ(send(1000), 10u);
  ack(201);
  const std::uint64_t before = peer.count(Mib::kTCPDelivered);
  ack(101, std::pair{401u, 601u});
  EXPECT_EQ(peer.count(Mib::kTCPDelivered), before);
  EXPECT_EQ(peer.host.tcp_info(peer.now, fd)->sacked, 2u);
}

TEST(SynAckTimeout, IsUndoneByTheFirstOddAckOfTheChildSince52) {
  // `lab fuzz` on 6.18.44, seed 13001666: tcp_create_openreq_child() marks the child, whose own repeats nobody has counted yet,
  // and tcp_try_undo_dsack() is asked in the open state too. 4.19 has no such mark.
  for (const auto& [kernel, undone] : {std::pair{"6.18", 1u}, std::pair{"4.19", 0u}}) {
    Peer peer{kernel};
    const int listener = peer.listen(10);
    Packet syn = Peer::segment(40'000, kS, Peer::kIsn);
    syn.options = Opt::kMss | Opt::kSackPermitted;
    syn.mss = 100;
    const SeqNum isn = peer.arrives(syn).at(0).seq;
    peer.wait(1500ms);  // the SYN-ACK is repeated once
    peer.arrives(40'000, kA, Peer::kIsn + 1, isn + 1);
    const int fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
    peer.host.send(peer.now, fd, 300, 0, {}, peer.step);
    EXPECT_EQ(peer.count(Mib::kTCPDSACKUndo), 0u);
    Packet odd = Peer::segment(40'000, kA, Peer::kIsn + 1, isn + 1);
    odd.options = Opt::kSack;
    odd.sack_blocks = 1;
    odd.sack[0] = isn + 101;
    odd.sack[1] = isn + 201;
    peer.arrives(odd);
    EXPECT_EQ(peer.count(Mib::kTCPDSACKUndo), undone) << kernel;
  }
}

TEST(SendLag, WhatWasSentAMomentAfterTheLastDeliveredRepeatIsGivenThatMoment) {
  // `lab fuzz` on 6.18.44, seed 9001009: tcp_write_xmit() looks at the clock anew, and RACK (RFC 8985 6.2) goes by the microsecond.
  for (const auto& [lag, repeats] : {std::pair{Duration{}, true}, std::pair{Duration{20us}, false}}) {
    Peer peer{"6.18", [lag = lag](HostConfig& h) { h.send_lag = lag; }};
    const int listener = peer.listen(10);
    Packet syn = Peer::segment(40'000, kS, Peer::kIsn);
    syn.options = Opt::kMss | Opt::kSackPermitted;
    syn.mss = 100;
    const SeqNum isn = peer.arrives(syn).at(0).seq;
    const auto ack = [&](std::uint32_t upto, std::uint32_t left, std::uint32_t right) {
      peer.wait(30ms);
      Packet p = Peer::segment(40'000, kA, Peer::kIsn + 1, isn + upto);
      p.window = 32'000;
      if (left != 0) {
        p.options = Opt::kSack;
        p.sack_blocks = 1;
        p.sack[0] = isn + left;
        p.sack[1] = isn + right;
      }
      return peer.arrives(p);
    };
    ack(1, 0, 0);
    const int fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
    peer.host.send(peer.now, fd, 4000, 0, {}, peer.step);
    const auto answer = ack(1, 201, 1001);  // two segments repeated, and new ones behind them
    ASSERT_TRUE(std::any_of(answer.begin(), answer.end(), [&](const Packet& p) { return p.seq == isn + 1; }));
    const SeqNum fresh = isn + 1001;
    ASSERT_TRUE(std::any_of(answer.begin(), answer.end(), [&](const Packet& p) { return p.seq == fresh; }));
    const auto next = ack(101, 1201, 1301);
    EXPECT_EQ(std::any_of(next.begin(), next.end(), [&](const Packet& p) { return p.seq == fresh; }), repeats) << lag.count();
  }
}

}  // namespace
}  // namespace tcpwhy::model
