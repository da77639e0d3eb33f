// The two ways a host sends a RST: as the answer to one segment, made from that segment alone, and as the
// last word of a connection, which looks like any other segment of it. One can be told from the other in a
// capture, and neither can be faked well without knowing which it was.

#include "model/kernel.hpp"
#include "model/reset_rules.hpp"

namespace tcpwhy::model {

using Flag = wire::Flag;

// Linux net/ipv4/ip_output.c ip_send_unicast_reply(): DF as a fresh socket has it. With DF the ID says
// nothing, but kernels of 3.10 to 4.12 filled it in all the same.
Packet& Kernel::answer(const Packet& offender) {
  Packet& out = step->sent.emplace_back();
  out.source = offender.destination;
  out.destination = offender.source;
  out.source_port = offender.destination_port;
  out.destination_port = offender.source_port;
  out.ttl = static_cast<std::uint8_t>(config.sysctls.ip_default_ttl);
  out.tos = offender.tos;
  if (config.kernel.reset_tos == ResetTos::kWithoutEcn) out.tos = static_cast<std::uint8_t>(out.tos & ~3u);
  ++answers;
  switch (config.kernel.stateless_ip_id) {
    case StatelessIpId::kZero: break;
    case StatelessIpId::kNonzero:
      out.ip_id = static_cast<std::uint16_t>(mix(config.seed + answers) | 1u);
      break;
  }
  count(Mib::kOutSegs);
  return out;
}

// Linux net/ipv4/tcp_ipv4.c tcp_v4_send_reset(); RFC 9293 3.10.7.1.
void Kernel::send_reset(const Packet& offender, Rule why) {
  const auto shape = reset_for(offender);
  if (!shape) return because(Rule::kNoRstForRst);
  because(why);
  Packet& out = answer(offender);
  out.seq = shape->seq;
  out.ack = shape->ack;
  out.flags = shape->flags;
  count(Mib::kOutRsts);
}

// Linux net/ipv4/tcp_output.c tcp_send_active_reset().
void Kernel::send_active_reset(Endpoint& e, Rule why) {
  because(why);
  count(Mib::kOutRsts);
  emit(e, Flag::kRst | Flag::kAck, acceptable_seq(e));
}

}  // namespace tcpwhy::model
