// orphan-pressure, memory-pressure, a full conntrack table, corruption on the wire.

#include <sstream>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

std::optional<std::int64_t> nth(const Namespace& ns, std::string_view name, int n) {
  auto it = ns.sysctls.find(name);
  if (it == ns.sysctls.end()) return std::nullopt;
  std::istringstream in{it->second};
  std::int64_t value = 0;
  for (int i = 0; i <= n; ++i)
    if (!(in >> value)) return std::nullopt;
  return value;
}

}  // namespace

void find_pressure(const View& view, Findings& out) {
  const std::int64_t aborted = view.rise("TCPAbortOnMemory");
  const std::int64_t orphans = view.ns.counter("sockstat.TCP.orphan").value_or(0);
  const auto max_orphans = view.ns.sysctl("net.ipv4.tcp_max_orphans");
  const std::int64_t pages = view.ns.counter("sockstat.TCP.mem").value_or(0);
  const auto pressure = nth(view.ns, "net.ipv4.tcp_mem", 1), limit = nth(view.ns, "net.ipv4.tcp_mem", 2);
  // tcp_out_of_resources() halves the limit for peers that behave badly: from half on sockets are killed.
  const bool many_orphans = max_orphans && *max_orphans > 0 && orphans * 2 >= *max_orphans;
  const bool much_memory = pressure && *pressure > 0 && pages >= *pressure;
  if (many_orphans) {
    HostFinding f;
    f.cause = "orphan-pressure";
    f.verdict = aborted > 0 && !much_memory ? Verdict::kProven : Verdict::kLikely;
    f.summary = fmt::format("{} closed sockets still wait for their peers; tcp_max_orphans is {}.", orphans, *max_orphans);
    f.counters = {view.counter("sockstat.TCP.orphan"), view.counter("TCPAbortOnMemory")};
    f.sysctls = view.sysctls({"net.ipv4.tcp_max_orphans", "net.ipv4.tcp_orphan_retries"});
    Pile pile{view};
    for (const Socket& s : view.ns.sockets)
      if (s.inode == 0 && s.timer != SocketTimer::kTimeWait &&
          (s.state == State::kFinWait1 || s.state == State::kLastAck || s.state == State::kClosing ||
           s.state == State::kFinWait2))
        pile.add(s, std::nullopt);
    if (pile.count() > 0) f.sockets.push_back(pile.evidence(pile.where_words()));
    f.fix = {"find why peers do not acknowledge the FIN (FIN_WAIT1, LAST_ACK), then consider tcp_orphan_retries",
             "raise tcp_max_orphans only with memory to spare: an orphan may hold 64 KB that cannot be swapped"};
    out.push_back(std::move(f));
  }
  if (much_memory || view.rise("TCPMemoryPressures") > 0) {
    HostFinding f;
    f.cause = "memory-pressure";
    f.verdict = (limit && pages >= *limit) || aborted > 0 ? Verdict::kProven : Verdict::kLikely;
    f.summary = fmt::format("TCP uses {} pages of memory; from {} on it saves (tcp_mem), at {} it refuses.", pages,
                            pressure.value_or(0), limit.value_or(0));
    for (std::string_view name : {"sockstat.TCP.mem", "TCPMemoryPressures", "PruneCalled", "RcvPruned", "TCPAbortOnMemory"})
      if (view.ns.counter(name)) f.counters.push_back(view.counter(name));
    f.sysctls = view.sysctls({"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"});
    Pile pile{view};
    for (const Socket& s : view.ns.sockets)
      if (s.state != State::kListen && s.receive_queue + s.send_queue >= 65536) pile.add(s, std::nullopt);
    if (pile.count() > 0) {
      f.sockets.push_back(pile.evidence("with at least 64 KB queued"));
      f.processes = pile.owners();
    }
    f.fix = {"find who holds data: processes that do not read (unread bytes) or peers that do not (unacknowledged bytes)",
             "then raise net.ipv4.tcp_mem (pages of 4 KB, host-wide)"};
    out.push_back(std::move(f));
  }
}

void find_conntrack_full(const View& view, Findings& out) {
  const auto count = view.ns.conntrack_count, max = view.ns.conntrack_max;
  const std::int64_t dropped = view.rise("conntrack.drop") + view.rise("conntrack.early_drop");
  if (!count || !max || *max == 0) return;
  const bool full = *count * 20 >= *max * 19;
  if (!full) return;
  HostFinding f;
  f.cause = "syn-dropped-by-host-filter";
  f.verdict = dropped > 0 ? Verdict::kProven : Verdict::kLikely;
  f.side = facts::Side::kServer;
  f.summary = fmt::format("The connection tracking table is full ({} of {}): new connections are dropped.", *count, *max);
  for (std::string_view name : {"conntrack.drop", "conntrack.early_drop"})
    if (view.ns.counter(name)) f.counters.push_back(view.counter(name));
  f.sysctls = view.sysctls({"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_tcp_timeout_established"});
  f.fix = {"raise net.netfilter.nf_conntrack_max (and the hash size with it)",
           "do not track what needs no state (nft: notrack), or shorten nf_conntrack_tcp_timeout_established"};
  out.push_back(std::move(f));
}

void find_damage(const View& view, Findings& out) {
  const std::int64_t damaged = view.rise("InCsumErrors");
  if (damaged >= 3) {
    HostFinding f;
    f.cause = "checksum-corruption";
    f.side = facts::Side::kPath;
    f.verdict = Verdict::kProven;  // the counter counts nothing else
    f.summary = fmt::format("{} with wrong checksums arrived in {:.1f} s and were dropped.", counted(damaged, "segment"),
                            view.ns.earlier->seconds);
    f.counters = {view.counter("InCsumErrors"), view.counter("InErrs")};
    f.fix = {"look for the device that damages them: cable, NIC, or a middlebox that rewrites without fixing the sum"};
    out.push_back(std::move(f));
  }
  const std::int64_t refused = view.rise("PAWSPassive");
  if (refused > 0) {
    HostFinding f;
    f.cause = "per-host-timestamp-check";
    f.side = facts::Side::kServer;
    f.verdict = Verdict::kProven;  // counted at this check only
    f.summary = fmt::format("{} from behind NAT were refused by tcp_tw_recycle's timestamp check.", counted(refused, "SYN"));
    f.counters = {view.counter("PAWSPassive"), view.counter("ListenDrops")};
    f.sysctls = view.sysctls({"net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_timestamps"});
    f.fix = {"net.ipv4.tcp_tw_recycle=0 on this server; nothing else is needed"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
