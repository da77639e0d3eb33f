#pragma once
// How far a SYN gets: connect() with rising TTL, needing no privilege.

#include "probe/session.hpp"

namespace tcpwhy::probe {

/// Ends at the first hop that ends it, or where nothing has answered for some hops. `at_least`: hops that are known to
/// be there, silent or not.
facts::Trace trace(Session& session, const facts::Endpoint& target, int at_least);

}  // namespace tcpwhy::probe
