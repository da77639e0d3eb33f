#pragma once
// The kernel's route to an address, asked by rtnetlink: source, gateway, interface,
// MTU, and what is known of the next hop.

#include "facts/probe.hpp"

namespace tcpwhy::probe {

facts::ProbeRoute read_route(const facts::Address& target);
/// State of the next hop in the neighbour table: "REACHABLE", "FAILED"; empty where none is known.
std::string read_neighbour(const facts::Address& next_hop);

}  // namespace tcpwhy::probe
