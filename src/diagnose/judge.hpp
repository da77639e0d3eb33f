#pragma once
// Verdicts. Nothing but the evidence and the rivals may raise or lower them.

#include <cstddef>
#include <optional>

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {

/// `rivals`: other specific causes of the same role, not ruled out, that explain
/// as much. A generic cause and its specifics are no rivals of each other.
/// Empty: silence is no evidence.
constexpr std::optional<Verdict> judge(const Tally& tally, std::size_t rivals) {
  if (tally.contradicts != 0) return Verdict::kRuledOut;
  if (tally.demands != 0) return Verdict::kProven;
  if (tally.supports == 0) return tally.fits == 0 ? std::nullopt : std::optional{Verdict::kPossible};
  return rivals == 0 ? Verdict::kLikely : Verdict::kPossible;
}

}  // namespace tcpwhy::diagnose
