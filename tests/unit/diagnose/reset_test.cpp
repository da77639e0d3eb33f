// Who reset the connection, and whether anything was lost by it. Rules:
// RFC 9293 3.10.7, RFC 5961 3, RFC 8446 6.1; Linux tcp_v4_send_reset() answers with
// R, tcp_send_active_reset() aborts with RA.

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"
#include "unit/diagnose/conversations.hpp"

namespace tcpwhy::diagnose {
namespace {

TEST(Reset, AnAbortInsteadOfAnAnswerIsTheServersAndItsReasonStaysOpen) {
  const Answer a = answer_of(kAtClient + kAsked + "0.541 < RA 999001 105 win 509\n");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "server-aborted");
  // Unread data, SO_LINGER 0 and a dead process send the same RST.
  EXPECT_EQ(verdict_of(a, CauseId::kCloseWithUnreadData), "possible");
  EXPECT_EQ(verdict_of(a, CauseId::kLingerZeroAbort), "possible");
  EXPECT_EQ(verdict_of(a, CauseId::kProcessKilled), "possible");
}

TEST(Reset, AnAbortInTheMiddleOfADownloadIsTheClients) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp length 90000
    0.045 < PA 1000449:1001897 105
    0.046 > A 105 1000449
    0.047 > RA 105 1000449 win 502
    0.060 < PA 1001897:1003345 105
    0.060 > R 105
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(first_of(a) == "client-closed-early" || first_of(a) == "client-aborted") << first_of(a);
}

