// A trial on the stage: one host, whichever it is, and a card that speaks for the peer.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "lab/experiments/common.hpp"
#include "lab/fuzz_trial.hpp"
#include "names/errno.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;
using Kind = TrialCall::Kind;
constexpr std::uint16_t kHostPort = 8080, kFirstPeerPort = 40'001;
constexpr std::size_t kConnections = 1;  // the first slot that accept() fills

std::string result_text(long result) {
  return result >= 0 ? std::to_string(result) : std::string{name(static_cast<Errno>(-result))};
}

std::string_view option_name(Option option) {
  switch (option) {
    case Option::kReuseAddress: return "SO_REUSEADDR";
    case Option::kLinger: return "SO_LINGER";
    case Option::kKeepAlive: return "SO_KEEPALIVE";
    case Option::kKeepIdle: return "TCP_KEEPIDLE";
    case Option::kKeepInterval: return "TCP_KEEPINTVL";
    case Option::kKeepCount: return "TCP_KEEPCNT";
    case Option::kDeferAccept: return "TCP_DEFER_ACCEPT";
    case Option::kUserTimeout: return "TCP_USER_TIMEOUT";
    case Option::kSynCount: return "TCP_SYNCNT";
    case Option::kLinger2: return "TCP_LINGER2";
    case Option::kReceiveBuffer: return "SO_RCVBUF";
    case Option::kSendBuffer: return "SO_SNDBUF";
    case Option::kNoDelay: return "TCP_NODELAY";
    case Option::kFastOpen: return "TCP_FASTOPEN";
    case Option::kFastOpenConnect: return "TCP_FASTOPEN_CONNECT";
  }
  return "";
}

/// Where one conversation of the peer stands.
struct Conversation {
  SeqNum next;                    ///< what the peer would send next
  SeqNum host_next, acknowledged; ///< all the host has sent, and what the peer has acknowledged of it
  std::uint32_t host_stamp = 0;
};

/// The same error as IPv6 says it: RFC 7915 4.2.
void translate(world::Packet::Icmp& e) {
  constexpr std::uint8_t kExceeded4 = 11, kTooBig4 = 4;
  if (e.type == kExceeded4) {
    e.type = 3;
  } else if (e.code == kTooBig4) {
    e.type = 2, e.code = 0;
  } else if (e.code == 2) {  // protocol: the next header is not known
    e.type = 4, e.code = 1;
  } else {
    e.type = 1;
    e.code = e.code == 3 ? 4 : e.code == 10 || e.code == 13 ? 1 : 0;
  }
}

