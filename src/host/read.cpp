// Reading the live host. The cheap dump comes first; tcp_info, for which the kernel
// locks each socket, is asked only for the sockets a finding will want to date.

#include "host/read.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "host/proc.hpp"
#include "host/sock_diag.hpp"

namespace tcpwhy::host {
namespace {

using facts::SocketTimer;

/// A namespace to visit: where its file is, what to call it.
struct Target {
  std::string path;   ///< empty: where we are
  std::string name;
  std::uint64_t id = 0;
};

std::uint64_t inode_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_ino) : 0;
}

Result<std::vector<Target>> targets(const Where& where, std::vector<std::string>& quality) {
  std::vector<Target> out;
  std::set<std::uint64_t> known;
  auto add = [&](std::string path, std::string name) {
    const std::uint64_t id = inode_of(path.empty() ? "/proc/self/ns/net" : path);
    if (id == 0) return false;
    if (known.insert(id).second) out.push_back({std::move(path), std::move(name), id});
    return true;
  };
  for (const std::string& n : where.namespaces) {
    const bool is_path = n.find('/') != std::string::npos;
    if (!add(is_path ? n : "/run/netns/" + n, n))
      return Error{"host.netns", fmt::format("there is no network namespace '{}': `ip netns list` names them, "
                                             "--pid takes a process instead", n)};
  }
  for (std::int64_t pid : where.pids)
    if (!add(fmt::format("/proc/{}/ns/net", pid), fmt::format("pid {}", pid)))
      return Error{"host.pid", fmt::format("the namespace of process {} cannot be read: it is gone, or root is needed", pid)};
  if (where.all_namespaces) {
    add("", "");
    std::error_code error;
    for (const auto& e : std::filesystem::directory_iterator("/run/netns", error)) add(e.path(), e.path().filename());
    std::uint64_t refused = 0;
    for (const auto& e : std::filesystem::directory_iterator("/proc", error)) {
      const std::string pid = e.path().filename();
      if (pid[0] < '0' || pid[0] > '9') continue;
      if (!add(fmt::format("/proc/{}/ns/net", pid), fmt::format("pid {}", pid)) && errno == EACCES) ++refused;
    }
    if (refused > 0)
      quality.push_back(fmt::format("the namespaces of {} processes could not be read: run as root to see all", refused));
  }
  if (out.empty()) add("", "");
  return out;
}

/// Which sockets a finding will want to date, most telling first.
int interest(const facts::Socket& s) {
  switch (s.state) {
    case State::kCloseWait: return 1;
    case State::kEstablished:
      if (s.inode == 0) return 2;                                      // nobody has accepted it
      if (s.retries > 0 || s.timer == SocketTimer::kWindowProbe) return 3;
      if (s.receive_queue > 0) return 4;                               // nobody has read it
      return 6;                                                        // silent without a keepalive, waiting for an answer?
    case State::kFinWait1:
    case State::kClosing:
    case State::kLastAck: return 5;
    case State::kFinWait2: return s.timer == SocketTimer::kTimeWait ? 0 : 5;
    case State::kUnseen:
    case State::kSynSent:
    case State::kSynRecv:
    case State::kTimeWait:
    case State::kClose:
    case State::kListen:
    case State::kNewSynRecv: return 0;
  }
  return 0;
}

Result<std::uint64_t> ask_infos(SockDiag& diag, facts::Namespace& ns, std::uint64_t max_infos) {
  std::array<std::vector<std::uint32_t>, 7> by_interest;
  for (std::uint32_t i = 0; i < ns.sockets.size(); ++i)
    if (const int rank = interest(ns.sockets[i]); rank > 0) by_interest[static_cast<std::size_t>(rank)].push_back(i);
  std::vector<std::uint32_t> chosen;
  for (const auto& group : by_interest) {
    ns.infos_wanted += group.size();
    // Of a group that does not fit, an even sample.
    const std::size_t room = std::min<std::size_t>(group.size(), max_infos - chosen.size());
    for (std::size_t i = 0; i < room; ++i) chosen.push_back(group[i * group.size() / room]);
  }
  std::vector<const facts::Socket*> asked;
  for (std::uint32_t i : chosen) asked.push_back(&ns.sockets[i]);
  ns.infos.reserve(asked.size());
  return diag.look_up(asked, [&](std::size_t i, const facts::SocketInfo& info) {
    ns.sockets[chosen[i]].info = static_cast<std::int32_t>(ns.infos.size());
    ns.infos.push_back(info);
  });
}

std::unordered_map<std::uint64_t, std::uint32_t> accept_queues(SockDiag& diag) {
  std::unordered_map<std::uint64_t, std::uint32_t> out;
  for (int family : {AF_INET, AF_INET6})
    (void)diag.dump(family, bit(State::kListen), SockDiag::Detail::kHeader,
                    [&](const facts::Socket& s, const facts::SocketInfo*) { out[s.cookie] = s.receive_queue; }).has_value();
  return out;
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void wait(double seconds, const volatile bool* stop) {
  const double until = now_seconds() + seconds;
  for (double left = seconds; left > 0 && (stop == nullptr || !*stop); left = until - now_seconds())
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.1)));
}

