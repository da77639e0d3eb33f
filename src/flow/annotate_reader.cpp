// Reading the story once, front to back: who sent which numbers, what was
// acknowledged, where each segment lies. The vantage is somewhere on the path,
// so "seen here" and "arrived there" are different things: an ACK may pass
// before the data it covers was captured, data may pass that is lost later.
// What this leaves out is what a repeat is (annotate_repeats.cpp) and what an
// answer answers (annotate_answers.cpp).

#include <algorithm>

#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::AckPlace;
using facts::Repeat;
using facts::SeqPlace;
using facts::Signal;
using facts::StreamFacts;

namespace {

using wire::Anomaly;
using wire::Opt;

// RFC 7323 2.3: no window is larger than this, whatever the scale.
constexpr std::uint32_t kLargestWindow = 65535u << 14;
// How far apart data and an ACK may lie and still speak of the same place after a stretch that was not captured.
constexpr std::uint32_t kStretch = 1u << 22;

bool is_near(SeqNum a, SeqNum b) { return in_window(a, b - kStretch, 2 * kStretch); }

/// Windows of both sides are scaled only when both SYNs offered it (RFC 7323 2.2).
void agree_on_options(Connection& c) {
  StreamFacts& a = c.streams[0];
  StreamFacts& b = c.streams[1];
  const bool a_scales = a.syn_seen && (a.syn_options & Opt::kWindowScale);
  const bool b_scales = b.syn_seen && (b.syn_options & Opt::kWindowScale);
  if (a.syn_seen && b.syn_seen) {
    a.scaling_known = b.scaling_known = true;
    if (!a_scales || !b_scales) a.window_shift = b.window_shift = 0;
  } else {
    // One SYN without the option settles both; a SYN-ACK with it settles its own side.
    if ((a.syn_seen && !a_scales) || (b.syn_seen && !b_scales)) {
      a.scaling_known = b.scaling_known = true;
      a.window_shift = b.window_shift = 0;
    } else if (b_scales) {
      b.scaling_known = true;
    }
  }
  // The snap length cut the options of a SYN: what was agreed cannot be told.
  for (Index i : {c.syn, c.syn_ack})
    if (i >= 0 && (c.segments[static_cast<std::size_t>(i)].anomalies & Anomaly::kTruncatedHeader)) {
      a.scaling_known = b.scaling_known = false;
      a.window_shift = b.window_shift = 0;
    }
  const bool both = a.syn_seen && b.syn_seen;
  a.timestamps = b.timestamps = both && (a.syn_options & b.syn_options & Opt::kTimestamps);
  a.sack = b.sack = both && (a.syn_options & b.syn_options & Opt::kSackPermitted);
}

/// What the tracker saw of a beginning that was not kept: the story goes on from there.
StreamFacts opened_before(const StreamFacts& counted) {
  StreamFacts s;
  s.syn_seen = counted.syn_seen;
  s.iss = counted.iss;
  s.mss = counted.mss;
  s.syn_options = counted.syn_options;
  s.window_shift = counted.window_shift;
  s.scaling_known = counted.scaling_known;
  s.timestamps = counted.timestamps;
  s.sack = counted.sack;
  s.syn_window = counted.syn_window;
  return s;
}

/// Counters cover dropped segments too: never less than what the tracker counted.
void at_least(StreamFacts& s, const StreamFacts& counted) {
  s.packets = std::max(s.packets, counted.packets);
  s.payload_bytes = std::max(s.payload_bytes, counted.payload_bytes);
  s.unique_bytes = std::max(s.unique_bytes, counted.unique_bytes);
  s.syn_count = std::max(s.syn_count, counted.syn_count);
  s.repeats = std::max(s.repeats, counted.repeats);
  s.zero_windows = std::max(s.zero_windows, counted.zero_windows);
  s.keepalives = std::max(s.keepalives, counted.keepalives);
  s.bad_checksums = std::max(s.bad_checksums, counted.bad_checksums);
  s.fin_not_kept = counted.fin_seen && !s.fin_seen;
}

}  // namespace

std::int64_t Reader::round_trip(std::int64_t fallback) const {
  const std::int64_t a = sides_[0].rtt, b = sides_[1].rtt;
  if (a < 0 && b < 0) return fallback;
  return std::max<std::int64_t>(a, 0) + std::max<std::int64_t>(b, 0);
}

