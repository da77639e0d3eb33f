// What a repeated segment is, one ladder per rule.

#include <gtest/gtest.h>

#include "support/ladder.hpp"

namespace tcpwhy {
namespace {

using facts::AckPlace;
using facts::Party;
using facts::Repeat;
using facts::SeqPlace;
using facts::Signal;

/// A handshake over 20 ms with SACK and timestamps, seen at the client; numbers wrap soon.
const std::string kOpen = R"(
0.000 > S 4294967000 <mss 1460,sackok,ts,ws 7>
0.020 < SA 4294960000 4294967001 <mss 1460,sackok,ts,ws 7>
0.020 > A 4294967001 4294960001
)";
/// The same without SACK and timestamps.
const std::string kPlain = R"(
0.000 > S 4294967000 <mss 1460,ws 7>
0.020 < SA 4294960000 4294967001 <mss 1460,ws 7>
0.020 > A 4294967001 4294960001
)";

struct Row {
  std::string_view name;
  const std::string* before;
  std::string_view story;
  int segment;         ///< from the end, 0 is the last
  Repeat repeat;
  int original;        ///< index, -1 none
};

class Classified : public ::testing::TestWithParam<Row> {};

// Sources: RFC 5681 3.2, RFC 6298, RFC 8985 7, RFC 2883, RFC 3522, RFC 9293 3.8.4 and 3.8.6.1, linux-tcp 8.
const Row kRows[] = {
    {"TimeoutsDoubleFromTheFirstGap", &kPlain, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.690 > PA 4294967001(100) 4294960001)", 0, Repeat::kRto, 3},
    {"TheFirstTimeoutIsNoProbeWhenTheSecondGapDoubles", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.690 > PA 4294967001(100) 4294960001)", 1, Repeat::kRto, 3},
    {"ATailLossProbeKeepsTheGap", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.470 > PA 4294967001(100) 4294960001
      0.910 > PA 4294967001(100) 4294960001)", 2, Repeat::kTlp, 3},
    {"ThreeDuplicateAcksMakeAFastRetransmit", &kPlain, R"(
      0.030 > A 4294967001(1000) 4294960001
      0.030 > A 705(1000) 4294960001
      0.030 > A 1705(1000) 4294960001
      0.030 > A 2705(1000) 4294960001
      0.050 < A 4294960001 4294967001
      0.051 < A 4294960001 4294967001
      0.052 < A 4294960001 4294967001
      0.052 < A 4294960001 4294967001
      0.053 > A 4294967001(1000) 4294960001)", 0, Repeat::kFast, 3},
    {"OneSackAboveIsEnoughForRack", &kOpen, R"(
      0.030 > A 4294967001(1000) 4294960001
      0.030 > A 705(1000) 4294960001
      0.050 < A 4294960001 4294967001 <ts,sack 705:1705>
      0.056 > A 4294967001(1000) 4294960001)", 0, Repeat::kFast, 3},
    {"TheTimestampEchoOfTheOriginalShowsANeedlessRepeat", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.262 < A 4294960001 4294967101 <ts 7000263 90031>)", 1, Repeat::kSpurious, 3},
    {"TheTimestampEchoOfTheRepeatShowsALoss", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.270 < A 4294960001 4294967101 <ts 7000273 90251>)", 1, Repeat::kTlp, 3},
    {"ADsackShowsANeedlessRepeat", &kPlain, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.270 < A 4294960001 4294967101
      0.290 < A 4294960001 4294967101 <dsack 4294967001:4294967101>)", 2, Repeat::kSpurious, 3},
    {"AnAckSoonerThanARoundTripShowsANeedlessRepeat", &kPlain, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.250 > PA 4294967001(100) 4294960001
      0.253 < A 4294960001 4294967101)", 1, Repeat::kSpurious, 3},
    {"WhatWasAcknowledgedHereIsRepeatedInVain", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.031 < A 4294960001 4294967101
      0.250 > PA 4294967001(100) 4294960001)", 0, Repeat::kSpurious, 3},
    {"AFinAgainIsAFinAgain", &kOpen, R"(
      0.030 > FA 4294967001 4294960001
      0.250 > FA 4294967001 4294960001)", 0, Repeat::kFin, 3},
    {"LinuxKeepaliveHasNoOctet", &kOpen, R"(
      75.02 > A 4294967000 4294960001)", 0, Repeat::kKeepalive, -1},
    {"AKeepaliveWithOneOctetIsStillOne", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.050 < A 4294960001 4294967101
      75.02 > A 4294967100(1) 4294960001)", 0, Repeat::kKeepalive, -1},
    {"LinuxProbesAClosedWindowWithoutOctet", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.050 < A 4294960001 4294967101 win 0
      0.300 > A 4294967100 4294960001)", 0, Repeat::kZeroWindowProbe, -1},
    {"BsdProbesAClosedWindowWithTheNextOctet", &kPlain, R"(
      0.030 > PA 4294967001(100) 4294960001
      0.050 < A 4294960001 4294967101 win 0
      5.050 > A 4294967101(1) 4294960001)", 0, Repeat::kZeroWindowProbe, -1},
    {"AnOlderTimestampInAGapIsReordering", &kOpen, R"(
      0.030 > A 4294967001(1000) 4294960001
      0.040 > A 1705(1000) 4294960001 <ts 90040 7000023>
      0.041 > A 705(1000) 4294960001 <ts 90035 7000023>)", 0, Repeat::kOutOfOrder, -1},
    {"AnOlderIpIdInAGapIsReordering", &kPlain, R"(
      0.030 > A 4294967001(1000) 4294960001 id 4099
      0.030 > A 705(1000) 4294960001 id 4100
      0.040 > A 2705(1000) 4294960001 id 4102
      0.140 > A 1705(1000) 4294960001 id 4101)", 0, Repeat::kOutOfOrder, -1},
    {"AGapFilledWithinTheRoundTripIsReordering", &kPlain, R"(
      0.030 > A 4294967001(1000) 4294960001 id 0
      0.040 > A 1705(1000) 4294960001 id 0
      0.041 > A 705(1000) 4294960001 id 0)", 0, Repeat::kOutOfOrder, -1},
    {"ANewerTimestampInAGapAfterDuplicateAcksIsARepeatWhoseOriginalWasLost", &kOpen, R"(
      0.030 > A 4294967001(1000) 4294960001
      0.031 > A 1705(1000) 4294960001
      0.050 < A 4294960001 705 <ts,sack 1705:2705>
      0.080 > A 705(1000) 4294960001)", 0, Repeat::kFast, -1},
    {"TheSamePacketAtOnceIsTheCaptures", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001 id 4711
      0.030 > PA 4294967001(100) 4294960001 id 4711)", 0, Repeat::kCaptureDuplicate, 3},
    {"TheSamePacketLaterIsTheNetworks", &kOpen, R"(
      0.030 > PA 4294967001(100) 4294960001 <ts 90031 7000023> id 4099
      0.037 > PA 4294967001(100) 4294960001 <ts 90031 7000023> id 4099)", 0, Repeat::kNetworkDuplicate, 3},
    {"ASynAgainIsASynAgain", &kOpen, R"()", 2, Repeat::kNone, -1},
    {"DataOlderThanTheCaptureCannotBeTold", &kOpen, R"(
      0.030 > A 4294967001(10) 4294960001)", 0, Repeat::kNone, -1},
    {"ARepeatThatReachesFurtherIsOne", &kPlain, R"(
      0.030 > A 4294967001(100) 4294960001
      0.031 > A 4294967101(100) 4294960001
      0.260 > PA 4294967001(300) 4294960001)", 0, Repeat::kRto, 3},
    {"TheAckBeforeItsDataIsTheCapturesOrder", &kPlain, R"(
      0.030 < A 4294960001 4294967101
      0.0301 > PA 4294967001(100) 4294960001)", 0, Repeat::kOutOfOrder, -1},
};

