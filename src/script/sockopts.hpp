#pragma once
// Socket options by their Linux numbers, as far as the model has them.

#include <cstdint>
#include <optional>

#include "model/host.hpp"

namespace tcpwhy::script {

enum class OptionKind : std::uint8_t {
  kInteger,      ///< one integer: see SocketOptionRow::option
  kLinger,       ///< SO_LINGER
  kFastOpenKey,  ///< TCP_FASTOPEN_KEY, octets
  kPathMtu,      ///< IP_MTU: read only, of a connection
  kCongestion,   ///< TCP_CONGESTION, a name; the model has cubic
  kIgnored,      ///< setting it changes nothing a script of connection management can see
};

struct SocketOptionRow {
  int level = 0, number = 0;
  OptionKind kind = OptionKind::kInteger;
  model::SocketOption option = model::SocketOption::kReuseAddr;
};

[[nodiscard]] std::optional<SocketOptionRow> socket_option(int level, int number);

}  // namespace tcpwhy::script
