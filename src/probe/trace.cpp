#include "probe/trace.hpp"

#include <algorithm>

#include "probe/connect.hpp"

namespace tcpwhy::probe {
namespace {

using facts::Came;

/// Shorter than the kernel's first retransmission of a SYN (1 s): one packet each.
constexpr double kPatience = 0.85;
/// Hops asked at once: what an open port costs in connections that go beyond the need.
constexpr int kAtOnce = 3;
/// So many silent hops in a row end it.
constexpr int kSilentEnough = 5;

void ask(Session& session, const facts::Endpoint& target, facts::Trace& t, const std::vector<std::uint8_t>& ttls) {
  std::vector<ConnectPlan> plans;
  for (const std::uint8_t ttl : ttls) plans.push_back({.target = target, .ask = facts::Ask::kConnectShort, .ttl = ttl});
  const std::vector<facts::Question> answers = ask_by_connect(session, plans, kPatience);
  for (const facts::Question& q : answers) {
    auto at = std::find_if(t.hops.begin(), t.hops.end(), [&](const facts::Hop& h) { return h.ttl == q.ttl; });
    if (at == t.hops.end()) at = t.hops.insert(t.hops.end(), facts::Hop{q.ttl, {}});
    at->asked.push_back(q);
  }
}

bool enough(const facts::Trace& t, int at_least) {
  if (t.end() != nullptr) return true;
  int silent = 0;
  for (auto h = t.hops.rbegin(); h != t.hops.rend() && h->silent(); ++h) ++silent;
  return silent >= kSilentEnough && static_cast<int>(t.hops.size()) > at_least;
}

}  // namespace

facts::Trace trace(Session& session, const facts::Endpoint& target, int at_least) {
  facts::Trace t;
  t.port = target.port;
  for (int ttl = 1; ttl <= session.options.max_hops && !enough(t, at_least) && !session.stopped();) {
    std::vector<std::uint8_t> batch;
    for (int n = 0; n < kAtOnce && ttl <= session.options.max_hops; ++n, ++ttl) batch.push_back(static_cast<std::uint8_t>(ttl));
    ask(session, target, t, batch);
  }
  // A silent hop may be a lost packet, or a router that says little: once more, up to the first that answered nothing
  // behind the last that did.
  const facts::Hop* last = t.end() != nullptr ? t.end() : t.last_router();
  const int until = (last == nullptr ? 1 : last->ttl + 1) + 1;
  std::vector<std::uint8_t> again;
  for (const facts::Hop& h : t.hops)
    if (h.silent() && h.ttl <= until) again.push_back(h.ttl);
  if (!again.empty()) ask(session, target, t, again);
  // Beyond the end, the later questions of its batch say nothing new.
  if (const facts::Hop* end = t.end(); end != nullptr) {
    const int at = end->ttl;
    std::erase_if(t.hops, [&](const facts::Hop& h) { return h.ttl > at; });
  }
  while (t.end() == nullptr && t.hops.size() > static_cast<std::size_t>(until)) t.hops.pop_back();
  return t;
}

}  // namespace tcpwhy::probe
