#pragma once
// Numbers that say what follows: EtherTypes (IEEE 802), IP protocols and UDP
// ports (IANA). Both decoders read by them.

#include <cstdint>

#include "tcpwhy/frame.hpp"

namespace tcpwhy::wire {

/// Captures on the air, by their LINKTYPE_ values: nobody but the decoders knows them apart.
struct AirLink {
  static constexpr LinkType kIeee80211 = static_cast<LinkType>(105), kRadiotap = static_cast<LinkType>(127),
                            kPpi = static_cast<LinkType>(192);
};

struct EtherType {
  static constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kErspan3 = 0x22eb, kBridging = 0x6558,
                                 kVlan = 0x8100, kIpv6 = 0x86dd, kPpp = 0x880b, kWccp = 0x883e,
                                 kMpls = 0x8847, kMplsMulticast = 0x8848, kPppoeSession = 0x8864,
                                 kProviderVlan = 0x88a8, kErspan = 0x88be, kOldProviderVlan = 0x9100;
};

struct IpProtocol {
  static constexpr std::uint8_t kHopByHop = 0, kIcmp = 1, kIpv4 = 4, kTcp = 6, kUdp = 17, kIpv6 = 41,
                                kRouting = 43, kFragment = 44, kGre = 47, kAh = 51, kIcmp6 = 58,
                                kDestination = 60, kMpls = 137, kMobility = 135, kHip = 139, kShim6 = 140;
};

/// Destination ports behind which a tunnel may be.
struct TunnelPort {
  static constexpr std::uint16_t kGtpU = 2152,  // 3GPP TS 29.281 4.4.2.3
      kGre = 4754,                              // RFC 8086 9
      kVxlan = 4789,                            // RFC 7348 8
      kVxlanGpe = 4790,                         // draft-ietf-nvo3-vxlan-gpe 8.1
      kGeneve = 6081,                           // RFC 8926 10
      kVxlanLinux = 8472;                       // Linux drivers/net/vxlan vxlan_port: older than the RFC
};

/// Layers that are looked into: deeper than any real stack of tunnels, a bound
/// on time for invented ones.
inline constexpr int kMaxLayers = 48;

}  // namespace tcpwhy::wire
