#pragma once
// A script is followed whole or not at all: this finds the first thing of a
// script that no runner of ours could carry out, before anything is run.

#include <optional>

#include "script/shell.hpp"

namespace tcpwhy::script {

/// Nothing when every setting, command, call, packet and assertion is understood.
[[nodiscard]] std::optional<Complaint> first_not_understood(const Script& script, const ReadFile& read_file);

}  // namespace tcpwhy::script
