#pragma once
// The model of a host, standing in the world: system calls of the applications go
// to it, what it sends goes to the wire, its rules into the world's book.

#include <array>
#include <cstdint>
#include <memory>

#include "model/host.hpp"
#include "world/world.hpp"

namespace tcpwhy::world {

[[nodiscard]] model::Packet to_model(const Packet& packet);
[[nodiscard]] Packet from_model(const model::Packet& packet);

class ModelHost : public Host, private System {
 public:
  ModelHost(World& world, std::string name, std::uint32_t ip, model::HostConfig config);

  System& system() override { return *this; }
  void deliver(const Packet& packet) override;
  [[nodiscard]] std::optional<ModelTime> next_timer() override { return host_.next_timer(); }
  void fire() override;
  [[nodiscard]] std::map<std::string, std::uint64_t> rules() const override;
  [[nodiscard]] model::Host& model() { return host_; }
  /// RLIMIT_NOFILE of the host's one process: more gives EMFILE.
  void limit_descriptors(std::size_t most) { most_descriptors_ = most; }

 private:
  int socket() override;
  int set(Fd fd, Option option, int value) override;
  int bind(Fd fd, Address local) override;
  int listen(Fd fd, int backlog) override;
  int connect(Fd fd, Address remote) override;
  int accept(Fd fd) override;
  long send(Fd fd, std::string_view data) override;
  long receive(Fd fd, std::size_t most, std::string& into) override;
  int shutdown(Fd fd, How how) override;
  int close(Fd fd) override;
  int error(Fd fd) override;
  Ready poll(Fd fd) override;
  Address local(Fd fd) override;
  Address remote(Fd fd) override;
  std::map<std::string, std::uint64_t> counters() override;
  std::vector<SocketRow> sockets() override;

  long done(const model::CallResult& result);
  void carry_out();

  World& world_;
  std::uint8_t ip_version_;  ///< of its first address
  model::Host host_;
  model::Step step_;
  std::array<std::uint64_t, model::kRules> rules_{};
  std::size_t descriptors_ = 0, most_descriptors_ = SIZE_MAX;
};

}  // namespace tcpwhy::world