/// The first, cheap look at a namespace.
struct FirstLook {
  double at = 0;
  facts::EarlierReading reading;
};

Result<FirstLook> first_look() {
  FirstLook out;
  out.at = now_seconds();
  out.reading.counters = read_counters();
  auto diag = SockDiag::open();
  if (!diag) return diag.error();
  out.reading.accept_queues = accept_queues(*diag);
  return out;
}

/// The whole namespace the thread is in.
Result<facts::Namespace> look(const ReadOptions& o, const FirstLook* first) {
  facts::Namespace ns;
  auto diag = SockDiag::open();
  if (!diag) return diag.error();
  if (const auto in_use = [&] {
        facts::Counters c;
        parse_sockstat(read_file("/proc/thread-self/net/sockstat"), c);
        parse_sockstat(read_file("/proc/thread-self/net/sockstat6"), c);
        return c["sockstat.TCP.inuse"] + c["sockstat.TCP6.inuse"] + c["sockstat.TCP.tw"];
      }();
      in_use > 0)
    ns.sockets.reserve(std::min<std::uint64_t>(static_cast<std::uint64_t>(in_use) + 64, o.max_sockets));
  for (int family : {AF_INET, AF_INET6}) {
    auto dumped = diag->dump(family, kAllStates, SockDiag::Detail::kHeader,
                             [&](const facts::Socket& s, const facts::SocketInfo*) {
                               const auto state = static_cast<std::size_t>(s.state);
                               if (state < kStates) ++ns.by_state[state];
                               ++ns.sockets_total;
                               if (ns.sockets.size() < o.max_sockets) ns.sockets.push_back(s);
                             });
    if (!dumped && family == AF_INET) return dumped.error();  // a host may live without IPv6
  }
  std::stable_partition(ns.sockets.begin(), ns.sockets.end(),
                        [](const facts::Socket& s) { return s.state == State::kListen; });
  if (auto asked = ask_infos(*diag, ns, o.max_infos); !asked) return asked.error();
  read_sysctls(ns);
  read_addresses(ns);
  if (first != nullptr) {
    ns.earlier = first->reading;
    ns.earlier->seconds = now_seconds() - first->at;
  }
  ns.counters = read_counters();
  return ns;
}

CaptureTime wall_clock() {
  return CaptureTime{std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch())};
}

/// Runs `work` in a thread of its own inside the target's namespace: setns() is per thread.
template <class Work>
auto inside(const Target& target, Work&& work) -> decltype(work()) {
  if (target.path.empty()) return work();
  std::optional<decltype(work())> out;
  std::thread{[&] {
    const int fd = ::open(target.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
      out = Error{"host.setns", fmt::format("network namespace {} cannot be entered: {} (CAP_SYS_ADMIN is needed)",
                                            target.name, std::strerror(errno))};
    } else {
      out = work();
    }
    if (fd >= 0) ::close(fd);
  }}.join();
  return std::move(*out);
}

}  // namespace

Result<facts::HostSnapshot> snapshot(const ReadOptions& o) {
  facts::HostSnapshot out;
  utsname name{};
  if (uname(&name) == 0) out.kernel = name.release;
  auto where = targets(o.where, out.quality);
  if (!where) return where.error();
  std::vector<std::optional<FirstLook>> first(where->size());
  if (o.wait_seconds > 0)
    for (std::size_t i = 0; i < where->size(); ++i)
      if (auto looked = inside((*where)[i], first_look); looked) first[i] = std::move(*looked);
  // The whole look comes last, so that queues and counters speak of the same moment.
  for (auto looked = first.rbegin(); looked != first.rend(); ++looked)
    if (*looked) {
      wait((*looked)->at + o.wait_seconds - now_seconds(), o.stop);
      break;
    }
  std::optional<Error> error;
  for (std::size_t i = 0; i < where->size(); ++i) {
    const Target& target = (*where)[i];
    auto ns = inside(target, [&] { return look(o, first[i] ? &*first[i] : nullptr); });
    if (!ns) {
      error = ns.error();
      out.quality.push_back(ns.error().message);
      continue;
    }
    ns->id = target.id;
    ns->name = target.name;
    if (ns->sockets_total > ns->sockets.size())
      out.quality.push_back(fmt::format("{} sockets of {} were only counted (--max-sockets)",
                                        ns->sockets_total - ns->sockets.size(), ns->sockets_total));
    out.namespaces.push_back(std::move(*ns));
  }
  if (out.namespaces.empty()) return *error;
  if (o.owners != Owners::kNo) read_owners(out, o.owners);
  out.time = wall_clock();
  return out;
}

}  // namespace tcpwhy::host
