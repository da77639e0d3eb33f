// What a segment that brings old numbers is. The order of questions matters:
//
//   the same IP packet once more?      capture or network duplicate
//   one octet before what is acked?    keepalive, or window probe when the peer's window is closed
//   was it acknowledged here already?  needless repeat (the ACK was lost further on)
//   does it fill a gap?                reordering, or a repeat whose original was lost before this vantage
//   did loss signs come first?         fast retransmit (RFC 5681 3.2, RFC 6675, RFC 8985)
//   the tail, once, without a sign?    tail-loss probe (RFC 8985 7)
//   else, after a timer's time         retransmission timeout (RFC 6298)
//
// and a later D-SACK (RFC 2883), timestamp echo (RFC 3522) or an ACK that came
// too soon for it turns each of the latter into a needless one. What nothing
// decides is called ambiguous.

#include <algorithm>

#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::Repeat;
using wire::Opt;

namespace {

constexpr std::int64_t kMs = 1'000'000;
// Linux include/net/tcp.h TCP_RTO_MIN is 200 ms; clocks of captures and other stacks need some room.
constexpr std::int64_t kShortestTimeout = 150 * kMs;
// Two records of one packet by one capture lie closer than this.
constexpr std::int64_t kSameInstant = 1 * kMs;
// An ACK captured before the data it covers, at a receiver's host with several queues.
constexpr std::int64_t kCaptureSkew = 2 * kMs;
// Below this a keepalive is not one: Linux tcp_keepalive_intvl counts seconds.
constexpr std::int64_t kShortestKeepalive = 900 * kMs;
// How far back a previous transmission is looked for.
constexpr Index kLookBack = 2048;

bool same_bytes(const SegmentFact& a, const SegmentFact& b) {
  return a.seq == b.seq && a.ack == b.ack && a.payload_bytes == b.payload_bytes && a.flags == b.flags &&
         a.window == b.window && a.tsval == b.tsval && a.tsecr == b.tsecr && a.options == b.options &&
         a.ip_id == b.ip_id && a.sack_left == b.sack_left && a.sack_right == b.sack_right;
}

}  // namespace

bool Repeats::duplicate(const SegmentFact& s, Note& n, Index i) {
  Sender& self = r.me(s);
  // SYN-ACKs have no IP ID (linux-tcp 11.2), and the answer to a repeated SYN may meet the timer's repeat: where the SYN
  // was repeated, two alike are one packet only in a capture that was seen to record packets twice.
  if (s.syn() && s.has_ack() && s.ip_id == 0 && !r.c_.quality.capture_duplicates && r.c_.streams[0].syn_count != 1) return false;
  // Look at the last few of the same side; a copy further away has other packets of its burst between.
  Index at = i;
  for (int looked = 0; looked < 6 && --at >= 0;) {
    const SegmentFact& p = r.at(at);
    if (p.from_server != s.from_server) {
      if (s.syn() && s.has_ack() && p.syn() && r.note(at).repeat != Repeat::kCaptureDuplicate) return false;
      continue;
    }
    ++looked;
    if (!same_bytes(p, s)) continue;
    const std::int64_t gap = (s.time - p.time).count();
    // Without an IP ID only a copy at once is told from a repeat: no timer is that fast. An ID that does not
    // count says nothing either.
    const bool id_tells = s.ip_id != 0 && self.ids_counted > self.ids_same;
    const bool at_once = gap >= 0 && gap < kSameInstant && (s.ttl != p.ttl || s.length() > 0 || at == i - 1);
    // A socket aborts once: the same RST+ACK at once, where the capture is known to record twice, is one.
    const bool abort_again = s.rst() && s.has_ack() && gap >= 0 && gap < kSameInstant && r.c_.quality.capture_duplicates;
    if (!abort_again && !id_tells && !(at_once && s.ip_id != 0) && !(at_once && (s.ttl != p.ttl || s.length() > 0 || s.file != p.file))) return false;
    // A SYN or a probe repeated by a host has a new ID; the same one after a second is the network's or a loop's.
    const bool network = gap >= kSameInstant || s.ttl + 1 < p.ttl;
    n.repeat = network ? Repeat::kNetworkDuplicate : Repeat::kCaptureDuplicate;
    n.original = r.note(at).original >= 0 && r.note(at).repeat == n.repeat ? r.note(at).original : at;
    if (!network) r.c_.quality.capture_duplicates = true;
    return true;
  }
  return false;
}

