#pragma once
// When a segment of the handshake that was not answered comes again.

#include <chrono>

#include "tcpwhy/time.hpp"

namespace tcpwhy::facts {

/// The first retransmission timeout of a connection (RFC 6298 2.1).
inline constexpr Duration kInitialTimeout = std::chrono::seconds{1};
/// A client that still wants to connect has repeated its SYN by then: after one second (RFC 6298 2.1), and Linux's timer
/// wheel may be an eighth late (kernel/time/timer.c).
inline constexpr Duration kSynRepeated = std::chrono::milliseconds{1200};

}  // namespace tcpwhy::facts
