// The outside of a frame: link headers and tags down to the first octet of IP.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kEthernetHeader = 14;
constexpr std::uint32_t kVlanTag = 4;
constexpr std::uint32_t kSllHeader = 16;   // pcap LINKTYPE_LINUX_SLL
constexpr std::uint32_t kSll2Header = 20;  // pcap LINKTYPE_LINUX_SLL2
constexpr std::uint32_t kNullHeader = 4;   // pcap LINKTYPE_NULL and LINKTYPE_LOOP: an address family
constexpr std::uint32_t kLlcHeader = 3;
constexpr std::uint32_t kSnapHeader = 8;
/// IEEE 802.3 3.2.6: up to here the type field is a length.
constexpr std::uint16_t kLargestLength = 1500;
/// Linux include/uapi/linux/if_ether.h ETH_P_802_2: how cooked captures announce LLC.
constexpr std::uint16_t kSllLlc = 4;

/// pcap LINKTYPE_NULL: the family is in the byte order of the host that captured.
Next read_null(Walk& walk, Segment& out) {
  if (walk.captured < kNullHeader) return too_short(walk, kNullHeader, out);
  const std::uint32_t little = le32(walk.at);
  const std::uint32_t family = little <= 0xffff ? little : be32(walk.at);
  walk.skip(kNullHeader);
  // AF_INET everywhere; AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
  const bool ip = family == 2 || family == 10 || family == 23 || family == 24 || family == 28 || family == 30;
  return ip ? Next::kIp : done(out, Kind::kNotIp);
}

Next read_sll(Walk& walk, std::uint32_t header, std::uint32_t protocol_at, Segment& out) {
  if (walk.captured < header) return too_short(walk, header, out);
  walk.ether_type = be16(walk.at + protocol_at);
  walk.skip(header);
  return walk.ether_type == kSllLlc ? Next::kLlc : Next::kEtherType;
}

/// pcap LINKTYPE_NFLOG: a four-octet header, then attributes of type and length in the
/// byte order of the host that captured; one of them is the packet.
Next read_nflog(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 4;
  constexpr std::uint32_t kAttribute = 4;
  constexpr std::uint32_t kPayload = 9;  // Linux include/uapi/linux/netfilter/nfnetlink_log.h NFULA_PAYLOAD
  if (walk.captured < kHeader) return too_short(walk, kHeader, out);
  if (walk.at[1] != 0) return done(out, Kind::kNotIp);  // a version nobody has defined
  walk.skip(kHeader);
  for (;;) {
    if (walk.captured < kAttribute) return too_short(walk, kAttribute, out);
    // Attribute types are small: the octet that is zero tells the byte order.
    const bool little = walk.at[3] == 0;
    const std::uint32_t length = little ? le16(walk.at) : be16(walk.at);
    const std::uint32_t type = little ? le16(walk.at + 2) : be16(walk.at + 2);
    if (length < kAttribute) return done(out, Kind::kMalformed);
    if (type == kPayload) {
      walk.skip(kAttribute);
      walk.limit(length - kAttribute);
      return Next::kIp;
    }
    const std::uint32_t padded = (length + 3) & ~3u;
    if (walk.captured < padded) return too_short(walk, padded, out);
    walk.skip(padded);
  }
}

/// 802.1Q and 802.1ad, one behind the other as they come.
Next read_vlan(Walk& walk, Segment& out) {
  if (walk.captured < kVlanTag) return too_short(walk, kVlanTag, out);
  out.vlan = be16(walk.at) & 0x0fff;
  walk.ether_type = be16(walk.at + 2);
  walk.skip(kVlanTag);
  return Next::kEtherType;
}

}  // namespace

Next start_link(LinkType link, Walk& walk, Segment& out) {
  if (link == AirLink::kIeee80211) return read_ieee80211(walk, out);
  if (link == AirLink::kRadiotap) return read_radiotap(walk, out);
  if (link == AirLink::kPpi) return read_ppi(walk, out);
  switch (link) {
    case LinkType::kEthernet: return Next::kEthernet;
    case LinkType::kNull:
    case LinkType::kLoop: return read_null(walk, out);
    case LinkType::kRawBsd:
    case LinkType::kRawOpenBsd:
    case LinkType::kRaw:
    case LinkType::kIpv4:
    case LinkType::kIpv6: return Next::kIp;
    case LinkType::kLinuxSll: return read_sll(walk, kSllHeader, 14, out);
    case LinkType::kLinuxSll2: return read_sll(walk, kSll2Header, 0, out);
    case LinkType::kPpp:  // Cisco HDLC is found under both
    case LinkType::kCiscoHdlc:
    case LinkType::kPppHdlc: return read_hdlc(walk, out);
    case LinkType::kPppEther: return read_pppoe(walk, out);
    case LinkType::kNflog: return read_nflog(walk, out);
    case LinkType::kUnknown: return done(out, Kind::kNotIp);
  }
  return done(out, Kind::kNotIp);
}

Next read_ethernet(Walk& walk, Segment& out) {
  if (walk.captured < kEthernetHeader) return too_short(walk, kEthernetHeader, out);
  walk.ether_type = be16(walk.at + 12);
  walk.skip(kEthernetHeader);
  return Next::kEtherType;
}

Next read_ether_type(Walk& walk, Segment& out) {
  if (walk.ether_type <= kLargestLength) {
    walk.limit(walk.ether_type);
    return Next::kLlc;
  }
  switch (walk.ether_type) {
    case EtherType::kIpv4:
    case EtherType::kIpv6: return Next::kIp;
    case EtherType::kVlan:
    case EtherType::kProviderVlan:
    case EtherType::kOldProviderVlan: return read_vlan(walk, out);
    case EtherType::kMpls:
    case EtherType::kMplsMulticast: return read_mpls(walk, out);
    case EtherType::kPppoeSession: return read_pppoe(walk, out);
    case EtherType::kPpp: return Next::kPpp;
    case EtherType::kBridging: return Next::kEthernet;
    case EtherType::kArp: return read_arp(walk, out);
    default: return done(out, Kind::kNotIp);  // numbers of the wire, not of ours
  }
}

/// IEEE 802.2, and RFC 1042's way of carrying EtherTypes in it.
Next read_llc(Walk& walk, Segment& out) {
  if (walk.captured < kLlcHeader) return done(out, Kind::kNotIp);
  const std::uint8_t* llc = walk.at;
  if (llc[0] == 0x06 && llc[1] == 0x06 && llc[2] == 0x03) {
    walk.skip(kLlcHeader);
    return Next::kIp;
  }
  if (llc[0] != 0xaa || llc[1] != 0xaa || llc[2] != 0x03) return done(out, Kind::kNotIp);
  if (walk.captured < kSnapHeader) return too_short(walk, kSnapHeader, out);
  const std::uint32_t organisation = be24(llc + 3);
  // 00-00-F8: IEEE 802.1H bridge tunnel, the same meaning.
  if (organisation != 0 && organisation != 0x0000f8) return done(out, Kind::kNotIp);
  walk.ether_type = be16(llc + 6);
  if (walk.ether_type <= kLargestLength) return done(out, Kind::kNotIp);
  walk.skip(kSnapHeader);
  return Next::kEtherType;
}

}  // namespace tcpwhy::wire
