// Connections that the client ended: early, after it had waited in vain, by an abort.

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"
#include "unit/diagnose/conversations.hpp"

namespace tcpwhy::diagnose {
namespace {

/// The client closes after a conversation of TLS records whose payload was not captured; what comes then meets no socket.
std::string closed_then(const std::string& rest) { return kAtServer + kTalked + rest; }

TEST(ClientClosedEarly, IsNotSaidOfLastWordsThatMeetAClosedClient) {
  // GOAWAY and close_notify of HTTP/2 in one segment: longer than an alert, and no answer. Read or not, they end a talk.
  for (const char* words : {"tls", "opaque cut"}) {
    const Answer a = answer_of(closed_then(std::string{"0.870 > FA 905 1000701\n0.891 < PA 1000701:1000771 906 "} + words + R"(
      0.892 < FA 1000771 906
      0.893 > R 906
      0.894 > R 906
    )"));
    EXPECT_TRUE(no_fault(a)) << first_of(a);
  }
}

TEST(ClientClosedEarly, IsNotSaidWhereTheServerHadBeenSilentBeforeTheClose) {
  // Nothing tells whether the talk was over when the client left it after half a minute.
  const Answer a = answer_of(closed_then(R"(
    30.870 > FA 905 1000701
    30.871 < A 1000701:1002149 906 tls
    30.891 > R 906
  )"));
  EXPECT_FALSE(a.healthy);
  EXPECT_NE(verdict_of(a, CauseId::kClientClosedEarly), "likely");
  EXPECT_EQ(first_of(a), "data-after-close");
}

TEST(ClientClosedEarly, IsLikelyWhereFullSegmentsFollowTheClose) {
  const Answer a = answer_of(closed_then(R"(
    0.100 < A 1000701:1002149 905 tls
    0.101 > RA 905 1002149
    0.110 < A 1002149:1003597 905 tls
    0.111 > R 905
  )"));
  EXPECT_EQ(first_of(a), "client-closed-early");
}

TEST(ClientTimeout, EndsAnAnswerThatStoppedInTheMiddleForWholeSeconds) {
  const auto given_up_after = [](const std::string& at) {
    return answer_of(kAtClient + kAsked + "0.045 < A 999001:1000449 105 http-resp length 90000\n0.046 > A 105 1000449\n" + at +
                     " > RA 105 1000449 win 502\n");
  };
  // A read timeout of 30 s, which begins anew with each piece of the answer.
  const Answer timer = given_up_after("30.046");
  EXPECT_EQ(first_of(timer), "client-timeout");
  EXPECT_NE(verdict_of(timer, CauseId::kClientClosedEarly), "likely");
  // Somebody lost patience: why the client ended it cannot be told.
  EXPECT_EQ(first_of(given_up_after("17.346")), "client-aborted");
}

TEST(ClientTimeout, AClientThatWaitsInVainForTheServerHelloGivesUp) {
  EXPECT_EQ(first_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:505 999001 tls-hs
    0.041 < A 999001 505
    3.021 > FA 505 999001
    3.041 < FA 999001 506
    3.042 > A 506 999002
  )"), "client-timeout");
}

TEST(ClientTimeout, AGoodbyeAfterTheWaitIsNoPartOfTheRequest) {
  EXPECT_EQ(first_of(kAtClient + kTalked + R"(
    0.100 > PA 905:1305 1000701 tls
    0.120 < A 1000701 1305
    5.100 > PA 1305:1329 1000701 tls-alert
    5.101 > FA 1329 1000701
    5.121 < A 1000701 1330
    6.000 < PA 1000701:1003701 1330 tls
    6.001 > R 1330
  )"), "client-timeout");
}

TEST(ClientClosedEarly, ARequestThatEndsBeforeItsAnnouncedBodyWasGivenUp) {
  EXPECT_EQ(first_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:505 999001 http-req length 5000
    0.041 < A 999001 505
    0.300 > FA 505 999001
    0.320 < FA 999001 506
    0.321 > A 506 999002
  )"), "client-closed-early");
}

// RFC 9293 3.6: who closes his half right behind the request waits for the answer.
TEST(ClientClosedEarly, AHalfCloseRightBehindTheRequestIsNoCancel) {
  EXPECT_NE(first_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:105 999001 http-req idem
    0.022 > FA 105 999001
    0.042 < A 999001 106
    0.050 < FA 999001 106
    0.051 > A 106 999002
  )"), "client-closed-early");
}

// The FIN was sent with or right after these words and lost; it came at last on their repeat.
TEST(ClientTimeout, IsNotMeasuredByAFinThatRidesOnARepeat) {
  EXPECT_TRUE(no_fault(answer_of(kAtServer + kAnswered + R"(
    1.000 > PA 105:113 999501
    1.040 < A 999501 113
    4.000 > FPA 105:113 999501
    4.040 < A 999501 114
    4.041 < FA 999501 114
    4.060 > A 114 999502
  )")));
}

// wget and curl that are killed in the middle of a download whose every octet they had read: FIN, and FIN of nginx.
TEST(ClientClosedEarly, AServerThatClosesShortOfItsLengthForTheClientsFinWasLeft) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp length 90000
    0.046 > A 105 1000449
    0.600 > FA 105 1000449
    0.620 < FA 1000449 106
    0.621 > A 106 1000450
  )");
  EXPECT_EQ(first_of(a), "client-closed-early");
  EXPECT_FALSE(a.healthy);
}

// RFC 9293 3.6: with its own direction closed a client goes on receiving; what is missing then the server kept back.
TEST(ClientClosedEarly, IsNotSaidWhereTheServerWentOnAfterTheFinAndClosedShort) {
  EXPECT_NE(first_of(kAtClient + kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp length 90000
    0.046 > A 105 1000449
    0.047 > FA 105 1000449
    0.067 < A 1000449 106
    0.700 < PA 1000449:1001897 106
    0.701 > A 106 1001897
    0.900 < FA 1001897 106
    0.901 > A 106 1001898
  )"), "client-closed-early");
}

TEST(ClientClosedEarly, AnAnswerInPortionsIsNotOverForTheLengthOfOnePause) {
  // nginx limit_rate: a portion each second.
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.045 < PA 999001:1000449 105
    0.085 > A 105 1000449
    1.045 < PA 1000449:1001897 105
    1.085 > A 105 1001897
    2.045 < PA 1001897:1003345 105
    2.085 > A 105 1003345
    3.040 > FA 105 1003345
    3.045 < PA 1003345:1004793 106
    3.085 > R 106
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kClientClosedEarly), "likely");
}

TEST(ClientTimeout, IsNotUndoneByTheServersFinThatMeetsNoSocketLongAfterIt) {
  // tcp_fin_timeout of the client's host was over when the server closed.
  const Answer a = answer_of(kAtClient + kAsked + R"(
    3.020 > FA 105 999001
    3.060 < A 999001 106
    30.000 < FA 999001 106
    30.001 > R 106
  )");
  EXPECT_EQ(first_of(a), "client-timeout");
  EXPECT_FALSE(a.healthy);
}

TEST(ClientAborted, IsToldOfAFinInTheMiddleOfAnAnswerThatHadStopped) {
  // wget --read-timeout=4 behind a slow line: not a whole number of seconds here, and no RST.
  const Answer a = answer_of(kAtServer + kAsked + R"(
    0.045 < PA 999001:999501 105 http-resp length 5000
    0.085 > A 105 999501
    4.160 > FA 105 999501
    4.200 < A 999501 106
    30.000 < FA 999501 106
    30.040 > R 106
  )");
  EXPECT_EQ(first_of(a), "client-aborted");
  EXPECT_FALSE(a.healthy);
}

TEST(ClientClosedEarly, TheHeadOfARequestMayComeBehindItsBody) {
  EXPECT_EQ(first_of(kAtServer + kOpening + R"(
    0.021 > PA 1453:2905 999001
    0.022 > PA 4294967291:1453 999001 http-req length 50000
    0.022 < A 999001 2905
    0.300 > FA 2905 999001
    0.301 < FA 999001 2906
    0.321 > A 2906 999002
  )"), "client-closed-early");
}

TEST(ClientClosedEarly, ALastOctetThatMeetsRstIsNoGoodbyeOfAnAnswerThatAnnouncedMore) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.045 < PA 999001:1000449 105 http-resp length 90000
    0.046 > A 105 1000449
    0.140 > FA 105 1000449
    0.160 < PA 1000449:1000450 105
    0.161 > R 105
    0.180 < FA 1000450 106
    0.181 > R 106
  )");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(first_of(a), "client-closed-early");
}

}  // namespace
}  // namespace tcpwhy::diagnose
