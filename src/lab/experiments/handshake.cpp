// Seeds 000 and 001, and the openings of 002 and 004: deferred accepts, broken
// ACK numbers, two phones behind one address, old numbers on TIME_WAIT, two SYNs
// that cross.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

using world::Way;

// --- Seed 000: TCP_DEFER_ACCEPT and a rewritten ACK number -----------------------

constexpr std::string_view kDeferCounters[] = {"TCPDeferAcceptDrop", "OutRsts"};
constexpr Param kDeferParams[] = {
    {"defer_s", "1", "TCP_DEFER_ACCEPT of the listener, seconds"},
    {"request_after_ms", "1500", "when the client sends its request, after its connect()"},
    {"delay_us", "40000", "one way between client and server"},
};

world::Host& web_server(Stage& stage, int defer_s) {
  world::Host& server = stage.host("server", kServerIp);
  stage.keep(world::HttpServer::start(stage.world, server, {0, 80}, 128, {.service_time = 5ms},
                                      {{Option::kDeferAccept, defer_s}}));
  return server;
}

Talk::Events late_request(Stage& stage, Duration after) {
  Talk::Events events;
  events.connected = [&stage, after](const Talk::Pointer& talk) {
    stage.world.after(after, [talk] { talk->send(http_request(200)); });
  };
  return events;
}

void defer_accept(Stage& stage) {
  world::Host& server = web_server(stage, static_cast<int>(stage.number("defer_s")));
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] {
    Talk::open(stage.world, client, at(kServerIp, 80), late_request(stage, stage.millis("request_after_ms")));
  });
  stage.look(500ms, server, "after the handshake");
  stage.look(stage.millis("request_after_ms") + 500ms, server, "after the request");
  stage.end(stage.millis("request_after_ms") + 3s);
}

constexpr Param kRewrittenParams[] = {
    {"defer_s", "1", "TCP_DEFER_ACCEPT of the listener, seconds"},
    // So that the request comes when the SYN-ACK has been repeated and its ACK is still on the way (frames 73, 74).
    {"request_after_ms", "970", "when the client sends its request, after its connect()"},
    {"delay_us", "225000", "one way between client and server"},
    {"patience_s", "20", "when the client closes"},
};
constexpr std::string_view kRewrittenCounters[] = {"OutRsts", "TCPDeferAcceptDrop"};

// The balancer translates between its own numbers and the server's; once the
// connection carries data it uses the wrong difference.
void ack_rewritten(Stage& stage) {
  world::Host& server = web_server(stage, static_cast<int>(stage.number("defer_s")));
  const std::size_t site = stage.site();
  stage.world.add_box(site, std::make_shared<world::Meddler>([](world::Packet& packet, Way way) {
    if (way == Way::kOut && !packet.payload.empty()) packet.ack = packet.ack - 856'107'596u;
    return world::Meddler::Order{};
  }));
  world::Host& client = stage.host("client", kClientIp, site);
  stage.at(0ms, [&] {
    Talk::Events events = late_request(stage, stage.millis("request_after_ms"));
    const Talk::Pointer talk = Talk::open(stage.world, client, at(kServerIp, 80), std::move(events));
    stage.world.after(stage.secs("patience_s"), [talk] { talk->close(); });
  });
  stage.look(stage.millis("request_after_ms") + 500ms, server, "after the request");
  stage.look(stage.millis("request_after_ms") + 500ms, client, "after the request");
  stage.look(stage.secs("patience_s") + 2s, client, "after the client's close");
  stage.end(stage.secs("patience_s") + 5s);
}

// --- Seed 001: tw_recycle --------------------------------------------------------

constexpr Setting kRecycle[] = {{"server:net.ipv4.tcp_tw_recycle", "1"}, {"net.ipv4.tcp_timestamps", "1"}};
constexpr std::string_view kRecycleCounters[] = {"PAWSPassive", "ListenDrops", "OutRsts"};
constexpr Param kPhones[] = {
    {"iphone_uptime_s", "900000", "its clock gives large TSvals"},
    {"android_uptime_s", "50", "its clock gives small ones"},
    {"android_after_ms", "1000", "when it connects, after the server closed the iPhone's connection"},
};

void two_phones(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  // The server closes first, so that it holds TIME_WAIT and remembers the stamp.
  stage.keep(world::HttpServer::start(stage.world, server, {0, 80}, 128, {.keepalive_timeout = 0s}));
  const std::size_t wireless = stage.site();
  stage.world.add_box(wireless, std::make_shared<world::Nat>(world::Nat::Settings{.outside = world::parse_ip(kPublicIp)}));
  stage.world.add_address(wireless, world::parse_ip(kPublicIp));
  world::Host& iphone = stage.host_up("iphone", "macos", kClientIp, wireless, stage.secs("iphone_uptime_s"));
  world::Host& android = stage.host_up("android", "3.10", kSecondClientIp, wireless, stage.secs("android_uptime_s"));
  const auto get = [&stage](world::Host& phone) {
    Talk::Events events;
    events.connected = [](const Talk::Pointer& talk) { talk->send(http_request(120)); };
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    Talk::open(stage.world, phone, at(kServerIp, 80), std::move(events));
  };
  stage.at(0ms, [get, &iphone] { get(iphone); });
  stage.at(stage.millis("android_after_ms"), [get, &android] { get(android); });
  stage.look(stage.millis("android_after_ms") + 10s, server, "the second phone waits");
  stage.look(stage.millis("android_after_ms") + 10s, android, "the second phone waits");
  stage.end(stage.millis("android_after_ms") + 70s);
}

