// The facts' words as text: addresses as people write them, states as ss does.

#include <arpa/inet.h>

#include <string>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

std::string to_string(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.version == 4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

std::optional<Address> parse_address(std::string_view text) {
  const std::string zero_ended{text};
  Address out;
  if (inet_pton(AF_INET, zero_ended.c_str(), out.bytes.data()) == 1) return out;
  out.version = 6;
  if (inet_pton(AF_INET6, zero_ended.c_str(), out.bytes.data()) == 1) return out;
  return std::nullopt;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string address = to_string(endpoint.address);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.address.version == 4 ? address + ":" + port : "[" + address + "]:" + port;
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCompleted: return "completed";
    case Outcome::kOpen: return "open";
    case Outcome::kHalfClosed: return "half-closed";
    case Outcome::kRefused: return "refused";
    case Outcome::kUnanswered: return "unanswered";
    case Outcome::kHandshakeFailed: return "handshake-failed";
    case Outcome::kReset: return "reset";
    case Outcome::kTimedOut: return "timed-out";
    case Outcome::kStalled: return "stalled";
    case Outcome::kPartial: return "partial";
  }
  return "";
}

std::string_view to_string(Vantage vantage) {
  switch (vantage) {
    case Vantage::kUnknown: return "unknown";
    case Vantage::kClient: return "client";
    case Vantage::kServer: return "server";
    case Vantage::kBetween: return "between";
  }
  return "";
}

}  // namespace tcpwhy::facts
