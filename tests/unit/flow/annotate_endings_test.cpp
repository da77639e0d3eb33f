// How stories end: outcomes, states, RSTs and what they answer, Zeek's words.

#include <gtest/gtest.h>

#include "facts/questions.hpp"
#include "support/ladder.hpp"

namespace tcpwhy {
namespace {

using facts::AckPlace;
using facts::Outcome;
using facts::Party;
using facts::RstShape;
using facts::SeqPlace;
using facts::Signal;
using facts::State;

const std::string kOpen = R"(
0.000 > S 100 <mss 1460,sackok,ts,ws 7>
0.020 < SA 300 101 <mss 1460,sackok,ts,ws 7>
0.020 > A 101 301
)";
const std::string kAsked = kOpen + R"(
0.021 > PA 101(90) 301 http-req idem
0.041 < A 301 191
)";
const std::string kAnswered = kAsked + R"(
0.060 < PA 301(500) 191 http-resp length 500
0.060 > A 191 801
)";

struct Row {
  std::string_view name;
  const std::string* before;
  std::string_view story;
  Outcome outcome;
  std::string_view history, conn_state;
};

class Ends : public ::testing::TestWithParam<Row> {};

const std::string kNothing;

// Outcomes: product.md section 3. History and conn_state: what Zeek 6 writes for such a trace.
const Row kRows[] = {
    {"SynAlone", &kNothing, "0 > S 100\n1.01 > S 100\n@end 9", Outcome::kUnanswered, "S", "S0"},
    {"SynAsTheCaptureEnds", &kNothing, "0 > S 100\n@end 0.1", Outcome::kPartial, "S", "S0"},
    {"SynRefused", &kNothing, "0 > S 100\n0.02 < RA 0 101", Outcome::kRefused, "Sr", "REJ"},
    {"SynRefusedByIcmp", &kNothing, "0 > S 100\n@icmp 0.02 > 3 13 100", Outcome::kRefused, "S", "S0"},
    {"SynAckUnanswered", &kNothing, "0 > S 100\n0.02 < SA 300 101\n1.03 < SA 300 101\n3.05 < SA 300 101\n@end 9",
     Outcome::kHandshakeFailed, "Sh", "S1"},
    {"ResetByTheClientAfterTheSynAck", &kNothing, "0 > S 100\n0.02 < SA 300 101\n0.021 > R 101", Outcome::kHandshakeFailed, "ShR",
     "RSTO"},
    {"ResetInAnswerToTheThirdSegment", &kOpen, "0.04 < R 301", Outcome::kHandshakeFailed, "ShAr", "RSTR"},
    {"Open", &kAnswered, "", Outcome::kOpen, "ShADad", "S1"},
    {"RequestJustSent", &kOpen, "0.021 > PA 101(90) 301 http-req\n@end 0.2", Outcome::kOpen, "ShAD", "S1"},
    {"HalfClosed", &kAnswered, "0.1 > FA 191 801\n0.12 < A 801 192", Outcome::kHalfClosed, "ShADadF", "S2"},
    {"ClosedByTheServer", &kAnswered, "0.1 < FA 801 191\n0.1 > FA 191 802\n0.12 < A 802 192", Outcome::kCompleted, "ShADadfF", "SF"},
    {"ResetInPlaceOfTheLastFin", &kAnswered, "0.1 < FA 801 191\n0.1 > A 191 802\n0.2 > RA 191 802", Outcome::kCompleted,
     "ShADadfR", "RSTO"},
    {"ResetInTheMiddle", &kAsked, "0.05 < RA 301 191", Outcome::kReset, "ShADar", "RSTR"},
    {"ResetByTheClientWhileWaiting", &kAsked, "5.05 > RA 191 301", Outcome::kReset, "ShADaR", "RSTO"},
    {"DataWithoutAnswer", &kAnswered,
     "1.0 > PA 191(90) 801\n1.22 > PA 191(90) 801\n1.66 > PA 191(90) 801\n2.54 > PA 191(90) 801\n@end 9", Outcome::kTimedOut,
     "ShADadT", "S1"},
    {"DataRepeatedOnceAsTheCaptureEnds", &kAnswered, "1.0 > PA 191(90) 801\n1.22 > PA 191(90) 801\n@end 1.3", Outcome::kOpen,
     "ShADadT", "S1"},
    {"KeepalivesWithoutAnswer", &kAnswered, "10 > A 190 801\n11 > A 190 801\n12 > A 190 801\n@end 20", Outcome::kTimedOut, "ShADad",
     "S1"},
    {"KeepalivesThenReset", &kAnswered, "10 > A 190 801\n11 > A 190 801\n12 > A 190 801\n13 > RA 191 801", Outcome::kTimedOut,
     "ShADadR", "RSTO"},
    {"KeepalivesAnswered", &kAnswered, "10 > A 190 801\n10.02 < A 801 191\n20 > A 190 801\n20.02 < A 801 191", Outcome::kOpen,
     "ShADad", "S1"},
    {"ClosedWindow", &kAnswered,
     "1 > PA 191(500) 801\n1.02 < A 801 691 win 0\n1.3 > A 690 801\n1.32 < A 801 691 win 0\n1.8 > A 690 801\n"
     "1.82 < A 801 691 win 0\n@end 9",
     Outcome::kStalled, "ShADadw", "S1"},
    {"FirstRequestNeverAnswered", &kAsked, "@end 30", Outcome::kStalled, "ShADa", "S1"},
    {"MidStream", &kNothing, "0 > PA 500(100) 900\n0.02 < PA 900(50) 600\n0.021 > A 600 950", Outcome::kOpen, "DdA", "OTH"},
    {"OnlyTheClose", &kNothing, "0 > FA 500 900\n0.02 < FA 900 501\n0.021 > A 501 901", Outcome::kPartial, "FfA", "SF"},
    {"OneDirection", &kNothing, "0 > S 100\n0.02 > A 101 301\n0.021 > PA 101(90) 301\n0.06 > A 191 801", Outcome::kPartial, "SAD",
     "S0"},
    {"ChallengedThenAccepted", &kNothing,
     "@previous alive -9 60000 70000\n0 > S 100 <mss 1460>\n0.02 < A 70000 60000\n0.021 > R 60000\n1.02 > S 100 <mss 1460>\n"
     "1.04 < SA 300 101 <mss 1460>\n1.04 > A 101 301\n1.05 > PA 101(9) 301\n1.07 < A 301 110\n"
     "1.1 > FA 110 301\n1.12 < FA 301 111\n1.12 > A 111 302",
     Outcome::kCompleted, "SaRhADFf", "RSTO"},
};

