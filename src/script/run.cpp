// The runner: a clock, the host, and the script's events one after the other.
// What it compares, and what it does not, is docs/decisions/0008-scripts.md.

#include "script/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>

#include "script/prepare.hpp"
#include "script/run_call.hpp"
#include "script/run_info.hpp"
#include "script/run_packet.hpp"
#include "script/symbols.hpp"

namespace tcpwhy::script {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr ModelTime kStart{seconds{1'000}};
/// No event is instantaneous: what comes between two of them is never zero, as no round trip is.
constexpr Duration kEventTakes = microseconds{20};
/// A packet is waited for this much longer than it is expected.
constexpr seconds kPatience{2};
constexpr seconds kPatienceWithAny{86'400};
/// A call that the script does not call blocking, and that sleeps, may sleep as long as a run may take.
constexpr seconds kLongestSleep{180};
/// How long a blocking call may go on when the script needs it to be over.
constexpr seconds kLastWait{1};
constexpr int kMostTimersAtOnce = 100'000;

/// The event that is being carried out, its times now counted from the start.
struct Moment {
  const Event* event = nullptr;
  Duration time{}, time_end{}, call_end{};
};

std::string difference(const std::vector<ControlMessage>& expected, const std::vector<ControlMessage>& seen) {
  if (expected.size() != seen.size())
    return fmt::format("expected {} control messages, got {}", expected.size(), seen.size());
  for (std::size_t i = 0; i < seen.size(); ++i)
    if (!(expected[i] == seen[i]))
      return fmt::format("control message {}: expected level {} type {} data {}, got level {} type {} data {}", i,
                         expected[i].level, expected[i].type, fmt::join(expected[i].data, ","), seen[i].level,
                         seen[i].type, fmt::join(seen[i].data, ","));
  return {};
}

struct BlockingCall {
  CallUnderWay under_way;
  const PreparedCall* expected = nullptr;
  Moment moment;
};

class Runner {
 public:
  Runner(const Script& script, const Preparation& prepared, std::vector<std::string>& story)
      : script_{script},
        prepared_{prepared},
        settings_{prepared.settings},
        host_{prepared.host},
        story_{story} {}

  void run() {
    carry_out_effects(prepared_.init, script_.init_line);
    for (std::size_t i = 0; i < script_.events.size(); ++i) {
      begin(script_.events[i]);
      const Prepared& prepared = prepared_.events[i];
      if (const auto* packet = std::get_if<Packet>(&now_at_.event->action))
        packet->direction == Direction::kIn ? send_in(*packet) : expect_out(*packet);
      else if (const auto* call = std::get_if<PreparedCall>(&prepared))
        start_call(*call);
      else if (const auto* effects = std::get_if<std::vector<Effect>>(&prepared))
        wait_for_event(), carry_out_effects(*effects, now_at_.event->line);
      else
        take_info(std::get<CodeBlock>(prepared));
      ++done_;
      advance(now_ + kEventTakes);
    }
    carry_out_effects(prepared_.cleanup, script_.cleanup_line);
    judge_assertions();
    if (blocking_) {
      const int line = blocking_->moment.event->line;
      wait_for_call(kLastWait);
      if (blocking_) throw Complaint{line, "the script ends while this call still sleeps"};
    }
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw Complaint{now_at_.event->line, why}; }
  [[nodiscard]] Duration elapsed(ModelTime at) const { return at - kStart; }

  void tell(const std::string& line) { story_.push_back(format_time(elapsed(now_)) + " " + line); }

  // ---- Time -------------------------------------------------------------------------------------------

  void carry_out() {
    for (const model::Rule rule : step_.because) tell("  rule " + std::string{model::row(rule).id});
    for (model::Packet& packet : step_.sent) {
      tell("> " + format_packet({Direction::kOut, TosCheck::kNone, 0, 0, as_written(packet)}));
      if (egress_ == Egress::kOpen) outgoing_.push_back({now_, std::move(packet)});
    }
    step_.clear();
    for (auto& [fd, epoll] : epolls_) epoll.look(host_, now_);
  }

  [[nodiscard]] std::optional<ModelTime> next_event() const {
    auto next = host_.next_timer();
    if (blocking_)
      if (const auto end = gives_up(blocking_->under_way); end && (!next || *end < *next)) next = end;
    return next;
  }

  /// Runs what is due next, if that is not later than `limit`.
  [[nodiscard]] bool run_next(ModelTime limit) {
    const auto next = next_event();
    if (!next || *next > limit) return false;
    if (*next > now_) timers_at_once_ = 0;
    if (++timers_at_once_ > kMostTimersAtOnce) fail("the model's timers do not come to rest");
    now_ = std::max(now_, *next);
    host_.fire(now_, step_);
    carry_out();
    wake();
    return true;
  }

  void advance(ModelTime to) {
    while (run_next(to)) {
    }
    now_ = std::max(now_, to);
  }

  void begin(const Event& event) {
    const Moment before = now_at_;
    now_at_ = Moment{&event, event.time, event.time_end, {}};
    if (!before.event && event.time != Duration{}) fail("the first event is not at time 0");
    if (before.event) last_time_ = before.time;
    const auto is_in = [](const Event* e) {
      const auto* packet = e ? std::get_if<Packet>(&e->action) : nullptr;
      return packet && packet->direction == Direction::kIn;
    };
    const auto absolute = [](const Event& e) {
      return e.time_kind == TimeKind::kAbsolute || e.time_kind == TimeKind::kAbsoluteRange;
    };
    if (before.event && absolute(*before.event) && absolute(event) && event.time < before.time)
      fail("time goes backwards");
    const auto* syscall = std::get_if<Syscall>(&event.action);
    if (syscall && syscall->end) now_at_.call_end = *syscall->end;
    if (absolute(event)) return;
    // Between two incoming packets the wait counts from when the first was due, so that nothing adds up.
    const Duration from = is_in(before.event) && is_in(&event) ? before.time : elapsed(now_);
    now_at_.time += from;
    now_at_.time_end += from;
    if (event.time_kind == TimeKind::kRelative) now_at_.call_end += from;
  }

  void wait_for_event() {
    advance(kStart + now_at_.time);
    if (done_ > 0) check_time("this", now_at_, now_at_.time, elapsed(now_), last_time_);
  }

  /// `since`: what the eighth is taken of.
  void check_time(std::string_view what, const Moment& moment, Duration expected, Duration actual,
                  std::optional<Duration> since) const {
    const TimeKind kind = moment.event->time_kind;
    if (kind == TimeKind::kAny) return;
    Duration tolerance = settings_.tolerance;
    if (since)
      tolerance = std::max(tolerance, std::chrono::duration_cast<Duration>(
                                          (expected - *since) * (settings_.tolerance_percent / 100)));
    const bool range = kind == TimeKind::kAbsoluteRange || kind == TimeKind::kRelativeRange;
    const Duration last = range ? moment.time_end : expected;
    if (actual >= expected - tolerance && actual <= last + tolerance) return;
    throw Complaint{
        moment.event->line,
        fmt::format("{} was expected at {}{}, and happened at {} (tolerance {})", what, format_time(expected),
                    range ? "~" + format_time(last) : "", format_time(actual), format_time(tolerance))};
  }

  // ---- Packets ----------------------------------------------------------------------------------------

  Connection& add_connection() {
    connections_.emplace_front();
    under_test_ = &connections_.front();
    return *under_test_;
  }

  Connection& connection_of(const Packet& packet) {
    const auto* tcp = std::get_if<TcpPacket>(&packet.content);
    if (tcp && packet.direction == Direction::kIn &&
        (!under_test_ || under_test_->stage == Stage::kListening)) {
      Connection& child = add_connection();
      child.stage = Stage::kPacketReceived;
      child.remote_isn = tcp->seq;
      child.remote_port = next_remote_port_++;
      child.local_port = settings_.bind_to.port;
      return child;
    }
    if (!under_test_) fail("no socket for this packet");
    if (tcp && packet.direction == Direction::kOut && under_test_->stage == Stage::kConnecting &&
        (tcp->flags & (wire::Flag::kSyn | wire::Flag::kAck)) == wire::Flag::kSyn) {
      under_test_->stage = Stage::kSynSent;
      under_test_->script_local_isn = tcp->seq;
    }
    return *under_test_;
  }

  void send_in(const Packet& packet) {
    Connection& c = connection_of(packet);
    wait_for_event();
    if (const auto* tcp = std::get_if<TcpPacket>(&packet.content)) {
      constexpr std::uint8_t kSynAck = wire::Flag::kSyn | wire::Flag::kAck;
      if (c.stage == Stage::kSynAckSent && (tcp->flags & wire::Flag::kAck)) {
        c.stage = Stage::kSynAckAcked;
      } else if (c.stage == Stage::kSynSent && (tcp->flags & kSynAck) == kSynAck) {
        c.stage = Stage::kSynAcked;
        c.remote_isn = tcp->seq;
      }
    }
    const auto live = to_wire(c, settings_, packet);
    if (const auto* complaint = std::get_if<Complaint>(&live)) fail(complaint->message);
    tell(format_packet(packet));
    host_.deliver(now_, std::get<model::Packet>(live), step_);
    carry_out();
    wake();
  }

  [[nodiscard]] bool is_of(Connection& c, const model::Packet& packet) const {
    if (!(packet.destination == settings_.remote) || packet.destination_port != c.remote_port) return false;
    if (packet.source_port == c.local_port) return true;
    if (c.stage != Stage::kSynSent || !packet.syn() || packet.has_ack()) return false;
    c.local_port = packet.source_port;
    c.local_isn = packet.seq.raw();
    return true;
  }

  /// The next packet of this connection; those of others are dropped unseen.
  Sent next_outgoing(Connection& c, const Packet& expected) {
    const Duration latest = std::max(now_at_.time, now_at_.time_end) - last_time_.value_or(Duration{});
    const bool any = now_at_.event->time_kind == TimeKind::kAny;
    const ModelTime limit =
        now_ + (any ? kPatienceWithAny : std::chrono::duration_cast<seconds>(latest) + kPatience);
    while (true) {
      while (!outgoing_.empty()) {
        Sent sent = std::move(outgoing_.front());
        outgoing_.pop_front();
        if (is_of(c, sent.packet)) return sent;
      }
      if (!run_next(limit))
        fail(fmt::format("no packet came, until {}\n  expected: {} {}", format_time(elapsed(limit)),
                         format_time(now_at_.time), format_packet(expected)));
    }
  }

  void expect_out(const Packet& expected) {
    Connection& c = connection_of(expected);
    const auto& tcp = std::get<TcpPacket>(expected.content);
    constexpr std::uint8_t kSynAck = wire::Flag::kSyn | wire::Flag::kAck;
    const bool synack = (tcp.flags & kSynAck) == kSynAck && c.stage == Stage::kPacketReceived;
    if (synack) c.script_local_isn = tcp.seq;

    std::optional<TcpPacket> whole, last;
    Sent sent;
    std::uint32_t bytes = 0;
    do {
      sent = next_outgoing(c, expected);
      if (synack && c.stage == Stage::kPacketReceived) {
        c.stage = Stage::kSynAckSent;
        c.local_isn = sent.packet.seq.raw();
      }
      TcpPacket piece = as_written(sent.packet);
      to_script(c, piece);
      if (last) {
        if (const auto wrong = does_not_continue(*last, piece, tcp.payload_bytes - bytes); !wrong.empty())
          fail_packet("a further segment: " + wrong, expected, piece, sent.at);
      }
      bytes += piece.payload_bytes;
      last = piece;
      if (!whole) {
        whole = std::move(piece);
      } else {  // SEQ and CWR are the first's, all else the last's
        const std::uint32_t seq = whole->seq;
        const auto cwr = static_cast<std::uint8_t>(whole->flags & wire::Flag::kCwr);
        whole = std::move(piece);
        whole->seq = seq;
        whole->flags = static_cast<std::uint8_t>((whole->flags & ~wire::Flag::kCwr) | cwr);
        whole->payload_bytes = bytes;
      }
    } while (bytes < tcp.payload_bytes && settings_.segments == RunSettings::Segments::kJoined);

    const std::string stamps = compare_stamps(c, tcp, *whole);
    std::string wrong = difference(expected, *whole, sent.packet.tos, sent.packet.ttl);
    if (wrong.empty()) wrong = stamps;
    if (!wrong.empty()) fail_packet(wrong, expected, *whole, sent.at);
    check_time("the packet", now_at_, now_at_.time, elapsed(sent.at), last_time_);
  }

  [[noreturn]] void fail_packet(const std::string& wrong, const Packet& expected, const TcpPacket& seen,
                                ModelTime at) const {
    fail(fmt::format("outgoing packet: {}\n  expected: {} {}\n  actual:   {} {}", wrong,
                     format_time(now_at_.time), format_packet(expected), format_time(elapsed(at)),
                     format_packet({Direction::kOut, TosCheck::kNone, 0, 0, seen})));
  }

  /// Remembers what the script calls this TSval, and brings `seen` into the script's counting.
  std::string compare_stamps(Connection& c, const TcpPacket& expected, TcpPacket& seen) const {
    const auto stamps = [](auto& packet) {
      return std::find_if(packet.options.begin(), packet.options.end(),
                          [](const Option& o) { return o.kind == Option::Kind::kTimestamps; });
    };
    const auto theirs = stamps(expected);
    const auto ours = stamps(seen);
    if (theirs == expected.options.end() || ours == seen.options.end()) return {};
    c.sent_tsvals[theirs->value] = ours->value;
    if (!c.first_tsval) c.first_tsval = Connection::FirstTsval{theirs->value, ours->value};
    ours->value = c.first_tsval->script + (ours->value - c.first_tsval->real);
    if (settings_.ts_tick == Duration{}) return {};
    const Duration tolerance =
        std::max(settings_.tolerance,
                 std::chrono::duration_cast<Duration>(now_at_.time * (settings_.tolerance_percent / 100)));
    const auto off =
        std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(ours->value - theirs->value)));
    return off * settings_.ts_tick > tolerance ? fmt::format("TS val: {} ticks away", off) : std::string{};
  }

