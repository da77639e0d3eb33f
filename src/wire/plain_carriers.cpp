// What carries IP: link layers from outside in, then tunnels. Each function
// gets the octets behind the header that announced it.

#include "wire/numbers.hpp"
#include "wire/plain.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire::plain {
namespace {

Decoded ether_type(unsigned type, Octets payload, const Outside& around);

/// IEEE 802.3 3.1.1: two addresses, and a type.
Decoded ethernet(Octets frame, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  const Outside outside = around.deeper();
  if (!frame.has(14)) return cut_or_malformed(frame, 14, outside);
  return ether_type(frame.word(12), frame.after(14), outside);
}

/// IEEE 802.2: two service access points and a control octet; with aa-aa-03,
/// RFC 1042's organisation and EtherType.
Decoded llc(Octets packet, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  const Outside outside = around.deeper();
  if (!packet.has(3)) return ended(Kind::kNotIp, outside);
  const unsigned points = packet.word(0);
  const unsigned control = packet.octet(2);
  if (points == 0x0606 && control == 3) return ip(packet.after(3), outside);
  if (points != 0xaaaa || control != 3) return ended(Kind::kNotIp, outside);
  if (!packet.has(8)) return cut_or_malformed(packet, 8, outside);
  const unsigned organisation = packet.octet(3) << 16 | packet.word(4);
  const unsigned type = packet.word(6);
  const bool ether_types = organisation == 0 || organisation == 0x0000f8;
  if (!ether_types || type <= 1500) return ended(Kind::kNotIp, outside);
  return ether_type(type, packet.after(8), outside);
}

/// RFC 1661 2: protocol, one octet if that is odd; before it perhaps ff-03.
Decoded ppp(Octets frame, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  const Outside outside = around.deeper();
  if (frame.has(2) && frame.word(0) == 0xff03) frame = frame.after(2);
  if (!frame.has(1)) return ended(Kind::kNotIp, outside);
  const bool one_octet = (frame.octet(0) & 1) != 0;
  if (!one_octet && !frame.has(2)) return ended(Kind::kNotIp, outside);
  const unsigned protocol = one_octet ? frame.octet(0) : frame.word(0);
  const Octets payload = frame.after(one_octet ? 1 : 2);
  if (protocol == 0x0021 || protocol == 0x0057) return ip(payload, outside);
  if (protocol == 0x0281 || protocol == 0x0283) return mpls(payload, outside);
  return ended(Kind::kNotIp, outside);
}

/// RFC 2516 4: version and type 1, code 0 for data, session, length.
Decoded pppoe(Octets packet, const Outside& outside) {
  if (!packet.has(6)) return cut_or_malformed(packet, 6, outside);
  if (packet.octet(0) != 0x11 || packet.octet(1) != 0) return ended(Kind::kNotIp, outside);
  return ppp(packet.after(6).limited_to(packet.word(4)), outside);
}

/// RFC 826.
Decoded arp(Octets packet, const Outside& outside) {
  if (!packet.has(8)) return cut_or_malformed(packet, 8, outside);
  const unsigned protocol = packet.word(2);
  const std::size_t hardware_octets = packet.octet(4);
  const unsigned protocol_octets = packet.octet(5);
  const unsigned operation = packet.word(6);
  const bool request = operation == 1, reply = operation == 2;
  if (protocol != EtherType::kIpv4 || protocol_octets != 4 || (!request && !reply)) {
    return ended(Kind::kNotIp, outside);
  }
  const std::size_t sender_at = 8 + hardware_octets;
  const std::size_t target_at = sender_at + 4 + hardware_octets;
  if (!packet.has(target_at + 4)) return cut_or_malformed(packet, target_at + 4, outside);
  const bool announcement = packet.long_word(sender_at) == packet.long_word(target_at);  // RFC 5227 3
  const bool answer = reply || announcement;
  Decoded decoded = ended(Kind::kArp, outside);
  decoded.segment.ip_version = 4;
  decoded.neighbour = {
      .target = packet.place(answer ? sender_at : target_at, 4), .answer = answer, .version = 4};
  return decoded;
}

/// IEEE 802.1Q 9.6: three bits of priority, one of drop eligibility, twelve of
/// identity; then the type of what follows.
Decoded vlan(Octets packet, Outside outside) {
  if (!packet.has(4)) return cut_or_malformed(packet, 4, outside);
  outside.said.vlan = static_cast<std::uint16_t>(packet.word(0) & 0x0fff);
  return ether_type(packet.word(2), packet.after(4), outside);
}

Decoded ether_type(unsigned type, Octets payload, const Outside& around) {
  if (around.depth == kMaxLayers) return ended(Kind::kMalformed, around);
  const Outside outside = around.deeper();
  if (type <= 1500) return llc(payload.limited_to(type), outside);  // a length, IEEE 802.3 3.2.6
  if (type == EtherType::kIpv4 || type == EtherType::kIpv6) return ip(payload, outside);
  if (type == EtherType::kVlan || type == EtherType::kProviderVlan || type == EtherType::kOldProviderVlan) {
    return vlan(payload, outside);
  }
  if (type == EtherType::kMpls || type == EtherType::kMplsMulticast) return mpls(payload, outside);
  if (type == EtherType::kPppoeSession) return pppoe(payload, outside);
  if (type == EtherType::kPpp) return ppp(payload, outside);
  if (type == EtherType::kBridging) return ethernet(payload, outside);
  if (type == EtherType::kArp) return arp(payload, outside);
  return ended(Kind::kNotIp, outside);
}

/// pcap LINKTYPE_NULL and LINKTYPE_LOOP: an address family in either byte order.
Decoded loopback(Octets frame, const Outside& outside) {
  if (!frame.has(4)) return cut_or_malformed(frame, 4, outside);
  const std::uint32_t big = frame.long_word(0);
  const std::uint32_t little =
      frame.octet(3) << 24 | frame.octet(2) << 16 | frame.octet(1) << 8 | frame.octet(0);
  const std::uint32_t family = little > 0xffff ? big : little;
  for (std::uint32_t known : {2u, 10u, 23u, 24u, 28u, 30u}) {
    if (family == known) return ip(frame.after(4), outside);
  }
  return ended(Kind::kNotIp, outside);
}

Decoded cooked(Octets frame, std::size_t header, std::size_t protocol_at, const Outside& outside) {
  if (!frame.has(header)) return cut_or_malformed(frame, header, outside);
  const unsigned protocol = frame.word(protocol_at);
  if (protocol == 4) return llc(frame.after(header), outside);  // Linux ETH_P_802_2
  return ether_type(protocol, frame.after(header), outside);
}

/// pcap LINKTYPE_NFLOG: family, version, resource; then attributes in the byte
/// order of the host, padded to four octets. Number 9 is the packet.
Decoded nflog(Octets frame, const Outside& outside) {
  if (!frame.has(4)) return cut_or_malformed(frame, 4, outside);
  if (frame.octet(1) != 0) return ended(Kind::kNotIp, outside);
  Octets rest = frame.after(4);
  for (;;) {
    if (!rest.has(4)) return cut_or_malformed(rest, 4, outside);
    const bool little = rest.octet(3) == 0;
    const std::size_t length = little ? rest.octet(1) << 8 | rest.octet(0) : rest.word(0);
    const unsigned type = little ? rest.octet(2) : rest.word(2);
    if (length < 4) return ended(Kind::kMalformed, outside);
    if (type == 9) return ip(rest.after(4).limited_to(length - 4), outside);
    const std::size_t padded = (length + 3) / 4 * 4;
    if (!rest.has(padded)) return cut_or_malformed(rest, padded, outside);
    rest = rest.after(padded);
  }
}

/// pcap LINKTYPE_PPP and LINKTYPE_PPP_HDLC: Cisco's addresses 0f and 8f, or PPP.
Decoded hdlc(Octets frame, const Outside& outside) {
  if (!frame.has(1)) return cut_or_malformed(frame, 1, outside);
  if (frame.octet(0) != 0x0f && frame.octet(0) != 0x8f) return ppp(frame, outside);
  if (!frame.has(4)) return cut_or_malformed(frame, 4, outside);
  return ether_type(frame.word(2), frame.after(4), outside);
}

/// IEEE 802.11 9.3.2.1, data frames whose payload can be read.
Decoded wifi(Octets frame, const Outside& outside) {
  if (!frame.has(24)) return cut_or_malformed(frame, 24, outside);
  const unsigned type = frame.octet(0) & 0x0f;
  const bool null_data = (frame.octet(0) & 0x40) != 0, qos = (frame.octet(0) & 0x80) != 0;
  const bool four_addresses = (frame.octet(1) & 3) == 3, encrypted = (frame.octet(1) & 0x40) != 0;
  const bool ht = qos && (frame.octet(1) & 0x80) != 0;
  const unsigned fragment = frame.octet(22) & 0x0f;
  if (type != 8 || null_data || encrypted || fragment != 0) return ended(Kind::kNotIp, outside);
  const std::size_t fixed = four_addresses ? 30 : 24;
  const std::size_t header = fixed + (qos ? 2 : 0) + (ht ? 4 : 0);
  if (!frame.has(header)) return cut_or_malformed(frame, header, outside);
  if (qos && (frame.octet(fixed) & 0x80) != 0) return ended(Kind::kNotIp, outside);  // A-MSDU
  return llc(frame.after(header), outside);
}

/// Radiotap and PPI: a version, which is 0, and in octets 2 and 3 the length, little endian. PPI's octets 4 to 7
/// are the link type of the rest.
Decoded host_header(bool says_link, Octets frame, const Outside& outside) {
  if (!frame.has(8)) return cut_or_malformed(frame, 8, outside);
  const std::size_t length = frame.octet(3) << 8 | frame.octet(2);
  if (frame.octet(0) != 0 || length < 8) return ended(Kind::kNotIp, outside);
  if (!frame.has(length)) return cut_or_malformed(frame, length, outside);
  if (!says_link) return wifi(frame.after(length), outside);
  const std::uint32_t type = frame.octet(7) << 24 | frame.octet(6) << 16 | frame.octet(5) << 8 | frame.octet(4);
  if (type > 0xfffe || static_cast<LinkType>(type) == AirLink::kPpi) return ended(Kind::kNotIp, outside);
  return link(static_cast<LinkType>(type), frame.after(length), outside);
}

bool looks_like_ip(Octets packet) {
  if (packet.has(20) && packet.nibble() == 4) {
    const std::size_t header = (packet.octet(0) & 0x0f) * 4;
    const std::size_t total = packet.word(2);
    const bool lengths =
        header >= 20 && packet.has(header) && (total == 0 || (total >= header && total <= packet.on_wire()));
    return lengths && !ipv4_checksum_is_bad(packet.limited_to(header));
  }
  return packet.has(40) && packet.nibble() == 6 && 40 + packet.word(4) <= packet.on_wire();
}

bool looks_like_ethernet(Octets packet, std::size_t at) {
  if (!packet.has(at + 15)) return false;
  const unsigned type = packet.word(at + 12);
  const unsigned version = packet.octet(at + 14) >> 4;
  if (type == EtherType::kIpv4) return version == 4;
  if (type == EtherType::kIpv6) return version == 6;
  return type == EtherType::kArp || type == EtherType::kVlan || type == EtherType::kProviderVlan ||
         type == EtherType::kMpls || type == EtherType::kPppoeSession;
}

/// The tunnel that begins behind the IP header in `outside`.
Outside in_tunnel(Outside outside, std::uint32_t id) {
  enter_tunnel(outside.said, id);
  return outside;
}

/// draft-foschiano-erspan 4.1 to 4.3. A mirror is no tunnel.
Decoded erspan(unsigned type, bool has_sequence, Octets packet, Outside outside) {
  outside.said.tunnel = 0;
  if (type == EtherType::kErspan && !has_sequence) return ethernet(packet, outside);  // type I
  const std::size_t fixed = type == EtherType::kErspan ? 8 : 12;
  const unsigned version = type == EtherType::kErspan ? 1 : 2;
  if (!packet.has(fixed)) return cut_or_malformed(packet, fixed, outside);
  if (packet.nibble() != version) return ended(Kind::kOtherIp, outside);
  if (version == 1) return ethernet(packet.after(fixed), outside);
  const unsigned frame_type = packet.octet(10) >> 2 & 0x1f;
  const bool platform_header = (packet.octet(11) & 1) != 0;
  const std::size_t header = fixed + (platform_header ? 8 : 0);
  if (!packet.has(header)) return cut_or_malformed(packet, header, outside);
  if (frame_type == 0) return ethernet(packet.after(header), outside);
  if (frame_type == 2) return ip(packet.after(header), outside);
  return ended(Kind::kOtherIp, outside);
}

/// RFC 2637 4.1, GRE as PPTP has it.
Decoded enhanced_gre(Octets packet, const Outside& outside) {
  const bool key = (packet.octet(0) & 0x20) != 0;
  const bool sequence = (packet.octet(0) & 0x10) != 0;
  const bool acknowledgment = (packet.octet(1) & 0x80) != 0;
  if (!key || packet.word(2) != EtherType::kPpp) return ended(Kind::kOtherIp, outside);
  const std::size_t header = 8 + (sequence ? 4 : 0) + (acknowledgment ? 4 : 0);
  if (!packet.has(header)) return cut_or_malformed(packet, header, outside);
  const std::size_t payload = packet.word(4);
  if (!sequence || payload == 0) return ended(Kind::kOtherIp, outside);
  return ppp(packet.after(header).limited_to(payload), in_tunnel(outside, 0));
}

bool ip_of_version(Octets packet, unsigned version) { return packet.has(1) && packet.nibble() == version; }

bool any_ethernet(Octets frame) {
  return frame.has(14) && (frame.word(12) <= 1500 || frame.word(12) >= 0x600);
}

/// RFC 7348 5: flags, reserved, VNI, reserved.
Decoded vxlan(Octets packet, const Outside& outside) {
  if (!packet.has(8)) return ended(Kind::kOtherIp, outside);
  const unsigned flags = packet.octet(0);
  const bool plain = flags == 0x08 && packet.word(1) == 0 && packet.octet(3) == 0;
  const bool group_policy = flags == 0x88 && (packet.octet(1) & ~0x48u) == 0;
  const bool generic = (flags == 0x0c || flags == 0x0d) && packet.word(1) == 0;
  if ((!plain && !group_policy && !generic) || packet.octet(7) != 0) return ended(Kind::kOtherIp, outside);
  const std::uint32_t vni = packet.long_word(4) >> 8;
  const unsigned next = generic ? packet.octet(3) : 3;
  const Octets payload = packet.after(8);
  if (next == 1 && ip_of_version(payload, 4)) return ip(payload, in_tunnel(outside, vni));
  if (next == 2 && ip_of_version(payload, 6)) return ip(payload, in_tunnel(outside, vni));
  if (next == 3 && any_ethernet(payload)) return ethernet(payload, in_tunnel(outside, vni));
  return ended(Kind::kOtherIp, outside);
}

/// RFC 8926 3.4: version and option length, flags, type, VNI, reserved.
Decoded geneve(Octets packet, const Outside& outside) {
  if (!packet.has(8)) return ended(Kind::kOtherIp, outside);
  const unsigned version = packet.octet(0) >> 6;
  const std::size_t header = 8 + (packet.octet(0) & 0x3f) * 4;
  if (version != 0 || !packet.has(header)) return ended(Kind::kOtherIp, outside);
  const unsigned type = packet.word(2);
  const std::uint32_t vni = packet.long_word(4) >> 8;
  const Octets payload = packet.after(header);
  const bool fits = (type == EtherType::kBridging && any_ethernet(payload)) ||
                    (type == EtherType::kIpv4 && ip_of_version(payload, 4)) ||
                    (type == EtherType::kIpv6 && ip_of_version(payload, 6));
  if (!fits) return ended(Kind::kOtherIp, outside);
  return ether_type(type, payload, in_tunnel(outside, vni));
}

/// 3GPP TS 29.281 5.1 and 5.2.
Decoded gtp_u(Octets packet, const Outside& outside) {
  if (!packet.has(8) || packet.octet(0) >> 4 != 3 || packet.octet(1) != 255)
    return ended(Kind::kOtherIp, outside);
  const bool extension = (packet.octet(0) & 4) != 0;
  const bool optional_word = (packet.octet(0) & 7) != 0;
  const std::size_t length = packet.word(2);
  Octets rest = packet.after(8);
  if (length > rest.on_wire() && !outside.in_fragment) return ended(Kind::kOtherIp, outside);
  rest = rest.limited_to(length);
  if (optional_word) {
    if (!rest.has(4)) return ended(Kind::kOtherIp, outside);
    unsigned next = extension ? rest.octet(3) : 0;
    rest = rest.after(4);
    while (next != 0) {
      if (!rest.has(1)) return ended(Kind::kOtherIp, outside);
      const std::size_t octets = rest.octet(0) * 4;
      if (octets == 0 || !rest.has(octets)) return ended(Kind::kOtherIp, outside);
      next = rest.octet(octets - 1);
      rest = rest.after(octets);
    }
  }
  if (!ip_of_version(rest, 4) && !ip_of_version(rest, 6)) return ended(Kind::kOtherIp, outside);
  return ip(rest, in_tunnel(outside, 0));
}

}  // namespace

