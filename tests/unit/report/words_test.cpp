#include "report/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/reporter.hpp"

namespace tcpwhy::report {
namespace {

TEST(Grouped, PutsACommaBetweenThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

// The example of the JSON format's page.
TEST(IsoTime, KeepsNanosecondsInUtc) {
  EXPECT_EQ(iso_time(CaptureTime{Duration{1795370400'123456789}}), "2026-11-22T18:00:00.123456789Z");
}

TEST(IsoTime, OfATimeBeforeTheEpochIsStillATime) {
  EXPECT_EQ(iso_time(CaptureTime{Duration{-1}}), "1969-12-31T23:59:59.999999999Z");
}

TEST(FramesWords, NamesSixFramesAndTheLast) {
  EXPECT_EQ(frames_words({}), "");
  EXPECT_EQ(frames_words({7}), "frame 7");
  EXPECT_EQ(frames_words({1, 2, 3}), "frames 1, 2, 3");
  EXPECT_EQ(frames_words({1, 2, 3, 4, 5, 6, 7, 90}), "frames 1, 2, 3, 4, 5, 6, … 90");
}

TEST(Wrap, NeverBreaksInsideAWordAndIndentsWhatFollows) {
  EXPECT_EQ(wrap("one two three four", "! ", "  ", 9), "! one two\n  three\n  four\n");
}

TEST(Wrap, CountsColumnsNotBytes) {
  // Each of these words is three columns and nine bytes wide.
  EXPECT_EQ(wrap("全连接 队列溢", "", "", 7), "全连接 队列溢\n");
}

TEST(DisplayFilter, SelectsTheTupleWithinItsFrames) {
  facts::Connection c;
  c.ends[0] = {*facts::parse_address("192.0.2.10"), 40112};
  c.ends[1] = {*facts::parse_address("198.51.100.7"), 443};
  c.first_frame = 3;
  c.last_frame = 11;
  EXPECT_EQ(display_filter(c),
            "ip.addr == 192.0.2.10 && ip.addr == 198.51.100.7 && tcp.port == 40112 && tcp.port == 443 && "
            "frame.number >= 3 && frame.number <= 11");
  c.ends[0].address = *facts::parse_address("2001:db8::1");
  c.ends[1].address = *facts::parse_address("2001:db8::2");
  EXPECT_EQ(display_filter(c).substr(0, 24), "ipv6.addr == 2001:db8::1");
}

TEST(Words, WhatLimitsACaptureIsCountedInSingularAndPlural) {
  facts::Survey survey;
  survey.capture_gap_connections = 1;
  survey.duplicate_frames = 2;
  EXPECT_THAT(quality_words(survey), testing::ElementsAre("1 connection with acknowledged data that was never captured", "2 frames captured twice"));
}

}  // namespace
}  // namespace tcpwhy::report
