// What may not be claimed where the capture lacks something: one direction, single
// frames, their order. The numbers that did pass say what did not (RFC 9293 3.10.7;
// Linux tcp_send_active_reset() puts RCV.NXT into the ACK number of an abort).

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"

namespace tcpwhy::diagnose {
namespace {

const std::string kAtClient = "@vantage client\n@ttl 64 55\n";
const std::string kOpening = R"(
  0.000 > S 100 <mss 1460,sackok,ts,ws 7>
  0.040 < SA 900 101 <mss 1460,sackok,ts,ws 7>
  0.040 > A 101 901
)";
const std::string kAsked = kOpening + R"(
  0.041 > PA 101:201 901 http-req idem
  0.081 < A 901 201
)";

TEST(OneDirection, AnAbortThatAcknowledgesASynAckNobodySawShowsThatTheServerAnswered) {
  const facts::Connection c = ladder::connection(kAtClient + "0.000 > S 100 <mss 1460>\n0.041 > RA 101 901 win 502\n");
  EXPECT_TRUE(c.quality.one_direction);
  EXPECT_TRUE(no_fault(explain(c, {}, Detail::kSentences)));
}

TEST(OneDirection, ARstSoonerThanTheSynWouldBeRepeatedAnswersASynAckThatNobodySaw) {
  EXPECT_TRUE(no_fault(answer_of(kAtClient + "0.000 > S 100 <mss 1460>\n0.041 > R 101\n")));
  // A device that times the opening out sends the same RST, and much later.
  EXPECT_EQ(first_of(kAtClient + "0.000 > S 100 <mss 1460>\n1.020 > S 100 <mss 1460>\n20.0 > R 101\n"), "syn-unanswered");
}

TEST(OneDirection, ACloseOfTheOnlySideThatPassesIsNoLingerZero) {
  const Answer a = answer_of(kAtClient + R"(
    0.000 > S 100 <mss 1460>
    0.040 > A 101 901
    0.041 > PA 101:201 901 http-req idem
    0.090 > A 201 1401
    0.190 > RA 201 1401 win 502
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureLoss, AnAbortThatAcknowledgesAnAnswerNobodySawMayHaveHadAllOfIt) {
  EXPECT_TRUE(no_fault(answer_of(kAtClient + kAsked + "0.090 > RA 201 1401 win 502\n")));
  // The same where the answer had not come.
  EXPECT_FALSE(no_fault(answer_of(kAtClient + kAsked + "0.090 > RA 201 901 win 502\n")));
}

TEST(CaptureLoss, AFinThatAcknowledgesTheRestOfTheAnswerDidNotLeaveBeforeIt) {
  const std::string begun = kAtClient + kAsked + R"(
    0.082 < A 901:2349 201 http-resp length 4000
    0.082 > A 201 2349
  )";
  const std::string refused = R"(
    0.230 < FA 4901 202
    0.230 > R 202
  )";
  EXPECT_EQ(find(answer_of(begun + "0.190 > FA 201 4902\n" + refused), CauseId::kClientClosedEarly), nullptr);
}

TEST(CaptureLoss, ARequestWhoseAnswerTheServersNumbersCountWasAnswered) {
  // The answer of 500 octets and the FIN were not captured; the next ACK counts them.
  EXPECT_TRUE(no_fault(answer_of(kAtClient + kOpening + "0.041 > PA 101:201 901 http-req idem\n0.121 < A 1402 202\n@end 60\n")));
  EXPECT_FALSE(no_fault(answer_of(kAtClient + kOpening + "0.041 > PA 101:201 901 http-req idem\n0.121 < A 901 201\n@end 60\n")));
}

TEST(CaptureLoss, AClientThatTookTheAnswerAndRefusesOnlyTheFinHadIt) {
  const std::string whole = kAtClient + kAsked + R"(
    0.082 < PA 901:1401 201 http-resp length 500
    0.083 < FA 1401 201
  )";
  // Each segment that meets no socket is refused (RFC 9293 3.10.7.1): here the FIN alone was.
  EXPECT_TRUE(no_fault(answer_of(whole + "0.083 > R 201\n")));
  EXPECT_FALSE(no_fault(answer_of(whole + "0.082 > R 201\n0.083 > R 201\n")));
}

