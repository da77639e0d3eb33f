// Everything was delivered; a RST took the place of the last FIN or ACK.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !ending::formality(c, *r)) return;
  if (ending::left_waiting(c, *r)) return;
  out.blames(ending::side(r->by));
  out.supports({r->own_fin, r->peer_fin, r->at}, [&] {
    const bool both = r->own_fin >= 0 && r->peer_fin >= 0;
    return fmt::format("all data was acknowledged both ways before the {}'s RST; {}", ending::who(r->by),
                       both ? "both sides had sent FIN"
                            : (r->peer_fin >= 0 ? "the other side had sent FIN"
                                                : (r->own_fin >= 0 ? "it had sent FIN before" : "the last answer was whole")));
  });
  if (r->answer && r->own_fin >= 0 && r->offender >= 0 && c.segment(r->offender).fin() && c.segment(r->offender).payload_bytes == 0) {
    const std::int32_t acked = ending::ack_of(c, r->peer(), c.stream(r->by).fin_seq + 1, r->own_fin);
    if (acked >= 0 && acked < r->offender_first)
      out.supports({acked, r->offender, r->at}, [&] {
        return fmt::format("the {}'s bare FIN came {} after it had acknowledged the {}'s: FIN_WAIT2 was over (tcp_fin_timeout), and no data was left to lose",
                           ending::who(r->peer()), ending::span(facts::between(c, acked, r->offender_first)), ending::who(r->by));
      });
  }
}

}  // namespace

extern const Cause kResetAfterCloseCause;
const Cause kResetAfterCloseCause = {
    .id = CauseId::kResetAfterClose,
    .title = "Everything was delivered; a RST replaced the last FIN or ACK.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "nothing to settle: no data was lost",
    .fix = {"nothing to fix; count it as a normal end"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
