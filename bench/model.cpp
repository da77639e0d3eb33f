// How fast a host of the model is: SYNs into a flooded listener, whole short connections between two hosts,
// the memory of connections that only exist, and an hour of a small web service in a world of links. One thread; prints
// one line per measurement, in processor time, which neighbours disturb less than the clock on the wall.
//
//   bench_model [CONNECTIONS] [flood|short|open|hour]...

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

#include "model/host.hpp"
#include "world/apps/http.hpp"
#include "world/boxes.hpp"
#include "world/model_host.hpp"

namespace {

using namespace tcpwhy;
using namespace tcpwhy::model;
using Flag = wire::Flag;
using Opt = wire::Opt;

const Address kServer = Address::v4(192, 0, 2, 1);
const Address kClient = Address::v4(198, 51, 100, 7);
constexpr std::uint16_t kPort = 8888;

/// Seconds of processor time of this process.
double now_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

HostConfig config_of(std::string_view kernel, const Address& address) {
  HostConfig c;
  c.kernel = *profile(kernel);
  c.sysctls = Sysctls::of(c.kernel);
  c.addresses = {address};
  return c;
}

int listener(Host& h, ModelTime t, int backlog, Step& step) {
  const int fd = static_cast<int>(h.socket(t, Family::kInet, Blocking::kNo, step).value);
  h.setsockopt(t, fd, SocketOption::kReuseAddr, 1, step);
  h.bind(t, fd, {Address{}, kPort}, step);
  h.listen(t, fd, backlog, step);
  return fd;
}

Packet segment(std::uint32_t client, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) {
  Packet p;
  p.source = Address::v4(198, 18, static_cast<std::uint8_t>(client >> 22), static_cast<std::uint8_t>(client >> 14));
  p.destination = kServer;
  p.source_port = static_cast<std::uint16_t>(1024 + (client & 0x3fff));
  p.destination_port = kPort;
  p.flags = flags;
  p.seq = SeqNum{seq};
  p.ack = SeqNum{ack};
  p.window = 512;
  return p;
}

void flood(std::string_view kernel, int cookies, std::uint32_t n) {
  HostConfig c = config_of(kernel, kServer);
  c.sysctls.tcp_syncookies = cookies;
  Host h{std::move(c)};
  Step step;
  ModelTime t{std::chrono::hours{1}};
  listener(h, t, 128, step);
  const double start = now_s();
  std::uint64_t answers = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    t += std::chrono::microseconds{1};
    if (const auto due = h.next_timer(); due && *due <= t) h.fire(t, step);
    h.deliver(t, segment(i, Flag::kSyn, i, 0), step);
    answers += step.sent.size();
    step.clear();
  }
  std::printf("flood %s syncookies=%d: %.2f million SYNs a second, %llu answers\n", kernel.data(), cookies,
              n / (now_s() - start) / 1e6, static_cast<unsigned long long>(answers));
}

/// connect, request, response, close from the client: both ends are hosts of the model.
void short_connections(std::string_view kernel, std::uint32_t n) {
  HostConfig cs = config_of(kernel, kServer), cc = config_of(kernel, kClient);
  cc.sysctls.ip_local_port_first = 1024;
  cc.sysctls.ip_local_port_last = 65535;
  Host server{std::move(cs)}, client{std::move(cc)};
  Step steps[2];
  ModelTime t{std::chrono::hours{1}};
  Step& step = steps[0];
  const int l = listener(server, t, 128, step);
  step.clear();
  const auto settle = [&] {
    std::size_t from = 0;
    for (; !steps[from].sent.empty(); from ^= 1) {
      Step& answers = steps[from ^ 1];
      for (const Packet& p : steps[from].sent) (p.destination == kServer ? server : client).deliver(t, p, answers);
      steps[from].clear();
    }
    steps[from].clear();
  };
  std::uint64_t done = 0;
  const double start = now_s();
  for (std::uint32_t i = 0; i < n; ++i) {
    t += std::chrono::milliseconds{2};
    for (Host* h : {&server, &client})
      if (const auto due = h->next_timer(); due && *due <= t) h->fire(t, step);
    settle();
    const int c = static_cast<int>(client.socket(t, Family::kInet, Blocking::kNo, step).value);
    client.connect(t, c, {kServer, kPort}, step);
    settle();
    const int s = static_cast<int>(server.accept(t, l, nullptr, step).value);
    client.send(t, c, 100, 0, {}, step);
    settle();
    done += server.recv(t, s, 1000, 0, nullptr, step).value == 100;
    server.send(t, s, 1000, 0, {}, step);
    settle();
    client.recv(t, c, 2000, 0, nullptr, step);
    client.close(t, c, step);
    settle();
    server.close(t, s, step);
    settle();
  }
  std::printf("short connections %s: %.0f thousand a second, %llu of %u complete\n", kernel.data(),
              n / (now_s() - start) / 1e3, static_cast<unsigned long long>(done), n);
}

