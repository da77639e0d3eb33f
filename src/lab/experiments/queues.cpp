// Seed article 003: the SYN queue and the accept queue of a listener on RHEL 7,
// and what a full one does. Golden numbers: linux-tcp.md 12.1.

#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

// The appendix of the article, on both hosts. It says tcp_sack 0 too, but the packets of cases E and G show tail loss
// probes (gaps of 0.2, 0.2, 0.4 s), which need SACK: the appendix is the final state, not the one of those traces.
constexpr Setting kAppendix[] = {
    {"net.ipv4.tcp_timestamps", "1"},       {"net.ipv4.tcp_window_scaling", "1"},
    {"net.ipv4.tcp_syn_retries", "2"},      {"net.ipv4.tcp_synack_retries", "2"},
    {"net.ipv4.tcp_max_orphans", "262144"}, {"net.ipv4.tcp_max_tw_buckets", "1600000"},
    {"net.ipv4.tcp_keepalive_time", "300"}, {"net.ipv4.tcp_keepalive_probes", "9"},
    {"net.ipv4.tcp_keepalive_intvl", "75"}, {"net.ipv4.tcp_retries1", "3"},
    {"net.ipv4.tcp_retries2", "2"},         {"net.ipv4.tcp_fin_timeout", "5"},
    {"net.ipv4.tcp_syncookies", "1"},       {"net.ipv4.tcp_tw_recycle", "0"},
    {"net.ipv4.tcp_abort_on_overflow", "0"}, {"net.ipv4.tcp_rfc1337", "0"},
    {"net.ipv4.tcp_max_syn_backlog", "81920"}, {"net.core.somaxconn", "65535"},
};

constexpr std::size_t kAppendixSize = std::size(kAppendix);
template <std::size_t N>
consteval std::array<Setting, kAppendixSize + N> appendix_and(const Setting (&more)[N]) {
  std::array<Setting, kAppendixSize + N> all{};
  for (std::size_t i = 0; i < kAppendixSize; ++i) all[i] = kAppendix[i];
  for (std::size_t i = 0; i < N; ++i) all[kAppendixSize + i] = more[i];
  return all;
}
constexpr auto kNoCookies = appendix_and({{"net.ipv4.tcp_syncookies", "0"}});
constexpr auto kPatient = appendix_and({{"client:net.ipv4.tcp_retries2", "15"}});
constexpr auto kAbort = appendix_and({{"server:net.ipv4.tcp_abort_on_overflow", "1"}});

constexpr std::string_view kFloodCounters[] = {"ListenDrops", "ListenOverflows", "TCPReqQFullDrop",
                                               "TCPReqQFullDoCookies", "OutRsts"};
constexpr Param kFloodParams[] = {{"syns", "542", "how many SYNs"},
                                  {"interval_us", "1000", "time between two SYNs"},
                                  {"backlog", "1", "argument of listen()"}};

void syn_queue_overflow(Stage& stage) {
  world::Host& server = stage.host("server", kServerIp);
  auto& flooder = static_cast<world::Card&>(
      stage.add(std::make_unique<world::Card>("client", world::parse_ip(kClientIp)), stage.site()));
  Acceptor::open(stage.world, server, {0, kPort}, static_cast<int>(stage.number("backlog")), {}, nullptr);
  const Duration interval = std::chrono::microseconds{stage.number("interval_us")};
  const int syns = static_cast<int>(stage.number("syns"));
  stage.look(0ms, server, "before the flood");
  stage.at(0ms, [&world = stage.world, &flooder, interval, syns] {
    world::flood(world, flooder, {.target = {world::parse_ip(kServerIp), kPort}, .syns = syns, .interval = interval});
  });
  const Duration over = interval * syns + 50ms;
  stage.look(over, server, "after the flood");
  stage.end(over);
}

constexpr std::string_view kOverflowCounters[] = {"ListenOverflows", "ListenDrops", "OutRsts"};
constexpr Param kOverflowParams[] = {
    {"backlog", "1", "argument of listen()"},
    {"connects", "1", "clients that come when the queue is full"},
    {"fill", "0", "connections made before, which nobody accepts; 0: backlog + 1, so many as fit"},
    {"accept_after_ms", "0", "when the application begins to accept; 0: never"},
    {"wait_s", "12", "how long to watch"},
};

constexpr Param kServerResetsParams[] = {
    {"backlog", "1", "argument of listen()"},
    {"connects", "1", "clients that come when the queue is full"},
    {"fill", "0", "connections made before, which nobody accepts; 0: backlog + 1, so many as fit"},
    {"accept_after_ms", "0", "when the application begins to accept; 0: never"},
    {"wait_s", "16", "how long to watch"},
};

