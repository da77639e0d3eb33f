#pragma once
// Small words for the sentences of causes.

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::diagnose {

/// "28 µs", "12.3 ms", "1.403 s".
inline std::string span_words(Duration d) {
  const double s = seconds(d);
  if (s < 1e-3) return fmt::format("{:.0f} µs", s * 1e6);
  if (s < 1.0) return fmt::format("{:.1f} ms", s * 1e3);
  if (s < 100.0) return fmt::format("{:.3g} s", s);
  return fmt::format("{:.0f} s", s);
}

/// "1 SYN", "3 SYNs".
template <class Number>
std::string counted(Number n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

}  // namespace tcpwhy::diagnose

namespace tcpwhy::diagnose::ending {

std::string_view who(facts::Party p);        ///< "client", "server"
std::string_view Who(facts::Party p);        ///< "The client", "The server"
facts::Side side(facts::Party p);
std::string span(Duration d);                ///< "0.3 ms", "4.2 s", "2 min 5 s"
std::string octets(std::uint64_t n);         ///< "1 octet", "90 octets"

}  // namespace tcpwhy::diagnose::ending
