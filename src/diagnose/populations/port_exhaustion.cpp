// Port exhaustion: a client opens connections to one service so fast that it
// comes back to the same 4-tuples before TIME_WAIT (60 s in Linux) would free
// them. Where none is free, connect() fails with EADDRNOTAVAIL and no packet.

#include <fmt/format.h>

#include <iterator>
#include <unordered_set>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

// Linux include/net/tcp.h TCP_TIMEWAIT_LEN.
constexpr Duration kTimeWait = 60s;
constexpr std::size_t kFewestPorts = 5;

constexpr const char* kSettles = "on the client: ss -s (timewait), connect() failing with EADDRNOTAVAIL (errno 99)";
constexpr const char* kFix[] = {
    "keep connections open and reuse them (keep-alive, a pool)",
    "widen net.ipv4.ip_local_port_range, or use more addresses on either side",
    "net.ipv4.tcp_tw_reuse=1 on the client (outgoing connections only; needs timestamps)",
    "tcp_fin_timeout does not shorten TIME_WAIT; tcp_tw_recycle broke NAT clients and is gone since 4.12"};

struct Reuse {
  Members members;
  std::unordered_set<std::uint16_t> ports;
  Duration quickest = Duration::max();
  std::uint64_t refused = 0;  ///< of them, by the old connection's remains
};

class PortExhaustion final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (!c.previous_end || c.syn < 0 || !c.previous_closed) return;
    const Duration after = c.start - *c.previous_end;
    if (after < Duration{} || after >= kTimeWait) return;
    Reuse* r = pairs_.at({c.ends[index(Party::kClient)].address, c.ends[index(Party::kServer)]});
    if (r == nullptr) return;
    r->members.add(c, alike);
    r->ports.insert(c.ends[index(Party::kClient)].port);
    r->quickest = std::min(r->quickest, after);
    if (says(answer, CauseId::kTimeWaitSynChallenged, Verdict::kLikely)) r->refused += alike;
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [key, r] : pairs_.all()) {
      if (r.ports.size() < kFewestPorts) continue;
      const facts::PairFacts* pair = survey.pair(key.client, key.server);
      Finding f;
      f.cause = "port-exhaustion";
      // Reuse of a fair share of all tuples is going round the whole range; a few may be chance behind a NAT.
      f.verdict = pair != nullptr && 10 * r.members.connections >= pair->connections ? Verdict::kLikely : Verdict::kPossible;
      f.side = facts::Side::kClient;
      f.summary = fmt::format("{} runs out of ports towards {}.", to_string(key.client), to_string(key.server));
      f.evidence.push_back(r.members.cite(
          fmt::format("{} connections used a 4-tuple again within {:.0f} s of its close, the quickest after {:.3f} s; {} ports",
                      r.members.connections, seconds(kTimeWait), seconds(r.quickest), r.ports.size())));
      if (r.refused > 0)
        f.evidence.push_back(r.members.cite(fmt::format("{} of them met the server's TIME_WAIT and were challenged", r.refused)));
      f.settles = kSettles;
      f.fix.assign(std::begin(kFix), std::end(kFix));
      r.members.name_in(f);
      out.push_back(std::move(f));
    }
    // Reuse that went well is not told connection by connection: the survey counted it.
    for (const auto& [key, pair] : survey.pairs) {
      if (const auto it = pairs_.all().find(key); it != pairs_.all().end() && it->second.ports.size() >= kFewestPorts) continue;
      const bool several_ports = pair.distinct_ports_high >= pair.distinct_ports_low + kFewestPorts;
      if (pair.tuple_reuses < 10 || 3 * pair.tuple_reuses < pair.connections || !several_ports) continue;
      if (pair.quickest_reuse >= kTimeWait) continue;
      Finding f;
      f.cause = "port-exhaustion";
      f.verdict = Verdict::kLikely;
      f.side = facts::Side::kClient;
      f.summary = fmt::format("{} runs out of ports towards {}.", to_string(key.client), to_string(key.server));
      Citation reuse;
      reuse.text = fmt::format("{} of {} connections used a 4-tuple again, the quickest {:.3f} s after its close",
                               pair.tuple_reuses, pair.connections, seconds(pair.quickest_reuse));
      f.evidence.push_back(std::move(reuse));
      f.settles = kSettles;
      f.fix.assign(std::begin(kFix), std::end(kFix));
      f.connections = f.ids_omitted = pair.tuple_reuses;
      out.push_back(std::move(f));
    }
  }

 private:
  Bounded<facts::PairKey, Reuse, facts::PairHash> pairs_{4096};
};

}  // namespace

std::unique_ptr<Population> make_port_exhaustion() { return std::make_unique<PortExhaustion>(); }

}  // namespace tcpwhy::diagnose
