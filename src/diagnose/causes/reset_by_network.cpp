// Generic: a RST that neither endpoint sent.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  using ending::Doubt;
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || !r->foreign()) return;
  const facts::SegmentFact& rst = c.segment(r->at);
  const std::string_view who = ending::who(r->by);
  if (r->doubts & Doubt::kTtl)
    out.supports({r->at}, [&] { return fmt::format("the RST has TTL {}, the {}'s segments have {}", rst.ttl, who, r->usual_ttl); });
  if (r->doubts & Doubt::kTooFast)
    out.supports({r->offender, r->at}, [&] {
      return fmt::format("it came {} after the segment it answers; the {} cannot answer that fast", ending::span(facts::between(c, r->offender, r->at)), who);
    });
  if (r->went_on >= 0)
    out.supports({r->at, r->went_on}, [&] { return fmt::format("the {} went on after \"its\" RST", who); });
  if (r->doubts & Doubt::kTwice)
    out.supports({r->at}, [&] { return fmt::format("{} RSTs bear the {}'s address; a socket aborts once", r->resets_by, who); });
  if (r->doubts & (Doubt::kNumber | Doubt::kUnprovoked))
    out.supports({r->at}, [&] { return std::string{"it has no ACK flag, answers nothing that was sent and is not at SND.NXT: no stack makes such a RST (RFC 9293 3.10.5, 3.10.7)"}; });
  if (r->doubts & Doubt::kBare)
    out.supports({r->at}, [&] { return std::string{"RST+ACK without the timestamps the connection uses (RFC 7323 3.2)"}; });
  out.says([&] { return fmt::format("A device between the ends sent the RST in the {}'s name.", who); });
}

}  // namespace

extern const Cause kResetByNetworkCause;
const Cause kResetByNetworkCause = {
    .id = CauseId::kResetByNetwork,
    .title = "A device between the ends sent the RST.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "a capture at the end whose address the RST bears: it never left there",
    .fix = {"walk the path with captures on both sides of each firewall, NAT and balancer until the RST is seen to appear"},
    .specifics = {CauseId::kForgedReset, CauseId::kIdleTimeoutReset, CauseId::kNatStateLostReset,
                  CauseId::kConntrackInvalidReset, CauseId::kRejectedByMiddlebox},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
