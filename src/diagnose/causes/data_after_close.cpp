// Data met a socket that its application had already closed.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || r->own_fin < 0 || !r->answer || r->offender < 0) return;
  if (r->doubts & (ending::Doubt::kTtl | ending::Doubt::kTooFast | ending::Doubt::kUnprovoked)) {
    out.contradicts({r->at}, [&] { return fmt::format("the RST did not come from the {}'s stack", ending::who(r->by)); });
    return;
  }
  std::int32_t data = r->offender_first;
  // The last of several segments that met it may be the writer's FIN: what was lost is the data before, which the
  // closing side never acknowledged.
  if (data >= 0 && !facts::new_payload(c, data))
    for (std::int32_t i = 0; i < r->offender; ++i)
      if (c.segment(i).from() == r->peer() && facts::new_payload(c, i) && after(c.segment(i).end(), c.stream(r->by).max_ack)) {
        data = i;
        break;
      }
  if (!facts::new_payload(c, data) || ending::formality(c, *r)) return;
  // It may have left before the FIN passed here; what counts is that the FIN's sender got it after close().
  const std::int32_t last = c.segment(r->offender).payload_bytes > 0 ? r->offender : data;
  // Seen near the writer it may have left before the FIN passed: the FIN's own ACK number tells that it had not arrived.
  if (last < r->own_fin && !before(c.segment(r->own_fin).ack, c.segment(last).end())) return;
  const facts::SegmentFact &fin = c.segment(r->own_fin), &d = c.segment(last);
  // What is sent again bears the ACK number of the moment and was written before.
  const facts::Repeat repeat = c.note(last).repeat;
  const bool sent_again = repeat == facts::Repeat::kRto || repeat == facts::Repeat::kFast || repeat == facts::Repeat::kTlp;
  const bool knew = after(d.ack, c.stream(r->by).fin_seq) && facts::new_payload(c, last) && !sent_again;
  // A server that closes before anything was asked has failed its client whenever the request comes.
  // The rest of an answer that its reader did not wait for is no news that came late (client-closed-early).
  const bool follows = r->by == facts::Party::kServer ? ending::closed_unasked(c) : ending::talk_before(c, r->own_fin).answer_short;
  out.note(follows ? Bearing::kFits : Bearing::kSupports, {r->own_fin, last, r->at}, {}, [&] {
    return fmt::format("the {} had sent FIN; {} of the {} {} {} {} (tcp_rcv_state_process(), TCPAbortOnData, or no socket)",
                       ending::who(r->by), ending::octets(d.payload_bytes), ending::who(r->peer()), ending::span(d.time > fin.time ? d.time - fin.time : fin.time - d.time), last > r->own_fin ? "later" : "before it passed here",
                       c.segment(r->at).has_ack() ? "met RST+ACK, as Windows refuses it" : d.ack == c.segment(r->at).seq ? "met RST with exactly their ACK number" : "were not acknowledged any more, and what followed met RST");
  });
  if (knew && !follows)
    out.supports({last}, [&] {
      return fmt::format("that data acknowledged the FIN: the {}'s kernel knew of the close when it sent it", ending::who(r->peer()));
    });
  out.blames(knew ? ending::side(r->peer()) : facts::Side::kUnknown);
  out.says([&] { return fmt::format("The {} had closed; data of the {} came after that.", ending::who(r->by), ending::who(r->peer())); });
}

}  // namespace

extern const Cause kDataAfterCloseCause;
const Cause kDataAfterCloseCause = {
    .id = CauseId::kDataAfterClose,
    .title = "One side had closed; data of the other came after that.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "which application closed first and why: strace -e close,shutdown on the side that sent the FIN",
    .fix = {"the writing side: treat a readable socket that reads 0 octets as closed before reusing it",
            "the closing side: shutdown(SHUT_WR) and read to the end before close() if the other side may still send"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
