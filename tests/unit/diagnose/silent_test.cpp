// Connections that go silent or stall. The stories follow the timers of
// linux-tcp.md 8 and the rules of section 9; each test says which.

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"

namespace tcpwhy::diagnose {
namespace {

const std::string kOpening = R"(
  0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
  0.010 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
  0.010 > A 4294967291 999001
)";
// One request and its answer: the client is at 105, the server at 999501.
const std::string kOnce = kOpening + R"(
  0.011 > PA 4294967291:105 999001 http-req idem
  0.021 < A 999001 105
  0.025 < PA 999001:999501 105 http-resp length 500
  0.026 > A 105 999501
)";

// linux-tcp.md 8.3: R R 2R 4R after a tail-loss probe.
const std::string kUnansweredData = R"(
  1.000 > PA 105:205 999501 http-req idem
  1.215 > PA 105:205 999501 http-req idem
  1.430 > PA 105:205 999501 http-req idem
  1.860 > PA 105:205 999501 http-req idem
  2.720 > PA 105:205 999501 http-req idem
)";

TEST(PeerUnresponsive, IsTheAnswerWhereDataIsRepeatedAndNothingComesBack) {
  const Answer a = answer_of("@vantage client\n" + kOnce + kUnansweredData);
  EXPECT_EQ(first_of(a), "peer-unresponsive");
  EXPECT_EQ(verdict_of(a, CauseId::kPeerUnresponsive), "likely");
  EXPECT_FALSE(a.healthy);
  // product.md section 4: what the generic stands for follows it as possible.
  for (CauseId id : {CauseId::kPathBlackhole, CauseId::kPeerVanished, CauseId::kNatStateLostSilent})
    EXPECT_EQ(verdict_of(a, id), "possible") << to_string(id);
}

TEST(PeerUnresponsive, IsToldOfTheServersDataToo) {
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.001 < A 999501 205
    1.500 < PA 999501(400) 205 http-resp length 400
    1.720 < PA 999501(400) 205 http-resp length 400
    2.140 < PA 999501(400) 205 http-resp length 400
    2.980 < PA 999501(400) 205 http-resp length 400
  )");
  EXPECT_EQ(first_of(a), "peer-unresponsive");
}

