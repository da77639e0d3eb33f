// Requests: the third ACK, what else they believe, and their timers. linux-tcp 3, 4, 5, 9.2, 12.7.

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "peer.hpp"

namespace tcpwhy::model {
namespace {

/// When SYN-ACKs left, in seconds after the first.
std::vector<double> schedule(const Peer& peer) {
  std::vector<double> at;
  for (const Sent& s : peer.sent)
    if (s.packet.flags == kSA) at.push_back(seconds(s.at - peer.sent.front().at));
  return at;
}

// linux-tcp 3.3: nominal, at most an eighth and a tick late, never early.
TEST(Request, RepeatsItsSynAckByDoublingAndIsForgotten) {
  Peer peer;
  peer.listen(128);
  peer.open(4001);
  peer.wait(80s);
  const std::vector<double> nominal = {0, 1, 3, 7, 15, 31};
  const auto at = schedule(peer);
  ASSERT_EQ(at.size(), nominal.size());
  for (std::size_t i = 0; i < at.size(); ++i) {
    EXPECT_GE(at[i], nominal[i]);
    EXPECT_LE(at[i], nominal[i] * 1.125 + 0.05);
  }
  EXPECT_TRUE(peer.fired(Rule::kRequestExpired));
  EXPECT_EQ(peer.count(Mib::kTCPTimeouts), 6u);
  EXPECT_EQ(peer.count(Mib::kRetransSegs), 5u);
  EXPECT_EQ(peer.count(Mib::kTCPSynRetrans), 5u);
  EXPECT_EQ(peer.count(Mib::kAttemptFails), 0u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 0u);
}

// linux-tcp 3.4: the rows of the table for a listen() of up to 15.
TEST(Request, OfATableKernelWaitsForTheHandOf200Milliseconds) {
  const std::vector<std::array<double, 3>> rows = {{1.0, 3.0, 7.4}, {1.0, 3.2, 7.4}, {1.2, 3.2, 7.6},
                                                   {1.2, 3.4, 7.6}, {1.4, 3.4, 7.8}, {1.4, 3.6, 7.8}};
  std::array<int, 6> seen{};
  for (std::uint16_t from = 4001; from < 4101; ++from) {
    Peer peer{"el7"};
    peer.listen(1);
    peer.open(from);
    peer.wait(12s);
    const auto at = schedule(peer);
    ASSERT_EQ(at.size(), 4u);
    bool found = false;
    for (std::size_t r = 0; r < rows.size(); ++r)
      if (std::abs(at[1] - rows[r][0]) < 0.01 && std::abs(at[2] - rows[r][1]) < 0.01 &&
          std::abs(at[3] - rows[r][2]) < 0.01) {
        found = true;
        ++seen[r];
      }
    EXPECT_TRUE(found) << at[1] << ' ' << at[2] << ' ' << at[3];
  }
  for (const int n : seen) EXPECT_GT(n, 0);
}

TEST(Request, IsGivenUpEarlierInACrowdOfOldOnes) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 0; }};
  peer.listen(8);
  for (std::uint16_t i = 0; i < 9; ++i) peer.open(static_cast<std::uint16_t>(4001 + i));
  peer.wait(60s);
  // Measured on 6.18: five go after their third SYN-ACK; then the queue is crowded no more, and four stay to
  // the end.
  EXPECT_EQ(peer.sent.size(), 39u);
  EXPECT_TRUE(peer.fired(Rule::kRequestAged));

  Peer calm;
  calm.listen(8);
  for (std::uint16_t i = 0; i < 4; ++i) calm.open(static_cast<std::uint16_t>(4001 + i));
  calm.wait(60s);
  EXPECT_EQ(calm.sent.size(), 24u);
}

