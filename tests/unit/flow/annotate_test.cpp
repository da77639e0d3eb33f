#include <gtest/gtest.h>

#include "support/ladder.hpp"

namespace tcpwhy {
namespace {

using facts::Outcome;
using facts::Party;
using facts::Repeat;

constexpr std::string_view kClean = R"(
@vantage client
0.000 > S 4294967000 <mss 1460,sackok,ts,ws 7>
0.020 < SA 300 4294967001 <mss 1460,sackok,ts,ws 7>
0.020 > A 4294967001 301
0.021 > PA 4294967001(400) 301 http-req idem
0.041 < A 301 105
0.090 < PA 301(500) 105 http-resp length 500
0.090 > A 105 801
0.200 > FA 105 801
0.220 < FA 801 106
0.220 > A 106 802
)";

TEST(Annotate, ACleanConnectionHasNoSignal) {
  const auto c = ladder::connection(kClean);
  EXPECT_EQ(c.signals, 0u) << std::hex << c.signals;
  EXPECT_EQ(c.outcome, Outcome::kCompleted);
  EXPECT_EQ(facts::zeek_words(c).history, "ShADadFf");
  EXPECT_EQ(facts::zeek_words(c).conn_state, "SF");
  EXPECT_EQ(c.vantage, facts::Vantage::kClient);
  EXPECT_EQ(c.states[0], facts::State::kTimeWait);
  EXPECT_EQ(c.states[1], facts::State::kClose);
  ASSERT_EQ(c.exchanges.size(), 1u);
  EXPECT_TRUE(c.exchanges[0].response_complete);
  EXPECT_EQ(c.stream(Party::kClient).unique_bytes, 400u);
  EXPECT_EQ(c.handshake_rtt, std::chrono::milliseconds{20});
}

TEST(Annotate, RefusedSynIsRefused) {
  const auto c = ladder::connection(R"(
    0.000 > S 100 <mss 1460>
    0.020 < RA 0 101)");
  EXPECT_EQ(c.outcome, Outcome::kRefused);
  EXPECT_EQ(facts::zeek_words(c).history, "Sr");
  EXPECT_EQ(facts::zeek_words(c).conn_state, "REJ");
  EXPECT_EQ(c.note(1).rst_shape, facts::RstShape::kAnswerToSyn);
  EXPECT_EQ(c.note(1).provoked_by, 0);
}

// product.md section 2: the example of the JSON line.
TEST(Annotate, SynAcksRepeatedIntoACompleteHandshakeFailIt) {
  const auto c = ladder::connection(R"(
    @vantage server
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.000 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    0.020 > A 101 301
    0.021 > PA 101(90) 301
    1.200 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    1.220 > A 191 301
    1.300 > PA 101(90) 301
    3.400 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    3.420 > A 191 301
    3.900 > PA 101(90) 301
    7.100 > PA 101(90) 301)");
  EXPECT_EQ(facts::zeek_words(c).history, "ShADT");
  EXPECT_EQ(facts::zeek_words(c).conn_state, "S1");
  EXPECT_EQ(c.outcome, Outcome::kHandshakeFailed);
  EXPECT_EQ(c.states[0], facts::State::kEstablished);
  EXPECT_EQ(c.states[1], facts::State::kSynRecv);
  EXPECT_EQ(c.vantage, facts::Vantage::kServer);
}

}  // namespace
}  // namespace tcpwhy