bool Repeats::is_probe(const SegmentFact& s, Index i) const {
  if (s.payload_bytes > 1 || s.fin() || s.syn() || !s.has_ack()) return false;
  const Sender& self = r.sides_[s.from_server];
  const bool before_una = self.una_known ? s.seq + 1 == self.una : s.seq + 1 == self.nxt;
  if (s.payload_bytes == 0) {
    // Linux net/ipv4/tcp_output.c tcp_xmit_probe_skb(): seq = snd_una - 1, empty. With data outstanding only
    // the window probe has this shape.
    return before_una && (self.nxt == self.una || !self.una_known || self.window_zero);
  }
  if (self.window_zero && self.window_seen && (s.seq == self.una || before_una) &&
      (s.seq == self.nxt || s.end() == self.nxt || s.end() == self.sent_max))
    return true;  // BSD: one octet into the closed window
  if (!before_una || self.nxt != s.end()) return false;
  // One octet that was acknowledged: a keepalive with garbage (RFC 9293 3.8.4), or a one-octet segment again.
  const Index sent = self.last_sent;
  const bool was_one_octet = sent >= 0 && r.at(sent).seq == s.seq && r.at(sent).payload_bytes == 1 &&
                             r.note(sent).repeat != Repeat::kKeepalive;
  if (!was_one_octet) return true;
  return r.since(sent, i) >= 5'000 * kMs;
}

void Repeats::probe(const SegmentFact& s, Note& n, Index i) {
  Sender& self = r.me(s);
  facts::StreamFacts& stream = r.c_.streams[s.from_server];
  n.seq_place = before(s.seq, self.nxt) ? facts::SeqPlace::kBehind : facts::SeqPlace::kBeyondWindow;
  if (self.window_zero) {
    n.repeat = Repeat::kZeroWindowProbe;
    if (after(s.end(), self.sent_max)) self.sent_max = s.end();
  } else {
    // Shortly after an ACK of the one octet before, an empty segment with the old number is an ACK that was overtaken.
    if (self.last >= 0 && r.since(self.last, i) < kShortestKeepalive && s.payload_bytes == 0) return;
    n.repeat = Repeat::kKeepalive;
    ++stream.keepalives;
  }
}

Index Repeats::previous(const SegmentFact& s, Index i) const {
  const Index stop = std::max<Index>(0, i - kLookBack);
  // The transmission of the first octet that is repeated.
  for (Index at = i - 1; at >= stop; --at) {
    const SegmentFact& p = r.at(at);
    if (p.from_server != s.from_server || p.length() == 0 || p.rst()) continue;
    if (in_window(s.seq, p.seq, p.length())) return at;
  }
  return -1;
}

/// A stack repeats the same octets (RFC 9293 3.8.1). What arrived damaged differs without a second author, and a
/// stretch of story that was not kept may hide a turn of the numbers.
void Repeats::compare(const SegmentFact& s, const SegmentFact& earlier) {
  if (s.seq != earlier.seq || s.payload_digest() == 0 || earlier.payload_digest() == 0 || r.past_gap_) return;
  if ((s.anomalies | earlier.anomalies) & wire::Anomaly::kBadTcpChecksum) return;
  if (s.payload_digest() != earlier.payload_digest()) r.signals_ |= facts::Signal::kConflictingData;
}

