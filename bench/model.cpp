// How fast a host of the model is: SYNs into a flooded listener, whole short connections between two hosts,
// and the memory of connections that only exist. One thread; prints one line per measurement.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "model/host.hpp"

namespace {

using namespace tcpwhy;
using namespace tcpwhy::model;
using Flag = wire::Flag;
using Opt = wire::Opt;

const Address kServer = Address::v4(192, 0, 2, 1);
const Address kClient = Address::v4(198, 51, 100, 7);
constexpr std::uint16_t kPort = 8888;

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
  Step step, other;
  ModelTime t{std::chrono::hours{1}};
  const int l = listener(server, t, 128, step);
  step.clear();
  const auto settle = [&] {
    while (!step.sent.empty()) {
      other.clear();
      for (const Packet& p : step.sent) (p.destination == kServer ? server : client).deliver(t, p, other);
      std::swap(step, other);
    }
    step.clear();
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

}  // namespace

int main(int argc, char** argv) {
  const std::uint32_t n = argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 1'000'000;
  for (const char* kernel : {"6.18", "el7"})
    for (const int cookies : {0, 1}) flood(kernel, cookies, 2 * n);
  for (const char* kernel : {"6.18", "el7"}) short_connections(kernel, n / 5);
  open_connections(n);
}
