// Backscatter: SYN-ACKs and RSTs that answer SYNs nobody here sent. Somebody
// floods those servers with forged source addresses, some of which are ours
// (RFC 4987 2; CAIDA's network telescope).

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

constexpr std::uint64_t kFewest = 10;

/// Everything the far side sent was an answer to a SYN, and this side sent no SYN.
bool answers_only(const facts::Connection& c) {
  if (c.stream(Party::kClient).syn_seen || c.syn >= 0 || c.frames > 16) return false;
  bool any = false;
  for (const facts::SegmentFact& s : c.segments) {
    if (s.from() == Party::kServer) {
      if (s.payload_bytes > 0 || !(s.rst() || (s.syn() && s.has_ack()))) return false;
      any = true;
    } else if (!s.rst()) {
      return false;
    }
  }
  return any;
}

struct Seen {
  Members members;
  std::uint64_t syn_acks = 0;
  std::unordered_map<facts::Address, std::uint32_t, facts::AddressHash> sources;
};

class Backscatter final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (!answers_only(c) && !says(answer, CauseId::kBackscatter, Verdict::kLikely)) return;
    seen_.members.add(c, alike);
    if (c.stream(Party::kServer).syn_seen) seen_.syn_acks += alike;
    const facts::Address& source = c.ends[index(Party::kServer)].address;
    if (seen_.sources.size() < 4096 || seen_.sources.contains(source)) ++seen_.sources[source];
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    const Members& m = seen_.members;
    // In a capture of one direction the SYNs were simply not recorded.
    if (m.connections < kFewest || survey.one_direction_connections > 2 * m.connections + 10) return;
    Finding f;
    f.cause = "backscatter";
    f.verdict = Verdict::kLikely;
    f.side = facts::Side::kUnknown;
    f.summary = "Answers to SYNs nobody here sent: a flood with forged sources elsewhere.";
    f.evidence.push_back(m.cite(fmt::format("{} SYN-ACKs or RSTs of {} hosts ({} SYN-ACKs) came without a SYN before them",
                                            m.connections, seen_.sources.size(), seen_.syn_acks)));
    f.settles = "whether any host behind this address sent those SYNs (a capture that began before them)";
    f.fix = {"nothing is wrong here; the hosts that answer are flooded with this address as forged source"};
    m.name_in(f);
    out.push_back(std::move(f));
  }

 private:
  Seen seen_;
};

}  // namespace

std::unique_ptr<Population> make_backscatter() { return std::make_unique<Backscatter>(); }

}  // namespace tcpwhy::diagnose