void Reader::read() {
  const std::array<StreamFacts, 2> counted = c_.streams;
  const bool incomplete = c_.quality.story_incomplete;
  const bool lacks_beginning = incomplete && c_.gap_after < 0;
  for (StreamFacts& s : c_.streams) s = lacks_beginning ? opened_before(s) : StreamFacts{};
  past_gap_ = lacks_beginning;

  const Index count_of = static_cast<Index>(c_.segments.size());
  for (Index i = 0; i < count_of; ++i) {
    const SegmentFact& s = at(i);
    Note& n = note(i);
    count(s, i);
    Sender& self = me(s);
    const bool duplicate = Repeats{*this}.duplicate(s, n, i);
    if (s.rst()) {
      Answers{*this}.reset(s, n, i);
      self.rst = true;
      self.last = i;
      continue;
    }
    if (is_foreign(s, i)) {
      // Numbers of another connection on these ports: a SYN met one that still lives, or its TIME-WAIT
      // (RFC 5961 4.2, linux-tcp 6.5). They say nothing about this one.
      n.ack_place = AckPlace::kImpossible;
      Answers{*this}.bare_ack(s, n, i);
      self.last = i;
      continue;
    }
    if (duplicate) {
      // The same packet again says nothing new about either side.
      n.seq_place = self.any && before(s.seq, self.nxt) ? SeqPlace::kBehind : SeqPlace::kUnknown;
      n.ack_place = s.has_ack() ? AckPlace::kCurrent : AckPlace::kNoAck;
      continue;
    }
    if (s.syn()) {
      open(i);
    } else {
      place_sequence(s, n, i);
    }
    place_ack(s, n, i);
    take_window(s, n);
    take_clock(s, n);
    take_ip_id(s);
    if (self.any && self.una_known) {
      const std::int32_t outstanding = offset(self.una, self.nxt);
      n.unacked_after = outstanding > 0 ? static_cast<std::uint32_t>(outstanding) : 0;
    } else if (self.any) {
      n.unacked_after = distance(self.low, self.nxt);
    }
    self.last = i;
    if (s.length() > 0) self.last_sent = i;
    // After a dropped stretch of the story nothing may be concluded from a jump of numbers.
    if (i == c_.gap_after)
      begin_again();
  }

  for (Party p : {Party::kClient, Party::kServer}) {
    StreamFacts& stream = c_.streams[facts::index(p)];
    const Sender& sender = side(p);
    stream.max_end = sender.nxt;
    stream.unique_bytes = sender.octets;
    if (incomplete) at_least(stream, counted[facts::index(p)]);
    if (sender.rtt >= 0) (p == Party::kServer ? c_.rtt_to_server : c_.rtt_to_client) = Duration{sender.rtt};
    for (std::uint32_t h = 0; h < sender.hole_count; ++h)
      if (sender.holes[h].acked && !c_.quality.story_incomplete) c_.quality.capture_gap = true;
  }
}

/// The other side took this ACK, of something that was not captured, for its own: it goes on from there. What it takes for
/// another connection's it answers by RST or by its SYN again.
bool Reader::took_up(const SegmentFact& s, Index i) const {
  if (c_.streams[s.from_server].syn_seen || offset(sides_[1 - s.from_server].sent_max, s.ack) >= (1 << 16)) return false;
  const auto count = static_cast<Index>(c_.segments.size());
  for (Index k = i + 1; k < count && k < i + 32; ++k) {
    const SegmentFact& next = at(k);
    if (next.from_server == s.from_server) continue;
    return next.has_ack() && !next.rst() && !next.syn() && !before(next.seq, s.ack);
  }
  return false;
}

bool Reader::is_foreign(const SegmentFact& s, Index i) const {
  const Sender& self = sides_[s.from_server];
  const Sender& other = sides_[1 - s.from_server];
  const StreamFacts& theirs = c_.streams[1 - s.from_server];
  if (s.syn() || self.any || past_gap_ || !theirs.syn_seen || !other.any || !s.has_ack()) return false;
  return offset(theirs.iss + 1, s.ack) < 0 || (after(s.ack, other.sent_max) && !took_up(s, i));
}

