// Enters namespaces with setns(2) in the calling thread and comes back; without the right to, only the own one is seen.

#include "host/bpf/namespaces.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

namespace tcpwhy::host {
namespace {

using Address = facts::Address;

std::uint32_t inode_of(int fd) {
  struct stat info{};
  return fstat(fd, &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

facts::Endpoint endpoint(std::uint8_t family, const void* address, std::uint16_t port_be) {
  facts::Endpoint out;
  out.address.version = family == AF_INET6 ? 6 : 4;
  std::memcpy(out.address.bytes.data(), address, family == AF_INET6 ? 16 : 4);
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (family == AF_INET6 && std::equal(kMapped.begin(), kMapped.end(), out.address.bytes.begin())) {
    Address plain;
    std::copy_n(out.address.bytes.begin() + 12, 4, plain.bytes.begin());
    out.address = plain;
  }
  out.port = ntohs(port_be);
  return out;
}

/// "Name: A B C" over "Name: 1 2 3".
void read_counters(const char* path, std::map<std::string, std::uint64_t>& out) {
  std::ifstream file{path};
  std::string names, values;
  while (std::getline(file, names) && std::getline(file, values)) {
    std::istringstream n{names}, v{values};
    std::string name, value;
    n >> name;
    v >> value;
    if (name != "TcpExt:" && name != "Tcp:") continue;
    while (n >> name && v >> value) {
      std::uint64_t number = 0;
      std::from_chars(value.data(), value.data() + value.size(), number);
      out[name] = number;
    }
  }
}

/// The addresses the routing table calls LOCAL, IPv4 and IPv6.
std::set<Address> read_addresses() {
  std::set<Address> out;
  std::ifstream trie{"/proc/thread-self/net/fib_trie"};
  std::string line, last;
  while (std::getline(trie, line)) {
    if (const auto at = line.find("|-- "); at != std::string::npos) last = line.substr(at + 4);
    if (line.find("host LOCAL") == std::string::npos) continue;
    Address a;
    if (inet_pton(AF_INET, last.c_str(), a.bytes.data()) == 1) out.insert(a);
  }
  std::ifstream six{"/proc/thread-self/net/if_inet6"};
  while (std::getline(six, line)) {
    if (line.size() < 32) continue;
    Address a;
    a.version = 6;
    for (std::size_t i = 0; i < 16; ++i) std::from_chars(&line[i * 2], &line[i * 2 + 2], a.bytes[i], 16);
    out.insert(a);
  }
  return out;
}

struct Ask {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

/// One sock_diag dump; `each` gets the message and its SKMEMINFO (or null).
template <class Each>
bool dump(std::uint8_t family, std::uint32_t states, const Each& each) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return false;
  Ask ask{};
  ask.header.nlmsg_len = sizeof ask;
  ask.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  ask.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  ask.body.sdiag_family = family;
  ask.body.sdiag_protocol = IPPROTO_TCP;
  ask.body.idiag_ext = 1u << (INET_DIAG_SKMEMINFO - 1);
  ask.body.idiag_states = states;
  bool more = send(fd, &ask, sizeof ask, 0) == static_cast<ssize_t>(sizeof ask);
  std::vector<char> buffer(64 * 1024);
  while (more) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    auto left = static_cast<std::uint32_t>(got);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
        more = false;
        break;
      }
      if (h->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) continue;
      const auto* message = static_cast<const inet_diag_msg*>(NLMSG_DATA(h));
      const std::uint32_t* memory = nullptr;
      auto room = static_cast<int>(h->nlmsg_len - NLMSG_LENGTH(sizeof(inet_diag_msg)));
      for (auto* a = reinterpret_cast<const rtattr*>(message + 1); RTA_OK(a, room); a = RTA_NEXT(a, room))
        if (a->rta_type == INET_DIAG_SKMEMINFO && RTA_PAYLOAD(a) >= 9 * sizeof(std::uint32_t))
          memory = static_cast<const std::uint32_t*>(RTA_DATA(a));
      each(*message, memory);
    }
  }
  close(fd);
  return true;
}

}  // namespace

