#pragma once
// Asks by connect(), several at once. The error queue of the socket (IP_RECVERR)
// names who sent an ICMP error, without any privilege.

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "probe/session.hpp"

namespace tcpwhy::probe {

struct ConnectPlan {
  facts::Endpoint target;
  facts::Ask ask = facts::Ask::kConnect;
  std::uint8_t ttl = 0;           ///< limits the packets of a kConnectShort; the hop meant by a kConnectOption
  std::uint16_t local_port = 0;   ///< 0: the kernel's choice
};

/// The connection itself, where it is wanted open.
class OpenSocket {
 public:
  OpenSocket() = default;
  explicit OpenSocket(int fd) : fd_{fd} {}
  ~OpenSocket();
  OpenSocket(OpenSocket&& o) noexcept : fd_{std::exchange(o.fd_, -1)} {}
  OpenSocket& operator=(OpenSocket&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Most packets that one connect() costs within `patience_s`: its SYNs and, once answered, ACK, FIN and last ACK.
std::uint32_t cost_of_connect(double patience_s);

/// Asks them all, at the session's pace, and waits for each at most `patience_s`. What got through is closed in order
/// (FIN). One answer each, in order.
std::vector<facts::Question> ask_by_connect(Session& session, std::span<const ConnectPlan> plans, double patience_s);

/// One connection that stays open; the question says why not where the socket is empty.
std::pair<OpenSocket, facts::Question> open_connection(Session& session, const ConnectPlan& plan, double patience_s);

/// Fills in what the tap heard of it: header, counts of SYN and SYN-ACK, an ICMP that the kernel did not report.
void add_what_was_heard(const Session& session, facts::Question& q);

}  // namespace tcpwhy::probe
