#pragma once
// tcp_info as the variables that assertions read.

#include "model/host.hpp"
#include "script/code.hpp"

namespace tcpwhy::script {

/// Adds tcpi_state, tcpi_rtt and the rest, by the names of Linux include/uapi/linux/tcp.h.
void add(const model::TcpInfo& info, Variables& to);

}  // namespace tcpwhy::script