TEST(PeerUnresponsive, IsNotClaimedWhereTheCaptureEndsInTheMiddle) {
  // One repeat and a tenth of a second: any answer may still be on its way.
  EXPECT_TRUE(no_fault(answer_of("@end 1.3\n@vantage client\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.215 > PA 105:205 999501 http-req idem
  )")));
}

TEST(PeerUnresponsive, IsNotClaimedInACaptureOfOneDirection) {
  EXPECT_TRUE(no_fault(answer_of(R"(
    0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
    0.010 > A 4294967291 999001
    0.011 > PA 4294967291:105 999001 http-req idem
    0.026 > A 105 999501
    1.000 > PA 105:205 999501 http-req idem
    1.215 > PA 105:205 999501 http-req idem
    1.430 > PA 105:205 999501 http-req idem
    1.860 > PA 105:205 999501 http-req idem
  )")));
}

TEST(PeerUnresponsive, IsNotTheAnswerWhenTheRepeatsAreAnsweredInTheEnd) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n" + kOnce + kUnansweredData + R"(
    2.730 < A 999501 205
    2.740 < PA 999501(300) 205 http-resp length 300
    2.741 > A 205 999801
    2.800 > FA 205 999801
    2.810 < FA 999801 206
    2.811 > A 206 999802
  )")));
}

TEST(PeerUnresponsive, LeavesAServerThatRepeatsItsSynAckToTheHandshake) {
  // linux-tcp.md 3.2: the accept queue is full, ACK and data are ignored, the SYN-ACK comes again.
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.221 > PA 4294967291:105 999001 http-req idem
    0.641 > PA 4294967291:105 999001 http-req idem
    1.100 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
    1.100 > A 105 999001
    1.500 > PA 4294967291:105 999001 http-req idem
    3.200 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
    3.200 > A 105 999001
    3.300 > PA 4294967291:105 999001 http-req idem
  )");
  EXPECT_EQ(find(a, CauseId::kPeerUnresponsive), nullptr);
}

TEST(PeerUnresponsive, CallsALastFinWithoutAnswerHarmless) {
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > FA 105 999501
    1.001 < A 999501 106
    1.050 < FA 999501 106
    1.270 < FA 999501 106
    1.700 < FA 999501 106
    2.560 < FA 999501 106
  )");
  EXPECT_TRUE(no_fault(a));
}

TEST(PathBlackhole, IsSeenWhereAcknowledgmentsPassAndTheSenderGoesOnRepeating) {
  // The server acknowledges each copy (linux-tcp.md 9.3 row 2); none of it reaches the client.
  const Answer a = answer_of("@vantage between\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.005 < A 999501 205
    1.215 > PA 105:205 999501 http-req idem
    1.220 < A 999501 205 <dsack 105:205>
    1.430 > PA 105:205 999501 http-req idem
    1.435 < A 999501 205 <dsack 105:205>
    1.860 > PA 105:205 999501 http-req idem
    1.865 < A 999501 205 <dsack 105:205>
    2.720 > PA 105:205 999501 http-req idem
    2.725 < A 999501 205 <dsack 105:205>
  )");
  EXPECT_EQ(first_of(a), "path-blackhole");
  EXPECT_EQ(a.diagnoses.front().side, facts::Side::kPath);
}

TEST(PathBlackhole, IsSeenWhereBothSidesRepeatPastEachOther) {
  const Answer a = answer_of("@vantage between\n" + kOnce + R"(
    1.000 > PA 105:205 999501
    1.001 < PA 999501(80) 105
    1.215 > PA 105:205 999501
    1.225 < PA 999501(80) 105
    1.640 > PA 105:205 999501
    1.660 < PA 999501(80) 105
    2.490 > PA 105:205 999501
    2.540 < PA 999501(80) 105
    4.190 > PA 105:205 999501
    4.260 < PA 999501(80) 105
  )");
  EXPECT_EQ(first_of(a), "path-blackhole");
}

TEST(PathBlackhole, IsNotClaimedForAnAckThatWasLostOnce) {
  EXPECT_TRUE(no_fault(answer_of("@vantage between\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.005 < A 999501 205
    1.215 > PA 105:205 999501 http-req idem
    1.220 < A 999501 205 <dsack 105:205>
    1.250 < PA 999501(100) 205 http-resp length 100
    1.260 > A 205 999601
  )")));
}

TEST(PmtuBlackhole, ShowsWhenASmallPieceBehindTheLargeOnesArrives) {
  // The tail of the response is reported by SACK; the full-size segments never arrive.
  const Answer a = answer_of("@vantage server\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.012 < A 999001 105
    0.020 < A 999001(1448) 105 http-resp length 3096
    0.020 < A 1000449(1448) 105
    0.020 < PA 1001897(200) 105
    0.031 > A 105 999001 <sack 1001897:1002097>
    0.250 < A 999001(1448) 105
    0.680 < A 999001(1448) 105
    1.540 < A 999001(1448) 105
    3.260 < A 999001(1448) 105
  )");
  EXPECT_EQ(first_of(a), "pmtu-blackhole");
  EXPECT_EQ(verdict_of(a, CauseId::kPathBlackhole), "");
}

TEST(PmtuBlackhole, ShowsAtTheReceiverAsAHoleTheSizeOfFullSegments) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001 105
    0.031 < PA 1001897(200) 105
    0.031 > A 105 999001 <sack 1001897:1002097>
  )");
  EXPECT_EQ(first_of(a), "pmtu-blackhole");
}

TEST(PmtuBlackhole, IsNoHoleThatReachesBeyondTheReceiversWindow) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001 105
    0.031 < FA 1900228959 105
    0.031 > A 105 999001
  )");
  EXPECT_EQ(find(a, CauseId::kPmtuBlackhole), nullptr);
}

