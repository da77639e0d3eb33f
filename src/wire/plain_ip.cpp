// RFC 791, RFC 8200, and the ICMP errors of RFC 792 and RFC 4443.

#include <algorithm>
#include <optional>

#include "wire/numbers.hpp"
#include "wire/plain.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire::plain {
namespace {

void take_ipv4_header(Octets packet, Segment& s) {
  s.ip_version = 4;
  s.tos = static_cast<std::uint8_t>(packet.octet(1));
  s.ip_id = static_cast<std::uint16_t>(packet.word(4));
  s.dont_fragment = (packet.word(6) & 0x4000) != 0;
  s.ttl = static_cast<std::uint8_t>(packet.octet(8));
  s.source = packet.place(12, 4);
  s.destination = packet.place(16, 4);
}

void take_ipv6_header(Octets packet, Segment& s) {
  s.ip_version = 6;
  s.tos = static_cast<std::uint8_t>(packet.word(0) >> 4 & 0xff);
  s.ip_id = 0;
  s.dont_fragment = false;
  s.ttl = static_cast<std::uint8_t>(packet.octet(7));
  s.source = packet.place(8, 16);
  s.destination = packet.place(24, 16);
}

/// RFC 8200 8.1: while segments are left, the last address of the route is where
/// the packet goes.
void take_route(Octets routing, Segment& s) {
  const unsigned type = routing.octet(2);
  const unsigned left = routing.octet(3);
  const std::size_t octets = routing.captured();
  if (left == 0 || octets < 24) return;
  const bool whole_addresses = (octets - 8) % 16 == 0;
  if (type == 0 && whole_addresses) s.destination = routing.place(octets - 16, 16);  // RFC 2460 4.4
  if (type == 2) s.destination = routing.place(8, 16);  // RFC 6275 6.4: the home address
  if (type == 4) s.destination = routing.place(8, 16);  // RFC 8754 2: Segment List[0] is the last
}

/// What is behind the extension headers, or why one does not get there.
struct Behind {
  enum class End : std::uint8_t { kReached, kCut, kLaterFragment };
  End end;
  unsigned protocol;
  Octets payload;
};

bool is_extension_header(unsigned protocol) {
  return protocol == IpProtocol::kHopByHop || protocol == IpProtocol::kRouting ||
         protocol == IpProtocol::kFragment || protocol == IpProtocol::kAh ||
         protocol == IpProtocol::kDestination || protocol == IpProtocol::kMobility ||
         protocol == IpProtocol::kHip || protocol == IpProtocol::kShim6;
}

Behind behind_extension_headers(unsigned protocol, Octets rest, Outside& outside) {
  while (is_extension_header(protocol)) {
    if (protocol == IpProtocol::kFragment) {  // RFC 8200 4.5
      if (!rest.has(8)) return {Behind::End::kCut, protocol, rest};
      const Fragment here{.id = rest.long_word(4),
                          .offset = rest.word(2) & ~7u,
                          .bytes = static_cast<std::uint32_t>(rest.after(8).on_wire()),
                          .more = (rest.word(2) & 1) != 0};
      protocol = rest.octet(0);
      rest = rest.after(8);
      const bool atomic = here.offset == 0 && !here.more;  // RFC 6946: no fragment at all
      if (atomic) continue;
      outside.fragment = here;
      if (here.offset != 0) return {Behind::End::kLaterFragment, protocol, rest};
      outside.in_fragment = true;
      continue;
    }
    if (!rest.has(2)) return {Behind::End::kCut, protocol, rest};
    // RFC 8200 4.3: in units of eight octets, without the first; RFC 4302 2.2: in
    // units of four, without the first two.
    const std::size_t octets =
        protocol == IpProtocol::kAh ? (rest.octet(1) + 2) * 4 : (rest.octet(1) + 1) * 8;
    if (!rest.has(octets)) return {Behind::End::kCut, protocol, rest};
    if (protocol == IpProtocol::kRouting) take_route(rest.limited_to(octets), outside.said);
    protocol = rest.octet(0);
    rest = rest.after(octets);
  }
  return {Behind::End::kReached, protocol, rest};
}

/// RFC 2675 2: the jumbo payload option, if this hop-by-hop header has it.
std::optional<std::uint32_t> jumbo_length(Octets hop_by_hop) {
  std::size_t at = 2;
  while (at + 1 < hop_by_hop.captured()) {
    const unsigned type = hop_by_hop.octet(at);
    if (type == 0) {  // Pad1 has no length
      ++at;
      continue;
    }
    const std::size_t octets = 2 + hop_by_hop.octet(at + 1);
    if (type == 0xc2 && octets == 6 && hop_by_hop.has(at + octets)) return hop_by_hop.long_word(at + 2);
    at += octets;
  }
  return std::nullopt;
}

/// The quotation in an ICMP error, RFC 792: an IP header and at least 64 bits
/// of what it carried, ports first. Nothing when that is no TCP.
std::optional<Segment> quoted_segment(Octets quotation, Segment said) {
  if (!quotation.has(1) || quotation.nibble() != said.ip_version) return std::nullopt;
  Outside outside{.said = said};
  std::optional<Octets> tcp_octets;
  if (said.ip_version == 4) {
    if (!quotation.has(20)) return std::nullopt;
    const std::size_t header = (quotation.octet(0) & 0x0f) * 4;
    const bool first = (quotation.word(6) & 0x1fff) == 0;
    if (header < 20 || !quotation.has(header) || quotation.octet(9) != IpProtocol::kTcp || !first) {
      return std::nullopt;
    }
    take_ipv4_header(quotation, outside.said);
    const std::size_t total = quotation.word(2);
    const Octets rest = quotation.after(header);
    tcp_octets = Octets{rest.place(0, rest.captured()), rest.captured(), total > header ? total - header : 0};
  } else {
    if (!quotation.has(40)) return std::nullopt;
    take_ipv6_header(quotation, outside.said);
    Octets rest = quotation.after(40);
    if (quotation.word(4) != 0) rest = rest.limited_to(quotation.word(4));
    const Behind behind = behind_extension_headers(quotation.octet(6), rest, outside);
    if (behind.end != Behind::End::kReached || behind.protocol != IpProtocol::kTcp) return std::nullopt;
    tcp_octets = behind.payload;
  }
  if (!tcp_octets->has(4)) return std::nullopt;  // the ports; the snap length may end right behind them
  std::size_t length = tcp_octets->on_wire();
  // Some quote a length that cannot be (in host order, or without the header):
  // then the header is all there is.
  if (length < 20)
    length = tcp_octets->has(13) ? std::max<std::size_t>(20, (tcp_octets->octet(12) >> 4) * 4) : 20;
  return tcp_fields(tcp_octets->limited_to(length), length, outside.said);
}

/// `announced`: what RFC 4884 lets some errors say about their quotation, in octets.
Decoded icmp_error(Octets message, unsigned mtu, std::size_t announced, const Outside& outside) {
  Segment said = outside.said;
  said.icmp_type = static_cast<std::uint8_t>(message.octet(0));
  said.icmp_code = static_cast<std::uint8_t>(message.octet(1));
  said.icmp_mtu = static_cast<std::uint16_t>(std::min(mtu, 0xffffu));
  said.icmp_sender = outside.said.source;
  said.icmp_ttl = outside.said.ttl;
  Octets quotation = message.after(8);
  if (announced != 0 && announced < quotation.captured()) quotation = quotation.limited_to(announced);
  const std::optional<Segment> quoted = quoted_segment(quotation, said);
  if (!quoted) return ended(Kind::kOtherIp, outside);
  Decoded decoded = ended(Kind::kIcmpError, outside);
  decoded.segment = *quoted;
  decoded.segment.kind = Kind::kIcmpError;
  return decoded;
}

Decoded icmp(Octets message, const Outside& outside) {
  if (!message.has(8)) return ended(Kind::kOtherIp, outside);
  const unsigned type = message.octet(0);
  const unsigned code = message.octet(1);
  const std::size_t announced = message.octet(5) * 4;  // RFC 4884 4.1
  if (type == 3)
    return icmp_error(message, code == 4 ? message.word(6) : 0, announced, outside);  // RFC 1191 4
  if (type == 11 || type == 12) return icmp_error(message, 0, announced, outside);
  if (type == 4 || type == 5) return icmp_error(message, 0, 0, outside);
  return ended(Kind::kOtherIp, outside);
}

Decoded icmp6(Octets message, const Outside& outside) {
  if (!message.has(8)) return ended(Kind::kOtherIp, outside);
  const unsigned type = message.octet(0);
  const std::size_t announced = message.octet(4) * 8;  // RFC 4884 4.2
  if (type == 1 || type == 3) return icmp_error(message, 0, announced, outside);
  if (type == 2) return icmp_error(message, message.long_word(4), 0, outside);
  if (type == 4) return icmp_error(message, 0, 0, outside);
  if (type == 135 || type == 136) {  // RFC 4861 4.3, 4.4
    if (!message.has(24)) return ended(Kind::kOtherIp, outside);
    Decoded decoded = ended(Kind::kArp, outside);
    decoded.neighbour = {.target = message.place(8, 16), .answer = type == 136, .version = 6};
    return decoded;
  }
  return ended(Kind::kOtherIp, outside);
}

Decoded transport(unsigned protocol, Octets payload, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  Outside outside = around.deeper();
  const bool may_extend = outside.said.ip_version == 6 || protocol == IpProtocol::kAh;
  if (may_extend) {
    const Behind behind = behind_extension_headers(protocol, payload, outside);
    if (behind.end == Behind::End::kCut) return cut_or_malformed(behind.payload, 8, outside);
    if (behind.end == Behind::End::kLaterFragment) return ended(Kind::kFragment, outside);
    protocol = behind.protocol;
    payload = behind.payload;
  }
  const bool version6 = outside.said.ip_version == 6;
  if (protocol == IpProtocol::kTcp) return tcp(payload, outside);
  if (protocol == IpProtocol::kIcmp && !version6) return icmp(payload, outside);
  if (protocol == IpProtocol::kIcmp6 && version6) return icmp6(payload, outside);
  if (protocol == IpProtocol::kIpv4) return ip_in_ip(4, payload, outside);
  if (protocol == IpProtocol::kIpv6) return ip_in_ip(6, payload, outside);
  if (protocol == IpProtocol::kGre) return gre(payload, outside);
  if (protocol == IpProtocol::kUdp) return udp(payload, outside);
  if (protocol == IpProtocol::kMpls) {
    enter_tunnel(outside.said, 0);
    return mpls(payload, outside);
  }
  return ended(Kind::kOtherIp, outside);
}

/// RFC 791 3.1.
Decoded ipv4(Octets packet, const Outside& around) {
  Outside outside = around;
  if (!packet.has(20)) return cut_or_malformed(packet, 20, outside);
  const std::size_t header = (packet.octet(0) & 0x0f) * 4;
  const std::size_t total = packet.word(2);
  const std::size_t offset = (packet.word(6) & 0x1fff) * 8;
  const bool more = (packet.word(6) & 0x2000) != 0;
  if (header < 20) return ended(Kind::kMalformed, outside);
  take_ipv4_header(packet, outside.said);

  if (total == 0) {
    // A super-frame before the card has cut it up: it is as long as the frame.
    outside.said.anomalies |= Anomaly::kIpTotalLengthZero;
  } else if (total < header) {
    return ended(Kind::kMalformed, outside);
  } else {
    packet = packet.limited_to(total);
  }
  if (!packet.has(header)) return cut_or_malformed(packet, header, outside);
  if (outside.checksums == Checksums::kVerify && ipv4_checksum_is_bad(packet.limited_to(header))) {
    outside.said.anomalies |= Anomaly::kBadIpChecksum;
  }
  const Octets payload = packet.after(header);
  if (offset != 0 || more) {
    outside.fragment = {.id = outside.said.ip_id,
                        .offset = static_cast<std::uint32_t>(offset),
                        .bytes = static_cast<std::uint32_t>(payload.on_wire()),
                        .more = more};
    if (offset != 0) return ended(Kind::kFragment, outside);
    outside.in_fragment = true;
  }
  return transport(packet.octet(9), payload, outside);
}

/// RFC 8200 3.
Decoded ipv6(Octets packet, const Outside& around) {
  Outside outside = around;
  if (!packet.has(40)) return cut_or_malformed(packet, 40, outside);
  take_ipv6_header(packet, outside.said);
  const unsigned next_header = packet.octet(6);
  Octets payload = packet.after(40);
  if (packet.word(4) != 0) {
    payload = payload.limited_to(packet.word(4));
  } else if (payload.on_wire() != 0) {
    std::optional<std::uint32_t> jumbo;
    const bool hop_by_hop = next_header == IpProtocol::kHopByHop && payload.has(8);
    if (hop_by_hop && payload.has((payload.octet(1) + 1) * 8)) {
      jumbo = jumbo_length(payload.limited_to((payload.octet(1) + 1) * 8));
    }
    if (jumbo) payload = payload.limited_to(*jumbo);
    else outside.said.anomalies |= Anomaly::kIpTotalLengthZero;
  }
  return transport(next_header, payload, outside);
}

}  // namespace

bool ipv4_checksum_is_bad(Octets header) {
  // Zero where it does not fit: left to the card.
  return ones_complement_sum(header, 0) != 0xffff && header.word(10) != 0;
}

Decoded ip(Octets packet, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  Outside outside = around.deeper();
  if (!packet.has(1)) return cut_or_malformed(packet, 1, outside);
  outside.in_fragment = false;
  outside.fragment = {};
  if (packet.nibble() == 4) return ipv4(packet, outside);
  if (packet.nibble() == 6) return ipv6(packet, outside);
  return ended(Kind::kMalformed, outside);
}

}  // namespace tcpwhy::wire::plain
