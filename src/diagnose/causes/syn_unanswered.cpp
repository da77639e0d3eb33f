// Generic: nothing came back to any SYN, and this vantage cannot tell why.

#include <fmt/format.h>

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.stream(facts::Party::kServer).seen || !c.icmp.empty()) return;
  // One direction only: the answers may have gone another way. Unseen is not no.
  if (c.quality.one_direction && c.quality.ended_early) return;
  const std::int32_t last = c.stream(facts::Party::kClient).last;
  out.supports({c.syn, last}, [&] {
    return fmt::format("{} SYN{} in {:.1f} s, no answer until the capture ended {:.1f} s after the last",
                       c.stream(facts::Party::kClient).syn_count,
                       c.stream(facts::Party::kClient).syn_count == 1 ? "" : "s",
                       seconds(c.segment(last).time - c.segment(c.syn).time),
                       seconds(c.capture_end - c.segment(last).time));
  });
}

}  // namespace

extern const Cause kSynUnansweredCause;
const Cause kSynUnansweredCause = {
    .id = CauseId::kSynUnanswered,
    .title = "Nothing answered the SYN.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered,
    .settles = "a capture on the server at the same time: does the SYN arrive, does a SYN-ACK leave",
    .fix = {"capture on the server; then look at its listener (ss -lnt, nstat) or at the path (traceroute -T)"},
    .specifics = {CauseId::kSynDroppedOnPath, CauseId::kSynDroppedByHostFilter, CauseId::kSynAckLost,
                  CauseId::kSynQueueOverflow, CauseId::kAcceptQueueOverflow, CauseId::kPerHostTimestampCheck,
                  CauseId::kPeerVanished},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
