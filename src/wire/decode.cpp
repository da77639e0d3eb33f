// decode(): the common path first, the walk through the layers for everything
// else. Nine packets of ten are Ethernet, IPv4 or IPv6 without options, TCP;
// they take one branch per layer and touch nothing twice.

#include "tcpwhy/decode.hpp"

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

Walk walk_frame(const Frame& frame, Checksums checksums, Segment& out) {
  out = Segment{};
  Walk walk;
  walk.at = frame.data;
  walk.captured = frame.captured;
  walk.length = std::max(frame.captured, frame.original);
  walk.checksums = checksums;
  Next next = start_link(frame.link, walk, out);
  for (int layers = 0; next != Next::kDone; ++layers) {
    if (layers == kMaxLayers) {
      out.kind = Kind::kMalformed;
      break;
    }
    switch (next) {
      case Next::kEthernet: next = read_ethernet(walk, out); break;
      case Next::kEtherType: next = read_ether_type(walk, out); break;
      case Next::kLlc: next = read_llc(walk, out); break;
      case Next::kPpp: next = read_ppp(walk, out); break;
      case Next::kIp: next = read_ip(walk, out); break;
      case Next::kIpProtocol: next = read_ip_protocol(walk, out); break;
      case Next::kDone: break;
    }
  }
  return walk;
}

constexpr std::uint32_t kEthernet = 14, kIpv4 = 20, kIpv6 = 40;

/// What only a few segments carry.
inline void clear_rare(Segment& out) {
  out.window_scale = 0;
  out.sack_blocks = 0;
  out.mss = 0;
  out.vlan = 0;
  out.tunnel = 0;
  out.sack = nullptr;
  out.icmp_sender = nullptr;
  out.icmp_mtu = 0;
  out.icmp_type = 0;
  out.icmp_code = 0;
  out.icmp_ttl = 0;
}

/// Every field of a segment whose IP header is behind us, each written once:
/// clearing the whole and filling it in costs as much again. The fixed header
/// is captured; `length` is what IP leaves to TCP.
inline void fill(const std::uint8_t* tcp, std::uint32_t captured, std::uint32_t length, Segment& out) {
  const std::uint32_t header = (tcp[12] >> 4) * 4u;
  const bool timestamps =
      header == kTcpHeader + 12 && captured >= header && be32(tcp + kTcpHeader) == kAlignedTimestamps;
  out.kind = Kind::kTcp;
  clear_rare(out);
  if (!timestamps && header != kTcpHeader) [[unlikely]] {
    out.payload = nullptr;
    out.payload_bytes = out.captured_payload = out.tsval = out.tsecr = 0;
    out.options = out.anomalies = 0;
    read_tcp(tcp, captured, length, out);
    return;
  }
  const std::uint32_t payload = length - header;
  const std::uint32_t kept = captured - header;
  out.tcp = tcp;
  out.payload = kept != 0 ? tcp + header : nullptr;
  out.seq = SeqNum{be32(tcp + 4)};
  out.ack = SeqNum{be32(tcp + 8)};
  out.payload_bytes = payload;
  out.captured_payload = kept;
  out.tsval = timestamps ? be32(tcp + 24) : 0;
  out.tsecr = timestamps ? be32(tcp + 28) : 0;
  out.source_port = be16(tcp);
  out.destination_port = be16(tcp + 2);
  out.window = be16(tcp + 14);
  out.options = timestamps ? Opt::kTimestamps : 0;
  out.anomalies = static_cast<std::uint16_t>((tcp[12] & 0x0e ? Anomaly::kReservedBits : 0) |
                                             (kept < payload ? Anomaly::kTruncatedPayload : 0));
  out.flags = tcp[13];
}

/// IPv4 without options, whole, with TCP in it and its fixed header captured;
/// anything else is left to the walk. `captured` is at least 40.
inline bool read_plain_ipv4(const std::uint8_t* ip, std::uint32_t captured, Segment& out) {
  const std::uint32_t total = be16(ip + 2);
  const bool plain = ip[0] == 0x45 && ip[9] == IpProtocol::kTcp && (be16(ip + 6) & 0x3fff) == 0 &&
                     total >= kIpv4 + kTcpHeader;
  if (!plain) [[unlikely]]
    return false;
  out.source = ip + 12;
  out.destination = ip + 16;
  out.ip_id = be16(ip + 4);
  out.ip_version = 4;
  out.ttl = ip[8];
  out.tos = ip[1];
  out.dont_fragment = ip[6] & 0x40;
  fill(ip + kIpv4, std::min(captured, total) - kIpv4, total - kIpv4, out);
  return true;
}

/// IPv6 without extension headers, the same.
inline bool read_plain_ipv6(const std::uint8_t* ip, std::uint32_t captured, Segment& out) {
  const std::uint32_t payload = be16(ip + 4);
  const bool plain =
      ip[0] >> 4 == 6 && ip[6] == IpProtocol::kTcp && captured >= kIpv6 + kTcpHeader && payload >= kTcpHeader;
  if (!plain) [[unlikely]]
    return false;
  out.source = ip + 8;
  out.destination = ip + 24;
  out.ip_id = 0;
  out.ip_version = 6;
  out.ttl = ip[7];
  out.tos = static_cast<std::uint8_t>(be16(ip) >> 4);
  out.dont_fragment = false;
  fill(ip + kIpv6, std::min(captured - kIpv6, payload), payload, out);
  return true;
}

void verify_plain(const std::uint8_t* ip, Segment& out) {
  if (out.ip_version == 4 && ip_checksum_is_bad(ip, kIpv4)) out.anomalies |= Anomaly::kBadIpChecksum;
  check_tcp(out);
}

}  // namespace

void decode(const Frame& frame, Checksums checksums, Segment& out) noexcept {
  const bool common = frame.link == LinkType::kEthernet && frame.captured >= kEthernet + kIpv4 + kTcpHeader;
  if (common) [[likely]] {
    const std::uint8_t* ip = frame.data + kEthernet;
    const std::uint16_t type = be16(frame.data + 12);
    const std::uint32_t captured = frame.captured - kEthernet;
    const bool done = type == EtherType::kIpv4   ? read_plain_ipv4(ip, captured, out)
                      : type == EtherType::kIpv6 ? read_plain_ipv6(ip, captured, out)
                                                 : false;
    if (done) [[likely]] {
      if (checksums == Checksums::kVerify) verify_plain(ip, out);
      return;
    }
  }
  walk_frame(frame, checksums, out);
  if (checksums == Checksums::kVerify && out.kind == Kind::kTcp) check_tcp(out);
}

Fragment decode_fragment(const Frame& frame) noexcept {
  Segment ignored;
  return walk_frame(frame, Checksums::kSkip, ignored).fragment;
}

Neighbour decode_neighbour(const Frame& frame) noexcept {
  Segment ignored;
  return walk_frame(frame, Checksums::kSkip, ignored).neighbour;
}

void verify_checksum(Segment& segment, const Frame&) noexcept {
  if (segment.kind == Kind::kTcp) check_tcp(segment);
}

}  // namespace tcpwhy::wire
