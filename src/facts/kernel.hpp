#pragma once
// What the kernel itself tells while connections fail: its events, its words for
// its own numbers, and what is read beside them once a second. Room `host` fills
// these, `diagnose` judges them. Times are CLOCK_MONOTONIC, nanoseconds.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "facts/kernel_event.h"
#include "tcpwhy/host.hpp"

namespace tcpwhy::facts {

/// The kernel's words for its own numbers, without their prefix: "NO_SOCKET".
struct ReasonNames {
  std::vector<std::string> reset, drop;
  [[nodiscard]] std::string_view reset_reason(std::uint32_t n) const { return at(reset, n); }
  [[nodiscard]] std::string_view drop_reason(std::uint32_t n) const { return at(drop, n); }

 private:
  static std::string_view at(const std::vector<std::string>& words, std::uint32_t n) {
    return n < words.size() && !words[n].empty() ? std::string_view{words[n]} : std::string_view{"NOT_SPECIFIED"};
  }
};

struct ListenerSample {
  Endpoint at;
  std::uint32_t queue = 0, limit = 0, drops = 0;
  std::uint32_t requests = 0;         ///< half-open ones of its SYN queue
  std::uint32_t inode = 0;
};

/// What the kernel holds of one connection at a moment.
struct Glance {
  State state = State::kClose;        ///< CLOSE: nothing
  std::uint64_t bytes_received = 0;
  bool ended = false;                 ///< it was open after the event, and is over
  bool empty = false;                 ///< it ended so, and not an octet of payload had come
  std::uint32_t alike = 0;            ///< requests of other addresses with the same two ports
};

/// One look at a network namespace.
struct NamespaceSample {
  std::uint32_t netns = 0;            ///< inode of its nsfs file
  bool from_birth = false;            ///< the namespace is younger than the watch: its counters began at 0
  Counters counters;
  std::vector<ListenerSample> listeners;
  /// Connections whose retransmission timer has fired; only where no event may be had.
  std::vector<Socket> stuck;
};

/// The connection that ended so was there at `at_ns`: opened before, or at, and over after it. Ports come back at once, and the
/// tuple's next connection was not. An end that knows no birth says nothing.
bool was_there(const tw_ended& end, std::uint64_t at_ns);

/// The ends of an event: on this host, and the other.
Endpoint local_end(const tw_event& e);
Endpoint remote_end(const tw_event& e);

}  // namespace tcpwhy::facts
