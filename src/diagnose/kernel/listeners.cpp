// What leaves no tuple: SYNs and last ACKs dropped at a listener, told by counters and by the listener's own queue.

#include "diagnose/kernel/words.hpp"

#include <algorithm>
#include <utility>

namespace tcpwhy::diagnose::kernel {

void Judge::observe(const facts::NamespaceSample& s, std::uint64_t now_ns) {
  const auto [at, first] = counters_.try_emplace(s.netns);
  const facts::Counters before = std::exchange(at->second, s.counters);
  std::vector<facts::ListenerSample> touched;
  for (facts::ListenerSample l : s.listeners) {
    std::uint32_t& last = drops_[{s.netns, facts::to_string(l.at)}];
    const std::uint32_t now = l.drops;
    l.drops = first && !s.from_birth ? 0 : now - std::min(last, now);
    last = now;
    if (l.drops != 0 || l.queue > l.limit || l.requests > l.limit / 2) touched.push_back(l);
  }
  std::stable_sort(touched.begin(), touched.end(), [](const auto& a, const auto& b) { return std::pair{a.drops, a.requests} > std::pair{b.drops, b.requests}; });
  Owner owner;
  if (!touched.empty()) {
    const auto known = listeners_.find({s.netns, touched.front().at.port});
    owner = known != listeners_.end() ? known->second : owner_of_(touched.front().inode);
  }
  if (first && !s.from_birth) return;
  const auto moved = [&](std::string_view name) {
    const auto now = s.counters.find(name), then = before.find(name);
    return now == s.counters.end() ? std::int64_t{0} : now->second - (then == before.end() ? 0 : then->second);
  };
  const std::int64_t overflows = moved("ListenOverflows"), drops = moved("ListenDrops"), full = moved("TCPReqQFullDrop"),
                      cookies = moved("TCPReqQFullDoCookies"), paws = moved("PAWSPassive"), failed_cookies = moved("SyncookiesFailed");
  const auto finding = [&](CauseId cause, Verdict verdict, const std::string& summary, std::initializer_list<const char*> names) -> Diagnosis* {
    auto& until = quiet_until_[{s.netns, cause}];
    if (now_ns < until) return nullptr;
    until = now_ns + 10 * kSecond;
    Failure v;
    v.kind = Failure::Kind::kFinding;
    v.netns = s.netns;
    v.start_ns = v.end_ns = now_ns;
    v.vantage = Side::kServer;
    v.listeners = touched;
    v.process = owner;
    v.connections = 0;
    for (const char* name : names)
      if (const std::int64_t n = moved(name); n > 0) v.counters.push_back(fmt::format("{} +{}", name, n));
    if (!touched.empty()) v.server = touched.front().at;
    auto& d = add(v, cause, verdict, Side::kServer, summary);
    for (const std::string& counter : v.counters) note(d, counter);
    for (const facts::ListenerSample& l : touched)
      note(d, fmt::format("listener {}: accept queue {} of {}, {} half-open requests, {} packets dropped for it", facts::to_string(l.at), l.queue, l.limit, l.requests, l.drops));
    findings_.push_back(std::move(v));
    return &findings_.back().diagnoses.front();
  };
  const std::string name = touched.empty() ? std::string{"A listener"} : fmt::format("The listener {}", facts::to_string(touched.front().at));
  // Under tcp_abort_on_overflow the last ACK is answered by RST.
  const bool resets = overflows > 0 && moved("EmbryonicRsts") > 0;
  if (overflows > 0)
    if (auto* d = finding(resets ? CauseId::kAcceptQueueOverflowReset : CauseId::kAcceptQueueOverflow, Verdict::kProven,
                          fmt::format("{} of {} has a full accept queue: SYNs {}.", name, who(owner), resets ? "are dropped and last ACKs are reset" : "and last ACKs are dropped"),
                          {"ListenOverflows", "ListenDrops", "EmbryonicRsts"}))
      d->fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together"};
  if (full > 0)
    if (auto* d = finding(CauseId::kSynQueueOverflow, Verdict::kProven, fmt::format("{} of {} has a full SYN queue and no syncookies: SYNs are dropped.", name, who(owner)),
                          {"TCPReqQFullDrop", "ListenDrops"}))
      d->fix = {"net.ipv4.tcp_syncookies=1; raise the listen() backlog and net.core.somaxconn together"};
  if (paws > 0)
    if (auto* d = finding(CauseId::kPerHostTimestampCheck, Verdict::kProven, "tcp_tw_recycle refuses SYNs from hosts that share an address.", {"PAWSPassive", "ListenDrops"}))
      d->fix = {"net.ipv4.tcp_tw_recycle=0"};
  // A cookie of a real client comes back within a round trip; a burst of them is no flood (docs/decisions/0007).
  if (cookies >= 16 && moved("SyncookiesRecv") < moved("SyncookiesSent") / 2)
    if (auto* d = finding(CauseId::kSynFlood, Verdict::kLikely, fmt::format("{} of {} has a full SYN queue, and few of the syncookies that answer in its place come back.", name, who(owner)),
                          {"TCPReqQFullDoCookies", "SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed"}))
      d->fix = {"keep net.ipv4.tcp_syncookies=1; a larger backlog does not help against a flood"};
  if (drops > 0 && overflows == 0 && full == 0 && paws == 0 && cookies == 0 && failed_cookies == 0)
    if (auto* d = finding(CauseId::kSynQueueOverflow, Verdict::kPossible, fmt::format("{} of {} drops SYNs for another reason than its queues.", name, who(owner)), {"ListenDrops"}))
      d->settles = "tcp_syncookies=0 with the last quarter of tcp_max_syn_backlog reserved for known peers, no memory, or no route back";
}

}  // namespace tcpwhy::diagnose::kernel
