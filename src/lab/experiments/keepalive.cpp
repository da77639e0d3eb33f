// Seeds 002, 003 and 004: connections that are kept, and what becomes of them:
// HTTP keep-alive and its races, the browser's six, peers that vanished, and
// TCP's own keepalive probes.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

constexpr std::span<const Setting> kPlain{};
constexpr std::string_view kKeepCounters[] = {"OutRsts", "EstabResets", "TCPKeepAlive", "TCPAbortOnTimeout"};

// --- The browser -----------------------------------------------------------------

constexpr Param kBrowserParams[] = {{"requests", "6000", "how many"},
                                    {"service_ms", "100", "how long the server needs for one"},
                                    {"connections", "6", "to one host at a time"}};

void browser(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  auto web = world::HttpServer::start(stage.world, server, {0, 80}, 128,
                                      {.keepalive_requests = 1'000'000, .service_time = stage.millis("service_ms")});
  stage.keep(web);
  auto chrome = world::Browser::create(stage.world, client, at(kServerIp, 80), static_cast<int>(stage.number("connections")));
  stage.keep(chrome);
  const int requests = static_cast<int>(stage.number("requests"));
  stage.at(0ms, [chrome, requests] { chrome->fetch(requests); });
  stage.look(1s, server, "while it waits");
  const Duration bound = stage.millis("service_ms") * requests * 2 / std::max<std::int64_t>(1, stage.number("connections")) + 10s;
  const auto check = [&stage, chrome, &client, requests](auto again) -> void {
    const auto& r = chrome->report();
    if (r.done + r.failed < requests) return stage.world.after(100ms, [again] { again(again); });
    stage.world.note(client, "fetch", std::to_string(r.done) + " requests in " + std::to_string(r.finished / 1ms) + " ms");
    stage.world.note(client, "stalled", std::to_string(r.longest_wait / 1ms) + " ms");
    stage.end(stage.world.now() - stage.world.start());
  };
  stage.at(100ms, [check] { check(check); });
  stage.end(bound);
}

// --- nginx against a pool ----------------------------------------------------------

constexpr Param kRaceParams[] = {
    {"keepalive_timeout_s", "75", "nginx's keepalive_timeout"},
    {"idle_ms", "74995", "how long the client's connection was idle when it is used again"},
    {"method", "POST", "GET is sent again by Go, POST is not"},
    {"idempotency_key", "0", "1: the request has an Idempotency-Key header"},
    {"delay_us", "10000", "one way between client and server"},
};

world::Request request_of(const Stage& stage) {
  return {.method = stage.word("method"), .idempotency_key = stage.number("idempotency_key") != 0};
}

void keepalive_race(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(world::HttpServer::start(stage.world, server, {0, 80}, 128,
                                      {.keepalive_timeout = stage.secs("keepalive_timeout_s")}));
  auto pool = world::Pool::create(stage.world, client, at(kServerIp, 80));
  stage.keep(pool);
  const world::Request request = request_of(stage);
  const Duration idle = stage.millis("idle_ms");
  stage.at(0ms, [&stage, &client, pool, request, idle] {
    pool->request({.method = "GET"}, [&stage, &client, pool, request, idle](const world::Pool::Result& first) {
      stage.world.note(client, "GET", first.outcome);
      stage.world.after(idle, [&stage, &client, pool, request] {
        pool->request(request, [&stage, &client, request](const world::Pool::Result& second) {
          if (second.outcome == "200")
            stage.world.note(client, request.method,
                             "200" + (second.attempts > 1 ? " at attempt " + std::to_string(second.attempts) : std::string{}));
        });
      });
    });
  });
  stage.look(idle - 1s, server, "idle");
  stage.end(idle + 3s);
}

constexpr Param kRequestsParams[] = {
    {"keepalive_requests", "100", "nginx's keepalive_requests"},
    {"method", "POST", "GET is sent again by Go, POST is not"},
    {"idempotency_key", "0", "1: the request has an Idempotency-Key header"},
    {"delay_us", "10000", "one way between client and server"},
};

// The client has the next request ready the moment a response is complete. It does
// not read the last response's "Connection: close": the server's FIN is its first news.
void keepalive_requests(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.keep(world::HttpServer::start(
      stage.world, server, {0, 80}, 128,
      {.keepalive_requests = static_cast<int>(stage.number("keepalive_requests")), .says_close = false}));
  auto pool = world::Pool::create(stage.world, client, at(kServerIp, 80));
  stage.keep(pool);
  const world::Request request = request_of(stage);
  auto count = std::make_shared<int>(0);
  const int most = static_cast<int>(stage.number("keepalive_requests")) + 1;
  const auto next = [&stage, &client, pool, request, count, most](auto again) -> void {
    if (++*count > most) return;
    pool->request(request, [&stage, &client, again, count](const world::Pool::Result& result) {
      if (result.outcome != "200" || result.attempts > 1)
        stage.world.note(client, "request " + std::to_string(*count), result.outcome + " at attempt " + std::to_string(result.attempts));
      again(again);
    });
  };
  stage.at(0ms, [next] { next(next); });
  stage.end(most * 30ms + 3s);
}

