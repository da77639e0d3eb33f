// PPP: on serial lines (RFC 1661, 1662), Cisco's HDLC beside it, and over
// Ethernet (RFC 2516).

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {

/// RFC 1661 2 and 6: address and control may be left out, and so may the zero
/// octet of a protocol number below 256. The last octet of a number is odd, the
/// others are even, so one can tell.
Next read_ppp(Walk& walk, Segment& out) {
  constexpr std::uint16_t kIpv4 = 0x0021, kIpv6 = 0x0057, kMpls = 0x0281, kMplsMulticast = 0x0283;
  if (walk.captured >= 2 && walk.at[0] == 0xff && walk.at[1] == 0x03) walk.skip(2);
  if (walk.captured == 0) return done(out, Kind::kNotIp);
  std::uint16_t protocol = walk.at[0];
  if (protocol & 1) {
    walk.skip(1);
  } else {
    if (walk.captured < 2) return done(out, Kind::kNotIp);
    protocol = be16(walk.at);
    walk.skip(2);
  }
  switch (protocol) {
    case kIpv4:
    case kIpv6: return Next::kIp;
    case kMpls:
    case kMplsMulticast: return read_mpls(walk, out);
    default: return done(out, Kind::kNotIp);  // LCP, compressed and encrypted datagrams, …
  }
}

/// pcap LINKTYPE_PPP, LINKTYPE_PPP_HDLC: PPP with address and control, or Cisco HDLC, whose
/// address octet is 0x0f or 0x8f and whose protocol is an EtherType.
Next read_hdlc(Walk& walk, Segment& out) {
  constexpr std::uint32_t kCiscoHeader = 4;
  if (walk.captured == 0) return too_short(walk, 1, out);
  if (walk.at[0] != 0x0f && walk.at[0] != 0x8f) return Next::kPpp;
  if (walk.captured < kCiscoHeader) return too_short(walk, kCiscoHeader, out);
  walk.ether_type = be16(walk.at + 2);
  walk.skip(kCiscoHeader);
  return Next::kEtherType;
}

/// RFC 2516 4: version, type, code, session, length; then PPP without address and control.
Next read_pppoe(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 6;
  if (walk.captured < kHeader) return too_short(walk, kHeader, out);
  const bool session_data = walk.at[0] == 0x11 && walk.at[1] == 0;
  if (!session_data) return done(out, Kind::kNotIp);  // discovery
  const std::uint32_t length = be16(walk.at + 4);
  walk.skip(kHeader);
  walk.limit(length);
  return Next::kPpp;
}

}  // namespace tcpwhy::wire
