// FINs crossed: both sides closed before they saw the other's FIN (RFC 9293
// 3.6, case 3), through CLOSING to TIME_WAIT on both.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const facts::StreamFacts& client = c.stream(Party::kClient);
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (client.fin < 0 || server.fin < 0) return;
  const std::int32_t second = std::max(client.fin, server.fin), first = std::min(client.fin, server.fin);
  const facts::SegmentFact& later = c.segment(second);
  // The later one was sent without knowledge of the earlier: its ACK number does not cover that FIN.
  if (!later.has_ack() || after(later.ack, c.segment(first).end() - 1u)) return;
  out.supports({first, second}, [&] {
    return fmt::format("the FIN of frame {} does not acknowledge the FIN of frame {}: they crossed", later.frame,
                       c.segment(first).frame);
  });
}

}  // namespace

extern const Cause kSimultaneousCloseCause;
const Cause kSimultaneousCloseCause = {
    .id = CauseId::kSimultaneousClose,
    .title = "Both sides closed at the same time; their FINs crossed.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kSimultaneousClose,
    .settles = "nothing to settle: RFC 9293 3.6 provides for it",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
