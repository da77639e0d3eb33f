// Which process holds which socket. /proc is walked once: reading a descriptor's
// link costs about a microsecond, so nothing else is asked of a descriptor.

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cerrno>
#include <cstring>

#include "host/bpf/descriptors.hpp"
#include "host/proc.hpp"

namespace tcpwhy::host {
namespace {

/// getdents64() with a buffer of our own: readdir() copies every entry once more.
struct Entries {
  int fd = -1;
  std::vector<char> buffer = std::vector<char>(std::size_t{1} << 16);

  template <class Each>
  void each(Each&& each) {
    struct Entry {
      std::uint64_t inode;
      std::int64_t offset;
      unsigned short length;
      unsigned char type;
      char name[1];
    };
    for (;;) {
      const long n = syscall(SYS_getdents64, fd, buffer.data(), buffer.size());
      if (n <= 0) return;
      for (long at = 0; at < n;) {
        const auto* e = reinterpret_cast<const Entry*>(buffer.data() + at);
        each(e->name);
        at += e->length;
      }
    }
  }
};

bool is_number(const char* name) { return name[0] >= '0' && name[0] <= '9'; }

}  // namespace

void describe_process(facts::Process& p) {
  const std::string stat = read_file(fmt::format("/proc/{}/stat", p.pid));
  // comm may hold spaces and parentheses; the last ')' ends it.
  const std::size_t open = stat.find('('), close = stat.rfind(')');
  if (open != std::string::npos && close != std::string::npos && close > open) {
    p.comm = stat.substr(open + 1, close - open - 1);
    if (close + 2 < stat.size()) p.state = stat[close + 2];
  }
  const std::string limits = read_file(fmt::format("/proc/{}/limits", p.pid));
  static constexpr std::string_view kMark = "Max open files";
  if (std::size_t at = limits.find(kMark); at != std::string::npos) {
    at = limits.find_first_not_of(' ', at + kMark.size());
    if (at != std::string::npos) std::from_chars(limits.data() + at, limits.data() + limits.size(), p.descriptor_limit);
  }
}

namespace {

/// One walk over /proc/*/fd.
void walk_proc(facts::HostSnapshot& out) {
  Entries processes, descriptors;
  processes.fd = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (processes.fd < 0) {
    out.quality.push_back("processes are not known: /proc cannot be read");
    return;
  }
  std::uint64_t refused = 0;
  processes.each([&](const char* pid) {
    if (!is_number(pid)) return;
    char path[40];
    *fmt::format_to_n(path, sizeof path - 1, "{}/fd", pid).out = '\0';
    descriptors.fd = openat(processes.fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptors.fd < 0) {
      if (errno == EACCES || errno == EPERM) ++refused;
      return;
    }
    const auto index = static_cast<std::uint32_t>(out.processes.size());
    std::uint32_t open = 0, sockets = 0;
    char link[64];
    descriptors.each([&](const char* name) {
      if (!is_number(name)) return;
      ++open;
      const ssize_t n = readlinkat(descriptors.fd, name, link, sizeof link);
      if (n < 10 || std::memcmp(link, "socket:[", 8) != 0) return;
      std::uint32_t inode = 0;
      std::from_chars(link + 8, link + n, inode);
      out.owner.emplace(inode, index);  // the first holder; a forked child shares it
      ++sockets;
    });
    ::close(descriptors.fd);
    if (sockets == 0) return;
    facts::Process p;
    std::from_chars(pid, pid + std::strlen(pid), p.pid);
    p.descriptors = open;
    out.processes.push_back(p);
  });
  ::close(processes.fd);
  if (refused > 0)
    out.quality.push_back(fmt::format(
        "the sockets of {} processes cannot be assigned without CAP_SYS_PTRACE: run as root to see every owner", refused));
}

/// The kernel's own walk. False where it may not be had.
bool walk_kernel(facts::HostSnapshot& out) {
  facts::Process current;
  std::uint64_t sockets = 0;
  const auto finish = [&] {
    if (sockets > 0) out.processes.push_back(current);
  };
  const auto walked = each_descriptor([&](std::uint32_t process, std::uint32_t inode) {
    if (process != static_cast<std::uint32_t>(current.pid)) {
      finish();
      current = {};
      current.pid = process;
      sockets = 0;
    }
    ++current.descriptors;
    if (inode == 0) return;
    ++sockets;
    out.owner.emplace(inode, static_cast<std::uint32_t>(out.processes.size()));
  });
  if (walked) finish();
  return walked && *walked > 0;
}

}  // namespace

void read_owners(facts::HostSnapshot& out, Owners how) {
  // The bound the dump has: what is not kept needs no owner.
  std::size_t sockets = 0;
  for (const facts::Namespace& ns : out.namespaces) sockets += ns.sockets.size();
  out.owner.reserve(sockets);
  if (how != Owners::kProc && walk_kernel(out)) {
    for (facts::Process& p : out.processes) describe_process(p);
    return;
  }
  out.owner.clear();
  out.processes.clear();
  walk_proc(out);
  for (facts::Process& p : out.processes) describe_process(p);
}

}  // namespace tcpwhy::host
