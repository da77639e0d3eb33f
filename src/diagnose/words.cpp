#include "diagnose/words.hpp"

namespace tcpwhy::diagnose::ending {

using facts::Party;

std::string_view who(Party p) { return p == Party::kClient ? "client" : "server"; }
std::string_view Who(Party p) { return p == Party::kClient ? "The client" : "The server"; }
facts::Side side(Party p) { return p == Party::kClient ? facts::Side::kClient : facts::Side::kServer; }

std::string span(Duration d) {
  const double s = seconds(d);
  if (s < 0.0095) return fmt::format("{:.1f} ms", s * 1e3);
  if (s < 0.95) return fmt::format("{:.0f} ms", s * 1e3);
  if (s < 99.5) return fmt::format("{:.1f} s", s);
  const auto whole = static_cast<long long>(s + 0.5);
  if (whole < 7200) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string octets(std::uint64_t n) { return n == 1 ? "1 octet" : fmt::format("{} octets", n); }
}  // namespace tcpwhy::diagnose::ending
