#pragma once
// Small words for the sentences of causes.

#include <fmt/format.h>

#include <string>

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