constexpr std::string_view kStrayCounters[] = {"TW", "TWKilled", "PAWSEstab", "TCPChallengeACK", "OutRsts"};
constexpr Param kStrayParams[] = {{"late_ms", "5000", "how late the copy of the old FIN comes"},
                                  {"again_ms", "2000", "when the client connects again from the same port"}};

void stray_fin(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server](world::Fd fd) {
    Talk::Events events;
    // The first connection is closed by the server at once; the second stays.
    const bool first = stage.world.now() - stage.world.start() < 1s;
    const auto talk = Talk::over(stage.world, server, fd, std::move(events));
    if (first) talk->close();
  }));
  const std::size_t site = stage.site();
  const Duration late = stage.millis("late_ms");
  auto done = std::make_shared<bool>(false);
  stage.world.add_box(site, std::make_shared<world::Meddler>([late, done](world::Packet& packet, Way way) {
    world::Meddler::Order order;
    if (way == Way::kOut && packet.has(wire::Flag::kFin) && !*done) {
      *done = true;
      order.again = late;
    }
    return order;
  }));
  world::Host& client = stage.host("client", kClientIp, site);
  const auto connect = [&] {
    Talk::Events events;
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    return Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events), {}, {0, 40000});
  };
  stage.at(0ms, [connect] { connect(); });
  stage.look(500ms, server, "the old connection is closed");
  stage.at(stage.millis("again_ms"), [connect, &stage] {
    const auto talk = connect();
    stage.at(stage.millis("again_ms") + stage.millis("late_ms") + 1s, [talk] { talk->send("still there"); });
  });
  stage.look(stage.millis("again_ms") + 500ms, server, "the new one stands");
  stage.look(stage.millis("again_ms") + late + 2s, server, "after the stray FIN");
  stage.end(stage.millis("again_ms") + late + 3s);
}

// --- Seed 002: a SYN on TIME_WAIT ------------------------------------------------

constexpr Param kReuseParams[] = {{"gap_s", "5", "how long after the close the port is used again"}};
constexpr std::string_view kReuseCounters[] = {"TW", "TWRecycled", "PAWSEstab", "OutRsts"};

// Two clients reuse the port of a connection the server closed. The first goes on
// counting; in front of the second stands a firewall that shifts its sequence
// numbers, and this time far back.
void reuse(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  stage.keep(Acceptor::open(stage.world, server, {0, kPort}, 16, {}, [&stage, &server](world::Fd fd) {
    const auto talk = Talk::over(stage.world, server, fd, {});
    talk->close();
  }));
  world::Host& plain = stage.host("client", kClientIp);
  const std::size_t guarded = stage.site();
  auto connections = std::make_shared<std::uint32_t>(0);
  // Timestamps would let the newer SYN in whatever its number: this firewall strips them.
  stage.world.add_box(guarded, std::make_shared<world::Meddler>([](world::Packet& packet, Way) {
    packet.timestamps.reset();
    return world::Meddler::Order{};
  }));
  stage.world.add_box(guarded, std::make_shared<world::SequenceShift>([connections](const world::Packet&) {
    return ++*connections >= 2 ? 0x9000'0000u : 0u;
  }));
  world::Host& shifted = stage.host_as("firewalled", "client", kSecondClientIp, guarded);
  const auto connect = [&stage](world::Host& client) {
    Talk::Events events;
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    Talk::open(stage.world, client, at(kServerIp, kPort), std::move(events), {}, {0, 40000});
  };
  const Duration gap = stage.secs("gap_s");
  stage.at(0ms, [connect, &plain] { connect(plain); });
  stage.at(100ms, [connect, &shifted] { connect(shifted); });
  stage.look(1s, server, "two connections closed by the server");
  stage.at(gap, [connect, &plain] { connect(plain); });
  stage.at(gap + 1s, [connect, &shifted] { connect(shifted); });
  stage.look(gap + 4s, server, "after both came again");
  stage.end(gap + 5s);
}

constexpr std::string_view kRaceCounters[] = {"OutRsts", "EmbryonicRsts", "AttemptFails"};

// --- Seed 002: SMB on 445 and 139 ------------------------------------------------

