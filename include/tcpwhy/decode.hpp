#pragma once
// Bytes to a TCP segment. No state, no opinion: a strange segment is still a
// segment and carries its anomalies.

#include <cstdint>

#include "tcpwhy/frame.hpp"
#include "tcpwhy/seq.hpp"

namespace tcpwhy::wire {

/// TCP flag bits as on the wire (RFC 9293 3.1); AE is RFC 9768's bit.
struct Flag {
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10,
                                kUrg = 0x20, kEce = 0x40, kCwr = 0x80;
};

/// Which options a segment carried (bit set), whatever their values.
struct Opt {
  static constexpr std::uint16_t kMss = 1 << 0, kWindowScale = 1 << 1, kSackPermitted = 1 << 2,
                                 kSack = 1 << 3, kTimestamps = 1 << 4, kFastOpen = 1 << 5,
                                 kMd5 = 1 << 6, kAo = 1 << 7, kMptcp = 1 << 8, kUserTimeout = 1 << 9,
                                 kOther = 1 << 10;
};

/// Things about a segment that are odd but may be the evidence.
struct Anomaly {
  static constexpr std::uint16_t kBadTcpChecksum = 1 << 0,   ///< verified and wrong (see kChecksumSeen)
      kBadIpChecksum = 1 << 1,
      kTruncatedHeader = 1 << 2,    ///< the snap length cut the TCP header or its options
      kTruncatedPayload = 1 << 3,   ///< the snap length cut the payload only
      kOptionLength = 1 << 4,       ///< an option whose length is impossible
      kDataOffset = 1 << 5,         ///< data offset below 5 or beyond the segment
      kIpTotalLengthZero = 1 << 6,  ///< TSO super-frame: length taken from the frame
      kFirstFragment = 1 << 7,      ///< IP fragment that holds the TCP header; payload length incomplete
      kChecksumSeen = 1 << 8,       ///< the TCP checksum was verified (right unless kBadTcpChecksum)
      kPartialChecksum = 1 << 9,    ///< only the pseudo header is summed: the sender offloads checksums
      kReservedBits = 1 << 10,
      kWindowUnseen = 1 << 11;      ///< the snap length ended before the window field
};

enum class Kind : std::uint8_t {
  kTcp,
  kIcmpError,   ///< ICMP or ICMPv6 error quoting a TCP segment; see `quoted`
  kFragment,    ///< a later IP fragment: no TCP header here
  kArp,         ///< ARP or neighbour discovery; see `neighbour`
  kOtherIp,     ///< IP, not TCP (UDP, …)
  kNotIp,
  kMalformed,   ///< claims to be IP or TCP and cannot be
};

/// One decoded segment. Points into the frame and must not outlive its bytes.
///
/// Units: `window` as on the wire, before scaling; it becomes octets only in
/// `flow`, which has seen both SYNs. Ports in host order. Addresses in network
/// order at `source` and `destination`, 4 octets or 16 by `ip_version`.
struct Segment {
  const std::uint8_t* source = nullptr;
  const std::uint8_t* destination = nullptr;
  const std::uint8_t* tcp = nullptr;      ///< the TCP header itself (kTcp, kIcmpError)
  const std::uint8_t* payload = nullptr;  ///< first payload octet, or null when none was kept
  SeqNum seq, ack;
  std::uint32_t payload_bytes = 0;        ///< as the IP header says, captured or not
  std::uint32_t captured_payload = 0;     ///< octets at `payload`
  std::uint32_t tsval = 0, tsecr = 0;     ///< valid with Opt::kTimestamps
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint16_t window = 0;
  std::uint16_t ip_id = 0;                ///< IPv4 identification, 0 for IPv6
  std::uint16_t options = 0;              ///< Opt bits
  std::uint16_t anomalies = 0;            ///< Anomaly bits
  Kind kind = Kind::kNotIp;
  std::uint8_t ip_version = 0;            ///< 4, 6 or 0
  std::uint8_t flags = 0;                 ///< Flag bits
  std::uint8_t ttl = 0;                   ///< TTL or hop limit
  std::uint8_t tos = 0;
  bool dont_fragment = false;
  // What follows is zero for nearly every segment; kept together, it costs the
  // common path a few wide stores.
  std::uint8_t window_scale = 0;          ///< valid with Opt::kWindowScale; at most 14
  std::uint8_t sack_blocks = 0;
  std::uint16_t mss = 0;                  ///< valid with Opt::kMss
  std::uint16_t vlan = 0;                 ///< innermost 802.1Q tag, 0 without
  /// 0 outside tunnels; else the same for both directions of one path: a hash
  /// over the unordered outer pair and, where both directions share one, the
  /// network's number (VNI, NVGRE segment, GRE key; not TEIDs or call ids).
  /// Mirrors (ERSPAN) are no tunnels.
  std::uint32_t tunnel = 0;
  const std::uint8_t* sack = nullptr;     ///< SACK blocks as on the wire, `sack_blocks` of them

