#pragma once
// Names of C and their Linux numbers.

#include <cstdint>
#include <optional>
#include <string_view>

namespace tcpwhy::script {

/// `SOCK_STREAM`, `EINVAL`, `POLLIN`: its number on Linux, or nothing.
[[nodiscard]] std::optional<std::int64_t> symbol(std::string_view name);

/// The name of an errno, or `?`.
[[nodiscard]] std::string_view errno_name(int number);

}  // namespace tcpwhy::script