TEST(Reset, TlsGoodbyesThatCrossTheCloseAreNoFault) {
  // What every browser leaves behind: close_notify and FIN, and the server's own close_notify meets no socket.
  const Answer a = answer_of(kAtClient + kTalked + R"(
    1.000 > PA 905:936 1000701 tls-alert
    1.001 > FA 936 1000701
    1.021 < PA 1000701:1000732 937 tls-alert
    1.021 < FA 1000732 937
    1.021 > R 937
    1.022 > R 937
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, ATls13GoodbyeLooksLikeDataAndIsNoFault) {
  const Answer a = answer_of(kAtClient + kTalked + R"(
    1.000 < FA 1000701 905
    1.001 > PA 905:929 1000702 tls
    1.021 < R 1000702
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, WindowUpdatesOfHttp2AreNoRequestThatWaitsForAnAnswer) {
  // curl reads a page over HTTP/2, tells so in records of 35 octets, and closes; the server's close_notify comes back.
  const Answer a = answer_of(kAtServer + kTalked + R"(
    0.830 > PA 905:940 1000701 tls
    0.831 > PA 940:975 1000701 tls
    0.831 < A 1000701 975
    0.870 > FA 975 1000701
    0.871 < PA 1000701:1000725 976 tls
    0.871 < FA 1000725 976
    0.943 > R 976
    0.944 > R 976
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

// The snap length took the end of the head, and with it the length. A client that has all of an answer leaves at once or
// lets an idle connection go; one that stays a moment and aborts waited for more (or stopped reading).
TEST(Reset, AnAbortAMomentAfterTheLastPieceOfAnAnswerOfUnknownLengthIsAFault) {
  const std::string download = kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp cut
    0.045 < PA 1000449:1001897 105
    0.046 > A 105 1001897
  )";
  EXPECT_EQ(first_of(kAtClient + download + "0.366 > RA 105 1001897 win 502\n"), "client-aborted");
  EXPECT_TRUE(no_fault(answer_of(kAtClient + download + "0.047 > RA 105 1001897 win 502\n")));
  EXPECT_TRUE(no_fault(answer_of(kAtClient + download + "30.047 > RA 105 1001897 win 502\n")));
}

TEST(Reset, AGoodbyeOfWhichTheSnapLengthLeftTwoOctetsIsKnownByItsSize) {
  const Answer a = answer_of(kAtServer + kTalked + R"(
    0.870 > FA 905 1000701
    0.871 < PA 1000701:1000725 906 opaque cut
    0.871 < FA 1000725 906
    0.943 > R 906
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, ARequestOfTlsThatTheCloseLeftBehindIsNoGoodbye) {
  const Answer a = answer_of(kAtServer + kTalked + R"(
    0.830 > PA 905:1305 1000701 tls
    0.831 < A 1000701 1305
    0.870 > FA 1305 1000701
    0.871 < PA 1000701:1002101 1306 tls
    0.943 > R 1306
  )");
  EXPECT_FALSE(a.healthy);
}

/// An upload that is answered and closed early: the socket is gone when the rest of the flight arrives (RFC 9293
/// 3.10.7.1), and each segment of it draws a RST with the flight's own ACK number.
const std::string kUpload = kOpening + R"(
  0.021 > PA 4294967291:105 999001 http-req
  0.021 > A 105:1553 999001
  0.021 > A 1553:3001 999001
  0.021 > A 3001:4449 999001
  0.041 < A 999001 105
)";

TEST(Reset, AClosedSocketAnswersAFlightThatLeftARoundTripAgo) {
  const Answer a = answer_of(kAtClient + kUpload + R"(
    0.0415 > A 4449:5897 999001
    0.042 < PA 999001:999073 1553 http-resp length 72 close
    0.042 < FA 999073 1553
    0.0425 < R 999001
    0.0426 < R 999001
    0.063 < R 999001
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(find(a, CauseId::kNatStateLostReset), nullptr) << "no device need have sent it";
}

TEST(Reset, TheRestOfARequestIsNoFurtherRequest) {
  const Answer a = answer_of(kAtServer + kUpload + R"(
    0.042 < PA 999001:999073 1553 http-resp length 72 close
    0.0421 < FA 999073 1553
    0.046 > A 1553:3001 999001 opaque
    0.0461 < R 999001
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(find(a, CauseId::kKeepaliveRequestLimit), nullptr);
}

TEST(Reset, AnAbortThatOvertakesTheLastDataOnThePathEndedTheConnection) {
  // The data ends where the abort begins: it was sent before it (RFC 9293 3.10.4), whatever came first here.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.300 < RA 999175 105 win 509
    0.301 < PA 999001:999175 105 http-resp length 90000
    0.301 > A 105 999175
    0.321 < R 999175
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "server-aborted");
}

TEST(Reset, WindowsRefusesAGoodbyeWithAnAcknowledgingReset) {
  const Answer a = answer_of(kAtClient + kTalked + R"(
    1.000 > FA 905 1000701
    1.020 < PA 1000701:1000754 906 tls-alert
    1.020 > RA 906 1000754 win 0
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, WindowsRefusesAnAnswerThatComesAfterItsCloseWithAnAcknowledgingReset) {
  // Without own window and at once: Linux would have sent R (tcp_v4_send_reset()), or its abort with a window.
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001 http-req idem
    0.025 > FA 105 999001
    0.045 < PA 999001:999427 105 http-resp length 426
    0.045 > RA 106 999427 win 0
  )");
  EXPECT_EQ(first_of(a), "client-closed-early");
  EXPECT_EQ(find(a, CauseId::kCloseWithUnreadData), nullptr);
}

TEST(Reset, ARequestThatMeetsAClosedSocketIsAFault) {
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    0.300 < FA 999501 105
    2.000 > PA 105:205 999502 http-req idem
    2.020 < R 999502
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "data-after-close");
}

TEST(Reset, ARequestThatCrossesTheCloseOfAnIdleConnectionLostARace) {
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    5.046 < FA 999501 105
    5.040 > PA 105:205 999501 http-req idem
    5.066 < R 999501
  )");
  EXPECT_EQ(first_of(a), "keepalive-race");
}

/// A request that fills three segments (cookies), sent at once after an exchange that was answered.
std::string fat_request(double at, const std::string& ack) {
  return std::to_string(at) + " > A 105:1553 " + ack + " http-req idem\n" +             //
         std::to_string(at + 0.00002) + " > A 1553:3001 " + ack + " opaque\n" +          //
         std::to_string(at + 0.00004) + " > PA 3001:4284 " + ack + " opaque\n";
}

TEST(Reset, ARequestOfSeveralSegmentsLosesTheRaceAsOneOfASingleSegmentDoes) {
  const Answer a = answer_of(kAtClient + kAnswered + "@end 9\n" + fat_request(5.040, "999501") + R"(
    5.046 < FA 999501 105
    5.066 < R 999501
    5.0661 < R 999501
    5.0662 < R 999501
  )");
  EXPECT_EQ(first_of(a), "keepalive-race");
}

TEST(Reset, ADevicesTimerEndsAnIdleConnectionAtTheFirstSegmentOfAFlight) {
  const Answer a = answer_of(kAtClient + kAnswered + fat_request(6.057, "999501") + R"(
    6.058 < R 999501 ttl 253
    6.078 < A 999501 105
    6.078 > R 105
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(first_of(a) == "idle-timeout-reset" || first_of(a) == "reset-by-network") << first_of(a);
}

TEST(Reset, ARequestThatTheAnswerDoesNotAcknowledgeStillWaits) {
  // RFC 9293 3.10.7.4: what had come when the answer was written is acknowledged by it.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.044 > PA 105:205 999001 http-req idem
    0.045 < PA 999001:999501 105 http-resp length 500 close
    0.046 > A 205 999501
    0.064 < A 999501 205
    0.100 < RA 999501 205 win 509
  )");
  EXPECT_FALSE(a.healthy) << first_of(a);
}

TEST(Reset, AClientThatLeavesAtRestLosesNothing) {
  // Windows clients of SMB and mail end so: every octet acknowledged, the server spoke last.
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001
    0.041 < PA 999001:999101 105
    0.042 > A 105 999101
    3.000 > RA 105 999101 win 0
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, AClientWhoseProbesWentUnansweredDidNotLeaveAtRest) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001
    0.041 < PA 999001:999101 105
    0.042 > A 105 999101
    60.00 > A 104 999101
    65.00 > A 104 999101
    70.00 > A 104 999101
    75.00 > RA 105 999101
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "keepalive-dead-peer");
}

