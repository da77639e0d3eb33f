#pragma once
// What travels between hosts of the model: one TCP segment or one ICMP error, as values.

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "tcpwhy/decode.hpp"
#include "tcpwhy/seq.hpp"

namespace tcpwhy::model {

/// An IPv4 (first four octets) or IPv6 address in network order.
struct Address {
  std::uint8_t version = 4;  ///< 4 or 6
  std::array<std::uint8_t, 16> bytes{};

  static constexpr Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return Address{4, {a, b, c, d}};
  }
  [[nodiscard]] constexpr bool is_any() const {
    return std::bit_cast<std::array<std::uint64_t, 2>>(bytes) == std::array<std::uint64_t, 2>{};
  }
  [[nodiscard]] constexpr bool is_loopback() const {
    if (version == 4) return bytes[0] == 127;
    constexpr std::array<std::uint8_t, 16> one{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return bytes == one;
  }
  friend constexpr bool operator==(const Address& a, const Address& b) {
    using Halves = std::array<std::uint64_t, 2>;  // compared for every segment, so without a loop over octets
    return a.version == b.version && std::bit_cast<Halves>(a.bytes) == std::bit_cast<Halves>(b.bytes);
  }
};

struct SocketAddress {
  Address address;
  std::uint16_t port = 0;
  friend constexpr bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

enum class PacketKind : std::uint8_t { kTcp, kIcmp };

/// Units: `window` as on the wire, unscaled. Flag and option bits are those of wire::Flag and
/// wire::Opt; `payload` is empty when only its length matters.
struct Packet {
  Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  PacketKind kind = PacketKind::kTcp;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;  ///< the low two bits are ECN: 0 none, 1 ECT(1), 2 ECT(0), 3 CE
  std::uint16_t ip_id = 0;
  bool dont_fragment = true;

  SeqNum seq, ack;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
  std::uint16_t urgent = 0;
  std::uint16_t options = 0;  ///< wire::Opt bits of what is carried
  std::uint16_t mss = 0;
  std::uint8_t window_scale = 0;
  std::uint32_t tsval = 0, tsecr = 0;
  std::uint8_t sack_blocks = 0;
  std::array<SeqNum, 8> sack{};  ///< left, right, left, right …
  std::uint8_t cookie_bytes = 0;  ///< of a Fast Open option; 0: a request for a cookie
  bool cookie_experimental = false;  ///< option 254 with magic 0xF989 instead of 34
  std::array<std::uint8_t, 16> cookie{};

  std::uint32_t payload_bytes = 0;
  std::vector<std::uint8_t> payload;

  // ICMP errors (kIcmp): everything TCP above, with source and destination, describes the quoted
  // segment as its sender sent it; icmp_from sent the error to `source`.
  std::uint8_t icmp_type = 0, icmp_code = 0;
  std::uint16_t icmp_mtu = 0;
  Address icmp_from;

  [[nodiscard]] bool syn() const { return flags & wire::Flag::kSyn; }
  [[nodiscard]] bool fin() const { return flags & wire::Flag::kFin; }
  [[nodiscard]] bool rst() const { return flags & wire::Flag::kRst; }
  [[nodiscard]] bool has_ack() const { return flags & wire::Flag::kAck; }
  [[nodiscard]] bool has(std::uint16_t option) const { return options & option; }
  /// SEG.LEN (RFC 9293 3.4).
  [[nodiscard]] std::uint32_t length() const { return payload_bytes + (syn() ? 1u : 0u) + (fin() ? 1u : 0u); }
  [[nodiscard]] SeqNum end() const { return seq + length(); }
};

}  // namespace tcpwhy::model
