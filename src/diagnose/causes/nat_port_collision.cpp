// A NAT gave the 4-tuple to another client while the server still held it.

#include "diagnose/cause.hpp"
#include "diagnose/challenge.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto met = challenge_of(c);
  if (!met || !met->previous_seen || met->previous_closed) return;
  const std::string_view what = other_client(c);
  if (what.empty()) {
    out.fits({met->syn}, [] { return std::string{"two clients of one stack behind a NAT would look alike"}; });
    return;
  }
  const facts::SegmentFact& syn = c.segment(met->syn);
  out.supports({met->syn, met->ack}, [&] {
    return fmt::format("the ports belonged to an older connection, last heard of {} before and not closed",
                       span_words(met->since_previous));
  });
  out.supports({met->syn}, [&] {
    return fmt::format("the {} differs from the older client's (TTL {} and {}): another host has the ports now", what,
                       c.previous_client_ttl, syn.ttl);
  });
  if (met->rst >= 0)
    out.supports({met->ack, met->rst}, [] { return std::string{"the new client knew nothing of it and reset it"}; });
  out.supports({met->syn}, [] { return std::string{"one address, two stacks: a translator stands between"}; });
}

}  // namespace

extern const Cause kNatPortCollisionCause;
const Cause kNatPortCollisionCause = {
    .id = CauseId::kNatPortCollision,
    .title = "A NAT gave another client the ports of a connection the server still held.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAnsweredByAck,
    .settles = "the NAT's log: which inside address had the outside port before, and when its entry was removed",
    .fix = {"the NAT forgets idle connections before the server does: raise its TCP timer (RFC 5382 REQ-5 asks for "
            "2 h 4 min), or set keepalive below it",
            "give the NAT more outside addresses or ports, so that it need not reuse one soon"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
