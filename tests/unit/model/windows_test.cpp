// Windows: what the peer lets us send, and what we let it send. RFC 9293 3.8.6, RFC 7323 2.

#include <gtest/gtest.h>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

constexpr std::uint32_t kMss = 1000;

/// A connection whose peer announced an MSS of 1,000 octets, and a window scale if asked to.
struct Connected : testing::TestWithParam<std::string_view> {
  Peer peer{GetParam()};
  int fd = -1;
  SeqNum isn;  ///< ours: the first octet of data is isn + 1
  SeqNum theirs = Peer::kIsn + 1;
  Packet synack;

  void connect(std::uint16_t window, std::optional<std::uint8_t> scale = {}, std::uint32_t rcvbuf = 0) {
    const int listener = peer.listen(10);
    if (rcvbuf != 0) peer.host.setsockopt(peer.now, listener, SocketOption::kRcvBuf, rcvbuf, peer.step);
    Packet syn = Peer::segment(kFrom, kS, Peer::kIsn);
    syn.options = Opt::kMss;
    syn.mss = kMss;
    if (scale) {
      syn.options |= Opt::kWindowScale;
      syn.window_scale = *scale;
    }
    synack = peer.arrives(syn).at(0);
    isn = synack.seq;
    ack(1, window);
    fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
    peer.host.set_blocking(fd, Blocking::kNo);
  }
  /// The peer acknowledges what lies before isn + `upto` and offers `window`, as on the wire.
  std::vector<Packet> ack(std::uint32_t upto, std::uint16_t window, std::uint32_t seq_back = 0) {
    Packet p = Peer::segment(kFrom, kA, theirs - seq_back, isn + upto);
    p.window = window;
    return peer.arrives(p);
  }
  std::vector<Packet> data(std::uint32_t bytes) {
    Packet p = Peer::segment(kFrom, kPA, theirs, isn + 1, bytes);
    auto answers = peer.arrives(p);
    theirs = theirs + bytes;
    return answers;
  }
  /// Octets that left at once.
  std::uint32_t send(std::uint32_t bytes) {
    peer.step.clear();
    peer.host.send(peer.now, fd, bytes, 0, {}, peer.step);
    return left(peer.step.sent);
  }
  std::vector<Packet> read(std::uint32_t bytes) {
    peer.step.clear();
    peer.host.recv(peer.now, fd, bytes, 0, nullptr, peer.step);
    return peer.step.sent;
  }
  static std::uint32_t left(const std::vector<Packet>& packets) {
    std::uint32_t n = 0;
    for (const Packet& p : packets) n += p.payload_bytes;
    return n;
  }
  static constexpr std::uint16_t kFrom = 40'000;
};

using Windows = Connected;

TEST_P(Windows, NothingIsSentBeyondThePeersWindow) {
  connect(2500);
  EXPECT_EQ(send(6000), 2000u);  // two whole segments of 1,000 fit
}

TEST_P(Windows, AnAckThatOpensTheWindowReleasesWhatWaited) {
  connect(2000);
  EXPECT_EQ(send(6000), 2000u);
  EXPECT_EQ(left(ack(2001, 2000)), 2000u);
}

TEST_P(Windows, AScaleMultipliesEveryWindowButThatOfTheSyn) {
  connect(20, 7);
  EXPECT_EQ(peer.host.tcp_info(peer.now, fd)->snd_wscale, 7u);
  EXPECT_EQ(send(5000), 2000u);  // 20 << 7 holds two segments of 1,000
}

TEST_P(Windows, WithoutAScaleInTheSynOursIsNotSaidEither) {
  connect(1000);
  EXPECT_FALSE(synack.has(Opt::kWindowScale));
  EXPECT_EQ(peer.host.tcp_info(peer.now, fd)->rcv_wscale, 0u);
}

TEST_P(Windows, AScaleAboveFourteenCountsAsFourteen) {
  connect(1, 15);
  EXPECT_EQ(peer.host.tcp_info(peer.now, fd)->snd_wscale, 14u);
}

TEST_P(Windows, AnOlderSegmentDoesNotMoveTheWindow) {
  connect(3000);
  data(10);
  ack(1, 0, 5);  // its SEQ lies before that of the segment the window came with
  EXPECT_EQ(send(2000), 2000u);
}

