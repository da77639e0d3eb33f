#pragma once
// What the kernel's words come to: one failed connection, or one finding about a
// listener. Times are CLOCK_MONOTONIC.

#include <cstdint>
#include <string>
#include <vector>

#include "facts/kernel.hpp"
#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose::kernel {

/// The process a socket belongs to, as far as its events told.
struct Owner {
  std::uint32_t pid = 0;     ///< 0 unknown
  std::string comm;
  std::uint32_t signal = 0;  ///< that ended it, 0 none
};

struct Failure {
  enum class Kind : std::uint8_t { kConnection, kFinding } kind = Kind::kConnection;
  facts::Endpoint client, server;
  bool roles_inferred = false;
  facts::Side vantage = facts::Side::kUnknown;  ///< which end is on this host; kPath: both, or neither
  std::uint64_t start_ns = 0, end_ns = 0;
  std::string outcome, client_state, server_state;
  facts::Side ended_by = facts::Side::kUnknown;
  std::uint64_t bytes_in = 0, bytes_sent = 0;   ///< payload at this host's end
  bool healthy = false;
  std::vector<Diagnosis> diagnoses;             ///< the first is the one that made it fail; no frames are cited
  Owner process;
  std::string reset_reason, drop_reason;        ///< the kernel's own words, empty when it said none
  std::uint32_t netns = 0;
  std::vector<facts::ListenerSample> listeners;  ///< of a finding; `drops` since the look before
  std::vector<std::string> counters;            ///< "ListenOverflows +12"
  std::uint64_t connections = 1;
};

}  // namespace tcpwhy::diagnose::kernel
