// Generic: something was acknowledged that was never sent; by whom cannot be told.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"
#include "diagnose/wrong_ack.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (const auto w = ending::wrong_acks(c)) {
    // A lone odd number that nobody answered, in a connection that went well, is worth no word.
    if (w->answer < 0 && (w->count < 2 || c.quality.capture_gap || c.previous_end)) return;
    out.supports({w->first, w->answer}, [&] {
      return fmt::format("the {} acknowledged {}, which the {} was never seen to send", ending::who(w->by), c.segment(w->first).ack.raw(),
                         ending::who(facts::other(w->by)));
    });
    return;
  }
  if (const auto story = ending::misplaced_answers(c))
    out.supports({story->offender, story->first}, [&] {
      return fmt::format("the {} answered with RST number {}, an ACK number that nobody sent here", ending::who(c.segment(story->first).from()),
                         c.segment(story->first).seq.raw());
    });
}

}  // namespace

extern const Cause kUnacceptableAckCause;
const Cause kUnacceptableAckCause = {
    .id = CauseId::kUnacceptableAck,
    .title = "An ACK number acknowledged what was never sent; the receiver refused it.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kImpossibleAck | facts::Signal::kOutOfWindow | facts::Signal::kReset,
    .settles = "a capture at the other end: does the same segment carry the same ACK number there",
    .fix = {"compare captures at both ends: a number that differs was changed on the way, one that agrees was sent by a confused end"},
    .specifics = {CauseId::kAckNumberRewritten, CauseId::kPeerRestarted, CauseId::kNatPortCollision},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