TEST(Reset, AResetFromAnotherDistanceWhoseSenderGoesOnIsForged) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.043 < RA 999001 105 ttl 48 nots
    0.046 < PA 999001:999501 105 http-resp length 500
    0.046 > R 105
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "forged-reset");
}

TEST(Reset, AnAbortWithoutTimestampsAndWindowIsNoForgery) {
  // Linux signs its aborts with timestamps (tcp_send_active_reset()); Windows does not, and closes its window.
  const Answer a = answer_of(kAtClient + kAsked + "0.541 < RA 999001 105 win 0 nots\n");
  EXPECT_EQ(first_of(a), "server-aborted");
  EXPECT_EQ(verdict_of(a, CauseId::kForgedReset), "");
}

TEST(Reset, AHostThatAnswersDataAfterALongSilenceHadLostTheConnection) {
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    60.00 > PA 105:205 999501 http-req idem
    60.02 < R 999501
  )");
  EXPECT_EQ(first_of(a), "peer-restarted");
}

TEST(Reset, NoClientsHostRestartsWithinThreeSeconds) {
  // A timeout of its own, a lost FIN, a restart: the generic is all that can be said.
  const Answer a = answer_of(kAtServer + kAnswered + R"(
    3.000 < PA 999501:999601 105
    3.020 > R 105
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "half-open");
  EXPECT_EQ(verdict_of(a, CauseId::kPeerRestarted), "possible");
}

TEST(Reset, AMendedHandshakeExcusesNothing) {
  const Answer a = answer_of(kAtServer + R"(
    0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
    0.000 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
    1.000 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
    1.020 > A 4294967291 999001
    1.021 > PA 4294967291:105 999001 http-req idem
    1.021 < A 999001 105
    1.521 < RA 999001 105 win 509
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "server-aborted");
}

