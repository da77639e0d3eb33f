// Counters and settings of the calling thread's network namespace.

#include "host/proc.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace tcpwhy::host {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view take_word(std::string_view& line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  const std::size_t end = line.find_first_of(" \t");
  std::string_view word = line.substr(0, end);
  line.remove_prefix(word.size());
  return word;
}

std::int64_t number(std::string_view word) {
  std::int64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

/// Settings by name below /proc/sys. Absent ones (older or newer kernels) stay absent.
constexpr std::string_view kSysctls[] = {
    "net.core.somaxconn", "net.core.netdev_max_backlog", "net.core.rmem_max", "net.core.wmem_max",
    "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_challenge_ack_limit", "net.ipv4.tcp_early_demux", "net.ipv4.tcp_ecn", "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_mem", "net.ipv4.tcp_moderate_rcvbuf", "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_retries1", "net.ipv4.tcp_retries2", "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_rto_min_us", "net.ipv4.tcp_sack", "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse_delay", "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem", "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established", "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_loose",
};

}  // namespace

std::string read_file(const std::string& path) {
  std::string out;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char block[16384];
  for (ssize_t n = 0; (n = ::read(fd, block, sizeof block)) > 0;) {
    out.append(block, static_cast<std::size_t>(n));
    if (out.size() > (std::size_t{4} << 20)) break;
  }
  ::close(fd);
  return out;
}

void parse_paired(std::string_view text, std::string_view wanted_groups, facts::Counters& out) {
  // A line of names, then a line of values with the same first word.
  while (!text.empty()) {
    std::string_view names = take_line(text), values = take_line(text);
    const std::string_view group = take_word(names);
    if (take_word(values) != group || group.empty()) continue;
    if (wanted_groups.find(group) == std::string_view::npos) continue;
    for (std::string_view name = take_word(names); !name.empty(); name = take_word(names))
      out[std::string{name}] = number(take_word(values));
  }
}

void parse_sockstat(std::string_view text, facts::Counters& out) {
  while (!text.empty()) {
    std::string_view line = take_line(text);
    std::string_view group = take_word(line);
    if (group.empty() || group.back() != ':') continue;
    group.remove_suffix(1);
    for (std::string_view name = take_word(line); !name.empty(); name = take_word(line))
      out[fmt::format("sockstat.{}.{}", group, name)] = number(take_word(line));
  }
}

facts::Counters read_counters() {
  facts::Counters out;
  const std::string net = "/proc/thread-self/net/";
  // IpExt and Ip name what happens below TCP; Icmp what filters and routers said.
  parse_paired(read_file(net + "netstat"), "TcpExt:", out);
  parse_paired(read_file(net + "snmp"), "Tcp:Icmp:", out);
  parse_sockstat(read_file(net + "sockstat"), out);
  parse_sockstat(read_file(net + "sockstat6"), out);
  std::string text = read_file(net + "snmp6");
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = take_line(rest);
    const std::string_view name = take_word(line);
    if (name == "Icmp6InDestUnreachs" || name == "Icmp6OutDestUnreachs" || name == "Ip6InNoRoutes" ||
        name == "Ip6OutNoRoutes")
      out[std::string{name}] = number(take_word(line));
  }
  // Per CPU, hexadecimal; the sum of "drop" and "early_drop" is what a full table cost.
  text = read_file(net + "stat/nf_conntrack");
  std::string_view rest = text;
  std::string_view heads = take_line(rest);
  std::vector<std::string_view> columns;
  for (std::string_view w = take_word(heads); !w.empty(); w = take_word(heads)) columns.push_back(w);
  while (!rest.empty()) {
    std::string_view line = take_line(rest);
    for (std::string_view column : columns) {
      const std::string_view word = take_word(line);
      std::int64_t value = 0;
      std::from_chars(word.data(), word.data() + word.size(), value, 16);
      if (column == "drop" || column == "early_drop" || column == "insert_failed")
        out[fmt::format("conntrack.{}", column)] += value;
    }
  }
  return out;
}

void read_sysctls(facts::Namespace& out) {
  for (std::string_view name : kSysctls) {
    std::string path = "/proc/sys/";
    path += name;
    for (std::size_t i = 10; i < path.size(); ++i)
      if (path[i] == '.') path[i] = '/';
    std::string text = read_file(path);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    for (char& c : text)
      if (c == '\t') c = ' ';
    if (!text.empty()) out.sysctls[std::string{name}] = text;
  }
  if (auto n = out.sysctl("net.netfilter.nf_conntrack_count")) out.conntrack_count = static_cast<std::uint64_t>(*n);
  if (auto n = out.sysctl("net.netfilter.nf_conntrack_max")) out.conntrack_max = static_cast<std::uint64_t>(*n);
}

void read_addresses(facts::Namespace& out) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    facts::Address a;
    if (i->ifa_addr->sa_family == AF_INET) {
      std::memcpy(a.bytes.data(), &reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr, 4);
    } else if (i->ifa_addr->sa_family == AF_INET6) {
      a.version = 6;
      std::memcpy(a.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(i->ifa_addr)->sin6_addr, 16);
    } else {
      continue;
    }
    out.addresses.push_back(a);
  }
  freeifaddrs(list);
}

}  // namespace tcpwhy::host