TEST(CaptureOrder, ASynAckStoredBehindWhatAnswersItOpenedTheConnection) {
  const Answer a = answer_of(kAtClient + R"(
    0.0000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.0400 > PA 101:201 901 http-req idem
    0.0401 < SA 900 101 <mss 1460,sackok,ts,ws 7>
    0.0810 < A 901 201
    0.0820 < PA 901:1401 201 http-resp length 500
    0.0821 > RA 201 1401 win 502
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureOrder, AnAbortStoredBeforeTheDataItAcknowledgesHadThem) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.0900 > A 201 1401
    0.0901 > RA 201 1401 win 502
    0.0902 < PA 901:1401 201 http-resp length 500
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureOrder, AnAnswerOfCutFramesEndsWithItsHighestNumber) {
  // The head overtook nothing: its tail, which says PSH, passed first.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.082 < PA 2349:2361 201 cut
    0.082 > A 201 901
    0.083 < A 901:2349 201 cut http-resp
    0.083 > A 201 2361
    1.400 > RA 201 2361 win 502
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureOrder, OfASynAckStoredTwiceAtOnceOnlyOneWasSent) {
  // The answer to one SYN alone; no timer is that fast (linux-tcp 3.3).
  const facts::Connection c = ladder::connection("@vantage server\n@ttl 55 64\n" + std::string{R"(
    0.00000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.00002 < SA 900 101 <mss 1460,sackok,ts 20 0,ws 7>
    0.00005 < SA 900 101 <mss 1460,sackok,ts 20 0,ws 7>
    0.04000 > A 101 901
  )"});
  EXPECT_EQ(c.note(2).repeat, facts::Repeat::kCaptureDuplicate);
}

TEST(CaptureOrder, AShortAnswerOfCutFramesThatEmptiedTheBufferWasWhole) {
  const auto left = [](std::string_view answer) {
    return answer_of(kAtClient + kAsked + std::string{answer} + "0.083 > A 201 2349\n0.116 > RA 201 2349 win 502\n");
  };
  EXPECT_TRUE(no_fault(left("0.082 < A 901:2341 201 cut http-resp\n0.082 < PA 2341:2349 201 cut\n")));
  EXPECT_FALSE(no_fault(left("0.082 < PA 901:2349 201 cut http-resp\n")));  // a full segment: more of it may have been due
}

TEST(CaptureLoss, AConnectionWhoseFirstWordsWereMissedWasOpenAndItsEndTellsNothing) {
  const Answer a = answer_of(kAtClient + R"(
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.040 < SA 900 101 <mss 1460,sackok,ts,ws 7>
    0.081 < A 901 201
    0.082 < PA 901:1401 201 http-resp length 500
    0.083 > RA 201 1401 win 502
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureLoss, ARstThatCountsAFinNobodySawAnswersForAClosedSocket) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.041 > PA 101:201 901 http-req idem
    0.321 < A 1402 202
    0.322 < A 1402 202
    0.322 > R 202
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(CaptureLoss, ASegmentThatTheCaptureMissedDidNotVanishOnThePath) {
  const Answer a = answer_of("@vantage between\n" + kAsked + R"(
    0.240 < FA 2349 201
    0.241 > A 201 901
    0.480 < A 2350 202
  )");
  EXPECT_EQ(find(a, CauseId::kPmtuBlackhole), nullptr);
}

TEST(HandshakeAckLost, IsOpenAsLongAsTheNextRepeatOfTheSynAckIsNotDue) {
  // linux-tcp 4.2: a listener that defers repeats at the end of its period, and takes the request that comes then.
  const std::string deferred = kAtClient + R"(
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.040 < SA 900 101 <mss 1460,sackok,ts,ws 7>
    0.040 > A 101 901
    3.060 < SA 900 101 <mss 1460,sackok,ts,ws 7>
    3.060 > A 101 901
    4.010 > PA 101:201 901 http-req idem
  )";
  EXPECT_TRUE(no_fault(answer_of(deferred + "@end 4.1\n")));
}

TEST(Backscatter, IsNotWhatLeftTheHostWhereThisWasCaptured) {
  const facts::Connection c = ladder::connection("@vantage server\n@ttl 55 64\n0.0 < SA 900 101\n4.1 < SA 900 101\n12.3 < SA 900 101\n");
  facts::Survey survey;
  survey.hosts[c.ends[0].address].stray_syn_acks = 12;
  survey.two_direction_connections = 100;
  EXPECT_EQ(find(explain(c, survey, Detail::kSentences), CauseId::kBackscatter), nullptr);
}

TEST(PrematureClose, TheHeadOfAnAnswerThatPassesAgainIsNoSecondAnswer) {
  // A tail-loss probe of the head after the FIN (RFC 8985 7): the octets are the same.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.082 < PA 901:1401 201 http-resp length 500
    0.0821 < FA 1401 201
    0.180 < PA 901:1401 201 http-resp length 500
    0.1801 > A 201 1402
    0.181 > FA 201 1402
    0.221 < A 1402 202
  )");
  EXPECT_EQ(find(a, CauseId::kPrematureClose), nullptr);
}