TEST(PmtuBlackhole, IsRefutedByASmallSegmentThatVanishesToo) {
  const Answer a = answer_of("@vantage client\n" + kOnce + kUnansweredData);
  EXPECT_NE(verdict_of(a, CauseId::kPmtuBlackhole), "likely");
  EXPECT_NE(verdict_of(a, CauseId::kPmtuBlackhole), "possible");
}

TEST(PeerVanished, IsLikelyWhenTheLastRouterFoundNobody) {
  // RFC 792 3/1 in the middle of a connection: soft for Linux (linux-tcp.md 10.2), which goes on repeating.
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.215 > PA 105:205 999501 http-req idem
    1.640 > PA 105:205 999501 http-req idem
    2.490 > PA 105:205 999501 http-req idem
    @icmp 4.100 > 3 1 105 203.0.113.1
    4.190 > PA 105:205 999501 http-req idem
  )");
  EXPECT_EQ(first_of(a), "peer-vanished");
}

TEST(IdleTimeoutSilent, IsPossibleAfterAPauseAndLikelyWhenNewConnectionsWork) {
  const std::string story = "@vantage client\n" + kOnce + R"(
    400.000 > PA 105:205 999501 http-req idem
    400.215 > PA 105:205 999501 http-req idem
    400.640 > PA 105:205 999501 http-req idem
    401.490 > PA 105:205 999501 http-req idem
    403.190 > PA 105:205 999501 http-req idem
  )";
  const Answer alone = answer_of(story);
  EXPECT_EQ(first_of(alone), "peer-unresponsive");
  EXPECT_EQ(verdict_of(alone, CauseId::kIdleTimeoutSilent), "possible");

  facts::Connection c = ladder::connection(story);
  facts::Survey survey;
  facts::Attempt accepted;
  accepted.syn = ladder::at(405.0);
  accepted.connection = 77;
  survey.services[c.ends[1]].attempts_sample.add(accepted);
  const Answer beside = explain(c, survey, Detail::kSentences);
  EXPECT_EQ(first_of(beside), "idle-timeout-silent");
  EXPECT_EQ(verdict_of(beside, CauseId::kPeerVanished), "");
}

TEST(KeepaliveDeadPeer, IsProvenByUnansweredProbesAndTheProbersReset) {
  // Seed 004: 60 s idle, probes every 20 s, three of them; linux-tcp.md 7.3 A7: RST+ACK, ETIMEDOUT.
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    60.026 > A 104 999501
    80.026 > A 104 999501
    100.026 > A 104 999501
    120.030 > RA 105 999501
  )");
  EXPECT_EQ(first_of(a), "keepalive-dead-peer");
  EXPECT_EQ(verdict_of(a, CauseId::kKeepaliveDeadPeer), "proven");
}

TEST(KeepaliveDeadPeer, IsProvenWhereAnswersPassedAndTheProberWentOnAsIfTheyHadNot) {
  // TCP_KEEPIDLE 3, TCP_KEEPINTVL 1, TCP_KEEPCNT 4 at the server: an answer that arrived would have bought it 3 s.
  const Answer a = answer_of("@vantage client\n0.00 > S 100\n0.02 < SA 300 101\n0.02 > A 101 301\n0.03 < PA 301:304 101\n0.03 > A 101 304\n"
                             "3.05 < A 303 101\n3.05 > A 101 304\n4.07 < A 303 101\n4.07 > A 101 304\n5.09 < A 303 101\n5.09 > A 101 304\n"
                             "6.12 < A 303 101\n6.12 > A 101 304\n7.14 < RA 304 101\n");
  EXPECT_EQ(first_of(a), "keepalive-dead-peer");
  EXPECT_EQ(verdict_of(a, CauseId::kKeepaliveDeadPeer), "proven");
}

TEST(KeepaliveDeadPeer, IsNotClaimedOfAnAbortBetweenTwoProbes) {
  const Answer a = answer_of("@vantage client\n0.00 > S 100\n0.02 < SA 300 101\n0.02 > A 101 301\n0.03 < PA 301:304 101\n0.03 > A 101 304\n"
                             "3.05 < A 303 101\n3.05 > A 101 304\n6.07 < A 303 101\n6.07 > A 101 304\n9.09 < A 303 101\n9.09 > A 101 304\n"
                             "10.2 < RA 304 101\n");
  EXPECT_EQ(find(a, CauseId::kKeepaliveDeadPeer), nullptr);
}

