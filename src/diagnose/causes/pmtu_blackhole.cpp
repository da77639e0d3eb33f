// Full-size segments vanish, small ones pass, and no ICMP "too big" comes back
// (RFC 2923 2.1). The sign is the difference by size: without a small segment
// that passed afterwards it looks like any other silence.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

/// Below this no link of today's Internet refuses a segment (RFC 8200 5: 1280 octets, less headers).
constexpr std::uint32_t kAlwaysFits = 1200;

/// Seen before the loss, or at the sender: what was repeated is large, what is small got through.
void examine_upstream(const facts::Connection& c, Party sender, EvidenceList& out) {
  const std::optional<Unanswered> u = unanswered(c, sender);
  if (!u || u->repeats() < 2 || u->fin_only()) return;
  const std::int32_t first = u->sends.front();
  const Party peer = other(sender);
  for (std::int32_t send : u->sends)
    if (c.segment(send).payload_bytes < kAlwaysFits && c.segment(send).payload_bytes > 0) {
      if (send == u->sends.back() || u->sends.size() >= 4)
        out.contradicts({send}, [&] {
          return fmt::format("a segment of {} octets went unanswered as well", c.segment(send).payload_bytes);
        });
      return;
    }
  // A later, smaller piece arrived.
  for (std::int32_t i = first + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != peer || s.sack_blocks == 0 || s.dsack) continue;
    for (std::int32_t j = first + 1; j < i; ++j) {
      const facts::SegmentFact& small = c.segment(j);
      if (small.from() != sender || small.payload_bytes == 0 || small.payload_bytes >= kAlwaysFits) continue;
      if (offset(s.sack_left, small.seq) >= 0 && offset(small.end(), s.sack_right) >= 0) {
        out.supports({first, j, i}, [&] {
          return fmt::format("{} octets of frame {} arrived (SACK in frame {}); {} octets sent before them did not, {}",
                             small.payload_bytes, small.frame, s.frame, c.segment(first).payload_bytes,
                             times(u->sends.size()));
        });
        i = static_cast<std::int32_t>(c.segments.size());
        break;
      }
    }
  }
  // The peer sent something, got its (small) acknowledgment, and did not repeat it.
  const std::int32_t heard = u->heard_after;
  if (heard >= 0 && !deaf(c, peer)) {
    for (std::int32_t i = first + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
      const facts::SegmentFact& s = c.segment(i);
      if (s.from() != peer || s.length() == 0 || s.rst() || s.syn()) continue;
      std::int32_t ack = -1;
      bool again = false;
      for (std::int32_t j = i + 1; j < static_cast<std::int32_t>(c.segments.size()); ++j) {
        const facts::SegmentFact& later = c.segment(j);
        if (later.from() == sender && ack < 0 && later.payload_bytes < kAlwaysFits && !before(later.ack, s.end())) ack = j;
        if (later.from() == peer && later.length() > 0 && before(later.seq, s.end())) again = true;
      }
      if (ack >= 0 && !again && facts::coverage_after(c, ack) > std::chrono::milliseconds{500} + 4 * round_trip(c)) {
        out.supports({first, i, ack}, [&] {
          return fmt::format("small segments of {} still arrived: frame {} was acknowledged (frame {}) and not sent again",
                             name(sender), s.frame, c.segment(ack).frame);
        });
        break;
      }
    }
  }
  if (heard >= 0 && !out.empty()) return;
  if (c.has(facts::Signal::kLargeVanish) || u->smallest >= kAlwaysFits)
    out.fits({first, u->sends.back()}, [&] {
      return fmt::format("only segments of {} octets and more went unanswered", c.segment(first).payload_bytes);
    });
}

