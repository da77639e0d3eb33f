#pragma once
// Which sysctls a script may set, and what becomes of them.

#include <cstdint>
#include <string>
#include <string_view>

namespace tcpwhy::script {

enum class SysctlKind : std::uint8_t {
  kModelled,  ///< the model reads it
  kHarmless,  ///< changes nothing that scripts of connection management can see
  kAbsent,    ///< the kernel refuses the name or the value
  kUnknown,   ///< not known to us: the script is refused
};

/// `net.ipv4.tcp_ecn`, and the value written.
[[nodiscard]] SysctlKind sysctl_kind(std::string_view name, std::string_view value);

}  // namespace tcpwhy::script