  // ---- Calls ------------------------------------------------------------------------------------------

  Connection& by_script_fd(int fd) {
    for (Connection& c : connections_)
      if (c.script_fd == fd && c.life == Connection::Life::kOpen) return c;
    fail(fmt::format("the script has no open descriptor {}", fd));
  }

  void start_call(const PreparedCall& prepared) {
    const bool blocks = std::get<Syscall>(now_at_.event->action).end.has_value();
    if (blocking_) {
      wait_for_call(kLastWait);
      if (blocking_ && blocks) fail("a blocking call while another still sleeps");
    }
    wait_for_event();
    BlockingCall call;
    call.expected = &prepared;
    call.moment = now_at_;
    call.under_way.call = prepared.call;
    call.under_way.began = now_;
    const CallName name = prepared.call.name;
    if (name == CallName::kPoll) {
      for (const PollEntry& entry : prepared.call.polled)
        call.under_way.polled.push_back(by_script_fd(entry.fd).fd);
    } else if (name == CallName::kEpollCtl || name == CallName::kEpollWait) {
      const auto epoll = epolls_.find(prepared.call.fd);
      if (epoll == epolls_.end()) fail(fmt::format("the script has no epoll descriptor {}", prepared.call.fd));
      call.under_way.epoll = &epoll->second;
      if (name == CallName::kEpollCtl) call.under_way.target = by_script_fd(prepared.call.target).fd;
    } else if (name == CallName::kClose && epolls_.erase(prepared.call.fd) != 0) {
      if (prepared.result != 0) fail(fmt::format("expected {}, got 0", prepared.result));
      return;
    } else if (name != CallName::kSocket && name != CallName::kEpollCreate) {
      Connection& c = by_script_fd(prepared.call.fd);
      call.under_way.fd = c.fd;
      before_call(prepared.call, c);
    }
    tell(std::get<Syscall>(now_at_.event->action).name + "()");
    const auto outcome = attempt(host_, now_, settings_, call.under_way, step_);
    carry_out();
    if (blocks) {
      blocking_ = std::move(call);
      if (outcome) end_blocking(*outcome);
      return;
    }
    if (outcome) return end_call(call, *outcome);
    sleep_through(std::move(call));
  }