  // ICMP errors (kIcmpError): the fields above then describe the *quoted*
  // segment (source = who sent it), ttl/ip_id its quoted IP header, and:
  const std::uint8_t* icmp_sender = nullptr;   ///< who sent the error, same length as `source`
  std::uint16_t icmp_mtu = 0;                  ///< next-hop MTU of fragmentation-needed / packet-too-big
  std::uint8_t icmp_type = 0, icmp_code = 0;
  std::uint8_t icmp_ttl = 0;                   ///< TTL of the ICMP packet itself

  [[nodiscard]] bool syn() const { return flags & Flag::kSyn; }
  [[nodiscard]] bool fin() const { return flags & Flag::kFin; }
  [[nodiscard]] bool rst() const { return flags & Flag::kRst; }
  [[nodiscard]] bool has_ack() const { return flags & Flag::kAck; }
  [[nodiscard]] bool has(std::uint16_t option) const { return options & option; }
  /// SEG.LEN: octets of sequence space used (RFC 9293 3.4).
  [[nodiscard]] std::uint32_t length() const { return payload_bytes + (syn() ? 1u : 0u) + (fin() ? 1u : 0u); }
  [[nodiscard]] SeqNum end() const { return seq + length(); }
};
static_assert(sizeof(Segment) <= 112);

/// Fragment identity for kFragment and Anomaly::kFirstFragment (IPv4 and IPv6).
struct Fragment {
  std::uint32_t id = 0;
  std::uint32_t offset = 0;   ///< octets
  std::uint32_t bytes = 0;    ///< octets of IP payload in this fragment
  bool more = false;
};

/// ARP or ND in one shape (kArp): a question or an answer about a next hop.
struct Neighbour {
  const std::uint8_t* target = nullptr;  ///< the address asked for or answered
  bool answer = false;
  std::uint8_t version = 4;              ///< 4: ARP, 6: neighbour discovery
};

enum class Checksums : std::uint8_t { kSkip, kVerify };

/// Decodes one link-layer frame.
///
/// Source:  RFC 9293 3.1 and 3.2; options of RFC 7323, 2018, 7413, 5925, 2385.
/// Range:   any bytes, any length, including none. `out` is written whole, whatever it held:
///          reuse one, since clearing it first costs as much as decoding into it.
/// Result:  `kind` says what it was. Tunnels (GRE, ERSPAN, VXLAN, Geneve, IPIP,
///          6in4, GTP-U), VLAN tags and MPLS are unwrapped to the innermost TCP.
/// Errors:  none. Never throws, never allocates.
/// Threads: pure; call it from anywhere.
void decode(const Frame& frame, Checksums checksums, Segment& out) noexcept;

/// The rarely needed rest of the same frame.
[[nodiscard]] Fragment decode_fragment(const Frame& frame) noexcept;
[[nodiscard]] Neighbour decode_neighbour(const Frame& frame) noexcept;

/// Verifies the TCP checksum of an already decoded segment (kTcp, whole payload
/// captured); sets kChecksumSeen, kBadTcpChecksum, kPartialChecksum.
void verify_checksum(Segment& segment, const Frame& frame) noexcept;

}  // namespace tcpwhy::wire