void open_connections(std::uint32_t n) {
  Host h{config_of("6.18", kServer)};
  Step step;
  ModelTime t{std::chrono::hours{1}};
  const int l = listener(h, t, 128, step);
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const double start = now_s();
  for (std::uint32_t i = 0; i < n; ++i) {
    step.clear();
    h.deliver(t, segment(i, Flag::kSyn, 1000, 0), step);
    const SeqNum iss = step.sent.empty() ? SeqNum{} : step.sent.front().seq;
    h.deliver(t, segment(i, Flag::kAck, 1001, iss.raw() + 1), step);
    h.accept(t, l, nullptr, step);
  }
  const double took = now_s() - start;
  getrusage(RUSAGE_SELF, &after);
  std::printf("open connections: %u take %ld MiB, %.2f s\n", n, (after.ru_maxrss - before.ru_maxrss) / 1024, took);
}

/// A page of twenty objects every ten seconds over a browser's six connections, an API call every two seconds from a
/// pool, and nginx's timeouts, over a path that loses one packet in a thousand: an hour of it.
void one_hour() {
  using namespace std::chrono_literals;
  constexpr std::uint32_t kWeb = 0xC0000201, kHome = 0xC6336407;
  const double start = now_s();
  world::World world{1};
  const std::size_t home = world.add_site(), rack = world.add_site();
  HostConfig wc = config_of("6.18", kServer), hc = config_of("6.18", kClient);
  world::Host& web = world.add_host(rack, std::make_unique<world::ModelHost>(world, "web", kWeb, std::move(wc)));
  world::Host& browser_host = world.add_host(home, std::make_unique<world::ModelHost>(world, "home", kHome, std::move(hc)));
  world.add_box(home, std::make_shared<world::Link>(world::Link::Settings{.delay = 10ms, .loss_ppm = 1000}));
  world.add_tap("web", &web);
  const world::Address site{kWeb, 80};
  const auto server = world::HttpServer::start(world, web, {0, 80}, 128, {.response_bytes = 5000});
  const auto browser = world::Browser::create(world, browser_host, site, 6);
  const auto pool = world::Pool::create(world, browser_host, site);
  std::uint64_t calls = 0;
  for (auto t = 0s; t < 3600s; t += 2s) {
    world.at(world.start() + t, [&] { pool->request({}, [&calls](const world::Pool::Result&) { ++calls; }); });
    if (t % 10s == 0s) world.at(world.start() + t + 1s, [&] { browser->fetch(20); });
  }
  world.run_until(world.start() + 1h);
  std::printf("one hour: %.3f s, %zu packets, %llu calls and %d objects\n", now_s() - start, world.seen().size(),
              static_cast<unsigned long long>(calls), browser->report().done);
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint32_t n = argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 1'000'000;
  const std::vector<std::string_view> asked(argv + std::min(argc, 2), argv + argc);
  const auto wanted = [&](std::string_view name) {
    return asked.empty() || std::find(asked.begin(), asked.end(), name) != asked.end();
  };
  if (wanted("flood"))
    for (const char* kernel : {"6.18", "el7"})
      for (const int cookies : {0, 1}) flood(kernel, cookies, 2 * n);
  if (wanted("short"))
    for (const char* kernel : {"6.18", "el7"}) short_connections(kernel, n / 5);
  if (wanted("open")) open_connections(n);
  if (wanted("hour")) one_hour();
}
