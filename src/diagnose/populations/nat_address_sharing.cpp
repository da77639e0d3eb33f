// Several hosts behind one address: their SYNs differ in TTL, in shape (window,
// options, scale), or run on different timestamp clocks. One host can vary its
// shape by itself (SO_RCVBUF, another program), and Linux since 4.10 gives every
// connection or peer its own timestamp offset: one sign alone is not enough.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

template <class Values>
bool vary(const Values& values) {
  return std::any_of(values.begin(), values.end(), [&](const auto& v) { return v != values.front(); });
}

/// Distinct TTLs, those that one host's route changes could explain counted once.
std::vector<std::uint8_t> distinct_ttls(const facts::HostFacts& host) {
  std::set<std::uint8_t> seen{host.syn_ttls.values.begin(), host.syn_ttls.values.end()};
  return {seen.begin(), seen.end()};
}

/// Clocks: TSval minus elapsed ticks is one number for SYNs of one clock. Several SYNs on each of two or more lines
/// is a sign; every SYN on a line of its own is Linux's random offset (linux-tcp.md 6.2) and says nothing.
std::size_t clock_lines(const facts::HostFacts& host) {
  struct Line {
    CaptureTime at{};
    std::uint32_t tsval = 0;
    std::size_t points = 0;
  };
  std::vector<Line> lines;
  for (const auto& [time, tsval] : host.syn_tsvals.values) {
    Line* on = nullptr;
    for (Line& line : lines) {
      const double elapsed = seconds(time - line.at);
      const auto ticks = static_cast<double>(static_cast<std::int32_t>(tsval - line.tsval));
      // 100 to 1000 ticks a second in use; half a second of slack for repeats and coarse clocks.
      if (ticks >= 90 * elapsed - 60 && ticks <= 1100 * elapsed + 550) on = &line;
    }
    if (on == nullptr) {
      if (lines.size() < 64) lines.push_back({time, tsval, 1});
    } else {
      *on = {time, tsval, on->points + 1};
    }
  }
  std::size_t shared = 0, lonely = 0;
  for (const Line& line : lines) ++(line.points >= 2 ? shared : lonely);
  // Many lines are an offset per 4-tuple (linux-tcp.md 6.2) of ports used again, not many hosts.
  return lonely > shared || shared > 4 ? 0 : shared;
}

class NatAddressSharing final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (!says(answer, CauseId::kPerHostTimestampCheck, Verdict::kLikely) &&
        !says(answer, CauseId::kNatPortCollision, Verdict::kLikely))
      return;
    if (Members* m = hurt_.at(c.ends[index(Party::kClient)].address)) m->add(c, alike);
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [address, host] : survey.hosts) {
      const auto it = hurt_.all().find(address);
      const Members* hurt = it == hurt_.all().end() ? nullptr : &it->second;
      // Two signs at least: the clocks are one.
      if (hurt == nullptr && (host.connections_as_client < 2 || (!vary(host.syn_ttls.values) && !vary(host.syn_shapes.values)))) continue;
      std::vector<std::string> signs;
      const std::vector<std::uint8_t> ttls = distinct_ttls(host);
      if (ttls.size() >= 2) signs.push_back(fmt::format("its SYNs came with TTL {} and {}", ttls.front(), ttls.back()));
      const std::set<std::uint32_t> shapes{host.syn_shapes.values.begin(), host.syn_shapes.values.end()};
      if (shapes.size() >= 2) signs.push_back(fmt::format("its SYNs have {} different sets of window and options", shapes.size()));
      const std::size_t clocks = clock_lines(host);
      if (clocks >= 2) signs.push_back(fmt::format("its TSvals run on {} clocks", clocks));
      // A flood or a scan makes shapes and TTLs up.
      if (hurt == nullptr && (signs.size() < 2 || shapes.size() > 16 || ttls.size() > 8)) continue;
      if (hurt != nullptr) signs.push_back(fmt::format("{} of its connections suffered from sharing the address", hurt->connections));
      Finding f;
      f.cause = "nat-address-sharing";
      f.verdict = signs.size() >= 2 ? Verdict::kLikely : Verdict::kPossible;
      f.side = facts::Side::kClient;
      f.summary = fmt::format("Several hosts share the address {}.", to_string(address));
      for (std::string& sign : signs) {
        Citation citation = hurt != nullptr ? hurt->cite({}) : Citation{};
        citation.text = std::move(sign);
        f.evidence.push_back(std::move(citation));
      }
      f.settles = "the NAT's translation table, or a capture on its inside";
      f.fix = {"nothing is wrong with sharing; on a server that such clients use, tcp_tw_recycle (gone since 4.12) must be 0"};
      f.connections = host.connections_as_client;
      if (hurt != nullptr) {
        f.ids = hurt->ids;
        std::sort(f.ids.begin(), f.ids.end());
      }
      f.ids_omitted = f.connections > f.ids.size() ? f.connections - f.ids.size() : 0;
      out.push_back(std::move(f));
    }
  }

 private:
  Bounded<facts::Address, Members, facts::AddressHash> hurt_{4096};
};

}  // namespace

std::unique_ptr<Population> make_nat_address_sharing() { return std::make_unique<NatAddressSharing>(); }

}  // namespace tcpwhy::diagnose
