#include "world/packet.hpp"

#include <algorithm>
#include <cassert>

#include "model/reset_rules.hpp"
#include "wire/encode.hpp"
#include "world/model_host.hpp"
#include "world/system.hpp"

namespace tcpwhy::world {
namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kIcmp6 = 58;
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

/// RFC 8200 3.
void ip6_header(std::vector<std::uint8_t>& to, const Packet& p, std::uint32_t source, std::uint32_t destination,
                std::uint8_t protocol, std::size_t payload, std::uint8_t ttl) {
  put32(to, 0x6000'0000u | std::uint32_t{p.tos} << 20);
  put16(to, static_cast<std::uint32_t>(payload));
  to.push_back(protocol);
  to.push_back(ttl);
  for (const std::uint32_t ip : {source, destination}) {
    const auto octets = octets_of(ip, 6);
    to.insert(to.end(), octets.begin(), octets.end());
  }
}

std::uint32_t ip_header_bytes(const Packet& p) { return p.ip_version == 6 ? 40 : 20; }

std::uint32_t option_bytes(const Packet& p) {
  std::uint32_t n = 0;
  if (p.mss) n += 4;
  if (p.timestamps) n += 12;
  else if (p.sack_permitted) n += 4;
  if (p.window_scale) n += 4;
  if (!p.sack.empty()) n += static_cast<std::uint32_t>(4 + 8 * std::min<std::size_t>(p.sack.size(), p.timestamps ? 3 : 4));
  return n;
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

/// RFC 4443 2.3, 3: the checksum covers a pseudo header, and a size is 32 bits long.
std::vector<std::uint8_t> encode_icmp6(const Packet& p) {
  std::vector<std::uint8_t> body = {p.icmp->type, p.icmp->code, 0, 0};
  put32(body, p.icmp->mtu);
  ip6_header(body, p, p.icmp->quoted_source, p.icmp->quoted_destination, kTcp, 20 + p.payload.size(), p.ttl);
  put16(body, p.source_port);
  put16(body, p.destination_port);
  put32(body, p.seq.raw());
  std::vector<std::uint8_t> summed;
  for (const std::uint32_t ip : {p.source, p.destination}) {
    const auto octets = octets_of(ip, 6);
    summed.insert(summed.end(), octets.begin(), octets.end());
  }
  put32(summed, static_cast<std::uint32_t>(body.size()));
  put32(summed, kIcmp6);
  summed.insert(summed.end(), body.begin(), body.end());
  const std::uint16_t sum = checksum(summed);
  body[2] = static_cast<std::uint8_t>(sum >> 8);
  body[3] = static_cast<std::uint8_t>(sum);
  std::vector<std::uint8_t> bytes;
  ip6_header(bytes, p, p.source, p.destination, kIcmp6, body.size(), 64);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

}  // namespace

std::uint32_t Packet::ip_bytes() const {
  const std::uint32_t header = ip_header_bytes(*this);
  if (icmp) return header + 8 + header + kQuotedOctets;
  return header + 20 + option_bytes(*this) + static_cast<std::uint32_t>(payload.size());
}

std::vector<std::uint8_t> encode(const Packet& p) {
  if (p.icmp) return p.ip_version == 6 ? encode_icmp6(p) : encode_icmp(p);
  wire::Draft d;
  d.ip_version = p.ip_version;
  d.source = octets_of(p.source, p.ip_version);
  d.destination = octets_of(p.destination, p.ip_version);
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
  if (s.kind != wire::Kind::kTcp && s.kind != wire::Kind::kIcmpError) return std::nullopt;
  const auto source = ip_of(s.source, s.ip_version), destination = ip_of(s.destination, s.ip_version);
  if (!source || !destination) return std::nullopt;
  Packet p;
  p.ip_version = s.ip_version;
  p.source = *source;
  p.destination = *destination;
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
    p.source = ip_of(s.icmp_sender, s.ip_version).value_or(0);
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
