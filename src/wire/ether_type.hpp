#pragma once
// Numbers that say what follows: EtherTypes (IEEE 802) and IP protocols (IANA).

#include <cstdint>

namespace tcpwhy::wire {

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

}  // namespace tcpwhy::wire
