// ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: the segment they quote, and who
// complains about it. What they quote was cut somewhere after its eighth octet.

#include "wire/bytes.hpp"
#include "wire/ether_type.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

constexpr std::uint32_t kIcmpHeader = 8;
/// Ports and sequence number: RFC 792 quotes 64 bits.
constexpr std::uint32_t kLeastQuoted = 8;

/// RFC 1122 3.2.2: these are the errors, and errors quote.
bool is_icmp_error(std::uint8_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}
/// RFC 4443 2.1: error messages have the high bit clear.
bool is_icmp6_error(std::uint8_t type) { return type >= 1 && type <= 4; }

/// The quoted packet at `walk`, into `out`. False when it is no TCP or too little is left.
bool read_quoted(Walk& walk, Segment& out) {
  if (walk.captured == 0) return false;
  const std::uint8_t* ip = walk.at;
  std::uint32_t header = 0;
  std::uint32_t length = 0;
  if (ip[0] >> 4 == 4) {
    header = (ip[0] & 0x0fu) * 4u;
    if (walk.captured < 20 || header < 20 || walk.captured < header) return false;
    if (ip[9] != IpProtocol::kTcp || (be16(ip + 6) & 0x1fff) != 0) return false;
    out.ip_version = 4;
    out.source = ip + 12;
    out.destination = ip + 16;
    out.tos = ip[1];
    out.ip_id = be16(ip + 4);
    out.ttl = ip[8];
    out.dont_fragment = ip[6] & 0x40;
    length = be16(ip + 2);
  } else if (ip[0] >> 4 == 6) {
    header = 40;
    if (walk.captured < header || ip[6] != IpProtocol::kTcp) return false;
    out.ip_version = 6;
    out.source = ip + 8;
    out.destination = ip + 24;
    out.tos = static_cast<std::uint8_t>(be16(ip) >> 4);
    out.ip_id = 0;
    out.dont_fragment = false;
    out.ttl = ip[7];
    length = header + be16(ip + 4);
  } else {
    return false;
  }
  if (length < header + kTcpHeader) return false;
  length -= header;
  const std::uint32_t captured = std::min(walk.captured - header, length);
  if (captured < kLeastQuoted) return false;
  if (captured < kTcpHeader) read_cut_tcp(ip + header, captured, length, out);
  else read_tcp(ip + header, captured, length, out);
  return true;
}

Next read_error(Walk& walk, Segment& out) {
  out.icmp_type = walk.at[0];
  out.icmp_code = walk.at[1];
  out.icmp_sender = out.source;
  out.icmp_ttl = out.ttl;
  const std::uint8_t version = out.ip_version;
  walk.skip(kIcmpHeader);
  if (!read_quoted(walk, out) || out.ip_version != version) return done(out, Kind::kOtherIp);
  return done(out, Kind::kIcmpError);
}

}  // namespace

Next read_icmp(Walk& walk, Segment& out) {
  if (walk.captured < kIcmpHeader || !is_icmp_error(walk.at[0])) return done(out, Kind::kOtherIp);
  if (walk.at[0] == 3 && walk.at[1] == 4) out.icmp_mtu = be16(walk.at + 6);  // RFC 1191 4
  return read_error(walk, out);
}

Next read_icmp6(Walk& walk, Segment& out) {
  if (walk.captured < kIcmpHeader) return done(out, Kind::kOtherIp);
  const std::uint8_t type = walk.at[0];
  if (type == 135 || type == 136) {  // RFC 4861 4.3, 4.4
    if (walk.captured < 24) return done(out, Kind::kOtherIp);
    walk.neighbour = {.target = walk.at + 8, .answer = type == 136, .version = 6};
    return done(out, Kind::kArp);
  }
  if (!is_icmp6_error(type)) return done(out, Kind::kOtherIp);
  if (type == 2) {  // RFC 4443 3.2
    out.icmp_mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(be32(walk.at + 4), 0xffff));
  }
  return read_error(walk, out);
}

}  // namespace tcpwhy::wire
