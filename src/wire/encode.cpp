// A Draft becomes bytes from the inside out: options, TCP, IP, Ethernet. The
// checksums come last, over what is then there.

#include "wire/encode.hpp"

#include <algorithm>
#include <initializer_list>

#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMostOptions = 40;
constexpr std::uint8_t kNop = 1;

void put16(Bytes& to, std::uint32_t v) {
  to.push_back(static_cast<std::uint8_t>(v >> 8));
  to.push_back(static_cast<std::uint8_t>(v));
}
void put32(Bytes& to, std::uint32_t v) {
  put16(to, v >> 16);
  put16(to, v);
}
void put(Bytes& to, std::span<const std::uint8_t> octets) {
  to.insert(to.end(), octets.begin(), octets.end());
}
void put(Bytes& to, std::initializer_list<std::uint8_t> octets) { to.insert(to.end(), octets); }
void set16(Bytes& in, std::size_t at, std::uint32_t v) {
  in[at] = static_cast<std::uint8_t>(v >> 8);
  in[at + 1] = static_cast<std::uint8_t>(v);
}

std::span<const std::uint8_t> address(const Draft& draft, const std::array<std::uint8_t, 16>& octets) {
  return std::span{octets}.first(draft.ip_version == 4 ? 4 : 16);
}

Bytes options(const Draft& draft) {
  Bytes b;
  const bool permits = draft.sack_permitted == SackPermitted::kYes;
  if (draft.mss) {
    put(b, {2, 4});
    put16(b, *draft.mss);
  }
  if (draft.timestamps) {
    // SACK permitted takes the place of the two NOPs that align the timestamps.
    if (permits) put(b, {4, 2});
    else put(b, {kNop, kNop});
    put(b, {8, 10});
    put32(b, draft.timestamps->value);
    put32(b, draft.timestamps->echo);
  } else if (permits) {
    put(b, {kNop, kNop, 4, 2});
  }
  if (draft.window_scale) put(b, {kNop, 3, 3, *draft.window_scale});
  const std::size_t room = b.size() + 4 <= kMostOptions ? (kMostOptions - b.size() - 4) / 8 : 0;
  const std::size_t blocks = std::min(draft.sack_blocks.size(), room);
  if (blocks != 0) {
    put(b, {kNop, kNop, 5, static_cast<std::uint8_t>(2 + 8 * blocks)});
    for (std::size_t i = 0; i < blocks; ++i) {
      put32(b, draft.sack_blocks[i].left.raw());
      put32(b, draft.sack_blocks[i].right.raw());
    }
  }
  return b;
}

Bytes tcp(const Draft& draft) {
  const Bytes list = options(draft);
  Bytes b;
  put16(b, draft.source_port);
  put16(b, draft.destination_port);
  put32(b, draft.seq.raw());
  put32(b, draft.ack.raw());
  b.push_back(static_cast<std::uint8_t>((20 + list.size()) / 4 << 4));
  b.push_back(draft.flags);
  put16(b, draft.window);
  put32(b, 0);  // checksum and urgent pointer
  put(b, list);
  put(b, draft.payload);

  Bytes summed;
  put(summed, address(draft, draft.source));
  put(summed, address(draft, draft.destination));
  put32(summed, static_cast<std::uint32_t>(b.size()));
  put32(summed, IpProtocol::kTcp);
  put(summed, b);
  set16(b, 16, internet_checksum(summed.data(), static_cast<std::uint32_t>(summed.size())));
  return b;
}

/// What the 16-bit length of an IP header says of `octets`.
std::uint32_t ip_length(std::size_t octets) {
  return octets <= 0xffff ? static_cast<std::uint32_t>(octets) : 0;
}

Bytes ipv4(const Draft& draft, const Bytes& segment) {
  constexpr std::uint32_t kDontFragment = 0x4000;
  Bytes b = {0x45, draft.tos};
  put16(b, ip_length(20 + segment.size()));
  put16(b, draft.ip_id);
  put16(b, draft.dont_fragment == DontFragment::kYes ? kDontFragment : 0);
  put(b, {draft.ttl, IpProtocol::kTcp});
  put16(b, 0);
  put(b, address(draft, draft.source));
  put(b, address(draft, draft.destination));
  set16(b, 10, internet_checksum(b.data(), 20));
  put(b, segment);
  return b;
}

Bytes ipv6(const Draft& draft, const Bytes& segment) {
  Bytes b;
  put32(b, 6u << 28 | std::uint32_t{draft.tos} << 20);
  put16(b, ip_length(segment.size()));
  put(b, {IpProtocol::kTcp, draft.ttl});
  put(b, address(draft, draft.source));
  put(b, address(draft, draft.destination));
  put(b, segment);
  return b;
}

}  // namespace

std::vector<std::uint8_t> encode(const Draft& draft, Around around) {
  const Bytes packet = draft.ip_version == 4 ? ipv4(draft, tcp(draft)) : ipv6(draft, tcp(draft));
  if (around == Around::kNothing) return packet;
  // Locally administered addresses, RFC 9542 2.1: they belong to nobody.
  Bytes frame = {0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02};
  put16(frame, draft.ip_version == 4 ? EtherType::kIpv4 : EtherType::kIpv6);
  put(frame, packet);
  return frame;
}

}  // namespace tcpwhy::wire
