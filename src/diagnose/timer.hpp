#pragma once
// Waits that a timer ended.

#include <chrono>

#include "tcpwhy/time.hpp"

namespace tcpwhy::diagnose {

/// Limits are set in whole seconds. A host that was busy is a little late; Windows' longer waits end up to 150 ms late
/// (seen in public captures: 30.1 s), and round limits are what is set there.
constexpr bool ended_by_timer(Duration wait) {
  using namespace std::chrono_literals;
  const Duration part = wait % 1s;
  const bool whole = part < 30ms || part > 980ms;
  return whole || (wait >= 10s && wait % 5s < 150ms);
}

}  // namespace tcpwhy::diagnose