// --- Half-open -----------------------------------------------------------------------

constexpr std::string_view kHalfOpenCounters[] = {"OutRsts", "EstabResets", "TCPChallengeACK", "TCPSYNChallenge"};
constexpr Param kHalfOpenParams[] = {{"restart_after_s", "5", "when the client is back"}};

// The client's power fails: its line is dead while its sockets die, then it comes
// back and connects from the same port.
void half_open(Stage& stage) {
  const std::size_t site = stage.site();
  auto plug = std::make_shared<world::Plug>();
  stage.world.add_box(site, plug);
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp, site);
  stage.keep(polite_server(stage, server, kPort, 16));
  stage.at(0ms, [&stage, &client, plug] {
    const auto talk = Talk::open(stage.world, client, at(kServerIp, kPort), quiet(), {}, {0, 40000});
    stage.at(1s, [plug, talk] {
      plug->pull();
      talk->set(Option::kLinger, 0);
      talk->close();
    });
  });
  const Duration back = stage.secs("restart_after_s");
  stage.look(back - 1s, server, "the client is gone, and the server does not know");
  stage.at(back, [&stage, &client, plug] {
    plug->plug();
    Talk::Events events = quiet();
    events.connected = [](const Talk::Pointer& talk) { talk->send(http_request(90)); };
    Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events), {}, {0, 40000});
  });
  stage.look(back + 4s, server, "the client has connected again");
  stage.end(back + 5s);
}

constexpr Setting kArticle[] = {{"server:net.ipv4.tcp_keepalive_time", "60"},
                                {"server:net.ipv4.tcp_keepalive_intvl", "20"},
                                {"server:net.ipv4.tcp_keepalive_probes", "3"}};
constexpr Param kProbeParams[] = {{"peer", "all", "alive, gone, restarted or all three"}};

void probes(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  stage.keep(polite_server(stage, server, kPort, 16, {{Option::kKeepAlive, 1}}));
  const std::string which = stage.word("peer");
  const auto connect = [&stage](world::Host& client) {
    return Talk::open(stage.world, client, at(kServerIp, kPort), quiet());
  };
  if (which == "alive" || which == "all") {
    world::Host& alive = stage.host_as("alive", "client", kClientIp, stage.site());
    stage.at(0ms, [connect, &alive] { connect(alive); });
  }
  const auto loses_line = [&](std::string_view name, std::string_view ip, std::optional<Duration> back) {
    const std::size_t site = stage.site();
    auto plug = std::make_shared<world::Plug>();
    stage.world.add_box(site, plug);
    world::Host& client = stage.host_as(name, "client", ip, site);
    stage.at(0ms, [&stage, &client, connect, plug, back] {
      const auto talk = connect(client);
      stage.at(10s, [plug, talk] {
        plug->pull();
        talk->set(Option::kLinger, 0);
        talk->close();
      });
      if (back) stage.at(*back, [plug] { plug->plug(); });
    });
  };
  if (which == "gone" || which == "all") loses_line("gone", kSecondClientIp, std::nullopt);
  if (which == "restarted" || which == "all") loses_line("restarted", "192.0.2.3", 20s);
  stage.look(59s, server, "before the first probe");
  stage.look(130s, server, "after the last");
  stage.end(135s);
}

const Experiment kTable[] = {
    {.name = "browser-six-connections",
     .shows = "6000 requests of 100 ms through six connections take 100 s",
     .source = "seed 002, opening case", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kBrowserParams, .counters = kKeepCounters, .build = browser,
     .lesson = "No TCP fault at all: the requests wait in the browser for one of its six connections."},
    {.name = "keepalive-race",
     .shows = "nginx closes an idle connection after 75 s while a request is on its way",
     .source = "seed 003, cause 2", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kRaceParams, .counters = kKeepCounters, .build = keepalive_race,
     .lesson = "The client's idle timeout must be shorter than the server's; Go repeats only what is safe to repeat."},
    {.name = "keepalive-requests",
     .shows = "nginx closes after 100 requests; the client has sent one more",
     .source = "seed 003, cause 2", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kRequestsParams, .counters = kKeepCounters, .build = keepalive_requests,
     .lesson = "The limit on requests closes busy connections: the busier the client, the likelier the race."},
    {.name = "half-open",
     .shows = "a client vanishes and comes back on the same port",
     .source = "seed 004", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kHalfOpenParams, .counters = kHalfOpenCounters, .build = half_open,
     .lesson = "SYN, challenge ACK, RST, SYN again: the half-open connection dies one round trip after it is found."},
    {.name = "keepalive-probes",
     .shows = "a probe's three answers: an ACK, nothing, a RST",
     .source = "seed 004, keepalive 60/20/3", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kArticle, .params = kProbeParams, .counters = kKeepCounters, .build = probes,
     .lesson = "60 s + 3 x 20 s: a silent peer is found after two minutes and recv() gives ETIMEDOUT."},
};

}  // namespace

std::span<const Experiment> keepalive_experiments() { return kTable; }

}  // namespace tcpwhy::lab