/// A listener with room for nobody: two connections wait, and a request came before they did.
struct Overflow {
  Peer peer;
  int listener = -1;
  SeqNum isn;
  explicit Overflow(std::string_view kernel, int abort_on_overflow = 0)
      : peer{kernel, [&](HostConfig& c) {
               c.sysctls.tcp_abort_on_overflow = abort_on_overflow;
               c.sysctls.tcp_synack_retries = 2;
             }} {
    listener = peer.listen(1);
    const SeqNum a = peer.open(4001);
    const SeqNum b = peer.open(4002);
    peer.arrives(4001, kA, Peer::kIsn + 1, a + 1);
    peer.arrives(4002, kA, Peer::kIsn + 1, b + 1);
    isn = peer.open(4003);
    peer.sent.clear();
  }
};

// 003-D: one count per ACK, the SYN-ACK repeated, no RST ever.
TEST(Request, WhoseThirdAckFindsNoRoomCountsEveryAckAndSendsNoRst) {
  Overflow o{"el7"};
  ASSERT_NE(o.isn, SeqNum{});
  EXPECT_TRUE(o.peer.arrives(4003, kA, Peer::kIsn + 1, o.isn + 1).empty());
  EXPECT_TRUE(o.peer.fired(Rule::kThirdAckIgnored));
  for (int repeats = 0; repeats < 2;) {
    o.peer.wait(1ms);
    if (o.peer.sent.empty()) continue;
    EXPECT_EQ(o.peer.sent.front().packet.flags, kSA);
    EXPECT_EQ(o.peer.sent.front().packet.seq, o.isn);
    o.peer.sent.clear();
    o.peer.arrives(4003, kA, Peer::kIsn + 1, o.isn + 1);
    ++repeats;
  }
  o.peer.wait(20s);
  EXPECT_EQ(o.peer.count(Mib::kListenOverflows), 3u);
  EXPECT_EQ(o.peer.count(Mib::kListenDrops), 3u);
  EXPECT_EQ(o.peer.count(Mib::kOutRsts), 0u);
  // 003-G: data after the request is gone meets the listener.
  const auto answers = o.peer.arrives(4003, kPA, Peer::kIsn + 1, o.isn + 1, 90);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kR);
  EXPECT_EQ(answers[0].seq, o.isn + 1);
}

TEST(Request, BecomesAConnectionAsSoonAsThereIsRoom) {
  Overflow o{"el7"};
  o.peer.arrives(4003, kPA, Peer::kIsn + 1, o.isn + 1, 90);
  EXPECT_TRUE(o.peer.host.accept(o.peer.now, o.listener, nullptr, o.peer.step).ok());
  o.peer.arrives(4003, kPA, Peer::kIsn + 1, o.isn + 1, 90);
  EXPECT_TRUE(o.peer.fired(Rule::kRequestBecomesChild));
  EXPECT_EQ(o.peer.count(Mib::kListenOverflows), 1u);
}

// 003-F
TEST(Request, WithAbortOnOverflowIsResetAtItsThirdAck) {
  Overflow o{"el7", 1};
  const auto answers = o.peer.arrives(4003, kA, Peer::kIsn + 1, o.isn + 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kR);
  EXPECT_EQ(answers[0].seq, o.isn + 1);
  EXPECT_EQ(answers[0].window, 0);
  EXPECT_NE(answers[0].ip_id, 0);
  EXPECT_EQ(o.peer.count(Mib::kListenOverflows), 1u);
  EXPECT_EQ(o.peer.count(Mib::kListenDrops), 1u);
  EXPECT_EQ(o.peer.count(Mib::kEmbryonicRsts), 1u);
  EXPECT_EQ(o.peer.count(Mib::kOutRsts), 1u);
  EXPECT_EQ(o.peer.count(Mib::kAttemptFails), 0u);
}

