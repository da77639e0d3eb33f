#include <fcntl.h>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <lzma.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <functional>
#include <thread>

#include "reading.hpp"

namespace tcpwhy::capture::testing {
namespace {

std::string gzip(std::string_view in) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, in.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string zstd(std::string_view in) {
  std::string out(ZSTD_compressBound(in.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compress2(context, out.data(), out.size(), in.data(), in.size()));
  ZSTD_freeCCtx(context);
  return out;
}
std::string lz4(std::string_view in) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  std::string out(LZ4F_compressFrameBound(in.size(), &preferences), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), &preferences));
  return out;
}
std::string xz(std::string_view in) {
  std::string out(lzma_stream_buffer_bound(in.size()), '\0');
  std::size_t n = 0;
  EXPECT_EQ(
      lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const std::uint8_t*>(in.data()),
                              in.size(), reinterpret_cast<std::uint8_t*>(out.data()), &n, out.size()),
      LZMA_OK);
  out.resize(n);
  return out;
}

struct Packer {
  const char* name;
  std::string (*pack)(std::string_view);
};
const Packer kPackers[] = {{"gzip", gzip}, {"zstd", zstd}, {"lz4", lz4}, {"xz", xz}};

// Several times the ring of buffers, in octets that compress a little.
std::string large_capture(std::uint32_t frames) {
  PcapFile file;
  std::uint32_t noise = 12345;
  for (std::uint32_t i = 0; i < frames; ++i) {
    std::string data = "frame " + std::to_string(i) + ' ';
    while (data.size() < 1000) data.push_back(static_cast<char>((noise = noise * 1103515245 + 12345) >> 28));
    file.record({.data = data});
  }
  return file.str();
}

TEST(Compressed, ReadsWhatWasPacked) {
  const std::string plain = large_capture(4999);
  const Read expected = read_bytes(plain);
  ASSERT_EQ(expected.frames.size(), 4999u);
  for (const Packer& packer : kPackers) {
    const Read read = read_bytes(packer.pack(plain));
    EXPECT_EQ(read.data, expected.data) << packer.name;
    EXPECT_EQ(read.losses.bytes, plain.size()) << packer.name;
    EXPECT_TRUE(read.losses.troubles.empty()) << packer.name;
  }
}

TEST(Compressed, ReadsMembersOneAfterAnother) {
  // RFC 1952 2.2, RFC 8878 3.1; xz and lz4 say the same of theirs. Empty ones count too.
  const std::string plain = large_capture(211);
  for (const Packer& packer : kPackers) {
    const std::string packed =
        packer.pack(plain.substr(0, 50'001)) + packer.pack("") + packer.pack(plain.substr(50'001));
    const Read read = read_bytes(packed);
    EXPECT_EQ(read.frames.size(), 211u) << packer.name;
    EXPECT_TRUE(read.losses.troubles.empty()) << packer.name;
  }
}

TEST(Compressed, DeliversEverythingBeforeACut) {
  const std::string plain = large_capture(997);
  for (const Packer& packer : kPackers) {
    const std::string packed = packer.pack(plain);
    const Read read = read_bytes(packed.substr(0, packed.size() * 2 / 3));
    EXPECT_GT(read.frames.size(), 300u) << packer.name;
    EXPECT_LT(read.frames.size(), 997u) << packer.name;
    ASSERT_EQ(read.losses.troubles.size(), 1u) << packer.name;
    EXPECT_EQ(read.losses.troubles[0].id, std::string{"capture."} + packer.name + ".truncated");
    EXPECT_EQ(read.losses.troubles[0].after_frame, read.frames.size());
    EXPECT_GE(read.losses.troubles[0].offset, read.losses.bytes);
  }
}

TEST(Compressed, SaysWhereDamageBegins) {
  const std::string plain = large_capture(997);
  for (const Packer& packer : kPackers) {
    std::string packed = packer.pack(plain);
    for (std::size_t i = 0; i < 40; ++i) packed[packed.size() * 2 / 3 + i] ^= 0x55;
    const Read read = read_bytes(packed);
    ASSERT_FALSE(read.losses.troubles.empty()) << packer.name;
    EXPECT_NE(read.losses.troubles.back().message.find("compressed file"), std::string::npos) << packer.name;
  }
}

TEST(Compressed, ToleratesPaddingAndMentionsGarbage) {
  const std::string plain = large_capture(17);
  for (const Packer& packer : kPackers) {
    const Read garbage = read_bytes(packer.pack(plain) + "something else entirely");
    EXPECT_EQ(garbage.frames.size(), 17u) << packer.name;
    ASSERT_EQ(garbage.losses.troubles.size(), 1u) << packer.name;
    EXPECT_EQ(garbage.losses.troubles[0].id, std::string{"capture."} + packer.name + ".trailing");
    const Read padded = read_bytes(packer.pack(plain) + std::string(512, '\0'));
    EXPECT_EQ(padded.frames.size(), 17u) << packer.name;
    EXPECT_TRUE(padded.losses.troubles.empty()) << packer.name;
  }
}

