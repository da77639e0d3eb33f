// The capture began late, ended early, or holds one direction only: what it shows
// is healthy, and what it does not show cannot be told.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const std::int32_t last = static_cast<std::int32_t>(c.segments.size()) - 1;
  if (last < 0) return;
  if (c.quality.one_direction)
    out.supports({0, last}, [&] {
      return fmt::format("only segments of {} were captured", name(c.quality.only_from));
    });
  if (c.quality.began_late)
    out.supports({0}, [&] { return fmt::format("the connection was under way at frame {}", c.segment(0).frame); });
  if (c.outcome == facts::Outcome::kPartial && c.syn >= 0 && c.syn_ack == last && c.stream(facts::Party::kServer).syn_count == 1)
    out.supports({c.syn_ack}, [&] {
      return fmt::format("the SYN-ACK of frame {} was neither answered nor repeated here", c.segment(c.syn_ack).frame);
    });
  if (c.quality.ended_early && c.outcome != facts::Outcome::kCompleted)
    out.supports({last}, [&] {
      return fmt::format("it was still under way at frame {}, {} before the capture {}", c.segment(last).frame,
                         say(facts::coverage_after(c, last)), c.quality.coverage_cut ? "paused or lost packets" : "ended");
    });
}

}  // namespace

extern const Cause kCapturePartialCause;
const Cause kCapturePartialCause = {
    .id = CauseId::kCapturePartial,
    .title = "The capture holds only part of the connection; no fault shows in it.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kMidStream | facts::Signal::kOneDirection | facts::Signal::kOpenAtEnd |
               facts::Signal::kUnackedAtEnd | facts::Signal::kUnansweredAtEnd | facts::Signal::kHalfClosedAtEnd | facts::Signal::kHandshakeIncomplete,
    .settles = "a capture that starts before the SYN and goes on until the close, at a point both directions pass",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
