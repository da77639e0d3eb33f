#pragma once
// The kernel's events and a look around once a second, judged as they come: what `watch` prints and what
// `-i IFACE --with-kernel` joins to its capture.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "diagnose/kernel/judge.hpp"
#include "host/bpf/events.hpp"
#include "host/namespaces.hpp"

namespace tcpwhy::cli {

std::uint64_t monotonic_ns();
/// Add it to CLOCK_MONOTONIC to get the time of day.
Duration wall_offset();

/// Owners of sockets, found by walking the open files of all processes, which is expensive: at most twice a second.
class Owners {
 public:
  diagnose::kernel::Owner of(std::uint64_t inode);

 private:
  facts::HostSnapshot all_;
  std::uint64_t walked_ns_ = 0;
};

class Follower {
 public:
  /// Without `events` it polls what can be polled.
  Follower(std::unique_ptr<host::KernelEvents> events, host::Namespaces::Reach reach, const std::vector<std::string>& only);

  /// Waits so many milliseconds at most for events, and looks around when a second has passed.
  void step(int milliseconds);
  std::vector<diagnose::kernel::Failure> due() { return judge_.due(monotonic_ns()); }
  /// The last look, and all that is left.
  std::vector<diagnose::kernel::Failure> rest();
  [[nodiscard]] const host::KernelEvents* events() const { return events_.get(); }
  /// Events that found a ring full, or too many others still to be judged.
  [[nodiscard]] std::uint64_t lost() const { return (events_ ? events_->totals().lost : 0) + judge_.overlooked(); }
  /// What that means, and what else the kernel left out, a sentence each.
  [[nodiscard]] std::vector<std::string> losses() const;

 private:
  std::optional<facts::Glance> look_at(const tw_event& e);
  bool has_sibling(const tw_event& e);
  void look_around();
  void say_stuck(const facts::NamespaceSample& sample, std::uint64_t now_ns);

  std::unique_ptr<host::KernelEvents> events_;
  host::Namespaces namespaces_;
  Owners owners_;
  facts::ReasonNames no_names_;
  diagnose::kernel::Judge judge_;
  std::map<std::pair<std::uint32_t, std::string>, std::vector<facts::Socket>> siblings_;  // by the other host
  std::uint64_t siblings_ns_ = 0, looked_ns_ = 0;
};

}  // namespace tcpwhy::cli