void Reader::begin_again() {
  past_gap_ = true;
  for (Sender& side : sides_) {
    side.any = side.una_known = side.right_known = side.window_seen = side.window_zero = false;
    side.in_rto = side.in_fast = side.sacked = side.tsval_seen = false;
    side.timed = side.judged = side.wrong_ack = side.beyond = side.last_loss_sign = -1;
    side.hole_count = side.dup_acks = 0;
  }
  for (StreamFacts& stream : c_.streams) stream.ack_seen = false;
}

void Reader::count(const SegmentFact& s, Index i) {
  StreamFacts& stream = c_.streams[s.from_server];
  if (!stream.seen) {
    stream.seen = true;
    stream.first = i;
    stream.ttl = s.ttl;
  }
  stream.last = i;
  ++stream.packets;
  stream.payload_bytes += s.payload_bytes;
  if (s.payload_bytes > 0 && !s.rst()) {
    if (stream.first_data < 0) stream.first_data = i;
    stream.last_data = i;
  }
  if (s.rst()) {
    stream.rst_seen = true;
    if (stream.rst < 0) stream.rst = i;
  } else if (s.fin()) {
    if (!stream.fin_seen) {
      stream.fin_seen = true;
      stream.fin = i;
      stream.fin_seq = s.end() - 1;
    }
  }
  if (s.anomalies & Anomaly::kBadTcpChecksum) ++stream.bad_checksums;
}

void Reader::open(Index i) {
  const SegmentFact& s = at(i);
  Note& n = note(i);
  StreamFacts& stream = c_.streams[s.from_server];
  Sender& self = me(s);
  if (!s.has_ack() && !s.from_server && c_.syn < 0) c_.syn = i;
  if (s.has_ack() && s.from_server && c_.syn_ack < 0) {
    c_.syn_ack = i;
    // A capture that mixes up the order shows the client's answer before what it answers.
    for (Index k = c_.syn + 1; c_.syn >= 0 && k < i && c_.handshake_ack < 0; ++k)
      if (const SegmentFact& early = at(k); !early.from_server && !early.syn() && !early.rst() && early.has_ack() && early.ack == s.end()) c_.handshake_ack = k;
  }
  // Client: SYNs. Server: SYN-ACKs, or SYNs of a simultaneous open.
  if (s.from_server || !s.has_ack()) ++stream.syn_count;

  if (stream.syn_seen && s.seq == stream.iss) {
    n.seq_place = SeqPlace::kBehind;
    Index first = stream.first;
    while (first < i && !(at(first).syn() && at(first).from_server == s.from_server && at(first).seq == s.seq)) ++first;
    const bool same_kind = at(first).has_ack() == s.has_ack();
    n.repeat = !same_kind ? Repeat::kNone : s.has_ack() ? Repeat::kSynAck : Repeat::kSyn;
    if (same_kind) {
      n.original = first;
      ++stream.repeats;
    }
    if (self.timed == first) self.timed = -1;  // RFC 6298 section 3, Karn's rule
  } else if (self.any && !stream.syn_seen && stream.packets > 1 && !(self.octets == 0 && self.low == s.end() && self.nxt == s.end())) {
    // A SYN inside a connection that was picked up later than its own SYN.
    n.seq_place = in_window(s.seq, self.una_known ? self.una : self.low, kLargestWindow) ? SeqPlace::kAhead : SeqPlace::kBehind;
  } else if (stream.syn_seen && self.octets > 0) {
    n.seq_place = before(s.seq, self.nxt) ? SeqPlace::kBehind : SeqPlace::kAhead;
  } else {
    // The first SYN, be it overtaken by a bare ACK, or one with another number before anything was sent.
    if (stream.syn_seen && s.from_server && s.has_ack()) signals_ |= Signal::kSecondSynAck;
    const bool first = !stream.syn_seen;
    if (first || !s.from_server) {
      stream.syn_seen = true;
      stream.iss = s.seq;
      stream.mss = s.mss;
      stream.syn_options = s.options;
      stream.window_shift = s.has(Opt::kWindowScale) ? s.window_scale : std::uint8_t{0};
      stream.syn_window = s.window;
      self.any = true;
      self.una_known = false;
      self.low = s.seq;
      self.nxt = self.sent_max = s.end();
      self.syn_data = s.payload_bytes > 0;
      self.octets = s.payload_bytes;
      self.hole_count = 0;
      self.last_new = i;
      self.timed = i;
      self.timed_end = s.end();
      agree_on_options(c_);
    }
    n.seq_place = first ? SeqPlace::kNext : SeqPlace::kUnknown;
  }
  if (s.has_ack()) Answers{*this}.syn_ack(s, n, i);
}

