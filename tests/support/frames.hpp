#pragma once
// Frames by hand, for tests: octets laid one behind the other, lengths and
// checksums filled in. Header only; every room may use it.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "tcpwhy/decode.hpp"
#include "tcpwhy/frame.hpp"

namespace tcpwhy::test {

using Bytes = std::vector<std::uint8_t>;

inline void put(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }
inline void put8(Bytes& to, unsigned v) { to.push_back(static_cast<std::uint8_t>(v)); }
inline void put16(Bytes& to, unsigned v) {
  put8(to, v >> 8 & 0xff);
  put8(to, v & 0xff);
}
inline void put32(Bytes& to, std::uint32_t v) {
  put16(to, v >> 16);
  put16(to, v & 0xffff);
}
inline void set16(Bytes& in, std::size_t at, unsigned v) {
  in[at] = static_cast<std::uint8_t>(v >> 8);
  in[at + 1] = static_cast<std::uint8_t>(v);
}
inline Bytes text(std::string_view s) { return Bytes(s.begin(), s.end()); }

/// RFC 1071, the slow way.
inline std::uint16_t internet_sum(const Bytes& bytes, std::uint32_t start = 0) {
  std::uint32_t total = start;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    total += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
    total = (total & 0xffff) + (total >> 16);
  }
  return static_cast<std::uint16_t>(total);
}

/// A TCP segment without its checksum; see ipv4() and ipv6().
struct Tcp {
  std::uint16_t source_port = 40112, destination_port = 443;
  std::uint32_t seq = 0xfffffff0, ack = 0;
  std::uint8_t flags = wire::Flag::kAck;
  std::uint16_t window = 502;
  Bytes options = {};  ///< padded with zeroes to a multiple of four
  Bytes payload = {};
};

inline Bytes tcp(const Tcp& t) {
  Bytes options = t.options;
  while (options.size() % 4 != 0) options.push_back(0);
  Bytes b;
  put16(b, t.source_port);
  put16(b, t.destination_port);
  put32(b, t.seq);
  put32(b, t.ack);
  put8(b, static_cast<unsigned>((20 + options.size()) / 4) << 4);
  put8(b, t.flags);
  put16(b, t.window);
  put32(b, 0);
  put(b, options);
  put(b, t.payload);
  return b;
}

struct Ip {
  Bytes source = {}, destination = {};  ///< empty: 192.0.2.10 and 198.51.100.7, 2001:db8::a and 2001:db8::7
  std::uint8_t protocol = 6, ttl = 64, tos = 0;
  std::uint16_t id = 0x1234;
  std::uint16_t fragment = 0x4000;  ///< flags and offset as on the wire
  Bytes options = {};               ///< IPv4 only, a multiple of four
};

inline std::uint16_t transport_sum(const Bytes& source, const Bytes& destination, std::uint8_t protocol,
                                   const Bytes& payload) {
  Bytes pseudo = source;
  put(pseudo, destination);
  put32(pseudo, static_cast<std::uint32_t>(payload.size()));
  put32(pseudo, protocol);
  return internet_sum(payload, internet_sum(pseudo));
}

/// Fills in the TCP checksum of an unfragmented segment.
inline void finish_tcp(const Bytes& source, const Bytes& destination, std::uint8_t protocol, Bytes& payload) {
  if (protocol != 6 || payload.size() < 20) return;
  set16(payload, 16, 0);
  set16(payload, 16, static_cast<std::uint16_t>(~transport_sum(source, destination, 6, payload)));
}

inline Bytes ipv4(Bytes payload, Ip ip = {}) {
  if (ip.source.empty()) ip.source = {192, 0, 2, 10};
  if (ip.destination.empty()) ip.destination = {198, 51, 100, 7};
  if ((ip.fragment & 0x3fff) == 0) finish_tcp(ip.source, ip.destination, ip.protocol, payload);
  Bytes b;
  put8(b, 0x40u | static_cast<unsigned>((20 + ip.options.size()) / 4));
  put8(b, ip.tos);
  put16(b, static_cast<unsigned>(20 + ip.options.size() + payload.size()));
  put16(b, ip.id);
  put16(b, ip.fragment);
  put8(b, ip.ttl);
  put8(b, ip.protocol);
  put16(b, 0);
  put(b, ip.source);
  put(b, ip.destination);
  put(b, ip.options);
  set16(b, 10, static_cast<std::uint16_t>(~internet_sum(b)));
  put(b, payload);
  return b;
}

/// `headers` are extension headers, of which `ip.protocol` is the first;
/// `last` is the protocol of the payload.
inline Bytes ipv6(Bytes payload, Ip ip = {}, const Bytes& headers = {}, std::uint8_t last = 6) {
  if (ip.source.empty()) ip.source = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa};
  if (ip.destination.empty()) ip.destination = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  finish_tcp(ip.source, ip.destination, headers.empty() ? ip.protocol : last, payload);
  Bytes b;
  put32(b, 0x60000000u | static_cast<std::uint32_t>(ip.tos) << 20);
  put16(b, static_cast<unsigned>(headers.size() + payload.size()));
  put8(b, ip.protocol);
  put8(b, ip.ttl);
  put(b, ip.source);
  put(b, ip.destination);
  put(b, headers);
  put(b, payload);
  return b;
}

inline Bytes ethernet(const Bytes& payload, std::uint16_t type = 0) {
  if (type == 0) type = !payload.empty() && payload[0] >> 4 == 6 ? 0x86dd : 0x0800;
  Bytes b = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  put16(b, type);
  put(b, payload);
  return b;
}

/// A frame over bytes that the caller keeps.
inline Frame frame(const Bytes& bytes, LinkType link = LinkType::kEthernet) {
  Frame f;
  f.data = bytes.data();
  f.captured = f.original = static_cast<std::uint32_t>(bytes.size());
  f.link = link;
  f.number = 1;
  return f;
}

}  // namespace tcpwhy::test
