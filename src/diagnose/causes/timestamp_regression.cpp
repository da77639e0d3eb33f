// The TSval of one side went backwards inside the connection; the receiver
// dropped what carried it and answered with a duplicate ACK (PAWS, RFC 7323 5.3;
// Linux tcp_validate_incoming(), counter PAWSEstab). Linux allows one tick back.

#include <fmt/format.h>

#include <set>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

struct Regression {
  std::vector<std::int32_t> refused;  ///< segments with an old TSval that no ACK followed
  std::vector<std::int32_t> answers;  ///< the duplicate ACKs that answered them
  std::int32_t before = -1;           ///< the segment with the newer TSval
};

/// Segments that took several ways, or were held back one by one, carry TSvals of a moment ago (RFC 7323 5.3 calls them
/// old duplicates, and PAWS drops them too): the clock did not go back, and what follows shows its present time again.
bool held_back(const facts::Connection& c, std::int32_t i, std::uint32_t newest) {
  constexpr Duration kMoment = std::chrono::seconds{1};
  const facts::SegmentFact& s = c.segment(i);
  bool of_the_moment = false;
  for (std::int32_t k = i - 1; k >= 0 && !of_the_moment && s.time - c.segment(k).time <= kMoment; --k)
    of_the_moment = c.segment(k).from() == s.from() && c.segment(k).has(wire::Opt::kTimestamps) &&
                    static_cast<std::int32_t>(s.tsval - c.segment(k).tsval) >= 0;
  if (!of_the_moment) return false;
  for (std::size_t k = static_cast<std::size_t>(i) + 1; k < c.segments.size() && c.segments[k].time - s.time <= kMoment; ++k)
    if (const facts::SegmentFact& later = c.segments[k]; later.from() == s.from() && later.has(wire::Opt::kTimestamps) && !later.rst() &&
                                                         static_cast<std::int32_t>(later.tsval - newest) >= 0)
      return true;
  return false;
}

Regression find(const facts::Connection& c, Party sender) {
  Regression r;
  std::int32_t newest = -1;
  SeqNum acked;
  bool ack_seen = false;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender) {
      if (s.has_ack() && !s.rst() && (!ack_seen || after(s.ack, acked))) {
        acked = s.ack;
        ack_seen = true;
      }
      // An answer that acknowledges nothing of the segment just before it.
      if (!r.refused.empty() && s.length() == 0 && s.has_ack() && !s.rst() &&
          before(s.ack, c.segment(r.refused.back()).end()) && (r.answers.empty() || r.answers.back() < r.refused.back()))
        r.answers.push_back(i);
      continue;
    }
    if (!s.has(wire::Opt::kTimestamps) || s.rst()) continue;
    const auto late = [&] {
      // One packet overtaken by others is reordering: its octets lie below what was already sent.
      return c.note(i).repeat == Repeat::kOutOfOrder || facts::is_copy(c.note(i));
    };
    if (newest >= 0 && static_cast<std::int32_t>(s.tsval - c.segment(newest).tsval) < -1) {
      if (!late() && s.length() > 0 && !(ack_seen && !after(s.end(), acked)) && !held_back(c, i, c.segment(newest).tsval)) {
        if (r.before < 0) r.before = newest;
        r.refused.push_back(i);
      }
    } else {
      newest = i;
    }
  }
  // Refused is what should have been taken: the receiver goes on asking for just this segment. Where it asks for an
  // earlier one, that was lost or overtaken on the way, and nothing follows from the order of the rest.
  std::set<std::uint32_t> asked_later;
  auto next = static_cast<std::int32_t>(c.segments.size()) - 1;
  std::vector<std::int32_t> refused;
  for (auto i = r.refused.rbegin(); i != r.refused.rend(); ++i) {
    for (; next > *i; --next)
      if (const facts::SegmentFact& s = c.segment(next); s.from() != sender && s.has_ack() && !s.rst()) asked_later.insert(s.ack.raw());
    if (asked_later.count(c.segment(*i).seq.raw()) != 0) refused.push_back(*i);
  }
  r.refused.assign(refused.rbegin(), refused.rend());
  return r;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c)) return;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const Regression r = find(c, sender);
    if (r.refused.empty()) continue;
    const SeqNum acked = c.stream(other(sender)).max_ack;
    std::size_t never = 0;
    for (std::int32_t i : r.refused) never += after(c.segment(i).end(), acked) ? 1 : 0;
    const bool answered = r.answers.size() >= 2;
    if (r.refused.size() < 2 || (!answered && never == 0)) continue;
    std::vector<std::int32_t> cited{r.before};
    cited.insert(cited.end(), r.refused.begin(), r.refused.begin() + std::min<std::ptrdiff_t>(20, std::ssize(r.refused)));
    auto text = [&] {
      const facts::SegmentFact& a = c.segment(r.before);
      const facts::SegmentFact& b = c.segment(r.refused.front());
      return fmt::format("TSval {} (frame {}) was followed by {} (frame {}): {} ticks back", a.tsval, a.frame, b.tsval,
                         b.frame, a.tsval - b.tsval);
    };
    // Old TSval and the very answer PAWS prescribes: nothing else refuses data that is next in sequence this way.
    out.note(answered ? Bearing::kDemands : Bearing::kSupports, cited, {}, text);
    if (answered)
      out.note(Bearing::kSupports, r.answers, {}, [&] {
        return fmt::format("{} answered with {} ACKs that acknowledge none of it (RFC 7323 5.3 R1)",
                           name(other(sender)), r.answers.size());
      });
    if (never == 0) out.passed();
    out.blames(facts::Side::kUnknown);
    out.says([&] {
      return fmt::format("Timestamps from {} went backwards; {} dropped its segments.", name(sender), name(other(sender)));
    });
    return;
  }
}

}  // namespace

extern const Cause kTimestampRegressionCause;
const Cause kTimestampRegressionCause = {
    .id = CauseId::kTimestampRegression,
    .title = "Timestamps went backwards in the connection; PAWS dropped the segments.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kTimestampRegress,
    .settles = "PAWSEstab (nstat) on the receiver; a capture on the sender shows whether it or a device wrote the TSval",
    .fix = {"look for a balancer or proxy that joins two connections, or rewrites or strips timestamps, on the path",
            "net.ipv4.tcp_timestamps=0 on either end avoids the test for new connections until the device is mended"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
