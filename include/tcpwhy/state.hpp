#pragma once
// The states of a TCP socket, with the numbers of Linux include/net/tcp_states.h
// that sock_diag and /proc/net/tcp speak.

#include <cstddef>
#include <cstdint>

namespace tcpwhy {

enum class State : std::uint8_t {
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

}  // namespace tcpwhy
