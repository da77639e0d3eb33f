// The path held packets back longer than the sender's timer: what it sent again
// had not been lost. D-SACK (RFC 2883) and echoed timestamps (RFC 3522) tell.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  for (Party sender : {Party::kClient, Party::kServer}) {
    std::vector<std::int32_t> spurious;
    Duration longest{};
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
      if (c.segment(i).from() != sender || c.note(i).repeat != Repeat::kSpurious) continue;
      spurious.push_back(i);
      if (const std::int32_t first = c.note(i).original; first >= 0)
        longest = std::max(longest, c.segment(i).time - c.segment(first).time);
    }
    if (spurious.empty()) continue;
    const std::size_t n = spurious.size();
    if (spurious.size() > 20) spurious.resize(20);
    out.note(Bearing::kSupports, spurious, {}, [&] {
      std::string text = fmt::format("{} sent {} segment{} again that had arrived (D-SACK, timestamp echo or a crossing ACK)",
                                     name(sender), n, n == 1 ? "" : "s");
      if (longest.count() > 0) text += fmt::format(", up to {} after the first transmission", say(longest));
      return text;
    });
  }
  if (!out.empty()) out.passed();
}

}  // namespace

extern const Cause kPathDelaySpikeCause;
const Cause kPathDelaySpikeCause = {
    .id = CauseId::kPathDelaySpike,
    .title = "The path held segments back; what was sent again had not been lost.",
    .benign = true,
    .side = facts::Side::kPath,
    .role = Role::kTrouble,
    .signals = facts::Signal::kRepeat | facts::Signal::kDsack,
    .settles = "captures on both sides: the time each segment spent between them",
    .fix = {"look for queues that fill (bufferbloat), radio links that pause, or hosts that stop for a while"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