TEST(KeepaliveDeadPeer, IsNotClaimedWhileProbesAreAnswered) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n" + kOnce + R"(
    60.026 > A 104 999501
    60.036 < A 999501 105
    120.026 > A 104 999501
    120.036 < A 999501 105
    180.026 > A 104 999501
    180.036 < A 999501 105
  )")));
}

TEST(UserTimeout, IsNeverMoreThanPossible) {
  const Answer a = answer_of("@vantage client\n@end 300\n" + kOnce + kUnansweredData);
  EXPECT_EQ(first_of(a), "peer-unresponsive");
  EXPECT_EQ(verdict_of(a, CauseId::kUserTimeout), "possible");
}

TEST(ZeroWindowStall, IsProvenByAWindowThatStaysClosedWhileProbed) {
  // linux-tcp.md 8.6: probes at RTO, doubling; each answered with window 0.
  const Answer a = answer_of("@vantage server\n@end 14\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.010 < A 999501(1448) 205 http-resp length 90000
    1.011 > A 205 1000949 win 0
    1.231 < A 1000948 205
    1.232 > A 205 1000949 win 0
    1.671 < A 1000948 205
    1.672 > A 205 1000949 win 0
    2.551 < A 1000948 205
    2.552 > A 205 1000949 win 0
    4.311 < A 1000948 205
    4.312 > A 205 1000949 win 0
    7.831 < A 1000948 205
    7.832 > A 205 1000949 win 0
  )");
  EXPECT_EQ(first_of(a), "zero-window-stall");
  EXPECT_EQ(verdict_of(a, CauseId::kZeroWindowStall), "proven");
  EXPECT_EQ(a.diagnoses.front().side, facts::Side::kClient);
}

TEST(ZeroWindowStall, IsSeenInFramesWhoseOptionsWereCut) {
  // A snap length of 64 octets keeps the window field and cuts the timestamps.
  const std::string story = "@vantage server\n@end 14\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.010 < A 999501(1448) 205 http-resp length 90000
    1.011 > A 205 1000949 win 0
    1.231 < A 1000948 205
    1.232 > A 205 1000949 win 0
    1.671 < A 1000948 205
    1.672 > A 205 1000949 win 0
    3.431 < A 1000948 205
    3.432 > A 205 1000949 win 0
    7.831 < A 1000948 205
    7.832 > A 205 1000949 win 0
  )";
  const auto answered = [&](std::uint16_t anomalies) {
    facts::Connection c = ladder::connection(story);
    for (facts::SegmentFact& s : c.segments)
      if (!s.syn()) s.anomalies |= anomalies;
    flow::annotate(c);
    return explain(c, facts::Survey{}, Detail::kSentences);
  };
  EXPECT_EQ(first_of(answered(wire::Anomaly::kTruncatedHeader)), "zero-window-stall");
  EXPECT_NE(first_of(answered(wire::Anomaly::kTruncatedHeader | wire::Anomaly::kWindowUnseen)), "zero-window-stall");
}

TEST(ZeroWindowStall, IsBenignWhenTheWindowOpensAgain) {
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.010 < A 999501(1448) 205 http-resp length 2896
    1.011 > A 205 1000949 win 0
    1.231 < A 1000948 205
    1.232 > A 205 1000949 win 0
    2.500 > A 205 1000949 win 502
    2.510 < PA 1000949(1448) 205
    2.511 > A 205 1002397
    2.600 > FA 205 1002397
    2.610 < FA 1002397 206
    2.611 > A 206 1002398
  )");
  EXPECT_TRUE(no_fault(a));
}

TEST(ServerNeverAccepts, IsPossibleWhenEvenTheFinIsOnlyAcknowledged) {
  // Data and FIN are taken while a connection waits for accept() (Linux tcp_rcv_state_process()). A server that
  // still works when its client's own time limit ends shows the same, so it is no more than possible.
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001 105
    5.011 > FA 105 999001
    5.052 < A 999001 106
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kServerNeverAccepts), "possible");
}

