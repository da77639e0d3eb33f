// A device removed or damaged TCP options: the two ends disagree about them.

#include <array>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

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

std::string scale_taken_out() {
  return "A device took the window scale out of the SYN-ACK; the client crawls in a window that is larger than it looks.";
}

/// The server's SYN-ACK offers no scaling, as it passed here, and each of its later windows is what a scaled one looks like
/// then: far less than that SYN-ACK offered, from the first on. No host takes back what it offered (RFC 9293 3.8.6).
void examine_windows(const facts::Connection& c, EvidenceList& out) {
  constexpr std::uint32_t kWorthScaling = 8192, kLeastShift = 8;
  constexpr std::int32_t kEnough = 4;
  const facts::SegmentFact &syn = c.segment(c.syn), &syn_ack = c.segment(c.syn_ack);
  if (!syn.has(Opt::kWindowScale) || syn_ack.has(Opt::kWindowScale) || syn_ack.window < kWorthScaling) return;
  std::int32_t first = -1, last = -1, seen = 0;
  for (std::int32_t i = c.syn_ack + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (!s.from_server || s.syn() || s.rst() || !s.has_ack()) continue;
    // An offer that stands may shrink only by what was taken of it.
    const bool taken_back = before(s.ack + s.window, syn.seq + 1 + syn_ack.window / 2);
    if (s.window == 0 || s.window > syn_ack.window / kLeastShift || (first < 0 && !taken_back)) return;
    if (first < 0) first = i;
    last = i;
    ++seen;
  }
  if (seen < kEnough || !after(c.segment(last).ack, c.segment(first).ack)) return;
  out.supports({c.syn_ack, first, last}, [&] {
    return fmt::format("the SYN-ACK offers a window of {} and, as it passed here, no scaling; each of the server's {} later windows is {} or the like, "
                       "though it acknowledges all that comes: they are scaled, and nobody before the device knows",
                       syn_ack.window, seen, c.segment(first).window);
  });
  out.says(scale_taken_out);
}

/// Behind the device: SYN and SYN-ACK agree on scaling, the client's segments bear the very window of its SYN, which is
/// never scaled (RFC 7323 2.2), and it sends no more at a time than the server's windows say unscaled: it crawls.
void examine_unscaled(const facts::Connection& c, EvidenceList& out) {
  constexpr std::uint32_t kEnough = 3;
  std::int32_t first = -1, last = -1;
  std::uint32_t crawls = 0, offered = 0;
  for (std::int32_t i = c.syn_ack + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.syn() || s.rst() || !s.has_ack()) continue;
    if (s.from_server) {
      offered = s.window;
      continue;
    }
    if (!facts::bears_unscaled_window(c, i)) return;
    if (first < 0) first = i;
    if (s.payload_bytes == 0 || s.payload_bytes != offered) continue;
    last = i;
    ++crawls;
  }
  if (crawls < kEnough) return;
  if (c.outcome == facts::Outcome::kCompleted) out.passed();
  out.supports({c.syn, c.syn_ack, first, last}, [&] {
    return fmt::format("SYN and SYN-ACK, as they passed here, agreed on window scaling, yet the client's later segments bear the window of its SYN, {}, and "
                       "it sends as much at a time as the server's windows say unscaled: the SYN-ACK came to it without the option", c.segment(c.syn).window);
  });
  out.says(scale_taken_out);
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0) return;
  // The snap length cut the options.
  if ((c.segment(c.syn).anomalies | c.segment(c.syn_ack).anomalies) & wire::Anomaly::kTruncatedHeader) return;
  examine_windows(c, out);
  examine_unscaled(c, out);
  if (!(c.signals & facts::Signal::kOptionChange)) return;
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
    .signals = facts::Signal::kOptionChange | facts::Signal::kRepeat | facts::Signal::kOpenAtEnd | facts::Signal::kOutOfOrder,
    .settles = "the same SYN and SYN-ACK captured on both ends, option by option",
    .fix = {"find the device that rewrites options (\"TCP normalization\", \"MSS clamping\", WAN optimizers) and let them pass",
            "until then switch the damaged option off at one end: net.ipv4.tcp_window_scaling, tcp_sack, tcp_timestamps"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
