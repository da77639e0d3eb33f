// What the writer writes, the reader of the same room reads.

#include "capture/writer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {
namespace {

TEST(PcapngWriter, KeepsInterfaceTimeDirectionAndBytes) {
  PcapngWriter writer;
  EXPECT_EQ(writer.add_interface("client", LinkType::kRaw), 0);
  EXPECT_EQ(writer.add_interface("server", LinkType::kEthernet), 1);
  const std::array<std::uint8_t, 5> odd = {0x45, 2, 3, 5, 7};
  writer.add(1, CaptureTime{Duration{1'767'225'600'123'456'789}}, FrameDirection::kInbound, odd);
  const std::string path = testing::TempDir() + "writer_test.pcapng";
  ASSERT_TRUE(writer.save(path));
  auto source = open_file(path, 0, {});
  ASSERT_TRUE(source);
  const auto frames = (*source)->next();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].interface, 1);
  EXPECT_EQ(frames[0].link, LinkType::kEthernet);
  EXPECT_EQ(frames[0].time.time_since_epoch().count(), 1'767'225'600'123'456'789);
  EXPECT_EQ(frames[0].direction, FrameDirection::kInbound);
  EXPECT_TRUE(std::equal(odd.begin(), odd.end(), frames[0].bytes().begin(), frames[0].bytes().end()));
  EXPECT_TRUE((*source)->next().empty());
  EXPECT_TRUE((*source)->losses().troubles.empty());
  std::remove(path.c_str());
}

TEST(PcapngWriter, SaysWhyAFileCannotBeWritten) {
  const auto saved = PcapngWriter{}.save("/no/such/directory/file.pcapng");
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().id, "capture.write");
}

}  // namespace
}  // namespace tcpwhy::capture