TEST(Compressed, SkipsSkippableFramesOfZstd) {
  // RFC 8878 3.1.2. pzstd begins with one.
  const std::string skippable = Bytes{}.u32(0x184D2A50).u32(5).text("hello").str();
  const Read read = read_bytes(skippable + zstd(large_capture(3)) + skippable);
  EXPECT_EQ(read.frames.size(), 3u);
  EXPECT_TRUE(read.losses.troubles.empty());
}

TEST(Compressed, RefusesAWindowThatWouldTakeAllMemory) {
  // RFC 8878 3.1.1.1.2: exponent 31-10 announces a window of 2 GiB.
  const Read read = read_bytes(Bytes{}.u32(0xFD2FB528).u8(0).u8(21 << 3).text("xxxxxxxxxxxxxxxx").str());
  EXPECT_EQ(read.error, "capture.zstd.damaged");
  EXPECT_NE(read.message.find("--long=31"), std::string::npos);
}

TEST(Compressed, SaysWhenNothingWasPacked) {
  for (const Packer& packer : kPackers) {
    EXPECT_EQ(read_bytes(packer.pack("")).error, "capture.empty") << packer.name;
    EXPECT_EQ(read_bytes(packer.pack("neither pcap nor pcapng, whatever it is")).error, "capture.format");
    EXPECT_EQ(read_bytes(packer.pack(large_capture(1)).substr(0, 9)).error,
              std::string{"capture."} + packer.name + ".truncated");
  }
}

TEST(Compressed, CanBeGivenUpHalfway) {
  const std::string plain = large_capture(4999);
  const TemporaryFile file{zstd(plain)};
  auto source = open_file(file.path(), 0, {});
  ASSERT_TRUE(source);
  EXPECT_FALSE((*source)->next().empty());
  EXPECT_FALSE((*source)->reopenable());
  EXPECT_EQ((*source)->size(), zstd(plain).size());
}

/// A named pipe, written by a thread.
class Pipe {
 public:
  explicit Pipe(std::function<void(int)> write) {
    std::string name = "/tmp/tcpwhy-test-XXXXXX";
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/pipe";
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    writer_ = std::thread{[this, write] {
      const int fd = open(path_.c_str(), O_WRONLY);
      write(fd);
      close(fd);
    }};
  }
  ~Pipe() {
    writer_.join();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string directory_, path_;
  std::thread writer_;
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

TEST(Pipes, AreReadPlainAndCompressed) {
  const std::string plain = large_capture(1009);
  const Pipe pipe{[&](int fd) { write_all(fd, plain); }};
  const Read read = read_path(pipe.path());
  EXPECT_EQ(read.frames.size(), 1009u);
  EXPECT_TRUE(read.losses.troubles.empty());
  for (const Packer& packer : kPackers) {
    const Pipe packed{[&](int fd) { write_all(fd, packer.pack(plain)); }};
    EXPECT_EQ(read_path(packed.path()).data, read.data) << packer.name;
  }
}

TEST(Pipes, HandFramesOverAtOnce) {
  // A live capture writes a frame and waits; the reader must see it before the next one.
  int seen[2];
  ASSERT_EQ(::pipe(seen), 0);
  {
    const Pipe pipe{[&](int fd) {
      write_all(fd, PcapFile{}.str());
      for (char i = 0; i < 5; ++i) {
        const std::string record = PcapFile{}.record({}).str().substr(24);
        write_all(fd, record.substr(0, 11));
        write_all(fd, record.substr(11));
        char which = 0;
        EXPECT_EQ(::read(seen[0], &which, 1), 1);
        EXPECT_EQ(which, i);
      }
    }};
    auto source = open_file(pipe.path(), 0, {});
    ASSERT_TRUE(source);
    EXPECT_EQ((*source)->size(), 0u);
    char i = 0;
    for (auto batch = (*source)->next(); !batch.empty(); batch = (*source)->next()) {
      EXPECT_EQ(batch.size(), 1u);
      EXPECT_EQ(::write(seen[1], &i, 1), 1);
      ++i;
    }
    EXPECT_EQ(i, 5);
  }
  close(seen[0]);
  close(seen[1]);
}

TEST(Pipes, CanBeLeftWhileTheWriterWaits) {
  int done[2];
  ASSERT_EQ(::pipe(done), 0);
  {
    const Pipe pipe{[&](int fd) {
      write_all(fd, PcapFile{}.record({}).str());
      char x = 0;
      EXPECT_EQ(::read(done[0], &x, 1), 1);
    }};
    {
      auto source = open_file(pipe.path(), 0, {});
      ASSERT_TRUE(source);
      EXPECT_EQ((*source)->next().size(), 1u);
    }
    EXPECT_EQ(::write(done[1], "x", 1), 1);
  }
  close(done[0]);
  close(done[1]);
}

}  // namespace
}  // namespace tcpwhy::capture::testing
