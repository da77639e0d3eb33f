// ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: the segment they quote, and who
// complains about it. What they quote was cut somewhere after its eighth octet,
// and by the snap length anywhere; what the quotation lacks is marked like what the snap length cut.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kIcmpHeader = 8;
/// The ports. RFC 792 quotes 64 bits, and tcpdump's old snap length of 68 octets leaves 48 of them.
constexpr std::uint32_t kLeastQuoted = 4;

enum class Quote : std::uint8_t { kTcp, kOther };

/// The TCP header of a quoted packet. `length` is what its IP header leaves to
/// TCP, 0 where that is nonsense: Darwin and old routers quote the length in
/// host order or without the header, and the ports are as good without it.
Quote read_quoted_tcp(const std::uint8_t* tcp, std::uint32_t captured, std::uint32_t length, Segment& out) {
  if (captured < kLeastQuoted) return Quote::kOther;
  if (length < kTcpHeader) length = captured > 12 ? std::max((tcp[12] >> 4) * 4u, kTcpHeader) : kTcpHeader;
  captured = std::min(captured, length);
  if (captured < kTcpHeader) read_cut_tcp(tcp, captured, length, out);
  else read_tcp(tcp, captured, length, out);
  return Quote::kTcp;
}

Quote read_quoted_ipv4(const Walk& walk, Segment& out) {
  const std::uint8_t* ip = walk.at;
  if (walk.captured < 20) return Quote::kOther;
  const std::uint32_t header = (ip[0] & 0x0fu) * 4u;
  const bool first = (be16(ip + 6) & 0x1fff) == 0;
  if (header < 20 || walk.captured < header || ip[9] != IpProtocol::kTcp || !first) return Quote::kOther;
  out.source = ip + 12;
  out.destination = ip + 16;
  out.tos = ip[1];
  out.ip_id = be16(ip + 4);
  out.ttl = ip[8];
  out.dont_fragment = ip[6] & 0x40;
  const std::uint32_t total = be16(ip + 2);
  return read_quoted_tcp(ip + header, walk.captured - header, total > header ? total - header : 0, out);
}

Quote read_quoted_ipv6(Walk walk, Segment& out) {
  const std::uint8_t* ip = walk.at;
  if (walk.captured < 40) return Quote::kOther;
  out.source = ip + 8;
  out.destination = ip + 24;
  out.tos = static_cast<std::uint8_t>(be16(ip) >> 4);
  out.ip_id = 0;
  out.ttl = ip[7];
  out.dont_fragment = false;
  walk.protocol = ip[6];
  walk.skip(40);
  if (be16(ip + 4) != 0) walk.limit(be16(ip + 4));
  if (pass_extension_headers(walk, out) != Headers::kPassed) return Quote::kOther;
  if (walk.protocol != IpProtocol::kTcp) return Quote::kOther;
  return read_quoted_tcp(walk.at, walk.captured, walk.length, out);
}

/// `quoted` is the length that RFC 4884 4.1 and 4.2 let an error announce for
/// its quotation, in octets; 0 when it does not. Behind it lie extensions.
Next read_error(Walk& walk, std::uint32_t mtu, std::uint32_t quoted, Segment& out) {
  Segment quotation = out;
  quotation.icmp_type = walk.at[0];
  quotation.icmp_code = walk.at[1];
  quotation.icmp_mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, 0xffff));
  quotation.icmp_sender = out.source;
  quotation.icmp_ttl = out.ttl;
  walk.skip(kIcmpHeader);
  if (quoted != 0 && quoted < walk.captured) walk.limit(quoted);
  if (walk.captured == 0 || walk.at[0] >> 4 != out.ip_version) return done(out, Kind::kOtherIp);
  const Quote quote =
      out.ip_version == 4 ? read_quoted_ipv4(walk, quotation) : read_quoted_ipv6(walk, quotation);
  if (quote == Quote::kOther) return done(out, Kind::kOtherIp);
  out = quotation;
  return done(out, Kind::kIcmpError);
}

}  // namespace

Next read_icmp(Walk& walk, Segment& out) {
  constexpr std::uint8_t kUnreachable = 3, kSourceQuench = 4, kRedirect = 5, kTimeExceeded = 11,
                         kParameter = 12;
  if (walk.captured < kIcmpHeader) return done(out, Kind::kOtherIp);
  const std::uint8_t* icmp = walk.at;
  switch (icmp[0]) {  // RFC 1122 3.2.2: these are the errors, and errors quote
    case kUnreachable:
      return read_error(walk, icmp[1] == 4 ? be16(icmp + 6) : 0, icmp[5] * 4u, out);  // RFC 1191 4
    case kTimeExceeded:
    case kParameter: return read_error(walk, 0, icmp[5] * 4u, out);
    case kSourceQuench:
    case kRedirect: return read_error(walk, 0, 0, out);
    default: return done(out, Kind::kOtherIp);  // numbers of the wire, not of ours
  }
}

Next read_icmp6(Walk& walk, Segment& out) {
  constexpr std::uint8_t kUnreachable = 1, kTooBig = 2, kTimeExceeded = 3, kParameter = 4,
                         kSolicitation = 135, kAdvertisement = 136;
  if (walk.captured < kIcmpHeader) return done(out, Kind::kOtherIp);
  const std::uint8_t* icmp = walk.at;
  switch (icmp[0]) {
    case kUnreachable:
    case kTimeExceeded: return read_error(walk, 0, icmp[4] * 8u, out);
    case kTooBig: return read_error(walk, be32(icmp + 4), 0, out);  // RFC 4443 3.2
    case kParameter: return read_error(walk, 0, 0, out);
    case kSolicitation:
    case kAdvertisement: return read_neighbour_discovery(walk, out);
    default: return done(out, Kind::kOtherIp);  // numbers of the wire, not of ours
  }
}

}  // namespace tcpwhy::wire
