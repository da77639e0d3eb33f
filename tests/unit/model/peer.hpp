#pragma once
// A host of the model and the other end of its wire: the test says what arrives and when, and reads what
// left.

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "model/host.hpp"

namespace tcpwhy::model {

using Flag = wire::Flag;
using Opt = wire::Opt;
using namespace std::chrono_literals;

inline constexpr std::uint8_t kS = Flag::kSyn, kA = Flag::kAck, kF = Flag::kFin, kR = Flag::kRst,
                              kP = Flag::kPsh;
inline constexpr std::uint8_t kSA = kS | kA, kFA = kF | kA, kRA = kR | kA, kPA = kP | kA;

struct Sent {
  ModelTime at;
  Packet packet;
};

class Peer {
 public:
  static constexpr std::uint16_t kPort = 8888;
  static constexpr Address kHost = Address::v4(192, 0, 2, 1), kPeer = Address::v4(198, 51, 100, 7);
  static constexpr SeqNum kIsn{0xffff'fff0};

  explicit Peer(std::string_view kernel = "6.18", const std::function<void(HostConfig&)>& change = {})
      : host{make(kernel, change)} {}

  Host host;
  ModelTime now = ModelTime{} + 1'000'003s;
  Step step;  ///< of the last entry
  std::vector<Sent> sent;
  std::vector<Rule> rules;

  std::uint64_t count(Mib m) const { return host.counter(m); }
  bool fired(Rule r) const { return std::find(rules.begin(), rules.end(), r) != rules.end(); }

  int listen(int backlog, std::uint16_t port = kPort) {
    const int fd = static_cast<int>(host.socket(now, Family::kInet, Blocking::kNo, step).value);
    host.setsockopt(now, fd, SocketOption::kReuseAddr, 1, step);
    host.bind(now, fd, {Address{}, port}, step);
    host.listen(now, fd, backlog, step);
    collect();
    return fd;
  }
  static Packet segment(std::uint16_t from, std::uint8_t flags, SeqNum seq, SeqNum ack = SeqNum{},
                        std::uint32_t bytes = 0) {
    Packet p;
    p.source = kPeer;
    p.destination = kHost;
    p.source_port = from;
    p.destination_port = kPort;
    p.flags = flags;
    p.seq = seq;
    p.ack = ack;
    p.window = 32767;
    p.payload_bytes = bytes;
    return p;
  }
  /// What leaves in answer to `p`, at once.
  std::vector<Packet> arrives(const Packet& p) {
    step.clear();
    host.deliver(now, p, step);
    std::vector<Packet> answers = step.sent;
    last_rules = step.because;
    collect();
    return answers;
  }
  std::vector<Packet> arrives(std::uint16_t from, std::uint8_t flags, SeqNum seq, SeqNum ack = SeqNum{},
                              std::uint32_t bytes = 0) {
    return arrives(segment(from, flags, seq, ack, bytes));
  }
  /// Lets time pass; timers fire when they are due.
  void wait(Duration d) {
    const ModelTime until = now + d;
    while (const auto next = host.next_timer()) {
      if (*next > until) break;
      now = *next;
      step.clear();
      host.fire(now, step);
      collect();
    }
    now = until;
  }
  /// SYN, SYN-ACK; returns the host's ISN.
  SeqNum open(std::uint16_t from) {
    const auto answers = arrives(from, kS, kIsn);
    return answers.empty() ? SeqNum{} : answers.front().seq;
  }
  /// The whole handshake and accept(); returns the descriptor.
  int connect(std::uint16_t from, int listener, SeqNum* isn = nullptr) {
    const SeqNum theirs = open(from);
    arrives(from, kA, kIsn + 1, theirs + 1);
    if (isn) *isn = theirs;
    return static_cast<int>(host.accept(now, listener, nullptr, step).value);
  }
  std::vector<Rule> last_rules;

  void collect() {
    for (const Packet& p : step.sent) sent.push_back({now, p});
    rules.insert(rules.end(), step.because.begin(), step.because.end());
    step.clear();
  }

 private:
  static HostConfig make(std::string_view kernel, const std::function<void(HostConfig&)>& change) {
    HostConfig c;
    c.kernel = *profile(kernel);
    c.sysctls = Sysctls::of(c.kernel);
    c.addresses = {kHost};
    if (change) change(c);
    return c;
  }
};

}  // namespace tcpwhy::model
