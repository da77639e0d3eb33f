// port-exhaustion and time-wait-pile. TIME_WAIT itself is health: only a limit makes
// it a fault, the ports towards one destination or the table.

#include <algorithm>
#include <charconv>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

struct Range {
  std::uint32_t low = 32768, high = 60999;
  [[nodiscard]] std::uint32_t size() const { return high - low + 1; }
  [[nodiscard]] bool holds(std::uint16_t port) const { return port >= low && port <= high; }
};

Range port_range(const Namespace& ns) {
  Range r;
  auto it = ns.sysctls.find("net.ipv4.ip_local_port_range");
  if (it == ns.sysctls.end()) return r;
  const char *at = it->second.data(), *end = at + it->second.size();
  const auto low = std::from_chars(at, end, r.low);
  at = low.ptr;
  while (at < end && *at == ' ') ++at;
  std::from_chars(at, end, r.high);
  return r.high < r.low ? Range{} : r;
}

/// Ports the sysctl keeps from connect(), within the range.
std::uint32_t reserved(const Namespace& ns, const Range& range) {
  auto it = ns.sysctls.find("net.ipv4.ip_local_reserved_ports");
  if (it == ns.sysctls.end()) return 0;
  std::uint32_t out = 0;
  const char *at = it->second.data(), *end = at + it->second.size();
  while (at < end) {
    std::uint32_t first = 0;
    const auto parsed = std::from_chars(at, end, first);
    std::uint32_t last = first;
    at = parsed.ptr;
    if (parsed.ec != std::errc{}) break;
    if (at < end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    if (at < end && *at == ',') ++at;
    first = std::max(first, range.low);
    last = std::min(last, range.high);
    if (first <= last) out += last - first + 1;
  }
  return out;
}

/// One source address towards one destination: the space in which local ports run out.
struct Pair {
  facts::Address from;
  Endpoint to;
  friend bool operator==(const Pair&, const Pair&) = default;
};
struct PairHasher {
  std::size_t operator()(const Pair& p) const noexcept {
    return facts::AddressHash{}(p.from) * 0x9e3779b97f4a7c15ull + facts::EndpointHash{}(p.to);
  }
};
struct Use {
  std::uint32_t open = 0, resting = 0, young = 0, just = 0;  ///< TIME_WAIT; below 10 s; below 1 s
};

constexpr double kTimeWait = 60'000;  // TCP_TIMEWAIT_LEN

bool is_loopback(const facts::Address& a) {
  if (a.version == 4) return a.bytes[0] == 127;
  facts::Address one;
  one.version = 6;
  one.bytes[15] = 1;
  return a == one;
}

}  // namespace

void find_port_exhaustion(const View& view, Findings& out) {
  const Range range = port_range(view.ns);
  const std::uint32_t ports = range.size() - std::min(range.size() - 1, reserved(view.ns, range));
  std::unordered_map<Pair, Use, PairHasher> uses;
  for (const Socket& s : view.ns.sockets) {
    if (s.state == State::kListen || s.state == State::kClose) continue;
    if (!range.holds(s.local.port) || view.listening(s.local) != nullptr) continue;
    Use& u = uses[{s.local.address, s.remote}];
    if (s.state != State::kTimeWait) {
      ++u.open;
      continue;
    }
    ++u.resting;
    const double age = kTimeWait - s.expires_ms;
    if (age < 10'000) ++u.young;
    if (age < 1'000) ++u.just;
  }
  // tcp_twsk_unique(): with timestamps, a port in TIME_WAIT may be taken after a second.
  const auto reuse = view.ns.sysctl("net.ipv4.tcp_tw_reuse").value_or(0);
  const bool timestamps = view.ns.sysctl("net.ipv4.tcp_timestamps").value_or(1) != 0;
  for (const auto& [pair, use] : uses) {
    const bool reusable = timestamps && (reuse == 1 || (reuse == 2 && is_loopback(pair.to.address)));
    const std::uint32_t used = use.open + (reusable ? use.just : use.resting);
    if (used * 10ull < ports * 9ull) continue;
    const std::uint32_t left = ports > used ? ports - used : 0;
    HostFinding f;
    f.cause = "port-exhaustion";
    f.side = facts::Side::kClient;
    f.verdict = left == 0 ? Verdict::kProven : Verdict::kLikely;
    Pile open{view}, resting{view};
    for (const Socket& s : view.ns.sockets)
      if (s.remote == pair.to && s.local.address == pair.from && range.holds(s.local.port) &&
          s.state != State::kListen)
        (s.state == State::kTimeWait ? resting : open).add(s, std::nullopt);
    const double rate = use.young / 10.0;
    f.summary = left == 0 ? fmt::format("All {} local ports towards {} are used: connect() fails with EADDRNOTAVAIL.", ports,
                                        facts::to_string(pair.to))
                          : fmt::format("{} of {} local ports towards {} are used; {} are left.", used, ports,
                                        facts::to_string(pair.to), left);
    if (left > 0 && rate > 0)
      f.notes.push_back(fmt::format("at {:.0f} closes a second they last {:.0f} s; each port rests 60 s, so {:.0f} a second "
                                    "can be sustained", rate, left / rate, ports / 60.0));
    if (open.count() > 0) f.sockets.push_back(open.evidence("to " + facts::to_string(pair.to)));
    if (resting.count() > 0) f.sockets.push_back(resting.evidence("to " + facts::to_string(pair.to)));
    f.processes = open.owners();
    f.sysctls = view.sysctls({"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_tw_reuse"});
    f.fix = {"keep connections open and pool them: one port serves many requests",
             "widen net.ipv4.ip_local_port_range, or use more source or destination addresses"};
    if (use.resting > use.open && reuse != 1 && timestamps)
      f.fix.push_back("net.ipv4.tcp_tw_reuse=1 here, on the client, lets connect() take ports in TIME_WAIT after a second");
    f.fix.push_back("tcp_fin_timeout does not shorten TIME_WAIT; tcp_tw_recycle breaks clients behind NAT and is gone since 4.12");
    out.push_back(std::move(f));
  }
}

void find_time_wait(const View& view, Findings& out) {
  const std::int64_t refused = view.rise("TCPTimeWaitOverflow");
  const auto limit = view.ns.sysctl("net.ipv4.tcp_max_tw_buckets");
  const std::uint64_t resting = view.ns.count(State::kTimeWait);
  const bool at_limit = limit && *limit > 0 && resting >= static_cast<std::uint64_t>(*limit) && resting > 0;
  if (refused <= 0 && !at_limit) return;
  HostFinding f;
  f.cause = "time-wait-pile";
  f.verdict = refused > 0 ? Verdict::kProven : Verdict::kLikely;
  f.side = facts::Side::kUnknown;
  f.summary = fmt::format("The TIME_WAIT table is full ({} of {}): late segments of closed connections meet a RST.", resting,
                          limit.value_or(0));
  Pile pile{view};
  for (const Socket& s : view.ns.sockets)
    if (s.state == State::kTimeWait) pile.add(s, std::nullopt);
  if (pile.count() > 0) f.sockets.push_back(pile.evidence(pile.where_words()));
  f.counters = {view.counter("TCPTimeWaitOverflow")};
  f.sysctls = view.sysctls({"net.ipv4.tcp_max_tw_buckets"});
  f.fix = {"raise net.ipv4.tcp_max_tw_buckets: an entry costs about 256 octets and no CPU",
           "let the clients close first, or keep connections alive, if the number itself disturbs"};
  out.push_back(std::move(f));
}

}  // namespace tcpwhy::diagnose::host