// The queue is filled by backlog + 1 connections that nobody accepts; then one
// second of peace, so that the listener's SYN-ACK timer has come to rest.
enum class Sends : std::uint8_t { kNothing, kRequest };

void overflow(Stage& stage, Sends sends) {
  world::Host& server = stage.host("server", kServerIp);
  world::Host& client = stage.host("client", kClientIp);
  const auto acceptor = Acceptor::open(stage.world, server, {0, kPort}, static_cast<int>(stage.number("backlog")), {}, nullptr);
  const Address listener{world::parse_ip(kServerIp), kPort};
  const auto fill = stage.number("fill");
  const auto queue = fill > 0 ? fill : stage.number("backlog") + 1;
  for (std::int64_t i = 0; i < queue; ++i)
    stage.at(i * 5ms, [&, listener] { Talk::open(stage.world, client, listener, quiet()); });
  const Duration full = queue * 5ms + 1s;
  stage.begin(full);
  stage.look(full, server, "the accept queue is full");
  for (std::int64_t i = 0; i < stage.number("connects"); ++i)
    stage.at(full + i * 10ms, [&, listener, sends] {
      Talk::Events events;
      if (sends == Sends::kRequest) events.connected = [](const Talk::Pointer& talk) { talk->send(http_request(90)); };
      Talk::open(stage.world, client, listener, std::move(events));
    });
  if (const auto accept_after = stage.number("accept_after_ms"); accept_after > 0)
    stage.at(full + std::chrono::milliseconds{accept_after}, [acceptor] {
      while (acceptor->accept_one()) {}
    });
  stage.look(full + 500ms, server, "half a second later");
  stage.look(full + 500ms, client, "half a second later");
  const Duration end = full + stage.secs("wait_s");
  stage.look(end, server, "at the end");
  stage.look(end, client, "at the end");
  stage.end(end);
}
void connect_only(Stage& stage) { overflow(stage, Sends::kNothing); }
void with_request(Stage& stage) { overflow(stage, Sends::kRequest); }

const Experiment kTable[] = {
    {.name = "syn-queue-overflow",
     .shows = "listen(1), a SYN each millisecond and nobody who answers: the SYN queue fills",
     .source = "seed 003, cases A, B, C1, C2",
     .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kNoCookies, .params = kFloodParams, .counters = kFloodCounters,
     .build = syn_queue_overflow,
     .lesson = "A full SYN queue never answers with RST: without syncookies the SYN is dropped, with them it is "
               "answered and, on 3.10 to 4.4, still counted as dropped."},
    {.name = "accept-queue-overflow",
     .shows = "listen(1), nobody accepts: two connections fit, the third stays in SYN-RECV",
     .source = "seed 003, case D",
     .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kAppendix, .params = kOverflowParams, .counters = kOverflowCounters,
     .build = connect_only,
     .lesson = "The client believes it is connected. Every ACK it sends is dropped and counted twice, as overflow and "
               "as drop."},
    {.name = "accept-queue-overflow-client-gives-up",
     .shows = "the same with an HTTP request and tcp_retries2=2: the client gives up with ETIMEDOUT",
     .source = "seed 003, case E",
     .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kAppendix, .params = kOverflowParams, .counters = kOverflowCounters,
     .build = with_request,
     .lesson = "The RST at the end comes from the client's host, in answer to a SYN-ACK for a connection it has given up."},
    {.name = "accept-queue-overflow-server-resets",
     .shows = "the same with tcp_retries2=15: the server has forgotten the request, and resets",
     .source = "seed 003, case G",
     .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kPatient, .params = kServerResetsParams, .counters = kOverflowCounters,
     .build = with_request,
     .lesson = "tcp_synack_retries small and tcp_retries2 large: the server's half is gone first, and the next "
               "repetition meets the listener."},
    {.name = "accept-queue-overflow-abort",
     .shows = "the same with tcp_abort_on_overflow=1: ECONNRESET at once",
     .source = "seed 003, case F",
     .kernel = "3.10", .client_kernel = "3.10",
     .sysctls = kAbort, .params = kOverflowParams, .counters = kOverflowCounters,
     .build = with_request,
     .lesson = "Only with tcp_abort_on_overflow=1 does an overflow of the accept queue send a RST."},
};

}  // namespace

std::span<const Experiment> queue_experiments() { return kTable; }

}  // namespace tcpwhy::lab
