#pragma once
// Verdicts. Nothing but the evidence and the rivals may raise or lower them.

#include <cstddef>
#include <optional>
#include <span>

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {

/// `rivals`: other specific causes of the same role, not ruled out, that explain
/// as much. A generic cause and its specifics are no rivals of each other.
/// Empty: silence is no evidence.
constexpr std::optional<Verdict> judge(std::span<const Evidence> evidence, std::size_t rivals) {
  bool demanded = false, supported = false, fitting = false;
  for (const Evidence& e : evidence) {
    if (e.bearing == Bearing::kContradicts) return Verdict::kRuledOut;
    demanded |= e.bearing == Bearing::kDemands;
    supported |= e.bearing == Bearing::kSupports;
    fitting |= e.bearing == Bearing::kFits;
  }
  if (demanded) return Verdict::kProven;
  if (!supported) return fitting ? std::optional{Verdict::kPossible} : std::nullopt;
  return rivals == 0 ? Verdict::kLikely : Verdict::kPossible;
}

}  // namespace tcpwhy::diagnose
