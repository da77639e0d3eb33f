#pragma once
// Small pcapng files, block by block (draft-ietf-opsawg-pcapng section 4).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "capture_files.hpp"

namespace tcpwhy::capture::testing {

class PcapNgFile {
 public:
  PcapNgFile& section(Endian endian) {
    endian_ = endian;
    return block(0x0A0D0D0A, Bytes{endian}.u32(0x1A2B3C4D).u16(1).u16(0).u64(~std::uint64_t{0}).str());
  }

  struct Interface {
    std::uint16_t link = 1;
    std::uint32_t snap_length = 0;
    std::optional<std::uint8_t> resolution = std::nullopt;
    std::optional<std::int64_t> offset_s = std::nullopt;
  };
  PcapNgFile& interface(const Interface& i) {
    Bytes body{endian_};
    body.u16(i.link).u16(0).u32(i.snap_length);
    if (i.resolution) body.u16(9).u16(1).u8(*i.resolution).pad4();
    if (i.offset_s) body.u16(14).u16(8).u64(static_cast<std::uint64_t>(*i.offset_s));
    body.u16(1).u16(9).text("a comment").pad4().u16(0).u16(0);
    return block(1, body.str());
  }

  struct Packet {
    std::uint32_t interface = 0;
    std::uint64_t ticks = 0;
    std::string data = "frame";
    std::optional<std::uint32_t> flags = std::nullopt;
    std::optional<std::uint64_t> drops = std::nullopt;
    std::optional<std::uint32_t> captured = std::nullopt;  ///< as claimed, when it lies
  };
  PcapNgFile& packet(const Packet& p) {
    Bytes body{endian_};
    body.u32(p.interface)
        .u32(static_cast<std::uint32_t>(p.ticks >> 32))
        .u32(static_cast<std::uint32_t>(p.ticks));
    add_data(body, p);
    if (p.drops) body.u16(4).u16(8).u64(*p.drops);
    if (p.drops || p.flags) body.u16(0).u16(0);
    return block(6, body.str());
  }
  PcapNgFile& old_packet(const Packet& p) {
    Bytes body{endian_};
    body.u16(p.interface).u16(static_cast<std::uint16_t>(p.drops.value_or(0xFFFF)));
    body.u32(static_cast<std::uint32_t>(p.ticks >> 32)).u32(static_cast<std::uint32_t>(p.ticks));
    add_data(body, p);
    return block(2, body.str());
  }
  PcapNgFile& simple(std::string_view data, std::uint32_t original) {
    return block(3, Bytes{endian_}.u32(original).text(data).pad4().str());
  }

  struct Statistics {
    std::uint32_t interface = 0;
    std::optional<std::uint64_t> dropped_by_interface = std::nullopt, dropped_by_kernel = std::nullopt;
    std::optional<std::uint64_t> received = std::nullopt, stopped = std::nullopt;  ///< isb_ifrecv; isb_endtime in ticks
};
  PcapNgFile& statistics(const Statistics& s) {
    Bytes body{endian_};
    body.u32(s.interface).u64(0);
    if (s.stopped) body.u16(3).u16(8).u32(static_cast<std::uint32_t>(*s.stopped >> 32)).u32(static_cast<std::uint32_t>(*s.stopped));
    if (s.received) body.u16(4).u16(8).u64(*s.received);
    if (s.dropped_by_interface) body.u16(5).u16(8).u64(*s.dropped_by_interface);
    if (s.dropped_by_kernel) body.u16(7).u16(8).u64(*s.dropped_by_kernel);
    return block(5, body.str());
  }

  PcapNgFile& block(std::uint32_t type, std::string_view body) {
    Bytes block{endian_};
    const auto length = static_cast<std::uint32_t>(12 + (body.size() + 3) / 4 * 4);
    bytes_ += block.u32(type).u32(length).text(body).pad4().u32(length).str();
    return *this;
  }

  [[nodiscard]] const std::string& str() const { return bytes_; }

 private:
  static void add_data(Bytes& body, const Packet& p) {
    const auto captured = p.captured.value_or(static_cast<std::uint32_t>(p.data.size()));
    body.u32(captured).u32(captured).text(p.data).pad4();
    if (p.flags) body.u16(2).u16(4).u32(*p.flags);
  }

  std::string bytes_;
  Endian endian_ = Endian::kLittle;
};

}  // namespace tcpwhy::capture::testing
