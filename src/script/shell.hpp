#pragma once
// The few shell commands scripts call between backticks. Everything else is
// refused: a command that is not carried out would make the rest a lie.

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "script/script.hpp"

namespace tcpwhy::script {

/// What a command asks of the machine.
struct SetSysctl {
  std::string name, value;
};
/// `tc qdisc add dev tun0 root pfifo limit 0`: the queue drops every packet and says so to TCP.
struct DropEgress {};
/// The default queue again.
struct RestoreEgress {};
/// `ip link set dev tun0 mtu N`, `ip route change ... mtu N`
struct SetMtu {
  std::uint16_t mtu = 0;
};
/// `ip tcp_metrics flush all`
struct FlushMetrics {};
/// `grep " 0A " /proc/net/tcp ... | grep ":1F90"`: fails unless somebody listens on the port.
struct ExpectListener {
  std::uint16_t port = 0;
};
/// `sleep N`
struct Sleep {
  Duration duration{};
};
/// A command that cannot succeed on this kernel, such as an unknown sysctl.
struct Fails {
  std::string why;
};

using Effect = std::variant<SetSysctl, DropEgress, RestoreEgress, SetMtu, FlushMetrics, ExpectListener, Sleep, Fails>;

/// Gives the text of a file beside the script, or nothing.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

/// The effects of one command line, in order. Of `a || b`, b only when a fails.
[[nodiscard]] std::variant<std::vector<Effect>, Complaint> understand_command(const std::string& command,
                                                                              int line,
                                                                              const ReadFile& read_file);

}  // namespace tcpwhy::script
