#pragma once
// The states of a TCP socket, with the numbers of Linux include/net/tcp_states.h that sock_diag speaks.

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

/// As `ss` prints it.
constexpr const char* ss_name(State s) {
  switch (s) {
    case State::kEstablished: return "ESTAB";
    case State::kSynSent: return "SYN-SENT";
    case State::kSynRecv: return "SYN-RECV";
    case State::kFinWait1: return "FIN-WAIT-1";
    case State::kFinWait2: return "FIN-WAIT-2";
    case State::kTimeWait: return "TIME-WAIT";
    case State::kClose: return "UNCONN";
    case State::kCloseWait: return "CLOSE-WAIT";
    case State::kLastAck: return "LAST-ACK";
    case State::kListen: return "LISTEN";
    case State::kClosing: return "CLOSING";
    case State::kNewSynRecv: return "SYN-RECV";
  }
  return "?";
}

/// Both ends have agreed on sequence numbers (RFC 9293 3.3.2).
constexpr bool is_synchronized(State s) {
  switch (s) {
    case State::kEstablished:
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kTimeWait:
    case State::kCloseWait:
    case State::kLastAck:
    case State::kClosing: return true;
    case State::kSynSent:
    case State::kSynRecv:
    case State::kClose:
    case State::kListen:
    case State::kNewSynRecv: return false;
  }
  return false;
}

/// Our FIN is queued or sent.
constexpr bool has_sent_fin(State s) {
  return s == State::kFinWait1 || s == State::kFinWait2 || s == State::kClosing || s == State::kLastAck ||
         s == State::kTimeWait;
}

}  // namespace tcpwhy
