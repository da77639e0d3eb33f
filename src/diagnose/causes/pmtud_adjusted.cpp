// A router said "too big" and the sender obeyed: path MTU discovery at work
// (RFC 1191, RFC 8201).

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

bool says_too_big(const facts::IcmpFact& icmp) {
  return icmp.version == 4 ? icmp.type == 3 && icmp.code == 4 : icmp.type == 2;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  for (const facts::IcmpFact& icmp : c.icmp) {
    if (!says_too_big(icmp)) continue;
    const Party sender = icmp.quoted_from;
    // Obeyed: what was refused was sent again in pieces that fit, and acknowledged.
    const SeqNum acked = c.stream(other(sender)).max_ack;
    std::uint32_t refused = 0;
    std::int32_t smaller = -1;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
      const facts::SegmentFact& s = c.segment(i);
      if (s.from() != sender || s.payload_bytes == 0) continue;
      if (s.time <= icmp.time) refused = std::max(refused, s.payload_bytes);
      // 40 octets of headers at least (IPv6: 60); routers before RFC 1191 name no size; a super-frame shows nothing
      // of the size on the wire.
      else if (smaller < 0 && !before(s.seq, icmp.quoted_seq) && !before(acked, s.end()) &&
               ((icmp.mtu == 0 ? s.payload_bytes < refused : s.payload_bytes + 40 <= icmp.mtu) ||
                                                                c.quality.super_frames))
        smaller = i;
    }
    if (smaller < 0 || before(acked, icmp.quoted_seq + 1u)) continue;
    out.note(Bearing::kSupports, {smaller}, {icmp.frame}, [&] {
      return fmt::format("{} reported an MTU of {}; {} sent the data again in {} octets and it was acknowledged",
                         to_string(icmp.sender), icmp.mtu, name(sender), c.segment(smaller).payload_bytes);
    });
    return;
  }
}

}  // namespace

extern const Cause kPmtudAdjustedCause;
const Cause kPmtudAdjustedCause = {
    .id = CauseId::kPmtudAdjusted,
    .title = "A router reported a smaller MTU and the sender obeyed.",
    .benign = true,
    .side = facts::Side::kPath,
    .role = Role::kNote,
    .signals = facts::Signal::kIcmp,
    .settles = "nothing to settle: `ip route get` on the sender shows the learned MTU",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