// M7
TEST(Request, AnswersAWrongAckByRstAndStays) {
  Peer peer;
  const int listener = peer.listen(5);
  const SeqNum isn = peer.open(4001);
  const auto answers = peer.arrives(4001, kA, Peer::kIsn + 1, isn + 778);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kR);
  EXPECT_EQ(answers[0].seq, isn + 778);
  EXPECT_TRUE(peer.fired(Rule::kRequestWrongAck));
  peer.arrives(4001, kA, Peer::kIsn + 1, isn + 1);
  EXPECT_TRUE(peer.host.accept(peer.now, listener, nullptr, peer.step).ok());
}

// M8, M9
TEST(Request, Of618BelievesOnlyAnExactRst) {
  Peer peer;
  peer.listen(5);
  peer.open(4001);
  const auto answers = peer.arrives(4001, kR, Peer::kIsn + 11);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kA);
  EXPECT_EQ(answers[0].ack, Peer::kIsn + 1);
  EXPECT_EQ(peer.count(Mib::kTCPChallengeACK), 1u);
  EXPECT_TRUE(peer.arrives(4001, kR, Peer::kIsn + 1).empty());
  EXPECT_EQ(peer.count(Mib::kAttemptFails), 1u);
  EXPECT_EQ(peer.count(Mib::kEmbryonicRsts), 1u);

  Peer older{"6.1"};
  older.listen(5);
  older.open(4001);
  EXPECT_TRUE(older.arrives(4001, kR, Peer::kIsn + 11).empty());
  EXPECT_EQ(older.count(Mib::kEmbryonicRsts), 1u);
}

// Recorded from a running 6.18.44.
TEST(Request, Of618LooksOnlyAtTheNumberOfARst) {
  struct Row {
    std::uint8_t flags;
    std::uint32_t seq, bytes;
    bool deleted, challenged;
  };
  for (const Row row :
       {Row{kRA, 1, 0, true, false}, Row{kRA, 11, 0, false, true}, Row{kR, 11, 2, false, true},
        Row{kR, 90'000, 0, false, false}, Row{kR, 0, 0, false, false},
        Row{std::uint8_t{kR | kS}, 0, 0, false, false}, Row{std::uint8_t{kR | kS}, 1, 0, true, false},
        Row{std::uint8_t{kR | kS}, 21, 0, false, true}}) {
    Peer peer;
    peer.listen(5);
    const SeqNum isn = peer.open(4001);
    for (int i = 0; i < 3; ++i) peer.arrives(4001, row.flags, Peer::kIsn + row.seq, isn + 501, row.bytes);
    EXPECT_EQ(peer.count(Mib::kEmbryonicRsts), row.deleted ? 1u : 0u) << int{row.flags} << ' ' << row.seq;
    EXPECT_EQ(peer.count(Mib::kAttemptFails), row.deleted ? 1u : 0u);
    EXPECT_EQ(peer.count(Mib::kTCPChallengeACK), row.challenged ? 1u : 0u);
    EXPECT_EQ(peer.count(Mib::kTCPACKSkippedChallenge), row.challenged ? 2u : 0u);
    EXPECT_EQ(peer.count(Mib::kOutRsts), 0u);
  }
}

// M10
TEST(Request, IsResetByAnotherSynInsideItsWindow) {
  Peer peer;
  peer.listen(5);
  peer.open(4001);
  const auto answers = peer.arrives(4001, kS, Peer::kIsn + 101);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kRA);
  EXPECT_EQ(answers[0].seq, SeqNum{0});
  EXPECT_EQ(answers[0].ack, Peer::kIsn + 102);
  EXPECT_EQ(peer.count(Mib::kAttemptFails), 1u);
  EXPECT_EQ(peer.count(Mib::kEmbryonicRsts), 1u);
}

TEST(Request, AnswersItsOwnSynAgainByTheSameSynAckButNotTwiceInHalfASecond) {
  Peer peer;
  peer.listen(5);
  const SeqNum isn = peer.open(4001);
  peer.wait(10ms);
  const auto again = peer.arrives(4001, kS, Peer::kIsn);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].seq, isn);
  EXPECT_TRUE(peer.arrives(4001, kS, Peer::kIsn).empty());
  EXPECT_EQ(peer.count(Mib::kTCPACKSkippedSynRecv), 1u);
}