  /// A call that sleeps although the script does not say so holds up everything until it returns.
  void sleep_through(BlockingCall call) {
    const ModelTime limit = now_ + kLongestSleep;
    while (true) {
      const auto end = gives_up(call.under_way);
      if (!run_next(end ? std::min(limit, *end) : limit)) {
        if (!end || *end > limit) fail("the call does not return");
        now_ = std::max(now_, *end);
      }
      const auto outcome = attempt(host_, now_, settings_, call.under_way, step_);
      carry_out();
      if (outcome) return end_call(call, *outcome);
    }
  }

  /// What the original notes of a socket before a call that may connect it.
  void before_call(const Call& call, Connection& c) const {
    if (call.name != CallName::kConnect && !(call.name == CallName::kWrite && call.peer != Peer::kNone))
      return;
    if (call.peer == Peer::kUnspecified) {
      c.stage = Stage::kNew;
    } else if (c.stage == Stage::kNew) {
      c.stage = Stage::kConnecting;
      c.remote_port = settings_.connect_to.port;
    }
  }

  void wake() {
    if (!blocking_) return;
    const auto outcome = attempt(host_, now_, settings_, blocking_->under_way, step_);
    carry_out();
    if (outcome) end_blocking(*outcome);
  }

  void end_blocking(const Outcome& outcome) {
    const BlockingCall call = std::move(*blocking_);
    blocking_.reset();
    end_call(call, outcome);
    check_time("the return of this call", call.moment, call.moment.call_end, elapsed(now_), call.moment.time);
  }

