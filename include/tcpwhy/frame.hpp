#pragma once
// A Frame is one record of a capture: bytes and when they were seen. It has no
// meaning yet; that begins in decode.hpp.

#include <cstddef>
#include <cstdint>
#include <span>

#include "tcpwhy/time.hpp"

namespace tcpwhy {

/// Link-layer header types we read, by their LINKTYPE_ value in pcap files.
enum class LinkType : std::uint16_t {
  kNull = 0,
  kEthernet = 1,
  kPpp = 9,
  kRawBsd = 12,
  kRawOpenBsd = 14,
  kPppHdlc = 50,
  kPppEther = 51,
  kRaw = 101,
  kCiscoHdlc = 104,
  kLoop = 108,
  kLinuxSll = 113,
  kIpv4 = 228,
  kIpv6 = 229,
  kNflog = 239,
  kLinuxSll2 = 276,
  kUnknown = 0xFFFF,
};

/// What the capture says about a frame's direction (pcapng epb_flags, SLL).
enum class FrameDirection : std::uint8_t { kUnknown, kInbound, kOutbound };

/// One record of a capture.
///
/// Life: `bytes` stays valid until the source's next call to next().
struct Frame {
  const std::uint8_t* data = nullptr;
  std::uint32_t captured = 0;   ///< bytes kept
  std::uint32_t original = 0;   ///< bytes on the wire; at least `captured` unless the file lies
  CaptureTime time{};           ///< 0 to 2^62 ns of the epoch, so that arithmetic on differences cannot overflow
  std::uint32_t number = 0;     ///< 1-based in its file, as Wireshark counts
  LinkType link = LinkType::kEthernet;
  std::uint8_t file = 0;        ///< index into the list of inputs
  FrameDirection direction = FrameDirection::kUnknown;
  std::uint16_t interface = 0;  ///< pcapng interface id, 0 otherwise
  bool has_time = true;         ///< false for pcapng simple packet blocks

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {data, captured}; }
  [[nodiscard]] bool truncated() const { return captured < original; }
};

}  // namespace tcpwhy
