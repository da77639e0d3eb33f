#pragma once
// Questions into an established connection: how large a packet passes, and what a
// SYN on its ports meets. Raw segments beside a socket of the kernel's.

#include "probe/session.hpp"

namespace tcpwhy::probe {

/// The largest packet towards the server that arrives, by halving.
void ask_sizes(Session& session, facts::ProbeAddress& address);
/// Only where wanted.
void ask_half_open(Session& session, facts::ProbeAddress& address);

}  // namespace tcpwhy::probe
