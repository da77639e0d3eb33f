// Tunnels in UDP. A port is only a hint, so a tunnel is recognised by its
// destination port and then has to look like itself in every bit that its
// RFC fixes; anything else is UDP and stays closed.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

/// A type field that Ethernet may carry: a length, or a number from 0x600 up.
bool ethernet_fits(const Walk& walk) {
  if (walk.captured < 14) return false;
  const std::uint16_t type = be16(walk.at + 12);
  return type <= 1500 || type >= 0x600;
}

bool ip_version_fits(const Walk& walk, std::uint8_t version) {
  return walk.captured != 0 && walk.at[0] >> 4 == version;
}

/// The first word and the last octet as RFC 7348 5 fixes them: all reserved bits
/// zero, but for a group policy (draft-smith-vxlan-group-policy) or the version,
/// OAM and next protocol of draft-ietf-nvo3-vxlan-gpe 3.
bool vxlan_fits(const std::uint8_t* vxlan) {
  constexpr std::uint8_t kVni = 0x08, kVniAndGroup = 0x88, kVniAndNext = 0x0c, kOam = 0x01;
  if (vxlan[7] != 0) return false;
  switch (vxlan[0]) {
    case kVni: return vxlan[1] == 0 && vxlan[2] == 0 && vxlan[3] == 0;
    case kVniAndGroup: return (vxlan[1] & ~0x48) == 0;
    case kVniAndNext:
    case kVniAndNext | kOam: return vxlan[1] == 0 && vxlan[2] == 0;
    default: return false;  // bits of the wire, not of ours
  }
}

Next read_vxlan(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 8;
  constexpr std::uint8_t kSaysNext = 0x04, kIpv4 = 1, kIpv6 = 2, kEthernet = 3;
  if (walk.captured < kHeader || !vxlan_fits(walk.at)) return done(out, Kind::kOtherIp);
  const std::uint32_t vni = be24(walk.at + 4);
  const std::uint8_t next = walk.at[0] & kSaysNext ? walk.at[3] : kEthernet;
  walk.skip(kHeader);
  if (next == kEthernet && ethernet_fits(walk)) {
    enter_tunnel(out, vni);
    return Next::kEthernet;
  }
  if ((next == kIpv4 && ip_version_fits(walk, 4)) || (next == kIpv6 && ip_version_fits(walk, 6))) {
    enter_tunnel(out, vni);
    return Next::kIp;
  }
  return done(out, Kind::kOtherIp);
}

/// RFC 8926 3.4: version 0, options in words of four octets, an EtherType, a VNI.
Next read_geneve(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 8;
  if (walk.captured < kHeader || walk.at[0] >> 6 != 0) return done(out, Kind::kOtherIp);
  const std::uint32_t header = kHeader + (walk.at[0] & 0x3fu) * 4u;
  if (walk.captured < header) return done(out, Kind::kOtherIp);
  walk.ether_type = be16(walk.at + 2);
  const std::uint32_t vni = be24(walk.at + 4);
  walk.skip(header);
  bool fits = false;
  if (walk.ether_type == EtherType::kBridging) fits = ethernet_fits(walk);
  if (walk.ether_type == EtherType::kIpv4) fits = ip_version_fits(walk, 4);
  if (walk.ether_type == EtherType::kIpv6) fits = ip_version_fits(walk, 6);
  if (!fits) return done(out, Kind::kOtherIp);
  enter_tunnel(out, vni);
  return Next::kEtherType;
}

/// 3GPP TS 29.281 5.1: version 1, protocol type 1, a G-PDU. The optional word is
/// there as a whole if any of E, S, PN is set; extension headers follow if E is.
Next read_gtp_u(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 8, kOptional = 4;
  constexpr std::uint8_t kVersionAndType = 0x30, kGpdu = 255, kExtension = 0x04, kAnyOptional = 0x07;
  if (walk.captured < kHeader || (walk.at[0] & 0xf0) != kVersionAndType || walk.at[1] != kGpdu) {
    return done(out, Kind::kOtherIp);
  }
  const std::uint8_t flags = walk.at[0];
  const std::uint32_t length = be16(walk.at + 2);
  walk.skip(kHeader);
  if (length > walk.length && !walk.in_fragment) return done(out, Kind::kOtherIp);
  walk.limit(length);
  if (flags & kAnyOptional) {
    if (walk.captured < kOptional) return done(out, Kind::kOtherIp);
    std::uint8_t extension = walk.at[3];
    walk.skip(kOptional);
    while (flags & kExtension && extension != 0) {
      const std::uint32_t octets =
          walk.captured == 0 ? 0 : walk.at[0] * 4u;  // 5.2.1: in words, itself included
      if (octets == 0 || octets > walk.captured) return done(out, Kind::kOtherIp);
      extension = walk.at[octets - 1];
      walk.skip(octets);
    }
  }
  if (!ip_version_fits(walk, 4) && !ip_version_fits(walk, 6)) return done(out, Kind::kOtherIp);
  enter_tunnel(out, 0);
  return Next::kIp;
}

/// RFC 8086 3.1: the GRE of RFC 2784 and 2890, without routing and of version 0.
Next read_gre_in_udp(Walk& walk, Segment& out) {
  constexpr std::uint16_t kMustBeZero = 0x4fff, kChecksum = 0x8000, kKey = 0x2000, kSequence = 0x1000;
  if (walk.captured < 4) return done(out, Kind::kOtherIp);
  const std::uint16_t flags = be16(walk.at), type = be16(walk.at + 2);
  const std::uint32_t header = 4 + (flags & kChecksum ? 4 : 0) + (flags & kKey ? 4 : 0) + (flags & kSequence ? 4 : 0);
  if (flags & kMustBeZero || walk.captured < header) return done(out, Kind::kOtherIp);
  Walk inner = walk;
  inner.skip(header);
  const bool fits = (type == EtherType::kBridging && ethernet_fits(inner)) ||
                    (type == EtherType::kIpv4 && ip_version_fits(inner, 4)) ||
                    (type == EtherType::kIpv6 && ip_version_fits(inner, 6));
  return fits ? read_gre(walk, out) : done(out, Kind::kOtherIp);
}

}  // namespace

Next read_udp(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 8;
  if (walk.captured < kHeader) return done(out, Kind::kOtherIp);
  const std::uint16_t port = be16(walk.at + 2);
  const std::uint32_t length = be16(walk.at + 4);
  if (length >= kHeader && length <= walk.length) walk.limit(length);
  walk.skip(kHeader);
  switch (port) {
    case TunnelPort::kVxlan:
    case TunnelPort::kVxlanLinux:
    case TunnelPort::kVxlanGpe: return read_vxlan(walk, out);
    case TunnelPort::kGeneve: return read_geneve(walk, out);
    case TunnelPort::kGtpU: return read_gtp_u(walk, out);
    case TunnelPort::kGre: return read_gre_in_udp(walk, out);
    default: return done(out, Kind::kOtherIp);  // numbers of the wire, not of ours
  }
}

}  // namespace tcpwhy::wire
