#pragma once
// The same experiment on the model and on the kernel at hand, packet for packet and counter for counter.

#include <string>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// One row of two columns: what the model has, what the kernel has, or both.
struct Pair {
  enum class Has : std::uint8_t { kBoth, kModelOnly, kKernelOnly } has = Has::kBoth;
  ModelTime model_time{}, kernel_time{};
  std::string line;  ///< ports by connection, numbers from each side's first, timestamps without their clock
};

struct CounterPair {
  std::string host, name;
  std::int64_t model = 0, kernel = 0;  ///< by how much it moved
};

struct Comparison {
  std::vector<Pair> packets;          ///< at the experiment's tap
  std::vector<Pair> calls;            ///< what the applications got
  std::vector<CounterPair> counters;  ///< that moved on either
  std::size_t late = 0;               ///< packets of both whose times differ by more than the tolerance
  [[nodiscard]] bool agrees() const;
};

/// Times compare within `tolerance`: a tick, and what a busy machine adds to it.
[[nodiscard]] Comparison compare(const Run& model, const Run& kernel, Duration tolerance);
[[nodiscard]] std::string text(const Comparison& c, const Run& model, const Run& kernel, Duration tolerance);

}  // namespace tcpwhy::lab
