// Tunnels directly over IP, and MPLS: what they carry, and an identity for the
// path they make, so that equal addresses inside two tunnels stay apart.
//
// The identity must be the same for both directions. The outer addresses count
// as an unordered pair; VNIs and the GRE keys of carried packets name a network and
// count; the GRE keys of carried Ethernet, GTP TEIDs, PPTP call ids and MPLS labels are chosen by each receiver and
// do not. A mirror (ERSPAN) is no path at all: the copied frame is treated as if
// it had been captured where it was copied.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= kMix;
  return x ^ x >> 29;
}

std::uint64_t address_hash(const std::uint8_t* address, std::uint8_t version) {
  if (version == 4) return mix(be32(address) + kMix);
  std::uint64_t hash = kMix;
  for (int i = 0; i < 16; i += 4) hash = mix(hash + be32(address + i));
  return hash;
}

/// An IPv4 or IPv6 header that fits what is left of the packet. Where a guess
/// has to be made, this is what makes it a safe one.
bool ip_fits(const Walk& walk) {
  const std::uint8_t* ip = walk.at;
  if (walk.captured >= 20 && ip[0] >> 4 == 4) {
    const std::uint32_t header = (ip[0] & 0x0fu) * 4u;
    const std::uint32_t total = be16(ip + 2);
    return header >= 20 && walk.captured >= header &&
           (total == 0 || (total >= header && total <= walk.length)) && !ip_checksum_is_bad(ip, header);
  }
  return walk.captured >= 40 && ip[0] >> 4 == 6 && be16(ip + 4) + 40u <= walk.length;
}

/// An Ethernet header `offset` octets ahead that announces something we read
/// and, if that is IP, tells the truth about its version.
bool ethernet_fits(const Walk& walk, std::uint32_t offset) {
  if (walk.captured < offset + 15) return false;
  const std::uint8_t* ethernet = walk.at + offset;
  switch (be16(ethernet + 12)) {
    case EtherType::kIpv4: return ethernet[14] >> 4 == 4;
    case EtherType::kIpv6: return ethernet[14] >> 4 == 6;
    case EtherType::kArp:
    case EtherType::kVlan:
    case EtherType::kProviderVlan:
    case EtherType::kMpls:
    case EtherType::kPppoeSession: return true;
    default: return false;
  }
}

/// Cisco's mirror. Type I has no header of its own, and no sequence number in
/// GRE to announce one; II has eight octets, III twelve and perhaps eight more.
/// draft-foschiano-erspan 4.
Next read_erspan(Walk& walk, bool sequence, Segment& out) {
  out.tunnel = 0;
  if (walk.ether_type == EtherType::kErspan) {
    constexpr std::uint32_t kType2 = 8;
    if (!sequence) return Next::kEthernet;
    if (walk.captured < kType2) return too_short(walk, kType2, out);
    if (walk.at[0] >> 4 != 1) return done(out, Kind::kOtherIp);
    walk.skip(kType2);
    return Next::kEthernet;
  }
  constexpr std::uint32_t kType3 = 12, kPlatform = 8;
  if (walk.captured < kType3) return too_short(walk, kType3, out);
  if (walk.at[0] >> 4 != 2) return done(out, Kind::kOtherIp);
  const std::uint8_t frame_type = walk.at[10] >> 2 & 0x1f;
  const std::uint32_t header = kType3 + (walk.at[11] & 1 ? kPlatform : 0);
  if (walk.captured < header) return too_short(walk, header, out);
  walk.skip(header);
  if (frame_type == 0) return Next::kEthernet;
  return frame_type == 2 ? Next::kIp : done(out, Kind::kOtherIp);
}

/// RFC 2637 4.1, PPTP: the key is a length and a call id of the receiver.
Next read_enhanced_gre(Walk& walk, std::uint16_t flags, Segment& out) {
  const std::uint32_t header = 8 + (flags & 0x1000 ? 4 : 0) + (flags & 0x0080 ? 4 : 0);
  if (!(flags & 0x2000) || walk.ether_type != EtherType::kPpp) return done(out, Kind::kOtherIp);
  if (walk.captured < header) return too_short(walk, header, out);
  const std::uint32_t payload = be16(walk.at + 4);
  walk.skip(header);
  walk.limit(payload);
  if (!(flags & 0x1000) || payload == 0) return done(out, Kind::kOtherIp);  // an acknowledgment only
  enter_tunnel(out, 0);
  return Next::kPpp;
}

