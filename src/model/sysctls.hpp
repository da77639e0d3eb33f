#pragma once
// The settings of one network namespace, by the kernel's names.

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "model/profile.hpp"

namespace tcpwhy::model {

struct Sysctls {
#define SYSCTL(name, value) std::int64_t name = value;
#include "model/sysctls.def"
#undef SYSCTL

  /// The defaults of that kernel.
  [[nodiscard]] static Sysctls of(const KernelProfile& kernel);
  /// Sets by name, with or without "net.ipv4." and "net.core."; numbers separated by blanks for
  /// tcp_rmem, tcp_wmem and ip_local_port_range. False: no such setting or no number.
  [[nodiscard]] bool set(std::string_view name, std::string_view value);
  [[nodiscard]] std::optional<std::int64_t> get(std::string_view name) const;
};

/// Does this kernel not have the setting, so that it changes nothing? Known of those that came or went with a behaviour.
[[nodiscard]] bool lacks(const KernelProfile& kernel, std::string_view setting);

}  // namespace tcpwhy::model
