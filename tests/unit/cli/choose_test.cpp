#include <gtest/gtest.h>

#include "cli/options.hpp"

namespace tcpwhy::cli {
namespace {

TEST(Connection, IsChosenByNumberOrByItsEndsInEitherOrder) {
  facts::Connection c;
  c.id = 17;
  c.ends[0] = {*facts::parse_address("192.0.2.10"), 40112};
  c.ends[1] = {*facts::parse_address("198.51.100.7"), 443};
  EXPECT_TRUE(parse_connection("17")->matches(c));
  EXPECT_FALSE(parse_connection("18")->matches(c));
  EXPECT_TRUE(parse_connection("192.0.2.10:40112-198.51.100.7:443")->matches(c));
  EXPECT_TRUE(parse_connection("198.51.100.7:443-192.0.2.10:40112")->matches(c));
  EXPECT_FALSE(parse_connection("198.51.100.7:80-192.0.2.10:40112")->matches(c));
}

TEST(Connection, OfIpv6EndsUsesBrackets) {
  facts::Connection c;
  c.ends[0] = {*facts::parse_address("2001:db8::1"), 40112};
  c.ends[1] = {*facts::parse_address("2001:db8::2"), 443};
  EXPECT_TRUE(parse_connection("[2001:db8::1]:40112-[2001:db8::2]:443")->matches(c));
}

TEST(Connection, ThatMakesNoSenseIsAnError) {
  for (const char* text : {"", "x", "-1", "192.0.2.10:40112", "192.0.2.10:99999-192.0.2.1:1", "1 2"})
    EXPECT_FALSE(parse_connection(text)) << text;
}

TEST(Time, IsRelativeToTheFirstFrameOrAbsolute) {
  const CaptureTime first{std::chrono::seconds{1795370400}};
  EXPECT_EQ(*parse_time("2.5", first), first + std::chrono::milliseconds{2500});
  EXPECT_EQ(*parse_time("@1795370401", first), first + std::chrono::seconds{1});
  EXPECT_EQ(*parse_time("2026-11-22T18:00:00.25Z", CaptureTime{}), first + std::chrono::milliseconds{250});
  EXPECT_FALSE(parse_time("yesterday", first));
  EXPECT_FALSE(parse_time("nan", first));
}

}  // namespace
}  // namespace tcpwhy::cli
