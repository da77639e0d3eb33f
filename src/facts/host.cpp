// Questions one may ask of a host's snapshot.

#include "tcpwhy/host.hpp"

#include <charconv>

namespace tcpwhy::facts {
namespace {


bool is_any(const Address& a) {
  return std::all_of(a.bytes.begin(), a.bytes.end(), [](std::uint8_t b) { return b == 0; });
}

}  // namespace

std::optional<std::int64_t> Namespace::sysctl(std::string_view key) const {
  auto it = sysctls.find(key);
  if (it == sysctls.end()) return std::nullopt;
  std::int64_t value = 0;
  const char* begin = it->second.data();
  if (std::from_chars(begin, begin + it->second.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

std::optional<std::int64_t> Namespace::counter(std::string_view key) const {
  auto it = counters.find(key);
  if (it == counters.end()) return std::nullopt;
  return it->second;
}

std::optional<std::int64_t> Namespace::rise(std::string_view key) const {
  if (!earlier) return std::nullopt;
  auto now = counters.find(key), then = earlier->counters.find(key);
  if (now == counters.end() || then == earlier->counters.end()) return std::nullopt;
  return now->second - then->second;
}

const Socket* Namespace::listener(const Endpoint& local) const {
  const Socket* best = nullptr;
  int best_rank = 0;
  for (const Socket& s : sockets) {
    if (s.state != State::kListen) break;
    if (s.local.port != local.port) continue;
    // A dual-stack listener on :: takes IPv4 too.
    const int rank = s.local.address == local.address ? 3
                     : !is_any(s.local.address)       ? 0
                     : s.local.address.version == local.address.version ? 2
                     : s.local.address.version == 6   ? 1
                                                      : 0;
    if (rank > best_rank) {
      best = &s;
      best_rank = rank;
    }
  }
  return best;
}

}  // namespace tcpwhy::facts
