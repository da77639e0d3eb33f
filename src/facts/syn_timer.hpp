#pragma once
// How long a client may take to say a second time that it wants to connect.

#include <chrono>

#include "tcpwhy/time.hpp"

namespace tcpwhy::facts {

/// A client that still wants to connect has repeated its SYN by then: after one second (RFC 6298 2.1), and Linux's timer
/// wheel may be an eighth late (kernel/time/timer.c).
inline constexpr Duration kSynRepeated = std::chrono::milliseconds{1200};

}  // namespace tcpwhy::facts
