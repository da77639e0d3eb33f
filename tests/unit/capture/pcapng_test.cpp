#include <gtest/gtest.h>

#include "capture/file_source.hpp"
#include "pcapng_files.hpp"
#include "reading.hpp"

namespace tcpwhy::capture::testing {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(PcapNg, ReadsBothByteOrdersAndSeveralSections) {
  // Section 4.1: every section has a byte order and interfaces of its own.
  for (const Endian first : {Endian::kLittle, Endian::kBig}) {
    const Endian second = first == Endian::kLittle ? Endian::kBig : Endian::kLittle;
    PcapNgFile file;
    file.section(first).interface({.link = 1}).packet({.ticks = 1'700'000'003'000'007});
    file.section(second)
        .interface({.link = 113})
        .interface({.link = 101})
        .packet({.interface = 1, .ticks = 5'000'011});
    const Read read = read_bytes(file.str());
    ASSERT_EQ(read.frames.size(), 2u);
    EXPECT_EQ(ns(read.frames[0]), 1'700'000'003'000'007'000);
    EXPECT_EQ(read.frames[0].link, LinkType::kEthernet);
    EXPECT_EQ(read.data[0], "frame");
    EXPECT_EQ(ns(read.frames[1]), 5'000'011'000);
    EXPECT_EQ(read.frames[1].link, LinkType::kRaw);
    EXPECT_EQ(read.frames[1].number, 2u);
    EXPECT_NE(read.frames[1].interface, read.frames[0].interface);
    EXPECT_EQ(read.losses.bytes, file.str().size());
    EXPECT_TRUE(read.losses.troubles.empty());
  }
}

TEST(PcapNg, CountsTimeAsTheInterfaceSays) {
  struct Row {
    std::optional<std::uint8_t> resolution;
    std::uint64_t ticks;
    std::optional<std::int64_t> offset_s;
    std::int64_t expected;
  };
  // Section 4.2, if_tsresol: a power of ten, or of two when the top bit is set.
  const Row rows[] = {
      {std::nullopt, 7, std::nullopt, 7'000},
      {0, 11, std::nullopt, 11 * kSecond},
      {3, 11, std::nullopt, 11'000'000},
      {9, 1'700'000'003'123'456'789, std::nullopt, 1'700'000'003'123'456'789},
      {12, 3'999'000, std::nullopt, 3'999},
      {0x80 | 10, 3 * 1024 + 512, std::nullopt, 3 * kSecond + kSecond / 2},
      {0x80 | 32, std::uint64_t{5} << 32 | 0x8000'0000, std::nullopt, 5 * kSecond + kSecond / 2},
      {6, 13, 1'000'003, 1'000'003 * kSecond + 13'000},
      {6, 9'000'013, -7, 2 * kSecond + 13'000},
      {6, 13, -7, 0},
      // What cannot be is brought to the nearest end of what can, so that differences do not overflow.
      {0, ~std::uint64_t{0}, std::nullopt, (std::int64_t{1} << 62) - 1},
      {127, 5, std::nullopt, 0},
      {0xFF, 5, std::nullopt, 0},
      {6, 0, std::numeric_limits<std::int64_t>::min(), 0},
  };
  for (const Endian endian : {Endian::kLittle, Endian::kBig}) {
    for (const Row& row : rows) {
      PcapNgFile file;
      file.section(endian);
      file.interface({.resolution = row.resolution, .offset_s = row.offset_s}).packet({.ticks = row.ticks});
      const Read read = read_bytes(file.str());
      ASSERT_EQ(read.frames.size(), 1u);
      EXPECT_EQ(ns(read.frames[0]), row.expected) << "resolution " << int{row.resolution.value_or(6)};
    }
  }
}

TEST(PcapNg, TakesDirectionsFromFlags) {
  // Section 4.3.1: bits 0-1, 01 inbound, 10 outbound.
  PcapNgFile file;
  file.section(Endian::kBig).interface({});
  for (std::uint32_t flags = 0; flags < 4; ++flags) file.packet({.flags = flags | 0x8000'0000});
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 4u);
  EXPECT_EQ(read.frames[0].direction, FrameDirection::kUnknown);
  EXPECT_EQ(read.frames[1].direction, FrameDirection::kInbound);
  EXPECT_EQ(read.frames[2].direction, FrameDirection::kOutbound);
  EXPECT_EQ(read.frames[3].direction, FrameDirection::kUnknown);
}

TEST(PcapNg, AddsUpWhatStatisticsBlocksSayOfDrops) {
  // Section 4.6: totals since the capture began, so that only the last one counts.
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).interface({});
  file.statistics({.interface = 0, .dropped_by_interface = 1, .dropped_by_kernel = 2});
  file.statistics({.interface = 1, .dropped_by_interface = 10, .dropped_by_kernel = 20});
  file.statistics({.interface = 0, .dropped_by_interface = 3, .dropped_by_kernel = 5});
  const Read read = read_bytes(file.str());
  EXPECT_TRUE(read.losses.drops_reported);
  EXPECT_EQ(read.losses.dropped_by_interface, 13u);
  EXPECT_EQ(read.losses.dropped_by_kernel, 25u);
}

// Section 4.6, isb_endtime. A file from which packets were taken still says when the whole capture stopped: the count of what
// was received gives it away, and then nothing is known of the time after its last frame.
TEST(PcapNg, ACaptureOfWhichNothingIsMissingSaysUntilWhenItWatched) {
  const auto watched_until = [](std::uint64_t received, std::uint64_t dropped) {
    PcapNgFile file;
    file.section(Endian::kLittle).interface({}).packet({}).packet({});
    file.statistics({.interface = 0, .dropped_by_kernel = dropped, .received = received, .stopped = 7'000'000});
    return read_bytes(file.str()).losses.watched_until;
  };
  EXPECT_EQ(watched_until(2, 0), CaptureTime{std::chrono::seconds{7}});
  EXPECT_EQ(watched_until(3, 1), CaptureTime{std::chrono::seconds{7}});
  EXPECT_EQ(watched_until(3, 0), std::nullopt);
}

TEST(PcapNg, AddsUpWhatPacketsSayOfDrops) {
  // Section 4.3, epb_dropcount: packets lost since the one before.
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).packet({.drops = 3}).packet({.drops = 0}).packet({.drops = 4});
  const Read read = read_bytes(file.str());
  EXPECT_TRUE(read.losses.drops_reported);
  EXPECT_EQ(read.losses.dropped_by_kernel, 7u);

  PcapNgFile silent;
  silent.section(Endian::kLittle).interface({}).packet({});
  EXPECT_FALSE(read_bytes(silent.str()).losses.drops_reported);
}

TEST(PcapNg, ReadsSimplePacketsWithoutATime) {
  // Section 4.4: the captured length is what the snap length leaves.
  PcapNgFile file;
  file.section(Endian::kLittle).interface({.snap_length = 96});
  file.simple("frame", 5).simple(std::string(96, 'x'), 1514);
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_FALSE(read.frames[0].has_time);
  EXPECT_EQ(read.data[0], "frame");
  EXPECT_EQ(read.data[1], std::string(96, 'x'));
  EXPECT_EQ(read.frames[1].original, 1514u);
  EXPECT_EQ(read.losses.truncated_frames, 1u);
  EXPECT_EQ(read.losses.snap_length, 96u);
}

TEST(PcapNg, ReadsTheObsoletePacketBlock) {
  PcapNgFile file;
  file.section(Endian::kBig).interface({}).interface({.link = 276});
  file.old_packet({.interface = 1, .ticks = 7, .flags = 2, .drops = 3})
      .old_packet({.interface = 1, .ticks = 8});
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_EQ(read.frames[0].link, LinkType::kLinuxSll2);
  EXPECT_EQ(read.frames[0].interface, 1u);
  EXPECT_EQ(read.frames[0].direction, FrameDirection::kOutbound);
  EXPECT_EQ(ns(read.frames[0]), 7'000);
  EXPECT_EQ(read.losses.dropped_by_kernel, 3u);
}

TEST(PcapNg, StepsOverBlocksItDoesNotKnow) {
  PcapNgFile file;
  file.section(Endian::kLittle);
  file.block(0x0000000A, "secrets!").interface({}).block(4, std::string(70'000, 'n')).packet({});
  file.block(0x00000BAD, std::string(300'000, 'x')).packet({});
  for (const std::size_t chunk : {std::size_t{1} << 20, std::size_t{1000}, std::size_t{97}}) {
    auto source =
        open_memory({reinterpret_cast<const std::uint8_t*>(file.str().data()), file.str().size()}, 0, chunk);
    ASSERT_TRUE(source);
    const Read read = read_all(**source);
    EXPECT_EQ(read.frames.size(), 2u);
    EXPECT_EQ(read.losses.bytes, file.str().size());
    EXPECT_TRUE(read.losses.troubles.empty());
  }
}

TEST(PcapNg, StopsWhereTheTwoLengthsOfABlockDisagree) {
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).packet({});
  const std::size_t place = file.str().size();
  file.packet({});
  std::string bytes = file.str();
  bytes[bytes.size() - 4] = 0x40;
  const Read read = read_bytes(bytes);
  EXPECT_EQ(read.frames.size(), 1u);
  ASSERT_EQ(read.losses.troubles.size(), 1u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.pcapng.block-length");
  EXPECT_EQ(read.losses.troubles[0].offset, place);
  EXPECT_EQ(read.losses.troubles[0].after_frame, 1u);
}

TEST(PcapNg, LeavesOutAPacketThatCannotBeAndKeepsTheNumbers) {
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).packet({});
  const std::size_t place = file.str().size();
  file.packet({.interface = 7}).packet({.captured = 5000}).packet({});
  const Read read = read_bytes(file.str());
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_EQ(read.frames[1].number, 4u);
  ASSERT_EQ(read.losses.troubles.size(), 2u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.pcapng.block");
  EXPECT_EQ(read.losses.troubles[0].offset, place);
}

TEST(PcapNg, DeliversEverythingBeforeATruncatedBlock) {
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).packet({});
  const std::size_t place = file.str().size();
  file.packet({.data = std::string(100, 'x')});
  for (std::size_t kept = place + 1; kept < file.str().size(); kept += 13) {
    const Read read = read_bytes(file.str().substr(0, kept));
    EXPECT_EQ(read.frames.size(), 1u);
    ASSERT_EQ(read.losses.troubles.size(), 1u);
    EXPECT_EQ(read.losses.troubles[0].id, "capture.pcapng.truncated");
    EXPECT_EQ(read.losses.troubles[0].offset, place);
  }
}

TEST(PcapNg, BoundsWhatItSaysAboutAHopelessFile) {
  PcapNgFile file;
  file.section(Endian::kLittle);
  for (int i = 0; i < 5003; ++i) file.packet({.interface = 9});
  EXPECT_LE(read_bytes(file.str()).losses.troubles.size(), 100u);
}

TEST(PcapNg, ReadsTheSameWhateverThePiecesAre) {
  PcapNgFile file;
  for (int section = 0; section < 3; ++section) {
    file.section(section == 1 ? Endian::kBig : Endian::kLittle).interface({.resolution = std::uint8_t{9}});
    for (std::uint64_t i = 0; i < 101; ++i)
      file.packet({.ticks = i, .data = std::string(i * 7, 'x'), .flags = 1})
          .block(0xBEEF, std::string(i * 3, '?'));
  }
  const std::span bytes{reinterpret_cast<const std::uint8_t*>(file.str().data()), file.str().size()};
  const Read whole = read_all(**open_memory(bytes, 0, bytes.size()));
  ASSERT_EQ(whole.frames.size(), 303u);
  for (const std::size_t chunk : {1, 3, 28, 29, 1021, 65'536}) {
    const Read pieces = read_all(**open_memory(bytes, 0, chunk));
    EXPECT_EQ(pieces.data, whole.data) << chunk;
    EXPECT_EQ(pieces.losses.bytes, whole.losses.bytes) << chunk;
    EXPECT_TRUE(pieces.losses.troubles.empty()) << chunk;
  }
}

}  // namespace
}  // namespace tcpwhy::capture::testing
