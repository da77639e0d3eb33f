// fin-wait1-pile, closing-pile, last-ack-pile, fin-wait2-pile: closes that do not end.

#include <algorithm>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// Clients vanish on every network; a few unfinished closes are its weather. A pile is
/// at least ten, and one in twenty of all that the host holds.
constexpr std::uint64_t kPile = 10;
bool is_pile(std::uint64_t n, const View& view) { return n >= kPile && n * 20 >= view.connections; }

/// Three timeouts, at least 0.2 + 0.4 + 0.8 s: the FIN was repeated and not acknowledged.
constexpr std::uint8_t kTimeouts = 3;

struct Words {
  State state;
  std::string_view cause, what, first_fix;
};

constexpr Words kWords[] = {
    {State::kFinWait1, "fin-wait1-pile", "closed and their peers acknowledge neither data nor FIN",
     "the peers are gone or cut off: look at the path to them and at their hosts"},
    {State::kClosing, "closing-pile", "closed at the same time as their peers, whose last ACK never comes",
     "the path loses segments in one direction: capture at both ends"},
    {State::kLastAck, "last-ack-pile", "answered the peer's FIN and the last ACK never comes",
     "the peers closed and went away (a load test that was killed, a NAT that forgot them); it ends by itself"},
};

void find_unacknowledged(const View& view, const Words& words, Findings& out) {
  Pile gone{view}, blocked{view};
  for (const Socket& s : view.ns.sockets) {
    if (s.state != words.state) continue;
    const SocketInfo* i = view.ns.info(s);
    const auto silent = i == nullptr ? std::nullopt : std::optional{i->last_ack_received_ms * 1e-3};
    if (s.timer == SocketTimer::kWindowProbe) {
      // The peer answers probes and keeps its window shut: the FIN waits behind the data.
      if (i == nullptr || i->last_data_sent_ms >= view.patience_ms()) blocked.add(s, silent);
    } else if (s.retries >= kTimeouts) {
      gone.add(s, silent);
    }
  }
  if (!is_pile(gone.count() + blocked.count(), view)) return;
  const Pile& most = gone.count() >= blocked.count() ? gone : blocked;
  HostFinding f;
  f.cause = words.cause;
  f.side = most.side() == facts::Side::kServer ? facts::Side::kClient : facts::Side::kServer;
  f.summary = fmt::format("{} in {} {}.", counted(gone.count() + blocked.count(), "socket"), to_string(words.state),
                          &most == &blocked ? "hold data their peers do not read" : words.what);
  if (gone.count() > 0) f.sockets.push_back(gone.evidence(gone.where_words()));
  if (blocked.count() > 0) f.sockets.push_back(blocked.evidence(blocked.where_words() + ", window shut"));
  f.processes = most.owners();
  f.counters.push_back(view.counter("sockstat.TCP.orphan"));
  f.sysctls = view.sysctls({"net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_max_orphans"});
  f.fix = {std::string{words.first_fix},
           "tcp_orphan_retries (0 acts as 8) bounds how long the kernel keeps them; tcp_fin_timeout does not"};
  out.push_back(std::move(f));
}

}  // namespace

void find_closing(const View& view, Findings& out) {
  for (const Words& words : kWords) find_unacknowledged(view, words, out);
}

void find_fin_wait2(const View& view, Findings& out) {
  // The kernel's own rest ends after tcp_fin_timeout; what a process holds (shutdown, no close) never ends.
  const double fin_timeout_ms = static_cast<double>(view.ns.sysctl("net.ipv4.tcp_fin_timeout").value_or(60)) * 1e3;
  Pile held{view}, orphans{view};
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kFinWait2) continue;
    if (s.inode == 0) {
      // Half of its time is over: the peer had ample time to close.
      if (s.timer == SocketTimer::kTimeWait && s.expires_ms <= fin_timeout_ms / 2)
        orphans.add(s, (fin_timeout_ms - s.expires_ms) * 1e-3);
    } else if (const SocketInfo* i = view.ns.info(s); i != nullptr && i->silent_ms() >= view.patience_ms()) {
      held.add(s, i->silent_ms() * 1e-3);
    }
  }
  // Browsers leave FINs of idle connections unanswered until they need the socket: hundreds rest here
  // on a healthy web server. A tenth of all connections is more than that.
  const bool many_orphans = orphans.count() >= 100 && orphans.count() * 10 >= view.connections;
  if (!is_pile(held.count(), view) && !many_orphans) return;
  HostFinding f;
  f.cause = "fin-wait2-pile";
  const Pile& most = held.count() >= kPile ? held : orphans;
  f.side = most.side() == facts::Side::kServer ? facts::Side::kClient : facts::Side::kServer;
  f.summary = fmt::format("{} in FIN_WAIT2: this side closed, the peers do not (they hold CLOSE_WAIT).",
                          counted(most.count(), "socket"));
  f.sockets.push_back(most.evidence(most.where_words()));
  f.processes = most.owners();
  f.sysctls = view.sysctls({"net.ipv4.tcp_fin_timeout"});
  if (&most == &held)
    f.fix = {"the process called shutdown() and still holds the sockets: close() them, with a timeout of its own",
             "tcp_fin_timeout does not apply to sockets a process holds"};
  else
    f.fix = {"look for the CLOSE_WAIT leak at the peers", "tcp_fin_timeout bounds it here (values above 60 act oddly); "
             "it has nothing to do with TIME_WAIT"};
  out.push_back(std::move(f));
}

}  // namespace tcpwhy::diagnose::host
