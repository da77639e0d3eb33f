#pragma once
// The states of a TCP socket, with the numbers of Linux include/net/tcp_states.h
// that sock_diag and /proc/net/tcp speak, and the one a vantage adds.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tcpwhy {

enum class State : std::uint8_t {
  kUnseen = 0,  ///< the vantage does not show it
  kEstablished = 1,
  kSynSent,
  kSynRecv,
  kFinWait1,
  kFinWait2,
  kTimeWait,
  kClose,
  kCloseWait,
  kLastAck,
  kListen,
  kClosing,
  kNewSynRecv,  ///< a request socket; `ss` prints SYN-RECV for both
};
inline constexpr std::size_t kStates = 13;  ///< one past the highest number

std::string_view to_string(State state);  ///< "ESTABLISHED", "SYN_RECV", …; "UNSEEN"
std::string_view ss_name(State state);    ///< as `ss` prints it: "ESTAB", "SYN-RECV", …
std::optional<State> state_from_string(std::string_view word);  ///< of a socket: never kUnseen

}  // namespace tcpwhy