TEST(ServerNeverAccepts, IsRefutedByAnyOctetOfTheServer) {
  const Answer a = answer_of("@vantage client\n@end 200\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.010 < A 999501 205
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kServerNeverAccepts), "");
  EXPECT_EQ(first_of(a), "slow-response");
}

TEST(Stalled, IsTheHonestAnswerForAFirstRequestThatIsOnlyAcknowledged) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001 105
  )");
  EXPECT_EQ(first_of(a), "stalled");
  EXPECT_EQ(verdict_of(a, CauseId::kServerNeverAccepts), "possible");
  EXPECT_EQ(verdict_of(a, CauseId::kSlowResponse), "possible");
}

TEST(SlowResponse, ThatCameIsNoFault) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001 105
    8.025 < PA 999001:999501 105 http-resp length 500
    8.026 > A 105 999501
    8.030 > FA 105 999501
    8.040 < FA 999501 106
    8.040 > A 106 999502
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "slow-response");
}

TEST(SlowResponse, OfALongPollThatIsStillWaitingIsNotReported) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n@end 40\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.010 < A 999501 205
  )")));
}

TEST(CloseWaitLeak, NeedsTimeAfterTheAcknowledgedFin) {
  const std::string story = kOnce + R"(
    1.000 > FA 105 999501
    1.041 < A 999501 106
  )";
  EXPECT_EQ(first_of("@vantage server\n@end 40\n" + story), "close-wait-leak");
  EXPECT_TRUE(no_fault(answer_of("@vantage server\n@end 3\n" + story)));
}

// Recorded at a client on a path that lost 10 %: the server had reset the connection, and nobody sends a RST again.
TEST(CloseWaitLeak, IsNotToldFromALostResetWhereTheConnectionLostPackets) {
  const std::string story = kOnce + R"(
    1.000 > FA 105 999501
    1.240 > FA 105 999501
    1.335 < A 999501 106
  )";
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n@end 40\n" + story)));
  EXPECT_EQ(first_of(R"(
    @vantage server
    @end 40
    0.000 > S 100 <mss 1460>
    0.000 < SA 300 101 <mss 1460>
    0.020 > A 101 301
    0.021 > PA 101:201 301 http-req idem
    0.021 < PA 301:801 201 http-resp length 500
    0.041 > A 201 801
    1.000 > FA 201 801
    1.240 > FA 201 801
    1.240 < A 801 202
  )"), "close-wait-leak");
}

// RFC 9112 9.6: after an answer that says so there is nothing to keep a connection for. Others may sit in a pool for longer.
TEST(CloseWaitLeak, IsToldOfAClientThatWasToldToCloseAfterHalfAMinute) {
  const auto kept = [](std::string_view end, std::string_view says) {
    return first_of("@vantage client\n@end " + std::string{end} + "\n" + kOpening + "0.011 > PA 4294967291:105 999001 http-req idem\n"
                    "0.021 < PA 999001:999501 105 http-resp length 500 " + std::string{says} + "\n0.021 < FA 999501 105\n0.022 > A 105 999502\n");
  };
  EXPECT_EQ(kept("40", "close"), "close-wait-leak");
  EXPECT_NE(kept("40", ""), "close-wait-leak");
  EXPECT_NE(kept("20", "close"), "close-wait-leak");
}

TEST(CloseWaitLeak, IsNotAServerThatStillAnswersAfterAHalfClose) {
  EXPECT_TRUE(no_fault(answer_of("@vantage server\n@end 30\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001
    0.012 > FA 105 999001
    0.021 < A 999001 106
    9.000 < PA 999001(400) 106
    9.001 > A 106 999401
    18.000 < PA 999401(400) 106
    18.001 > A 106 999801
    27.000 < PA 999801(400) 106
    27.001 > A 106 1000201
  )")));
}

TEST(ClientVanished, IsToldWhereTheServersFinGoesUnanswered) {
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    75.026 < FA 999501 105
    75.246 < FA 999501 105
    75.670 < FA 999501 105
    76.530 < FA 999501 105
    78.250 < FA 999501 105
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kClientVanished), "likely");
  EXPECT_FALSE(a.healthy);
}

