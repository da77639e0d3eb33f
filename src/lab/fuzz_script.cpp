// A trial and what came of it, in packetdrill's notation, so that it can be kept, and asked of any kernel.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "lab/fuzz_trial.hpp"
#include "script/run_packet.hpp"
#include "script/script.hpp"
#include "world/model_host.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;
using Kind = TrialCall::Kind;

struct Line {
  ModelTime time;
  int order = 0;  ///< at one moment: what is done before what comes of it
  std::string text;
};

class Writer {
 public:
  Writer(const Trial& trial, const Run& run) : trial_{trial}, run_{run} {}

  /// Nothing when a segment reaches over the end of the sequence space, which the notation cannot say, or for ICMPv6.
  std::optional<std::string> write() {
    for (const world::Seen& seen : run_.packets)
      if (run_.taps[seen.tap] == "server") packet(seen);
    for (const world::Note& note : run_.notes)
      if (note.host == "server" && note.call != "ss") results_.push_back(note);
    for (const TrialAct& act : trial_.acts)
      if (const auto* call = std::get_if<TrialCall>(&act.what)) this->call(act.at, *call);
    if (unsayable_) return std::nullopt;
    std::stable_sort(lines_.begin(), lines_.end(), [](const Line& a, const Line& b) {
      return std::pair{a.time, a.order} < std::pair{b.time, b.order};
    });
    std::string out = fmt::format("// Found by tcpwhy lab fuzz, seed {}.\n", trial_.seed);
    std::string settings;
    for (const auto& [name, value] : trial_.sysctls) settings += fmt::format("sysctl -q {}={}\n", name, value);
    if (!settings.empty()) out += "\n`" + settings + "`\n";
    out += "\n";
    const ModelTime begin = lines_.empty() ? ModelTime{} : lines_.front().time;
    for (const Line& line : lines_)
      out += fmt::format("{:>8.3f} {}\n", std::chrono::duration<double>(line.time - begin).count(), line.text);
    return out;
  }

 private:
  SeqNum plain(SeqNum number, std::optional<SeqNum>& first) const {
    if (!first) first = number;
    return SeqNum{number.raw() - first->raw()};
  }

  void packet(const world::Seen& seen) {
    const bool out = seen.direction == FrameDirection::kOutbound;
    world::Packet p = seen.packet;
    if (p.icmp) return icmp(seen);
    if (out && p.has(Flag::kSyn)) host_isn_ = p.seq;
    p.seq = plain(p.seq, out ? host_isn_ : peer_isn_);
    unsayable_ = unsayable_ || p.seq.raw() + std::uint64_t{p.payload.size()} > UINT32_MAX;
    if (p.has(Flag::kAck)) p.ack = plain(p.ack, out ? peer_isn_ : host_isn_);
    for (auto& [left, right] : p.sack) {
      left = plain(left, out ? peer_isn_ : host_isn_);
      right = plain(right, out ? peer_isn_ : host_isn_);
    }
    // The script's clock of the host begins at 100; a runner finds out what it is called on the wire.
    if (p.timestamps) {
      std::uint32_t& theirs = out ? p.timestamps->value : p.timestamps->echo;
      if (out && !host_clock_) host_clock_ = theirs - 100;
      if (theirs != 0) theirs -= host_clock_.value_or(0);
    }
    script::Packet written{out ? script::Direction::kOut : script::Direction::kIn, script::TosCheck::kNone, 0, 0,
                           script::as_written(world::to_model(p))};
    auto& tcp = std::get<script::TcpPacket>(written.content);
    if (out) tcp.window.reset();
    if (out && p.has(Flag::kSyn)) tcp.options.clear(), tcp.any_options = true;
    lines_.push_back({seen.time, out ? 1 : 0, script::format_packet(written)});
  }
  void icmp(const world::Seen& seen) {
    constexpr std::string_view kCodes[] = {"net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed"};
    const world::Packet& p = seen.packet;
    if (p.ip_version == 6) unsayable_ = true;  // these are the names of IPv4's errors
    std::string what = p.icmp->type == 11 ? "time_exceeded exceeded_ttl" : "unreachable ";
    if (p.icmp->type == 3) what += p.icmp->code < 5 ? kCodes[p.icmp->code] : p.icmp->code == 10 ? "host_prohibited" : "admin_prohibited";
    if (p.icmp->mtu != 0) what += fmt::format(" mtu {}", p.icmp->mtu);
    const std::uint32_t seq = plain(p.seq, host_isn_).raw();
    lines_.push_back({seen.time, 0, fmt::format("< icmp {} [{}:{}(0)]", what, seq, seq)});
  }

