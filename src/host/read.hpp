#pragma once
// A host's snapshot: from this machine, or from a file that --save wrote.

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "host/proc.hpp"
#include "tcpwhy/host.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

/// Where to look.
struct Where {
  std::vector<std::string> namespaces;  ///< names below /run/netns, or paths of nsfs files
  std::vector<std::int64_t> pids;       ///< the namespaces of these processes
  bool all_namespaces = false;          ///< every namespace of a process or of /run/netns
};

struct ReadOptions {
  Where where;
  Owners owners = Owners::kYes;
  double wait_seconds = 1.0;            ///< between the two readings of counters and queues; 0: one reading
  std::uint64_t max_sockets = 2'000'000;  ///< per namespace; beyond it sockets are only counted
  std::uint64_t max_infos = 4096;       ///< sockets asked for tcp_info, per namespace
  const volatile bool* stop = nullptr;  ///< ends a wait early
};

Result<facts::HostSnapshot> snapshot(const ReadOptions& options);

/// One line per namespace, process and socket; docs/formats/host.md.
void save(const facts::HostSnapshot& snapshot, std::FILE* out);
Result<facts::HostSnapshot> load(const std::string& path);

}  // namespace tcpwhy::host