  void wait_for_call(Duration longest) {
    const ModelTime limit = now_ + longest;
    while (blocking_ && run_next(limit)) {
    }
    if (blocking_) now_ = std::max(now_, limit);
  }

  void end_call(const BlockingCall& call, const Outcome& outcome) {
    const PreparedCall& expected = *call.expected;
    const int line = call.moment.event->line;
    const auto wrong = [&](const std::string& why) {
      throw Complaint{line, std::get<Syscall>(call.moment.event->action).name + "(): " + why};
    };
    const Call& c = expected.call;
    const bool gives_fd =
        c.name == CallName::kSocket || c.name == CallName::kAccept || c.name == CallName::kEpollCreate;
    if (gives_fd && expected.result >= 0 ? outcome.result < 0 : outcome.result != expected.result)
      wrong(fmt::format("expected {}, got {}{}", expected.result, outcome.result,
                        outcome.error == 0 ? "" : fmt::format(" {}", errno_name(outcome.error))));
    if (expected.error && *expected.error != outcome.error)
      wrong(fmt::format("expected {}, got {}", errno_name(*expected.error),
                        outcome.error == 0 ? "no error" : errno_name(outcome.error)));
    if (c.name == CallName::kGetsockopt || c.name == CallName::kIoctl) {
      if (c.name == CallName::kGetsockopt && c.value_bytes != 4)
        wrong(fmt::format("4 octets came back, not {}", c.value_bytes));
      const auto want = std::get<std::int64_t>(c.value), got = std::get<std::int64_t>(outcome.value);
      if (static_cast<std::int32_t>(want) != static_cast<std::int32_t>(got))
        wrong(fmt::format("value: expected {}, got {}", want, got));
    }
    if (c.message && outcome.result >= 0) {
      if (c.message->flags != outcome.message.flags)
        wrong(fmt::format("msg_flags: expected {:#x}, got {:#x}", c.message->flags, outcome.message.flags));
      if (const std::string differs = difference(c.message->control, outcome.message.control); !differs.empty()) wrong(differs);
    }
    for (std::size_t i = 0; i < c.polled.size(); ++i)
      if (c.polled[i].revents != outcome.polled[i].revents)
        wrong(fmt::format("revents of {}: expected {:#x}, got {:#x}", c.polled[i].fd, c.polled[i].revents,
                          outcome.polled[i].revents));
    if (c.name == CallName::kEpollWait && outcome.result >= 0) {
      if (c.event.events != outcome.event.events)
        wrong(fmt::format("events: expected {:#x}, got {:#x}", c.event.events, outcome.event.events));
      if (c.event.data != outcome.event.data)
        wrong(fmt::format("data: expected {}, got {}", c.event.data, outcome.event.data));
    }
    after_call(call, outcome, line);
  }

