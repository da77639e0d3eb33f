#pragma once
// What surrounds a run: addresses, ports, tolerances. The defaults are those
// of the original's wrappers, so that public scripts run unchanged.

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "model/packet.hpp"
#include "script/script.hpp"

namespace tcpwhy::script {

/// kMapped: IPv6 sockets that speak IPv4 (::ffff:a.b.c.d).
enum class IpFamily : std::uint8_t { kIpv4, kIpv6, kMapped };

[[nodiscard]] std::string_view name(IpFamily family);
[[nodiscard]] std::optional<IpFamily> family_of(std::string_view name);
/// The family a script's `--ip_version` asks for.
[[nodiscard]] std::optional<IpFamily> family_of(const Script& script);
/// The names public suites expect to be defined on the command line: cookies for their addresses and key.
[[nodiscard]] Definitions definitions(IpFamily family);

struct RunSettings {
  IpFamily family = IpFamily::kIpv4;
  model::Address local, remote;              ///< on the wire
  model::SocketAddress bind_to, connect_to;  ///< as the application names them
  std::uint16_t mtu = 1500;
  Duration tolerance = std::chrono::milliseconds{4};
  double tolerance_percent = 12.5;  ///< of the wait since the event before
  Duration ts_tick{};               ///< 0: outgoing TSvals are not compared
  enum class Ecr : std::uint8_t { kKnown, kScaled } ecr = Ecr::kKnown;
  enum class Segments : std::uint8_t { kJoined, kStrict } segments = Segments::kJoined;
};

/// Addresses, and the MTU over IPv6, are the family's: the wrappers name them on the command line, which wins
/// over a script's own.
[[nodiscard]] std::variant<RunSettings, Complaint> settings_of(const Script& script, IpFamily family);

}  // namespace tcpwhy::script