Decoded link(LinkType link, Octets frame, const Outside& outside) {
  if (link == AirLink::kIeee80211) return wifi(frame, outside);
  if (link == AirLink::kRadiotap) return host_header(false, frame, outside);
  if (link == AirLink::kPpi) return host_header(true, frame, outside);
  switch (link) {
    case LinkType::kEthernet: return ethernet(frame, outside);
    case LinkType::kNull:
    case LinkType::kLoop: return loopback(frame, outside);
    case LinkType::kRawBsd:
    case LinkType::kRawOpenBsd:
    case LinkType::kRaw:
    case LinkType::kIpv4:
    case LinkType::kIpv6: return ip(frame, outside);
    case LinkType::kLinuxSll: return cooked(frame, 16, 14, outside);
    case LinkType::kLinuxSll2: return cooked(frame, 20, 0, outside);
    case LinkType::kPpp:
    case LinkType::kCiscoHdlc:
    case LinkType::kPppHdlc: return hdlc(frame, outside);
    case LinkType::kPppEther: return pppoe(frame, outside);
    case LinkType::kNflog: return nflog(frame, outside);
    case LinkType::kUnknown: break;
  }
  return ended(Kind::kNotIp, outside);
}

/// RFC 2003, RFC 4213, RFC 2473.
Decoded ip_in_ip(unsigned version, Octets packet, const Outside& outside) {
  if (!packet.has(1)) return cut_or_malformed(packet, 1, outside);
  if (packet.nibble() != version) return ended(Kind::kMalformed, outside);
  return ip(packet, in_tunnel(outside, 0));
}

