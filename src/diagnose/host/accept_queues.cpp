// accept-queue-overflow, accept-queue-overflow-reset and server-never-accepts: the
// queue between the kernel's handshake and the application's accept().

#include <algorithm>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// A queue may be full for a moment when clients come together. A connection that
/// has waited this long means that nobody accepts.
constexpr double kAcceptPatience = 10;

bool was_full(const View& view, const Listening& l) {
  if (!view.ns.earlier) return false;
  auto it = view.ns.earlier->accept_queues.find(l.socket->cookie);
  return it != view.ns.earlier->accept_queues.end() && it->second > l.socket->send_queue;
}

double accept_patience(const View& view) { return std::min(view.options.patience_s, kAcceptPatience); }

void tell_owner(const View& view, const Listening& l, HostFinding& f) {
  const facts::Process* p = view.host.process(*l.socket);
  if (p == nullptr) return;
  f.processes.push_back({*p, l.socket->receive_queue});
  if (p->state == 'T' || p->state == 't') {
    f.notes.push_back("the process is stopped (state T): it cannot accept");
    f.fix.insert(f.fix.begin(), fmt::format("continue the process: kill -CONT {}", p->pid));
  }
  if (p->state == 'D') f.notes.push_back("the process waits in the kernel (state D), for a disk or a file server");
  // accept() fails with EMFILE and leaves the connection in the queue.
  if (p->descriptor_limit > 0 && p->descriptors + 1 >= p->descriptor_limit) {
    f.notes.push_back(fmt::format("it has {} of {} descriptors open: accept() fails with EMFILE", p->descriptors,
                                  p->descriptor_limit));
    f.fix.insert(f.fix.begin(), "find what leaks descriptors (CLOSE_WAIT?), then raise RLIMIT_NOFILE");
  }
}

std::string limit_words(const ListenerEvidence& e) {
  return e.limit_from == "backlog" ? fmt::format("the application's listen() backlog of {} binds", e.limit)
                                   : fmt::format("net.core.somaxconn ({}) binds", e.limit);
}

HostFinding overflow(const View& view, const Listening& l, Verdict verdict) {
  HostFinding f;
  const bool resets = view.ns.sysctl("net.ipv4.tcp_abort_on_overflow").value_or(0) == 1;
  f.cause = resets ? "accept-queue-overflow-reset" : "accept-queue-overflow";
  f.verdict = verdict;
  f.side = facts::Side::kServer;
  f.listener = view.describe(l);
  const facts::Process* owner = view.host.process(*l.socket);
  f.summary = fmt::format("The accept queue of {} is full ({} waiting, limit {}): {} does not accept fast enough.",
                          facts::to_string(l.socket->local), l.socket->receive_queue, l.socket->send_queue,
                          process_words(owner));
  for (std::string_view name : {"ListenOverflows", "ListenDrops"}) f.counters.push_back(view.counter(name));
  if (resets) f.counters.push_back(view.counter("EmbryonicRsts"));
  f.sysctls = view.sysctls({"net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow"});
  f.notes.push_back(limit_words(*f.listener));
  if (f.listener->oldest_wait_s)
    f.notes.push_back(fmt::format("the longest has waited {}", age_words(*f.listener->oldest_wait_s)));
  if (l.unanswered > 0)
    f.notes.push_back(fmt::format("{} of its half-open requests repeat their SYN-ACK because the third ACK was ignored",
                                  l.unanswered));
  f.fix = {"find out why the application does not call accept(): blocked, too few workers, out of descriptors"};
  if (f.listener->limit_from == "backlog")
    f.fix.push_back("raise the backlog the application passes to listen() and restart it (somaxconn is not the limit here)");
  else
    f.fix.push_back("raise net.core.somaxconn and the listen() backlog together, and restart the application");
  tell_owner(view, l, f);
  return f;
}

/// The listener that was most likely meant when a counter rose and no queue is full now.
const Listening* fullest(const View& view) {
  const Listening* best = nullptr;
  double share = -1;
  for (const Listening& l : view.listeners) {
    std::uint32_t queue = l.socket->receive_queue;
    if (view.ns.earlier)
      if (auto it = view.ns.earlier->accept_queues.find(l.socket->cookie); it != view.ns.earlier->accept_queues.end())
        queue = std::max(queue, it->second);
    const double s = queue / (l.socket->send_queue + 1.0);
    if (queue > 0 && s > share) {
      best = &l;
      share = s;
    }
  }
  return share >= 0.5 ? best : nullptr;
}

