// IEEE 802.11 as monitor interfaces capture it, bare or behind a header that the
// capturing host put before it. Frames that are encrypted stay closed.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

/// A header of the capturing host: its length is in octets 2 and 3, little endian, itself included.
bool pass_host_header(Walk& walk, Segment& out) {
  constexpr std::uint32_t kShortest = 8;
  if (walk.captured < kShortest) {
    too_short(walk, kShortest, out);
    return false;
  }
  const std::uint32_t length = le16(walk.at + 2);
  if (walk.at[0] != 0 || length < kShortest) {  // a version nobody has defined
    done(out, Kind::kNotIp);
    return false;
  }
  if (walk.captured < length) {
    too_short(walk, length, out);
    return false;
  }
  walk.skip(length);
  return true;
}

}  // namespace

/// IEEE 802.11 9.2.4, 9.3.2.1: data frames; a fourth address between access points, QoS and HT controls.
Next read_ieee80211(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 24, kAddress = 6, kQos = 2, kHt = 4;
  constexpr std::uint8_t kVersionAndType = 0x0f, kData = 0x08, kNoData = 0x40, kHasQos = 0x80;
  constexpr std::uint8_t kBothSystems = 0x03, kProtected = 0x40, kOrder = 0x80, kAggregated = 0x80;
  if (walk.captured < kHeader) return too_short(walk, kHeader, out);
  const std::uint8_t control = walk.at[0], flags = walk.at[1];
  const bool later_fragment = walk.at[22] & 0x0f;
  if ((control & kVersionAndType) != kData || control & kNoData || flags & kProtected || later_fragment)
    return done(out, Kind::kNotIp);
  const std::uint32_t qos_at = kHeader + ((flags & kBothSystems) == kBothSystems ? kAddress : 0);
  const bool qos = control & kHasQos;
  const std::uint32_t header = qos_at + (qos ? kQos + (flags & kOrder ? kHt : 0) : 0);
  if (walk.captured < header) return too_short(walk, header, out);
  if (qos && walk.at[qos_at] & kAggregated) return done(out, Kind::kNotIp);
  walk.skip(header);
  return Next::kLlc;
}

/// pcap LINKTYPE_IEEE802_11_RADIOTAP.
Next read_radiotap(Walk& walk, Segment& out) {
  return pass_host_header(walk, out) ? read_ieee80211(walk, out) : Next::kDone;
}

/// pcap LINKTYPE_PPI: version, flags, length, and the link type of what follows.
Next read_ppi(Walk& walk, Segment& out) {
  const std::uint32_t link = walk.captured < 8 ? 0 : le32(walk.at + 4);
  if (!pass_host_header(walk, out)) return Next::kDone;
  const auto inner = static_cast<LinkType>(link);
  if (link > 0xfffe || inner == AirLink::kPpi) return done(out, Kind::kNotIp);
  return start_link(inner, walk, out);
}

}  // namespace tcpwhy::wire
