#pragma once
// A script turned into what a runner carries out, all of it before any of it
// runs: numbers for names, effects for commands, and a host to start from.

#include <variant>
#include <vector>

#include "model/host.hpp"
#include "script/call.hpp"
#include "script/code.hpp"
#include "script/run.hpp"

namespace tcpwhy::script {

struct PreparedCall {
  Call call;
  std::int64_t result = 0;
  std::optional<int> error;  ///< an errno that is compared
};

/// What an event asks for; nothing for a packet, which is used as it was read.
using Prepared = std::variant<std::monostate, PreparedCall, std::vector<Effect>, CodeBlock>;

struct Preparation {
  RunSettings settings;
  model::HostConfig host;
  std::vector<Effect> init, cleanup;
  std::vector<Prepared> events;  ///< one per event of the script
};

[[nodiscard]] std::variant<Preparation, Complaint> prepare(const Script& script, const RunOptions& options,
                                                           const ReadFile& read_file);

/// The octets of `net.ipv4.tcp_fastopen_key`; empty when it cannot be read. Linux proc_tcp_fastopen_key().
[[nodiscard]] std::vector<std::uint8_t> fastopen_key(std::string_view value);

}  // namespace tcpwhy::script
