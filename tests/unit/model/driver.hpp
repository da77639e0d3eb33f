#pragma once
// Two hosts and a wire, or one host and a hand-made peer, for tests that read as a conversation.

#include <algorithm>
#include <deque>

#include "model/host.hpp"

namespace tcpwhy::model::test {

using namespace std::chrono_literals;
using Flag = wire::Flag;
using Opt = wire::Opt;

inline const Address kServer = Address::v4(192, 0, 2, 1);
inline const Address kClient = Address::v4(198, 51, 100, 7);
inline constexpr std::uint16_t kPort = 8888;
inline constexpr std::uint16_t kClientPort = 40000;

inline HostConfig config_of(std::string_view kernel, const Address& address) {
  HostConfig c;
  c.kernel = profile(kernel).value();
  c.sysctls = Sysctls::of(c.kernel);
  c.addresses = {address};
  return c;
}

/// One host of the model; the test is everything else.
class Alone {
 public:
  explicit Alone(std::string_view kernel = "6.18", const Address& address = kServer)
      : host{config_of(kernel, address)}, address_{address} {}

  Host host;
  Step step;
  ModelTime now{std::chrono::hours{1}};

  int socket(Blocking blocking = Blocking::kNo) {
    return static_cast<int>(host.socket(now, Family::kInet, blocking, step).value);
  }
  int listener(int backlog = 5, std::uint16_t port = kPort) {
    const int fd = socket();
    host.setsockopt(now, fd, SocketOption::kReuseAddr, 1, step);
    host.bind(now, fd, {Address{}, port}, step);
    host.listen(now, fd, backlog, step);
    return fd;
  }
  /// What leaves when `p` comes in.
  std::vector<Packet> in(const Packet& p) {
    step.clear();
    host.deliver(now, p, step);
    return step.sent;
  }
  /// What leaves until `d` later.
  std::vector<Packet> wait(Duration d) {
    std::vector<Packet> all;
    const ModelTime end = now + d;
    while (const auto next = host.next_timer()) {
      if (*next > end) break;
      now = std::max(now, *next);
      step.clear();
      host.fire(now, step);
      all.insert(all.end(), step.sent.begin(), step.sent.end());
    }
    now = end;
    return all;
  }
  [[nodiscard]] std::uint64_t counted(Mib m) const { return host.counter(m); }
  [[nodiscard]] bool fired(Rule r) const {
    return std::find(step.because.begin(), step.because.end(), r) != step.because.end();
  }

  [[nodiscard]] Packet segment(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, std::uint32_t payload = 0,
                               std::uint16_t from = kClientPort, std::uint16_t to = kPort) const {
    Packet p;
    p.source = address_ == kServer ? kClient : kServer;
    p.destination = address_;
    p.source_port = from;
    p.destination_port = to;
    p.flags = flags;
    p.seq = SeqNum{seq};
    p.ack = SeqNum{ack};
    p.window = 32768;
    p.payload_bytes = payload;
    return p;
  }
  [[nodiscard]] Packet syn(std::uint32_t seq = 1000, std::uint16_t from = kClientPort) const {
    Packet p = segment(Flag::kSyn, seq, 0, 0, from);
    p.options = Opt::kMss;
    p.mss = 1460;
    return p;
  }
  /// A whole handshake from port `from`; the descriptor accept() gives. The peer's next number is 1001.
  int accepted(int listening, std::uint16_t from = kClientPort) {
    const auto answer = in(syn(1000, from));
    iss = answer.at(0).seq;
    in(segment(Flag::kAck, 1001, iss.raw() + 1, 0, from));
    step.clear();
    return static_cast<int>(host.accept(now, listening, nullptr, step).value);
  }
  SeqNum iss;

 private:
  Address address_;
};

/// Two hosts; what one sends reaches the other `delay` later, in order.
class Pair {
 public:
  explicit Pair(std::string_view kernel = "6.18")
      : server{config_of(kernel, kServer)}, client{config_of(kernel, kClient)} {}

  Host server, client;
  Step step;
  ModelTime now{std::chrono::hours{1}};
  Duration delay = 1ms;
  std::vector<Packet> seen;  ///< in the order they were sent

  void run(Duration d) {
    const ModelTime end = now + d;
    for (;;) {
      ModelTime next = end;
      if (!wire_.empty()) next = std::min(next, wire_.front().at);
      for (Host* h : {&server, &client})
        if (const auto t = h->next_timer()) next = std::min(next, *t);
      if (next >= end) break;
      now = std::max(now, next);
      if (!wire_.empty() && wire_.front().at <= now) {
        const Packet p = wire_.front().packet;
        wire_.pop_front();
        (p.destination == kServer ? server : client).deliver(now, p, step);
      } else {
        for (Host* h : {&server, &client}) {
          const auto t = h->next_timer();
          if (t && *t <= now) h->fire(now, step);
        }
      }
      carry();
    }
    now = end;
  }
  /// After a call: what it sent is on the wire.
  CallResult done(const CallResult& r) {
    carry();
    return r;
  }
  int listener(int backlog = 5) {
    const int fd = static_cast<int>(server.socket(now, Family::kInet, Blocking::kNo, step).value);
    server.setsockopt(now, fd, SocketOption::kReuseAddr, 1, step);
    server.bind(now, fd, {Address{}, kPort}, step);
    server.listen(now, fd, backlog, step);
    return fd;
  }
  int connecting() {
    const int fd = static_cast<int>(client.socket(now, Family::kInet, Blocking::kNo, step).value);
    done(client.connect(now, fd, {kServer, kPort}, step));
    return fd;
  }

 private:
  struct Flying {
    ModelTime at;
    Packet packet;
  };
  void carry() {
    for (const Packet& p : step.sent) {
      seen.push_back(p);
      wire_.push_back({now + delay, p});
    }
    step.clear();
  }
  std::deque<Flying> wire_;
};

}  // namespace tcpwhy::model::test