TEST_P(Ends, AsProductAndZeekSay) {
  const Row& row = GetParam();
  const auto c = ladder::connection(*row.before + std::string{row.story});
  EXPECT_EQ(facts::to_string(c.outcome), facts::to_string(row.outcome));
  EXPECT_EQ(facts::zeek_words(c).history, row.history);
  EXPECT_EQ(facts::zeek_words(c).conn_state, row.conn_state);
}

INSTANTIATE_TEST_SUITE_P(Endings, Ends, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string{row.param.name}; });

// linux-tcp 7.1.
TEST(AnnotateResets, ABareResetWithTheOffendersAckIsPassiveAndNamesIt) {
  const auto c = ladder::connection(kAnswered + R"(
    0.1 < FA 801 191
    0.1 > A 191 802
    5.0 > PA 191(90) 802
    5.02 < R 802)");
  EXPECT_EQ(c.note(10).rst_shape, RstShape::kPassive);
  EXPECT_EQ(c.note(10).provoked_by, 9);
  EXPECT_EQ(c.note(10).seq_place, SeqPlace::kNext);
  EXPECT_EQ(c.outcome, Outcome::kReset);
  EXPECT_EQ(c.ended_by, Party::kServer);
  EXPECT_TRUE(c.has(Signal::kEarlyClose));
}