TEST(ChecksumCorruption, IsProvenWhenOnlyTheGoodCopyIsAcknowledged) {
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > PA 105:205 999501 bad
    1.215 > PA 105:205 999501 bad
    1.640 > PA 105:205 999501 bad
    2.490 > PA 105:205 999501 bad
  )");
  EXPECT_EQ(first_of(a), "checksum-corruption");
}

TEST(ChecksumCorruption, IsNotClaimedForAnOffloadingSender) {
  // The peer acknowledged it: the sum was right on the wire.
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.001 < A 999501 205
    1.002 < PA 999501(300) 205 bad
    1.012 > A 205 999801
    1.020 < PA 999801(300) 205 bad
    1.030 > A 205 1000101
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(find(a, CauseId::kChecksumCorruption), nullptr);
}

TEST(TimestampRegression, IsProvenByOldTimestampsAndTheAcksThatRefuseThem) {
  // RFC 7323 5.3 R1: not acceptable, an ACK is sent in reply.
  const Answer a = answer_of("@vantage server\n" + kOnce + R"(
    1.000 > PA 105:205 999501 <ts 500 7000100>
    1.001 < A 999501 105
    1.215 > PA 105:205 999501 <ts 715 7000100>
    1.216 < A 999501 105
    1.640 > PA 105:205 999501 <ts 1140 7000100>
    1.641 < A 999501 105
    2.490 > PA 105:205 999501 <ts 1990 7000100>
    2.491 < A 999501 105
  )");
  EXPECT_EQ(first_of(a), "timestamp-regression");
  EXPECT_EQ(verdict_of(a, CauseId::kTimestampRegression), "proven");
}

TEST(HostDropped, IsLikelyOnlyWhereTheCaptureSaysThatTheSegmentsCameIn) {
  const std::string repeats = R"(
    1.000 > PA 105:205 999501 http-req idem in
    1.215 > PA 105:205 999501 http-req idem in
    1.430 > PA 105:205 999501 http-req idem in
    1.860 > PA 105:205 999501 http-req idem in
  )";
  EXPECT_EQ(first_of("@vantage server\n" + kOnce + repeats), "host-dropped");
  const Answer by_ttl = answer_of("@vantage server\n" + kOnce + kUnansweredData);
  EXPECT_EQ(first_of(by_ttl), "peer-unresponsive");
  EXPECT_EQ(verdict_of(by_ttl, CauseId::kHostDropped), "possible");
}

TEST(HalfOpen, IsAResetWithoutStateAfterAPause) {
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    300.000 > PA 105:205 999501 http-req idem
    300.010 < R 999501
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(first_of(a) == "half-open" || first_of(a) == "peer-restarted" || first_of(a) == "reset-by-network" ||
              first_of(a) == "idle-timeout-reset")
      << first_of(a);
}

TEST(ChecksumCorruption, NeedsTimeForAnAnswerThatDidNotCome) {
  const std::string bad = "@vantage server\n" + kOnce + "1.000 > PA 105:205 999501 bad\n";
  EXPECT_EQ(first_of(bad), "checksum-corruption");
  EXPECT_TRUE(no_fault(answer_of("@end 1.2\n" + bad)));
}

TEST(PeerUnresponsive, ASegmentThatWasOvertakenIsNotSentAgain) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n" + kOnce + R"(
    1.000 < PA 1001000(1000) 105 id 3002
    1.000 < A 999501(1499) 105 id 3001
    1.050 > A 105 1000500
    1.051 > A 105 1000800
  )")));
}

TEST(PeerUnresponsive, AHostThatAnswersTheLastTryWithRstIsThere) {
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    1.000 < FA 999501 105
    1.220 < FA 999501 105
    1.660 < FA 999501 105
    2.540 < FA 999501 105
    2.541 > R 105
  )");
  EXPECT_EQ(find(a, CauseId::kPeerUnresponsive), nullptr);
}

