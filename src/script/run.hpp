#pragma once
// Runs a script against the model in virtual time. A script that is not
// understood whole is refused before its first event.

#include <string>
#include <utility>
#include <vector>

#include "script/run_settings.hpp"
#include "script/shell.hpp"

namespace tcpwhy::script {

struct RunOptions {
  IpFamily family = IpFamily::kIpv4;
  std::string kernel;  ///< a profile's name; empty: the script's own note, or the newest
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< before the script's own commands
};

enum class Verdict : std::uint8_t { kPassed, kFailed, kRefused };

struct Report {
  Verdict verdict = Verdict::kPassed;
  Complaint complaint;             ///< where and why, unless it passed
  std::vector<std::string> story;  ///< every packet, call and rule, in order, with its time
};

/// Whether what came out is what the script's own note `//! expect:` asks for.
[[nodiscard]] bool as_expected(const Script& script, const Report& report);

[[nodiscard]] Report run(const Script& script, const RunOptions& options, const ReadFile& read_file);

}  // namespace tcpwhy::script
