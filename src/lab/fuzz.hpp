#pragma once
// Trials by chance on the model and on the kernel at hand: where do they differ? A difference counts when it comes back;
// it is then cut down to what it needs. Decision 0013.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lab/compare.hpp"
#include "lab/fuzz_trial.hpp"

namespace tcpwhy::lab {

struct FuzzOptions {
  std::uint64_t first_seed = 1;
  std::uint64_t trials = 0;            ///< 0: until `seconds` have passed
  double seconds = 60;                 ///< while the tool runs: what it was stopped for does not count
  unsigned at_once = 32;               ///< trials wait nearly all their time, so many run beside each other
  FastOpenTrials fast_open = FastOpenTrials::kNone;
  std::uint8_t ip_version = 4;
  Leeway leeway;
  std::string kernel = "6.18";         ///< the model's
};

/// One difference, cut down, and everything about it.
struct Find {
  Trial trial;
  std::string signature;  ///< what kind of difference: equal for two finds that look alike
  std::string text;       ///< both runs side by side
  std::optional<std::string> script;
};

struct FuzzTally {
  std::uint64_t trials = 0, differ = 0;
  std::vector<std::uint64_t> unsteady;  ///< seeds of those that differed once and not again, or never alone
  std::uint64_t by_lateness = 0;  ///< differed until the model was late by microseconds, or less than a tick: a real host is
  std::map<std::string, std::uint64_t> by_signature;
};

/// Calls `found` for the first of every signature, one at a time.
///
/// Errors: those of run_on_kernel().
[[nodiscard]] Result<FuzzTally> fuzz(const FuzzOptions& options, const std::function<void(const Find&)>& found);

/// The kind of the first difference, empty when they agree: of packets, else of calls, else of counters.
[[nodiscard]] std::string signature(const Comparison& comparison);

}  // namespace tcpwhy::lab