TEST(Reset, AServerThatClosesAfterAGoodbyeOwesNoAnswer) {
  // MQTT DISCONNECT and its kin: the client's last words ask nothing.
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001
    0.041 < PA 999001:999101 105
    0.042 > A 105 999101
    0.100 > PA 105:107 999101
    0.120 < A 999101 107
    0.121 < FA 999101 107
    0.122 > FA 107 999102
    0.142 < A 999102 108
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, TheRstsOfAFlightUnderWayAnswerItInTurnAndNotItsLastSegment) {
  // The server closed while an upload was on its way; each segment that arrives later is answered (RFC 9293 3.10.7.1),
  // 20 ms after it passed here and half a millisecond after the next one did.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.0500 > A 105:1553 999001
    0.0520 > A 1553:3001 999001
    0.0540 > A 3001:4449 999001
    0.0600 > A 4449:5897 999001
    0.0690 > A 5897:7345 999001
    0.0700 < A 999001 1553
    0.0701 < FA 999001 1553
    0.0715 > A 7345:8793 999001
    0.0720 < R 999001
    0.0740 < R 999001
    0.0800 < R 999001
  )");
  EXPECT_EQ(first_of(a), "data-after-close");
  EXPECT_EQ(verdict_of(a, CauseId::kNatStateLostReset), "");
}

TEST(Reset, NoHostRestartsBetweenTwoSegmentsOfOneFlight) {
  // The abort itself was not captured: 3 ms after an ACK of the server its kernel knows the connection no more.
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.0500 > A 105:1553 999001
    0.0500 < A 999001 1553
    0.0501 > A 1553:3001 999001
    0.0501 < A 999001 3001
    0.0531 > A 9001:10449 999001
    0.0531 < R 999001
    0.0532 > A 10449:11897 999001
    0.0532 < R 999001
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_NE(verdict_of(a, CauseId::kPeerRestarted), "likely") << first_of(a);
}

/// Answered, and aborted by the client's socket before its third segment left, as HAProxy's check of a port does.
const std::string kChecked = R"(
  0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
  0.020 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
  0.0201 > RA 4294967291 999001 win 502
)";

TEST(Reset, AClientThatAbortsEveryConnectionAtOnceOnlyAsksWhetherThePortAnswers) {
  const facts::Connection c = ladder::connection(kAtClient + kChecked);
  facts::Survey survey;
  facts::ServiceFacts& service = survey.services[c.ends[1]];
  service.endpoint = c.ends[1];
  facts::Attempt check;
  check.client = c.ends[0].address;
  check.fate = facts::Attempt::Fate::kIncomplete;
  check.probe = true;
  for (std::uint64_t n : {11u, 12u}) {
    check.connection = n;
    service.attempts_sample.add(check);
    EXPECT_FALSE(no_fault(explain(c, survey, Detail::kSentences))) << "twice is no habit";
  }
  service.attempts_sample.add(check);
  const Answer a = explain(c, survey, Detail::kSentences);
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "no-data");
}

TEST(Reset, ASingleAbortAfterTheHandshakeIsTheClients) {
  const Answer a = answer_of(kAtClient + kChecked);
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "client-aborted");
}

// RFC 9293 3.10.5, ABORT: <SEQ=SND.NXT><CTL=RST>. Linux adds the ACK flag, Windows XP and Apple's stacks do not.
TEST(Reset, ARstWithoutAckAtSndNxtThatAnswersNothingIsAnAbortOfItsSender) {
  const Answer a = answer_of(kAtClient + kAsked + "5.000 > R 105\n");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "client-timeout");
  EXPECT_EQ(find(a, CauseId::kForgedReset), nullptr);
  EXPECT_TRUE(no_fault(answer_of(kAtClient + kTalked + "14.000 > R 905\n")));
}

TEST(Reset, ARstWithoutAckAtAnotherNumberIsNoAbortOfItsSender) {
  const Answer a = answer_of(kAtClient + kAsked + "0.300 > R 95\n0.400 < PA 999001:999501 105 http-resp length 500\n0.401 > A 105 999501\n");
  EXPECT_NE(first_of(a), "client-aborted");
}

// RFC 9293 3.10.7.1 asks for it of a socket that is gone; Windows answers with RST+ACK.
TEST(Reset, RstAckForEachSegmentThatStillArrivesIsOneAbort) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp length 90000
    0.045 < PA 1000449:1001897 105
    0.046 > A 105 1001897
    0.047 > RA 105 1001897 win 0
    0.060 < PA 1001897:1003345 105
    0.060 > RA 105 1003345 win 0
    0.061 < PA 1003345:1004793 105
    0.061 > RA 105 1004793 win 0
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(find(a, CauseId::kForgedReset), nullptr);
}