TEST_P(Classified, AsTheRuleSays) {
  const Row& row = GetParam();
  const auto c = ladder::connection(*row.before + std::string{row.story});
  const auto i = static_cast<std::int32_t>(c.segments.size()) - 1 - row.segment;
  EXPECT_EQ(static_cast<int>(c.note(i).repeat), static_cast<int>(row.repeat));
  EXPECT_EQ(c.note(i).original, row.original);
}

INSTANTIATE_TEST_SUITE_P(Repeats, Classified, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string{row.param.name}; });

TEST(AnnotateRepeats, ARepeatedSynNamesItsOriginal) {
  const auto c = ladder::connection(R"(
    0.000 > S 100 <mss 1460>
    1.010 > S 100 <mss 1460>
    3.020 > S 100 <mss 1460>)");
  EXPECT_EQ(c.note(1).repeat, Repeat::kSyn);
  EXPECT_EQ(c.note(2).repeat, Repeat::kSyn);
  EXPECT_EQ(c.note(2).original, 0);
  EXPECT_TRUE(c.has(Signal::kSynRepeated));
  EXPECT_TRUE(c.has(Signal::kSynUnanswered));
}

TEST(AnnotateRepeats, LaterProbesIntoAClosedWindowMoveNothing) {
  // After the probe's octet was refused, the same octet opens the next full segment: that is new data.
  const auto c = ladder::connection(kPlain + R"(
    0.030 > PA 4294967001(100) 4294960001
    0.050 < A 4294960001 4294967101 win 0
    5.050 > A 4294967101(1) 4294960001
    5.070 < A 4294960001 4294967101 win 0
    6.000 < A 4294960001 4294967101 win 500
    6.001 > PA 4294967101(500) 4294960001)");
  const auto last = static_cast<std::int32_t>(c.segments.size()) - 1;
  EXPECT_EQ(c.note(last).repeat, Repeat::kNone);
  EXPECT_EQ(c.stream(Party::kClient).repeats, 0u);
  EXPECT_EQ(c.stream(Party::kServer).zero_windows, 1u);
}

