// Every block is its type, its length, a body padded to four octets, and the
// length again, so that a reader can walk the file from both ends. Numbers are
// little-endian whatever machine this is: the magic says so.

#include "capture/writer.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace tcpwhy::capture {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A, kInterfaceDescription = 1, kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;
constexpr std::uint16_t kEndOfOptions = 0, kInterfaceName = 2, kTimeResolution = 9, kPacketFlags = 2;
// if_tsresol: ten to the minus ninth.
constexpr std::uint8_t kNanoseconds = 9;

class Block {
 public:
  explicit Block(std::uint32_t type) {
    put32(type);
    put32(0);
  }
  void put8(std::uint8_t v) { bytes_.push_back(v); }
  void put16(std::uint16_t v) {
    put8(static_cast<std::uint8_t>(v));
    put8(static_cast<std::uint8_t>(v >> 8));
  }
  void put32(std::uint32_t v) {
    put16(static_cast<std::uint16_t>(v));
    put16(static_cast<std::uint16_t>(v >> 16));
  }
  void put(std::span<const std::uint8_t> octets) {
    bytes_.insert(bytes_.end(), octets.begin(), octets.end());
    while (bytes_.size() % 4 != 0) put8(0);
  }
  void option(std::uint16_t code, std::span<const std::uint8_t> value) {
    put16(code);
    put16(static_cast<std::uint16_t>(value.size()));
    put(value);
  }
  void end_into(std::vector<std::uint8_t>& file) {
    const auto length = static_cast<std::uint32_t>(bytes_.size() + 4);
    put32(length);
    for (unsigned i = 0; i < 4; ++i) bytes_[4 + i] = static_cast<std::uint8_t>(length >> (8 * i));
    file.insert(file.end(), bytes_.begin(), bytes_.end());
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

PcapngWriter::PcapngWriter() {
  Block section{kSectionHeader};
  section.put32(kByteOrderMagic);
  section.put16(1);
  section.put16(0);
  for (int i = 0; i < 8; ++i) section.put8(0xFF);  // section length: not said
  section.end_into(bytes_);
}

std::uint16_t PcapngWriter::add_interface(std::string_view name, LinkType link) {
  Block description{kInterfaceDescription};
  description.put16(static_cast<std::uint16_t>(link));
  description.put16(0);
  description.put32(0);  // no snap length
  description.option(kInterfaceName, {reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
  description.option(kTimeResolution, {&kNanoseconds, 1});
  description.option(kEndOfOptions, {});
  description.end_into(bytes_);
  return interfaces_++;
}

void PcapngWriter::add(std::uint16_t interface, CaptureTime time, FrameDirection direction,
                       std::span<const std::uint8_t> bytes) {
  const auto stamp = static_cast<std::uint64_t>(time.time_since_epoch().count());
  Block packet{kEnhancedPacket};
  packet.put32(interface);
  packet.put32(static_cast<std::uint32_t>(stamp >> 32));
  packet.put32(static_cast<std::uint32_t>(stamp));
  packet.put32(static_cast<std::uint32_t>(bytes.size()));
  packet.put32(static_cast<std::uint32_t>(bytes.size()));
  packet.put(bytes);
  if (direction != FrameDirection::kUnknown) {
    const std::uint8_t way = direction == FrameDirection::kInbound ? 1 : 2;
    const std::uint8_t flags[] = {way, 0, 0, 0};
    packet.option(kPacketFlags, flags);
    packet.option(kEndOfOptions, {});
  }
  packet.end_into(bytes_);
}

Result<std::uint64_t> PcapngWriter::save(const std::string& path) const {
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
  const auto failed = [&] {
    return Error{"capture.write", "cannot write " + path + ": " + std::strerror(errno)};
  };
  if (file == nullptr) return failed();
  const std::size_t written = std::fwrite(bytes_.data(), 1, bytes_.size(), file);
  const int closed = file == stdout ? std::fflush(file) : std::fclose(file);
  if (written != bytes_.size() || closed != 0) return failed();
  return std::uint64_t{written};
}

}  // namespace tcpwhy::capture