TEST(Timestamps, SegmentsThatOvertookOneAnotherAreNotRefusedForTheirAge) {
  // The receiver asks for the octets at 201 (lost), not for what carried the older timestamps.
  const Answer a = answer_of(R"(
    @vantage server
    0.000 > S 100 <mss 1460,sackok,ts 5000 0,ws 7>
    0.000 < SA 300 101 <mss 1460,sackok,ts 9000 5000,ws 7>
    0.020 > A 101 301 <ts 5020 9000>
    0.021 > A 101:201 301 <ts 5021 9000>
    0.021 < A 301 201 <ts 9021 5021>
    0.024 > A 401:501 301 <ts 5026 9021>
    0.024 < A 301 201 <ts 9024 5021,sack 401:501>
    0.025 > A 501:601 301 <ts 5022 9021>
    0.025 < A 301 201 <ts 9025 5021,sack 401:601>
    0.026 > A 601:701 301 <ts 5022 9021>
    0.026 < A 301 201 <ts 9026 5021,sack 401:701>
    0.060 > A 201:401 301 <ts 5060 9026>
    0.060 < A 301 701 <ts 9060 5060>
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kTimestampRegression), "") << first_of(a);
}

// The client leaves its own sums to its card; those of the server came over the wire.
TEST(ChecksumCorruption, OneSidesOffloadDoesNotExcuseTheOthers) {
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem partial
    1.020 < PA 999501:999801 205 bad
    1.235 < PA 999501:999801 205 bad
    1.660 < PA 999501:999801 205 bad
    2.510 < PA 999501:999801 205 bad
  )");
  EXPECT_EQ(first_of(a), "checksum-corruption");
}

// Held back one by one on the way, as where several ways differ by some milliseconds: the clock goes on all the time.
TEST(TimestampRegression, IsNotToldWhereTheClockIsAheadAgainAtOnce) {
  const Answer a = answer_of(R"(
    @vantage server
    0.000 > S 100 <mss 1460,sackok,ts 5000 0,ws 7>
    0.000 < SA 300 101 <mss 1460,sackok,ts 9000 5000,ws 7>
    0.020 > A 101 301 <ts 5020 9000>
    0.021 > A 101:201 301 <ts 5030 9000>
    0.021 < A 301 201 <ts 9021 5030>
    0.022 > A 201:301 301 <ts 5022 9000>
    0.022 < A 301 201 <ts 9022 5030>
    0.024 > A 301:401 301 <ts 5034 9021>
    0.024 < A 301 201 <ts 9024 5030,sack 301:401>
    0.026 > A 201:301 301 <ts 5026 9021>
    0.026 < A 301 201 <ts 9026 5030,sack 301:401>
    0.040 > A 201:301 301 <ts 5040 9026>
    0.040 < A 301 401 <ts 9040 5040>
  )");
  EXPECT_EQ(find(a, CauseId::kTimestampRegression), nullptr);
}

TEST(PathBlackhole, LosesNothingWhereOnlyTheAckOfTheLastFinIsMissing) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n@ttl 64 55\n" + kOnce + R"(
    1.000 > FA 105 999501
    1.020 < FA 999501 106
    1.021 > A 106 999502
    1.240 < FA 999501 106
    1.241 > A 106 999502
    1.680 < FA 999501 106
    1.681 > A 106 999502
    2.560 < FA 999501 106
    2.561 > A 106 999502
  )")));
}

// RFC 9293 3.6: having said all it has to say, the client closes its half and waits.
TEST(Stalled, AHalfCloseRightBehindTheRequestDoesNotEndTheWait) {
  const Answer a = answer_of("@vantage client\n@ttl 64 55\n@end 40\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.012 > FA 105 999001
    0.032 < A 999001 106
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(first_of(a) == "stalled" || first_of(a) == "server-never-accepts" || first_of(a) == "close-wait-leak") << first_of(a);
}

}  // namespace
}  // namespace tcpwhy::diagnose