/// Seen behind the loss: a hole the size of full segments that is never filled, with a small piece behind it.
void examine_downstream(const facts::Connection& c, Party sender, EvidenceList& out) {
  const Party peer = other(sender);
  const std::uint32_t mss = c.stream(peer).mss != 0 ? c.stream(peer).mss : 1460u;
  // Highest number the receiver acknowledged, and the lowest piece seen beyond it.
  const std::int32_t last_ack = last_of(c, peer);
  if (last_ack < 0 || !c.segment(last_ack).has_ack() || c.segment(last_ack).rst()) return;
  const SeqNum expected = c.stream(peer).max_ack;
  std::int32_t beyond = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender || s.length() == 0 || s.rst() || s.syn()) continue;
    if (!after(s.seq, expected)) {
      if (after(s.end(), expected)) return;  // the hole's first octets were seen here
      continue;
    }
    if (s.payload_bytes >= kAlwaysFits) return;  // a large one passed
    // What no window of the receiver allowed is not the rest of what was lost: another connection's, or a broken end.
    if (c.note(i).seq_place == facts::SeqPlace::kBeyondWindow) continue;
    if (beyond < 0 || before(s.seq, c.segment(beyond).seq)) beyond = i;
  }
  if (beyond < 0) return;
  // The receiver must have said that it misses them, after the piece behind came: else the capture misses them.
  bool missed = false;
  for (std::int32_t i = beyond + 1; i < static_cast<std::int32_t>(c.segments.size()) && !missed; ++i)
    missed = c.segment(i).from() == peer && !c.segment(i).rst() && c.segment(i).has_ack() && c.segment(i).ack == expected;
  if (!missed) return;
  const std::uint32_t hole = distance(expected, c.segment(beyond).seq);
  if (hole < std::min(kAlwaysFits, mss) || facts::coverage_after(c, beyond) < std::chrono::seconds{1}) return;
  out.supports({beyond, last_ack}, [&] {
    return fmt::format("{} octets before frame {} never arrived, the {} octets behind them did", hole,
                       c.segment(beyond).frame, c.segment(beyond).payload_bytes);
  });
}

/// Linux tcp_mtu_probing(): after some timeouts it cuts the same data smaller. If that passes, size was the reason.
void examine_cut_smaller(const facts::Connection& c, Party sender, EvidenceList& out) {
  const SeqNum acked = c.stream(other(sender)).max_ack;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    if (c.note(i).repeat != Repeat::kRto || c.note(i).original < 0 || c.segment(i).from() != sender) continue;
    const facts::SegmentFact& again = c.segment(i);
    const facts::SegmentFact& original = c.segment(c.note(i).original);
    if (again.seq != original.seq || original.payload_bytes < kAlwaysFits ||
        2 * again.payload_bytes > original.payload_bytes || again.payload_bytes == 0)
      continue;
    std::size_t in_vain = 0;
    for (std::int32_t j = 0; j < i; ++j)
      if (c.segment(j).from() == sender && c.segment(j).seq == original.seq &&
          c.segment(j).payload_bytes == original.payload_bytes)
        ++in_vain;
    if (in_vain < 3 || before(acked, again.end())) continue;
    out.supports({c.note(i).original, i}, [&] {
      return fmt::format("{} octets went unanswered {}; the same data in {} octets was acknowledged",
                         original.payload_bytes, times(in_vain), again.payload_bytes);
    });
    return;
  }
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  for (Party sender : {Party::kServer, Party::kClient}) {
    examine_upstream(c, sender, out);
    if (out.empty() && !c.quality.capture_gap) examine_downstream(c, sender, out);  // what is missing may be the capture's loss
    if (out.empty()) examine_cut_smaller(c, sender, out);
    if (!out.empty()) {
      out.says([&] { return fmt::format("Full-size segments of {} vanish on the path; small ones pass.", name(sender)); });
      return;
    }
  }
}

}  // namespace

extern const Cause kPmtuBlackholeCause;
const Cause kPmtuBlackholeCause = {
    .id = CauseId::kPmtuBlackhole,
    .title = "Full-size segments vanish on the path; small ones pass.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd | facts::Signal::kRepeat | facts::Signal::kLargeVanish |
               facts::Signal::kOutOfOrder,
    .settles = "`ping -M do -s 1472 HOST` against smaller sizes, from the side whose data vanishes; tracepath",
    .fix = {"let ICMP type 3 code 4 (IPv6: type 2) pass every filter on the path",
            "clamp the MSS on the tunnel or PPPoE router (nft: tcp option maxseg size set rt mtu)",
            "net.ipv4.tcp_mtu_probing=1 on the sender lets Linux find the size without ICMP (RFC 4821)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