  void after_call(const BlockingCall& call, const Outcome& outcome, int line) {
    const Call& c = call.expected->call;
    const int script_result = static_cast<int>(call.expected->result);
    if (c.name == CallName::kSocket) {
      if (script_result < 0) throw Complaint{line, "a socket the script gives no descriptor"};
      for (const Connection& other : connections_)
        if (other.life == Connection::Life::kOpen && other.script_fd == script_result)
          throw Complaint{line, fmt::format("descriptor {} is already in use", script_result)};
      Connection& made = add_connection();
      made.script_fd = script_result;
      made.fd = static_cast<int>(outcome.result);
    } else if (c.name == CallName::kEpollCreate && outcome.result >= 0) {
      if (!epolls_.try_emplace(script_result).second)
        throw Complaint{line, fmt::format("descriptor {} is already in use", script_result)};
    } else if (c.name == CallName::kListen && outcome.result == 0) {
      by_script_fd(c.fd).stage = Stage::kListening;
    } else if (c.name == CallName::kClose) {
      Connection& closed = by_script_fd(c.fd);
      closed.life = Connection::Life::kClosed;
      for (auto& [fd, epoll] : epolls_) epoll.forget(closed.fd);
    } else if (c.name == CallName::kAccept && outcome.result >= 0) {
      const auto found = std::find_if(connections_.begin(), connections_.end(), [](const Connection& other) {
        return other.stage == Stage::kSynAckSent || other.stage == Stage::kSynAckAcked;
      });
      if (found == connections_.end() || found->remote_port != call.under_way.peer.port)
        throw Complaint{line, "accept() gave a connection the script does not speak of"};
      found->script_fd = script_result;
      found->fd = static_cast<int>(outcome.result);
    }
  }

