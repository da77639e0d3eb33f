#include <gtest/gtest.h>

#include "reading.hpp"

namespace tcpwhy::capture::testing {
namespace {

TEST(Pcap, ReadsBothByteOrdersAndBothResolutions) {
  struct Row {
    Endian endian;
    std::uint32_t magic;
    std::int64_t tick;
  };
  // draft-ietf-opsawg-pcap section 4.
  const Row rows[] = {{Endian::kLittle, 0xa1b2c3d4, 1000},
                      {Endian::kBig, 0xa1b2c3d4, 1000},
                      {Endian::kLittle, 0xa1b23c4d, 1},
                      {Endian::kBig, 0xa1b23c4d, 1}};
  for (const Row& row : rows) {
    PcapFile file{{.endian = row.endian, .magic = row.magic}};
    file.record({}).record(
        {.seconds = 4'294'967'295, .fraction = 999'999, .data = "second", .original = 1514});
    const Read read = read_bytes(file.str());
    ASSERT_EQ(read.frames.size(), 2u);
    EXPECT_EQ(ns(read.frames[0]), 1'700'000'003'000'000'000 + 123'457 * row.tick);
    EXPECT_EQ(ns(read.frames[1]), 4'294'967'295'000'000'000 + 999'999 * row.tick);
    EXPECT_EQ(read.data[0], "frame");
    EXPECT_EQ(read.data[1], "second");
    EXPECT_EQ(read.frames[0].number, 1u);
    EXPECT_EQ(read.frames[1].number, 2u);
    EXPECT_EQ(read.frames[1].original, 1514u);
    EXPECT_EQ(read.frames[1].link, LinkType::kEthernet);
    EXPECT_EQ(read.losses.frames, 2u);
    EXPECT_EQ(read.losses.bytes, file.str().size());
    EXPECT_EQ(read.losses.truncated_frames, 1u);
    EXPECT_FALSE(read.losses.drops_reported);
    EXPECT_TRUE(read.losses.troubles.empty());
  }
}

TEST(Pcap, ReadsTheLongerHeadersOfTheModifiedFormat) {
  for (const Endian endian : {Endian::kLittle, Endian::kBig}) {
    PcapFile file{{.endian = endian, .magic = 0xa1b2cd34}};
    file.record({.packet_type = 0}).record({.packet_type = 4}).record({.packet_type = 3});
    const Read read = read_bytes(file.str());
    ASSERT_EQ(read.frames.size(), 3u);
    EXPECT_EQ(read.data[2], "frame");
    EXPECT_EQ(read.frames[0].direction, FrameDirection::kInbound);
    EXPECT_EQ(read.frames[1].direction, FrameDirection::kOutbound);
    EXPECT_EQ(read.frames[2].direction, FrameDirection::kUnknown);
    EXPECT_EQ(read.frames[0].interface, 3u);
  }
}

TEST(Pcap, TakesTheSmallerLengthAsCapturedInOldVersions) {
  PcapFile file{{.minor = 2}};
  file.bytes.u32(1'000'003).u32(7).u32(60).u32(5).text("frame");
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 1u);
  EXPECT_EQ(read.data[0], "frame");
  EXPECT_EQ(read.frames[0].original, 60u);
}

TEST(Pcap, TakesTheDirectionFromCookedHeaders) {
  // Linux if_packet.h: PACKET_HOST 0, PACKET_OUTGOING 4; SLL has it first, SLL2 at octet 10.
  const std::string in_v1(16, '\0'), out_v1 = std::string("\0\4", 2) + std::string(14, '\0');
  PcapFile v1{{.link = 113}};
  v1.record({.data = in_v1}).record({.data = out_v1}).record({.data = "short"});
  const Read first = read_bytes(v1.str());
  ASSERT_EQ(first.frames.size(), 3u);
  EXPECT_EQ(first.frames[0].direction, FrameDirection::kInbound);
  EXPECT_EQ(first.frames[1].direction, FrameDirection::kOutbound);
  EXPECT_EQ(first.frames[2].direction, FrameDirection::kUnknown);

  std::string out_v2(20, '\0');
  out_v2[10] = 4;
  PcapFile v2{{.link = 276}};
  v2.record({.data = out_v2});
  const Read second = read_bytes(v2.str());
  ASSERT_EQ(second.frames.size(), 1u);
  EXPECT_EQ(second.frames[0].direction, FrameDirection::kOutbound);
}

TEST(Pcap, DeliversEverythingBeforeATruncatedRecord) {
  PcapFile file;
  file.record({}).record({});
  const std::size_t place = file.str().size();
  file.record({.data = std::string(100, 'x')});
  for (std::size_t kept : {place + 1, place + 15, place + 16, place + 115}) {
    const Read read = read_bytes(file.str().substr(0, kept));
    ASSERT_EQ(read.frames.size(), 2u);
    ASSERT_EQ(read.losses.troubles.size(), 1u);
    EXPECT_EQ(read.losses.troubles[0].id, "capture.pcap.truncated");
    EXPECT_EQ(read.losses.troubles[0].offset, place);
    EXPECT_EQ(read.losses.troubles[0].after_frame, 2u);
  }
}

TEST(Pcap, StopsAtARecordLongerThanAnyPacket) {
  PcapFile file;
  file.record({});
  const std::size_t place = file.str().size();
  file.bytes.u32(1).u32(1).u32(0x7000'0001).u32(60).fill(4096, 'x');
  const Read read = read_bytes(file.str());
  EXPECT_EQ(read.frames.size(), 1u);
  ASSERT_EQ(read.losses.troubles.size(), 1u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.pcap.record-length");
  EXPECT_EQ(read.losses.troubles[0].offset, place);
}

TEST(Pcap, StopsWhereZerosReplaceRecords) {
  PcapFile file;
  file.record({});
  file.bytes.fill(4096);
  const Read read = read_bytes(file.str());
  EXPECT_EQ(read.frames.size(), 1u);
  ASSERT_EQ(read.losses.troubles.size(), 1u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.pcap.zeros");
}

TEST(Pcap, HandsOutMoreFramesThanOneBatchHolds) {
  PcapFile file;
  for (std::uint32_t i = 0; i < 1009; ++i) file.record({.seconds = i + 1, .data = std::to_string(i)});
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 1009u);
  EXPECT_EQ(read.frames.back().number, 1009u);
  EXPECT_EQ(read.data.back(), "1008");
}

TEST(Pcap, ReportsTheSnapLength) {
  EXPECT_EQ(read_bytes(PcapFile{{.snap_length = 96}}.str()).losses.snap_length, 96u);
  EXPECT_EQ(read_bytes(PcapFile{{.snap_length = 262144}}.str()).losses.snap_length, 0u);
}

TEST(Open, SaysWhyItCannot) {
  EXPECT_EQ(read_path("/nonexistent/capture.pcap").error, "capture.open");
  EXPECT_EQ(read_path("/tmp").error, "capture.open");
  EXPECT_EQ(read_bytes("").error, "capture.empty");
  EXPECT_EQ(read_bytes("\x01\x02\x03\x04 this is no capture at all").error, "capture.format");
  const Read text = read_bytes("12:00:01 IP 192.0.2.1.1 > 192.0.2.2.2: Flags [S]");
  EXPECT_EQ(text.error, "capture.format");
  EXPECT_NE(text.message.find("it is text"), std::string::npos);
}

TEST(Open, ReadsTheSameFileTwiceIndependently) {
  PcapFile pcap;
  pcap.record({}).record({});
  const TemporaryFile file{pcap.str()};
  auto first = open_file(file.path(), 0, {});
  ASSERT_TRUE(first);
  EXPECT_TRUE((*first)->reopenable());
  EXPECT_EQ((*first)->size(), pcap.str().size());
  EXPECT_EQ((*first)->next().size(), 2u);
  auto second = open_file(file.path(), 3, {});
  ASSERT_TRUE(second);
  const auto frames = (*second)->next();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].file, 3u);
  EXPECT_TRUE((*first)->next().empty());
  EXPECT_EQ((*first)->consumed(), pcap.str().size());
}

TEST(Open, SurvivesAFileThatIsCutWhileItIsRead) {
  PcapFile pcap;
  for (int i = 0; i < 2003; ++i) pcap.record({.data = std::string(1000, 'x')});
  TemporaryFile file{pcap.str()};
  auto source = open_file(file.path(), 0, {});
  ASSERT_TRUE(source);
  std::size_t frames = (*source)->next().size();
  file.write("");
  for (auto batch = (*source)->next(); !batch.empty(); batch = (*source)->next())
    for (const Frame& frame : batch) frames += frame.data[0] == 'x' ? 1 : 0;
  EXPECT_LT(frames, 2003u);
  ASSERT_FALSE((*source)->losses().troubles.empty());
  EXPECT_EQ((*source)->losses().troubles.back().id, "capture.read");
}

/// Some megabytes, with records that span the pieces a file is read in.
std::string long_capture() {
  PcapFile pcap;
  for (int i = 0; i < 6000; ++i)
    pcap.record({.data = std::string(i % 1000 == 999 ? 300'000u : static_cast<unsigned>(60 + i * 7 % 1400), static_cast<char>('a' + i % 26))});
  return pcap.str();
}

TEST(Open, ReadsTheSameFramesWithAThreadAhead) {
  const TemporaryFile file{long_capture()};
  const Read expected = read_path(file.path());
  ASSERT_EQ(expected.frames.size(), 6000u);
  for (const int batches_before : {0, 1, 5, 1000}) {
    auto source = open_file(file.path(), 0, {});
    ASSERT_TRUE(source);
    std::vector<std::string> data;
    bool ended = false;
    const auto take = [&] {
      const auto batch = (*source)->next();
      for (const Frame& frame : batch) data.emplace_back(reinterpret_cast<const char*>(frame.data), frame.captured);
      ended = batch.empty();
    };
    for (int i = 0; i < batches_before && !ended; ++i) take();
    (*source)->read_ahead();
    while (!ended) take();
    EXPECT_EQ(data, expected.data) << batches_before;
    EXPECT_TRUE((*source)->losses().troubles.empty());
    EXPECT_EQ((*source)->consumed(), (*source)->size());
  }
}

TEST(Open, LetsGoOfAFileThatIsStillReadAhead) {
  const TemporaryFile file{long_capture()};
  auto source = open_file(file.path(), 0, {});
  ASSERT_TRUE(source);
  (*source)->read_ahead();
  EXPECT_FALSE((*source)->next().empty());
  source->reset();
}

TEST(Open, SurvivesAFileThatIsCutWhileItIsReadAhead) {
  TemporaryFile file{long_capture()};
  auto source = open_file(file.path(), 0, {});
  ASSERT_TRUE(source);
  std::size_t frames = (*source)->next().size();
  file.write("");
  (*source)->read_ahead();
  for (auto batch = (*source)->next(); !batch.empty(); batch = (*source)->next()) frames += batch.size();
  EXPECT_LT(frames, 6000u);
  ASSERT_FALSE((*source)->losses().troubles.empty());
  EXPECT_EQ((*source)->losses().troubles.back().id, "capture.read");
}

}  // namespace
}  // namespace tcpwhy::capture::testing