void Reader::open_hole(Sender& side, SeqNum from, SeqNum to, Index by, bool by_ack) {
  if (side.hole_count == side.holes.size()) {
    // Keep the newest; the oldest is as good as known to be lost.
    std::copy(side.holes.begin() + 1, side.holes.end(), side.holes.begin());
    --side.hole_count;
  }
  side.holes[side.hole_count++] = {from, to, by, by_ack, by_ack};
}

void Reader::place_sequence(const SegmentFact& s, Note& n, Index i) {
  Sender& self = me(s);
  const std::uint32_t length = s.length();
  if (!self.any) {
    self.any = true;
    self.low = s.seq;
    self.nxt = self.sent_max = s.end();
    self.octets = s.payload_bytes;
    n.seq_place = SeqPlace::kUnknown;
    const StreamFacts& acker = c_.streams[1 - s.from_server];
    if (acker.ack_seen) {
      // The other side was heard first: what it acknowledged had been sent before the capture.
      self.una = acker.max_ack;
      self.una_known = true;
      if (after(self.una, self.nxt)) self.nxt = self.sent_max = self.una;
    }
    if (length > 0) {
      self.last_new = i;
      self.timed = i;
      self.timed_end = s.end();
    }
    return;
  }
  if (Repeats{*this}.is_probe(s, i)) {
    Repeats{*this}.probe(s, n, i);
    return;
  }

  const std::int32_t ahead = offset(self.nxt, s.seq);
  const std::int32_t past_right = self.right_known ? offset(self.right, s.seq) : offset(self.nxt + kLargestWindow, s.seq);
  if (ahead == 0) {
    n.seq_place = SeqPlace::kNext;
  } else if (ahead > 0) {
    if (past_right > (length > 0 ? 0 : 1)) {
      // Beyond what its receiver offered: forged, another connection's, or the capture missed a stretch of
      // both directions. An ACK nearby decides; until then it does not move our idea of the stream.
      const bool confirmed = self.wrong_ack >= 0 && is_near(at(self.wrong_ack).ack, s.seq);
      if (!confirmed) {
        n.seq_place = SeqPlace::kBeyondWindow;
        self.beyond = i;
        return;
      }
      note(self.wrong_ack).ack_place = AckPlace::kUnseen;
      self.una = at(self.wrong_ack).ack;
      self.wrong_ack = -1;
      c_.quality.capture_gap = true;
    }
    n.seq_place = SeqPlace::kAhead;
    open_hole(self, self.nxt, s.seq, i, false);
  } else {
    n.seq_place = self.una_known && length > 0 && !after(s.end(), self.una) ? SeqPlace::kBeforeWindow : SeqPlace::kBehind;
    if (length == 0) return;
  }
  if (length == 0) {
    if (ahead > 0) self.nxt = self.sent_max = s.seq;  // An ACK sent after data that was not seen.
    return;
  }

  if (ahead < 0) {
    const bool below = before(s.seq, self.low);
    bool in_hole = below;
    for (std::uint32_t h = 0; h < self.hole_count && !in_hole; ++h)
      in_hole = before(s.seq, self.holes[h].to) && after(s.end(), self.holes[h].from);
    if (in_hole)
      Repeats{*this}.fills(s, n, i);
    else
      Repeats{*this}.again(s, n, i);
  }
  if (after(s.end(), self.nxt)) {
    const std::uint32_t fresh = distance(ahead > 0 ? s.seq : self.nxt, s.end());
    self.octets += std::min(fresh, s.payload_bytes);
    self.nxt = s.end();
    if (after(self.nxt, self.sent_max)) self.sent_max = self.nxt;
    if (n.repeat == Repeat::kNone) self.last_new = i;
    if (self.timed < 0 && n.repeat == Repeat::kNone) {
      self.timed = i;
      self.timed_end = s.end();
    }
  }
}

