#pragma once
// The fast decoder against the plain one, field by field.

#include <cstddef>
#include <cstdint>
#include <string>

#include "tcpwhy/decode.hpp"
#include "wire/plain_decode.hpp"

namespace tcpwhy::test {

/// Why the two readers disagree about `frame`; empty when they do not.
inline std::string disagreement(const Frame& frame, wire::Checksums checksums) {
  using wire::Kind;
  wire::Segment fast;
  wire::decode(frame, checksums, fast);
  const wire::plain::Decoded slow = wire::plain::decode(frame, checksums);
  const wire::Segment& plain = slow.segment;
  std::string text;
  const auto same = [&](const char* what, std::uint64_t a, std::uint64_t b) {
    if (a != b) text += std::string(what) + " " + std::to_string(a) + " != " + std::to_string(b) + "; ";
  };
  const auto place = [&](const std::uint8_t* p) {
    return p == nullptr ? 0 : static_cast<std::uint64_t>(p - frame.data + 1);
  };
  same("kind", static_cast<std::uint64_t>(fast.kind), static_cast<std::uint64_t>(plain.kind));
  same("anomalies", fast.anomalies, plain.anomalies);
  same("ip_version", fast.ip_version, plain.ip_version);
  same("source", place(fast.source), place(plain.source));
  same("destination", place(fast.destination), place(plain.destination));
  same("tcp", place(fast.tcp), place(plain.tcp));
  same("payload", place(fast.payload), place(plain.payload));
  same("sack", place(fast.sack), place(plain.sack));
  same("seq", fast.seq.raw(), plain.seq.raw());
  same("ack", fast.ack.raw(), plain.ack.raw());
  same("payload_bytes", fast.payload_bytes, plain.payload_bytes);
  same("captured_payload", fast.captured_payload, plain.captured_payload);
  same("tsval", fast.tsval, plain.tsval);
  same("tsecr", fast.tsecr, plain.tsecr);
  same("source_port", fast.source_port, plain.source_port);
  same("destination_port", fast.destination_port, plain.destination_port);
  same("window", fast.window, plain.window);
  same("ip_id", fast.ip_id, plain.ip_id);
  same("options", fast.options, plain.options);
  same("flags", fast.flags, plain.flags);
  same("ttl", fast.ttl, plain.ttl);
  same("tos", fast.tos, plain.tos);
  same("dont_fragment", fast.dont_fragment, plain.dont_fragment);
  same("window_scale", fast.window_scale, plain.window_scale);
  same("sack_blocks", fast.sack_blocks, plain.sack_blocks);
  same("mss", fast.mss, plain.mss);
  same("vlan", fast.vlan, plain.vlan);
  same("tunnel", fast.tunnel, plain.tunnel);
  same("icmp_sender", place(fast.icmp_sender), place(plain.icmp_sender));
  same("icmp_mtu", fast.icmp_mtu, plain.icmp_mtu);
  same("icmp_type", fast.icmp_type, plain.icmp_type);
  same("icmp_code", fast.icmp_code, plain.icmp_code);
  same("icmp_ttl", fast.icmp_ttl, plain.icmp_ttl);
  const wire::Fragment fragment = wire::decode_fragment(frame);
  same("fragment.id", fragment.id, slow.fragment.id);
  same("fragment.offset", fragment.offset, slow.fragment.offset);
  same("fragment.bytes", fragment.bytes, slow.fragment.bytes);
  same("fragment.more", fragment.more, slow.fragment.more);
  const wire::Neighbour neighbour = wire::decode_neighbour(frame);
  same("neighbour.target", place(neighbour.target), place(slow.neighbour.target));
  same("neighbour.answer", neighbour.answer, slow.neighbour.answer);
  if (neighbour.target != nullptr) same("neighbour.version", neighbour.version, slow.neighbour.version);
  return text;
}

}  // namespace tcpwhy::test
