#pragma once
// Between the script's numbers and those on the wire: a script counts from
// the initial sequence numbers it names, the wire from those the hosts chose.

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/packet.hpp"
#include "script/run_settings.hpp"

namespace tcpwhy::script {

/// Where the runner believes a socket of the script stands.
enum class Stage : std::uint8_t {
  kNew,
  kListening,
  kPacketReceived,  ///< passive: the script's first packet came in
  kSynAckSent,
  kSynAckAcked,
  kConnecting,
  kSynSent,
  kSynAcked,
};

/// One socket of a script and the numbers that belong to it.
struct Connection {
  Stage stage = Stage::kNew;
  int script_fd = -1, fd = -1;
  enum class Life : std::uint8_t { kOpen, kClosed } life = Life::kOpen;
  std::uint16_t local_port = 0, remote_port = 0;
  std::uint32_t script_local_isn = 0, local_isn = 0, remote_isn = 0;
  std::map<std::uint32_t, std::uint32_t> sent_tsvals;  ///< the script's number to the real one
  struct FirstTsval {
    std::uint32_t script = 0, real = 0;
  };
  std::optional<FirstTsval> first_tsval;
};

/// An outgoing packet and when it left.
struct Sent {
  ModelTime at;
  model::Packet packet;
};

/// The packet as a tcpdump would write it, its options in the order of Linux tcp_options_write(), numbers as
/// on the wire.
[[nodiscard]] TcpPacket as_written(const model::Packet& packet);

/// Wire numbers to the script's.
void to_script(const Connection& connection, TcpPacket& packet);

/// What is wrong with `next` as the continuation of the segments before it, or empty.
[[nodiscard]] std::string does_not_continue(const TcpPacket& before, const TcpPacket& next,
                                            std::uint32_t missing_bytes);

/// The difference between what the script expects and what was seen (script numbers), or empty. TSvals are
/// not compared here.
[[nodiscard]] std::string difference(const Packet& expected, const TcpPacket& seen, std::uint8_t tos,
                                     std::uint8_t ttl);

/// The packet a script sends into the host. A complaint (its line unset) when the script cannot mean
/// anything.
[[nodiscard]] std::variant<model::Packet, Complaint> to_wire(const Connection& connection,
                                                             const RunSettings& settings,
                                                             const Packet& packet);

/// The numbers of an ICMP message, which differ between the families.
struct IcmpNumbers {
  std::uint8_t type = 0, code = 0;
};
[[nodiscard]] std::optional<IcmpNumbers> icmp_numbers(const IcmpPacket& icmp, IpFamily family);

}  // namespace tcpwhy::script