/// RFC 3032 2.1: label, experimental, bottom of stack, time to live.
Decoded mpls(Octets packet, const Outside& outside) {
  for (bool bottom = false; !bottom;) {
    if (!packet.has(4)) return cut_or_malformed(packet, 4, outside);
    bottom = (packet.octet(2) & 1) != 0;
    packet = packet.after(4);
  }
  if (!packet.has(1)) return ended(Kind::kNotIp, outside);
  if (looks_like_ip(packet)) return ip(packet, outside);
  const bool control_word = packet.nibble() == 0;  // RFC 4385 3
  if (control_word && looks_like_ethernet(packet, 4)) return ethernet(packet.after(4), outside);
  if (looks_like_ethernet(packet, 0)) return ethernet(packet, outside);
  if (packet.nibble() == 4 || packet.nibble() == 6) return ip(packet, outside);
  return ended(Kind::kNotIp, outside);
}

/// RFC 2784 2, RFC 2890 2, RFC 1701.
Decoded gre(Octets packet, const Outside& outside) {
  if (!packet.has(4)) return cut_or_malformed(packet, 4, outside);
  const unsigned version = packet.octet(1) & 7;
  if (version == 1) return enhanced_gre(packet, outside);
  if (version != 0) return ended(Kind::kOtherIp, outside);
  const bool checksum = (packet.octet(0) & 0x80) != 0;
  const bool routing = (packet.octet(0) & 0x40) != 0;
  const bool has_key = (packet.octet(0) & 0x20) != 0;
  const bool has_sequence = (packet.octet(0) & 0x10) != 0;
  const unsigned type = packet.word(2);
  const std::size_t key_at = checksum || routing ? 8 : 4;
  const std::size_t header = key_at + (has_key ? 4 : 0) + (has_sequence ? 4 : 0);
  if (!packet.has(header)) return cut_or_malformed(packet, header, outside);
  const std::uint32_t key = has_key ? packet.long_word(key_at) : 0;
  Octets rest = packet.after(header);
  for (bool more = routing; more;) {
    if (!rest.has(4) || !rest.has(4 + rest.octet(3))) return ended(Kind::kMalformed, outside);
    more = rest.word(0) != 0 || rest.octet(3) != 0;
    rest = rest.after(4 + rest.octet(3));
  }
  if (type == EtherType::kErspan || type == EtherType::kErspan3)
    return erspan(type, has_sequence, rest, outside);
  if (type == EtherType::kBridging) return ethernet(rest, in_tunnel(outside, 0));  // the key may be a direction's
  if (type == EtherType::kWccp) {
    const bool redirect_header = rest.has(4) && rest.nibble() != 4;
    return ip(redirect_header ? rest.after(4) : rest, in_tunnel(outside, 0));
  }
  const bool carried = type == EtherType::kIpv4 || type == EtherType::kIpv6 || type == EtherType::kMpls ||
                       type == EtherType::kMplsMulticast || type == EtherType::kVlan ||
                       type == EtherType::kPpp;
  return carried ? ether_type(type, rest, in_tunnel(outside, key)) : ended(Kind::kOtherIp, outside);
}