TEST_P(Windows, AZeroWindowIsProbedWithOneOldOctetAndEverMoreSlowly) {
  connect(1000);
  EXPECT_EQ(send(1000), 1000u);
  ack(1001, 0);
  EXPECT_EQ(send(500), 0u);
  const std::size_t before = peer.sent.size();
  peer.wait(10s);
  ASSERT_GE(peer.sent.size(), before + 4);
  for (std::size_t i = before; i < peer.sent.size(); ++i) {
    EXPECT_EQ(peer.sent[i].packet.seq, isn + 1000);  // an octet that was acknowledged: the answer tells the window
    EXPECT_EQ(peer.sent[i].packet.payload_bytes, 0u);
  }
  const auto wait = [&](std::size_t i) { return (peer.sent[before + i].at - peer.sent[before + i - 1].at) / 1ms; };
  EXPECT_NEAR(static_cast<double>(wait(2)), 2.0 * static_cast<double>(wait(1)), 0.2 * static_cast<double>(wait(2)));
  EXPECT_NEAR(static_cast<double>(wait(3)), 2.0 * static_cast<double>(wait(2)), 0.2 * static_cast<double>(wait(3)));
  EXPECT_TRUE(peer.fired(Rule::kZeroWindowProbe));
}

TEST_P(Windows, ALostWindowUpdateIsMadeGoodByTheAnswerToAProbe) {
  connect(1000);
  send(1000);
  ack(1001, 0);
  send(500);
  peer.wait(3s);
  EXPECT_EQ(left(ack(1001, 1000)), 500u);
}

TEST_P(Windows, AProbedPeerThatAnswersIsNeverGivenUp) {
  connect(1000);
  send(1000);
  ack(1001, 0);
  send(500);
  for (int i = 0; i < 60; ++i) {
    peer.wait(120s);  // TCP_RTO_MAX: at least one probe
    ack(1001, 0);
  }
  EXPECT_EQ(peer.host.state(fd), State::kEstablished);
}

TEST_P(Windows, AWindowThatShrankHoldsBackWhatWasNotSentYet) {
  connect(4000);
  EXPECT_EQ(send(3000), 3000u);
  ack(1001, 500);  // the right edge falls from 4,001 to 1,501 (RFC 9293 3.8.6.2.1: discouraged, to be borne)
  EXPECT_EQ(send(2000), 0u);
  EXPECT_EQ(peer.host.state(fd), State::kEstablished);
  EXPECT_EQ(left(ack(3001, 2000)), 2000u);
}

TEST_P(Windows, TheEdgeWeOfferedIsNeverTakenBack) {
  connect(1000, {}, 8192);
  for (int i = 0; i < 200; ++i) {
    data(10);
    peer.wait(50ms);
  }
  SeqNum edge = synack.ack;
  for (const Sent& s : peer.sent) {
    if (s.packet.syn()) continue;
    const SeqNum now = s.packet.ack + s.packet.window;
    EXPECT_FALSE(before(now, edge));
    edge = now;
  }
}

TEST_P(Windows, AFullBufferOffersNothingAndReadingLittleIsNoNews) {
  connect(1000, {}, 8192);
  std::uint32_t taken = 0;
  while (peer.host.tcp_info(peer.now, fd)->rcv_wnd >= 500 && taken < 40'000) {
    data(500);
    taken += 500;
    peer.wait(300ms);
  }
  ASSERT_LT(taken, 40'000u);
  EXPECT_TRUE(read(10).empty());       // RFC 9293 3.8.6.2.2: no update for less than a segment or half the buffer
  EXPECT_EQ(read(taken).size(), 1u);   // all of it is worth telling
}

TEST_P(Windows, DataBeyondOurWindowIsAnsweredWithWhereWeStandAndNotKept) {
  connect(1000);
  const std::uint32_t window = peer.host.tcp_info(peer.now, fd)->rcv_wnd;
  Packet p = Peer::segment(kFrom, kPA, theirs + window + 1000, isn + 1, 100);
  const auto answers = peer.arrives(p);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].ack, theirs);
  EXPECT_EQ(peer.host.siocinq(peer.now, fd).value, 0);
}

TEST_P(Windows, SegmentsAreNoLargerThanHalfOfTheLargestWindowSeen) {
  connect(600);  // Linux tcp_bound_to_half_wnd(): against a peer that never offers two segments
  EXPECT_EQ(send(900), 600u);
  std::vector<std::uint32_t> sizes;
  for (const Packet& p : peer.step.sent) sizes.push_back(p.payload_bytes);
  EXPECT_EQ(sizes, (std::vector<std::uint32_t>{300, 300}));
}

INSTANTIATE_TEST_SUITE_P(Kernels, Windows, testing::Values("2.6.32", "el7", "4.4", "5.15", "6.18"));

}  // namespace
}  // namespace tcpwhy::model
