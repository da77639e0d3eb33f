// Connections that the server ended: before it was asked, before it had answered, while a request came.

#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"
#include "unit/diagnose/conversations.hpp"

namespace tcpwhy::diagnose {
namespace {

// RFC 8446 5.1, 6.1: the record's head says how long it is, and an end before that is a truncation.
TEST(PrematureClose, IsProvenByAFinInsideATlsRecord) {
  const std::string begun = kAtClient + kTalked + R"(
    1.000 > PA 905:1005 1000701 tls length 100
    1.020 < A 1000701:1002149 1005 tls length 2801
  )";
  const Answer cut = answer_of(begun + "1.021 < FPA 1002149:1003000 1005\n1.021 > A 1005 1003001\n1.022 > FA 1005 1003001\n1.042 < A 1003001 1006\n");
  EXPECT_EQ(first_of(cut), "premature-close");
  EXPECT_EQ(verdict_of(cut, CauseId::kPrematureClose), "proven");
  const Answer whole = answer_of(begun + "1.021 < FPA 1002149:1003502 1005\n1.021 > A 1005 1003503\n1.022 > FA 1005 1003503\n1.042 < A 1003503 1006\n");
  EXPECT_TRUE(no_fault(whole)) << first_of(whole);
}

TEST(PrematureClose, AnAnswerStoredBeforeItsRequestIsAnAnswer) {
  // Two interfaces, two queues: the frames stand in the file in another order than they passed.
  EXPECT_TRUE(no_fault(answer_of(kAtServer + kOpening + R"(
    0.031 < A 999001 9
    0.032 < PA 999001:999089 9
    0.030 > PA 4294967291:9 999001 http-req idem
    0.033 < FA 999089 9
    0.050 > A 9 999090
    0.060 > FA 9 999090
    0.061 < A 999090 10
  )")));
}

/// A request at 0.021 whose answer comes in another order than it was sent (RFC 9293 3.10.7.4: what is ahead is kept).
std::string overtaken(const std::string& answer, const std::string& end) {
  return kAtClient + kAsked + answer + "0.450 > FA 105 " + end + "\n0.470 < A " + end + " 106\n";
}

TEST(PrematureClose, IsSeenWhereTheFinOvertookTheWholeAnswer) {
  const Answer a = answer_of(overtaken(R"(
    0.045 < FA 999501 105
    0.046 > A 105 999001 <sack 999501:999502>
    0.047 < PA 999001:999501 105 http-resp length 4096
    0.048 > A 105 999502
  )", "999502"));
  ASSERT_EQ(first_of(a), "premature-close");
  EXPECT_EQ(verdict_of(a, CauseId::kPrematureClose), "proven");
  EXPECT_EQ(find(a, CauseId::kProcessKilled), nullptr);  // an answer had begun
}

TEST(PrematureClose, IsSeenWhereTheTailWithTheFinOvertookTheHead) {
  for (const char* head : {"0.047 < A 999001:1000449 105 http-resp length 4096\n", "0.347 < A 999001:1000449 105 http-resp length 4096\n"}) {
    const Answer a = answer_of(overtaken(std::string{"0.045 < FPA 1000449:1001001 105\n0.046 > A 105 999001 <sack 1000449:1001002>\n"} + head +
                                             "0.348 > A 105 1001002\n", "1001002"));
    EXPECT_EQ(first_of(a), "premature-close");
    EXPECT_EQ(verdict_of(a, CauseId::kPrematureClose), "proven");
  }
}

TEST(PrematureClose, IsToldByTheNumberOfTheFinWhereTheCaptureLostTheRest) {
  const std::string lost = R"(
    0.045 < A 999001:1000449 105 http-resp length 4096
    0.046 > A 105 1000449
    0.047 < FA 1001001 105
    0.348 > A 105 1001002
  )";
  EXPECT_EQ(first_of(answer_of(overtaken(lost, "1001002"))), "premature-close");
  // The answer belongs to another request, which the capture lost as well: it may have been HEAD.
  const std::string other = R"(
    0.045 < A 999001:1000449 205 http-resp length 4096
    0.046 > A 205 1000449
    0.047 < FA 1001001 205
    0.348 > A 205 1001002
    0.450 > FA 205 1001002
    0.470 < A 1001002 206
  )";
  EXPECT_TRUE(no_fault(answer_of(kAtClient + kAsked + other)));
}

TEST(PrematureClose, IsNotSaidOfAWholeAnswerWhoseFinCameFirst) {
  EXPECT_TRUE(no_fault(answer_of(overtaken(R"(
    0.045 < FA 999501 105
    0.046 > A 105 999001 <sack 999501:999502>
    0.047 < PA 999001:999501 105 http-resp length 500
    0.048 > A 105 999502
  )", "999502"))));
  EXPECT_TRUE(no_fault(answer_of(overtaken(R"(
    0.045 < FPA 1000449:1001001 105
    0.046 > A 105 999001 <sack 1000449:1001002>
    0.347 < A 999001:1000449 105 http-resp length 2000
    0.348 > A 105 1001002
  )", "1001002"))));
  // Without a length, the FIN is the end (RFC 9112 6.3), and the octets before it are the answer.
  EXPECT_TRUE(no_fault(answer_of(overtaken(R"(
    0.045 < FA 1001001 105
    0.046 > A 105 999001 <sack 1001001:1001002>
    0.047 < PA 1000449:1001001 105
    0.048 > A 105 999001 <sack 1000449:1001002>
    0.347 < A 999001:1000449 105
    0.348 > A 105 1001002
  )", "1001002"))));
}

TEST(PrematureClose, IsNoEmptyReplyWhereTheFinCountsOctetsThatNeverPassed) {
  const Answer a = answer_of(kAtClient + kAsked + R"(
    0.045 < FA 1001001 105
    0.046 > A 105 999001 <sack 1001001:1001002>
  )");
  EXPECT_EQ(find(a, CauseId::kPrematureClose), nullptr);
  EXPECT_EQ(find(a, CauseId::kProcessKilled), nullptr);
}

TEST(ImmediateClose, IsNotSaidWhereTheFinCountsOctetsThatTheCaptureLacks) {
  EXPECT_TRUE(no_fault(answer_of(kAtClient + "0.0000 > S 100 win 2920 <mss 1460>\n0.0019 < SA 300 101 win 2896 <mss 1460>\n" + R"(
    0.0057 > A 295 3197 win 2896
    0.0103 < FA 4586 295 win 2896
    0.0104 > FA 295 4587 win 2896
    0.0142 < A 4587 296 win 2896
  )")));
}

// The daytime of RFC 867: 26 octets and the end, and the path changes their order.
TEST(ImmediateClose, AFinThatOvertookTheServersDataDidNotComeFirst) {
  const Answer a = answer_of(kAtClient + kOpening + R"(
    0.060 < FA 999027 4294967291
    0.061 > A 4294967291 999001
    0.062 < PA 999001:999027 4294967291
    0.062 > A 4294967291 999028
    0.063 > FA 4294967291 999028
    0.083 < A 999028 4294967292
  )");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

// RFC 8446 4.1: a ClientHello is answered by a ServerHello or an alert.
TEST(PrematureClose, AServerThatClosesAfterAClientHelloOwedItAnAnswer) {
  EXPECT_EQ(first_of(kAtClient + kOpening + R"(
    0.021 > PA 4294967291:505 999001 tls-hs
    0.041 < A 999001 505
    0.090 < FA 999001 505
    0.091 > FA 505 999002
    0.111 < A 999002 506
  )"), "premature-close");
}

// Recorded behind a line that held back the FIN of an idle timer: the RST to the crossing request came first.
TEST(KeepaliveRace, IsSeenWhereTheRstOvertookTheFin) {
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    3.100 > PA 105:205 999501 http-req idem
    3.120 < R 999501
    3.300 < FA 999501 105
    3.301 > R 105
  )");
  EXPECT_EQ(first_of(a), "keepalive-race");
  EXPECT_EQ(find(a, CauseId::kConntrackInvalidReset), nullptr);
}

TEST(KeepaliveRace, ACopyOfTheFinBehindTheRstDoesNotMakeTheRstForeign) {
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    3.100 > PA 105:205 999501 http-req idem
    3.110 < FA 999501 105
    3.111 > A 205 999502
    3.120 < R 999501
    3.300 < FA 999501 105
    3.301 > R 105
  )");
  EXPECT_EQ(first_of(a), "keepalive-race");
  EXPECT_EQ(find(a, CauseId::kResetByNetwork), nullptr);
}

TEST(KeepaliveRace, IsNoneWhereTheRequestHadBeenRefusedForLong) {
  // Recorded where PAWS refused the data; the server's own timeout came a minute later.
  const Answer a = answer_of(kAtClient + kAnswered + R"(
    1.000 > PA 105:205 999501 http-req idem
    1.020 < A 999501 105
    1.400 > PA 105:205 999501 http-req idem
    1.420 < A 999501 105
    2.200 > PA 105:205 999501 http-req idem
    2.220 < A 999501 105
    20.000 < FA 999501 105
    20.001 > A 205 999502
    21.000 > PA 105:205 999502 http-req idem
    21.020 < R 999502
  )");
  EXPECT_NE(verdict_of(a, CauseId::kKeepaliveRace), "likely");
}

}  // namespace
}  // namespace tcpwhy::diagnose
