// What is healthy must stay without a fault: the program's word is worth what its
// silence is worth.

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"

namespace tcpwhy::diagnose {
namespace {

const std::string kOpening = R"(
  0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
  0.010 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
  0.010 > A 4294967291 999001
)";
const std::string kOnce = kOpening + R"(
  0.011 > PA 4294967291:105 999001 http-req idem
  0.021 < A 999001 105
  0.025 < PA 999001:999501 105 http-resp length 500
  0.026 > A 105 999501
)";
const std::string kClose = R"(
  +0.1 > FA 105 999501
  +0.01 < FA 999501 106
  +0.001 > A 106 999502
)";

TEST(Healthy, OneRequestHasNoDiagnosis) {
  const Answer a = answer_of(kOnce + kClose);
  EXPECT_TRUE(a.healthy);
  EXPECT_TRUE(a.diagnoses.empty()) << first_of(a);
}

TEST(Healthy, FastRetransmitIsPacketLossThatPassed) {
  const Answer a = answer_of("@vantage server\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.012 < A 999001(1448) 105 http-resp length 5792
    0.012 < A 1000449(1448) 105
    0.012 < A 1001897(1448) 105
    0.012 < A 1003345(1448) 105
    0.022 > A 105 1000449
    0.022 > A 105 1000449 <sack 1001897:1003345>
    0.022 > A 105 1000449 <sack 1001897:1004793>
    0.023 < A 1000449(1448) 105
    0.033 > A 105 1004793
    0.100 > FA 105 1004793
    0.101 < FA 1004793 106
    0.111 > A 106 1004794
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "packet-loss");
}

TEST(Healthy, NeedlessRepeatIsADelaySpike) {
  // RFC 2883: the second copy is reported as duplicate.
  const Answer a = answer_of("@vantage client\n" + kOnce + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.220 > PA 105:205 999501 http-req idem
    1.640 > PA 105:205 999501 http-req idem
    1.800 < A 999501 205 <ts 7001200 91001>
    1.801 < A 999501 205 <dsack 105:205>
    1.802 < A 999501 205 <dsack 105:205>
    1.810 < PA 999501(100) 205 http-resp length 100
    1.811 > A 205 999601
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(verdict_of(a, CauseId::kPathDelaySpike), "likely");
}

TEST(Healthy, HalfCloseThatGoesOnIsANote) {
  const Answer a = answer_of(kOpening + R"(
    0.011 > PA 4294967291:105 999001
    0.012 > FA 105 999001
    0.022 < A 999001 106
    2.000 < PA 999001(500) 106
    2.010 > A 106 999501
    2.500 < FA 999501 106
    2.510 > A 106 999502
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(verdict_of(a, CauseId::kHalfClose), "likely");
}

TEST(Healthy, CrossingFinsAreASimultaneousClose) {
  const Answer a = answer_of(kOnce + R"(
    1.000 > FA 105 999501
    1.002 < FA 999501 105
    1.003 > A 106 999502
    1.012 < A 999502 106
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "simultaneous-close");
}

TEST(Healthy, ServerClosesItsIdleConnection) {
  const Answer a = answer_of(kOnce + R"(
    75.026 < FA 999501 105
    75.027 > FA 105 999502
    75.037 < A 999502 106
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "server-idle-close");
}

TEST(Healthy, ABareFinThatMeetsRstAfterFinWait2LostNothing) {
  // linux-tcp.md 8.5: the server has forgotten its half of the connection after tcp_fin_timeout.
  for (const char* late : {"30.0", "70.0"}) {
    const Answer a = answer_of("@vantage client\n" + kOnce +
                               "5.000 < FA 999501 105\n5.001 > A 105 999502\n+" + late + " > FA 105 999502\n+0.010 < R 999502\n");
    EXPECT_EQ(first_of(a), "reset-after-close");
    EXPECT_TRUE(no_fault(a)) << first_of(a);
  }
}

TEST(Healthy, IdleAtTheEndIsOpen) {
  const Answer a = answer_of(kOnce);
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "idle-open");
}

TEST(Healthy, OpenedAndClosedWithoutData) {
  const Answer a = answer_of(kOpening + R"(
    0.100 > FA 4294967291 999001
    0.110 < FA 999001 4294967292
    0.111 > A 4294967292 999002
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "no-data");
}

TEST(Healthy, TooBigThatIsObeyedIsNoFault) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > A 4294967291(1448) 999001 http-req
    @icmp 0.013 > 3 4 4294967291 203.0.113.1
    0.014 > A 4294967291(1388) 999001
    0.014 > PA 1383(60) 999001
    0.024 < A 999001 1443
    0.030 < PA 999001(500) 1443 http-resp length 500
    0.031 > A 1443 999501
  )");
  EXPECT_TRUE(no_fault(a));
}

TEST(Healthy, CaptureThatBeganLateTellsNoFault) {
  const Answer a = answer_of(R"(
    @inferred
    5.000 > PA 105:205 999501 http-req idem
    5.010 < A 999501 205
    5.020 < PA 999501(100) 205 http-resp length 100
    5.021 > A 205 999601
    @end 5.5
  )");
  EXPECT_TRUE(no_fault(a));
}

TEST(Healthy, AcknowledgedButNeverRecordedIsAGapOfTheCapture) {
  const Answer a = answer_of("@vantage client\n" + kOpening + R"(
    0.011 > PA 4294967291:105 999001 http-req idem
    0.021 < A 999001(1448) 105 http-resp length 7240
    0.022 > A 105 1000449
    0.030 > A 105 1003345
    0.031 < A 1003345(1448) 105
    0.031 < A 1004793(1448) 105
    0.032 > A 105 1006241
    0.100 > FA 105 1006241
    0.110 < FA 1006241 106
    0.111 > A 106 1006242
  )");
  EXPECT_TRUE(no_fault(a));
  EXPECT_EQ(first_of(a), "capture-gap");
}

TEST(Healthy, PoolOfIdleConnectionsWithAnsweredKeepalives) {
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n" + kOnce + R"(
    15.026 > A 104 999501
    15.036 < A 999501 105
    30.026 > A 104 999501
    30.036 < A 999501 105
    45.000 > PA 105:205 999501 http-req idem
    45.010 < A 999501 205
    45.020 < PA 999501(100) 205 http-resp length 100
    45.021 > A 205 999601
  )")));
}

TEST(Healthy, ServerPushThatTheClientOnlyAcknowledges) {
  EXPECT_TRUE(no_fault(answer_of("@vantage server\n" + kOnce + R"(
    10.0 < PA 999501(20) 105
    10.05 > A 105 999521
    31.0 < PA 999521(20) 105
    31.05 > A 105 999541
    55.0 < PA 999541(20) 105
    55.05 > A 105 999561
  )")));
}

}  // namespace
}  // namespace tcpwhy::diagnose
