#pragma once
// The common frame: nine packets of ten are Ethernet, IPv4 or IPv6 without
// options, TCP. One branch per layer finds where its headers lie. In a header,
// so that decode() and whoever needs no Segment have it inline.

#include <algorithm>
#include <cstdint>

#include "tcpwhy/decode.hpp"
#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/tcp.hpp"

namespace tcpwhy::wire {

inline constexpr std::uint32_t kEthernetHead = 14, kIpv4Head = 20, kIpv6Head = 40;

struct CommonFrame {
  const std::uint8_t* ip = nullptr;  ///< null: another kind of frame, to be walked through layer by layer
  const std::uint8_t* tcp = nullptr;
  std::uint32_t captured = 0;        ///< octets at `tcp`, at least the fixed header
  std::uint32_t length = 0;          ///< what IP leaves to TCP, at least `captured`
  bool is_ipv4 = true;

  [[nodiscard]] const std::uint8_t* source() const { return ip + (is_ipv4 ? 12 : 8); }
  [[nodiscard]] const std::uint8_t* destination() const { return ip + (is_ipv4 ? 16 : 24); }
  [[nodiscard]] std::uint16_t ip_id() const { return is_ipv4 ? be16(ip + 4) : std::uint16_t{0}; }
  [[nodiscard]] std::uint8_t ttl() const { return is_ipv4 ? ip[8] : ip[7]; }
  [[nodiscard]] bool dont_fragment() const { return is_ipv4 && ip[6] & 0x40; }

  [[nodiscard]] std::uint32_t header() const { return (tcp[12] >> 4) * 4u; }
  /// NOP NOP TS and nothing else, all of it captured.
  [[nodiscard]] bool has_timestamps_alone() const {
    return header() == kTcpHeader + 12 && captured >= header() && be32(tcp + kTcpHeader) == kAlignedTimestamps;
  }
  /// The options of a usual SYN and nothing else, all of them captured.
  [[nodiscard]] bool has_usual_syn_options() const {
    return header() == kTcpHeader + UsualSyn::kOctets && captured >= header() && UsualSyn::is_at(tcp + kTcpHeader);
  }
};

/// checksum.cpp: what the TCP checksum says, as anomalies. The whole header must have been captured.
[[nodiscard]] std::uint16_t checksum_anomalies(const CommonFrame& common);

// A call would pass the answer through memory, at the price of the work itself.
[[nodiscard, gnu::always_inline]] inline CommonFrame find_common(const Frame& frame) noexcept {
  if (frame.link != LinkType::kEthernet || frame.captured < kEthernetHead + kIpv4Head + kTcpHeader) [[unlikely]]
    return {};
  const std::uint8_t* const ip = frame.data + kEthernetHead;
  const std::uint32_t captured = frame.captured - kEthernetHead;
  const std::uint16_t type = be16(frame.data + 12);
  if (type == EtherType::kIpv4) [[likely]] {
    const std::uint32_t total = be16(ip + 2);
    const bool plain = ip[0] == 0x45 && ip[9] == IpProtocol::kTcp && (be16(ip + 6) & 0x3fff) == 0 && total >= kIpv4Head + kTcpHeader;
    if (!plain) [[unlikely]] return {};
    return {ip, ip + kIpv4Head, std::min(captured, total) - kIpv4Head, total - kIpv4Head, true};
  }
  if (type != EtherType::kIpv6) return {};
  const std::uint32_t payload = be16(ip + 4);
  const bool plain = ip[0] >> 4 == 6 && ip[6] == IpProtocol::kTcp && captured >= kIpv6Head + kTcpHeader && payload >= kTcpHeader;
  if (!plain) [[unlikely]] return {};
  return {ip, ip + kIpv6Head, std::min(captured - kIpv6Head, payload), payload, false};
}

}  // namespace tcpwhy::wire