/// The client's segments are lost behind this point for 2.5 s: linux-tcp 3.3 repeats the SYN-ACK meanwhile.
const std::string kOutage = kAtClient + R"(
  0.000 > S 100 <mss 1460,sackok,ts,ws 7>
  0.040 < SA 900 101 <mss 1460,sackok,ts,ws 7>
  0.040 > A 101 901
  0.041 > PA 101:201 901 http-req idem
  0.280 > PA 101:201 901 http-req idem
  0.520 > PA 101:201 901 http-req idem
  1.010 > PA 101:201 901 http-req idem
  1.060 < SA 900 101 <mss 1460,sackok,ts,ws 7>
  1.060 > A 201 901
  1.970 > PA 101:201 901 http-req idem
  3.070 < SA 900 101 <mss 1460,sackok,ts,ws 7>
  3.070 > A 201 901
  3.880 > PA 101:201 901 http-req idem
  3.920 < A 901 201
  3.921 < PA 901:1401 201 http-resp length 500
  3.921 > A 201 1401
  3.922 < FA 1401 201
  3.922 > FA 201 1402
  3.962 < A 1402 202
)";

TEST(AcceptQueueOverflow, IsNotSaidBeforeTheServerWhereNobodyElseCanHaveFilledTheQueue) {
  EXPECT_TRUE(no_fault(answer_of(kOutage)));
  EXPECT_EQ(first_of(answer_beside(kOutage, -1.0, facts::Attempt::Fate::kAccepted)), "accept-queue-overflow");
}

TEST(ConflictingSynAcks, AreToldByAClientThatUsesNothingOfWhatThisSynAckAgreedOn) {
  const auto story = [](std::string_view client) {
    return "@vantage server\n@ttl 55 64\n0.000 > S 100 win 64240 <mss 1460,sackok,ts,ws 7>\n0.000 < SA 900 101 win 65160 <mss 1460,sackok,ts,ws 7>\n0.040 > A 101 123457690 " +
           std::string{client} + "\n0.040 < R 123457690\n1.010 < SA 900 101 win 65160 <mss 1460,sackok,ts,ws 7>\n1.050 > R 101\n";
  };
  EXPECT_EQ(first_of(answer_of(story("win 64240 nots"))), "conflicting-syn-acks");
  EXPECT_EQ(first_of(answer_of(story("win 502"))), "ack-number-rewritten");
}

TEST(Reset, OfASocketThatASyncookieBroughtToLifeAgainIsTheServers) {
  // Linux cookie_v4_check(): the request that was on its way when the server aborted opens a second socket, which fares alike.
  const std::string reborn = kAtClient + kOpening + R"(
    0.071 > PA 101:201 901 http-req idem
    0.081 < RA 901 101 win 502
    0.111 < A 901 201
    0.111 > R 201
    0.112 < RA 901 201 win 502
  )";
  const Answer a = answer_of(reborn);
  EXPECT_TRUE(first_of(a) == "server-aborted" || first_of(a) == "immediate-close") << first_of(a);
}

TEST(PeerRestarted, IsOnlyPossibleWhereNothingButAFinWasRefused) {
  // After its own RST was lost a host refuses the FIN as one that restarted does.
  const std::string idle = kAtClient + kOpening + "0.041 > PA 101:111 901\n0.081 < A 901 111\n";
  EXPECT_EQ(first_of(idle + "20.0 > FA 111 901\n20.04 < R 901\n"), "half-open");
  EXPECT_EQ(first_of(idle + "20.0 > PA 111:121 901\n20.04 < R 901\n"), "peer-restarted");
}

TEST(ProcessKilled, IsLikelyWhereTheServerAbortsARequestAndTheNextSynIsRefused) {
  using Fate = facts::Attempt::Fate;
  const std::string aborted = kAtClient + kAsked + "0.541 < RA 901 201 win 509\n";
  const Answer killed = answer_beside(aborted, 2.0, Fate::kRefused);
  EXPECT_EQ(first_of(killed), "process-killed");
  EXPECT_EQ(verdict_of(killed, CauseId::kProcessKilled), "likely");
  // The listener is still there: the abort has reasons that look alike.
  EXPECT_EQ(first_of(answer_beside(aborted, 2.0, Fate::kAccepted)), "server-aborted");
  // exit() sends FIN where nothing was unread (Linux tcp_close()).
  EXPECT_EQ(first_of(answer_beside(kAtClient + kAsked + "0.541 < FA 901 201\n0.541 > FA 201 902\n0.581 < A 902 202\n", 2.0, Fate::kRefused)), "process-killed");
}

TEST(Reset, FromItsHostsDistanceIsForeignOnlyWhereItIsFarTooEarly) {
  // The round trip is known from the handshake, which may hold a wait: a RST with the host's own TTL that takes an eighth
  // of it is the host's, one that takes a thousandth of it came from elsewhere.
  const std::string asked = kAtClient + kOpening + "0.541 > PA 101:201 901 http-req idem\n";
  const auto foreign = [](const std::string& cause) { return cause == "forged-reset" || cause == "reset-by-network" || cause == "nat-state-lost-reset"; };
  EXPECT_FALSE(foreign(first_of(asked + "0.546 < R 901 ttl 55\n")));
  EXPECT_TRUE(foreign(first_of(asked + "0.54104 < R 901 ttl 55\n")));
}

}  // namespace
}  // namespace tcpwhy::diagnose
