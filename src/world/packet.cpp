#include "world/packet.hpp"

#include <algorithm>
#include <cassert>

#include "model/reset_rules.hpp"
#include "wire/encode.hpp"
#include "world/model_host.hpp"

namespace tcpwhy::world {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6;
constexpr std::uint8_t kQuotedOctets = 8;

void put16(std::vector<std::uint8_t>& to, std::uint32_t v) {
  to.push_back(static_cast<std::uint8_t>(v >> 8));
  to.push_back(static_cast<std::uint8_t>(v));
}
void put32(std::vector<std::uint8_t>& to, std::uint32_t v) {
  put16(to, v >> 16);
  put16(to, v & 0xFFFFu);
}

/// RFC 1071.
std::uint16_t checksum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
  while (sum >> 16) sum = (sum & 0xFFFFu) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void ip_header(std::vector<std::uint8_t>& to, const Packet& p, std::uint32_t source, std::uint32_t destination,
               std::uint8_t protocol, std::size_t payload, std::uint8_t ttl) {
  const std::size_t begin = to.size();
  to.push_back(0x45);
  to.push_back(p.tos);
  put16(to, static_cast<std::uint32_t>(20 + payload));
  put16(to, p.ip_id);
  put16(to, p.dont_fragment ? 0x4000 : 0);
  to.push_back(ttl);
  to.push_back(protocol);
  put16(to, 0);
  put32(to, source);
  put32(to, destination);
  const std::uint16_t sum = checksum(std::span{to}.subspan(begin, 20));
  to[begin + 10] = static_cast<std::uint8_t>(sum >> 8);
  to[begin + 11] = static_cast<std::uint8_t>(sum);
}

std::uint32_t option_bytes(const Packet& p) {
  std::uint32_t n = 0;
  if (p.mss) n += 4;
  if (p.timestamps) n += 12;
  else if (p.sack_permitted) n += 4;
  if (p.window_scale) n += 4;
  if (!p.sack.empty()) n += static_cast<std::uint32_t>(4 + 8 * std::min<std::size_t>(p.sack.size(), p.timestamps ? 3 : 4));
  return n;
}

std::array<std::uint8_t, 16> octets(std::uint32_t ip) {
  return {static_cast<std::uint8_t>(ip >> 24), static_cast<std::uint8_t>(ip >> 16), static_cast<std::uint8_t>(ip >> 8),
          static_cast<std::uint8_t>(ip)};
}

std::uint32_t number(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

std::vector<std::uint8_t> encode_icmp(const Packet& p) {
  std::vector<std::uint8_t> body = {p.icmp->type, p.icmp->code, 0, 0, 0, 0};
  put16(body, p.icmp->mtu);
  ip_header(body, p, p.icmp->quoted_source, p.icmp->quoted_destination, kTcp, 20 + p.payload.size(), p.ttl);
  put16(body, p.source_port);
  put16(body, p.destination_port);
  put32(body, p.seq.raw());
  static_assert(kQuotedOctets == 8);
  const std::uint16_t sum = checksum(body);
  body[2] = static_cast<std::uint8_t>(sum >> 8);
  body[3] = static_cast<std::uint8_t>(sum);
  std::vector<std::uint8_t> bytes;
  ip_header(bytes, p, p.source, p.destination, kIcmp, body.size(), 64);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

}  // namespace

std::uint32_t Packet::ip_bytes() const {
  if (icmp) return 20 + 8 + 20 + kQuotedOctets;
  return 40 + option_bytes(*this) + static_cast<std::uint32_t>(payload.size());
}

std::vector<std::uint8_t> encode(const Packet& p) {
  if (p.icmp) return encode_icmp(p);
  wire::Draft d;
  d.source = octets(p.source);
  d.destination = octets(p.destination);
  d.source_port = p.source_port;
  d.destination_port = p.destination_port;
  d.seq = p.seq;
  d.ack = p.ack;
  d.flags = p.flags;
  d.window = p.window;
  d.ttl = p.ttl;
  d.tos = p.tos;
  d.ip_id = p.ip_id;
  d.dont_fragment = p.dont_fragment ? wire::DontFragment::kYes : wire::DontFragment::kNo;
  d.mss = p.mss;
  d.window_scale = p.window_scale;
  d.sack_permitted = p.sack_permitted ? wire::SackPermitted::kYes : wire::SackPermitted::kNo;
  if (p.timestamps) d.timestamps = wire::Timestamps{p.timestamps->value, p.timestamps->echo};
  for (const auto& [left, right] : p.sack) d.sack_blocks.push_back({left, right});
  d.payload.assign(p.payload.begin(), p.payload.end());
  return wire::encode(d, wire::Around::kNothing);
}

std::optional<Packet> decode(std::span<const std::uint8_t> bytes) {
  Frame frame;
  frame.data = bytes.data();
  frame.captured = frame.original = static_cast<std::uint32_t>(bytes.size());
  frame.link = LinkType::kRaw;
  wire::Segment s;
  wire::decode(frame, wire::Checksums::kSkip, s);
  if (s.ip_version != 4 || (s.kind != wire::Kind::kTcp && s.kind != wire::Kind::kIcmpError)) return std::nullopt;
  Packet p;
  p.source = number(s.source);
  p.destination = number(s.destination);
  p.ip_id = s.ip_id;
  p.ttl = s.ttl;
  p.tos = s.tos;
  p.dont_fragment = s.dont_fragment;
  p.source_port = s.source_port;
  p.destination_port = s.destination_port;
  p.seq = s.seq;
  if (s.kind == wire::Kind::kIcmpError) {
    p.icmp = Packet::Icmp{s.icmp_type, s.icmp_code, s.icmp_mtu, p.source, p.destination};
    p.destination = p.source;
    p.source = number(s.icmp_sender);
    return p;
  }
  p.ack = s.ack;
  p.flags = s.flags;
  p.window = s.window;
  if (s.has(wire::Opt::kMss)) p.mss = s.mss;
  if (s.has(wire::Opt::kWindowScale)) p.window_scale = s.window_scale;
  p.sack_permitted = s.has(wire::Opt::kSackPermitted);
  if (s.has(wire::Opt::kTimestamps)) p.timestamps = Packet::Stamp{s.tsval, s.tsecr};
  for (unsigned i = 0; i < s.sack_blocks; ++i)
    p.sack.emplace_back(SeqNum{number(s.sack + 8 * i)}, SeqNum{number(s.sack + 8 * i + 4)});
  if (s.payload != nullptr) p.payload.assign(reinterpret_cast<const char*>(s.payload), s.captured_payload);
  return p;
}

Packet reset_for(const Packet& offender) {
  const auto reset = model::reset_for(to_model(offender));
  assert(reset && "nobody answers a RST with a RST");
  return from_model(*reset);
}

Packet icmp_about(const Packet& offender, std::uint32_t router, std::uint8_t type, std::uint8_t code, std::uint16_t mtu) {
  Packet e = offender;
  e.icmp = Packet::Icmp{type, code, mtu, offender.source, offender.destination};
  e.source = router;
  e.destination = offender.source;
  return e;
}

}  // namespace tcpwhy::world
