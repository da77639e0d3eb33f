#pragma once
// `tcpwhy watch`: what the user asked for, and how a kernel's verdict is written.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "host/bpf/verdict.hpp"

namespace tcpwhy::cli {

struct WatchOptions {
  std::vector<std::string> netns;  ///< names of /run/netns, paths, process ids; empty: the own one
  bool all = false;                ///< every network namespace of this machine
  bool cost = false;               ///< measure and print what the programs cost
  double duration_s = 0;           ///< 0: until a signal
  Format format = Format::kText;
};
int watch(const WatchOptions& options);

/// The connection (or finding) object of product.md section 2, with "process" and "kernel".
nlohmann::ordered_json kernel_object(const host::KernelVerdict& verdict, std::uint64_t id);
/// One line, and for a person the evidence below it.
std::string kernel_line(const host::KernelVerdict& verdict);

/// CLOCK_MONOTONIC, and the wall time it stands for.
std::uint64_t monotonic_ns();
std::string wall_time(std::uint64_t monotonic);  ///< RFC 3339 with nanoseconds, UTC

}  // namespace tcpwhy::cli
