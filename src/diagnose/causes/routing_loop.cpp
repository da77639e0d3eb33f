// TTL exceeded came back, or one packet passed again and again with falling TTL.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  // RFC 792 type 11 code 0, RFC 4443 type 3 code 0: hop limit exceeded in transit.
  std::vector<std::uint32_t> exceeded;
  const facts::IcmpFact* first = nullptr;
  for (const facts::IcmpFact& e : c.icmp)
    if (((e.version == 4 && e.type == 11) || (e.version == 6 && e.type == 3)) && e.code == 0) {
      if (first == nullptr) first = &e;
      exceeded.push_back(e.frame);
    }
  if (first != nullptr)
    out.note(Bearing::kSupports, {}, exceeded, [&] {
      return fmt::format("router {} returned ICMP time exceeded for the {}'s segment: its TTL ran out on the way", to_string(first->sender),
                         ending::who(first->quoted_from));
    });

  // The same IP packet again, one or more hops older each time.
  std::vector<std::int32_t> rounds;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()) && rounds.empty(); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    std::uint8_t ttl = s.ttl;
    std::vector<std::int32_t> again{i};
    for (std::int32_t k = i + 1; k < static_cast<std::int32_t>(c.segments.size()); ++k) {
      const facts::SegmentFact& t = c.segment(k);
      if (t.from() != s.from() || t.seq != s.seq || t.ack != s.ack || t.flags != s.flags || t.payload_bytes != s.payload_bytes ||
          t.ip_id != s.ip_id || t.tsval != s.tsval || t.ttl >= ttl)
        continue;
      ttl = t.ttl;
      again.push_back(k);
    }
    if (again.size() >= 3) rounds = again;
  }
  if (rounds.empty()) return;
  const facts::SegmentFact &s = c.segment(rounds.front()), &t = c.segment(rounds.back());
  out.note(Bearing::kDemands, rounds, {}, [&] {
    return fmt::format("the same packet of the {} passed here {} times in {}, its TTL falling from {} to {}", ending::who(s.from()),
                       rounds.size(), ending::span(t.time - s.time), s.ttl, t.ttl);
  });
}

}  // namespace

extern const Cause kRoutingLoopCause;
const Cause kRoutingLoopCause = {
    .id = CauseId::kRoutingLoop,
    .title = "Two routers send the packets back and forth until their TTL runs out.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kRoutingLoop | facts::Signal::kIcmp,
    .settles = "traceroute -T to that address and port: the same two routers alternate",
    .fix = {"compare the routes of the two routers that alternate in traceroute: usually a default route pointing back for a prefix that is down",
            "add a blackhole route for the aggregate on the router that owns the prefix"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
