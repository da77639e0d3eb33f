// Segments arrived with a TCP checksum that does not match and were dropped
// without a word (Linux tcp_v4_rcv(), counter InCsumErrors). Wrong sums of a
// sender that leaves them to its network card are something else: those were
// accepted by the peer.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

bool is_bad(const facts::SegmentFact& s) {
  return (s.anomalies & wire::Anomaly::kBadTcpChecksum) && !(s.anomalies & wire::Anomaly::kPartialChecksum);
}

/// The first ACK of the other side that covers `i` and came before its data was sent again; -1 none.
std::int32_t accepted_by(const facts::Connection& c, std::int32_t i) {
  const facts::SegmentFact& s = c.segment(i);
  for (std::int32_t j = i + 1; j < static_cast<std::int32_t>(c.segments.size()); ++j) {
    const facts::SegmentFact& later = c.segment(j);
    if (later.from() == s.from()) {
      if (!is_bad(later) && later.length() > 0 && in_window(s.seq, later.seq, later.length())) return -1;
    } else if (later.has_ack() && !later.rst() && !before(later.ack, s.end())) {
      return j;
    }
  }
  return -1;
}

void examine_from(const facts::Connection& c, Party sender, EvidenceList& out) {
  if (c.stream(sender).checksum_offload) return;
  std::vector<std::int32_t> dropped;
  std::size_t accepted = 0, good = 0;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender || s.length() == 0) continue;
    if (!is_bad(s)) {
      good += (s.anomalies & wire::Anomaly::kChecksumSeen) ? 1 : 0;
      continue;
    }
    if (accepted_by(c, i) >= 0) ++accepted;
    else dropped.push_back(i);
  }
  if (dropped.empty()) return;
  if (accepted > 0) {
    // The receiver took a segment this capture calls bad: the sums are the sender's offload.
    out.contradicts({dropped.front()}, [&] {
      return fmt::format("{} other segments with a wrong sum were acknowledged: the sums are left to {}'s network card",
                         accepted, name(sender));
    });
    return;
  }
  const facts::StreamFacts& receiver = c.stream(other(sender));
  bool repaired = receiver.ack_seen;
  for (std::int32_t i : dropped) repaired = repaired && !after(c.segment(i).end(), receiver.max_ack);
  // A capture that ends before an answer could come does not show that none came.
  if (!repaired && c.quality.capture_gap) return;  // an acknowledgment may be among what it missed
  if (!repaired && facts::coverage_after(c, dropped.front()) < std::chrono::seconds{1}) return;
  if (dropped.size() > 20) dropped.resize(20);
  // Not acknowledged until sent again with a right sum, or never: the receiver's test refused them.
  const bool contrast = repaired || good > 0;
  out.note(contrast ? Bearing::kDemands : Bearing::kSupports, dropped, {}, [&] {
    return fmt::format("{} segment{} of {} carried a wrong TCP checksum and {} {}", dropped.size(),
                       dropped.size() == 1 ? "" : "s", name(sender), dropped.size() == 1 ? "was" : "were",
                       repaired ? "acknowledged only after a repeat with a right one" : "never acknowledged");
  });
  if (repaired) out.passed();
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.quality.one_direction) return;
  examine_from(c, Party::kClient, out);
  if (out.empty()) examine_from(c, Party::kServer, out);
}

}  // namespace

extern const Cause kChecksumCorruptionCause;
const Cause kChecksumCorruptionCause = {
    .id = CauseId::kChecksumCorruption,
    .title = "Segments were damaged on the way; the receiver dropped them silently.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kBadChecksum,
    .settles = "InCsumErrors (nstat) on the receiver while it happens",
    .fix = {"find the device that damages them: compare captures before and after each hop (memory, network card, "
            "a tunnel or NAT that updates checksums wrongly)",
            "switch offloads off one by one on the suspected host (ethtool -K IFACE tx off gso off)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
