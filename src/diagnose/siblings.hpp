#pragma once
// The other attempts to reach the same service, as far as the survey sampled
// them: what a listener did to others while it did not answer this one.

#include <cstdint>
#include <optional>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose {

struct Siblings {
  std::uint32_t half_open = 0;        ///< answered before this SYN, never completed, not yet timed out
  std::uint32_t unserved = 0;         ///< completed before this SYN, the application showed nothing of itself
  std::uint32_t served = 0;           ///< completed before this SYN, the application spoke or closed
  std::uint32_t accepted_meanwhile = 0;  ///< began after this one's first SYN and before its last, and completed
  std::uint32_t others_failed = 0;    ///< of other client addresses, not answered
  // The same client address only, within 60 s before this SYN (or while it was repeated):
  std::uint32_t larger_accepted = 0;  ///< accepted with a TSval above this SYN's
  std::uint32_t larger_before = 0;    ///< of them, before this one's SYN
  std::uint32_t larger_meanwhile = 0; ///< of them, while this one was being repeated
  std::uint32_t smaller_accepted = 0; ///< accepted with a TSval not above this SYN's: the check would have passed nothing
  std::uint32_t also_refused = 0;     ///< other attempts below the accepted TSval that went unanswered
  std::uint64_t larger_connection = 0;
  std::uint32_t larger_tsval = 0;
  CaptureTime larger_at{};
};

Siblings siblings_of(const facts::Connection& c, const facts::ServiceFacts& service);

/// The first other attempt at the same service that was refused within half a minute after `since`.
std::optional<facts::Attempt> refused_after(const facts::Connection& c, const facts::Survey& survey, CaptureTime since);
/// A SYN of another connection to the same service was answered with SYN-ACK within [since, until).
bool listener_seen_between(const facts::Connection& c, const facts::Survey& survey, CaptureTime since, CaptureTime until);
/// How many other connections were complete when this one began, not reset, and without a word of the application: they
/// may lie in the accept queue, which the kernel empties with RSTs when the listener is closed.
std::uint32_t waiting_beside(const facts::Connection& c, const facts::Survey& survey);

/// The client aborts its connections to this service as soon as they are answered, this one and at least two more, and
/// nobody ever says a word: a check that the port answers, as balancers make them (HAProxy), not a failure.
bool is_port_check(const facts::Connection& c, const facts::Survey& survey);

/// The client kept another attempt of the same instant and reset this one before any data: dual-port-race.
bool raced_another(const facts::Connection& c, const facts::Survey& survey);

}  // namespace tcpwhy::diagnose
