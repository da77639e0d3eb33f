#include "tcpwhy/state.hpp"

namespace tcpwhy {

std::string_view to_string(State state) {
  switch (state) {
    case State::kUnseen: return "UNSEEN";
    case State::kEstablished: return "ESTABLISHED";
    case State::kSynSent: return "SYN_SENT";
    case State::kSynRecv: return "SYN_RECV";
    case State::kFinWait1: return "FIN_WAIT1";
    case State::kFinWait2: return "FIN_WAIT2";
    case State::kTimeWait: return "TIME_WAIT";
    case State::kClose: return "CLOSE";
    case State::kCloseWait: return "CLOSE_WAIT";
    case State::kLastAck: return "LAST_ACK";
    case State::kListen: return "LISTEN";
    case State::kClosing: return "CLOSING";
    case State::kNewSynRecv: return "NEW_SYN_RECV";
  }
  return "?";  // a number no kernel we know gives
}

std::string_view ss_name(State state) {
  switch (state) {
    case State::kUnseen: return "UNSEEN";
    case State::kEstablished: return "ESTAB";
    case State::kSynSent: return "SYN-SENT";
    case State::kSynRecv:
    case State::kNewSynRecv: return "SYN-RECV";
    case State::kFinWait1: return "FIN-WAIT-1";
    case State::kFinWait2: return "FIN-WAIT-2";
    case State::kTimeWait: return "TIME-WAIT";
    case State::kClose: return "UNCONN";
    case State::kCloseWait: return "CLOSE-WAIT";
    case State::kLastAck: return "LAST-ACK";
    case State::kListen: return "LISTEN";
    case State::kClosing: return "CLOSING";
  }
  return "?";
}

std::optional<State> state_from_string(std::string_view word) {
  for (std::size_t i = 1; i < kStates; ++i)
    if (to_string(static_cast<State>(i)) == word) return static_cast<State>(i);
  return std::nullopt;
}

}  // namespace tcpwhy
