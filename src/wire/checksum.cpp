// The Internet checksum (RFC 1071) over IPv4 headers and TCP segments, and what
// offloading senders leave in its place.

#include "wire/bytes.hpp"
#include "wire/common.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

/// The number that lies in memory as these two octets.
std::uint16_t in_memory_order(std::uint8_t first, std::uint8_t second) {
  const std::uint8_t bytes[2] = {first, second};
  std::uint16_t w;
  std::memcpy(&w, bytes, sizeof w);
  return w;
}

/// Sum of 16-bit words in memory order: RFC 1071 2(B), byte order does not matter
/// to a one's complement sum. An odd last octet counts as if a zero followed.
/// Eight octets at a time, the carry into 2^64 counts as one (2^16 - 1 divides 2^64 - 1).
std::uint64_t sum(const std::uint8_t* p, std::uint32_t octets) {
  __extension__ using Wide = unsigned __int128;
  Wide total = 0;
  const auto add = [&]<class Word>(Word w) {
    std::memcpy(&w, p, sizeof w);
    p += sizeof w;
    total += w;
  };
  for (; octets >= 8; octets -= 8) add(std::uint64_t{});
  if (octets & 4) add(std::uint32_t{});
  if (octets & 2) add(std::uint16_t{});
  if (octets & 1) total += in_memory_order(*p, 0);
  // Halves of 32 bits, so that further sums have room.
  const auto low = static_cast<std::uint64_t>(total), high = static_cast<std::uint64_t>(total >> 64);
  return (low & 0xffff'ffff) + (low >> 32) + high;
}

std::uint16_t fold(std::uint64_t total) {
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

/// A number as it would lie in memory in network order.
std::uint64_t in_network_order(std::uint16_t number) {
  return in_memory_order(static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number));
}

/// RFC 9293 3.1: protocol and length; the addresses are in `addresses`.
std::uint64_t pseudo_header(std::uint64_t addresses, std::uint32_t length) {
  return addresses + in_network_order(IpProtocol::kTcp) + in_network_order(static_cast<std::uint16_t>(length >> 16)) +
         in_network_order(static_cast<std::uint16_t>(length));
}

/// What the checksum of a segment of `length` octets says, all of them captured or not.
std::uint16_t judge(std::uint64_t addresses, const std::uint8_t* tcp, std::uint32_t length, bool whole) {
  const std::uint64_t pseudo = pseudo_header(addresses, length);
  if (whole && fold(pseudo + sum(tcp, length)) == 0xffff) return Anomaly::kChecksumSeen;
  // Linux net/ipv4/tcp_ipv4.c __tcp_v4_send_check(): with CHECKSUM_PARTIAL the field holds the
  // pseudo header's sum, not complemented, and the card adds the rest. Cards that
  // segment want it without the length.
  const std::uint16_t seen = whole ? Anomaly::kChecksumSeen : 0;
  std::uint16_t field;
  std::memcpy(&field, tcp + 16, sizeof field);
  if (field == fold(pseudo) || field == fold(pseudo_header(addresses, 0))) return seen | Anomaly::kPartialChecksum;
  return whole ? seen | Anomaly::kBadTcpChecksum : 0;
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
  const std::uint32_t octets = segment.ip_version == 4 ? 4 : 16;
  segment.anomalies |= judge(sum(segment.source, octets) + sum(segment.destination, octets), segment.tcp, length,
                             segment.captured_payload == segment.payload_bytes);
}

std::uint16_t checksum_anomalies(const CommonFrame& common) {
  // The two addresses lie behind one another.
  return judge(sum(common.source(), common.is_ipv4 ? 8 : 32), common.tcp, common.length, common.captured == common.length);
}

}  // namespace tcpwhy::wire
