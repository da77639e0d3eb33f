#pragma once
// What an application asks of its host: system calls, and the views a person
// looks at (`ss`, `netstat -s`). The model of a host answers them, and so can a
// real kernel in a network namespace; an application cannot tell which.
//
// All sockets are non-blocking, as under epoll. Left out: threads, signals,
// anything of IP but addresses. A world is of IPv4 or of IPv6, never of both.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/time.hpp"

namespace tcpwhy::world {

/// A file descriptor: only sockets.
using Fd = int;

/// The well-known prefix of RFC 6052: where a world is of IPv6, the same 32 bits stand behind it.
inline constexpr std::array<std::uint8_t, 12> kPrefix6 = {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};

/// IPv4, host byte order; of IPv6 what stands behind kPrefix6.
struct Address {
  std::uint32_t ip = 0;
  std::uint16_t port = 0;
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// "192.0.2.1" and back; 0 when it is none.
std::uint32_t parse_ip(std::string_view text);
std::string ip_text(std::uint32_t ip, std::uint8_t version = 4);
/// In network order, IPv4 in the first four octets; 0 is any address. And back: nothing for an address that no world has.
std::array<std::uint8_t, 16> octets_of(std::uint32_t ip, std::uint8_t version);
std::optional<std::uint32_t> ip_of(const std::uint8_t* octets, std::uint8_t version);
std::string text(const Address& address);

enum class Option : std::uint8_t {
  kReuseAddress,  ///< SO_REUSEADDR
  kLinger,        ///< SO_LINGER: seconds; -1 off, 0 an abortive close
  kKeepAlive,     ///< SO_KEEPALIVE
  kKeepIdle,      ///< TCP_KEEPIDLE, seconds
  kKeepInterval,  ///< TCP_KEEPINTVL, seconds
  kKeepCount,     ///< TCP_KEEPCNT
  kDeferAccept,   ///< TCP_DEFER_ACCEPT, seconds
  kUserTimeout,   ///< TCP_USER_TIMEOUT, milliseconds
  kSynCount,      ///< TCP_SYNCNT
  kLinger2,       ///< TCP_LINGER2, seconds
  kReceiveBuffer, ///< SO_RCVBUF, octets
  kSendBuffer,    ///< SO_SNDBUF, octets
  kNoDelay,       ///< TCP_NODELAY
  kFastOpen,      ///< TCP_FASTOPEN: requests with data that may wait
  kFastOpenConnect,  ///< TCP_FASTOPEN_CONNECT
};

enum class How : std::uint8_t { kRead, kWrite, kBoth };

/// What epoll would say of a descriptor.
struct Ready {
  bool readable = false, writable = false, error = false, hangup = false;
  friend bool operator==(const Ready&, const Ready&) = default;
  [[nodiscard]] bool any() const { return readable || writable || error || hangup; }
};

/// One line of `ss -nta`, states by their names in ss: LISTEN, SYN-RECV, ESTAB.
struct SocketRow {
  std::string state;
  Address local, remote;
  std::uint64_t recv_q = 0, send_q = 0;
  std::string timer;  ///< as `ss -o` prints it, empty without
};

/// A host as its applications see it.
///
/// Result: of every call the kernel's: zero or more, or -errno.
class System {
 public:
  virtual ~System() = default;

  virtual int socket() = 0;
  virtual int set(Fd fd, Option option, int value) = 0;
  virtual int bind(Fd fd, Address local) = 0;
  virtual int listen(Fd fd, int backlog) = 0;
  /// -EINPROGRESS when the SYN is out.
  virtual int connect(Fd fd, Address remote) = 0;
  virtual int accept(Fd fd) = 0;
  virtual long send(Fd fd, std::string_view data) = 0;
  /// Appends what it read to `into`; 0 is the end of the stream.
  virtual long receive(Fd fd, std::size_t most, std::string& into) = 0;
  virtual int shutdown(Fd fd, How how) = 0;
  virtual int close(Fd fd) = 0;
  /// SO_ERROR: the pending error, which is then forgotten.
  virtual int error(Fd fd) = 0;
  virtual Ready poll(Fd fd) = 0;
  virtual Address local(Fd fd) = 0;
  virtual Address remote(Fd fd) = 0;

  /// /proc/net/netstat (TcpExt) and the Tcp: line of /proc/net/snmp, together.
  virtual std::map<std::string, std::uint64_t> counters() = 0;
  virtual std::vector<SocketRow> sockets() = 0;
};

}  // namespace tcpwhy::world
