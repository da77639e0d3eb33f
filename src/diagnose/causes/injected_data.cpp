// Two different payloads claim the same sequence numbers; one did not come from the peer.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

/// Segments of one side that claim the same numbers although their headers say that two stacks made them.
struct Rivals {
  std::int32_t first = -1, second = -1;
  bool distance = false;   ///< their TTLs differ by more than a change of route explains
  bool size = false;       ///< both begin at one number and carry different amounts, the later one less or more
};

/// The least that a retransmission timeout of Linux waits (TCP_RTO_MIN).
constexpr Duration kTimeout = std::chrono::milliseconds{200};

/// Did payload of this side come with TTLs further apart than one hop? Next to never: it spares comparing every pair.
std::array<bool, 2> distances_vary(const facts::Connection& c) {
  std::array<std::uint8_t, 2> low{255, 255}, high{0, 0};
  for (const facts::SegmentFact& s : c.segments) {
    if (s.payload_bytes < 2 || s.rst()) continue;
    low[s.from_server] = std::min(low[s.from_server], s.ttl);
    high[s.from_server] = std::max(high[s.from_server], s.ttl);
  }
  return {high[0] > low[0] + 1, high[1] > low[1] + 1};
}

Rivals rivals_of(const facts::Connection& c, std::uint8_t server_ttl, std::uint8_t client_ttl) {
  const std::array<bool, 2> vary = distances_vary(c);
  if (!vary[0] && !vary[1]) return {};
  const auto n = static_cast<std::int32_t>(c.segments.size());
  for (std::int32_t i = 0; i < n; ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (!vary[s.from_server] || s.payload_bytes < 2 || s.rst()) continue;
    const std::uint8_t usual = s.from_server ? server_ttl : client_ttl;
    for (std::int32_t k = i + 1; k < n && k < i + 64; ++k) {
      const facts::SegmentFact& t = c.segment(k);
      if (t.from() != s.from() || t.payload_bytes < 2 || t.rst() || !in_window(t.seq, s.seq, s.payload_bytes)) continue;
      // One packet on both sides of a router, or of the one that the capture's own host forwards.
      const bool alike = t.seq == s.seq && t.payload_bytes == s.payload_bytes && t.payload_digest() == s.payload_digest();
      // A repeat may take another route: Linux chooses its path anew after a timeout (sk_rethink_txhash()).
      if (alike && t.payload_digest() != 0 && t.time - s.time >= kTimeout) continue;
      if (alike && (t.time - s.time < std::chrono::milliseconds{5} || (t.ip_id != 0 && t.ip_id == s.ip_id))) continue;
      const int moved = int{s.ttl} - int{t.ttl};
      const bool one_usual = (s.ttl == usual) != (t.ttl == usual);
      if ((moved > 1 || moved < -1) && one_usual) return {i, k, true, t.seq == s.seq && t.payload_bytes != s.payload_bytes};
    }
  }
  return {};
}

/// Two segments that begin at one number and differ in their first octets.
std::pair<std::int32_t, std::int32_t> conflicting(const facts::Connection& c) {
  const auto n = static_cast<std::int32_t>(c.segments.size());
  for (std::int32_t k = 0; k < n; ++k) {
    const facts::SegmentFact& t = c.segment(k);
    if (t.payload_digest() == 0 || c.note(k).seq_place == facts::SeqPlace::kNext) continue;
    for (std::int32_t i = k - 1; i >= 0 && i > k - 2048; --i) {
      const facts::SegmentFact& s = c.segment(i);
      if (s.from() != t.from() || s.seq != t.seq || s.payload_digest() == 0) continue;
      if (s.payload_digest() != t.payload_digest() && !((s.anomalies | t.anomalies) & wire::Anomaly::kBadTcpChecksum)) return {i, k};
    }
  }
  return {-1, -1};
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.has(facts::Signal::kConflictingData)) {
    const auto [first, second] = conflicting(c);
    // From one distance it may be a sender that loses count (a phone's VPN in user space does); from two it cannot.
    const bool two_places = first >= 0 && c.segment(first).ttl != c.segment(second).ttl;
    out.note(two_places ? Bearing::kDemands : Bearing::kFits, {first, second}, {}, [&] {
      return std::string{"two segments with the same sequence number carry different octets; a stack repeats the same ones (RFC 9293 3.8.1)"};
    });
  }
  const Rivals r = rivals_of(c, facts::usual_ttl(c, facts::Party::kServer), facts::usual_ttl(c, facts::Party::kClient));
  if (r.first < 0) return;
  const facts::SegmentFact &s = c.segment(r.first), &t = c.segment(r.second);
  out.supports({r.first, r.second}, [&] {
    return fmt::format("two segments claim sequence number {} of the {} and have TTL {} and {}: they came from different places", t.seq.raw(),
                       ending::who(s.from()), s.ttl, t.ttl);
  });
  if (r.size)
    out.supports({r.first, r.second}, [&] {
      return fmt::format("one carries {}, the other {}: a repeat begins with the same octets and announces the same message", ending::octets(s.payload_bytes),
                         ending::octets(t.payload_bytes));
    });
  if (s.options != t.options) out.supports({r.first, r.second}, [&] { return std::string{"they carry different TCP options"}; });
}

}  // namespace

extern const Cause kInjectedDataCause;
const Cause kInjectedDataCause = {
    .id = CauseId::kInjectedData,
    .title = "Two different payloads claim the same place in the stream: one was injected.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kConflictingData | facts::Signal::kTtlChange | facts::Signal::kRepeat,
    .settles = "a capture at the end that should have sent it: only one of the two exists there",
    .fix = {"find what injects (carrier notices, captive portals, cache poisoning): its TTL gives its distance",
            "use TLS: injected octets then break the connection instead of being believed"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