/// Does the side that segment `i` acknowledges use numbers from `ack` on itself, later? A RST without ACK flag only
/// repeats the number it was given (RFC 9293 3.10.7.1).
bool Reader::goes_on_at(SeqNum ack, Index i) const {
  for (Index k = i + 1; k < static_cast<Index>(c_.segments.size()); ++k) {
    const SegmentFact& s = at(k);
    if (s.from_server != at(i).from_server && s.has_ack() && !s.syn() && !before(s.seq, ack) && is_near(s.seq, ack)) return true;
  }
  return false;
}

void Reader::place_ack(const SegmentFact& s, Note& n, Index i) {
  if (!s.has_ack()) {
    n.ack_place = AckPlace::kNoAck;
    return;
  }
  StreamFacts& stream = c_.streams[s.from_server];
  const StreamFacts& theirs = c_.streams[1 - s.from_server];
  Sender& other = peer(s);
  if (!other.any) {
    n.ack_place = AckPlace::kUnknown;
    if (!stream.ack_seen || after(s.ack, stream.max_ack)) stream.max_ack = s.ack;
    stream.ack_seen = true;
    other.una = stream.max_ack;
    return;
  }

  // RFC 9293 3.10.7.4: what was never sent cannot be acknowledged; nor can less than the SYN once it was.
  const bool before_iss = theirs.syn_seen && other.octets < (1u << 30) && !past_gap_ && offset(theirs.iss + 1, s.ack) < 0;
  const std::int32_t unseen = offset(other.sent_max, s.ack);
  if (before_iss) {
    n.ack_place = AckPlace::kImpossible;
    other.wrong_ack = i;
    Answers{*this}.bare_ack(s, n, i);
    return;
  }
  if (unseen > 0) {
    // In a handshake that was seen nothing can be missing before the first payload.
    const std::int32_t beyond_right = other.right_known ? offset(other.right, s.ack) : offset(other.sent_max + kLargestWindow, s.ack);
    const bool nothing_sent = theirs.syn_seen && other.octets == 0 && !other.right_known && !took_up(s, i);
    const bool confirmed = other.beyond >= 0 && is_near(at(other.beyond).seq, s.ack);
    if (confirmed) {
      c_.quality.capture_gap = true;
      note(other.beyond).seq_place = SeqPlace::kAhead;
      other.beyond = -1;
    } else if ((beyond_right > 0 || nothing_sent) && goes_on_at(s.ack, i)) {
      c_.quality.capture_gap = true;
    } else if (beyond_right > 0 || nothing_sent) {
      n.ack_place = AckPlace::kImpossible;
      other.wrong_ack = i;
      Answers{*this}.bare_ack(s, n, i);
      return;
    }
    n.ack_place = AckPlace::kUnseen;
    open_hole(other, other.sent_max, s.ack, i, true);
    other.nxt = other.sent_max = s.ack;
    take_new_ack(s, n, i);
    return;
  }
  if (!other.una_known || after(s.ack, other.una)) {
    n.ack_place = AckPlace::kNew;
    take_new_ack(s, n, i);
  } else if (s.ack == other.una) {
    const bool same_window = other.window_seen && s.window == other.window_raw;
    const bool bare = s.length() == 0 && !s.syn();
    n.ack_place = bare && same_window ? AckPlace::kDuplicate : AckPlace::kCurrent;
    if (bare && other.nxt != other.una && n.repeat != Repeat::kKeepalive && n.repeat != Repeat::kZeroWindowProbe) {
      // RFC 5681 section 2, and RFC 6675: with SACK a duplicate is one that reports something new.
      if (s.sack_blocks > s.dsack) {
        other.sacked = true;
        if (other.dup_acks == 0 || after(s.sack_right, other.sack_high)) other.sack_high = s.sack_right;
        ++other.dup_acks;
        other.last_loss_sign = i;
      } else if (same_window && s.sack_blocks == 0) {
        ++other.dup_acks;
        other.last_loss_sign = i;
      }
    } else if (s.sack_blocks > s.dsack && other.nxt != other.una) {
      other.sacked = true;
      other.sack_high = s.sack_right;
      other.last_loss_sign = i;
    }
    Answers{*this}.bare_ack(s, n, i);
  } else {
    n.ack_place = AckPlace::kOld;
    Answers{*this}.bare_ack(s, n, i);
  }
  if (s.dsack) Repeats{*this}.judge_by_dsack(s, i);
}