TEST(AnnotateResets, ABareResetAfterSilenceAnswersNothing) {
  const auto c = ladder::connection(kAnswered + "300 < R 801 ttl 255");
  EXPECT_EQ(c.note(7).rst_shape, RstShape::kPassiveStale);
  EXPECT_EQ(c.note(7).provoked_by, -1);
  EXPECT_TRUE(c.ended_by_network);
  const auto r = facts::reset(c);
  EXPECT_TRUE(r.ttl_differs);
  EXPECT_TRUE(r.effective);
}

TEST(AnnotateResets, AnAbortInSequenceIsActive) {
  EXPECT_EQ(ladder::connection(kAsked + "0.05 < RA 301 191").note(5).rst_shape, RstShape::kActive);
  EXPECT_EQ(ladder::connection(kAsked + "0.05 < RA 301 191 nots").note(5).rst_shape, RstShape::kActiveBare);
  EXPECT_EQ(ladder::connection(kAsked + "0.05 < RA 301 191 win 0").note(5).rst_shape, RstShape::kActiveBare);
  EXPECT_EQ(ladder::connection(kAsked + "0.05 < R 99999999").note(5).rst_shape, RstShape::kOutOfWindow);
}

// RFC 5961 3.2.
TEST(AnnotateResets, AResetBothSidesIgnoreEndsNothing) {
  const auto c = ladder::connection(kAnswered + R"(
    1.0 < R 900 ttl 40
    1.0 > A 191 801
    2.0 > PA 191(90) 801 http-req
    2.02 < PA 801(500) 281 http-resp length 500
    2.02 > A 281 1301
    2.1 > FA 281 1301
    2.12 < FA 1301 282
    2.12 > A 282 1302)");
  EXPECT_EQ(c.outcome, Outcome::kCompleted);
  EXPECT_FALSE(facts::reset_at(c, 7).effective);
  EXPECT_TRUE(c.note(8).challenge);
  EXPECT_EQ(c.note(8).provoked_by, 7);
}

// linux-tcp 9.2 row 2 and 12.3.
TEST(AnnotateResets, AWrongAckNumberIsImpossibleAndItsResetEndsNothing) {
  const auto c = ladder::connection(R"(
    0.00 > S 2000 <mss 1460>
    0.00 < SA 2962498562 2001 <mss 1460>
    0.08 > A 2001 2962498563
    1.50 > PA 2001(300) 2106390967
    1.50 < R 2106390967
    1.90 > PA 2001(300) 2106390967
    1.90 < R 2106390967
    2.70 > PA 2001(300) 2106390967
    2.70 < R 2106390967
    4.30 > PA 2001(300) 2106390967
    4.30 < R 2106390967
    9.00 > FA 2301 2962498563)");
  EXPECT_EQ(c.note(3).ack_place, AckPlace::kImpossible);
  EXPECT_EQ(c.note(4).rst_shape, RstShape::kPassive);
  EXPECT_EQ(c.note(4).provoked_by, 3);
  EXPECT_TRUE(c.has(Signal::kImpossibleAck));
  EXPECT_EQ(c.outcome, Outcome::kHandshakeFailed);
}

// linux-tcp 6.5 and 7.5.
TEST(AnnotateAnswers, AnAckOfAnotherConnectionDoesNotMoveTheNumbers) {
  const auto c = ladder::connection(R"(
    @previous closed -9 60000 70000
    0.00 > S 100 <mss 1460,ts>
    0.02 < A 70000 60000 <ts>
    0.02 > R 60000
    1.02 > S 100 <mss 1460,ts>
    1.04 < SA 300 101 <mss 1460,ts>
    1.04 > A 101 301)");
  EXPECT_TRUE(c.note(1).challenge);
  EXPECT_EQ(c.note(1).provoked_by, 0);
  EXPECT_EQ(c.note(2).rst_shape, RstShape::kPassive);
  EXPECT_EQ(c.note(2).provoked_by, 1);
  EXPECT_EQ(c.note(5).ack_place, AckPlace::kNew);
  EXPECT_EQ(c.handshake_ack, 5);
  EXPECT_TRUE(c.has(Signal::kSynAnsweredByAck));
  EXPECT_FALSE(c.has(Signal::kCaptureGap | Signal::kImpossibleAck | Signal::kOutOfWindow));
  EXPECT_EQ(c.outcome, Outcome::kOpen);
}