TEST(AnnotateRepeats, DataThatWasAcknowledgedAndNeverRecordedIsACaptureGap) {
  const auto c = ladder::connection(kOpen + R"(
    0.030 > A 4294967001(1000) 4294960001
    0.050 < A 4294960001 1705
    0.060 > A 1705(1000) 4294960001
    0.080 < A 4294960001 2705)");
  EXPECT_TRUE(c.quality.capture_gap);
  EXPECT_EQ(c.note(4).ack_place, AckPlace::kUnseen);
  EXPECT_EQ(c.note(5).repeat, Repeat::kNone);
  EXPECT_TRUE(c.has(Signal::kCaptureGap));
  EXPECT_FALSE(c.has(Signal::kRepeat | Signal::kImpossibleAck | Signal::kOutOfWindow));
}

TEST(AnnotateRepeats, AMissingStretchOfBothDirectionsIsNoImpossibleAck) {
  const auto c = ladder::connection(kOpen + R"(
    0.030 > A 4294967001(1000) 4294960001
    0.050 < A 4294960001 705
    9.000 > A 3000705(1000) 4294960001
    9.020 < A 4294960001 3001705)");
  EXPECT_TRUE(c.quality.capture_gap);
  EXPECT_FALSE(c.has(Signal::kImpossibleAck | Signal::kOutOfWindow));
  EXPECT_EQ(c.note(5).seq_place, SeqPlace::kAhead);
}

TEST(AnnotateRepeats, AMidStreamConnectionHasNoRepeatsOfItsOwn) {
  const auto c = ladder::connection(R"(
    0.000 > PA 5000(100) 9000
    0.020 < PA 9000(200) 5100
    0.021 > A 5100 9200)");
  EXPECT_TRUE(c.quality.began_late);
  for (const auto& n : c.notes) EXPECT_EQ(n.repeat, Repeat::kNone);
  EXPECT_EQ(c.signals & ~(Signal::kMidStream | Signal::kOpenAtEnd), 0u);
}

}  // namespace
}  // namespace tcpwhy
