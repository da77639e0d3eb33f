#pragma once
// `tcpwhy watch`: what the user asked for.

#include <string>
#include <vector>

#include "cli/options.hpp"

namespace tcpwhy::cli {

struct WatchOptions {
  std::vector<std::string> netns;  ///< names of /run/netns, paths, process ids; empty: the own one
  bool all = false;                ///< every network namespace of this machine
  bool cost = false;               ///< measure and print what the programs cost
  double duration_s = 0;           ///< 0: until a signal
  Format format = Format::kText;
};
int watch(const WatchOptions& options);

}  // namespace tcpwhy::cli
