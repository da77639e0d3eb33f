#pragma once
// Small captures, written octet by octet the way the formats say, so that a
// test is the difference to a good file.

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

namespace tcpwhy::capture::testing {

enum class Endian : std::uint8_t { kLittle, kBig };

class Bytes {
 public:
  explicit Bytes(Endian endian = Endian::kLittle) : endian_{endian} {}
  Bytes& u8(std::uint8_t v) {
    bytes_.push_back(static_cast<char>(v));
    return *this;
  }
  Bytes& u16(std::uint32_t v) { return number(v, 2); }
  Bytes& u32(std::uint32_t v) { return number(v, 4); }
  Bytes& u64(std::uint64_t v) { return number(v, 8); }
  Bytes& text(std::string_view s) {
    bytes_ += s;
    return *this;
  }
  Bytes& fill(std::size_t n, char c = 0) {
    bytes_.append(n, c);
    return *this;
  }
  Bytes& pad4() {
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    return *this;
  }
  [[nodiscard]] const std::string& str() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Endian endian() const { return endian_; }

 private:
  Bytes& number(std::uint64_t v, int octets) {
    for (int i = 0; i < octets; ++i) {
      const int shift = 8 * (endian_ == Endian::kLittle ? i : octets - 1 - i);
      bytes_.push_back(static_cast<char>(v >> shift & 0xFF));
    }
    return *this;
  }
  std::string bytes_;
  Endian endian_;
};

/// A classic file.
struct PcapFile {
  Bytes bytes;
  std::size_t header = 16;

  struct How {
    Endian endian = Endian::kLittle;
    std::uint32_t magic = 0xa1b2c3d4;
    std::uint32_t link = 1;
    std::uint32_t snap_length = 262144;
    std::uint32_t minor = 4;
  };
  explicit PcapFile(How how) : bytes{how.endian} {
    bytes.u32(how.magic).u16(2).u16(how.minor).u32(0).u32(0).u32(how.snap_length).u32(how.link);
    if (how.magic == 0xa1b2cd34) header = 24;
  }
  PcapFile() : PcapFile{How{}} {}

  struct Record {
    std::uint32_t seconds = 1'700'000'003;
    std::uint32_t fraction = 123'457;
    std::string data = "frame";
    std::uint32_t original = 0;  ///< 0: as captured
    std::uint8_t packet_type = 0;
  };
  PcapFile& record(const Record& r) {
    const auto captured = static_cast<std::uint32_t>(r.data.size());
    bytes.u32(r.seconds).u32(r.fraction).u32(captured).u32(r.original != 0 ? r.original : captured);
    if (header == 24) bytes.u32(3).u16(0x800).u8(r.packet_type).u8(0);
    bytes.text(r.data);
    return *this;
  }
  [[nodiscard]] const std::string& str() const { return bytes.str(); }
};

/// A file that goes away with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content) {
    const char* directory = "/tmp";
    path_ = std::string{directory} + "/tcpwhy-test-XXXXXX";
    const int fd = mkstemp(path_.data());
    if (fd >= 0) close(fd);
    write(content);
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  void write(std::string_view content) {
    std::ofstream out{path_, std::ios::binary | std::ios::trunc};
    out << content;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tcpwhy::capture::testing