void Reader::take_new_ack(const SegmentFact& s, Note& n, Index i) {
  Sender& other = peer(s);
  StreamFacts& stream = c_.streams[s.from_server];
  StreamFacts& theirs = c_.streams[1 - s.from_server];
  stream.ack_seen = true;
  stream.max_ack = s.ack;
  if (other.timed >= 0 && !before(s.ack, other.timed_end)) {
    const std::int64_t took = since(other.timed, i);
    Sender& self = me(s);
    if (took >= 0 && n.ack_place == AckPlace::kNew && (self.rtt < 0 || took < self.rtt)) self.rtt = took;
    other.timed = -1;
  }
  Repeats{*this}.judge_by_ack(s, i);
  other.una = s.ack;
  other.una_known = true;
  other.dup_acks = 0;
  other.sacked = s.sack_blocks > s.dsack;
  if (other.sacked) {
    other.sack_high = s.sack_right;
    other.last_loss_sign = i;
  }
  if ((other.in_rto || other.in_fast) && !before(s.ack, other.recovery_end)) other.in_rto = other.in_fast = false;
  if (theirs.fin_seen && after(s.ack, theirs.fin_seq)) theirs.fin_acked = true;
  for (std::uint32_t h = 0; h < other.hole_count; ++h)
    if (after(s.ack, other.holes[h].from)) other.holes[h].acked = true;
  // Data in a SYN that was not taken is sent again as new (RFC 7413 4.2).
  if (other.syn_data && s.syn() && s.ack == theirs.iss + 1) other.nxt = other.sent_max = s.ack;
  if (c_.handshake_ack < 0 && !s.from_server && theirs.syn_seen) c_.handshake_ack = i;
}

void Reader::take_window(const SegmentFact& s, Note& n) {
  StreamFacts& stream = c_.streams[s.from_server];
  Sender& other = peer(s);
  if (s.anomalies & Anomaly::kWindowUnseen) return;
  n.window_known = s.syn() || stream.scaling_known || s.window == 0;
  n.scaled_window = n.window_known ? (s.syn() ? s.window : static_cast<std::uint32_t>(s.window) << stream.window_shift) : 0;
  if (!s.has_ack() || n.ack_place == AckPlace::kImpossible || n.ack_place == AckPlace::kOld) return;
  const std::uint32_t largest = n.window_known ? n.scaled_window : static_cast<std::uint32_t>(s.window) << 14;
  const SeqNum edge = s.ack + largest;
  if (!other.right_known || after(edge, other.right)) other.right = edge;
  other.right_known = true;
  // The window of a side that has the peer's FIN is of no use any more, and many stacks close it then.
  const bool peer_done = c_.streams[1 - s.from_server].fin_seen;
  if (s.window == 0 && !s.syn() && !other.window_zero && !peer_done) ++stream.zero_windows;
  other.window_zero = s.window == 0 && !s.syn();
  other.window = largest;
  other.window_raw = s.window;
  other.window_seen = true;
}

void Reader::take_clock(const SegmentFact& s, const Note& n) {
  if (!s.has(Opt::kTimestamps)) return;
  Sender& self = me(s);
  // RFC 7323 5: one tick back is tolerated; reordered and repeated segments are no regress of the clock.
  if (self.tsval_seen && n.repeat == Repeat::kNone && !s.syn() && n.ack_place != AckPlace::kOld &&
      (n.seq_place == SeqPlace::kNext || n.seq_place == SeqPlace::kAhead) &&
      static_cast<std::int32_t>(s.tsval - self.last_tsval) < -1)
    signals_ |= Signal::kTimestampRegress;
  if (!self.tsval_seen || static_cast<std::int32_t>(s.tsval - self.last_tsval) > 0) self.last_tsval = s.tsval;
  self.tsval_seen = true;
}

void Reader::take_ip_id(const SegmentFact& s) {
  Sender& self = me(s);
  if (self.last >= 0) {
    const std::uint16_t step = static_cast<std::uint16_t>(s.ip_id - self.last_ip_id);
    if (step == 0)
      ++self.ids_same;
    else if (step < 1024)
      ++self.ids_counted;
    else if (self.last_ip_id != 0 || !at(self.last).syn())
      ++self.ids_jumped;
  }
  self.last_ip_id = s.ip_id;
}

}  // namespace tcpwhy::flow
