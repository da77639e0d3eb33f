#pragma once
// The TCP header and its options. In a header, because decode()'s common path
// must have it inline; everything rare in it is behind read_tcp_options().
//
//   RFC 9293 3.1:  0 source port   2 destination port   4 sequence number
//                  8 acknowledgment number   12 data offset, reserved   13 flags
//                  14 window   16 checksum   18 urgent pointer   20 options

#include <algorithm>
#include <cstdint>

#include "tcpwhy/decode.hpp"
#include "wire/bytes.hpp"

namespace tcpwhy::wire {

/// Octets of a TCP header without options.
inline constexpr std::uint32_t kTcpHeader = 20;
/// NOP NOP TS: what nearly every segment of a connection carries, RFC 7323 appendix A.
inline constexpr std::uint32_t kAlignedTimestamps = 0x0101080a;

/// RFC 7323 2.3: a larger shift count counts as 14.
inline constexpr std::uint8_t kMaxWindowShift = 14;

/// The options of a SYN as Linux and many others write them: MSS, SACK permitted, timestamps, NOP, window scale
/// (Linux net/ipv4/tcp_output.c tcp_options_write()).
struct UsualSyn {
  static constexpr std::uint32_t kOctets = 20;
  static constexpr std::uint16_t kOptions = Opt::kMss | Opt::kSackPermitted | Opt::kTimestamps | Opt::kWindowScale;
  [[nodiscard]] static bool is_at(const std::uint8_t* options) {
    return be16(options) == 0x0204 && be32(options + 4) == 0x0402080a && be32(options + 16) >> 8 == 0x010303;
  }
  [[nodiscard]] static std::uint16_t mss(const std::uint8_t* options) { return be16(options + 2); }
  [[nodiscard]] static std::uint32_t tsval(const std::uint8_t* options) { return be32(options + 8); }
  [[nodiscard]] static std::uint32_t tsecr(const std::uint8_t* options) { return be32(options + 12); }
  [[nodiscard]] static std::uint8_t window_scale(const std::uint8_t* options) { return std::min(options[19], kMaxWindowShift); }
};

/// Any options. Sets `options`, their values, and kOptionLength.
void read_tcp_options(const std::uint8_t* at, std::uint32_t octets, Segment& out);

/// Fills in what a header that the snap length, a fragment or an ICMP quotation
/// cut short still shows. `captured` is below 20.
void read_cut_tcp(const std::uint8_t* tcp, std::uint32_t captured, std::uint32_t length, Segment& out);

/// A whole fixed header, `captured` at least 20, `length` what the IP header
/// leaves to TCP and at least `captured`. Everything that TCP fills in must be
/// in its initial state.
inline void read_tcp(const std::uint8_t* tcp, std::uint32_t captured, std::uint32_t length, Segment& out) {
  out.tcp = tcp;
  out.source_port = be16(tcp);
  out.destination_port = be16(tcp + 2);
  out.seq = SeqNum{be32(tcp + 4)};
  out.ack = SeqNum{be32(tcp + 8)};
  out.flags = tcp[13];
  out.window = be16(tcp + 14);
  if (tcp[12] & 0x0e) out.anomalies |= Anomaly::kReservedBits;

  const std::uint32_t header = (tcp[12] >> 4) * 4u;
  if (header == kTcpHeader + 12 && captured >= header && be32(tcp + 20) == kAlignedTimestamps) [[likely]] {
    out.options = Opt::kTimestamps;
    out.tsval = be32(tcp + 24);
    out.tsecr = be32(tcp + 28);
  } else if (header < kTcpHeader || header > length) {
    // Linux net/ipv4/tcp_ipv4.c tcp_v4_rcv() drops these; where the payload begins is anybody's guess.
    out.anomalies |= Anomaly::kDataOffset;
    return;
  } else if (header > kTcpHeader) {
    if (captured < header) out.anomalies |= Anomaly::kTruncatedHeader;
    read_tcp_options(tcp + kTcpHeader, std::min(captured, header) - kTcpHeader, out);
  }

  out.payload_bytes = length - header;
  out.captured_payload = captured > header ? captured - header : 0;
  if (out.captured_payload != 0) out.payload = tcp + header;
  if (out.captured_payload < out.payload_bytes) out.anomalies |= Anomaly::kTruncatedPayload;
}

}  // namespace tcpwhy::wire
