#pragma once
// A host that is nothing but a network card: it says what it is told to say and
// answers nothing by itself. hping3 behind a filter, a scanner, a router.

#include <functional>
#include <stdexcept>

#include "world/world.hpp"

namespace tcpwhy::world {

class Card : public Host {
 public:
  using Received = std::function<void(const Packet&)>;
  Card(std::string name, std::uint32_t ip) : Host{std::move(name), ip} {}

  Received received;

  System& system() override { return none_; }
  void deliver(const Packet& packet) override {
    if (received) received(packet);
  }
  [[nodiscard]] std::optional<ModelTime> next_timer() override { return std::nullopt; }
  void fire() override {}

 private:
  /// No kernel, no calls: each fails as for a descriptor that is none.
  class NoSystem : public System {
   public:
    int socket() override { return kBadFd; }
    int set(Fd, Option, int) override { return kBadFd; }
    int bind(Fd, Address) override { return kBadFd; }
    int listen(Fd, int) override { return kBadFd; }
    int connect(Fd, Address) override { return kBadFd; }
    int accept(Fd) override { return kBadFd; }
    long send(Fd, std::string_view) override { return kBadFd; }
    long receive(Fd, std::size_t, std::string&) override { return kBadFd; }
    int shutdown(Fd, How) override { return kBadFd; }
    int close(Fd) override { return kBadFd; }
    int error(Fd) override { return 0; }
    Ready poll(Fd) override { return {}; }
    Address local(Fd) override { return {}; }
    Address remote(Fd) override { return {}; }
    std::map<std::string, std::uint64_t> counters() override { return {}; }
    std::vector<SocketRow> sockets() override { return {}; }

   private:
    static constexpr int kBadFd = -9;  // EBADF
  };
  NoSystem none_;
};

/// hping3 -S -p PORT -i uINTERVAL: SYNs from rising source ports, without options, window 512.
struct Flood {
  Address target;
  int syns = 1;
  Duration interval = std::chrono::milliseconds{1};
  std::uint16_t first_port = 1433;
};
/// What comes back is dropped, as by the article's `iptables -A INPUT -s $ip -j DROP`.
void flood(World& world, Card& card, const Flood& flood);

}  // namespace tcpwhy::world