TEST(Reset, WhereBothFinsAreAcknowledgedARstEndsNothingWhoeverSentIt) {
  EXPECT_TRUE(no_fault(answer_of(kAtClient + kAnswered + R"(
    1.000 < FA 999501 105
    1.001 > FA 105 999502
    1.021 < A 999502 106
    9.000 < R 999502 ttl 250
  )")));
}

TEST(Reset, ABalancersRstFromTheServersDistanceIsNotForged) {
  // 64 - 55 and 255 - 246: nine hops both.
  const Answer near_it = answer_of(kAtClient + kAsked + "0.541 < RA 999001 105 win 509 ttl 246\n");
  EXPECT_EQ(first_of(near_it), "server-aborted");
  const Answer elsewhere = answer_of(kAtClient + kAsked + "0.541 < RA 999001 105 win 509 ttl 230\n");
  EXPECT_NE(first_of(elsewhere), "server-aborted");
}

// QUIT and the like: the client says so and closes; the answer finds nobody (RFC 9293 3.10.7.1).
TEST(Reset, AGoodbyeAtOnceFollowedByFinAsksNothing) {
  const std::string mail = kOpening + R"(
    0.050 < PA 999001:999040 4294967291
    0.051 > PA 4294967291:100 999040
    0.071 < PA 999040:999140 100
    0.100 > PA 100:106 999140
    0.101 > FA 106 999140
  )";
  EXPECT_TRUE(no_fault(answer_of(kAtClient + mail + R"(
    0.121 < PA 999140:999180 107
    0.121 > R 107
    0.122 < FA 999180 107
    0.122 > R 107
  )")));
  // A server that aborts instead of closing loses nothing either.
  EXPECT_TRUE(no_fault(answer_of(kAtClient + mail + "0.121 < A 999140 107\n0.130 < RA 999140 107 win 0\n")));
}

// Recorded at a server on a path that lost 3 %: the FIN behind QUIT was lost, and came again after its timeout.
TEST(Reset, AGoodbyeWhoseFinHadToBeSentAgainIsStillAGoodbye) {
  const std::string story = kOpening + R"(
    0.050 < PA 999001:999013 4294967291
    0.201 > PA 4294967291:3 999013
    0.202 < PA 999013:999021 3
    0.356 > PA 3:11 999021
    0.357 < PA 999021:999029 11
    0.513 > PA 11:17 999029
    0.557 < A 999029 17
    1.153 > FA 17 999029
    1.193 < A 999029 18
    1.354 < PA 999029:999038 18
    1.354 < FA 999038 18
    1.509 > R 18
    1.509 > R 18
  )";
  EXPECT_TRUE(no_fault(answer_of(kAtServer + story)));
  // Beside the client nothing was lost before: it waited, and gave up.
  EXPECT_FALSE(answer_of(kAtClient + story).healthy);
}

TEST(Reset, ARequestBeforeFinIsNoGoodbyeWhereNothingWasSaidBefore) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.100 > PA 4294967291:10 999001
    0.101 > FA 10 999001
    0.121 < A 999001 11
    0.130 < RA 999001 11 win 0
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "server-aborted");
}

TEST(Reset, DataThatCrossedTheOthersFinAndWasNeverAcknowledgedIsLost) {
  // Both closed at once; the server had closed before the client's last data came, and refuses its FIN.
  const Answer a = answer_of(kAtClient + kTalked + R"(
    1.000 > PA 905:1205 1000701 opaque
    1.000 > FA 1205 1000701
    1.001 < FA 1000701 905
    1.001 > A 1206 1000702
    1.021 < R 1000701
    1.021 < R 1000702
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "data-after-close");
}

