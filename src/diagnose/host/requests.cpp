// syn-flood, syn-queue-overflow and syn-recv-pile: half-open requests.

#include <algorithm>
#include <unordered_set>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// Scanners leave some half-open requests on every public port: one SYN a second, kept
/// 63 s (tcp_synack_retries 5), is 63 of them. More than this is a pile, unless the queue is smaller.
constexpr std::uint64_t kPile = 256;

/// Fewer cookies in a reading are a burst.
constexpr std::int64_t kCookies = 16;

/// At half of the limit the kernel begins to give old requests up early (reqsk_timer_handler()).
std::uint64_t threshold(const Listening& l) {
  return std::min<std::uint64_t>(kPile, std::max<std::uint64_t>(8, l.socket->send_queue / 2));
}

struct Sources {
  Pile pile;
  std::uint64_t repeated = 0;
};

Sources unanswered(const View& view, const Listening& l) {
  Sources out{Pile{view}, 0};
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kSynRecv && s.state != State::kNewSynRecv) continue;
    if (view.listening(s.local) != &l || s.retries == 0) continue;
    out.pile.add(s, std::nullopt);
    out.repeated += s.retries;
  }
  return out;
}

HostFinding begin(const View& view, const Listening* l, std::string cause, Verdict verdict) {
  HostFinding f;
  f.cause = std::move(cause);
  f.verdict = verdict;
  f.side = facts::Side::kServer;
  if (l != nullptr) {
    f.listener = view.describe(*l);
    if (const facts::Process* p = view.host.process(*l->socket)) f.processes.push_back({*p, l->requests});
  }
  for (std::string_view name : {"TCPReqQFullDrop", "TCPReqQFullDoCookies", "SyncookiesSent", "SyncookiesRecv", "ListenDrops"})
    if (view.ns.counter(name)) f.counters.push_back(view.counter(name));
  f.sysctls = view.sysctls({"net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_synack_retries"});
  return f;
}

const Listening* busiest(const View& view) {
  const Listening* best = nullptr;
  for (const Listening& l : view.listeners)
    if (l.requests > 0 && (best == nullptr || l.requests > best->requests)) best = &l;
  return best;
}

std::string name_of(const Listening* l) { return l == nullptr ? "A listener" : facts::to_string(l->socket->local); }

}  // namespace

void find_requests(const View& view, Findings& out) {
  const std::int64_t dropped = view.rise("TCPReqQFullDrop"), cookies = view.rise("TCPReqQFullDoCookies");
  const std::int64_t returned = view.rise("SyncookiesRecv");
  const Listening* told = nullptr;
  if (dropped > 0) {
    told = busiest(view);
    HostFinding f = begin(view, told, "syn-queue-overflow", Verdict::kProven);
    f.summary = fmt::format("{} dropped {}: its SYN queue was full and syncookies are off.", name_of(told),
                            counted(dropped, "SYN"));
    f.fix = {"turn syncookies on: net.ipv4.tcp_syncookies=1",
             "raise the listen() backlog (and somaxconn) when these are real clients: since 4.4 it is the SYN queue's limit",
             "net.ipv4.tcp_max_syn_backlog alone does not enlarge the queue"};
    out.push_back(std::move(f));
  } else if (cookies > 0 && returned * 2 < cookies) {
    // Cookies are meant to come back within a round trip; a flood's never do.
    told = busiest(view);
    HostFinding f = begin(view, told, "syn-flood", cookies >= kCookies ? Verdict::kLikely : Verdict::kPossible);
    f.summary = fmt::format("{} is flooded with SYNs: {} syncookies sent, {} came back.", name_of(told), cookies, returned);
    f.fix = {"nothing is lost while syncookies answer; keep net.ipv4.tcp_syncookies=1",
             "filter upstream or by rate (nft: limit rate / synproxy) when the load itself hurts"};
    out.push_back(std::move(f));
  } else if (const std::int64_t all = view.rise("SyncookiesSent"); all > 0 && returned > view.rise("ListenOverflows")) {
    // A cookie that meets a full accept queue lets nobody in, and comes back with each segment the client sends again.
    told = busiest(view);
    HostFinding f = begin(view, told, "syncookie-options-lost", returned >= kCookies ? Verdict::kLikely : Verdict::kPossible);
    const bool always = view.ns.sysctl("net.ipv4.tcp_syncookies").value_or(1) == 2;
    f.summary = fmt::format("Clients are let in by syncookies: {} sent, {} came back; without timestamps they lose window scaling and SACK.",
                            all, returned);
    f.fix = {always ? "net.ipv4.tcp_syncookies=2 is for tests: 1 sends them only when the queue is full"
                    : "the SYN queue is too small for its own clients: raise the listen() backlog (and net.core.somaxconn)"};
    out.push_back(std::move(f));
  }
  for (const Listening& l : view.listeners) {
    // Behind a full accept queue requests pile up by themselves (before 4.10 and for late third ACKs).
    if (l.full() || l.unanswered < threshold(l) || l.unanswered * 2 < l.requests) continue;
    const Sources s = unanswered(view, l);
    if (&l == told) {
      out.back().sockets.push_back(s.pile.evidence(fmt::format("on {} from {} addresses", name_of(&l), s.pile.remote_hosts())));
      continue;
    }
    // A lost way back to one network shows few addresses, or many requests from each; forged sources are many.
    const bool many = s.pile.remote_hosts() >= 8 && (s.pile.remote_hosts() * 2 >= s.pile.count() || s.pile.remote_hosts() >= 64);
    HostFinding f = begin(view, &l, many ? "syn-flood" : "syn-recv-pile", Verdict::kLikely);
    f.sockets.push_back(s.pile.evidence(fmt::format("from {} addresses", s.pile.remote_hosts())));
    f.summary = many ? fmt::format("{} is flooded with SYNs: {} half-open requests from {} addresses answer nothing.",
                                   name_of(&l), s.pile.count(), s.pile.remote_hosts())
                     : fmt::format("{} half-open requests pile up on {}: their clients do not answer the SYN-ACK.",
                                   s.pile.count(), name_of(&l));
    if (many)
      f.fix = {"keep net.ipv4.tcp_syncookies=1; then a full SYN queue costs nothing",
               "filter upstream or by rate when the load itself hurts"};
    else
      f.fix = {"check the way back: are the SYN-ACKs routed and let through to these clients?",
               "one or few sources: a scanner or a test tool; nothing is wrong with the server"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
