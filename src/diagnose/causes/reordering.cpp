// The network delivered segments out of order; nothing was lost by it.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.quality.capture_reordered) return;  // the capture's doing, not the network's
  for (Party sender : {Party::kClient, Party::kServer}) {
    std::vector<std::int32_t> late;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i)
      if (c.segment(i).from() == sender && c.note(i).repeat == Repeat::kOutOfOrder) late.push_back(i);
    if (late.empty()) continue;
    const std::size_t n = late.size();
    if (late.size() > 20) late.resize(20);
    out.note(Bearing::kSupports, late, {}, [&] {
      return fmt::format("{} segment{} of {} arrived behind later ones", n, n == 1 ? "" : "s", name(sender));
    });
  }
  if (!out.empty()) out.passed();
}

}  // namespace

extern const Cause kReorderingCause;
const Cause kReorderingCause = {
    .id = CauseId::kReordering,
    .title = "The path delivered segments out of order; nothing was lost.",
    .benign = true,
    .side = facts::Side::kPath,
    .role = Role::kTrouble,
    .signals = facts::Signal::kOutOfOrder,
    .settles = "captures on both sides: the order in which they left and arrived",
    .fix = {"harmless unless frequent; then look for links that share one flow (per-packet balancing, wireless retries)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
