// The path stopped carrying the connection, one way or both. Seen where one side
// is heard repeating itself although the other's acknowledgments passed here, or
// where both keep sending and neither acts on the other.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

bool taken_at(const facts::Connection& c, Party host) {
  return captured_at(c, host) ||
         c.vantage == (host == Party::kClient ? facts::Vantage::kClient : facts::Vantage::kServer);
}

/// Is the way from -> to dead beyond this vantage?
void examine_way(const facts::Connection& c, Party from, EvidenceList& out) {
  const Party to = other(from);
  if (captured_at(c, to)) return;  // what `from` sent arrived at the host of `to`: the path carried it
  const std::optional<Deaf> lost_acks = deaf(c, to);
  if (lost_acks && lost_acks->repeats.size() >= 3 && !taken_at(c, to)) {
    std::vector<std::int32_t> cited = lost_acks->repeats;
    cited.push_back(lost_acks->acked_by);
    out.note(Bearing::kSupports, cited, {}, [&] {
      return fmt::format("{} repeated its segment {} although {}'s acknowledgment had passed here (frame {})", name(to),
                         times(lost_acks->repeats.size()), name(from), c.segment(lost_acks->acked_by).frame);
    });
    out.says([&] { return fmt::format("The path stopped carrying segments from {} to {}.", name(from), name(to)); });
    // Only the very last ACK is missing: all data had arrived both ways (RFC 9293 3.6.1, TIME-WAIT answers until then).
    const bool formality = c.outcome == facts::Outcome::kCompleted && c.stream(from).fin_seen &&
                           std::all_of(lost_acks->repeats.begin(), lost_acks->repeats.end(),
                                       [&](std::int32_t i) { return c.segment(i).fin() && c.segment(i).payload_bytes == 0; });
    if (formality) out.harmless();
  }
  const std::optional<Unanswered> u = unanswered(c, from);
  if (!u || !given_time(c, *u) || u->heard_after < 0) return;
  if (c.segment(u->heard_after).rst()) return;  // that is an answer
  for (std::int32_t i = u->sends.front() + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() == to && s.sack_blocks > 0 && !s.dsack && after(s.sack_right, c.segment(u->sends.front()).seq)) {
      out.contradicts({i}, [&] {
        return fmt::format("{} reported later octets as received (SACK): the path still carries segments", name(to));
      });
      return;
    }
  }
  if (taken_at(c, to) || !refusals(c, *u).empty()) return;
  std::vector<std::int32_t> cited = u->sends;
  cited.push_back(u->heard_after);
  out.note(Bearing::kSupports, cited, {}, [&] {
    return fmt::format("{} repeated its data {} while {} was still heard and acknowledged none of it", name(from),
                       times(u->repeats()), name(to));
  });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  if (c.stream(Party::kClient).rst_seen && c.stream(Party::kServer).rst_seen) return;
  if (c.outcome == facts::Outcome::kCompleted && (c.quality.capture_gap || c.quality.coverage_cut)) return;  // the last ACK may have been missed
  examine_way(c, Party::kClient, out);
  examine_way(c, Party::kServer, out);
}

}  // namespace

extern const Cause kPathBlackholeCause;
const Cause kPathBlackholeCause = {
    .id = CauseId::kPathBlackhole,
    .title = "The path stopped carrying the connection's segments.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd | facts::Signal::kRepeat,
    .settles = "captures on both hosts at the same time: what leaves one and does not reach the other",
    .fix = {"follow the route of the dead direction (traceroute -T -p PORT from that side); look for a route change, "
            "an asymmetric firewall or a failed link of an ECMP group"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
