#pragma once
// One packet under way in the world: IP with a TCP segment, or with an ICMP
// error that quotes one. A value; boxes change their copy.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tcpwhy/decode.hpp"
#include "tcpwhy/seq.hpp"

namespace tcpwhy::world {

struct Packet {
  // Addresses in host order; of IPv6 what stands behind kPrefix6, which has no ID and no DF.
  std::uint32_t source = 0, destination = 0;
  std::uint8_t ip_version = 4;
  std::uint16_t ip_id = 0;
  std::uint8_t ttl = 64, tos = 0;
  bool dont_fragment = true;

  // TCP; of an ICMP error: of the segment it quotes, whose addresses are those below.
  std::uint16_t source_port = 0, destination_port = 0;
  SeqNum seq, ack;
  std::uint8_t flags = 0;  ///< wire::Flag bits
  std::uint16_t window = 0;
  std::optional<std::uint16_t> mss = {};
  std::optional<std::uint8_t> window_scale = {};
  bool sack_permitted = false;
  struct Stamp {
    std::uint32_t value = 0, echo = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  std::optional<Stamp> timestamps = {};
  std::vector<std::pair<SeqNum, SeqNum>> sack = {};
  std::string payload = {};

  struct Icmp {  ///< or ICMPv6, whose types have other numbers
    std::uint8_t type = 3, code = 0;
    std::uint16_t mtu = 0;
    std::uint32_t quoted_source = 0, quoted_destination = 0;
    friend bool operator==(const Icmp&, const Icmp&) = default;
  };
  std::optional<Icmp> icmp = {};

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool is_tcp() const { return !icmp; }
  /// SEG.LEN (RFC 9293 3.4).
  [[nodiscard]] std::uint32_t length() const {
    return static_cast<std::uint32_t>(payload.size()) + (has(wire::Flag::kSyn) ? 1u : 0u) +
           (has(wire::Flag::kFin) ? 1u : 0u);
  }
  /// Octets of the whole IP packet.
  [[nodiscard]] std::uint32_t ip_bytes() const;
  friend bool operator==(const Packet&, const Packet&) = default;
};

/// A bare packet (LinkType::kRaw), lengths and checksums filled in.
///
/// Source: RFC 791, RFC 8200, RFC 9293 3.1, RFC 792 and RFC 4443 (eight octets of the quoted TCP header).
[[nodiscard]] std::vector<std::uint8_t> encode(const Packet& packet);

/// And back, from a real host. Nothing for what is neither TCP between addresses of a world nor an ICMP error about it.
[[nodiscard]] std::optional<Packet> decode(std::span<const std::uint8_t> bytes);

/// The RST that an endpoint without a connection sends for this segment, which is no RST (model::reset_for()).
[[nodiscard]] Packet reset_for(const Packet& offender);
/// An ICMP error about `offender` from `router`.
[[nodiscard]] Packet icmp_about(const Packet& offender, std::uint32_t router, std::uint8_t type, std::uint8_t code,
                                std::uint16_t mtu = 0);

}  // namespace tcpwhy::world
