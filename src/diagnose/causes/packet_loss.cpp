// Losses, repaired by retransmission. What was never repaired is another story:
// peer-unresponsive and what stands behind it.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

struct Repairs {
  std::vector<std::int32_t> cited;
  std::size_t timeouts = 0, fast = 0, probes = 0, upstream = 0;
  Duration longest{};  ///< first transmission to the repeat that was acknowledged
  [[nodiscard]] std::size_t all() const { return timeouts + fast + probes + upstream; }
};

Repairs count(const facts::Connection& c, Party sender) {
  Repairs r;
  const SeqNum acked = c.stream(other(sender)).max_ack;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender || s.syn() || s.rst() || s.length() == 0) continue;
    if (!c.stream(other(sender)).ack_seen || after(s.end(), acked)) continue;
    switch (c.note(i).repeat) {
      case Repeat::kRto:
      case Repeat::kFin: ++r.timeouts; break;
      case Repeat::kFast: ++r.fast; break;
      case Repeat::kTlp: ++r.probes; break;
      case Repeat::kUnseenOriginal:
        // Filling a hole behind the loss: the capture stands downstream of it and has not lost packets itself.
        if (c.quality.capture_gap || c.quality.began_late) continue;
        ++r.upstream;
        break;
      case Repeat::kNone:
      case Repeat::kSyn:
      case Repeat::kSynAck:
      case Repeat::kSpurious:
      case Repeat::kKeepalive:
      case Repeat::kZeroWindowProbe:
      case Repeat::kOutOfOrder:
      case Repeat::kNetworkDuplicate:
      case Repeat::kCaptureDuplicate:
      case Repeat::kAmbiguous: continue;
    }
    if (r.cited.size() < 20) r.cited.push_back(i);
    if (const std::int32_t first = c.note(i).original; first >= 0)
      r.longest = std::max(r.longest, s.time - c.segment(first).time);
  }
  return r;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  std::size_t total = 0;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const Repairs r = count(c, sender);
    // Of a long transfer the middle may not have been kept, but it was counted; what follows it went well.
    const std::size_t counted = r.all() == 0 && c.gap_after >= 0 ? c.stream(sender).repeats : 0;
    if (counted > 0) {
      total += counted;
      out.note(Bearing::kSupports, {}, {}, [&] {
        return fmt::format("{} sent {} segment{} again, in the stretch that was counted and not kept", name(sender), counted,
                           counted == 1 ? "" : "s");
      });
    }
    if (r.all() == 0) continue;
    total += r.all();
    out.note(Bearing::kSupports, r.cited, {}, [&] {
      std::string text = fmt::format("{} sent {} segment{} again", name(sender), r.all(), r.all() == 1 ? "" : "s");
      if (r.timeouts > 0) text += fmt::format(", {} after a timeout", r.timeouts);
      if (r.fast > 0) text += fmt::format(", {} on duplicate ACKs or SACK", r.fast);
      if (r.probes > 0) text += fmt::format(", {} as tail-loss probe", r.probes);
      text += "; all were acknowledged";
      if (r.longest.count() > 0) text += fmt::format(", the latest {} after its first transmission", say(r.longest));
      return text;
    });
  }
  if (total == 0) return;
  out.passed();
  out.says([&] { return fmt::format("The path lost segments; {} repeat{} repaired it.", total, total == 1 ? "" : "s"); });
}

}  // namespace

extern const Cause kPacketLossCause;
const Cause kPacketLossCause = {
    .id = CauseId::kPacketLoss,
    .title = "The path lost segments; retransmissions repaired it.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kTrouble,
    .signals = facts::Signal::kRepeat | facts::Signal::kOutOfOrder,
    .settles = "captures on both sides: which of the repeated segments did not arrive the first time",
    .fix = {"where it costs time: look for the hop that drops (interface counters, queue length, duplex, radio)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
