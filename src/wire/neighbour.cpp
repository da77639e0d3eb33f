// Who has this address: ARP (RFC 826) and neighbour discovery (RFC 4861) in one
// shape, so that a next hop that nobody answers for can be seen.

#include "wire/bytes.hpp"
#include "wire/numbers.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {

/// A question asks for the target's protocol address; an answer, and an
/// announcement that asks for its own address (RFC 5227 3), tell the sender's.
Next read_arp(Walk& walk, Segment& out) {
  constexpr std::uint32_t kHeader = 8;
  constexpr std::uint16_t kRequest = 1, kReply = 2;
  if (walk.captured < kHeader) return too_short(walk, kHeader, out);
  const std::uint32_t hardware = walk.at[4];
  const std::uint16_t operation = be16(walk.at + 6);
  const bool known = be16(walk.at + 2) == EtherType::kIpv4 && walk.at[5] == 4 &&
                     (operation == kRequest || operation == kReply);
  if (!known) return done(out, Kind::kNotIp);  // RARP, and other protocols' addresses
  const std::uint32_t needed = kHeader + 2 * (hardware + 4);
  if (walk.captured < needed) return too_short(walk, needed, out);

  const std::uint8_t* sender = walk.at + kHeader + hardware;
  const std::uint8_t* target = sender + 4 + hardware;
  const bool answer = operation == kReply || std::memcmp(sender, target, 4) == 0;
  walk.neighbour = {.target = answer ? sender : target, .answer = answer, .version = 4};
  out.ip_version = 4;
  return done(out, Kind::kArp);
}

/// Solicitations ask, advertisements answer, both about the target in them.
Next read_neighbour_discovery(Walk& walk, Segment& out) {
  constexpr std::uint32_t kMessage = 24;  // RFC 4861 4.3, 4.4: up to the target's end
  constexpr std::uint8_t kAdvertisement = 136;
  if (walk.captured < kMessage) return done(out, Kind::kOtherIp);
  walk.neighbour = {.target = walk.at + 8, .answer = walk.at[0] == kAdvertisement, .version = 6};
  return done(out, Kind::kArp);
}

}  // namespace tcpwhy::wire
