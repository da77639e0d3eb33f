// Enters namespaces with setns(2) in the calling thread and comes back; without the right to, only the own one is seen.

#include "host/namespaces.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "host/icmp_errors.hpp"
#include "host/proc.hpp"
#include "host/sock_diag.hpp"

namespace tcpwhy::host {
namespace {

/// Of the interfaces of the namespace this thread is in.
std::vector<facts::Address> addresses_here() {
  facts::Namespace here;
  read_addresses(here);
  return std::move(here.addresses);
}

std::uint32_t inode_of(int fd) {
  struct stat info{};
  return fstat(fd, &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

}  // namespace

struct Namespaces::Impl {
  struct Place {
    int fd = -1;
    bool from_birth = false, seen = true;
    std::vector<facts::Address> addresses;
    IcmpErrors icmp;
    bool listens = false;
    std::int64_t refusals = 0;  // of SYNs, all that were counted up to the last look
  };
  Reach reach;
  Stuck stuck;
  int home = -1;
  std::uint32_t home_inode = 0;
  bool chosen = false;  // by only()
  bool first_round = true;
  std::map<std::uint32_t, Place> places;
  unsigned rounds = 0;

  void add(int fd) {
    if (fd < 0) return;
    const std::uint32_t inode = inode_of(fd);
    const auto [at, fresh] = places.try_emplace(inode);
    at->second.seen = true;
    if (!fresh) {
      close(fd);
      return;
    }
    at->second.fd = fd;
    at->second.from_birth = !first_round;
  }

  void look_around() {
    if (reach != Reach::kAll || chosen) return;
    for (auto& [inode, place] : places) place.seen = inode == home_inode;
    if (DIR* dir = opendir("/run/netns")) {
      while (const dirent* entry = readdir(dir))
        if (entry->d_name[0] != '.') {
          struct stat info{};
          const std::string path = std::string{"/run/netns/"} + entry->d_name;
          if (stat(path.c_str(), &info) != 0) continue;
          if (auto at = places.find(static_cast<std::uint32_t>(info.st_ino)); at != places.end())
            at->second.seen = true;
          else
            add(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        }
      closedir(dir);
    }
    if (DIR* dir = opendir("/proc")) {
      while (const dirent* entry = readdir(dir))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
          struct stat info{};
          const std::string path = std::string{"/proc/"} + entry->d_name + "/ns/net";
          if (stat(path.c_str(), &info) != 0) continue;
          if (auto at = places.find(static_cast<std::uint32_t>(info.st_ino)); at != places.end())
            at->second.seen = true;
          else
            add(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        }
      closedir(dir);
    }
  }

  /// To count requests the kernel walks all of its connections: only where SYNs have been refused since the last look.
  static bool are_refused(const facts::Counters& counters, Place& place) {
    std::int64_t sum = 0;
    for (const char* name : {"ListenDrops", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "SyncookiesFailed"})
      if (const auto at = counters.find(name); at != counters.end()) sum += at->second;
    return std::exchange(place.refusals, sum) != sum;
  }

  void read_sockets(SockDiag& diag, facts::NamespaceSample& s, bool requests) const {
    for (const int family : {AF_INET, AF_INET6}) {
      // A host may live without IPv6; what cannot be read is not told of.
      (void)diag.dump(family, bit(State::kListen), SockDiag::Detail::kDrops, [&](const facts::Socket& l, const facts::SocketInfo* info) {
        s.listeners.push_back({l.local, l.receive_queue, l.send_queue, info != nullptr ? info->drops : 0, 0, l.inode});
      });
      if (requests) (void)diag.dump(family, bit(State::kSynRecv), SockDiag::Detail::kHeader, [&](const facts::Socket& request, const facts::SocketInfo*) {
        for (facts::ListenerSample& l : s.listeners)
          if (l.at.port == request.local.port) {
            ++l.requests;
            break;
          }
      });
      if (stuck == Stuck::kRead)
        (void)diag.dump(family, bit(State::kEstablished) | bit(State::kSynSent), SockDiag::Detail::kHeader,
                        [&](const facts::Socket& k, const facts::SocketInfo*) {
                          if (k.timer == facts::SocketTimer::kRetransmit && k.retries > 0) s.stuck.push_back(k);
                        });
    }
  }

  /// Runs `work` inside; false when the namespace may not be entered.
  template <class Work>
  bool inside(std::uint32_t inode, const Place& place, const Work& work) {
    if (inode == home_inode) {
      work();
      return true;
    }
    if (setns(place.fd, CLONE_NEWNET) != 0) return false;
    work();
    return setns(home, CLONE_NEWNET) == 0;
  }
};

Namespaces::Namespaces(Reach reach, Stuck stuck) : impl_{std::make_unique<Impl>()} {
  impl_->reach = reach;
  impl_->stuck = stuck;
  impl_->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  impl_->home_inode = inode_of(impl_->home);
  impl_->add(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
}
Namespaces::~Namespaces() {
  for (const auto& [inode, place] : impl_->places) close(place.fd);
  close(impl_->home);
}

std::uint32_t Namespaces::own() const { return impl_->home_inode; }

Result<std::uint32_t> Namespaces::only(const std::string& which) {
  const bool number = !which.empty() && which.find_first_not_of("0123456789") == std::string::npos;
  const std::string path = number ? "/proc/" + which + "/ns/net" : which.find('/') != std::string::npos ? which : "/run/netns/" + which;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{"watch.netns", "no network namespace at " + path + ": " + std::strerror(errno)};
  if (!impl_->chosen)
    for (const auto& [inode, place] : impl_->places) close(place.fd);
  if (!impl_->chosen) impl_->places.clear();
  impl_->chosen = true;
  const std::uint32_t inode = inode_of(fd);
  impl_->add(fd);
  return inode;
}

bool Namespaces::place(tw_event& e) {
  if (!impl_->chosen || impl_->places.contains(e.netns)) return true;
  if (e.netns != 0) return false;
  for (const auto& [inode, place] : impl_->places)
    if (is_local(inode, facts::local_end(e).address)) {
      e.netns = inode;
      return true;
    }
  return false;
}

std::vector<facts::NamespaceSample> Namespaces::sample() {
  Impl& me = *impl_;
  me.look_around();
  std::vector<facts::NamespaceSample> out;
  for (auto& [inode, place] : me.places) {
    facts::NamespaceSample s;
    s.netns = inode;
    s.from_birth = place.from_birth;
    const bool entered = me.inside(inode, place, [&] {
      s.counters = read_counters();
      if (!place.listens) place.icmp = IcmpErrors::open();
      place.listens = true;
      if (auto diag = SockDiag::open()) me.read_sockets(*diag, s, Impl::are_refused(s.counters, place));
      if (place.addresses.empty() || me.rounds % 5 == 0) place.addresses = addresses_here();
    });
    if (entered) out.push_back(std::move(s));
  }
  for (auto at = me.places.begin(); at != me.places.end();) {
    if (at->second.seen || at->first == me.home_inode || me.chosen) {
      ++at;
    } else {
      close(at->second.fd);
      at = me.places.erase(at);
    }
  }
  me.first_round = false;
  ++me.rounds;
  return out;
}

void Namespaces::icmp_errors(std::uint64_t now_ns, const std::function<void(const tw_event&)>& each) {
  for (const auto& [inode, place] : impl_->places)
    place.icmp.read(now_ns, [&](tw_event& e) {
      e.netns = inode;
      each(e);
    });
}

bool Namespaces::is_local(std::uint32_t netns, const facts::Address& address) {
  auto at = impl_->places.find(netns);
  if (at == impl_->places.end()) {
    impl_->look_around();
    at = impl_->places.find(netns);
    if (at == impl_->places.end()) return true;
  }
  std::vector<facts::Address>& own = at->second.addresses;
  if (own.empty() && !impl_->inside(netns, at->second, [&] { own = addresses_here(); })) return true;
  // All of 127.0.0.0/8 is the host's own, whatever its interfaces carry.
  if (address.version == 4 && address.bytes[0] == 127) return true;
  return std::find(own.begin(), own.end(), address) != own.end();
}

std::vector<facts::Socket> Namespaces::connections(std::uint32_t netns, const facts::Address& local, const facts::Address& remote) {
  std::vector<facts::Socket> out;
  const auto at = impl_->places.find(netns);
  if (at == impl_->places.end()) return out;
  impl_->inside(netns, at->second, [&] {
    auto diag = SockDiag::open();
    if (!diag) return;
    const int family = local.version == 6 ? AF_INET6 : AF_INET;
    (void)diag->dump(family, bit(State::kEstablished) | bit(State::kCloseWait) | bit(State::kTimeWait), SockDiag::Detail::kHeader,
                     [&](const facts::Socket& s, const facts::SocketInfo*) {
                       if (s.local.address == local && s.remote.address == remote) out.push_back(s);
                     });
  });
  return out;
}

std::optional<facts::Glance> Namespaces::glance(std::uint32_t netns, const facts::Endpoint& local, const facts::Endpoint& remote) {
  const auto at = impl_->places.find(netns);
  if (at == impl_->places.end()) return std::nullopt;
  std::optional<facts::Glance> out;
  impl_->inside(netns, at->second, [&] {
    auto diag = SockDiag::open();
    if (!diag) return;
    facts::Socket wanted;
    wanted.local = local;
    wanted.remote = remote;
    wanted.cookie = SockDiag::kAnyCookie;
    const facts::Socket* one = &wanted;
    facts::Glance seen;
    const auto asked = diag->look_up({&one, 1}, [&](std::size_t, const facts::SocketInfo& info) { seen.state = info.state, seen.bytes_received = info.bytes_received; });
    // A request has no tcp_info and is found in a dump only.
    const int family = local.address.version == 6 ? AF_INET6 : AF_INET;
    const auto dumped = diag->dump(family, bit(State::kSynRecv), SockDiag::Detail::kHeader, [&](const facts::Socket& s, const facts::SocketInfo*) {
      if (s.local != local || s.remote.port != remote.port) return;
      if (s.remote == remote)
        seen.state = State::kSynRecv;
      else
        ++seen.alike;
    });
    if (asked && dumped) out = seen;
  });
  return out;
}

}  // namespace tcpwhy::host
