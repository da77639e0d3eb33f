// Seed 002: what may come back for a SYN, and how long a sender tries.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

using Verdict = world::Filter::Verdict;

constexpr std::span<const Setting> kPlain{};
constexpr std::string_view kRefusalCounters[] = {"OutRsts", "AttemptFails", "ListenDrops"};
constexpr Param kNoParams[] = {{"port", "8888", "where the client knocks"}};

Talk::Pointer knock(Stage& stage, world::Host& client) {
  Talk::Events events = quiet();
  return Talk::open(stage.world, client, at(kServerIp, static_cast<std::uint16_t>(stage.number("port"))), std::move(events));
}

void closed_port(Stage& stage) {
  stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] { knock(stage, client); });
  stage.end(5s);
}

void behind_filter(Stage& stage, Verdict verdict, std::string_view signed_by) {
  const std::size_t site = stage.site();
  stage.world.add_box(site, std::make_shared<world::Filter>(
                                world::incoming_syns(verdict), signed_by.empty() ? 0 : world::parse_ip(signed_by)));
  stage.world.add_box(site, stage.world.tap_box("firewall"));
  world::Host& server = stage.host("server", kServerIp, site);
  stage.keep(polite_server(stage, server, static_cast<std::uint16_t>(stage.number("port")), 16));
  world::Host& client = stage.host("client", kClientIp);
  stage.at(0ms, [&] { knock(stage, client); });
  stage.look(2s, client, "two seconds later");
}

void silent_firewall(Stage& stage) {
  behind_filter(stage, Verdict::kDrop, {});
  stage.end(150s);
}

constexpr Param kRejectParams[] = {
    {"port", "8888", "where the client knocks"},
    {"answer", "rst", "rst, port, host, net or admin: a RST or that ICMP unreachable"}};

void rejecting_firewall(Stage& stage) {
  const std::string answer = stage.word("answer");
  const Verdict verdict = answer == "port"    ? Verdict::kIcmpPort
                          : answer == "host"  ? Verdict::kIcmpHost
                          : answer == "net"   ? Verdict::kIcmpNet
                          : answer == "admin" ? Verdict::kIcmpAdmin
                                              : Verdict::kReset;
  behind_filter(stage, verdict, kFirewallIp);
  stage.end(5s);
}

constexpr std::string_view kLimitCounters[] = {"RetransSegs", "TCPAbortOnTimeout", "OutRsts"};
constexpr Param kLimitParams[] = {
    {"sender", "both", "linux, windows or both"},
    {"watch_s", "1100", "how long to watch"},
};

// The path stops carrying anything after the handshake; both senders write once.
void limit(Stage& stage) {
  const std::size_t site = stage.site();
  auto plug = std::make_shared<world::Plug>();
  stage.world.add_box(site, plug);
  world::Host& server = stage.host("server", kServerIp, site);
  stage.keep(polite_server(stage, server, kPort, 16));
  const auto talk = [&stage](world::Host& sender) {
    Talk::Events events = quiet();
    events.connected = [&stage](const Talk::Pointer& t) { stage.world.after(1s, [t] { t->send(http_request(90)); }); };
    Talk::open(stage.world, sender, at(kServerIp, kPort), std::move(events));
  };
  const std::string who = stage.word("sender");
  if (who != "windows") {
    world::Host& sender = stage.host("client", kClientIp);
    stage.at(0ms, [talk, &sender] { talk(sender); });
  }
  if (who != "linux") {
    world::Host& sender = stage.host_of("windows", "windows", kSecondClientIp, stage.site());
    stage.at(0ms, [talk, &sender] { talk(sender); });
  }
  stage.at(500ms, [plug] { plug->pull(); });
  stage.end(stage.secs("watch_s"));
}

const Experiment kTable[] = {
    {.name = "closed-port",
     .shows = "nobody listens: RST at once, ECONNREFUSED",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kRefusalCounters, .build = closed_port,
     .lesson = "The RST acknowledges SYN + 1 and has sequence number 0, window 0 and no options."},
    {.name = "silent-firewall",
     .shows = "a firewall drops the SYN: repeats, then ETIMEDOUT",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kNoParams, .counters = kRefusalCounters, .build = silent_firewall,
     .tap = "client",
     .lesson = "Seen at the client alone, a dropped SYN, a dropped SYN-ACK and a full queue look the same."},
    {.name = "rejecting-firewall",
     .shows = "a firewall answers the SYN itself, by RST or by ICMP",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kRejectParams, .counters = kRefusalCounters, .build = rejecting_firewall,
     .tap = "client",
     .lesson = "TTL, IP ID and timing of the RST are the firewall's, not the server's."},
    {.name = "retransmission-limit",
     .shows = "data without an answer: how long Linux and Windows try, and what they send at the end",
     .source = "seed 002", .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPlain, .params = kLimitParams, .counters = kLimitCounters, .build = limit,
     .tap = "client",
     .lesson = "tcp_retries2 is a time, not a count, and Linux ends without a RST; Windows counts five and sends one."},
};

}  // namespace

std::span<const Experiment> refusal_experiments() { return kTable; }

}  // namespace tcpwhy::lab