  // ---- Commands and assertions --------------------------------------------------------------------------

  void carry_out_effects(const std::vector<Effect>& effects, int line) {
    for (const Effect& effect : effects) {
      if (const auto* set = std::get_if<SetSysctl>(&effect)) {
        if (set->name == "net.ipv4.tcp_fastopen_key")
          host_.set_fastopen_key(fastopen_key(set->value));
        else if (!host_.sysctls().set(set->name, set->value))
          throw Complaint{line, "the model has no such sysctl: " + set->name};
      } else if (std::holds_alternative<DropEgress>(effect)) {
        egress_ = Egress::kDropping;
        host_.set_local_queue(model::LocalQueue::kDrops);
      } else if (std::holds_alternative<RestoreEgress>(effect)) {
        egress_ = Egress::kOpen;
        host_.set_local_queue(model::LocalQueue::kTakes);
      } else if (const auto* mtu = std::get_if<SetMtu>(&effect)) {
        host_.set_mtu(mtu->mtu);
      } else if (std::holds_alternative<FlushMetrics>(effect)) {
        host_.set_fastopen_cookie(settings_.remote, {}, 0);
      } else if (const auto* listener = std::get_if<ExpectListener>(&effect)) {
        const auto sockets = host_.sockets(now_);
        if (std::none_of(sockets.begin(), sockets.end(), [&](const model::SocketView& s) {
              return s.state == State::kListen && s.local.port == listener->port;
            }))
          throw Complaint{line, fmt::format("nobody listens on port {}", listener->port)};
      } else if (const auto* sleep = std::get_if<Sleep>(&effect)) {
        advance(now_ + sleep->duration);
      } else {
        throw Complaint{line, "the command fails: " + std::get<Fails>(effect).why};
      }
    }
  }

