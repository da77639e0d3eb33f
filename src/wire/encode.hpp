#pragma once
// And back: a segment that somebody thought of, as the bytes that a host would
// have sent. For tests, and for whatever makes packets instead of reading them.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tcpwhy/decode.hpp"
#include "tcpwhy/seq.hpp"

namespace tcpwhy::wire {

struct Timestamps {
  std::uint32_t value = 0, echo = 0;
  friend bool operator==(const Timestamps&, const Timestamps&) = default;
};

struct SackBlock {
  SeqNum left, right;
  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

enum class SackPermitted : std::uint8_t { kNo, kYes };
enum class DontFragment : std::uint8_t { kNo, kYes };

/// A segment and the IP header under it, as values. Units as in Segment:
/// `window` is unscaled, addresses in network order, IPv4 in the first four octets.
struct Draft {
  std::uint8_t ip_version = 4;  ///< 4 or 6
  std::array<std::uint8_t, 16> source{}, destination{};
  std::uint16_t source_port = 0, destination_port = 0;
  SeqNum seq = {}, ack = {};
  std::uint8_t flags = 0;  ///< Flag bits
  std::uint16_t window = 0;
  std::uint8_t ttl = 64, tos = 0;
  std::uint16_t ip_id = 0;                          ///< IPv4 only
  DontFragment dont_fragment = DontFragment::kYes;  ///< IPv4 only
  std::optional<std::uint16_t> mss = {};
  std::optional<std::uint8_t> window_scale = {};
  SackPermitted sack_permitted = SackPermitted::kNo;
  std::optional<Timestamps> timestamps = {};
  /// As many as the 40 octets of options have room for: four, or three beside timestamps.
  std::vector<SackBlock> sack_blocks = {};
  std::vector<std::uint8_t> payload = {};
  friend bool operator==(const Draft&, const Draft&) = default;
};

enum class Around : std::uint8_t { kNothing, kEthernet };

/// The packet's bytes, lengths and checksums filled in; in an Ethernet frame
/// between two made-up hosts, or bare as LinkType::kRaw has it.
///
/// Source: RFC 9293 3.1; options in the order and with the padding of Linux
///         net/ipv4/tcp_output.c tcp_options_write(), since receivers tell hosts
///         by it.
/// Range:  a payload that IP has no room for gets total length 0, like a
///         super-frame.
[[nodiscard]] std::vector<std::uint8_t> encode(const Draft& draft, Around around);

}  // namespace tcpwhy::wire
