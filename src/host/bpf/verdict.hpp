#pragma once
// What the kernel's words come to: one verdict for a connection, or one finding for a listener. Causes are ids of the
// catalogue (product.md section 4) as text, because this room may not know diagnose. Times are CLOCK_MONOTONIC.

#include <cstdint>
#include <string>
#include <vector>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::host {

struct KernelProcess {
  std::uint32_t pid = 0;     ///< 0 unknown
  std::string comm;
  std::uint32_t signal = 0;  ///< that ended it, 0 none
};

struct KernelRival {
  std::string cause, because;
};

struct KernelDiagnosis {
  std::string cause;
  std::string verdict;       ///< "proven", "likely", "possible"
  facts::Side side = facts::Side::kUnknown;
  std::string summary;
  std::vector<std::string> evidence;
  std::string settles;
  std::vector<std::string> fix;
  std::vector<KernelRival> rivals;  ///< each "possible"
};

struct KernelListener {
  facts::Endpoint at;
  std::uint32_t queue = 0, limit = 0;
  std::uint64_t drops = 0;   ///< its share since watch began
};

struct KernelVerdict {
  enum class Kind : std::uint8_t { kConnection, kFinding } kind = Kind::kConnection;
  facts::Endpoint client, server;
  bool roles_inferred = false;
  facts::Side vantage = facts::Side::kUnknown;  ///< which end is on this host; kPath: both, or neither
  std::uint64_t start_ns = 0, end_ns = 0;
  std::string outcome, client_state, server_state;
  facts::Side ended_by = facts::Side::kUnknown;
  std::uint64_t bytes_in = 0, bytes_sent = 0;   ///< payload at this host's end
  bool healthy = false;
  std::vector<KernelDiagnosis> diagnoses;
  KernelProcess process;
  std::string reset_reason, drop_reason;        ///< the kernel's own words, empty when it said none
  std::uint32_t netns = 0;
  std::vector<KernelListener> listeners;        ///< of a finding
  std::vector<std::string> counters;            ///< "ListenOverflows +12"
  std::uint64_t connections = 1;
};

}  // namespace tcpwhy::host
