// Seed 004: the ends of connections that the state diagram knows and one seldom sees.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

constexpr std::span<const Setting> kPlain{};
constexpr std::string_view kClosingCounters[] = {"TW", "OutRsts"};
constexpr Param kNoParams[] = {{"delay_us", "100", "one way between client and server"}};

void simultaneous_close(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server](world::Fd fd) {
    const auto talk = Talk::over(stage.world, server, fd, quiet());
    stage.at(1s, [talk] { talk->close(); });
  }));
  stage.at(0ms, [&] {
    const auto talk = Talk::open(stage.world, client, at(kServerIp, kPort), quiet());
    stage.at(1s, [talk] { talk->close(); });
  });
  stage.look(999ms, server, "before");
  stage.look(1200ms, server, "both have closed");
  stage.look(1200ms, client, "both have closed");
  stage.look(70s, server, "a minute later");
  stage.end(71s);
}

void half_close(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server](world::Fd fd) {
    Talk::Events events;
    events.ended = [&stage](const Talk::Pointer& talk) {
      for (int i = 0; i < 3; ++i)
        stage.world.after((i + 1) * 500ms, [talk] { talk->send(std::string(1000, 'r')); });
      stage.world.after(2s, [talk] { talk->close(); });
    };
    Talk::over(stage.world, server, fd, std::move(events));
  }));
  stage.at(0ms, [&] {
    Talk::Events events;
    events.connected = [](const Talk::Pointer& talk) {
      talk->send(http_request(90));
      talk->shutdown(How::kWrite);
    };
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events));
  });
  stage.look(1s, server, "the client has shut down writing");
  stage.look(1s, client, "the client has shut down writing");
  stage.end(4s);
}

const Experiment kTable[] = {
    {.name = "simultaneous-close",
     .shows = "both sides close at once: the FINs cross, both pass CLOSING and TIME_WAIT",
     .source = "seed 004", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kClosingCounters, .build = simultaneous_close,
     .lesson = "Four segments, no fault: FIN_WAIT1, CLOSING, TIME_WAIT at both ends."},
    {.name = "half-close",
     .shows = "the client shuts down writing and goes on reading",
     .source = "seed 004", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kClosingCounters, .build = half_close,
     .lesson = "FIN_WAIT2 at the client and CLOSE_WAIT at the server are healthy here: half of it still works."},
};

}  // namespace

std::span<const Experiment> closing_experiments() { return kTable; }

}  // namespace tcpwhy::lab
