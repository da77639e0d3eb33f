// risky-setting: sysctls that break connections by themselves, and listeners whose
// backlog is smaller than what they carry. Defaults of any kernel are never reported.

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

struct Rule {
  std::string_view name;
  bool (*risky)(std::int64_t value);
  std::string_view why, advice;
};

constexpr Rule kRules[] = {
    {"net.ipv4.tcp_tw_recycle", [](std::int64_t v) { return v != 0; },
     "drops SYNs of clients that share an address (NAT) without a word",
     "set net.ipv4.tcp_tw_recycle=0; the setting is gone since 4.12 and has no safe use"},
    {"net.ipv4.tcp_abort_on_overflow", [](std::int64_t v) { return v == 1; },
     "answers clients of a full accept queue with RST instead of letting their retry succeed",
     "set net.ipv4.tcp_abort_on_overflow=0 and enlarge the queue"},
    {"net.ipv4.tcp_timestamps", [](std::int64_t v) { return v == 0; },
     "takes PAWS, RTT samples of repeats and tcp_tw_reuse away, and options from syncookie connections",
     "set net.ipv4.tcp_timestamps=1"},
    {"net.ipv4.tcp_syncookies", [](std::int64_t v) { return v == 0; }, "lets a full SYN queue drop every new client",
     "set net.ipv4.tcp_syncookies=1: it acts only when the queue is full"},
    {"net.ipv4.tcp_syncookies", [](std::int64_t v) { return v == 2; },
     "answers every client with a syncookie, which carries few options", "set net.ipv4.tcp_syncookies=1; 2 is for tests"},
    {"net.ipv4.tcp_window_scaling", [](std::int64_t v) { return v == 0; }, "limits every window to 64 KB",
     "set net.ipv4.tcp_window_scaling=1"},
    {"net.ipv4.tcp_sack", [](std::int64_t v) { return v == 0; }, "makes every loss of more than one segment wait for a timeout",
     "set net.ipv4.tcp_sack=1"},
    {"net.ipv4.tcp_retries2", [](std::int64_t v) { return v < 8; },
     "ends established connections after seconds without an answer (RFC 1122 asks for at least 100 s, which is 8)",
     "set net.ipv4.tcp_retries2=8 or more; TCP_USER_TIMEOUT serves the sockets that need less"},
    {"net.ipv4.tcp_syn_retries", [](std::int64_t v) { return v < 2; }, "gives connect() up after one or two lost packets",
     "set net.ipv4.tcp_syn_retries=6, and let applications use their own connect timeout"},
    {"net.ipv4.tcp_synack_retries", [](std::int64_t v) { return v < 2; },
     "forgets clients after one or two lost packets", "set net.ipv4.tcp_synack_retries=5; 2 or 3 suffice against floods"},
    {"net.ipv4.tcp_fin_timeout", [](std::int64_t v) { return v < 5 || v > 60; },
     "is the rest of FIN_WAIT2 and not of TIME_WAIT; below 5 s late data meets RST, above 60 it acts as 2 × (value − 60)",
     "set net.ipv4.tcp_fin_timeout=60 or a value from 15 on"},
    {"net.ipv4.tcp_keepalive_time", [](std::int64_t v) { return v < 10 || v > 86400; },
     "asks idle peers absurdly often, or so late that every device in between has forgotten the connection",
     "set it between 60 and 7200 seconds, below the idle timeout of the path"},
    {"net.ipv4.tcp_keepalive_intvl", [](std::int64_t v) { return v > 600; },
     "spaces keepalive probes so far apart that a dead peer is held for hours", "set net.ipv4.tcp_keepalive_intvl=75"},
    {"net.ipv4.tcp_keepalive_probes", [](std::int64_t v) { return v < 2; },
     "declares a peer dead after one lost probe", "set net.ipv4.tcp_keepalive_probes=9"},
    {"net.ipv4.tcp_max_tw_buckets", [](std::int64_t v) { return v < 1024; },
     "lets TIME_WAIT be skipped: late segments meet a RST", "leave it at the kernel's default: an entry costs 256 octets"},
    {"net.ipv4.tcp_max_orphans", [](std::int64_t v) { return v < 256; },
     "kills closed sockets with data still under way (RST, TCPAbortOnMemory)", "leave it at the kernel's default"},
    {"net.core.somaxconn", [](std::int64_t v) { return v < 128; }, "caps every listener's backlog below what any kernel ships",
     "set net.core.somaxconn=4096 (the default since 5.4) and restart the listeners"},
    {"net.ipv4.tcp_challenge_ack_limit", [](std::int64_t v) { return v < 100; },
     "lets half-open connections linger because their challenge ACKs are not sent", "leave it at the kernel's default"},
};

void setting(const View& view, std::string_view name, std::string_view why, std::string_view advice, Findings& out) {
  HostFinding f;
  f.cause = "risky-setting";
  f.verdict = Verdict::kProven;  // it is set; the sentence says what it does
  f.sysctls = view.sysctls({name});
  f.summary = fmt::format("{}={} {}.", name, f.sysctls.empty() ? "?" : f.sysctls.front().value, why);
  f.fix = {std::string{advice}};
  out.push_back(std::move(f));
}

/// A port range that leaves connect() almost nothing.
constexpr std::int64_t kFewPorts = 4096;

/// Backlogs of a few are common and harmless where nobody calls; where this many connections
/// are held at once, a burst of a tenth of them overflows such a queue.
constexpr std::uint32_t kTinyBacklog = 16;
constexpr std::uint64_t kBusy = 200;

}  // namespace

void find_settings(const View& view, Findings& out) {
  for (const Rule& rule : kRules)
    if (const auto value = view.ns.sysctl(rule.name); value && rule.risky(*value))
      setting(view, rule.name, rule.why, rule.advice, out);
  if (auto it = view.ns.sysctls.find("net.ipv4.ip_local_port_range"); it != view.ns.sysctls.end()) {
    const std::size_t space = it->second.find_last_of(' ');
    const std::int64_t low = view.ns.sysctl(it->first).value_or(0);
    const std::int64_t high = space == std::string::npos ? low : std::atoll(it->second.c_str() + space);
    if (high - low + 1 < kFewPorts)
      setting(view, it->first, "leaves connect() few ports, each resting 60 s after an active close",
              "widen it: the default is 32768 60999", out);
  }
  for (const Listening& l : view.listeners) {
    if (l.socket->send_queue > kTinyBacklog || l.held < kBusy) continue;
    HostFinding f;
    f.cause = "risky-setting";
    f.verdict = Verdict::kPossible;
    f.side = facts::Side::kServer;
    f.listener = view.describe(l);
    if (const facts::Process* p = view.host.process(*l.socket)) f.processes.push_back({*p, l.held});
    f.summary = fmt::format("{} holds {} connections behind a backlog of {}: a burst of new clients will overflow it.",
                            facts::to_string(l.socket->local), l.held, l.socket->send_queue);
    f.counters = {view.counter("ListenOverflows")};
    f.fix = {"pass a larger backlog to listen() (511 or more), up to net.core.somaxconn"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
