// One side closed its direction and went on receiving (RFC 9293 3.6).

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  for (Party closer : {Party::kClient, Party::kServer}) {
    const facts::StreamFacts& closed = c.stream(closer);
    const Party going_on = other(closer);
    if (!closed.fin_seen || closed.fin < 0) continue;
    // Data on its way when the FIN passed is no half-close: the other side must have acknowledged the FIN first.
    std::int32_t knows = -1, data = -1, received = -1;
    for (std::int32_t i = closed.fin + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
      const facts::SegmentFact& s = c.segment(i);
      if (s.rst()) break;
      if (s.from() == going_on) {
        if (knows < 0 && s.has_ack() && after(s.ack, closed.fin_seq)) knows = i;
        if (knows >= 0 && carries_data(c, i)) data = i;
      } else if (data >= 0 && s.has_ack() && !before(s.ack, c.segment(data).end())) {
        received = i;
      }
    }
    if (data < 0 || received < 0) continue;
    out.supports({closed.fin, data, received}, [&] {
      return fmt::format("{} sent FIN (frame {}) and still acknowledged data {} later (frame {})", name(closer),
                         c.segment(closed.fin).frame, say(c.segment(received).time - c.segment(closed.fin).time),
                         c.segment(received).frame);
    });
    out.blames(side_of(closer));
    out.says([&] { return fmt::format("{} closed its direction first and went on receiving.", capital(closer)); });
    return;
  }
}

}  // namespace

extern const Cause kHalfCloseCause;
const Cause kHalfCloseCause = {
    .id = CauseId::kHalfClose,
    .title = "One side closed its direction first and went on receiving.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kHalfClosedAtEnd | facts::Signal::kEarlyClose | facts::Signal::kSlowResponse,
    .settles = "nothing to settle: shutdown(SHUT_WR) is a regular use of TCP",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
