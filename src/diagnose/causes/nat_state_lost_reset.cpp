// A NAT or firewall lost its table and answered valid data with RST.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/conversation.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established) return;
  if (r->went_on >= 0) {
    out.contradicts({r->at, r->went_on}, [&] {
      return fmt::format("segments of the {} still came through after the RST: the table was not lost", ending::who(r->by));
    });
    return;
  }
  if (!(r->doubts & (ending::Doubt::kTtl | ending::Doubt::kTooFast)) || !r->answer || r->offender < 0) return;
  if (r->doubts & ending::Doubt::kUnprovoked) {
    out.contradicts({r->at}, [&] { return std::string{"the RST answered nothing: a device without an entry speaks only when spoken to"}; });
    return;
  }
  const facts::SegmentFact& rst = c.segment(r->at);
  out.supports({r->offender, r->at}, [&] {
    return r->doubts & ending::Doubt::kTtl
               ? fmt::format("a device with TTL {} (the {}'s segments have {}) answered a valid segment with RST of exactly its ACK number",
                             rst.ttl, ending::who(r->by), r->usual_ttl)
               : fmt::format("the RST came sooner than the {} can answer: a device on the way sent it", ending::who(r->by));
  });
  if (c.segment(r->offender).length() == 0) return;  // a bare ACK draws no answer from a device that forwards
  const ending::Talk t = ending::talk_before(c, r->offender_first);
  if (r->silence < std::chrono::seconds{1} && t.answers >= 1 && r->resets_by == 1 && r->other_rst < 0)
    out.supports({r->offender_first}, [&] {
      return fmt::format("{} request{} had passed before, the last {} earlier: the entry cannot have been idle", t.answers,
                         t.answers == 1 ? "" : "s", ending::span(r->silence));
    });
}

}  // namespace

extern const Cause kNatStateLostResetCause;
const Cause kNatStateLostResetCause = {
    .id = CauseId::kNatStateLostReset,
    .title = "A NAT or firewall had lost the connection from its table and sent RST.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "the device's table and log at that time (`conntrack -E`, restart, failover, table full); the data never arrives behind it",
    .fix = {"find why the table was emptied: reload of rules with `conntrack -F`, failover without conntrackd, nf_conntrack_max reached",
            "on Linux devices: net.netfilter.nf_conntrack_tcp_loose=1 takes a running connection up again (without NAT)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
