// One namespace turned over, and piles of sockets described.

#include "diagnose/host/finding.hpp"

#include <algorithm>

namespace tcpwhy::diagnose::host {

View::View(const facts::HostSnapshot& h, const Namespace& n, const HostOptions& o) : host{h}, ns{n}, options{o} {
  for (const facts::Address& a : ns.addresses) local_[a] = true;
  for (const Socket& s : ns.sockets) {
    if (s.state != State::kListen) break;
    by_port_[s.local.port].push_back(static_cast<std::uint32_t>(listeners.size()));
    listeners.push_back({&s, 0, 0, {}, 0});
  }
  for (const Socket& s : ns.sockets) {
    switch (s.state) {
      case State::kListen:
      case State::kTimeWait:
      case State::kUnseen:
      case State::kClose: continue;
      case State::kSynRecv:
      case State::kNewSynRecv:
        if (Listening* l = find(s.local)) {
          ++l->requests;
          if (s.retries > 0) ++l->unanswered;
        }
        break;
      case State::kEstablished:
      case State::kCloseWait:
        // Nobody holds it yet: it waits for accept(). (An orphan is never in these states.)
        if (Listening* l = find(s.local)) {
          if (s.inode == 0)
            l->waiting.push_back(&s);
          else
            ++l->held;
        }
        break;
      case State::kSynSent:
      case State::kFinWait1:
      case State::kFinWait2:
      case State::kLastAck:
      case State::kClosing: break;
    }
    ++connections;
  }
}

Listening* View::find(const Endpoint& local) {
  auto it = by_port_.find(local.port);
  if (it == by_port_.end()) return nullptr;
  Listening* wild = nullptr;
  for (std::uint32_t i : it->second) {
    Listening& l = listeners[i];
    if (l.socket->local.address == local.address) return &l;
    const bool any = l.socket->local.address.bytes == decltype(local.address.bytes){};
    if (any && (wild == nullptr || l.socket->local.address.version == local.address.version)) wild = &l;
  }
  return wild;
}

const Listening* View::listening(const Endpoint& local) const { return const_cast<View*>(this)->find(local); }

CounterEvidence View::counter(std::string_view name) const {
  return {std::string{name}, ns.counter(name).value_or(0), ns.rise(name), ns.earlier ? ns.earlier->seconds : 0};
}

std::vector<SysctlEvidence> View::sysctls(std::initializer_list<std::string_view> names) const {
  std::vector<SysctlEvidence> out;
  for (std::string_view name : names)
    if (auto it = ns.sysctls.find(name); it != ns.sysctls.end()) out.push_back({it->first, it->second});
  return out;
}

ListenerEvidence View::describe(const Listening& l) const {
  ListenerEvidence e;
  e.endpoint = l.socket->local;
  e.queue = l.socket->receive_queue;
  e.limit = l.socket->send_queue;
  const auto somaxconn = ns.sysctl("net.core.somaxconn");
  e.limit_from = somaxconn && e.limit >= *somaxconn ? "net.core.somaxconn" : "backlog";
  e.requests = l.requests;
  for (const Socket* s : l.waiting)
    // The child has sent nothing since it was made (tcp_create_openreq_child()), so this is its age.
    if (const SocketInfo* i = ns.info(*s))
      e.oldest_wait_s = std::max(e.oldest_wait_s.value_or(0), i->last_data_sent_ms * 1e-3);
  return e;
}

void Pile::add(const Socket& s, std::optional<double> silent_s) {
  SocketsEvidence& e = evidence_;
  e.state = s.state;
  ++e.count;
  if (silent_s) e.oldest_s = std::max(e.oldest_s.value_or(0), *silent_s);
  if (s.receive_queue > 0) e.unread_bytes = e.unread_bytes.value_or(0) + s.receive_queue;
  if (s.send_queue > 0) e.unacknowledged_bytes = e.unacknowledged_bytes.value_or(0) + s.send_queue;
  if (e.examples.size() < 3)
    e.examples.push_back(fmt::format("{} → {}", facts::to_string(s.local), facts::to_string(s.remote)));
  if (view_.listening(s.local) != nullptr) ++served_;
  if (const facts::Process* p = view_.host.process(s))
    ++owners_[p];
  else
    ++unowned_;
  ++remotes_[s.remote];
  ++locals_[s.local];
  ++hosts_[s.remote.address];
}

std::vector<ProcessEvidence> Pile::owners() const {
  std::vector<ProcessEvidence> out;
  for (const auto& [p, n] : owners_) out.push_back({*p, n});
  std::sort(out.begin(), out.end(), [](const ProcessEvidence& a, const ProcessEvidence& b) {
    return a.sockets != b.sockets ? a.sockets > b.sockets : a.process.pid < b.process.pid;
  });
  if (out.size() > 8) out.resize(8);
  return out;
}

SocketsEvidence Pile::evidence(std::string where) const {
  SocketsEvidence e = evidence_;
  e.where = std::move(where);
  return e;
}

namespace {
template <class Map>
std::optional<std::pair<Endpoint, std::uint64_t>> most(const Map& map, std::uint64_t all) {
  auto best = std::max_element(map.begin(), map.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (best == map.end() || best->second * 2 < all) return std::nullopt;
  return std::pair{best->first, best->second};
}
}  // namespace

std::optional<std::pair<Endpoint, std::uint64_t>> Pile::main_remote() const { return most(remotes_, evidence_.count); }
std::optional<std::pair<Endpoint, std::uint64_t>> Pile::main_local() const { return most(locals_, evidence_.count); }

std::string Pile::owner_words() const {
  const auto list = owners();
  if (list.empty()) return unowned_ > 0 && !view_.host.processes.empty() ? "no process (the kernel holds them)" : "a process not known here";
  return process_words(&list.front().process);
}

std::string Pile::where_words() const {
  if (const auto local = main_local(); local && view_.listening(local->first) != nullptr)
    return "on " + facts::to_string(local->first);
  if (const auto remote = main_remote()) return "to " + facts::to_string(remote->first);
  if (hosts_.size() == 1) return "to " + facts::to_string(hosts_.begin()->first);
  return fmt::format("with {} hosts", hosts_.size());
}

std::string process_words(const facts::Process* p) {
  return p == nullptr ? std::string{"a process not known here"} : fmt::format("{} (pid {})", p->comm, p->pid);
}

std::string age_words(double s) {
  if (s < 120) return fmt::format("{:.3g} s", s);
  if (s < 7200) return fmt::format("{:.0f} min", s / 60);
  if (s < 172800) return fmt::format("{:.3g} h", s / 3600);
  return fmt::format("{:.0f} days", s / 86400);
}

}  // namespace tcpwhy::diagnose::host

namespace tcpwhy::diagnose {

std::vector<HostFinding> find_on_host(const facts::HostSnapshot& snapshot, const HostOptions& options) {
  using namespace host;
  static constexpr void (*kFinders[])(const View&, Findings&) = {
      find_accept_queues, find_requests,    find_connecting, find_close_wait,  find_port_exhaustion, find_time_wait,
      find_not_reading,   find_zero_window, find_unresponsive, find_waiting, find_closing, find_fin_wait2, find_ghosts,
      find_repeats,       find_pressure,    find_conntrack_full, find_damage, find_settings};
  std::vector<HostFinding> out;
  for (const facts::Namespace& ns : snapshot.namespaces) {
    const View view{snapshot, ns, options};
    const std::size_t first = out.size();
    for (auto* find : kFinders) find(view, out);
    if (snapshot.namespaces.size() > 1)
      for (std::size_t i = first; i < out.size(); ++i)
        out[i].network_namespace = ns.name.empty() ? fmt::format("net:[{}]", ns.id) : ns.name;
  }
  std::stable_sort(out.begin(), out.end(), [](const HostFinding& a, const HostFinding& b) { return a.verdict < b.verdict; });
  return out;
}

}  // namespace tcpwhy::diagnose
