#include <gtest/gtest.h>

#include "pcapng_files.hpp"
#include "reading.hpp"

namespace tcpwhy::capture::testing {
namespace {

// An Ethernet frame with an IPv4 TCP segment to `port`, as far as a filter looks.
std::string to_port(std::uint16_t port) {
  Bytes b{Endian::kBig};
  b.fill(12, 'e').u16(0x0800);
  b.u8(0x45).u8(0).u16(40).u16(7).u16(0).u8(64).u8(6).u16(0).u32(0xC000020A).u32(0xC6336407);
  b.u16(40112).u16(port).u32(1).u32(0).u8(0x50).u8(2).u16(512).u16(0).u16(0);
  return b.str();
}

CaptureTime at(std::int64_t ns) { return CaptureTime{Duration{ns}}; }

#ifdef TCPWHY_LIVE
TEST(Filter, ChoosesFramesAndKeepsTheirNumbers) {
  PcapFile file;
  file.record({.data = to_port(80)}).record({.data = to_port(443)}).record({.data = to_port(443)});
  const Read read = read_bytes(file.str(), {.filter = "tcp dst port 443 and host 192.0.2.10"});
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_EQ(read.frames[0].number, 2u);
  EXPECT_EQ(read.losses.frames, 3u);
}

TEST(Filter, IsCompiledForEveryLinkTypeInTheFile) {
  const std::string raw = to_port(443).substr(14);
  PcapNgFile file;
  file.section(Endian::kLittle).interface({.link = 1}).interface({.link = 101}).interface({.link = 228});
  file.packet({.interface = 0, .data = to_port(443)}).packet({.interface = 1, .data = raw});
  file.packet({.interface = 2, .data = raw}).packet({.interface = 0, .data = to_port(80)});
  file.packet({.interface = 1, .data = raw});
  const Read read = read_bytes(file.str(), {.filter = "port 443"});
  EXPECT_EQ(read.frames.size(), 4u);
  EXPECT_TRUE(read.losses.troubles.empty());
}

TEST(Filter, SaysWhatIsWrongWithIt) {
  const Read read = read_bytes(PcapFile{}.record({}).str(), {.filter = "tcp prot 443"});
  EXPECT_EQ(read.error, "capture.filter");
  EXPECT_NE(read.message.find("syntax"), std::string::npos) << read.message;
}

TEST(Filter, SaysWhichLinkTypeItDoesNotFit) {
  // pcap-filter(7): raw IP has no Ethernet addresses.
  PcapFile file{{.link = 101}};
  file.record({.data = to_port(443).substr(14)});
  const Read read = read_bytes(file.str(), {.filter = "ether host 02:00:00:00:00:01"});
  EXPECT_TRUE(read.frames.empty());
  ASSERT_EQ(read.losses.troubles.size(), 1u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.filter");
}

TEST(Live, SaysWhatToDoAboutAMissingInterface) {
  const volatile bool stop = true;
  auto source = open_live("no-such-thing", {}, &stop);
  ASSERT_FALSE(source);
  const std::string& id = source.error().id;
  EXPECT_TRUE(id == "capture.live.interface" || id == "capture.live.permission") << id;
}
#endif

TEST(TimeWindow, KeepsWhatLiesInItEndsIncluded) {
  PcapFile file{{.magic = 0xa1b23c4d}};
  for (std::uint32_t s : {1u, 2u, 3u, 9u, 3u, 4u})
    file.record({.seconds = s, .fraction = 5, .data = std::to_string(s)});
  const Read read =
      read_bytes(file.str(), {.filter = {}, .from = at(2'000'000'005), .to = at(3'000'000'005)});
  EXPECT_EQ(read.data, (std::vector<std::string>{"2", "3", "3"}));
}

TEST(TimeWindow, KeepsFramesWithoutATime) {
  PcapNgFile file;
  file.section(Endian::kLittle).interface({}).simple("frame", 5);
  EXPECT_EQ(read_bytes(file.str(), {.filter = {}, .from = at(7)}).frames.size(), 1u);
}

TEST(Ring, ReadsItsFilesInTheOrderOfTheirFirstFrames) {
  const TemporaryFile newest{
      PcapFile{}.record({.seconds = 30, .data = "c"}).record({.seconds = 31, .data = "d"}).str()};
  const TemporaryFile oldest{PcapFile{}.record({.seconds = 10, .data = "a"}).str()};
  const TemporaryFile middle{PcapFile{}.record({.seconds = 20, .data = "b"}).str()};
  const TemporaryFile begun{""};
  const TemporaryFile silent{PcapFile{}.str()};
  auto ring = open_ring({newest.path(), oldest.path(), middle.path(), begun.path(), silent.path()}, {});
  ASSERT_TRUE(ring);
  EXPECT_TRUE((*ring)->reopenable());
  const Read read = read_all(**ring);
  EXPECT_EQ(read.data, (std::vector<std::string>{"a", "b", "c", "d"}));
  ASSERT_EQ(read.frames.size(), 4u);
  EXPECT_EQ(read.frames[0].file, 1u);
  EXPECT_EQ(read.frames[0].number, 1u);
  EXPECT_EQ(read.frames[3].file, 0u);
  EXPECT_EQ(read.frames[3].number, 2u);
  EXPECT_EQ(read.losses.frames, 4u);
  EXPECT_EQ((*ring)->consumed(), (*ring)->size());
  ASSERT_EQ(read.losses.troubles.size(), 1u);
  EXPECT_EQ(read.losses.troubles[0].id, "capture.empty");
  EXPECT_EQ(read.losses.troubles[0].file, 3u);
}

TEST(Ring, RefusesAFileThatCannotBeRead) {
  const TemporaryFile good{PcapFile{}.record({}).str()};
  const TemporaryFile bad{"neither pcap nor pcapng"};
  auto ring = open_ring({good.path(), bad.path()}, {});
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().id, "capture.format");
  EXPECT_FALSE(open_ring({good.path(), "/nonexistent/x.pcap"}, {}));
  EXPECT_FALSE(open_ring({}, {}));
}

TEST(Extent, IsTheTimeOfTheFirstAndTheLastFrame) {
  PcapFile file;
  for (std::uint32_t s = 0; s < 1009; ++s) file.record({.seconds = 1000 + s, .fraction = 7});
  const TemporaryFile saved{file.str()};
  auto found = extent(saved.path());
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->empty);
  EXPECT_EQ(found->first, at(1'000'000'007'000));
  EXPECT_EQ(found->last, at(2'008'000'007'000));
  const TemporaryFile silent{PcapFile{}.str()};
  EXPECT_TRUE(extent(silent.path())->empty);
  EXPECT_FALSE(extent("/nonexistent/x.pcap"));
}

TEST(Extent, OfALargeFileIsFoundFromBehind) {
  // More than twice the tail that is searched, with payload that looks like headers.
  const std::string lure = PcapFile{}.record({.seconds = 2'000'000'000, .data = "x"}).str().substr(24);
  for (const Endian endian : {Endian::kLittle, Endian::kBig}) {
    PcapFile file{{.endian = endian}};
    for (std::uint32_t s = 0; s < 9001; ++s)
      file.record({.seconds = 1'700'000'000 + s, .fraction = 7, .data = std::string(1000, 'x') + lure});
    const TemporaryFile saved{file.str()};
    auto found = extent(saved.path());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->first, at(1'700'000'000'000'007'000));
    EXPECT_EQ(found->last, at(1'700'009'000'000'007'000));
    // Cut in the middle of a record, it ends one frame earlier.
    const TemporaryFile cut{file.str().substr(0, file.str().size() - 3)};
    EXPECT_EQ(extent(cut.path())->last, at(1'700'008'999'000'007'000));
  }
}

}  // namespace
}  // namespace tcpwhy::capture::testing
