// Seed 004 walks through the states of TCP and says what it means when many
// sockets are in one of them. One experiment for each: `connections` of them get
// into the state, and the view of `ss` counts them.

#include <set>

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

constexpr std::span<const Setting> kPlain{};
constexpr std::string_view kPileCounters[] = {"OutRsts"};
constexpr Param kMany[] = {{"connections", "20", "how many sockets pile up"},
                           {"watch_s", "70", "how long to watch"}};
constexpr Param kMinutes[] = {{"connections", "20", "how many sockets pile up"},
                              {"watch_s", "150", "how long to watch"}};

struct Pair {
  world::Host& server;
  world::Host& client;
  std::shared_ptr<world::Plug> plug;  ///< the client's line
};

Pair pair(Stage& stage) {
  const std::size_t site = stage.site();
  auto plug = std::make_shared<world::Plug>();
  stage.world.add_box(site, plug);
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp, site);
  return {server, client, plug};
}

void many(Stage& stage, std::function<void()> connect) {
  for (std::int64_t i = 0; i < stage.number("connections"); ++i) stage.at(i * 10ms, connect);
}

/// Accepts, and calls `act` with each connection; 1024 fit in the queue.
void server_that(Stage& stage, world::Host& server, std::function<void(const Talk::Pointer&)> act) {
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 1024, {}, [&stage, &server, act](world::Fd fd) {
    act(Talk::over(stage.world, server, fd, quiet()));
  }));
}

void watch(Stage& stage, const world::Host& host, std::string_view what) {
  stage.look(2s, host, std::string{what});
  stage.look(stage.secs("watch_s"), host, "at the end");
  stage.end(stage.secs("watch_s"));
}

void syn_sent(Stage& stage) {
  const Pair p = pair(stage);
  p.plug->pull();
  many(stage, [&stage, &client = p.client] { Talk::open(stage.world, client, at(kServerIp, kPort), quiet()); });
  watch(stage, p.client, "the host it calls does not answer");
}

// The clients answer nothing: a flood with forged addresses.
void syn_recv(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  auto& flooder = static_cast<world::Card&>(
      stage.add(std::make_unique<world::Card>("client", world::parse_ip(kClientIp)), stage.site()));
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 128, {}, nullptr));
  const int syns = static_cast<int>(stage.number("connections"));
  stage.at(0ms, [&stage, &flooder, syns] {
    world::flood(stage.world, flooder, {.target = at(kServerIp, kPort), .syns = syns, .interval = 10ms});
  });
  watch(stage, server, "SYNs whose senders never answer");
}

// Clients vanish without a FIN and come back on new ports.
void established(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [](const Talk::Pointer&) {});
  auto live = std::make_shared<std::vector<Talk::Pointer>>();
  many(stage, [&stage, &client = p.client, live] {
    live->push_back(Talk::open(stage.world, client, at(kServerIp, kPort), quiet()));
  });
  stage.at(1s, [plug = p.plug, live] {
    plug->pull();
    for (const auto& talk : *live) {
      talk->set(Option::kLinger, 0);
      talk->close();
    }
  });
  stage.at(1500ms, [plug = p.plug] { plug->plug(); });
  many(stage, [] {});
  stage.look(1600ms, p.client, "the clients know nothing any more");
  watch(stage, p.server, "ghosts: clients that vanished without a FIN");
}

// The server closes while its clients cannot be reached.
void fin_wait1(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [&stage](const Talk::Pointer& talk) { stage.at(1500ms, [talk] { talk->close(); }); });
  many(stage, [&stage, &client = p.client] { Talk::open(stage.world, client, at(kServerIp, kPort), quiet()); });
  stage.at(1s, [plug = p.plug] { plug->pull(); });
  watch(stage, p.server, "a server shuts down, its clients are out of reach");
}

// The server closes, the clients acknowledge and do not close.
void fin_wait2(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [&stage](const Talk::Pointer& talk) { stage.at(1s, [talk] { talk->close(); }); });
  many(stage, [&stage, &client = p.client] { Talk::open(stage.world, client, at(kServerIp, kPort), quiet()); });
  stage.look(2s, p.client, "the other side: CLOSE-WAIT");
  watch(stage, p.server, "closed here, not closed there");
}

// The clients close, the server's application does not.
void close_wait(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [](const Talk::Pointer&) {});
  many(stage, [&stage, &client = p.client] {
    const auto talk = Talk::open(stage.world, client, at(kServerIp, kPort), quiet());
    stage.at(1s, [talk] { talk->close(); });
  });
  stage.look(2s, p.client, "the other side: FIN-WAIT-2");
  watch(stage, p.server, "the application does not close");
}

