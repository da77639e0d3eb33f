// A RST with a number that its receiver need not believe was ignored or challenged.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (!s.rst() || !ending::survived(c, i)) continue;
    const facts::Party victim = facts::other(s.from());
    // A RST that answers a wrong ACK number belongs to that story (RFC 9293 3.10.7.4).
    const std::int32_t cause = c.note(i).provoked_by;
    if (cause >= 0 && c.note(cause).ack_place == facts::AckPlace::kImpossible) continue;
    std::int32_t challenge = -1;
    for (std::int32_t k = i + 1; k < static_cast<std::int32_t>(c.segments.size()) && k < i + 6; ++k)
      if (c.segment(k).from() == victim && (c.note(k).challenge || c.note(k).provoked_by == i)) {
        challenge = k;
        break;
      }
    out.supports({i, challenge}, [&] {
      return fmt::format("the {} {} the RST of frame {} (RFC 5961 3.2, tcp_validate_incoming()), and both sides went on",
                         ending::who(victim), challenge >= 0 ? "challenged" : "ignored", s.frame);
    });
    return;
  }
}

}  // namespace

extern const Cause kSpoofedResetIgnoredCause;
const Cause kSpoofedResetIgnoredCause = {
    .id = CauseId::kSpoofedResetIgnored,
    .title = "A RST with a wrong sequence number was ignored; the connection went on.",
    .benign = true,
    .side = facts::Side::kPath,
    .role = Role::kNote,
    .signals = facts::Signal::kReset,
    .settles = "a capture nearer to the other end: does that RST exist there",
    .fix = {"nothing on the hosts: Linux (el6, 3.10 and later) believes a RST only with the exact next number",
            "if it repeats, look for the sender: its TTL says how far away it is"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
