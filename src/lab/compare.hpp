#pragma once
// The same experiment on the model and on the kernel at hand: packet for packet
// within each connection, call for call, counter for counter.
//
// Left out: timestamps' clocks, IP IDs and TTLs, and what is not at the experiment's tap.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// By how much a real host may be later than the model and still agree with it.
struct Leeway {
  Duration tick = std::chrono::milliseconds{4};   ///< of the running kernel: one second by CONFIG_HZ
  Duration busy = std::chrono::milliseconds{20};  ///< what a scheduler adds to anything
};

/// How late the kernel's timer wheel may fire a timer that was set to `wait`: the
/// granularity of the level it is sorted into, at most an eighth of the wait.
///
/// Source: Linux kernel/time/timer.c, calc_wheel_index() and LVL_START.
[[nodiscard]] Duration wheel_lateness(Duration wait, Duration tick);

/// One row of two columns: what the model has, what the kernel has, or both.
struct Pair {
  enum class Has : std::uint8_t { kBoth, kModelOnly, kKernelOnly } has = Has::kBoth;
  Duration model{}, kernel{};  ///< since the beginning of the experiment
  std::size_t connection = 0;  ///< in Comparison::connections; of a call: meaningless
  std::string line;            ///< numbers from each side's first
  bool apart = false;          ///< in both, but at times no timer wheel explains
  [[nodiscard]] bool agrees() const { return has == Has::kBoth && !apart; }
};

struct CounterPair {
  std::string host, name;
  std::optional<std::int64_t> model;  ///< by how much it moved; nothing: the model does not count this
  std::int64_t kernel = 0;
  [[nodiscard]] bool agrees() const { return model == kernel; }
};

struct Comparison {
  std::vector<std::string> connections;  ///< "192.0.2.1:40000 > 198.51.100.1:80", as the model numbered them
  std::vector<Pair> packets;             ///< at the experiment's tap, in the model's order
  std::vector<Pair> calls;               ///< what the applications got
  std::vector<CounterPair> counters;     ///< that moved on either
  [[nodiscard]] bool agrees() const;
};

[[nodiscard]] Comparison compare(const Run& model, const Run& kernel, const Leeway& leeway);

[[nodiscard]] std::string text(const Comparison& c, const Run& model, const Run& kernel, const Leeway& leeway);
/// One object a line: the comparison, then packets, calls and counters; docs/formats/jsonl.md.
[[nodiscard]] std::string jsonl(const Comparison& c, const Run& model, const Run& kernel);

}  // namespace tcpwhy::lab
