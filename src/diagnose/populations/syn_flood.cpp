// SYN flood: many handshakes with one service begun and never meant to be
// finished (RFC 4987 2). A flooding program sends each SYN once; a client that
// wants to connect repeats it.

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

constexpr std::uint64_t kFewest = 50;
constexpr double kSlowest = 10.0;  // a second

struct Half {
  Members members;
  std::uint64_t answered = 0;
};

class SynFlood final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (c.syn < 0) return;
    const bool begun_only = c.stream(Party::kClient).packets == 1 && c.stream(Party::kClient).syn_count == 1 &&
                            !c.stream(Party::kServer).rst_seen;
    if (!begun_only && !says(answer, CauseId::kSynFlood, Verdict::kLikely)) return;
    Half* half = services_.at(c.ends[index(Party::kServer)]);
    if (half == nullptr) return;
    half->members.add(c, alike);
    if (c.syn_ack >= 0) half->answered += alike;
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [endpoint, half] : services_.all()) {
      const Members& m = half.members;
      if (m.connections < kFewest || m.rate() < kSlowest) continue;
      const facts::ServiceFacts* service = survey.service(endpoint);
      // Where most are accepted, the rest are no flood.
      if (service != nullptr && service->accepted > m.connections) continue;
      Finding f;
      f.cause = "syn-flood";
      f.verdict = Verdict::kLikely;
      f.side = facts::Side::kClient;
      f.summary = fmt::format("A SYN flood at {}: {} handshakes begun and left.", to_string(endpoint), m.connections);
      f.evidence.push_back(m.cite(fmt::format("{} SYNs in {:.1f} s, each sent once and followed by nothing", m.connections,
                                              seconds(m.last - m.first))));
      if (service != nullptr && service->clients > 1)
        f.evidence.push_back(m.cite(fmt::format("from {} addresses", service->clients)));
      f.evidence.push_back(m.cite(fmt::format("{} of them were answered with SYN-ACK", half.answered)));
      f.settles = "on the server: nstat TCPReqQFullDrop, TCPReqQFullDoCookies, SyncookiesSent; ss -nt state syn-recv";
      f.fix = {"net.ipv4.tcp_syncookies=1 (the default since 3.10; off in 2.6.32 and el6) keeps the listener reachable",
               "a larger listen() backlog and net.core.somaxconn only delay it; drop forged sources upstream"};
      m.name_in(f);
      out.push_back(std::move(f));
    }
  }

 private:
  Bounded<facts::Endpoint, Half, facts::EndpointHash> services_{1024};
};

}  // namespace

std::unique_ptr<Population> make_syn_flood() { return std::make_unique<SynFlood>(); }

}  // namespace tcpwhy::diagnose
