#pragma once
// Headers to wrap around the packets of frames.hpp. Each function takes what it
// carries and returns the longer packet.

#include "support/frames.hpp"

namespace tcpwhy::test {

inline Bytes joined(Bytes head, const Bytes& tail) {
  put(head, tail);
  return head;
}

inline Bytes vlan(const Bytes& payload, unsigned id, unsigned type = 0x0800) {
  Bytes b;
  put16(b, id);
  put16(b, type);
  return joined(b, payload);
}

/// A label stack of one; the label is `label`, the time to live 63.
inline Bytes mpls(const Bytes& payload, std::uint32_t label = 100, unsigned bottom = 1) {
  Bytes b;
  put32(b, label << 12 | bottom << 8 | 63);
  return joined(b, payload);
}

inline Bytes udp(const Bytes& payload, unsigned destination, unsigned source = 50000) {
  Bytes b;
  put16(b, source);
  put16(b, destination);
  put16(b, static_cast<unsigned>(8 + payload.size()));
  put16(b, 0);
  return joined(b, payload);
}

inline Bytes vxlan(const Bytes& payload, std::uint32_t vni, unsigned flags = 0x08, unsigned next = 0) {
  Bytes b = {static_cast<std::uint8_t>(flags), 0, 0, static_cast<std::uint8_t>(next)};
  put32(b, vni << 8);
  return udp(joined(b, payload), 4789);
}

/// `options` in whole words.
inline Bytes geneve(const Bytes& payload, std::uint32_t vni, unsigned type = 0x6558,
                    const Bytes& options = {}) {
  Bytes b = {static_cast<std::uint8_t>(options.size() / 4), 0};
  put16(b, type);
  put32(b, vni << 8);
  put(b, options);
  return udp(joined(b, payload), 6081);
}

/// `extension` begins with the octet before the first extension header's length,
/// its type; empty leaves the optional word away.
inline Bytes gtp_u(const Bytes& payload, std::uint32_t teid, const Bytes& extensions = {}) {
  Bytes rest;
  if (!extensions.empty()) {
    rest = {0, 1, 0};
    put(rest, extensions);
  }
  put(rest, payload);
  Bytes b = {static_cast<std::uint8_t>(extensions.empty() ? 0x30 : 0x34), 255};
  put16(b, static_cast<unsigned>(rest.size()));
  put32(b, teid);
  return udp(joined(b, rest), 2152, 2152);
}

/// `fields` are the optional words that `flags` announce.
inline Bytes gre(const Bytes& payload, unsigned flags, unsigned type, const Bytes& fields = {}) {
  Bytes b;
  put16(b, flags);
  put16(b, type);
  put(b, fields);
  return joined(b, payload);
}

inline Bytes pppoe(const Bytes& payload, unsigned protocol = 0x0021) {
  Bytes b = {0x11, 0, 0, 9};
  put16(b, static_cast<unsigned>(payload.size() + 2));
  put16(b, protocol);
  return joined(b, payload);
}

}  // namespace tcpwhy::test
