// Two SYNs crossed into one connection (RFC 9293 3.5).

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  std::int32_t theirs = -1;
  for (std::size_t i = 0; i < c.segments.size() && theirs < 0; ++i)
    if (const facts::SegmentFact& s = c.segments[i]; s.from_server && s.syn() && !s.has_ack())
      theirs = static_cast<std::int32_t>(i);
  if (c.syn < 0 || theirs < 0) return;
  out.demands({c.syn, theirs}, [&] {
    return fmt::format("both ends sent a SYN, {} apart, between the same two ports",
                       span_words(c.segment(theirs).time - c.segment(c.syn).time));
  });
}

}  // namespace

extern const Cause kSimultaneousOpenCause;
const Cause kSimultaneousOpenCause = {
    .id = CauseId::kSimultaneousOpen,
    .title = "Both ends called each other, and one connection came of it.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kSimultaneousOpen,
    .settles = "nothing is open: both SYNs were seen",
    .fix = {"nothing is wrong (RFC 9293 3.5); hole punching through NATs works like this"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