void never_accepts(const View& view, const Listening& l, Findings& out) {
  Pile pile{view};
  for (const Socket* s : l.waiting)
    if (const SocketInfo* i = view.ns.info(*s); i != nullptr && i->last_data_sent_ms >= accept_patience(view) * 1e3)
      pile.add(*s, i->last_data_sent_ms * 1e-3);
  if (pile.count() == 0) return;
  HostFinding f;
  f.cause = "server-never-accepts";
  f.side = facts::Side::kServer;
  f.listener = view.describe(l);
  f.summary = fmt::format("{} on {} wait for accept(), the longest for {}: {} does not accept.",
                          counted(pile.count(), "connection"), facts::to_string(l.socket->local),
                          age_words(pile.oldest_s().value_or(0)), process_words(view.host.process(*l.socket)));
  f.sockets.push_back(pile.evidence("on " + facts::to_string(l.socket->local)));
  f.notes.push_back(fmt::format("the queue holds {} and overflows beyond {}; {}", l.socket->receive_queue,
                                l.socket->send_queue + 1, limit_words(*f.listener)));
  f.fix = {"look at what the accepting thread does (stack dump, strace -p): clients believe they are connected"};
  tell_owner(view, l, f);
  out.push_back(std::move(f));
}

}  // namespace

void find_accept_queues(const View& view, Findings& out) {
  const std::int64_t overflows = view.rise("ListenOverflows");
  const auto full = std::count_if(view.listeners.begin(), view.listeners.end(), [](const Listening& l) { return l.full(); });
  for (const Listening& l : view.listeners) {
    if (!l.full()) {
      never_accepts(view, l, out);
      continue;
    }
    const auto waited = view.describe(l).oldest_wait_s.value_or(0);
    if (overflows > 0) {
      out.push_back(overflow(view, l, full == 1 ? Verdict::kProven : Verdict::kLikely));
    } else if (was_full(view, l) || waited >= accept_patience(view) || l.unanswered > 0) {
      // Full at both readings, or too long: nobody was turned away in between, the next one will be.
      out.push_back(overflow(view, l, Verdict::kLikely));
    }
  }
  if (overflows > 0 && full == 0) {
    HostFinding f;
    if (const Listening* l = fullest(view)) {
      f = overflow(view, *l, Verdict::kLikely);
      f.summary = fmt::format("A listener's accept queue overflowed {} times; {} was fullest.", overflows,
                              facts::to_string(l->socket->local));
    } else {
      // The counter counts nothing else; whose queue it was is over.
      f.cause = "accept-queue-overflow";
      f.side = facts::Side::kServer;
      f.verdict = Verdict::kProven;
      f.summary = fmt::format("An accept queue overflowed {} times in {:.1f} s; none is full now.", overflows,
                              view.ns.earlier->seconds);
      f.fix = {"repeat with --interval 1 while it happens: the full queue names the listener"};
      for (std::string_view name : {"ListenOverflows", "ListenDrops"}) f.counters.push_back(view.counter(name));
    }
    out.push_back(std::move(f));
  }
}

void find_not_reading(const View& view, Findings& out) {
  // Accepted, sent to, acknowledged by the kernel, and not read.
  std::unordered_map<const facts::Process*, Pile> piles;
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kEstablished || s.inode == 0 || s.receive_queue == 0) continue;
    const SocketInfo* i = view.ns.info(s);
    if (i == nullptr || i->last_data_received_ms < view.patience_ms()) continue;
    // A shut window is another finding.
    if (i->receive_window != SocketInfo::kUntold && i->receive_window < 2 * 1460) continue;
    piles.try_emplace(view.host.process(s), view).first->second.add(s, i->last_data_received_ms * 1e-3);
  }
  for (const auto& [process, pile] : piles) {
    HostFinding f;
    f.cause = "server-never-accepts";
    f.side = pile.side();
    if (f.side == facts::Side::kClient) f.cause = "stalled";
    f.summary = fmt::format("{} does not read: {} hold {} bytes unread, the oldest for {}.", process_words(process),
                            counted(pile.count(), "connection"), pile.unread(), age_words(pile.oldest_s().value_or(0)));
    f.processes = pile.owners();
    f.sockets.push_back(pile.evidence(pile.where_words()));
    if (process != nullptr && (process->state == 'T' || process->state == 't'))
      f.notes.push_back("the process is stopped (state T)");
    f.fix = {"look at what the process waits for (stack dump, strace -p); the peers wait for an answer to what they sent"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