TEST(Reset, AnswersToDataThatBeganBeforeTheCaptureTellNoFault) {
  // The client had closed before the capture began; how that went cannot be told.
  EXPECT_TRUE(no_fault(answer_of(kAtClient + R"(
    0.000 < PA 1000:1036 500 tls
    0.000 > R 500
    0.001 < PA 1036:2126 500 tls
    0.001 > R 500
  )")));
}

TEST(Reset, WhatTheClientAcknowledgedBeyondTheSynAckShowsThatTheServerSpoke) {
  // Only the client's data was captured: its ACKs tell the rest of the story.
  const Answer a = answer_of(kAtServer + kOpening + R"(
    7.900 > PA 4294967291:37 999001
    7.905 > A 37 999085
    7.926 < R 999085
  )");
  EXPECT_NE(ladder::connection(kAtClient + kOpening + "7.900 > PA 4294967291:37 999001\n7.905 > A 37 999085\n").outcome,
            facts::Outcome::kHandshakeFailed);
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

// Linux chooses its path anew after a timeout (sk_rethink_txhash()).
TEST(InjectedData, ARepeatAfterATimeoutMayTakeALongerWay) {
  facts::Connection c = ladder::gathered(kAtClient + kAnswered + R"(
    1.000 < PA 999501(31) 105 ttl 55
    1.400 < PA 999501(31) 105 ttl 55
    2.200 < PA 999501(31) 105 ttl 53
    2.201 > A 105 999532
  )");
  for (facts::SegmentFact& s : c.segments)
    if (s.seq == SeqNum{999501} && s.payload_bytes == 31) s.mss = 0x1234;  // the digest of the same octets
  flow::annotate(c);
  EXPECT_EQ(find(explain(c, {}, Detail::kSentences), CauseId::kInjectedData), nullptr);
}

TEST(Reset, WhoAnswersARetransmissionWithRstIsNotUnresponsive) {
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.0500 > A 105:1553 999001
    0.0505 < FA 999001 105
    0.3500 > A 105:1553 999001
    0.3501 < R 999001
    0.9500 > A 105:1553 999001
    0.9501 < R 999001
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(verdict_of(a, CauseId::kPeerUnresponsive), "");
  EXPECT_EQ(verdict_of(a, CauseId::kPathBlackhole), "");
}

TEST(Reset, ARefusedCloseNotifyOfTheClientAfterAWholeAnswerIsNoFault) {
  // The server sent its answer, close_notify and, with the client's close_notify unread, RST (RFC 8446 6.1).
  const Answer a = answer_of(kAtServer + kTalked + R"(
    1.0000 < PA 1000701:1000732 905 tls-alert
    1.0001 > A 905 1000732
    1.0003 > PA 905:936 1000732 tls-alert
    1.0004 > FA 936 1000732
    1.0008 < RA 1000732 937 win 64
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(AckNumber, AnAckBesideALossOfTheCaptureWasNotRewritten) {
  // The request and the answer it acknowledges are both missing: nobody objected, and its own numbers have moved on too.
  const Answer a = answer_of(kAtServer + R"(
    0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
    0.000 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
    0.054 > A 80 999354
  )");
  EXPECT_NE(verdict_of(a, CauseId::kAckNumberRewritten), "likely") << first_of(a);
}

TEST(AckNumber, OfUploadThatTheCaptureLostWasNotRewrittenWhereTheClientGoesOnThere) {
  // The capture lost 90 kB of the upload, and the ACKs of its first part, too; the client's own abort begins where the
  // ACKs end. RST with ACK flag is an abort with its sender's own number (RFC 9293 3.10.5).
  std::string story = kAtClient + "0.00 > S 100 win 8192 <mss 1460>\n0.44 < SA 300 101 win 64240 <mss 1460>\n0.44 > A 101 301\n"
                                  "0.45 > A 101:1561 301 http-req\n0.46 < A 301 1561 win 64240\n";
  for (int k = 0; k < 5; ++k)
    story += "0.48" + std::to_string(k) + " < A 301 " + std::to_string(94421 + 1460 * k) + " win " + std::to_string(61320 - 1460 * k) + "\n";
  story += "4.90 < FPA 301:621 100261 win 64239 http-resp\n4.91 > RA 100261 622 win 0\n";
  const Answer a = answer_of(story);
  EXPECT_EQ(find(a, CauseId::kAckNumberRewritten), nullptr);
  EXPECT_EQ(find(a, CauseId::kUnacceptableAck), nullptr);
}

TEST(Reset, ThatNothingButHarmlessThingsSurroundStaysUnexplained) {
  // A split handshake: both sent SYN, and what opened it is known, but not why the client reset it.
  const Answer a = answer_of(R"(
    0.0000 > S 100
    0.0006 < S 300
    0.0011 > SA 100 301
    0.0016 < A 301 101
    0.0022 > A 101:105 301
    0.0037 < A 301 105
    0.0043 > R 105
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(a.diagnoses.empty() || !a.diagnoses.front().benign) << first_of(a);
  EXPECT_EQ(a.first_unexplained_frame, a.diagnoses.empty() ? 7u : 0u);
}

// RFC 1122 4.2.2.13: a close with data unread, or an abort, discards what was sent last.
TEST(Reset, AServerThatResetsRightBehindItsAnswerHasNotWaitedForItToArrive) {
  const std::string behind = kAtClient + kAsked + "0.045 < PA 999001:999501 105 http-resp length 500\n0.046 > A 105 999501\n";
  EXPECT_EQ(first_of(behind + "0.0465 < RA 999501 105 win 509\n"), "linger-zero-abort");
  EXPECT_TRUE(no_fault(answer_of(behind + "2.500 < RA 999501 105 win 509\n")));
}

TEST(Reset, TheAnswerToARequestWithABodyDoesNotShowThatTheBodyWasRead) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:405 999001 http-req length 410
    0.041 < A 999001 405
    0.045 < PA 999001:999101 405 http-resp length 100
    0.046 > A 405 999101
    0.0465 < RA 999101 405 win 509
  )");
  EXPECT_EQ(first_of(a), "server-aborted");
  EXPECT_EQ(verdict_of(a, CauseId::kLingerZeroAbort), "possible");
}

TEST(Reset, ABodyThatNarrowedTheWindowOfTheFinWasNotReadWhereTheRstOpensItAgain) {
  // Linux tcp_close() throws the queue away before it sends RST: the window of the RST is the one of an empty buffer.
  const Answer a = answer_of(kAtServer + kOpening + R"(
    0.021 > A 4294967291(8000) 999001 http-req length 20000
    0.021 < A 999001 7995 win 440
    0.021 > PA 7995(12000) 999001
    0.021 < A 999001 19995 win 340
    0.022 < PA 999001:999501 19995 http-resp length 500 win 340
    0.022 < FA 999501 19995 win 340
    0.022 < RA 999502 19995 win 509
  )");
  EXPECT_EQ(first_of(a), "close-with-unread-data");
}

TEST(Reset, AServerThatRestedForASecondLetsAnIdleClientGo) {
  const std::string idle = kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001
    0.041 < PA 999001:999101 105
    0.042 > A 105 999101
  )";
  EXPECT_TRUE(no_fault(answer_of(idle + "3.000 < RA 999101 105 win 509\n")));
  EXPECT_FALSE(answer_of(idle + "0.100 < RA 999101 105 win 509\n").healthy);
}

TEST(Reset, AClientWhoseWindowWasShutDidNotLeaveAtRest) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001
    0.041 < A 999001:1000461 105
    0.042 > A 105 1000461 win 251
    0.043 < PA 1000461:1001921 105
    0.044 > A 105 1001921 win 0
    0.300 > RA 105 1001921 win 500
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "close-with-unread-data");
}

// linux-tcp 7.1: a host without a socket answers what arrives; what its socket had acknowledged had arrived.
TEST(Reset, ARstAnswersNothingThatItsOwnSideHadAcknowledged) {
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.045 < PA 999001:999501 105 http-resp length 9000
    0.066 > A 105 999501
    0.500 > R 105 ttl 40
  )");
  EXPECT_EQ(first_of(a), "forged-reset");
  EXPECT_NE(verdict_of(a, CauseId::kNatStateLostReset), "likely");
}

