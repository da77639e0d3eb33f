// Answers to SYNs that nobody here sent: a flood with forged sources elsewhere.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

// One stray answer may be a capture that began late; so many are a population.
constexpr std::uint64_t kPopulation = 10;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  if (c.syn >= 0 || c.segments.empty() || client.payload_bytes != 0 || c.stream(facts::Party::kServer).payload_bytes != 0) return;
  const facts::SegmentFact& first = c.segments.front();
  const bool syn_ack = first.syn() && first.has_ack();
  const bool refusal = first.rst() && first.has_ack() && first.seq == SeqNum{0};
  if (!syn_ack && !refusal) return;
  // It left from here: whatever it answers had arrived, and was missed.
  if (first.from() == facts::Party::kServer && c.vantage == facts::Vantage::kServer) return;
  for (const facts::SegmentFact& s : c.segments)
    if (s.from() != first.from() && !s.rst()) return;  // the other side takes part: it had asked
  const facts::HostFacts* host = survey.host(c.ends[index(other(first.from()))].address);
  const std::uint64_t strays = host == nullptr ? 0 : host->stray_syn_acks + host->stray_rsts;
  const bool refused = client.rst >= 0;
  const auto stray = [&] {
    return fmt::format("a {} came without a SYN of this host before it{}", syn_ack ? "SYN-ACK" : "RST that refuses a SYN",
                       refused ? ", and the host reset it (RFC 9293 3.10.7.1)" : "");
  };
  // A capture of one direction only looks the same: the SYNs went another way.
  if (strays < kPopulation || (!refused && survey.two_direction_connections == 0)) {
    if (refused) out.fits({0, client.rst}, stray);
    return;
  }
  out.supports({0, client.rst}, stray);
  out.supports({0}, [&] { return fmt::format("one of {} such answers to this address", strays); });
  if (refused)
    out.supports({client.rst}, [] { return std::string{"the host had no socket in SYN_SENT for it"}; });
}

}  // namespace

extern const Cause kBackscatterCause;
const Cause kBackscatterCause = {
    .id = CauseId::kBackscatter,
    .title = "An answer to a SYN nobody here sent: someone forges this address.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kHandshakeIncomplete | facts::Signal::kReset | facts::Signal::kMidStream,
    .settles = "whether this host sent SYNs at all (ActiveOpens of `nstat`, or an outgoing capture)",
    .fix = {"nothing to repair here: the host's RSTs are right and end the forged attempts",
            "if an asymmetric path hides the SYNs from this capture, capture both ways"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
