#pragma once
// The model of a kernel on a TUN device: real programs on this machine, or on
// any that routes here, talk to a kernel that no longer exists. Virtual time
// follows the real clock.
//
// Left out: IPv6, ICMP echo, more than one host.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// A port and what stands behind it.
struct Service {
  enum class App : std::uint8_t {
    kHttp,     ///< nginx-like: keep-alive, a body of fixed length
    kEcho,     ///< RFC 862
    kDiscard,  ///< RFC 863
    kSlow,     ///< accepts one connection in a while, or none at all
  } app = App::kHttp;
  std::uint16_t port = 80;
  std::map<std::string, std::int64_t> settings;  ///< by name; absent ones have their defaults
  [[nodiscard]] std::int64_t setting(std::string_view name) const;
};

/// "80=http", "8080=http,keepalive_timeout=5,backlog=1", "7=echo", "8888=slow,accept_ms=1000".
///
/// Errors: `lab.listen`, with what there is.
[[nodiscard]] Result<Service> parse_service(std::string_view text);

struct ServeOptions {
  std::string kernel = "6.18";
  std::map<std::string, std::string> sysctls;
  std::string device = "tcpwhy0";
  std::string address = "198.18.0.2/24";  ///< the model's; RFC 2544 keeps this network for experiments
  std::string gateway;                     ///< the real kernel's end; empty: the network's first free address
  std::vector<Service> services;
  std::string pcap;
  std::uint64_t seed = 1;
  std::size_t max_descriptors = 1024;      ///< RLIMIT_NOFILE of the model's applications
  Duration duration{};                     ///< zero: until SIGINT or SIGTERM
};

struct Served {
  HostRun host;
  std::vector<world::SocketRow> sockets;
  std::uint64_t packets_in = 0, packets_out = 0;
  Duration duration{};
};

/// What serve() tells while it runs.
struct ServeEvents {
  std::function<void(const std::string& device, const std::string& address, const std::string& gateway)> ready;
  /// Every packet, in the order of things; `in`: from the real kernel to the model.
  std::function<void(Duration since_start, bool in, const world::Packet&)> packet;
};

/// Runs until the duration is over or a signal comes. SIGINT and SIGTERM are taken from the calling thread meanwhile.
///
/// Errors: `lab.address`, `lab.kernel`, `lab.sysctl`, `lab.listen`, `lab.root`, `lab.tun`, `capture.write`; `lab.host`
///         when this was built without the live host.
[[nodiscard]] Result<Served> serve(const ServeOptions& options, const ServeEvents& events);

[[nodiscard]] std::string text(const Served& served);
[[nodiscard]] std::string json(const Served& served);

}  // namespace tcpwhy::lab