TEST(AnnotateAnswers, ARepeatedSynAckNamesTheSynItAnswers) {
  const auto c = ladder::connection(R"(
    0.00 > S 100
    0.00 < SA 300 101
    1.00 < SA 300 101
    1.20 > S 100
    1.20 < SA 300 101)");
  EXPECT_EQ(c.note(1).provoked_by, 0);
  EXPECT_EQ(c.note(2).provoked_by, -1);
  EXPECT_EQ(c.note(4).provoked_by, 3);
}

TEST(AnnotateStates, FollowTheCloseAsLinuxNamesIt) {
  auto states = [](const std::string& text) {
    const auto c = ladder::connection(text);
    return std::string{to_string(c.states[0])} + "/" + std::string{to_string(c.states[1])};
  };
  // linux-tcp 9.4.
  EXPECT_EQ(states(kAnswered), "ESTABLISHED/ESTABLISHED");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801"), "FIN_WAIT1/ESTABLISHED");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801\n1.02 < A 801 192"), "FIN_WAIT2/CLOSE_WAIT");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801\n1.02 < A 801 192\n2 < FA 801 192"), "FIN_WAIT2/LAST_ACK");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801\n1.02 < A 801 192\n2 < FA 801 192\n2 > A 192 802"), "TIME_WAIT/CLOSE");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801\n1 < FA 801 191\n1.01 > A 192 802"), "CLOSING/FIN_WAIT2");
  EXPECT_EQ(states(kAnswered + "1 > FA 191 801\n1 < FA 801 191\n1.01 > A 192 802\n1.02 < A 802 192"), "TIME_WAIT/TIME_WAIT");
  EXPECT_EQ(states("0 > S 100"), "SYN_SENT/UNSEEN");
  EXPECT_EQ(states("0 > S 100\n0.1 < SA 300 101"), "SYN_SENT/SYN_RECV");
  EXPECT_EQ(states("0 > S 100\n0.1 < RA 0 101"), "CLOSE/CLOSE");
}

TEST(AnnotateSignals, CrossingFinsAreASimultaneousClose) {
  const auto c = ladder::connection(kAnswered + "1 > FA 191 801\n1 < FA 801 191\n1.01 > A 192 802\n1.02 < A 802 192");
  EXPECT_EQ(c.signals, Signal::kSimultaneousClose);
}

TEST(AnnotateSignals, AnAnnouncedLengthNotReachedIsShort) {
  const auto c = ladder::connection(kAsked + "0.06 < PA 301(500) 191 http-resp length 900\n0.06 < FA 801 191\n"
                                             "0.07 > FA 191 802\n0.09 < A 802 192");
  EXPECT_TRUE(c.has(Signal::kAnnouncedShort));
  EXPECT_EQ(c.exchanges.at(0).delivered_bytes, 500u);
}

TEST(AnnotateExchanges, PipelinedRequestsAreAnsweredInOrder) {
  const auto c = ladder::connection(kOpen + R"(
    0.02 > PA 101(50) 301 http-req
    0.02 > PA 151(50) 301 http-req
    0.02 > PA 201(50) 301 http-req
    0.05 < PA 301(100) 251 http-resp length 100
    0.06 < PA 401(100) 251 http-resp length 100
    0.06 > A 251 501)");
  ASSERT_EQ(c.exchanges.size(), 3u);
  EXPECT_EQ(c.exchanges[0].response, 6);
  EXPECT_EQ(c.exchanges[1].response, 7);
  EXPECT_EQ(c.exchanges[2].response, -1);
  EXPECT_EQ(facts::requests_outstanding(c, 8), 1u);
}

