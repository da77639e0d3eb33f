// Seeds 002 and 003: who sends a RST into a connection that stood, and why.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

constexpr std::span<const Setting> kPlain{};
constexpr std::string_view kResetCounters[] = {"OutRsts", "EstabResets", "TCPAbortOnData", "TCPAbortOnClose"};
constexpr Param kNoParams[] = {{"delay_us", "100", "one way between client and server"}};

/// A client that sends a request once a second and goes on until an error stops it.
void persistent_client(Stage& stage, world::Host& client, int requests) {
  Talk::Events events;
  events.ended = [](const Talk::Pointer&) {};
  events.connected = [&stage, requests](const Talk::Pointer& talk) {
    for (int i = 0; i < requests; ++i)
      stage.world.after(i * 1s, [talk] { talk->send(http_request(90)); });
  };
  Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events));
}

/// The server does `act` with each accepted descriptor.
void server_that(Stage& stage, world::Host& server, std::function<void(const Talk::Pointer&)> act) {
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server, act](world::Fd fd) {
    act(Talk::over(stage.world, server, fd, {}));
  }));
}

void data_after_close(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  server_that(stage, server, [&stage](const Talk::Pointer& talk) {
    stage.world.after(500ms, [talk] { talk->close(); });
  });
  stage.at(0ms, [&] { persistent_client(stage, client, 4); });
  stage.look(700ms, server, "the server has closed");
  stage.look(700ms, client, "the server has closed");
  stage.end(5s);
}

// The connection vanishes without a packet: the line is dead while the server's
// side dies, as in a crash, and alive again afterwards.
void vanished(Stage& stage) {
  const std::size_t site = stage.site();
  auto plug = std::make_shared<world::Plug>();
  stage.world.add_box(site, plug);
  world::Host& server = stage.host("server", kServerIp, site);
  world::Host& client = stage.host("client", kClientIp);
  server_that(stage, server, [&stage, plug](const Talk::Pointer& talk) {
    stage.world.after(500ms, [plug] { plug->pull(); });
    stage.world.after(600ms, [talk] {
      talk->set(Option::kLinger, 0);
      talk->close();
    });
    stage.world.after(700ms, [plug] { plug->plug(); });
  });
  stage.at(0ms, [&] { persistent_client(stage, client, 3); });
  stage.look(800ms, server, "the server knows nothing any more");
  stage.look(800ms, client, "the client does not know yet");
  stage.end(4s);
}

void linger(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  server_that(stage, server, [&stage](const Talk::Pointer& talk) {
    stage.world.after(500ms, [talk] {
      talk->set(Option::kLinger, 0);
      talk->close();
    });
  });
  stage.at(0ms, [&] { persistent_client(stage, client, 2); });
  stage.look(700ms, server, "no TIME-WAIT either");
  stage.end(3s);
}

void unread(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server](world::Fd fd) {
    const auto talk = Talk::over(stage.world, server, fd, {});
    talk->stop_reading();
    stage.world.after(500ms, [talk] {
      talk->send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
      talk->close();
    });
  }));
  stage.at(0ms, [&] { persistent_client(stage, client, 2); });
  stage.look(400ms, server, "90 octets wait to be read");
  stage.end(3s);
}

constexpr Param kForgedParams[] = {{"after", "2", "at which data packet"}, {"ttl", "47", "TTL of the forged packets"}};

void forged(Stage& stage) {
  const std::size_t site = stage.site();
  stage.world.add_box(site, std::make_shared<world::Injector>(world::Injector::Settings{
                                .after_data_packets = static_cast<int>(stage.number("after")),
                                .ttl = static_cast<std::uint8_t>(stage.number("ttl"))}));
  world::Host& server = stage.host("server", kServerIp, site);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(polite_server(stage, server, kPort, 16));
  stage.at(0ms, [&] { persistent_client(stage, client, 3); });
  stage.look(500ms, server, "before");
  stage.look(1500ms, server, "after the forged RSTs");
  stage.end(4s);
}

const Experiment kTable[] = {
    {.name = "data-after-close",
     .shows = "the server has closed; what the client still sends meets a RST",
     .source = "seed 003, causes of RST", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kResetCounters, .build = data_after_close,
     .lesson = "The first send() succeeds and brings the RST; the second gives EPIPE."},
    {.name = "vanished-connection",
     .shows = "the server lost the connection without a packet; data meets a RST",
     .source = "seed 003, causes of RST", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kResetCounters, .build = vanished,
     .lesson = "The RST's sequence number is the ACK number of the data: the host that sent it knows nothing else."},
    {.name = "linger-abort",
     .shows = "SO_LINGER with 0 seconds: close() sends a RST instead of a FIN",
     .source = "seed 002, application resets", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kResetCounters, .build = linger,
     .lesson = "Linux counts it as TCPAbortOnData, not as TCPAbortOnLinger."},
    {.name = "unread-data",
     .shows = "close() while received data is unread: a RST, and the response is lost",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kResetCounters, .build = unread,
     .lesson = "Read what the peer sent before closing, or shut down writing first."},
    {.name = "forged-reset",
     .shows = "a device on the path sends both ends a RST in the other's name",
     .source = "seed 002, resets of the network", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kForgedParams, .counters = kResetCounters, .build = forged,
     .lesson = "Neither host counts an OutRsts, and the TTL is a stranger's: capture at both ends."},
};

}  // namespace

std::span<const Experiment> reset_experiments() { return kTable; }

}  // namespace tcpwhy::lab
