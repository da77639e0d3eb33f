// Many failures that are one story: a flood of half-open requests, a scan of closed ports.

#include <algorithm>
#include <utility>

#include "diagnose/kernel/words.hpp"

namespace tcpwhy::diagnose::kernel {
namespace {

constexpr std::size_t kFlood = 20, kScan = 16;
constexpr std::uint64_t kScanRests = 30 * kSecond;

}  // namespace

void Judge::tell_half_open(std::vector<std::pair<std::string, Failure>> half_open, std::uint64_t now_ns, std::vector<Failure>& out) {
  const auto settle = [&](const std::string& key, CauseId cause) {
    cases_.erase(key);
    reported_[key] = {now_ns + 130 * kSecond, {.last_ns = now_ns}, cause};
  };
  // Half-open requests beside a flood are its own.
  std::erase_if(half_open, [&](const auto& each) {
    const auto flood = quiet_until_.find({each.second.netns, CauseId::kSynFlood});
    if (flood == quiet_until_.end() || now_ns >= flood->second) return false;
    settle(each.first, CauseId::kSynFlood);
    return true;
  });
  if (half_open.size() <= kFlood) {
    for (auto& [key, v] : half_open) {
      if (v.diagnoses.front().verdict == Verdict::kPossible) continue;  // two repeats may be loss; a third tells
      settle(key, CauseId::kHandshakeAckLost);
      out.push_back(std::move(v));
    }
    return;
  }
  for (const auto& [key, v] : half_open) settle(key, CauseId::kSynFlood);
  quiet_until_[{half_open.front().second.netns, CauseId::kSynFlood}] = now_ns + 10 * kSecond;
  Failure v = half_open.front().second;
  v.kind = Failure::Kind::kFinding;
  v.connections = half_open.size();
  v.diagnoses.clear();
  auto& d = add(v, CauseId::kSynFlood, Verdict::kLikely, Side::kUnknown,
                fmt::format("{} handshakes at once stay half-open: SYN-ACKs are repeated and nobody answers.", half_open.size()));
  note(d, fmt::format("SYN-ACKs repeated to {} tuples, none of which sent an ACK", half_open.size()));
  d.fix = {"net.ipv4.tcp_syncookies=1; a larger backlog does not help against a flood"};
  out.push_back(std::move(v));
}

void Judge::gather_scans(std::vector<Failure>& out, std::uint64_t now_ns) {
  std::erase_if(scans_, [&](const auto& s) { return s.second.last_ns + kScanRests < now_ns; });
  std::vector<Failure> scans;
  std::erase_if(out, [&](const Failure& v) {
    const Diagnosis& said = v.diagnoses.front();
    if (said.cause != CauseId::kPortClosed || said.verdict != Verdict::kProven || v.vantage != Side::kServer) return false;
    Scan& scan = scans_[{v.netns, facts::to_string(v.client.address)}];
    scan.ports.insert(v.server.port);
    scan.last_ns = now_ns;
    if (scan.ports.size() < kScan) return false;
    if (!std::exchange(scan.told, true)) {
      Failure f = v;
      f.kind = Failure::Kind::kFinding;
      f.connections = scan.ports.size();
      f.diagnoses.clear();
      auto& d = add(f, CauseId::kPortScan, Verdict::kLikely, Side::kClient,
                    fmt::format("{} asks one closed port after the other: a scan.", facts::to_string(v.client.address)));
      note(d, fmt::format("{} ports on which nothing listens, each answered by RST; further ones are not told", scan.ports.size()));
      d.fix = {"nothing, if you know who it is; else filter that address"};
      scans.push_back(std::move(f));
    }
    return true;
  });
  for (Failure& f : scans) out.push_back(std::move(f));
}

}  // namespace tcpwhy::diagnose::kernel