void Repeats::enter(const SegmentFact& s, Repeat kind) {
  Sender& self = r.me(s);
  if (kind == Repeat::kRto && !self.in_rto) {
    self.in_rto = true;
    self.in_fast = false;
    self.recovery_end = self.nxt;
  } else if (kind == Repeat::kFast && !self.in_rto && !self.in_fast) {
    self.in_fast = true;
    self.recovery_end = self.nxt;
  }
}

Repeat Repeats::by_timing(const SegmentFact& s, Index i, Index before_it, std::int64_t gap) const {
  const Sender& self = r.sides_[s.from_server];
  const Sender& other = r.sides_[1 - s.from_server];
  // From the vantage to the sender and back: how late a reaction of the sender to an ACK is seen here.
  const std::int64_t to_sender = std::max<std::int64_t>(self.rtt, 0);
  const bool sack_above = self.sacked && after(self.sack_high, s.seq);
  const bool signs = sack_above || self.dup_acks >= 3;
  const bool again_after = before_it >= 0 && r.note(before_it).repeat != Repeat::kNone;
  const bool fresh_sign = self.last_loss_sign >= 0 && (before_it < 0 || self.last_loss_sign > before_it || !again_after);
  const std::int64_t since_peer = other.last >= 0 ? r.since(other.last, i) : -1;
  // Pacing and RACK's reordering window (RFC 8985 6.2: a quarter of the round trip) delay the reaction a little.
  const std::int64_t reaction = 2 * to_sender + r.round_trip(0) / 2 + 40 * kMs;
  const bool clocked = since_peer >= 0 && since_peer <= reaction;

  if (signs && fresh_sign && (clocked || gap < kShortestTimeout)) return Repeat::kFast;
  if (self.in_fast && clocked && !again_after) return Repeat::kFast;  // RFC 6582: a partial ACK
  if (self.in_rto && gap >= 0 && (gap >= kShortestTimeout || !again_after)) return Repeat::kRto;
  const bool tail = s.end() == self.nxt;
  if (tail && !signs && !again_after && r.c_.streams[s.from_server].sack) return Repeat::kTlp;
  if (gap >= kShortestTimeout) return Repeat::kRto;
  if (tail && !signs && !again_after && gap >= r.round_trip(kShortestTimeout)) return Repeat::kTlp;
  // Hosts of one rack run with timeouts of a few milliseconds.
  if (gap >= 3 * r.round_trip(kShortestTimeout) && gap >= 4 * kMs) return Repeat::kRto;
  return Repeat::kAmbiguous;
}

void Repeats::again(const SegmentFact& s, Note& n, Index i) {
  Sender& self = r.me(s);
  facts::StreamFacts& stream = r.c_.streams[s.from_server];
  const Index p = previous(s, i);
  const std::int64_t gap = p >= 0 ? r.since(p, i) : -1;
  if (p >= 0) {
    const Note& pn = r.note(p);
    const SegmentFact& ps = r.at(p);
    compare(s, ps);
    n.original = pn.original >= 0 && in_window(s.seq, r.at(pn.original).seq, std::max(r.at(pn.original).length(), 1u))
                     ? pn.original : p;
    // The octet of a window probe, sent again with more: new data, the probe was dropped by the closed window.
    if (pn.repeat == Repeat::kZeroWindowProbe && s.payload_bytes > ps.payload_bytes) return;
  }
  ++stream.repeats;
  if (self.timed >= 0 && after(self.timed_end, s.seq)) self.timed = -1;

  const bool was_acked = self.una_known && !after(s.end(), self.una);
  if (s.payload_bytes == 0 && s.fin()) {
    n.repeat = Repeat::kFin;
    return;
  }
  if (p < 0) {
    n.repeat = was_acked ? Repeat::kSpurious : Repeat::kUnseenOriginal;
    return;
  }
  const Repeat kind = by_timing(s, i, p, gap);
  if (was_acked) {
    // It had arrived, as its ACK said when it passed here. A copy that came at once is no decision of the sender.
    const SegmentFact& ps = r.at(p);
    const bool other_packet = s.ip_id != ps.ip_id || s.tsval != ps.tsval || s.payload_bytes != ps.payload_bytes;
    n.repeat = gap < kSameInstant && !other_packet ? Repeat::kNetworkDuplicate : Repeat::kSpurious;
    if (n.repeat == Repeat::kSpurious) enter(s, kind);
    return;
  }
  n.repeat = kind;
  // Two gaps that double belong to one timer: the first was no probe (linux-tcp 8.3: R R 2R after a probe).
  if (r.note(p).repeat == Repeat::kTlp && n.original >= 0 && kind != Repeat::kFast) {
    const std::int64_t first_gap = r.since(n.original, p);
    if (first_gap > 0 && gap * 2 >= first_gap * 3 && first_gap >= kShortestTimeout) {
      r.note(p).repeat = Repeat::kRto;
    }
  }
  enter(s, kind);
  if (self.una_known && s.seq == self.una) self.judged = i;
}

