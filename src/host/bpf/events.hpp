#pragma once
// The kernel's own events, from the programs of watch.bpf.c. Opening loads and attaches them; the programs go with
// their reader, however it ends, because nothing is pinned. A real clock is read here and only here.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "facts/kernel.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

/// What one program has cost, by the kernel's own statistics.
struct ProgramCost {
  std::string name;
  std::uint64_t runs = 0, nanoseconds = 0;
};

struct EventTotals {
  std::uint64_t lost = 0, told = 0;     ///< events that found the ring full; handed over
  std::uint64_t missed = 0;             ///< runs of a program that the kernel left out, because one was interrupted by itself
  std::uint64_t opened = 0, closed = 0; ///< ends of connections seen to open and to end
};

struct EventOptions {
  std::vector<std::uint32_t> netns;  ///< inodes of the only network namespaces to tell of; none: all. Of more than eight all are told
  enum class Cost : std::uint8_t { kDoNotMeasure, kMeasure } cost = Cost::kDoNotMeasure;
};

class KernelEvents {
 public:
  virtual ~KernelEvents() = default;
  /// Waits for events, at most so long, and hands each over. Returns false when interrupted.
  virtual bool poll(int milliseconds, const std::function<void(const tw_event&)>& each) = 0;
  /// How the connection of an event's tuple ended, where it did a short while ago and is remembered.
  [[nodiscard]] virtual std::optional<tw_ended> ended(const tw_event& e) const = 0;
  [[nodiscard]] virtual EventTotals totals() const = 0;
  [[nodiscard]] virtual const facts::ReasonNames& names() const = 0;
  [[nodiscard]] virtual std::vector<ProgramCost> costs() const = 0;
  /// What this kernel does not tell, a sentence each.
  [[nodiscard]] virtual const std::vector<std::string>& shortcomings() const = 0;
};

/// Loads and attaches. The error says what is missing: the build, the right, or the kernel.
Result<std::unique_ptr<KernelEvents>> open_kernel_events(const EventOptions& options);

}  // namespace tcpwhy::host
