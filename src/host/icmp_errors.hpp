#pragma once
// ICMP errors about segments of ours, as they arrive. An errno alone does not tell a filter's refusal from a missing
// route, and no tracepoint carries the code.

#include <functional>
#include <utility>

#include "facts/kernel.hpp"

namespace tcpwhy::host {

/// Raw sockets in the network namespace of the thread that opens them. Without the right to (CAP_NET_RAW) there is
/// nothing to read.
class IcmpErrors {
 public:
  static IcmpErrors open();
  IcmpErrors() = default;
  ~IcmpErrors();
  IcmpErrors(IcmpErrors&& other) noexcept : four_{std::exchange(other.four_, -1)}, six_{std::exchange(other.six_, -1)} {}
  IcmpErrors& operator=(IcmpErrors&& other) noexcept {
    std::swap(four_, other.four_);
    std::swap(six_, other.six_);
    return *this;
  }

  /// What has come since the last call: destination unreachable, about TCP. The events carry no namespace.
  void read(std::uint64_t now_ns, const std::function<void(tw_event&)>& each) const;

 private:
  int four_ = -1, six_ = -1;
};

}  // namespace tcpwhy::host
