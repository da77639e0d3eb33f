// IPv4 (RFC 791) and IPv6 (RFC 8200) down to the transport header.
//
// The length in the IP header wins over the frame's: what lies beyond it is
// padding, and what it promises beyond the capture was cut off. A later fragment
// has no transport header; the first one has, and is decoded with what it holds.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kIpv4Header = 20;
constexpr std::uint32_t kIpv6Header = 40;
/// Ports: without them nobody can say whose segment it is.
constexpr std::uint32_t kLeastTcp = 4;

Next read_ipv4(Walk& walk, Segment& out) {
  if (walk.captured < kIpv4Header) return too_short(walk, kIpv4Header, out);
  const std::uint8_t* ip = walk.at;
  const std::uint32_t header = (ip[0] & 0x0fu) * 4u;
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
    // Linux net/ipv4/ip_output.c iph_set_totlen(): a super-frame of more than 65,535
    // octets has no total length, and some senders leave it out of every one that
    // the card will split. The frame knows.
    out.anomalies |= Anomaly::kIpTotalLengthZero;
  } else {
    if (total < header) return done(out, Kind::kMalformed);
    walk.limit(total);
  }
  if (walk.captured < header) return too_short(walk, header, out);
  if (walk.checksums == Checksums::kVerify && ip_checksum_is_bad(ip, header)) {
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

/// RFC 2675: where the payload length is 0, a hop-by-hop option holds the real
/// one. Linux net/ipv6/ip6_offload.c writes it for super-frames.
void read_jumbo_length(Walk& walk, Segment& out) {
  constexpr std::uint8_t kPad1 = 0, kJumbo = 0xc2;
  const std::uint32_t header = (walk.at[1] + 1u) * 8u;
  for (std::uint32_t i = 2; i + 1 < header;) {
    const std::uint8_t option = walk.at[i];
    const std::uint32_t octets = option == kPad1 ? 1 : 2u + walk.at[i + 1];
    if (option == kJumbo && octets == 6 && i + octets <= header) {
      walk.limit(be32(walk.at + i + 2));
      out.anomalies &= static_cast<std::uint16_t>(~Anomaly::kIpTotalLengthZero);
      return;
    }
    i += octets;
  }
}

/// RFC 8200 8.1: with segments left, the final destination is in the routing
/// header, and that one is whose connection it is.
void read_final_destination(const std::uint8_t* routing, std::uint32_t header, Segment& out) {
  constexpr std::uint8_t kSourceRoute = 0, kMobile = 2, kSegments = 4;  // RFC 2460, 6275, 8754
  const std::uint8_t type = routing[2];
  const std::uint8_t left = routing[3];
  if (left == 0 || header < 24) return;
  if (type == kSourceRoute && header % 16 == 8) out.destination = routing + header - 16;
  if (type == kMobile || type == kSegments) out.destination = routing + 8;
}

Next read_ipv6(Walk& walk, Segment& out) {
  if (walk.captured < kIpv6Header) return too_short(walk, kIpv6Header, out);
  const std::uint8_t* ip = walk.at;
  out.ip_version = 6;
  out.source = ip + 8;
  out.destination = ip + 24;
  out.tos = static_cast<std::uint8_t>(be16(ip) >> 4);
  out.ip_id = 0;
  out.ttl = ip[7];
  out.dont_fragment = false;
  walk.protocol = ip[6];
  const std::uint32_t payload = be16(ip + 4);
  walk.skip(kIpv6Header);
  if (payload != 0) {
    walk.limit(payload);
  } else if (walk.length != 0) {
    out.anomalies |= Anomaly::kIpTotalLengthZero;
    if (walk.protocol == IpProtocol::kHopByHop && walk.captured >= 8 &&
        walk.captured >= (walk.at[1] + 1u) * 8u) {
      read_jumbo_length(walk, out);
    }
  }
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

Headers pass_extension_headers(Walk& walk, Segment& out) {
  for (;;) {
    const std::uint8_t* at = walk.at;
    switch (walk.protocol) {
      case IpProtocol::kFragment: {
        if (walk.captured < 8) return Headers::kCut;
        const std::uint16_t field = be16(at + 2);
        const std::uint32_t offset = field & 0xfff8u;
        const bool more = field & 1;
        walk.protocol = at[0];
        walk.skip(8);
        if (offset == 0 && !more) break;  // RFC 6946: an atomic fragment is a whole packet
        walk.fragment = {.id = be32(at + 4), .offset = offset, .bytes = walk.length, .more = more};
        if (offset != 0) return Headers::kLaterFragment;
        walk.in_fragment = true;
        break;
      }
      case IpProtocol::kAh: {
        // RFC 4302 2.2: in words, minus two.
        const std::uint32_t header = walk.captured >= 2 ? (at[1] + 2u) * 4u : 8;
        if (walk.captured < header) return Headers::kCut;
        walk.protocol = at[0];
        walk.skip(header);
        break;
      }
      case IpProtocol::kHopByHop:
      case IpProtocol::kRouting:
      case IpProtocol::kDestination:
      case IpProtocol::kMobility:
      case IpProtocol::kHip:
      case IpProtocol::kShim6: {
        const std::uint32_t header = walk.captured >= 2 ? (at[1] + 1u) * 8u : 8;
        if (walk.captured < header) return Headers::kCut;
        if (walk.protocol == IpProtocol::kRouting) read_final_destination(at, header, out);
        walk.protocol = at[0];
        walk.skip(header);
        break;
      }
      default: return Headers::kPassed;  // numbers of the wire, not of ours
    }
  }
}

Next read_ip(Walk& walk, Segment& out) {
  if (walk.captured == 0) return too_short(walk, 1, out);
  walk.in_fragment = false;
  walk.fragment = {};
  switch (walk.at[0] >> 4) {
    case 4: return read_ipv4(walk, out);
    case 6: return read_ipv6(walk, out);
    default: return done(out, Kind::kMalformed);
  }
}

Next read_ip_protocol(Walk& walk, Segment& out) {
  const bool extends = out.ip_version == 6 || walk.protocol == IpProtocol::kAh;
  if (extends) {
    switch (pass_extension_headers(walk, out)) {
      case Headers::kPassed: break;
      case Headers::kCut: return too_short(walk, 8, out);
      case Headers::kLaterFragment: return done(out, Kind::kFragment);
    }
  }
  switch (walk.protocol) {
    case IpProtocol::kTcp: return read_transport_tcp(walk, out);
    case IpProtocol::kIcmp: return out.ip_version == 4 ? read_icmp(walk, out) : done(out, Kind::kOtherIp);
    case IpProtocol::kIcmp6: return out.ip_version == 6 ? read_icmp6(walk, out) : done(out, Kind::kOtherIp);
    case IpProtocol::kIpv4:
    case IpProtocol::kIpv6: return read_ip_in_ip(walk, out);
    case IpProtocol::kGre: return read_gre(walk, out);
    case IpProtocol::kUdp: return read_udp(walk, out);
    case IpProtocol::kMpls:
      enter_tunnel(out, 0);  // RFC 4023
      return read_mpls(walk, out);
    default: return done(out, Kind::kOtherIp);  // numbers of the wire, not of ours
  }
}

}  // namespace tcpwhy::wire
