#pragma once
// `tcpwhy lab script`: packetdrill scripts against the model.

#include <string>
#include <utility>
#include <vector>

#include "cli/options.hpp"

namespace tcpwhy::cli {

struct ScriptOptions {
  std::vector<std::string> files;     ///< or directories, searched for *.pkt
  std::vector<std::string> families;  ///< empty: the script's own, or IPv4; "all": every one it allows
  std::string kernel;
  std::vector<std::pair<std::string, std::string>> sysctls, definitions;
  Format format = Format::kText;
  enum class Story : std::uint8_t { kOfFailures, kOfAll, kOfNone } story = Story::kOfNone;
};

int lab_script(const ScriptOptions& options);

}  // namespace tcpwhy::cli