// M11
TEST(Request, ThatIsAcknowledgedWithAFinStartsInCloseWait) {
  Peer peer;
  const int listener = peer.listen(5);
  const SeqNum isn = peer.open(4001);
  peer.arrives(4001, kFA, Peer::kIsn + 1, isn + 1);
  const auto child = peer.host.accept(peer.now, listener, nullptr, peer.step);
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(peer.host.state(static_cast<int>(child.value)), State::kCloseWait);
}

// M28, linux-tcp 4.2.
TEST(Request, ThatIsDeferredBecomesAConnectionAtTheEndOfThePeriod) {
  struct Row {
    int seconds;
    double at;
  };
  for (const Row row : {Row{1, 1}, Row{2, 3}, Row{3, 3}, Row{7, 7}, Row{10, 15}, Row{30, 31}}) {
    Peer peer;
    const int listener = peer.listen(5);
    peer.host.setsockopt(peer.now, listener, SocketOption::kDeferAccept, row.seconds, peer.step);
    const SeqNum isn = peer.open(4001);
    const ModelTime start = peer.now;
    EXPECT_TRUE(peer.arrives(4001, kA, Peer::kIsn + 1, isn + 1).empty());
    EXPECT_EQ(peer.count(Mib::kTCPDeferAcceptDrop), 1u);
    EXPECT_FALSE(peer.host.accept(peer.now, listener, nullptr, peer.step).ok());
    const std::size_t before = peer.sent.size();
    while (peer.sent.size() == before && peer.now < start + 60s) peer.wait(10ms);
    ASSERT_GT(peer.sent.size(), before) << row.seconds;
    const double at = seconds(peer.sent.back().at - start);
    EXPECT_GE(at, row.at);
    EXPECT_LE(at, row.at * 1.125 + 0.05);
    peer.arrives(4001, kA, Peer::kIsn + 1, isn + 1);
    EXPECT_TRUE(peer.host.accept(peer.now, listener, nullptr, peer.step).ok()) << row.seconds;
  }
}

TEST(Request, ThatIsDeferredBecomesAConnectionWithItsFirstData) {
  Peer peer;
  const int listener = peer.listen(5);
  peer.host.setsockopt(peer.now, listener, SocketOption::kDeferAccept, 10, peer.step);
  const SeqNum isn = peer.open(4001);
  peer.arrives(4001, kA, Peer::kIsn + 1, isn + 1);
  peer.wait(1500ms);
  peer.arrives(4001, kPA, Peer::kIsn + 1, isn + 1, 97);
  EXPECT_TRUE(peer.host.accept(peer.now, listener, nullptr, peer.step).ok());
  EXPECT_EQ(schedule(peer).size(), 1u) << "an acked request does not repeat its SYN-ACK";
}

// M3, M4, M5, M6 and linux-tcp 5.
TEST(Cookie, CarriesTheOptionsOfASynWithTimestamps) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 2; c.sysctls.tcp_timestamps = 2; }};
  const int listener = peer.listen(5);
  Packet syn = Peer::segment(4001, kS, Peer::kIsn);
  syn.options = Opt::kMss | Opt::kSackPermitted | Opt::kTimestamps | Opt::kWindowScale;
  syn.mss = 1460;
  syn.window_scale = 7;
  syn.tsval = 1234567;
  const Packet synack = peer.arrives(syn).at(0);
  EXPECT_EQ(synack.options, syn.options);
  EXPECT_EQ(synack.window, 65160);
  EXPECT_EQ(synack.tsval & 63u, 0b010111u);
  EXPECT_EQ(synack.tsecr, 1234567u);
  EXPECT_EQ(peer.arrives(syn).at(0).seq, synack.seq) << "within the minute the same number";
  Packet ack = Peer::segment(4001, kPA, Peer::kIsn + 1, synack.seq + 1, 97);
  ack.options = Opt::kTimestamps;
  ack.tsval = 1234600;
  ack.tsecr = synack.tsval;
  peer.arrives(ack);
  EXPECT_EQ(peer.count(Mib::kSyncookiesRecv), 1u);
  const int fd = static_cast<int>(peer.host.accept(peer.now, listener, nullptr, peer.step).value);
  ASSERT_GE(fd, 3);
  const auto info = peer.host.tcp_info(peer.now, fd);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->state, State::kEstablished);
  EXPECT_EQ(info->snd_wscale, 7);
  EXPECT_EQ(info->options & 7, 7);
  std::vector<std::uint8_t> data;
  EXPECT_EQ(peer.host.recv(peer.now, fd, 100, 0, &data, peer.step).value, 97);
}

