#include "probe/probe.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "probe/connect.hpp"
#include "probe/idle.hpp"
#include "probe/raw.hpp"
#include "probe/resolve.hpp"
#include "probe/route.hpp"
#include "probe/size.hpp"
#include "probe/tap.hpp"
#include "probe/trace.hpp"

namespace tcpwhy::probe {
namespace {

using facts::Ask;
using facts::Came;
using facts::ProbeAddress;
using facts::Question;

constexpr double kShort = 0.85;  ///< less than the kernel's first repeat of a SYN: one packet

std::vector<std::uint16_t> other_ports(const Options& o) {
  if (!o.other_ports.empty()) return o.other_ports;
  // Three that often answer, and one that hardly anybody opens: tcpmux.
  std::vector<std::uint16_t> out;
  for (const std::uint16_t p : std::initializer_list<std::uint16_t>{443, 80, 22, 1})
    if (p != o.port) out.push_back(p);
  return out;
}

/// Of the other ports, the one to compare with: an open one rather than a closed one; of closed ones the farthest that
/// can be seen. Null when none answered.
const Question* control_of(const ProbeAddress& a) {
  const Question* best = nullptr;
  const auto rank = [](const Question& q) {
    if (q.came == Came::kSynAck) return 1000;
    return q.came == Came::kRst ? 1 + (q.header ? facts::hops_travelled(q.header->ttl) : 0) : 0;
  };
  for (const Question& q : a.others)
    if (rank(q) > (best == nullptr ? 0 : rank(*best))) best = &q;
  return best;
}

bool unanswered(const Question& q) { return q.came == Came::kNothing; }
bool failed(const Question& q) { return q.came != Came::kSynAck && q.came != Came::kNotAsked; }

void ask_connects(Session& s, ProbeAddress& a) {
  const ConnectPlan one{.target = a.target};
  a.connects = ask_by_connect(s, {&one, 1}, s.options.timeout_s);
  const Question first = a.connects.front();
  if (first.came == Came::kLocal || first.came == Came::kNotAsked || s.options.connects < 2) return;
  // From several ports: a balancer may send only some of them to a sick backend. An ICMP error needs no more than a second.
  const std::uint32_t repeats = first.came == Came::kIcmp ? std::min(2u, s.options.connects) : s.options.connects;
  const std::vector<ConnectPlan> plans(repeats - 1, one);
  // After an answer, one that takes four times as long is a repeat of the SYN: it is told by its own time.
  const auto more = ask_by_connect(s, plans, first.came == Came::kSynAck ? std::min(s.options.timeout_s, 2.5) : kShort);
  a.connects.insert(a.connects.end(), more.begin(), more.end());
  // The same local ports once more: a balancer sends them to the same backend.
  if (!a.connected()) return;
  std::vector<ConnectPlan> again;
  for (const Question& q : a.connects)
    if (failed(q) && q.local_port != 0 && again.size() < 4) again.push_back({.target = a.target, .local_port = q.local_port});
  if (!again.empty()) a.again = ask_by_connect(s, again, 2.5);
}

void ask_others(Session& s, ProbeAddress& a) {
  std::vector<ConnectPlan> plans;
  for (const std::uint16_t port : other_ports(s.options)) plans.push_back({.target = {a.target.address, port}});
  a.others = ask_by_connect(s, plans, kShort);
}

/// Four timestamps a quarter of the circle apart, and none; twice, in another order, so that chance repeats itself rarely.
void ask_stamps(Session& s, ProbeAddress& a) {
  constexpr std::uint32_t kQuarter = 0x40000000;
  std::vector<RawPlan> plans{{.target = a.target, .ask = Ask::kSynPlain, .tsval = {}}};
  for (std::uint32_t n = 0; n < 4; ++n) plans.push_back({.target = a.target, .ask = Ask::kSynStamped, .tsval = 0x12345678u + n * kQuarter});
  a.stamps = ask_raw(s, *a.route.source, plans, kShort);
  const auto answered = std::count_if(a.stamps.begin(), a.stamps.end(), [](const Question& q) { return q.came == Came::kSynAck; });
  if (answered == 0 || answered == static_cast<std::ptrdiff_t>(a.stamps.size())) return;
  std::swap(plans[1], plans[4]);
  std::swap(plans[2], plans[3]);
  std::swap(plans[0], plans[2]);
  const auto second = ask_raw(s, *a.route.source, plans, kShort);
  a.stamps.insert(a.stamps.end(), second.begin(), second.end());
}

/// Hops to the host, as a control's answer or its trace showed them; 0 unknown.
int distance_to(const ProbeAddress& a, const Question* control) {
  if (a.control && a.control->end() != nullptr) return a.control->end()->ttl;
  if (control != nullptr && control->header) return facts::hops_travelled(control->header->ttl) + 1;
  return 0;
}

/// Full timestamp options: does the SYN for this port arrive at the host, where one for the control does?
void ask_options(Session& s, ProbeAddress& a, const Question& control) {
  const int distance = distance_to(a, &control);
  if (a.target.address.version != 4 || distance < 1 || distance > 15) return;
  const auto hop = static_cast<std::uint8_t>(distance);
  const ConnectPlan plans[] = {{.target = {a.target.address, control.port}, .ask = Ask::kConnectOption, .ttl = hop},
                               {.target = a.target, .ask = Ask::kConnectOption, .ttl = hop}};
  a.options = ask_by_connect(s, plans, kShort);
  // A lost packet, or a host that says one ICMP error a second.
  if (!unanswered(a.options[1]) || unanswered(a.options[0])) return;
  const auto again = ask_by_connect(s, plans, kShort);
  a.options.insert(a.options.end(), again.begin(), again.end());
}

/// Why nothing answers: whether the SYN arrives, and whether a listener is there.
void ask_about_silence(Session& s, ProbeAddress& a, const Question* control) {
  const bool sometimes = a.connected();
  if (control != nullptr && !sometimes) ask_options(s, a, *control);
  if (!s.raw || !s.tap || !a.route.source || (control == nullptr && !sometimes)) return;
  // Where some connects succeed: from many local ports, since a balancer with one sick backend answers part of them.
  std::vector<RawPlan> plans(sometimes ? 8 : 2, RawPlan{.target = a.target, .ask = Ask::kAck, .tsval = {}});
  if (control != nullptr) plans.push_back({.target = {a.target.address, control->port}, .ask = Ask::kAck, .tsval = {}});
  a.acks = ask_raw(s, *a.route.source, plans, 0.4);
}

void ask_address(Session& s, ProbeAddress& a) {
  const std::uint32_t taken_before = s.budget.taken();
  if (s.tap) s.tap->watch(a.target.address);
  a.route = read_route(a.target.address);
  if (a.route.error == 0 || a.route.error == EINVAL) {
    s.say(fmt::format("connecting to {}", facts::to_string(a.target)));
    ask_connects(s, a);
    a.route.neighbour = read_neighbour(a.route.gateway.value_or(a.target.address));
    const Question first = a.connects.front();
    const bool may_go_on = first.came != Came::kLocal && first.came != Came::kNotAsked && !s.stopped();
    const bool all_well = std::all_of(a.connects.begin(), a.connects.end(), [](const Question& q) { return !failed(q); });
    if (may_go_on) {
      s.say("other ports");
      ask_others(s, a);
      const Question* control = control_of(a);
      s.say("the path");
      a.trace = trace(s, a.target, 0);
      if (!all_well && control != nullptr) a.control = trace(s, {a.target.address, control->port}, 0);
      const bool silence = (unanswered(first) || a.connected()) && std::any_of(a.connects.begin(), a.connects.end(), unanswered);
      s.say("who is silent, and what timestamps do");
      if (silence && !s.stopped()) ask_about_silence(s, a, control);
      const bool stamps_matter = a.connected() || (silence && control != nullptr);
      if (stamps_matter && s.raw && s.tap && a.route.source && !s.stopped()) ask_stamps(s, a);
      if (a.connected() && !s.stopped()) {
        s.say("packet sizes");
        ask_sizes(s, a);
        ask_half_open(s, a);
        if (s.options.idle_s > 0) s.say("idle connections");
        ask_idle(s, a);
      }
    }
  } else {
    Question q;
    q.port = a.target.port;
    q.came = Came::kLocal;
    q.error = a.route.error;
    a.connects.push_back(q);
  }
  if (s.tap) s.wait(0.05);  // the last FINs
  a.packets = s.tap ? s.tap->sent() : s.budget.taken() - taken_before;
}

}  // namespace

Result<facts::Probe> ask(const Options& options) {
  auto resolved = resolve(options.host, options.family);
  if (!resolved) return resolved.error();
  Session s{options};
  facts::Probe out;
  out.host = options.host;
  out.port = options.port;
  out.source = resolved->source;
  out.names = resolved->names;
  out.max_packets = options.max_packets;
  if (options.raw == RawUse::kIfAllowed) {
    if (auto tap = Tap::open()) s.tap = std::move(*tap);
    else s.no_tap = tap.error().message;
    if (auto raw = RawSender::open()) s.raw = std::move(*raw);
    else s.no_raw = raw.error().message;
  } else {
    s.no_tap = s.no_raw = "not wanted (--no-raw)";
  }
  if (!s.tap || !s.raw) {
    const std::string why = !s.tap ? s.no_tap : s.no_raw;
    out.without_root = {
        fmt::format("TTL, IP ID and window of the answers, which tell a device on the path from the host ({})", why),
        "SYNs with and without timestamps, which find tcp_tw_recycle: a socket cannot choose, only net.ipv4.tcp_timestamps can",
        "stray ACKs, which tell a full listener from a filter",
        "the largest packet that passes, and a SYN into an open connection"};
  }
  out.counted = s.tap ? facts::Counted::kByTap : facts::Counted::kReserved;
  std::uint32_t left_out = 0;
  for (const facts::Address& address : resolved->addresses) {
    if ((options.family == Family::kIpv4 && address.version != 4) || (options.family == Family::kIpv6 && address.version != 6)) continue;
    if (out.addresses.size() >= options.max_addresses || s.stopped()) {
      ++left_out;
      continue;
    }
    ProbeAddress a;
    a.target = {address, options.port};
    ask_address(s, a);
    out.packets += a.packets;
    out.addresses.push_back(std::move(a));
  }
  if (left_out > 0) out.quality.push_back(fmt::format("{} more addresses were not asked", left_out));
  if (s.budget.refused() > 0)
    out.quality.push_back(fmt::format("{} questions were left out: with them more than {} packets might have been sent (--max-packets)",
                                      s.budget.refused(), options.max_packets));
  if (s.stopped()) out.quality.push_back("interrupted: what follows the last step is missing");
  out.took_s = s.now();
  return out;
}

}  // namespace tcpwhy::probe
