// syn-sent-pile and syn-unanswered: connect() without an answer.

#include <algorithm>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// One unanswered connect is its application's matter; ten at once are a pattern.
constexpr std::uint64_t kPile = 10;
/// Two repeats: three seconds (two with tcp_syn_linear_timeouts) without an answer.
constexpr std::uint8_t kRepeats = 2;
/// This many hosts asked by one process for one port, and none answers.
constexpr std::size_t kScan = 32;

}  // namespace

void find_connecting(const View& view, Findings& out) {
  std::unordered_map<const facts::Process*, Pile> piles;
  for (const Socket& s : view.ns.sockets)
    if (s.state == State::kSynSent && s.retries >= kRepeats)
      piles.try_emplace(view.host.process(s), view).first->second.add(s, std::nullopt);
  for (const auto& [process, pile] : piles) {
    HostFinding f;
    f.side = facts::Side::kUnknown;
    f.processes = pile.owners();
    f.sockets.push_back(pile.evidence(pile.where_words()));
    f.counters.push_back(view.counter("TCPSynRetrans"));
    f.sysctls = view.sysctls({"net.ipv4.tcp_syn_retries", "net.ipv4.tcp_syn_linear_timeouts"});
    const bool pile_up = pile.count() >= kPile;
    f.cause = pile_up ? "syn-sent-pile" : "syn-unanswered";
    if (const auto target = pile.main_remote()) {
      f.summary = fmt::format("{} connects to {} and gets no answer: {} in SYN_SENT.", process_words(process),
                              facts::to_string(target->first), counted(target->second, "socket"));
      f.fix = {fmt::format("ask where it ends: tcpwhy probe {}", facts::to_string(target->first)),
               "a dead or full server, a filter that drops, or no way back; tcp_syn_retries only decides how long connect() waits"};
    } else {
      f.summary = fmt::format("{} connects to {} hosts and gets no answer: {} in SYN_SENT.", process_words(process),
                              pile.remote_hosts(), counted(pile.count(), "socket"));
      f.fix = {"do the targets exist? a health check or discovery with an old list looks like this",
               "nobody knows the list: suspect a scanner or a worm in this process"};
      if (pile.remote_hosts() >= kScan) f.notes.push_back("so many silent targets at once look like a scan");
    }
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