/// RFC 8086 3.1: GRE as RFC 2784 and 2890 have it, no routing, no other version.
Decoded gre_in_udp(Octets packet, const Outside& outside) {
  if (!packet.has(4) || (packet.word(0) & 0x4fff) != 0) return ended(Kind::kOtherIp, outside);
  const unsigned type = packet.word(2);
  const bool checksum = (packet.octet(0) & 0x80) != 0, key = (packet.octet(0) & 0x20) != 0, sequence = (packet.octet(0) & 0x10) != 0;
  const std::size_t header = 4 + (checksum ? 4 : 0) + (key ? 4 : 0) + (sequence ? 4 : 0);
  if (!packet.has(header)) return ended(Kind::kOtherIp, outside);
  const Octets payload = packet.after(header);
  const bool fits = (type == EtherType::kBridging && any_ethernet(payload)) ||
                    (type == EtherType::kIpv4 && ip_of_version(payload, 4)) ||
                    (type == EtherType::kIpv6 && ip_of_version(payload, 6));
  return fits ? gre(packet, outside) : ended(Kind::kOtherIp, outside);
}

/// RFC 768; the port is a hint, the tunnel's header has to agree.
Decoded udp(Octets datagram, const Outside& outside) {
  if (!datagram.has(8)) return ended(Kind::kOtherIp, outside);
  const unsigned port = datagram.word(2);
  const std::size_t length = datagram.word(4);
  if (length >= 8 && length <= datagram.on_wire()) datagram = datagram.limited_to(length);
  const Octets payload = datagram.after(8);
  if (port == TunnelPort::kVxlan || port == TunnelPort::kVxlanLinux || port == TunnelPort::kVxlanGpe) {
    return vxlan(payload, outside);
  }
  if (port == TunnelPort::kGeneve) return geneve(payload, outside);
  if (port == TunnelPort::kGtpU) return gtp_u(payload, outside);
  if (port == TunnelPort::kGre) return gre_in_udp(payload, outside);
  return ended(Kind::kOtherIp, outside);
}

}  // namespace tcpwhy::wire::plain