void Repeats::fills(const SegmentFact& s, Note& n, Index i) {
  Sender& self = r.me(s);
  facts::StreamFacts& stream = r.c_.streams[s.from_server];
  const bool below = before(s.seq, self.low);
  Hole hole{};
  std::uint32_t found = self.hole_count;
  for (std::uint32_t h = 0; h < self.hole_count; ++h)
    if (before(s.seq, self.holes[h].to) && after(s.end(), self.holes[h].from)) {
      hole = self.holes[h];
      found = h;
      break;
    }
  if (found < self.hole_count) {
    // Take the octets out of the hole.
    Hole& h = self.holes[found];
    const bool from_left = !after(s.seq, h.from), to_right = !before(s.end(), h.to);
    const SeqNum left = from_left ? h.from : s.seq, right = to_right ? h.to : s.end();
    self.octets += distance(left, right);
    if (from_left && to_right) {
      std::copy(self.holes.begin() + found + 1, self.holes.begin() + self.hole_count, self.holes.begin() + found);
      --self.hole_count;
    } else if (from_left) {
      h.from = s.end();
    } else if (to_right) {
      h.to = s.seq;
    } else {
      const Hole rest{s.end(), h.to, h.opened_by, h.by_ack, h.acked};
      h.to = s.seq;
      r.open_hole(self, rest.from, rest.to, rest.opened_by, rest.by_ack);
      self.holes[self.hole_count - 1].acked = rest.acked;
    }
  }
  if (below) {
    n.repeat = Repeat::kUnseenOriginal;
    if (found == self.hole_count) self.octets += std::min(distance(s.seq, self.low), s.payload_bytes);
    self.low = s.seq;
    if (found == self.hole_count) return;
  }

  const SegmentFact& opener = r.at(hole.opened_by);
  const std::int64_t gap = r.since(hole.opened_by, i);
  if (hole.by_ack) {
    if (gap < kCaptureSkew) {
      // The ACK was captured before the data it acknowledges: several receive queues, or two interfaces.
      n.repeat = Repeat::kOutOfOrder;
      r.c_.quality.capture_reordered = true;
      r.note(hole.opened_by).ack_place = facts::AckPlace::kNew;
    } else {
      n.repeat = Repeat::kUnseenOriginal;
      ++stream.repeats;
    }
    return;
  }

  // The order in which the sender made the packets: its timestamps, then its IP IDs.
  if (s.has(Opt::kTimestamps) && opener.has(Opt::kTimestamps) && s.tsval != opener.tsval) {
    n.repeat = static_cast<std::int32_t>(s.tsval - opener.tsval) < 0 ? Repeat::kOutOfOrder : Repeat::kAmbiguous;
  } else if (self.ids_counted > 4 * (self.ids_same + self.ids_jumped) && self.ids_counted >= 2) {
    const std::int16_t step = static_cast<std::int16_t>(s.ip_id - opener.ip_id);
    if (step < 0 && step > -1024) n.repeat = Repeat::kOutOfOrder;
    if (step > 0 && step < 1024) n.repeat = Repeat::kAmbiguous;
  }
  const bool made_later = n.repeat == Repeat::kAmbiguous;
  const std::int64_t to_peer = r.sides_[1 - s.from_server].rtt;
  if (n.repeat == Repeat::kNone) {
    // No repeat can come before the receiver's complaint has travelled to the sender and back.
    const std::int64_t round = r.round_trip(-1);
    if ((round >= 0 && gap < round * 3 / 4) || (round < 0 && gap < kCaptureSkew)) n.repeat = Repeat::kOutOfOrder;
  }
  if (n.repeat == Repeat::kOutOfOrder) {
    if (hole.acked && gap < kCaptureSkew && to_peer >= 0 && gap < to_peer) r.c_.quality.capture_reordered = true;
    return;
  }
  ++stream.repeats;
  self.timed = -1;
  if (hole.acked && self.una_known && !after(s.end(), self.una)) {
    n.repeat = Repeat::kSpurious;  // The receiver had it: the capture had not.
    return;
  }
  const bool signs = self.dup_acks >= 1 || (self.sacked && after(self.sack_high, s.seq));
  if (signs && gap < std::max(kShortestTimeout, r.round_trip(0) * 2)) {
    n.repeat = Repeat::kFast;
  } else if (gap >= kShortestTimeout) {
    const Repeat kind = by_timing(s, i, hole.opened_by, gap);
    n.repeat = kind == Repeat::kTlp ? Repeat::kRto : kind;
  } else {
    n.repeat = made_later ? Repeat::kUnseenOriginal : Repeat::kAmbiguous;
  }
  enter(s, n.repeat);
}

