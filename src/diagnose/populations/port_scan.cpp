// Port scan: one address tries many ports of a host, or one port of many hosts,
// and hardly ever talks.

#include <fmt/format.h>

#include <unordered_set>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

constexpr std::size_t kFewestPorts = 20;   // of one host
constexpr std::size_t kFewestHosts = 50;   // at one port, each tried without repeat
constexpr std::size_t kKept = 1024;        // targets remembered per scanner

struct Scanner {
  Members members;
  std::unordered_set<facts::Endpoint, facts::EndpointHash> targets;
  std::unordered_map<facts::Address, std::uint32_t, facts::AddressHash> ports_by_host;
  std::unordered_map<std::uint16_t, std::uint32_t> hosts_by_port;
  std::uint64_t refused = 0, silent = 0, open = 0, repeated = 0, named = 0;
};

class PortScan final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (c.syn < 0) return;
    const bool named = says(answer, CauseId::kPortScan, Verdict::kLikely);
    const bool talked = c.stream(Party::kClient).payload_bytes + c.stream(Party::kServer).payload_bytes > 0;
    if (!named && talked) return;
    Scanner* s = scanners_.at(c.ends[index(Party::kClient)].address);
    if (s == nullptr) return;
    s->members.add(c, alike);
    s->named += named ? alike : 0;
    if (c.syn_ack >= 0) s->open += alike;
    else if (c.stream(Party::kServer).rst_seen || !c.icmp.empty()) s->refused += alike;
    else s->silent += alike;
    if (c.stream(Party::kClient).syn_count > 1) s->repeated += alike;
    const facts::Endpoint& target = c.ends[index(Party::kServer)];
    if (s->targets.size() < kKept && s->targets.insert(target).second) {
      ++s->ports_by_host[target.address];
      ++s->hosts_by_port[target.port];
    }
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [address, s] : scanners_.all()) {
      const Members& m = s.members;
      std::uint32_t ports = 0, hosts = 0;
      facts::Address host;
      std::uint16_t port = 0;
      for (const auto& [a, n] : s.ports_by_host)
        if (n > ports || (n == ports && a < host)) ports = n, host = a;
      for (const auto& [p, n] : s.hosts_by_port)
        if (n > hosts || (n == hosts && p < port)) hosts = n, port = p;
      // A host with a broken network tries many hosts as well, but repeats its SYNs and gets no refusals.
      const bool vertical = ports >= kFewestPorts;
      const bool horizontal = hosts >= kFewestHosts && 2 * s.repeated < m.connections;
      if (!vertical && !horizontal && s.named < 10) continue;
      if (const facts::HostFacts* h = survey.host(address); h != nullptr && h->connections_as_client > 4 * m.connections)
        continue;  // mostly it talks
      Finding f;
      f.cause = "port-scan";
      f.verdict = Verdict::kLikely;
      f.side = facts::Side::kClient;
      f.summary = vertical || ports >= hosts
                      ? fmt::format("{} scanned {} ports of {}.", to_string(address), ports, to_string(host))
                      : fmt::format("{} scanned port {} of {} hosts.", to_string(address), port, hosts);
      f.evidence.push_back(m.cite(fmt::format("{} connections without an octet of data in {:.1f} s: {} refused, {} silent, "
                                              "{} answered", m.connections, seconds(m.last - m.first), s.refused, s.silent,
                                              s.open)));
      f.settles = "who runs the scanning host, and whether it was asked to";
      f.fix = {"nothing to mend at the scanned host; block or allow the scanner on purpose"};
      m.name_in(f);
      out.push_back(std::move(f));
    }
  }

 private:
  Bounded<facts::Address, Scanner, facts::AddressHash> scanners_{512};
};

}  // namespace

std::unique_ptr<Population> make_port_scan() { return std::make_unique<PortScan>(); }

}  // namespace tcpwhy::diagnose