  void call(Duration at, const TrialCall& call) {
    const ModelTime time = run_.begin + at;
    const auto say = [&](std::string text) { lines_.push_back({time, 0, std::move(text)}); };
    if (call.kind == Kind::kSocket) {
      say(fmt::format("socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = {}", next_fd_));
      fds_[call.slot] = next_fd_++;
      return;
    }
    const auto note = std::find_if(results_.begin(), results_.end(), [&](const world::Note& n) { return n.time == time; });
    if (note == results_.end()) return;
    const bool failed = !note->result.empty() && note->result[0] == 'E';
    // An error is followed by its meaning, or by any word in its place.
    const std::string result = failed ? "-1 " + note->result + " (error)" : note->result;
    const int fd = fds_[call.slot];
    switch (call.kind) {
      case Kind::kSocket: break;
      case Kind::kSet: option(call, fd, result, note->call.substr(0, note->call.find(' ')), say); break;
      case Kind::kBind: say(fmt::format("bind({}, ..., ...) = {}", fd, result)); break;
      case Kind::kListen: say(fmt::format("listen({}, {}) = {}", fd, call.value, result)); break;
      case Kind::kConnect: say(fmt::format("connect({}, ..., ...) = {}", fd, result)); break;
      case Kind::kAccept: {
        if (failed) return say(fmt::format("accept({}, ..., ...) = {}", fd, result));
        std::size_t slot = 1;
        while (fds_.contains(slot)) ++slot;
        say(fmt::format("accept({}, ..., ...) = {}", fd, next_fd_));
        say(fmt::format("fcntl({}, F_SETFL, O_RDWR|O_NONBLOCK) = 0", next_fd_));
        fds_[slot] = next_fd_++;
        break;
      }
      case Kind::kSend: say(fmt::format("send({}, ..., {}, MSG_NOSIGNAL) = {}", fd, call.value, result)); break;
      case Kind::kReceive: say(fmt::format("read({}, ..., {}) = {}", fd, call.value, result)); break;
      case Kind::kShutdown:
        say(fmt::format("shutdown({}, {}) = {}", fd, call.how == world::How::kRead ? "SHUT_RD" : call.how == world::How::kWrite ? "SHUT_WR" : "SHUT_RDWR", result));
        break;
      case Kind::kClose:
        say(fmt::format("close({}) = {}", fd, result));
        fds_.erase(call.slot);
        break;
      case Kind::kError:
        say(fmt::format("getsockopt({}, SOL_SOCKET, SO_ERROR, [{}], [4]) = 0", fd, failed ? note->result : "0"));
        break;
      case Kind::kPoll: break;
    }
  }
  template <class Say>
  static void option(const TrialCall& call, int fd, const std::string& result, const std::string& name, const Say& say) {
    const std::string level = name.starts_with("SO_") ? "SOL_SOCKET" : "SOL_TCP";
    if (call.option == world::Option::kLinger)
      return say(fmt::format("setsockopt({}, SOL_SOCKET, SO_LINGER, {{onoff={}, linger={}}}, 8) = {}", fd, call.value >= 0 ? 1 : 0, std::max(call.value, 0), result));
    say(fmt::format("setsockopt({}, {}, {}, [{}], 4) = {}", fd, level, name, call.value, result));
  }

  const Trial& trial_;
  const Run& run_;
  std::vector<Line> lines_;
  std::vector<world::Note> results_;
  std::map<std::size_t, int> fds_;
  int next_fd_ = 3;
  std::optional<SeqNum> host_isn_, peer_isn_;
  bool unsayable_ = false;
  std::optional<std::uint32_t> host_clock_;
};

}  // namespace

std::optional<std::string> packetdrill(const Trial& trial, const Run& run) {
  for (const TrialAct& act : trial.acts)
    if (const auto* segment = std::get_if<TrialSegment>(&act.what); segment && segment->port != 0) return std::nullopt;
  return Writer{trial, run}.write();
}

}  // namespace tcpwhy::lab
