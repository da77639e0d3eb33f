// Which connection, and from when to when.

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "cli/options.hpp"

namespace tcpwhy::cli {
namespace {

std::optional<facts::Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  facts::Endpoint out;
  const auto address = facts::parse_address(host);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (!address || error != std::errc{} || end != port.data() + port.size()) return std::nullopt;
  out.address = *address;
  return out;
}

std::optional<double> parse_number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || std::fabs(value) > 9e9) return std::nullopt;
  return value;
}

Duration from_seconds(double s) { return Duration{static_cast<std::int64_t>(std::llround(s * 1e9))}; }

}  // namespace

bool ConnectionChoice::matches(const facts::Connection& c) const {
  if (id) return c.id == *id;
  return (c.ends[0] == a && c.ends[1] == b) || (c.ends[0] == b && c.ends[1] == a);
}

Result<ConnectionChoice> parse_connection(const std::string& text) {
  ConnectionChoice out;
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc{} && end == text.data() + text.size()) {
    out.id = id;
    return out;
  }
  // The dash that parts the two may stand among others only inside brackets, which hold none.
  const std::size_t dash = text.find('-');
  if (dash != std::string::npos) {
    const auto a = parse_endpoint(std::string_view{text}.substr(0, dash));
    const auto b = parse_endpoint(std::string_view{text}.substr(dash + 1));
    if (a && b) {
      out.a = *a;
      out.b = *b;
      return out;
    }
  }
  return Error{"cli.connection", fmt::format("'{}' is no connection: give its number, or ADDRESS:PORT-ADDRESS:PORT", text)};
}

Result<CaptureTime> parse_time(const std::string& text, CaptureTime first_frame) {
  if (!text.empty() && text[0] == '@') {
    if (const auto s = parse_number(text.substr(1))) return CaptureTime{from_seconds(*s)};
  } else if (const auto s = parse_number(text)) {
    return first_frame + from_seconds(*s);
  } else {
    std::tm tm{};
    if (const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm)) {
      double fraction = 0;
      if (*rest == '.') {
        char* end = nullptr;
        fraction = std::strtod(rest, &end);
        rest = end;
      }
      if (*rest == '\0' || (*rest == 'Z' && rest[1] == '\0'))
        return CaptureTime{std::chrono::seconds{timegm(&tm)} + from_seconds(fraction)};
    }
  }
  return Error{"cli.time", fmt::format("'{}' is no time: give seconds after the first frame, @EPOCH or "
                                       "2026-11-22T18:00:00Z", text)};
}

}  // namespace tcpwhy::cli
