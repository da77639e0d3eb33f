#pragma once
// The plan: which questions are asked of each address, and in which order.

#include "facts/probe.hpp"
#include "probe/session.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::probe {

/// Asks everything; an Error only where nothing could be asked (no such name).
Result<facts::Probe> ask(const Options& options);

}  // namespace tcpwhy::probe
