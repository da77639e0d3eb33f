// The Internet checksum (RFC 1071) over IPv4 headers and TCP segments, and what
// offloading senders leave in its place.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

/// Sum of 16-bit words in memory order: RFC 1071 2(B), byte order does not matter
/// to a one's complement sum. An odd last octet counts as if a zero followed.
std::uint64_t sum(const std::uint8_t* p, std::uint32_t octets) {
  std::uint64_t total = 0;
  std::uint64_t other = 0;
  while (octets >= 16) {
    std::uint32_t w[4];
    std::memcpy(w, p, sizeof w);
    total += std::uint64_t{w[0]} + w[1];
    other += std::uint64_t{w[2]} + w[3];
    p += 16;
    octets -= 16;
  }
  total += other;
  while (octets >= 2) {
    std::uint16_t w;
    std::memcpy(&w, p, sizeof w);
    total += w;
    p += 2;
    octets -= 2;
  }
  if (octets != 0) {
    const std::uint8_t last[2] = {*p, 0};
    std::uint16_t w;
    std::memcpy(&w, last, sizeof w);
    total += w;
  }
  return total;
}

std::uint16_t fold(std::uint64_t total) {
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

/// A number as it would lie in memory in network order.
std::uint64_t in_network_order(std::uint16_t number) {
  const std::uint8_t bytes[2] = {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  std::uint16_t w;
  std::memcpy(&w, bytes, sizeof w);
  return w;
}

/// RFC 9293 3.1: addresses, protocol and length.
std::uint64_t pseudo_header(const Segment& segment, std::uint32_t length) {
  const std::uint32_t octets = segment.ip_version == 4 ? 4 : 16;
  return sum(segment.source, octets) + sum(segment.destination, octets) + in_network_order(IpProtocol::kTcp) +
         in_network_order(static_cast<std::uint16_t>(length >> 16)) +
         in_network_order(static_cast<std::uint16_t>(length));
}

}  // namespace

std::uint16_t internet_checksum(const std::uint8_t* at, std::uint32_t octets) {
  const std::uint16_t in_memory = fold(sum(at, octets));
  std::uint8_t bytes[2];
  std::memcpy(bytes, &in_memory, sizeof bytes);
  return static_cast<std::uint16_t>(~be16(bytes));
}

bool ip_checksum_is_bad(const std::uint8_t* ip, std::uint32_t header) {
  // A field of zero that does not fit is a sender that leaves the sum to its
  // network card, and no damage.
  return fold(sum(ip, header)) != 0xffff && be16(ip + 10) != 0;
}

void check_tcp(Segment& segment) {
  constexpr std::uint16_t kCannot =
      Anomaly::kTruncatedHeader | Anomaly::kFirstFragment | Anomaly::kDataOffset;
  if (segment.anomalies & kCannot) return;
  const std::uint32_t length = (segment.tcp[12] >> 4) * 4u + segment.payload_bytes;
  const std::uint64_t pseudo = pseudo_header(segment, length);
  if (segment.captured_payload == segment.payload_bytes) {
    segment.anomalies |= Anomaly::kChecksumSeen;
    if (fold(pseudo + sum(segment.tcp, length)) == 0xffff) return;
  }
  // Linux net/ipv4/tcp_ipv4.c __tcp_v4_send_check(): with CHECKSUM_PARTIAL the field holds the
  // pseudo header's sum, not complemented, and the card adds the rest. Cards that
  // segment want it without the length.
  std::uint16_t field;
  std::memcpy(&field, segment.tcp + 16, sizeof field);
  if (field == fold(pseudo) || field == fold(pseudo_header(segment, 0))) {
    segment.anomalies |= Anomaly::kPartialChecksum;
  } else if (segment.anomalies & Anomaly::kChecksumSeen) {
    segment.anomalies |= Anomaly::kBadTcpChecksum;
  }
}

}  // namespace tcpwhy::wire