void dual_port(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  stage.keep(polite_server(stage, server, 445, 16));
  stage.keep(polite_server(stage, server, 139, 16));
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] {
    auto winner = std::make_shared<Talk::Pointer>();
    const auto race = [&stage, &client, winner](std::uint16_t port) {
      Talk::Events events;
      events.connected = [winner](const Talk::Pointer& talk) {
        if (!*winner) {
          *winner = talk;
          talk->send(std::string(73, 's'));
          return;
        }
        talk->set(Option::kLinger, 0);
        talk->close();
      };
      Talk::open(stage.world, client, at(kServerIp, port), std::move(events));
    };
    race(445);
    race(139);
    stage.world.after(2s, [winner] {
      if (*winner) (*winner)->close();
    });
  });
  stage.look(1s, server, "one of two was kept");
  stage.end(3s);
}

// --- Seed 004 --------------------------------------------------------------------

constexpr std::string_view kCrossCounters[] = {"ActiveOpens", "PassiveOpens", "TCPChallengeACK", "TCPSYNChallenge"};

void simultaneous_open(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] {
    Talk::open(stage.world, client, at(kServerIp, 8888), quiet(), {}, {0, 7777});
    Talk::open(stage.world, server, at(kClientIp, 7777), quiet(), {}, {0, 8888});
  });
  stage.look(500ms, client, "one connection");
  stage.look(500ms, server, "one connection");
  stage.end(3s);
}

constexpr std::string_view kAcceptCounters[] = {"PassiveOpens", "ListenOverflows"};

void never_accepted(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  Acceptor::open(stage.world, server, {0, 9502}, 128, {}, nullptr);
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] {
    Talk::Events events = quiet();
    events.connected = [&stage](const Talk::Pointer& talk) {
      stage.world.after(100ms, [talk] { talk->send("hello\r\n"); });
    };
    Talk::open(stage.world, client, at(kServerIp, 9502), std::move(events));
  });
  stage.look(1s, server, "nobody has called accept()");
  stage.look(1s, client, "nobody has called accept()");
  stage.end(2s);
}

constexpr Param kNoParams[] = {{"delay_us", "100", "one way between client and server"}};
constexpr std::span<const Setting> kPlain{};

const Experiment kTable[] = {
    {.name = "defer-accept-slow-client",
     .shows = "TCP_DEFER_ACCEPT: the handshake is complete, the request comes 1.5 s later, the SYN-ACK is repeated",
     .source = "seed 000, frames 70 to 74", .kernel = "el6", .client_kernel = "el6",
     .sysctls = kPlain, .params = kDeferParams, .counters = kDeferCounters, .build = defer_accept,
     .lesson = "A repeated SYN-ACK after the client's ACK is no loss here: the listener waits for data."},
    {.name = "ack-number-rewritten",
     .shows = "a balancer breaks the ACK numbers: a RST that the client ignores, retransmissions, a FIN",
     .source = "seed 000, frames 74 to the end", .kernel = "el6", .client_kernel = "el6",
     .sysctls = kPlain, .params = kRewrittenParams, .counters = kRewrittenCounters, .build = ack_rewritten,
     .lesson = "The RST carries the wrong number as its own, so it is outside the client's window and changes nothing."},
    {.name = "tw-recycle-nat",
     .shows = "two phones behind one address, tcp_tw_recycle=1: the SYNs of the second are dropped for a minute",
     .source = "seed 001", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kRecycle, .params = kPhones, .counters = kRecycleCounters, .build = two_phones,
     .lesson = "It needs a connection of that address that the server closed first; turning timestamps off on the "
               "clients does not help this kernel."},
    {.name = "tw-recycle-stray-fin",
     .shows = "a late FIN of the old connection meets the new one on the same port",
     .source = "seed 001", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kRecycle, .params = kStrayParams, .counters = kStrayCounters, .build = stray_fin,
     .lesson = "The article is wrong here: the old FIN carries an old sequence number and an old timestamp, so the new "
               "connection answers it with an ACK and lives."},
    {.name = "time-wait-reuse",
     .shows = "a SYN on TIME_WAIT: accepted when it counts on, challenged (and reset by the client) when it does not",
     .source = "seed 002, RFC 1122 4.2.2.13, RFC 6191", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kReuseParams, .counters = kReuseCounters, .build = reuse,
     .lesson = "Linux never answers a SYN on TIME_WAIT with RST. The RST on the wire is the client's, and it clears the way."},
    {.name = "dual-port-race",
     .shows = "a client tries 445 and 139 at once, keeps the first and resets the other",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kRaceCounters, .build = dual_port,
     .lesson = "A RST straight after the handshake on the port the client did not want is no fault."},
    {.name = "simultaneous-open",
     .shows = "two SYNs cross and become one connection",
     .source = "seed 004", .kernel = "6.18", .client_kernel = "6.18",
     .sysctls = kPlain, .params = kNoParams, .counters = kCrossCounters, .build = simultaneous_open,
     .lesson = "Four segments instead of three, one connection. Neither side has a listener."},
    {.name = "accept-is-not-handshake",
     .shows = "established, data acknowledged, never accepted",
     .source = "seed 004, port 9502", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kAcceptCounters, .build = never_accepted,
     .lesson = "The kernel completes the handshake and acknowledges data whether or not anybody calls accept()."},
};

}  // namespace

std::span<const Experiment> handshake_experiments() { return kTable; }

}  // namespace tcpwhy::lab