TEST(Reset, AProbeOfAClosedWindowThatMeetsRstFindsTheClientsSocketGone) {
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.045 < PA 999001:999501 105 http-resp length 9000
    0.066 > A 105 999501 win 0
    0.270 < A 999500 105
    0.291 > R 105
  )");
  EXPECT_EQ(first_of(a), "client-aborted");
}

TEST(Reset, AServerThatClosesBeforeAnythingWasAskedFailsTheRequestThatComesLater) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.022 < FA 999001 4294967291
    0.023 > A 4294967291 999002
    0.300 > PA 4294967291:105 999002 http-req idem
    0.320 < R 999002
  )");
  EXPECT_EQ(first_of(a), "immediate-close");
}

// Recorded at a server: the request's first transmission was lost before it, and its repeat met the closed socket.
TEST(Reset, ARequestOfWhichOnlyTheRepeatCameThisFarLostTheRaceAllTheSame) {
  const Answer a = answer_of(kAtServer + kAnswered + R"(
    0.100 > PA 105:155 999501 http-req idem
    0.101 < PA 999501:999601 155 http-resp length 100
    0.102 < FA 999601 155
    0.140 > A 205 999602
    0.400 > PA 155:205 999602 http-req idem
    0.401 < R 999602
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_TRUE(first_of(a) == "data-after-close" || first_of(a) == "keepalive-race" || first_of(a) == "keepalive-request-limit") << first_of(a);
}

TEST(Reset, AnAckOfLessThanTheAbortAcknowledgesWasSentBeforeIt) {
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.045 < PA 999001:1000461 105 http-resp length 2920
    0.046 < PA 1000461:1001921 105
    0.070 > RA 105 1001921 win 502
    0.074 > A 105 1000461
  )");
  EXPECT_EQ(find(a, CauseId::kForgedReset), nullptr);
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

// Recorded at a server whose path changes the order of segments; the words are QUIT.
TEST(Reset, AGoodbyeThatItsFinOvertookIsStillAGoodbye) {
  const Answer a = answer_of(kAtServer + kOpening + R"(
    0.021 < PA 999001:999012 4294967291
    0.041 > A 4294967291 999012
    0.046 > FA 1 999012
    0.046 < A 999012 4294967291
    0.047 > PA 4294967291:1 999012
    0.047 < A 999012 2
    0.247 < PA 999012:999021 2
    0.247 < FA 999021 2
    0.267 > R 2
    0.268 > R 2
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(IdleTimeoutReset, ADeviceMayAnswerTheFirstSegmentAfterTheSilenceWithAnAcknowledgingRst) {
  // The silence that counts lies before the segment, not between it and the RST.
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    9.000 > PA 105:205 999501 http-req idem
    9.031 < RA 999501 205 win 0 ttl 254
  )");
  EXPECT_EQ(first_of(a), "idle-timeout-reset");
}

TEST(ForgedReset, MayComeBeforeTheHandshakesLastSegmentAndCountOctetsThatFollowIt) {
  const Answer a = answer_of(kAtServer + R"(
    0.000 > S 4294967290
    0.001 < SA 999000 4294967291
    0.020 > RA 200 999001 win 0 ttl 44
    0.021 < A 999001 4294967291
    0.022 > A 4294967291 999001
    0.023 > PA 4294967291:200 999001 tls-hs
    0.024 < A 999001 200
    0.060 > R 4294967291
    0.061 > R 200
  )");
  EXPECT_TRUE(first_of(a) == "forged-reset" || first_of(a) == "reset-by-network") << first_of(a);
}

// A balancer's health check ends with RST once it has its answer; recorded behind a path that swaps neighbours.
TEST(Reset, AnAckThatTheAbortOvertookIsNoSignOfLife) {
  const Answer a = answer_of(kAtServer + kAnswered + R"(
    0.3000 > RA 105 999501 win 67
    0.3006 > A 105 999501
    0.3007 < R 999501
  )");
  EXPECT_EQ(find(a, CauseId::kForgedReset), nullptr);
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(Reset, AnAbortThatTheAnswerToTheNextSegmentOvertookCameFirst) {
  const std::string story = kAtServer + kAsked + "0.045 < PA 999001:999501 105 http-resp length 500\n0.046 < FA 999501 105\n";
  const Answer swapped = answer_of(story + "0.0700 > R 105\n0.0701 > RA 105 999501 win 64\n");
  const Answer in_order = answer_of(story + "0.0700 > RA 105 999501 win 64\n0.0701 > R 105\n");
  EXPECT_EQ(first_of(swapped), first_of(in_order));
  EXPECT_TRUE(no_fault(swapped)) << first_of(swapped);
}

}  // namespace
}  // namespace tcpwhy::diagnose
