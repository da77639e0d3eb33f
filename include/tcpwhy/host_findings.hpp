#pragma once
// From a host's snapshot to findings: what is wrong on this machine now, whose it
// is, by which numbers, and what to do. docs/decisions/0007-host-findings.md gives
// the reason of every threshold.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tcpwhy/explain.hpp"
#include "tcpwhy/host.hpp"

namespace tcpwhy::diagnose {

struct HostOptions {
  /// How long a socket must have been silent before its state is called stuck.
  double patience_s = 60;
};

struct ListenerEvidence {
  facts::Endpoint endpoint;
  std::uint32_t queue = 0, limit = 0;    ///< connections waiting for accept(), and their limit
  std::string limit_from;                ///< "backlog" or "net.core.somaxconn": which of the two binds
  std::uint64_t requests = 0;            ///< half-open requests (SYN queue)
  std::optional<double> oldest_wait_s;   ///< of the connections waiting
};

struct ProcessEvidence {
  facts::Process process;
  std::uint64_t sockets = 0;             ///< of this finding
};

/// Sockets alike, and one of them to look at.
struct SocketsEvidence {
  State state{};
  std::uint64_t count = 0;
  std::string where;                     ///< what they have in common: "to 192.0.2.1:80", "on 0.0.0.0:443"
  std::optional<double> oldest_s;        ///< silent for
  std::optional<std::uint64_t> unread_bytes, unacknowledged_bytes;
  std::vector<std::string> examples;     ///< "local → peer", at most three
};

struct CounterEvidence {
  std::string name;
  std::int64_t value = 0;
  std::optional<std::int64_t> rise;      ///< within `seconds`
  double seconds = 0;
};

struct SysctlEvidence {
  std::string name, value;
};

struct HostFinding {
  std::string cause;                     ///< id of the catalogue, product.md section 4
  Verdict verdict = Verdict::kLikely;
  facts::Side side = facts::Side::kUnknown;
  std::string network_namespace;         ///< empty: the only one looked at
  std::string summary;
  std::optional<ListenerEvidence> listener;
  std::vector<ProcessEvidence> processes;  ///< most sockets first
  std::vector<SocketsEvidence> sockets;
  std::vector<CounterEvidence> counters;
  std::vector<SysctlEvidence> sysctls;
  std::vector<std::string> notes;        ///< further evidence, a sentence each
  std::vector<std::string> fix;
};

/// The findings, gravest first: proven before likely before possible.
std::vector<HostFinding> find_on_host(const facts::HostSnapshot& host, const HostOptions& options);

}  // namespace tcpwhy::diagnose
