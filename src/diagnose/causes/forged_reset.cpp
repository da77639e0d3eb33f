// A third party injected RSTs into a working connection.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || !r->foreign()) return;
  const facts::SegmentFact& rst = c.segment(r->at);
  // The host itself made this RST, for a segment that came to it in another shape: a translated view, not an injector.
  if ((r->doubts & ~ending::Doubt::kSenderWentOn) == 0 && r->answer) return;
  if (r->silence > std::max<Duration>(std::chrono::milliseconds{900}, 5 * r->rtt)) return;  // a device's timer
  if (r->went_on >= 0)
    out.supports({r->at, r->went_on}, [&] {
      return fmt::format("the {} went on {} after \"its\" RST: it had not sent it", ending::who(r->by),
                         ending::span(facts::between(c, r->at, r->went_on)));
    });
  if (r->doubts & ending::Doubt::kTwice)
    out.supports({r->at}, [&] { return fmt::format("{} RSTs bear the {}'s address; a socket aborts once", r->resets_by, ending::who(r->by)); });
  if (r->doubts & ending::Doubt::kTtl)
    out.supports({r->at}, [&] {
      return fmt::format("the RST has TTL {}, the {}'s segments have {}", rst.ttl, ending::who(r->by), r->usual_ttl);
    });
  if (r->doubts & (ending::Doubt::kUnprovoked | ending::Doubt::kNumber | ending::Doubt::kBare))
    out.supports({r->at}, [&] {
      return std::string{r->doubts & ending::Doubt::kBare
                             ? "it lacks the timestamps that the connection uses (RFC 7323 3.2; tcp_send_active_reset() sends them)"
                             : "it has no ACK flag, answers no segment and is not at SND.NXT: no stack sends such a RST (RFC 9293 3.10.5, 3.10.7)"};
    });
}

}  // namespace

extern const Cause kForgedResetCause;
const Cause kForgedResetCause = {
    .id = CauseId::kForgedReset,
    .title = "A third party injected the RST; neither end had ended the connection.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "a capture at the end whose address the RST bears: it never left there",
    .fix = {"find the injector: its TTL gives its distance, and comparing captures hop by hop its place (IPS, URL filter, carrier)",
            "a receiver can drop it by its TTL: nft `ip ttl` match; TLS does not help, an authenticated tunnel (IPsec, WireGuard) does"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
