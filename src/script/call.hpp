#pragma once
// A system call, its arguments understood and its names turned into numbers.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "script/script.hpp"

namespace tcpwhy::script {

enum class CallName : std::uint8_t {
  kSocket,
  kBind,
  kListen,
  kAccept,
  kConnect,
  kRead,   ///< read, recv, recvfrom, readv, recvmsg
  kWrite,  ///< write, send, sendto, sendmsg, writev
  kClose,
  kShutdown,
  kFcntl,
  kIoctl,
  kGetsockopt,
  kSetsockopt,
  kPoll,
  kEpollCreate,
  kEpollCtl,
  kEpollWait,
};

/// What becomes of an argument that is a buffer.
enum class Buffer : std::uint8_t { kGiven, kNull };

/// Whether a call names an address, and which.
enum class Peer : std::uint8_t { kNone, kTest, kUnspecified };

struct PollEntry {
  int fd = 0;
  int events = 0;
  int revents = 0;  ///< in the script: expected; in an outcome: seen
};

/// `{events=, fd=}`, or `ptr=`, `u32=`, `u64=`: what a program gave epoll_ctl() and gets back.
struct EpollEvent {
  std::uint32_t events = 0;
  std::int64_t data = 0;
};

/// One control message of recvmsg(): an integer, or the six numbers of a sock_extended_err.
struct ControlMessage {
  int level = 0, type = 0;
  std::vector<std::int64_t> data;
  friend bool operator==(const ControlMessage&, const ControlMessage&) = default;
};

/// What recvmsg() says beside the octets.
struct MessageInfo {
  std::int64_t flags = 0;
  std::vector<ControlMessage> control;
};

struct Call {
  CallName name = CallName::kSocket;
  int fd = -1;              ///< in the script's numbering
  std::int64_t number = 0;  ///< type, backlog, bytes, how, command, timeout
  std::int64_t flags = 0;   ///< MSG_ flags; the argument of fcntl
  Buffer buffer = Buffer::kGiven;
  Peer peer = Peer::kNone;
  int level = 0, option = 0;  ///< of the two sockopt calls
  std::variant<std::int64_t, std::string> value{
      std::int64_t{0}};  ///< an option's value; linger: (on << 32) | seconds
  std::int64_t value_bytes = 0;
  std::vector<PollEntry> polled;
  EpollEvent event;          ///< of epoll_ctl; of epoll_wait: the first expected
  std::optional<MessageInfo> message;  ///< of recvmsg: expected
  int target = -1;           ///< of epoll_ctl, in the script's numbering
  std::int64_t at_most = 1;  ///< events of one epoll_wait
};

/// What a call returned.
struct Outcome {
  std::int64_t result = 0;
  int error = 0;
  std::variant<std::int64_t, std::string> value{std::int64_t{0}};  ///< getsockopt, ioctl
  std::vector<PollEntry> polled;
  EpollEvent event;  ///< the first
  MessageInfo message;
};

/// The numbers behind a call of the script.
[[nodiscard]] std::variant<Call, Complaint> understand_call(const Syscall& syscall, int line);
/// The number a script expects back.
[[nodiscard]] std::variant<std::int64_t, Complaint> understand_number(const Expr& expr, int line);

}  // namespace tcpwhy::script
