#pragma once
// The reset that answers a segment for which there is no connection, and what TIME_WAIT says to a segment.

#include <optional>

#include "model/packet.hpp"

namespace tcpwhy::model {

/// RFC 9293 3.10.7.1; Linux net/ipv4/tcp_ipv4.c tcp_v4_send_reset(). Empty when the segment is itself a
/// reset. Window 0, no options, IP ID 0; the TOS byte comes back without its ECN bits.
[[nodiscard]] inline std::optional<Packet> reset_for(const Packet& in) {
  if (in.rst()) return std::nullopt;
  Packet out;
  out.source = in.destination;
  out.destination = in.source;
  out.source_port = in.destination_port;
  out.destination_port = in.source_port;
  out.tos = static_cast<std::uint8_t>(in.tos & ~3u);
  out.flags = wire::Flag::kRst;
  if (in.has_ack()) {
    out.seq = in.ack;
  } else {
    out.flags |= wire::Flag::kAck;
    out.ack = in.end();
  }
  return out;
}

}  // namespace tcpwhy::model