struct Namespaces::Impl {
  struct Place {
    int fd = -1;
    bool from_birth = false, seen = true;
    std::set<Address> addresses;
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

std::vector<NamespaceSample> Namespaces::sample() {
  Impl& me = *impl_;
  me.look_around();
  std::vector<NamespaceSample> out;
  for (auto& [inode, place] : me.places) {
    NamespaceSample s;
    s.netns = inode;
    s.from_birth = place.from_birth;
    const bool entered = me.inside(inode, place, [&] {
      read_counters("/proc/thread-self/net/netstat", s.counters);
      read_counters("/proc/thread-self/net/snmp", s.counters);
      for (const int family : {AF_INET, AF_INET6}) {
        dump(static_cast<std::uint8_t>(family), 1u << 10, [&](const inet_diag_msg& m, const std::uint32_t* memory) {
          s.listeners.push_back({endpoint(m.idiag_family, m.id.idiag_src, m.id.idiag_sport), m.idiag_rqueue, m.idiag_wqueue,
                                 memory != nullptr ? memory[SK_MEMINFO_DROPS] : 0, m.idiag_inode});
        });
        if (me.stuck == Stuck::kRead)
          dump(static_cast<std::uint8_t>(family), 1u << 1 | 1u << 2, [&](const inet_diag_msg& m, const std::uint32_t*) {
            // idiag_timer 1: a retransmission timer runs.
            if (m.idiag_timer != 1 || m.idiag_retrans == 0) return;
            s.stuck.push_back({endpoint(m.idiag_family, m.id.idiag_src, m.id.idiag_sport),
                               endpoint(m.idiag_family, m.id.idiag_dst, m.id.idiag_dport), m.idiag_state, m.idiag_retrans,
                               m.idiag_inode});
          });
      }
      if (place.addresses.empty() || me.rounds % 5 == 0) place.addresses = read_addresses();
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

bool Namespaces::is_local(std::uint32_t netns, const Address& address) {
  auto at = impl_->places.find(netns);
  if (at == impl_->places.end()) {
    impl_->look_around();
    at = impl_->places.find(netns);
    if (at == impl_->places.end()) return true;
  }
  if (at->second.addresses.empty() &&
      !impl_->inside(netns, at->second, [&] { at->second.addresses = read_addresses(); }))
    return true;
  return at->second.addresses.contains(address);
}

KernelProcess Namespaces::owner_of(std::uint64_t inode) {
  auto found = owners_of({inode});
  return found.empty() ? KernelProcess{} : found.begin()->second;
}

std::map<std::uint64_t, KernelProcess> Namespaces::owners_of(const std::vector<std::uint64_t>& inodes) {
  std::map<std::uint64_t, KernelProcess> out;
  if (inodes.empty()) return out;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return out;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string base = std::string{"/proc/"} + entry->d_name;
    DIR* files = opendir((base + "/fd").c_str());
    if (files == nullptr) continue;
    while (const dirent* file = readdir(files)) {
      std::array<char, 64> target{};
      const ssize_t n = readlinkat(dirfd(files), file->d_name, target.data(), target.size() - 1);
      if (n < 9 || std::strncmp(target.data(), "socket:[", 8) != 0) continue;
      std::uint64_t inode = 0;
      std::from_chars(target.data() + 8, target.data() + n, inode);
      if (std::find(inodes.begin(), inodes.end(), inode) == inodes.end() || out.contains(inode)) continue;
      KernelProcess owner;
      std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), owner.pid);
      std::ifstream comm{base + "/comm"};
      std::getline(comm, owner.comm);
      out[inode] = owner;
    }
    closedir(files);
    if (out.size() == inodes.size()) break;
  }
  closedir(dir);
  return out;
}

}  // namespace tcpwhy::host