void Repeats::judge_by_ack(const SegmentFact& ack, Index i) {
  Sender& sender = r.peer(ack);
  const Index j = sender.judged;
  if (j < 0) return;
  const SegmentFact& repeat = r.at(j);
  if (!after(ack.ack, repeat.seq)) return;
  sender.judged = -1;
  Note& n = r.note(j);
  if (n.original < 0) return;
  const SegmentFact& original = r.at(n.original);
  // Eifel, RFC 3522: the ACK echoes a timestamp older than the repeat's, so the original made the receiver send it.
  if (repeat.has(Opt::kTimestamps) && original.has(Opt::kTimestamps) && ack.has(Opt::kTimestamps) &&
      repeat.tsval != original.tsval) {
    if (static_cast<std::int32_t>(ack.tsecr - repeat.tsval) < 0) n.repeat = Repeat::kSpurious;
    return;
  }
  // Too soon after the repeat to be caused by it.
  const std::int64_t answer = r.me(ack).rtt;
  if (answer >= kMs && r.since(j, i) < answer / 2) n.repeat = Repeat::kSpurious;
}

void Repeats::judge_by_dsack(const SegmentFact& ack, Index i) {
  const Index stop = std::max<Index>(0, i - kLookBack);
  for (Index at = i - 1; at >= stop; --at) {
    const SegmentFact& s = r.at(at);
    if (s.from_server == ack.from_server || s.length() == 0) continue;
    Note& n = r.note(at);
    if (n.repeat == Repeat::kNone || !before(s.seq, ack.sack_right) || !after(s.end(), ack.sack_left)) continue;
    switch (n.repeat) {
      case Repeat::kRto: case Repeat::kFast: case Repeat::kTlp: case Repeat::kAmbiguous: case Repeat::kUnseenOriginal:
        n.repeat = Repeat::kSpurious;
        return;
      case Repeat::kCaptureDuplicate:
        n.repeat = Repeat::kNetworkDuplicate;  // The receiver got both.
        return;
      case Repeat::kSpurious: case Repeat::kNetworkDuplicate:
        break;  // Reported already; each D-SACK reports one copy (RFC 2883 4).
      case Repeat::kNone: case Repeat::kSyn: case Repeat::kSynAck: case Repeat::kKeepalive: case Repeat::kZeroWindowProbe:
      case Repeat::kFin: case Repeat::kOutOfOrder:
        return;
    }
  }
}

}  // namespace tcpwhy::flow
