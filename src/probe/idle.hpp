#pragma once
// How long may a connection be idle before something on the path forgets it?
// Several connections wait at once; the kernel's keepalive asks afterwards, so that
// no privilege is needed and no application is disturbed.

#include "probe/session.hpp"

namespace tcpwhy::probe {

/// Only where wanted; ends within Options::idle_s.
void ask_idle(Session& session, facts::ProbeAddress& address);

}  // namespace tcpwhy::probe