// RFC 9110 9.3.2: the answer to HEAD announces a length and has no body.
TEST(AnnotateExchanges, TheNextResponseEndsOneThatAnnouncedMore) {
  const auto c = ladder::connection(kOpen + R"(
    0.02 > PA 101(50) 301 http-req idem
    0.05 < PA 301(90) 151 http-resp length 5000
    0.06 > PA 151(50) 391 http-req idem
    0.09 < PA 391(90) 201 http-resp length 90
    0.10 < FA 481 201
    0.10 > FA 201 482
    0.12 < A 482 202)");
  ASSERT_EQ(c.exchanges.size(), 2u);
  EXPECT_TRUE(c.exchanges[0].response_complete);
  EXPECT_EQ(c.exchanges[1].response, 6);
  EXPECT_FALSE(c.has(Signal::kEarlyClose | Signal::kAnnouncedShort));
}

TEST(AnnotateVantage, TtlsAndTimingAgreeOrNothingIsSaid) {
  using facts::Vantage;
  EXPECT_EQ(ladder::connection("@vantage client\n" + kAnswered).vantage, Vantage::kClient);
  EXPECT_EQ(ladder::connection("@vantage between\n" + kAnswered).vantage, Vantage::kBetween);
  // The server's TTL is whole but it takes 20 ms to answer: not its own host.
  EXPECT_EQ(ladder::connection("@vantage server\n" + kAnswered).vantage, Vantage::kBetween);
}

// The first segment of the answer was lost; the length stands in its head, which is sent again last.
TEST(AnnotateExchanges, TheHeadOfAResponseMayComeAfterTheRestOfIt) {
  const auto c = ladder::connection(kAsked + R"(
    0.060 < A 401(100) 191
    0.060 > A 191 301
    0.061 < FPA 501(100) 191
    0.061 > A 191 301
    0.090 < PA 301(100) 191 http-resp length 300
    0.090 > A 191 602
    0.091 > FA 191 602
    0.110 < A 602 192)");
  ASSERT_EQ(c.exchanges.size(), 1u);
  EXPECT_TRUE(c.exchanges[0].announced);
  EXPECT_EQ(c.exchanges[0].announced_bytes, 300u);
  EXPECT_EQ(c.exchanges[0].delivered_bytes, 300u);
  EXPECT_TRUE(c.exchanges[0].response_complete);
  EXPECT_FALSE(c.has(Signal::kAnnouncedShort));
}

// RFC 9112 7.1: the last chunk has size 0.
TEST(AnnotateExchanges, AChunkedResponseEndsWithItsLastChunkOnly) {
  const auto ended = [](std::string_view last) {
    return ladder::connection(kAsked + "0.06 < PA 301(500) 191 http-resp chunked\n0.07 < PA 801(100) 191 opaque " + std::string{last} +
                              "\n0.07 > A 191 901\n0.08 < FA 901 191\n0.08 > FA 191 902\n0.10 < A 902 192");
  };
  EXPECT_TRUE(ended("chunked-end").exchanges.at(0).response_complete);
  EXPECT_FALSE(ended("chunked-end").has(Signal::kAnnouncedShort));
  EXPECT_TRUE(ended("").exchanges.at(0).last_chunk_missing);
  EXPECT_TRUE(ended("").has(Signal::kAnnouncedShort));
  EXPECT_FALSE(ended("cut").exchanges.at(0).last_chunk_missing);  // the snap length took its end away
}

// Its first transmission was not captured, and D-SACK says that it had arrived: the octets are new to this capture.
TEST(AnnotateExchanges, ASpuriousRepeatOfWhatWasNotCapturedIsReadLikeTheFirst) {
  const auto c = ladder::connection("@vantage server\n" + kAsked + R"(
    0.060 < A 301 191
    0.080 > A 191 401
    0.260 < PA 301(100) 191 http-resp length 100
    0.280 > A 191 401 <dsack 301:401>)");
  ASSERT_EQ(c.exchanges.size(), 1u);
  EXPECT_GE(c.exchanges[0].response, 0);
  EXPECT_TRUE(c.exchanges[0].response_complete);
}

}  // namespace
}  // namespace tcpwhy
