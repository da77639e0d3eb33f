#pragma once
// What one Linux host told about itself at one moment: sockets, queues, counters,
// settings and processes, per network namespace. Nothing here decides anything:
// room `host` fills it (or reads it from a file), `diagnose` judges it.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/state.hpp"

namespace tcpwhy::facts {

/// Which timer of the socket runs (inet_diag_msg.idiag_timer).
enum class SocketTimer : std::uint8_t { kNone = 0, kRetransmit = 1, kKeepalive = 2, kTimeWait = 3, kWindowProbe = 4 };

/// What tcp_info adds, for the sockets it was asked of. Ages in ms before the reading.
struct SocketInfo {
  std::uint32_t last_data_sent_ms = 0, last_data_received_ms = 0, last_ack_received_ms = 0;
  std::uint32_t rto_us = 0, rtt_us = 0;
  std::uint32_t unacked = 0, total_retrans = 0;
  std::uint32_t segments_in = 0, data_segments_out = 0;  ///< 0: this kernel does not tell
  std::uint32_t receive_window = 0, send_window = 0;  ///< bytes; 0xffffffff: this kernel does not tell
  State state = State::kUnseen;    ///< when it was asked, which may be a moment after the dump
  std::uint64_t bytes_received = 0, bytes_acked = 0;
  std::uint32_t drops = 0;         ///< packets dropped for the socket; read of listeners only
  static constexpr std::uint32_t kUntold = 0xffffffffu;
  /// Nothing came and nothing was sent for this long.
  [[nodiscard]] std::uint32_t silent_ms() const {
    return std::min({last_data_sent_ms, last_data_received_ms, last_ack_received_ms});
  }
};

/// One socket. Compact: a host may hold millions.
struct Socket {
  Endpoint local, remote;
  std::uint64_t cookie = 0;
  std::uint64_t cgroup = 0;
  std::uint32_t inode = 0;         ///< 0: no process holds it (orphan, request, TIME_WAIT, or not accepted yet)
  std::uint32_t uid = 0;
  std::uint32_t mark = 0;
  std::uint32_t receive_queue = 0; ///< LISTEN: connections waiting for accept(); else bytes nobody has read
  std::uint32_t send_queue = 0;    ///< LISTEN: the limit of that queue; else bytes nobody has acknowledged
  std::uint32_t expires_ms = 0;    ///< until the timer fires
  std::int32_t info = -1;          ///< index into Namespace::infos
  State state = State::kClose;
  SocketTimer timer = SocketTimer::kNone;
  std::uint8_t retries = 0;        ///< timeouts, or probes, since the last answer
};

struct Process {
  std::int64_t pid = 0;
  std::string comm;
  char state = '?';                ///< as in /proc/PID/stat: T is stopped
  std::uint32_t descriptors = 0;   ///< open ones
  std::uint64_t descriptor_limit = 0;  ///< RLIMIT_NOFILE soft; 0 unknown
};

/// Counters by their kernel names ("ListenOverflows", "Tcp.InErrs" is "InErrs").
using Counters = std::map<std::string, std::int64_t, std::less<>>;

/// A reading taken a little earlier, for what only a difference can tell.
struct EarlierReading {
  double seconds = 0;              ///< between that reading and the snapshot's counters
  Counters counters;
  std::unordered_map<std::uint64_t, std::uint32_t> accept_queues;  ///< by the listener's cookie
};

/// One network namespace.
struct Namespace {
  std::uint64_t id = 0;            ///< inode of its nsfs file
  std::string name;                ///< as `ip netns` or the user names it; may be empty
  std::vector<Socket> sockets;     ///< listeners first
  std::vector<SocketInfo> infos;
  std::uint64_t sockets_total = 0; ///< may exceed sockets.size() when the bound was reached
  std::array<std::uint64_t, kStates> by_state{};  ///< all of them
  std::uint64_t infos_wanted = 0;  ///< sockets that would have been asked for tcp_info; more than infos.size(): a sample was
  Counters counters;
  std::optional<EarlierReading> earlier;
  std::map<std::string, std::string, std::less<>> sysctls;  ///< "net.ipv4.tcp_syncookies" → "1"
  std::optional<std::uint64_t> conntrack_count, conntrack_max;
  std::vector<Address> addresses;  ///< of this namespace's interfaces

  [[nodiscard]] std::optional<std::int64_t> sysctl(std::string_view key) const;  ///< the first number of its value
  [[nodiscard]] std::optional<std::int64_t> counter(std::string_view key) const;
  /// How much a counter rose since the earlier reading; empty when nobody looked twice.
  [[nodiscard]] std::optional<std::int64_t> rise(std::string_view key) const;
  [[nodiscard]] const SocketInfo* info(const Socket& s) const {
    return s.info < 0 ? nullptr : &infos[static_cast<std::size_t>(s.info)];
  }
  [[nodiscard]] std::uint64_t count(State s) const { return by_state[static_cast<std::size_t>(s)]; }
  /// The listener a connection to `local` belongs to: the exact address before the wildcard.
  [[nodiscard]] const Socket* listener(const Endpoint& local) const;
};

struct HostSnapshot {
  std::string kernel;              ///< uname -r
  CaptureTime time{};
  std::vector<Namespace> namespaces;
  std::unordered_map<std::uint32_t, std::uint32_t> owner;  ///< socket inode → index into processes
  std::vector<Process> processes;
  std::vector<std::string> quality;  ///< what could not be read and why, a sentence each

  [[nodiscard]] const Process* process(const Socket& s) const {
    auto it = owner.find(s.inode);
    return s.inode == 0 || it == owner.end() ? nullptr : &processes[it->second];
  }
};

}  // namespace tcpwhy::facts