// Both close at once, and the last ACKs are lost.
void closing(Stage& stage) {
  const std::size_t site = stage.site();
  // Only the two FINs that cross may pass: a repeated one would acknowledge the other.
  auto crossed = std::make_shared<std::set<std::pair<Address, Address>>>();
  stage.world.add_box(site, std::make_shared<world::Meddler>([&stage, crossed](world::Packet& packet, world::Way) {
    const bool after = stage.world.now() >= stage.world.start() + 1s;
    const std::pair way{Address{packet.source, packet.source_port}, Address{packet.destination, packet.destination_port}};
    return world::Meddler::Order{.pass = !after || (packet.has(wire::Flag::kFin) && crossed->insert(way).second)};
  }));
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp, site);
  server_that(stage, server, [&stage](const Talk::Pointer& talk) { stage.at(1s, [talk] { talk->close(); }); });
  many(stage, [&stage, &client] {
    const auto talk = Talk::open(stage.world, client, at(kServerIp, kPort), quiet());
    stage.at(1s, [talk] { talk->close(); });
  });
  watch(stage, server, "FINs crossed, their ACKs are lost");
}

// A load generator is killed while the server answers: the server's FIN is never acknowledged.
void last_ack(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [](const Talk::Pointer& talk) {
    talk->events.ended = [](const Talk::Pointer& t) { t->close(); };
  });
  many(stage, [&stage, &client = p.client, plug = p.plug] {
    const auto talk = Talk::open(stage.world, client, at(kServerIp, kPort), quiet());
    stage.at(1s, [talk, plug] {
      plug->pull(world::Way::kIn);
      talk->close();
    });
  });
  watch(stage, p.server, "the client's host is gone after its FIN");
}

void time_wait(Stage& stage) {
  const Pair p = pair(stage);
  server_that(stage, p.server, [](const Talk::Pointer& talk) { talk->close(); });
  many(stage, [&stage, &client = p.client] {
    Talk::Events events = quiet();
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events));
  });
  watch(stage, p.server, "short connections that the server closes first");
}

// Not a pile of connections: what a port scan looks for.
void listening(Stage& stage) {
  const Pair p = pair(stage);
  for (std::int64_t i = 0; i < stage.number("connections"); ++i)
    stage.keep(Acceptor::open(stage.world, p.server, {0, static_cast<std::uint16_t>(10000 + i)}, 128, {}, nullptr));
  watch(stage, p.server, "every open port is a service somebody forgot or needs");
}

// Refused connections whose sockets the application keeps: in CLOSE, invisible to ss -nt.
void closed(Stage& stage) {
  const Pair p = pair(stage);
  many(stage, [&stage, &client = p.client] {
    Talk::Events events;
    events.failed = [](const Talk::Pointer&, std::string_view, int) {};
    Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events));
  });
  watch(stage, p.client, "nothing to see: a socket in CLOSE is in no table");
}

Experiment pile_up(std::string_view name, std::string_view shows, std::span<const Param> params,
                             void (*build)(Stage&), std::string_view lesson) {
  return {.name = name, .shows = shows, .source = "seed 004", .kernel = "3.10", .client_kernel = "3.10",
          .sysctls = kPlain, .params = params, .counters = kPileCounters, .build = build, .lesson = lesson};
}

const Experiment kTable[] = {
    pile_up("pile-up-syn-sent", "the called host does not answer: connections wait in SYN-SENT", kMinutes, syn_sent,
            "Unreachable hosts, a filter that drops, or a scan from here."),
    pile_up("pile-up-syn-recv", "a SYN flood: requests wait in SYN-RECV for 63 s", kMany, syn_recv,
            "The default of five repeats holds a request for 63 s; syncookies hold none."),
    pile_up("pile-up-established", "clients vanish without a FIN: ESTABLISHED on the server only", kMany, established,
            "Nothing ends these but keepalive, a user timeout or data of the server's own."),
    pile_up("pile-up-fin-wait1", "a server closes while its clients cannot be reached: FIN-WAIT-1", kMinutes, fin_wait1,
            "Orphans: tcp_orphan_retries ends them, by default after about 100 s."),
    pile_up("pile-up-fin-wait2", "closed here, not closed there: FIN-WAIT-2", kMany, fin_wait2,
            "tcp_fin_timeout ends what the application has closed; what it only shut down stays."),
    pile_up("pile-up-close-wait", "the peer has closed, the application does not: CLOSE-WAIT", kMany, close_wait,
            "No timer ends CLOSE-WAIT: it is a bug of the application, every time."),
    pile_up("pile-up-closing", "FINs crossed and the ACKs were lost: CLOSING", kMinutes, closing,
            "Rare, and gone with the retries of an orphan."),
    pile_up("pile-up-last-ack", "a load generator is killed: LAST-ACK", kMinutes, last_ack,
            "The last ACK never comes; the retries of an orphan end it."),
    pile_up("pile-up-time-wait", "short connections that this side closes first: TIME-WAIT for 60 s", kMany, time_wait,
            "60 s and no setting changes it; tcp_fin_timeout does not. It is cheap, except for the ports of a client."),
    pile_up("pile-up-listen", "one socket per open port: LISTEN", kMany, listening,
            "Not a pile of connections: close what nobody needs."),
    pile_up("pile-up-closed", "refused connections whose sockets are kept: CLOSE", kMany, closed,
            "They cost descriptors, not connections: lsof says \"can't identify protocol\", ss -nt says nothing."),
};

}  // namespace

std::span<const Experiment> pile_up_experiments() { return kTable; }

}  // namespace tcpwhy::lab
