#pragma once
// What the experiments share: addresses, the request of the articles, applications
// that say nothing.

#include <array>
#include <memory>
#include <string>

#include "lab/experiment.hpp"
#include "world/apps/card.hpp"
#include "world/apps/http.hpp"
#include "world/apps/talk.hpp"
#include "world/boxes.hpp"

namespace tcpwhy::lab {

using world::Acceptor;
using world::Address;
using world::How;
using world::Option;
using world::Talk;

// RFC 5737: addresses for documentation.
inline constexpr std::string_view kClientIp = "192.0.2.1", kSecondClientIp = "192.0.2.2", kServerIp = "198.51.100.1",
                                  kPublicIp = "203.0.113.9", kServiceIp = "198.51.100.100", kFirewallIp = "203.0.113.254";
inline constexpr std::uint16_t kPort = 8888;  // seed 003

inline Address at(std::string_view ip, std::uint16_t port) { return {world::parse_ip(ip), port}; }

/// An application that connects and then does nothing, whatever happens.
inline Talk::Events quiet() {
  Talk::Events events;
  events.ended = [](const Talk::Pointer&) {};
  events.failed = [](const Talk::Pointer& talk, std::string_view, int) { talk->close(); };
  return events;
}

/// A GET of exactly `bytes` octets; curl's in seed 003 had 90.
inline std::string http_request(std::size_t bytes) {
  std::string text = "GET /user/login HTTP/1.1\r\nHost: server.example\r\nUser-Agent: curl\r\nX: ";
  const std::string end = "\r\n\r\n";
  text.resize(std::max(text.size(), bytes - end.size()), 'x');
  return text + end;
}

/// Accepts, reads everything and closes when the peer does.
Acceptor::Pointer polite_server(Stage& stage, world::Host& host, std::uint16_t port, int backlog,
                                std::vector<world::SetOption> options = {});

std::span<const Experiment> queue_experiments();
std::span<const Experiment> handshake_experiments();
std::span<const Experiment> refusal_experiments();
std::span<const Experiment> reset_experiments();
std::span<const Experiment> closing_experiments();
std::span<const Experiment> keepalive_experiments();
std::span<const Experiment> pile_up_experiments();

}  // namespace tcpwhy::lab
