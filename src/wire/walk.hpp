#pragma once
// The walk from the first octet of a frame inward. Each layer looks at what
// lies before it, steps over its own header and says what comes next; the
// driver in decode.cpp turns the handle. No layer descends into the one it
// carries, so a frame that nests for ever ends when the driver has counted
// enough layers.

#include <algorithm>
#include <cstdint>

#include "tcpwhy/decode.hpp"

namespace tcpwhy::wire {

/// What the walk stands in front of.
enum class Next : std::uint8_t {
  kDone,        ///< `out.kind` is final
  kEthernet,    ///< an Ethernet header
  kEtherType,   ///< whatever `ether_type` says
  kLlc,         ///< an 802.2 header
  kPpp,         ///< a PPP frame
  kIp,          ///< IPv4 or IPv6 by the version nibble
  kIpProtocol,  ///< whatever `protocol` says, behind an IP header
};

/// Where the walk is and what it has learnt.
struct Walk {
  const std::uint8_t* at = nullptr;
  std::uint32_t captured = 0;  ///< octets that may be read at `at`
  std::uint32_t length = 0;  ///< octets that were on the wire from `at`, as the innermost header so far says
  std::uint16_t ether_type = 0;
  std::uint8_t protocol = 0;
  bool in_fragment = false;  ///< the innermost packet is the first fragment of a larger one
  Checksums checksums = Checksums::kSkip;
  Fragment fragment;
  Neighbour neighbour;

  /// Steps over `octets` that have been found to be captured.
  void skip(std::uint32_t octets) {
    at += octets;
    captured -= octets;
    length -= std::min(length, octets);
  }
  /// An inner header says how much belongs to it: what follows is padding.
  void limit(std::uint32_t octets) {
    length = octets;
    captured = std::min(captured, octets);
  }
};

/// Ends the walk with a verdict on the frame.
inline Next done(Segment& out, Kind kind) {
  out.kind = kind;
  return Next::kDone;
}
/// Ends the walk because a header does not fit: cut off by the snap length, or
/// never there.
inline Next too_short(const Walk& walk, std::uint32_t needed, Segment& out) {
  if (walk.length >= needed) out.anomalies |= Anomaly::kTruncatedHeader;
  return done(out, Kind::kMalformed);
}

// link.cpp
Next start_link(LinkType link, Walk& walk, Segment& out);
Next read_ethernet(Walk& walk, Segment& out);
Next read_ether_type(Walk& walk, Segment& out);
Next read_llc(Walk& walk, Segment& out);

// ppp.cpp
Next read_ppp(Walk& walk, Segment& out);
Next read_hdlc(Walk& walk, Segment& out);
Next read_pppoe(Walk& walk, Segment& out);

// wifi.cpp
Next read_ieee80211(Walk& walk, Segment& out);
Next read_radiotap(Walk& walk, Segment& out);
Next read_ppi(Walk& walk, Segment& out);

// network.cpp
Next read_ip(Walk& walk, Segment& out);
Next read_ip_protocol(Walk& walk, Segment& out);

/// Steps over IPv6 extension headers (and AH, which IPv4 has too) until
/// `walk.protocol` is none of them.
enum class Headers : std::uint8_t { kPassed, kCut, kLaterFragment };
Headers pass_extension_headers(Walk& walk, Segment& out);

// icmp.cpp
Next read_icmp(Walk& walk, Segment& out);
Next read_icmp6(Walk& walk, Segment& out);

// neighbour.cpp
Next read_arp(Walk& walk, Segment& out);
Next read_neighbour_discovery(Walk& walk, Segment& out);

// tunnel.cpp
/// Folds the outer pair of addresses in `out` into `out.tunnel`. Both
/// directions give the same; `id` must be one that both directions share.
void enter_tunnel(Segment& out, std::uint32_t id);
Next read_ip_in_ip(Walk& walk, Segment& out);
Next read_mpls(Walk& walk, Segment& out);
Next read_gre(Walk& walk, Segment& out);

// udp_tunnel.cpp
Next read_udp(Walk& walk, Segment& out);

// checksum.cpp
/// RFC 1071, in host order, ready for the header's field.
[[nodiscard]] std::uint16_t internet_checksum(const std::uint8_t* at, std::uint32_t octets);
[[nodiscard]] bool ip_checksum_is_bad(const std::uint8_t* ip, std::uint32_t header);
void check_tcp(Segment& segment);

}  // namespace tcpwhy::wire
