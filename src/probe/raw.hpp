#pragma once
// Sends single TCP segments that no socket would send. Needs CAP_NET_RAW, and the
// tap to hear the answers. A bound socket keeps each local port from others; this
// host's kernel answers a SYN-ACK on it with RST, which ends the attempt politely.

#include <memory>
#include <optional>
#include <vector>

#include "probe/session.hpp"
#include "tcpwhy/result.hpp"
#include "wire/encode.hpp"

namespace tcpwhy::probe {

class RawSender {
 public:
  static Result<std::unique_ptr<RawSender>> open();
  ~RawSender();
  RawSender(const RawSender&) = delete;
  RawSender& operator=(const RawSender&) = delete;
  /// 0, or errno.
  [[nodiscard]] int send(const wire::Draft& draft) const;

 private:
  RawSender(int v4, int v6) : v4_{v4}, v6_{v6} {}
  int v4_, v6_;
};

/// A local port that nobody else gets while this lives.
class ReservedPort {
 public:
  explicit ReservedPort(const facts::Address& source);
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }  ///< 0: none to be had

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

struct RawPlan {
  facts::Endpoint target;
  facts::Ask ask = facts::Ask::kSynPlain;
  std::optional<std::uint32_t> tsval;
};

/// A draft with the addresses and ports filled in.
wire::Draft draft_to(const facts::Address& source, std::uint16_t local_port, const facts::Endpoint& target);

/// Asks one after the other (order matters to those who remember timestamps), each with `patience_s` to answer.
std::vector<facts::Question> ask_raw(Session& session, const facts::Address& source, std::span<const RawPlan> plans,
                                     double patience_s);

}  // namespace tcpwhy::probe
