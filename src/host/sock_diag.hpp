#pragma once
// NETLINK_SOCK_DIAG, spoken directly: dumps of TCP sockets, and single look-ups.

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "tcpwhy/host.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

/// A netlink socket in the calling thread's network namespace.
class SockDiag {
 public:
  static Result<SockDiag> open();
  ~SockDiag();
  SockDiag(SockDiag&& other) noexcept : fd_{std::exchange(other.fd_, -1)}, buffer_{std::move(other.buffer_)} {}
  SockDiag(const SockDiag&) = delete;
  SockDiag& operator=(const SockDiag&) = delete;
  SockDiag& operator=(SockDiag&&) = delete;

  /// What is asked beside the cheap header. The kernel locks every socket for tcp_info.
  enum class Detail : std::uint8_t { kHeader, kInfo, kDrops };
  using Take = std::function<void(const facts::Socket&, const facts::SocketInfo*)>;

  /// Every TCP socket of one family (AF_INET, AF_INET6) in one of `states` (bits 1 << state).
  Result<std::uint64_t> dump(int family, std::uint32_t states, Detail detail, const Take& take);
  static constexpr std::uint64_t kAnyCookie = ~std::uint64_t{0};  // INET_DIAG_NOCOOKIE, twice
  /// tcp_info of the given sockets, asked one by one; those that are gone are left out.
  Result<std::uint64_t> look_up(std::span<const facts::Socket* const> sockets,
                                const std::function<void(std::size_t, const facts::SocketInfo&)>& take);

 private:
  explicit SockDiag(int fd);
  int fd_ = -1;
  std::vector<char> buffer_;
};

inline constexpr std::uint32_t kAllStates = 0x1ffe;  ///< 1 << ESTABLISHED … 1 << NEW_SYN_RECV
constexpr std::uint32_t bit(State s) { return 1u << static_cast<unsigned>(s); }

}  // namespace tcpwhy::host