TEST(Cookie, ThatIsWrongIsCountedAndAnsweredByRst) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 2; }};
  peer.listen(5);
  const SeqNum isn = peer.open(4001);
  const auto answers = peer.arrives(4001, kA, Peer::kIsn + 1, isn + 778);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kR);
  EXPECT_EQ(peer.count(Mib::kSyncookiesFailed), 1u);
  EXPECT_EQ(peer.count(Mib::kOutRsts), 1u);
}

TEST(Cookie, IsNotBelievedAfterTwoMinutes) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 2; }};
  peer.listen(5);
  const SeqNum isn = peer.open(4001);
  peer.wait(119s);
  peer.open(4002);  // keeps the overflow fresh
  peer.wait(2s);
  EXPECT_EQ(peer.arrives(4001, kA, Peer::kIsn + 1, isn + 1).at(0).flags, kR);
  EXPECT_EQ(peer.count(Mib::kSyncookiesFailed), 1u);
}

TEST(Cookie, ThatFindsTheAcceptQueueFullIsSilentWhateverAbortOnOverflowSays) {
  Peer peer{"6.18", [](HostConfig& c) { c.sysctls.tcp_syncookies = 2; c.sysctls.tcp_abort_on_overflow = 1; }};
  peer.listen(0);
  const SeqNum a = peer.open(4001);
  const SeqNum b = peer.open(4002);
  peer.arrives(4001, kA, Peer::kIsn + 1, a + 1);
  EXPECT_TRUE(peer.arrives(4002, kA, Peer::kIsn + 1, b + 1).empty());
  EXPECT_EQ(peer.count(Mib::kSyncookiesRecv), 2u);
  EXPECT_EQ(peer.count(Mib::kListenOverflows), 1u);
  EXPECT_EQ(peer.count(Mib::kListenDrops), 1u);
  EXPECT_EQ(peer.count(Mib::kOutRsts), 0u);
}

// linux-tcp 10.2.
TEST(Request, IsDeletedByTheIcmpErrorsItsKernelBelieves) {
  struct Row {
    std::string_view kernel;
    std::uint8_t type, code;
    bool deleted;
  };
  for (const Row row : {Row{"6.18", 3, 1, true}, Row{"6.18", 3, 3, false}, Row{"6.18", 3, 13, false},
                        Row{"6.18", 11, 0, true}, Row{"el7", 3, 3, true}, Row{"el7", 3, 13, true}}) {
    Peer peer{row.kernel};
    peer.listen(5);
    Packet quoted = (peer.open(4001), peer.sent.back().packet);
    quoted.kind = PacketKind::kIcmp;
    quoted.icmp_type = row.type;
    quoted.icmp_code = row.code;
    peer.arrives(quoted);
    EXPECT_EQ(peer.count(Mib::kListenDrops), row.deleted ? 1u : 0u) << row.kernel << int{row.code};
    EXPECT_EQ(peer.host.sockets(peer.now).size(), row.deleted ? 1u : 2u);
  }
}

}  // namespace
}  // namespace tcpwhy::model
