// decode(): the common path (common.hpp) first, the walk through the layers for
// everything else.

#include "tcpwhy/decode.hpp"

#include "wire/bytes.hpp"
#include "wire/common.hpp"
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

/// Every field of a segment, each written once: clearing the whole and filling
/// it in costs as much again.
inline void fill(const CommonFrame& common, Segment& out) {
  const std::uint8_t* const tcp = common.tcp;
  out.source = common.source();
  out.destination = common.destination();
  out.ip_id = common.ip_id();
  out.ip_version = common.is_ipv4 ? 4 : 6;
  out.ttl = common.ttl();
  out.tos = common.is_ipv4 ? common.ip[1] : static_cast<std::uint8_t>(be16(common.ip) >> 4);
  out.dont_fragment = common.dont_fragment();
  out.kind = Kind::kTcp;
  clear_rare(out);
  const std::uint32_t header = common.header();
  const bool timestamps = common.has_timestamps_alone();
  if (!timestamps && header != kTcpHeader) [[unlikely]] {
    out.payload = nullptr;
    out.payload_bytes = out.captured_payload = out.tsval = out.tsecr = 0;
    out.options = out.anomalies = 0;
    read_tcp(tcp, common.captured, common.length, out);
    return;
  }
  const std::uint32_t payload = common.length - header;
  const std::uint32_t kept = common.captured - header;
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

}  // namespace

void decode(const Frame& frame, Checksums checksums, Segment& out) noexcept {
  const CommonFrame common = find_common(frame);
  if (common.ip == nullptr) [[unlikely]] {
    walk_frame(frame, checksums, out);
    if (checksums == Checksums::kVerify && out.kind == Kind::kTcp) check_tcp(out);
    return;
  }
  fill(common, out);
  if (checksums != Checksums::kVerify) return;
  if (common.is_ipv4 && ip_checksum_is_bad(common.ip, kIpv4Head)) out.anomalies |= Anomaly::kBadIpChecksum;
  check_tcp(out);
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