/// RFC 1701's source routes: entries of family, offset, length, until one of
/// family and length 0. False when they run off the end.
bool pass_source_routes(Walk& walk) {
  constexpr std::uint32_t kEntry = 4;
  for (;;) {
    if (walk.captured < kEntry) return false;
    const std::uint32_t entry = kEntry + walk.at[3];
    const bool last = be16(walk.at) == 0 && walk.at[3] == 0;
    if (walk.captured < entry) return false;
    walk.skip(entry);
    if (last) return true;
  }
}

}  // namespace

void enter_tunnel(Segment& out, std::uint32_t id) {
  const std::uint64_t pair =
      address_hash(out.source, out.ip_version) + address_hash(out.destination, out.ip_version);
  const std::uint64_t hash = mix(mix(pair + id) + out.tunnel);
  out.tunnel = static_cast<std::uint32_t>(hash);
  if (out.tunnel == 0) out.tunnel = 1;
}

/// RFC 2003, 4213, 2473: IP carries IP.
Next read_ip_in_ip(Walk& walk, Segment& out) {
  const std::uint8_t version = walk.protocol == IpProtocol::kIpv4 ? 4 : 6;
  if (walk.captured == 0) return too_short(walk, 1, out);
  if (walk.at[0] >> 4 != version) return done(out, Kind::kMalformed);
  enter_tunnel(out, 0);
  return Next::kIp;
}

/// RFC 3032: labels until the bottom of the stack. What is below is not said.
/// IP whose header fits is IP; Ethernet is believed in behind the control word
/// of a pseudo-wire (RFC 4385 3) or without one, when its type fits.
Next read_mpls(Walk& walk, Segment& out) {
  constexpr std::uint32_t kLabel = 4, kControlWord = 4;
  bool bottom = false;
  while (!bottom) {
    if (walk.captured < kLabel) return too_short(walk, kLabel, out);
    bottom = walk.at[2] & 1;
    walk.skip(kLabel);
  }
  if (walk.captured == 0) return done(out, Kind::kNotIp);
  if (ip_fits(walk)) return Next::kIp;
  if (walk.at[0] >> 4 == 0 && ethernet_fits(walk, kControlWord)) {
    walk.skip(kControlWord);
    return Next::kEthernet;
  }
  if (ethernet_fits(walk, 0)) return Next::kEthernet;
  const std::uint8_t version = walk.at[0] >> 4;
  return version == 4 || version == 6 ? Next::kIp : done(out, Kind::kNotIp);
}

/// RFC 2784 and 2890, with RFC 1701's routing, which some still send.
Next read_gre(Walk& walk, Segment& out) {
  constexpr std::uint16_t kChecksum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSequence = 0x1000;
  constexpr std::uint32_t kHeader = 4;
  if (walk.captured < kHeader) return too_short(walk, kHeader, out);
  const std::uint16_t flags = be16(walk.at);
  walk.ether_type = be16(walk.at + 2);
  const int version = flags & 7;
  if (version == 1) return read_enhanced_gre(walk, flags, out);
  if (version != 0) return done(out, Kind::kOtherIp);

  std::uint32_t header = kHeader + (flags & (kChecksum | kRouting) ? 4 : 0);
  const std::uint32_t key_at = header;
  header += (flags & kKey ? 4 : 0) + (flags & kSequence ? 4 : 0);
  if (walk.captured < header) return too_short(walk, header, out);
  const std::uint32_t key = flags & kKey ? be32(walk.at + key_at) : 0;
  walk.skip(header);
  if (flags & kRouting && !pass_source_routes(walk)) return done(out, Kind::kMalformed);

  switch (walk.ether_type) {
    case EtherType::kErspan:
    case EtherType::kErspan3: return read_erspan(walk, flags & kSequence, out);
    case EtherType::kBridging:
      // Mirrors of virtual switches give each direction a key of its own; equal ports and addresses in two NVGRE
      // segments (RFC 7637) between the same hosts at the same time are much the rarer thing.
      enter_tunnel(out, 0);
      return Next::kEthernet;
    case EtherType::kWccp:
      // WCCP version 2 puts four octets before the redirected packet, version 1 none.
      enter_tunnel(out, 0);
      if (walk.captured >= 4 && walk.at[0] >> 4 != 4) walk.skip(4);
      return Next::kIp;
    case EtherType::kIpv4:
    case EtherType::kIpv6:
    case EtherType::kMpls:
    case EtherType::kMplsMulticast:
    case EtherType::kVlan:
    case EtherType::kPpp: enter_tunnel(out, key); return Next::kEtherType;
    default: return done(out, Kind::kOtherIp);  // keepalives, routing protocols
  }
}

}  // namespace tcpwhy::wire