  struct Reading {
    int line = 0;
    const CodeBlock* block = nullptr;
    Variables variables;
  };

  void take_info(const CodeBlock& block) {
    wait_for_event();
    if (!under_test_) fail("no socket to ask");
    const bool open = under_test_->life == Connection::Life::kOpen && under_test_->fd >= 0;
    const auto info = open ? host_.tcp_info(now_, under_test_->fd) : std::nullopt;
    if (!info) fail("the socket has no tcp_info: it is not accepted yet, or closed");
    Reading reading{now_at_.event->line, &block, {}};
    add(*info, reading.variables);
    readings_.push_back(std::move(reading));
  }

  // Assigned names live on from one piece of code to the next, as in one program.
  void judge_assertions() const {
    Variables variables;
    for (const Reading& reading : readings_) {
      for (const auto& [name, value] : reading.variables) variables[name] = value;
      if (const std::string wrong = run_code(*reading.block, variables); !wrong.empty())
        throw Complaint{reading.line, wrong};
    }
  }

  const Script& script_;
  const Preparation& prepared_;
  const RunSettings& settings_;
  model::Host host_;
  std::vector<std::string>& story_;
  model::Step step_;
  ModelTime now_ = kStart;
  int timers_at_once_ = 0;
  Moment now_at_;
  std::optional<Duration> last_time_;
  int done_ = 0;
  enum class Egress : std::uint8_t { kOpen, kDropping } egress_ = Egress::kOpen;
  std::deque<Sent> outgoing_;
  std::list<Connection> connections_;  ///< the newest first
  Connection* under_test_ = nullptr;
  std::uint16_t next_remote_port_ = 40'009;
  std::optional<BlockingCall> blocking_;
  std::vector<Reading> readings_;
  std::map<int, Epoll> epolls_;  ///< by the script's number
};

}  // namespace

bool as_expected(const Script& script, const Report& report) {
  for (const Note& note : script.notes)
    if (note.name == "expect" && note.value == "fail") return report.verdict == Verdict::kFailed;
  return report.verdict == Verdict::kPassed;
}

Report run(const Script& script, const RunOptions& options, const ReadFile& read_file) {
  Report report;
  const auto prepared = prepare(script, options, read_file);
  if (const auto* complaint = std::get_if<Complaint>(&prepared)) {
    report.verdict = Verdict::kRefused;
    report.complaint = *complaint;
    return report;
  }
  try {
    Runner{script, std::get<Preparation>(prepared), report.story}.run();
  } catch (const Complaint& complaint) {
    report.verdict = Verdict::kFailed;
    report.complaint = complaint;
  }
  return report;
}

}  // namespace tcpwhy::script
