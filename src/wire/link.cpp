// The outside of a frame: link headers and tags down to the first octet of IP.

#include "wire/bytes.hpp"
#include "wire/ether_type.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kEthernetHeader = 14;
constexpr std::uint32_t kVlanTag = 4;
constexpr std::uint32_t kSllHeader = 16;   // pcap LINKTYPE_LINUX_SLL
constexpr std::uint32_t kSll2Header = 20;  // pcap LINKTYPE_LINUX_SLL2
constexpr std::uint32_t kNullHeader = 4;   // pcap LINKTYPE_NULL and LINKTYPE_LOOP: an address family

/// pcap LINKTYPE_NULL: the family is in the byte order of the host that captured;
/// its value tells nothing that the version nibble would not.
Next read_null(Walk& walk, Segment& out) {
  if (walk.captured < kNullHeader) return too_short(walk, kNullHeader, out);
  const std::uint32_t little = le32(walk.at);
  const std::uint32_t family = little <= 0xffff ? little : be32(walk.at);
  walk.skip(kNullHeader);
  // AF_INET everywhere; AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
  const bool ip = family == 2 || family == 10 || family == 23 || family == 24 || family == 28 || family == 30;
  return ip ? Next::kIp : done(out, Kind::kNotIp);
}

Next read_sll(Walk& walk, Segment& out) {
  if (walk.captured < kSllHeader) return too_short(walk, kSllHeader, out);
  walk.ether_type = be16(walk.at + 14);
  walk.skip(kSllHeader);
  return Next::kEtherType;
}

Next read_sll2(Walk& walk, Segment& out) {
  if (walk.captured < kSll2Header) return too_short(walk, kSll2Header, out);
  walk.ether_type = be16(walk.at);
  walk.skip(kSll2Header);
  return Next::kEtherType;
}

/// 802.1Q and 802.1ad, one behind the other as they come.
Next read_vlan(Walk& walk, Segment& out) {
  if (walk.captured < kVlanTag) return too_short(walk, kVlanTag, out);
  out.vlan = be16(walk.at) & 0x0fff;
  walk.ether_type = be16(walk.at + 2);
  walk.skip(kVlanTag);
  return Next::kEtherType;
}

/// RFC 826. A question asks for the target's protocol address; an answer, and an
/// announcement that asks for its own address (RFC 5227 3), tell the sender's.
Next read_arp(Walk& walk, Segment& out) {
  constexpr std::uint32_t kArpHeader = 8;
  if (walk.captured < kArpHeader) return too_short(walk, kArpHeader, out);
  const std::uint32_t hardware = walk.at[4];
  const std::uint32_t needed = kArpHeader + 2 * hardware + 8;
  const std::uint16_t operation = be16(walk.at + 6);
  const bool ours = be16(walk.at + 2) == EtherType::kIpv4 && walk.at[5] == 4 && (operation == 1 || operation == 2);
  if (!ours) return done(out, Kind::kNotIp);  // RARP and other protocols' addresses
  if (walk.captured < needed) return too_short(walk, needed, out);
  const std::uint8_t* sender = walk.at + kArpHeader + hardware;
  const std::uint8_t* target = sender + 4 + hardware;
  const bool answer = operation == 2 || std::memcmp(sender, target, 4) == 0;
  walk.neighbour = {.target = answer ? sender : target, .answer = answer, .version = 4};
  out.ip_version = 4;
  return done(out, Kind::kArp);
}

}  // namespace

Next start_link(LinkType link, Walk& walk, Segment& out) {
  switch (link) {
    case LinkType::kEthernet: return Next::kEthernet;
    case LinkType::kNull:
    case LinkType::kLoop: return read_null(walk, out);
    case LinkType::kRawBsd:
    case LinkType::kRawOpenBsd:
    case LinkType::kRaw:
    case LinkType::kIpv4:
    case LinkType::kIpv6: return Next::kIp;
    case LinkType::kLinuxSll: return read_sll(walk, out);
    case LinkType::kLinuxSll2: return read_sll2(walk, out);
    case LinkType::kPpp:
    case LinkType::kPppHdlc:
    case LinkType::kPppEther:
    case LinkType::kNflog:
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
  switch (walk.ether_type) {
    case EtherType::kIpv4:
    case EtherType::kIpv6: return Next::kIp;
    case EtherType::kVlan:
    case EtherType::kProviderVlan:
    case EtherType::kOldProviderVlan: return read_vlan(walk, out);
    case EtherType::kArp: return read_arp(walk, out);
    default: return done(out, Kind::kNotIp);  // numbers of the wire, not of ours
  }
}

}  // namespace tcpwhy::wire
