// IPv4 (RFC 791) and IPv6 (RFC 8200) down to the transport header.

#include "wire/bytes.hpp"
#include "wire/ether_type.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kIpv4Header = 20;
constexpr std::uint32_t kIpv6Header = 40;
/// Ports: without them nobody can say whose segment it is.
constexpr std::uint32_t kLeastTcp = 4;

Next read_ipv4(Walk& walk, Checksums checksums, Segment& out) {
  if (walk.captured < kIpv4Header) return too_short(walk, kIpv4Header, out);
  const std::uint8_t* ip = walk.at;
  const std::uint32_t header = (ip[0] & 0x0f) * 4u;
  if (header < kIpv4Header) return done(out, Kind::kMalformed);

  out.ip_version = 4;
  out.source = ip + 12;
  out.destination = ip + 16;
  out.tos = ip[1];
  out.ip_id = be16(ip + 4);
  out.ttl = ip[8];
  out.dont_fragment = ip[6] & 0x40;
  walk.protocol = ip[9];

  const std::uint32_t total = be16(ip + 2);
  if (total == 0) {
    // Linux net/ipv4/ip_output.c: a super-frame of more than 65,535 octets has no total
    // length, and Windows leaves it out for every TSO frame. The frame knows.
    out.anomalies |= Anomaly::kIpTotalLengthZero;
  } else {
    if (total < header) return done(out, Kind::kMalformed);
    walk.limit(total);
  }
  if (walk.captured < header) return too_short(walk, header, out);
  if (checksums == Checksums::kVerify && ip_checksum_is_bad(ip, header)) {
    out.anomalies |= Anomaly::kBadIpChecksum;
  }
  walk.skip(header);

  const std::uint16_t fragment = be16(ip + 6);
  const std::uint32_t offset = (fragment & 0x1fffu) * 8;
  const bool more = fragment & 0x2000;
  if (offset == 0 && !more) return Next::kIpProtocol;
  walk.fragment = {.id = out.ip_id, .offset = offset, .bytes = walk.length, .more = more};
  if (offset != 0) return done(out, Kind::kFragment);
  walk.in_fragment = true;
  return Next::kIpProtocol;
}

Next read_ipv6(Walk& walk, Segment& out) {
  if (walk.captured < kIpv6Header) return too_short(walk, kIpv6Header, out);
  const std::uint8_t* ip = walk.at;
  out.ip_version = 6;
  out.source = ip + 8;
  out.destination = ip + 24;
  out.tos = static_cast<std::uint8_t>(be16(ip) >> 4);
  out.ip_id = 0;
  out.dont_fragment = false;
  out.ttl = ip[7];
  walk.protocol = ip[6];
  const std::uint32_t payload = be16(ip + 4);
  walk.skip(kIpv6Header);
  if (payload != 0) walk.limit(payload);
  else if (walk.length != 0) out.anomalies |= Anomaly::kIpTotalLengthZero;
  return Next::kIpProtocol;
}

Next read_transport_tcp(Walk& walk, Segment& out) {
  const std::uint32_t captured = std::min(walk.captured, walk.length);
  if (walk.in_fragment) out.anomalies |= Anomaly::kFirstFragment;
  if (captured >= kTcpHeader) {
    read_tcp(walk.at, captured, walk.length, out);
    return done(out, Kind::kTcp);
  }
  const bool rest_elsewhere = walk.in_fragment || walk.length >= kTcpHeader;
  if (captured < kLeastTcp || !rest_elsewhere) return too_short(walk, kTcpHeader, out);
  read_cut_tcp(walk.at, captured, walk.length, out);
  return done(out, Kind::kTcp);
}

}  // namespace

Next read_ip(Walk& walk, Checksums checksums, Segment& out) {
  if (walk.captured == 0) return too_short(walk, 1, out);
  switch (walk.at[0] >> 4) {
    case 4: return read_ipv4(walk, checksums, out);
    case 6: return read_ipv6(walk, out);
    default: return done(out, Kind::kMalformed);
  }
}

Next read_ip_protocol(Walk& walk, Segment& out) {
  switch (walk.protocol) {
    case IpProtocol::kTcp: return read_transport_tcp(walk, out);
    case IpProtocol::kIcmp: return read_icmp(walk, out);
    case IpProtocol::kIcmp6: return read_icmp6(walk, out);
    default: return done(out, Kind::kOtherIp);  // numbers of the wire, not of ours
  }
}

}  // namespace tcpwhy::wire
