// TCP Fast Open, RFC 7413: data in the SYN for a client that has shown, by a cookie, that it is where it says.

#include "model/kernel.hpp"

namespace tcpwhy::model {

bool Kernel::try_fastopen(std::uint32_t, const Packet&, Request&, std::uint32_t) { return false; }

CallResult Kernel::fastopen_send(int, std::uint64_t, std::uint32_t, const SocketAddress&, std::span<const std::uint8_t>) {
  return {.value = -1, .error = Errno::kEOPNOTSUPP, .blocked = false};
}

bool Kernel::queue_syn_data(Endpoint&) { return false; }

bool Kernel::defer_fastopen(Endpoint&) { return false; }

bool Kernel::fastopen_synack(Endpoint&, const Packet&) { return false; }

void Kernel::forget_fastopen_request(Endpoint& e) { e.fastopen_child = false; }

void Kernel::fastopen_established(Endpoint& e) { e.fastopen_child = false; }

void Kernel::fire_fastopen_synack(Endpoint& e, std::uint32_t) { e.synack_at = kNever; }

}  // namespace tcpwhy::model