class Player {
 public:
  Player(Stage& stage, const Trial& trial)
      : stage_{stage}, trial_{trial}, host_{stage.host("server", kServerIp)},
        card_{static_cast<world::Card&>(stage.add(std::make_unique<world::Card>("peer", world::parse_ip(kClientIp)), stage.site()))} {
    for (std::uint32_t port = 0; port < 16; ++port)
      talks_.push_back({SeqNum{0x1000'0000u * (port + 1)}, SeqNum{}, SeqNum{}, 0});
    card_.received = [this](const world::Packet& p) { heard(p); };
    for (const TrialAct& act : trial.acts)
      stage.at(act.at, [this, &act] { std::visit([this](const auto& what) { carry_out(what); }, act.what); });
    stage.at(trial.end - 1ms, [this] { look(); });
    stage.end(trial.end);
  }

 private:
  void heard(const world::Packet& p) {
    if (!p.is_tcp()) return;
    const std::size_t port = p.destination_port - kFirstPeerPort;
    if (port >= talks_.size()) return;
    Conversation& c = talks_[port];
    if (p.timestamps) c.host_stamp = p.timestamps->value;
    if (p.has(Flag::kRst)) return;
    const SeqNum end = p.seq + p.length();
    if (p.has(Flag::kSyn)) {
      c.host_next = end;
      c.acknowledged = p.seq;
      if (p.has(Flag::kAck)) c.next = p.ack;
    } else if (distance(c.host_next, end) < 0x8000'0000u) {
      c.host_next = end;
    }
  }

  void carry_out(const TrialSegment& s) {
    Conversation& c = talks_[s.port];
    world::Packet p = between(s.port);
    p.flags = s.flags;
    p.seq = c.next + static_cast<std::uint32_t>(s.seq);
    if (s.flags & Flag::kAck) p.ack = c.host_next + static_cast<std::uint32_t>(s.ack);
    p.window = s.window;
    p.mss = s.mss;
    p.window_scale = s.window_scale;
    p.sack_permitted = s.sack_permitted;
    if (s.stamp)
      p.timestamps = world::Packet::Stamp{clock() + static_cast<std::uint32_t>(s.stamp->value),
                                          s.flags & Flag::kAck ? c.host_stamp + static_cast<std::uint32_t>(s.stamp->echo) : 0};
    for (const auto& [left, right] : s.sack)
      p.sack.emplace_back(c.host_next + static_cast<std::uint32_t>(left), c.host_next + static_cast<std::uint32_t>(right));
    p.payload.assign(s.payload_bytes, 'x');
    if (s.seq == 0) c.next = c.next + p.length();
    if ((s.flags & Flag::kAck) && s.ack <= 0) c.acknowledged = p.ack;
    stage_.world.transmit(card_, std::move(p));
  }
  void carry_out(const TrialIcmp& e) {
    const Conversation& c = talks_[e.port];
    world::Packet p = between(e.port);
    std::swap(p.source, p.destination);
    std::swap(p.source_port, p.destination_port);
    p.seq = c.acknowledged + static_cast<std::uint32_t>(e.seq);
    p.icmp = world::Packet::Icmp{e.type, e.code, e.mtu, p.source, p.destination};
    if (trial_.ip_version == 6) translate(*p.icmp);
    p.destination = p.source;
    p.source = world::parse_ip(kClientIp);
    stage_.world.transmit(card_, std::move(p));
  }
  world::Packet between(std::size_t port) const {
    world::Packet p;
    p.ip_version = trial_.ip_version;
    p.source = world::parse_ip(kClientIp);
    p.destination = world::parse_ip(kServerIp);
    p.source_port = static_cast<std::uint16_t>(kFirstPeerPort + port);
    p.destination_port = kHostPort;
    return p;
  }
  /// The peer's own clock, a millisecond a tick, far from zero.
  std::uint32_t clock() const {
    return 1'000'000 + static_cast<std::uint32_t>((stage_.world.now() - stage_.world.start()) / 1ms);
  }

  void carry_out(const TrialCall& call) {
    world::System& system = host_.system();
    if (call.kind == Kind::kSocket) return keep(call.slot, system.socket());
    if (call.slot >= slots_.size() || slots_[call.slot] < 0) return;  // nothing there to call on
    const int fd = slots_[call.slot];
    const std::string slot = std::to_string(call.slot);
    const auto tell = [&](const std::string& what, const std::string& result) { stage_.world.note(host_, what + " " + slot, result); };
    switch (call.kind) {
      case Kind::kSocket: break;
      case Kind::kSet: tell(std::string{option_name(call.option)}, result_text(system.set(fd, call.option, call.value))); break;
      case Kind::kBind: tell("bind", result_text(system.bind(fd, {world::parse_ip(kServerIp), kHostPort}))); break;
      case Kind::kListen: tell("listen", result_text(system.listen(fd, call.value))); break;
      case Kind::kConnect: tell("connect", result_text(system.connect(fd, at(kClientIp, kFirstPeerPort)))); break;
      case Kind::kAccept: {
        const int child = system.accept(fd);
        tell("accept", result_text(child));
        if (child >= 0) keep(free_slot(), child);
        break;
      }
      case Kind::kSend: tell("send", result_text(system.send(fd, std::string(static_cast<std::size_t>(call.value), 'y')))); break;
      case Kind::kReceive: {
        std::string into;
        tell("recv", result_text(system.receive(fd, static_cast<std::size_t>(call.value), into)));
        break;
      }
      case Kind::kShutdown: tell("shutdown", result_text(system.shutdown(fd, call.how))); break;
      case Kind::kClose:
        tell("close", result_text(system.close(fd)));
        slots_[call.slot] = -1;
        break;
      case Kind::kError: tell("SO_ERROR", result_text(-system.error(fd))); break;
      case Kind::kPoll: {
        const world::Ready r = system.poll(fd);
        tell("poll", fmt::format("{}{}{}{}", r.readable ? "in " : "", r.writable ? "out " : "", r.error ? "err " : "", r.hangup ? "hup " : ""));
        break;
      }
    }
  }
  void keep(std::size_t slot, int fd) {
    if (slots_.size() <= slot) slots_.resize(slot + 1, -1);
    slots_[slot] = fd;
  }
  std::size_t free_slot() const {
    std::size_t slot = kConnections;
    while (slot < slots_.size() && slots_[slot] >= 0) ++slot;
    return slot;
  }
  /// The last look: what `ss` says, without what depends on the moment.
  void look() {
    std::vector<std::string> rows;
    for (const world::SocketRow& row : host_.system().sockets())
      rows.push_back(fmt::format("{} {} {} {}", row.state, row.remote.port, row.recv_q, row.send_q));
    std::sort(rows.begin(), rows.end());
    for (const std::string& row : rows) stage_.world.note(host_, "ss", row);
  }

  Stage& stage_;
  const Trial& trial_;
  world::Host& host_;
  world::Card& card_;
  std::vector<Conversation> talks_;
  std::vector<int> slots_;
};

}  // namespace

Experiment experiment_of(const Trial& trial) {
  Experiment e{};
  e.name = "trial";
  e.kernel = e.client_kernel = "6.18";
  e.build = [&trial](Stage& stage) { stage.keep(std::make_shared<Player>(stage, trial)); };
  return e;
}

Options options_of(const Trial& trial) {
  Options options;
  options.sysctls = trial.sysctls;
  options.params = {{"delay_us", "0"}};
  options.ip_version = trial.ip_version;
  return options;
}

}  // namespace tcpwhy::lab
