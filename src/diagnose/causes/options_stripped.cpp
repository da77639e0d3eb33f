// A device removed or damaged TCP options: the two ends disagree about them.

#include <array>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using wire::Opt;

constexpr std::uint16_t kNegotiated = Opt::kWindowScale | Opt::kSackPermitted | Opt::kTimestamps;

std::string names(std::uint16_t options) {
  std::string out;
  for (auto [bit, name] : {std::pair{Opt::kWindowScale, "window scale"}, std::pair{Opt::kSackPermitted, "SACK-permitted"},
                           std::pair{Opt::kTimestamps, "timestamps"}})
    if (options & bit) out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
  return out;
}

/// Segments after the handshake of one side, with and without the timestamps option.
struct Stamps {
  std::uint32_t with = 0, without = 0;
  std::int32_t first_without = -1, first_with = -1;
};

Stamps stamps_of(const facts::Connection& c, Party p) {
  Stamps out;
  for (std::size_t i = 0; i < c.segments.size(); ++i) {
    const facts::SegmentFact& s = c.segments[i];
    if (s.from() != p || s.syn() || s.rst() || (s.anomalies & wire::Anomaly::kTruncatedHeader)) continue;
    const auto at = static_cast<std::int32_t>(i);
    if (s.has(Opt::kTimestamps)) {
      if (out.with++ == 0) out.first_with = at;
    } else if (out.without++ == 0) {
      out.first_without = at;
    }
  }
  return out;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0) return;
  // The snap length cut the options.
  if ((c.segment(c.syn).anomalies | c.segment(c.syn_ack).anomalies) & wire::Anomaly::kTruncatedHeader) return;
  const std::uint16_t offered = c.segment(c.syn).options & kNegotiated;
  const std::uint16_t answered = c.segment(c.syn_ack).options & kNegotiated;
  // RFC 7323 2.2 and 3.2, RFC 2018 2: a SYN-ACK carries only what the SYN it answers offered.
  if (const std::uint16_t extra = answered & static_cast<std::uint16_t>(~offered))
    out.demands({c.syn, c.syn_ack}, [&] {
      return fmt::format("the SYN-ACK carries {}, which the SYN, as it passed here, did not offer", names(extra));
    });
  for (Party p : {Party::kClient, Party::kServer}) {
    const Stamps stamps = stamps_of(c, p);
    if (c.outcome == facts::Outcome::kCompleted) out.passed();
    const std::string_view who = p == Party::kClient ? "client" : "server";
    // RFC 7323 3.2: once agreed, every segment but a RST carries it. All or none tells
    // a side that never heard of the agreement from one that forgot it once.
    if (offered & answered & Opt::kTimestamps && stamps.with == 0 && stamps.without >= 2)
      out.demands({c.syn, c.syn_ack, stamps.first_without}, [&] {
        return fmt::format("SYN and SYN-ACK agreed on timestamps, yet none of the {} carries them",
                           counted(stamps.without, fmt::format("later segment of the {}", who)));
      });
    if (!(offered & answered & Opt::kTimestamps) && stamps.with >= 2 && stamps.without == 0)
      out.demands({c.syn, c.syn_ack, stamps.first_with}, [&] {
        return fmt::format("SYN and SYN-ACK, as they passed here, did not agree on timestamps, yet the {} uses them", who);
      });
  }
}

}  // namespace

extern const Cause kOptionsStrippedCause;
const Cause kOptionsStrippedCause = {
    .id = CauseId::kOptionsStripped,
    .title = "A device changed the TCP options: the two ends disagree about them.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kTrouble,
    .signals = facts::Signal::kOptionChange,
    .settles = "the same SYN and SYN-ACK captured on both ends, option by option",
    .fix = {"find the device that rewrites options (\"TCP normalization\", \"MSS clamping\", WAN optimizers) and let them pass",
            "until then switch the damaged option off at one end: net.ipv4.tcp_window_scaling, tcp_sack, tcp_timestamps"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
