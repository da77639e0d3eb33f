// Answers: which segment made its receiver send a RST, a SYN-ACK or an ACK
// without news. Linux answers statelessly with the offender's own numbers
// (tcp_v4_send_reset(): seq = the offender's ack number), so the shape of a RST
// says whether a socket sent it on its own account or a host answered something.

#include <algorithm>

#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::AckPlace;
using facts::Repeat;
using facts::RstShape;
using facts::SeqPlace;
using wire::Opt;

namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr Index kLookBack = 64;
constexpr std::uint32_t kLargestWindow = 65535u << 14;

/// Options a stateless answer of Linux may carry: MD5, TCP-AO and the MPTCP reset (linux-tcp 7.1).
constexpr std::uint16_t kAnswerOptions = Opt::kMd5 | Opt::kAo | Opt::kMptcp;

}  // namespace

void Answers::reset(const SegmentFact& s, Note& n, Index i) {
  Sender& self = r.me(s);
  Sender& other = r.peer(s);
  facts::StreamFacts& mine = r.c_.streams[s.from_server];
  const facts::StreamFacts& theirs = r.c_.streams[1 - s.from_server];
  n.ack_place = s.has_ack() ? AckPlace::kCurrent : AckPlace::kNoAck;
  n.unacked_after = self.any && self.una_known && after(self.nxt, self.una) ? distance(self.una, self.nxt) : 0;

  // Where its number lies for the receiver: exactly next is what RFC 5961 3.2 asks for.
  const bool receiver_known = self.una_known || self.any || theirs.ack_seen;
  const SeqNum next = self.una_known ? self.una : self.any ? self.nxt : theirs.max_ack;
  if (receiver_known) {
    if (s.seq == next || (self.any && s.seq == self.nxt)) n.seq_place = SeqPlace::kNext;
    else if (before(s.seq, next)) n.seq_place = SeqPlace::kBeforeWindow;
    else if (self.right_known ? !after(s.seq, self.right) : distance(next, s.seq) <= kLargestWindow) n.seq_place = SeqPlace::kAhead;
    else n.seq_place = SeqPlace::kBeyondWindow;
  }

  // A RST answering a SYN: no numbers of its own yet, and the SYN acknowledged.
  if (s.has_ack() && theirs.syn_seen && (!mine.syn_seen || s.seq == SeqNum{0}) && mine.payload_bytes == 0) {
    Index at = i;
    const Index stop = std::max<Index>(0, i - kLookBack);
    while (--at >= stop) {
      const SegmentFact& syn = r.at(at);
      if (syn.from_server == s.from_server || !syn.syn() || syn.has_ack() || syn.end() != s.ack) continue;
      n.rst_shape = RstShape::kAnswerToSyn;
      n.provoked_by = at;
      return;
    }
  }

  // Longest time an answer takes to be seen here after what it answers; a delayed or queued one included.
  const std::int64_t patience = std::max<std::int64_t>(1'000 * kMs, 4 * r.round_trip(0));
  if (!s.has_ack()) {
    Index at = i, match = -1;
    const Index stop = std::max<Index>(0, i - kLookBack);
    while (--at >= stop) {
      const SegmentFact& p = r.at(at);
      if (p.from_server == s.from_server || p.rst() || !p.has_ack() || p.ack != s.seq) continue;
      match = at;
      break;
    }
    const bool plain = s.window == 0 && (s.options & ~kAnswerOptions) == 0;
    const bool lately = match >= 0 && r.since(match, i) <= patience;
    if (lately) {
      n.provoked_by = match;
      // It answers another connection's numbers and is meant for that one.
      if (r.note(match).challenge && r.note(match).ack_place == AckPlace::kImpossible) n.seq_place = SeqPlace::kUnknown;
      // Only one who never sent what is acknowledged answers so (linux-tcp 9.1, 9.2): the capture missed nothing.
      if (r.note(match).ack_place == AckPlace::kUnseen && r.at(match).payload_bytes == 0 && other.octets == 0)
        r.note(match).ack_place = AckPlace::kImpossible;
    }
    if (lately && plain) n.rst_shape = RstShape::kPassive;
    else if (n.seq_place == SeqPlace::kBeforeWindow || n.seq_place == SeqPlace::kBeyondWindow) n.rst_shape = RstShape::kOutOfWindow;
    else n.rst_shape = plain ? RstShape::kPassiveStale : RstShape::kOther;
    return;
  }

  const bool in_sequence = !receiver_known || n.seq_place == SeqPlace::kNext || n.seq_place == SeqPlace::kAhead ||
                           (self.any && self.una_known && !before(s.seq, self.una) && !after(s.seq, self.nxt));
  if (!in_sequence) {
    n.rst_shape = RstShape::kOutOfWindow;
    return;
  }
  const bool in_use = mine.timestamps || self.tsval_seen;
  const bool complete = s.window != 0 && (!in_use || s.has(Opt::kTimestamps));
  n.rst_shape = complete ? RstShape::kActive : RstShape::kActiveBare;
  if (complete) return;
  // Stacks that answer data with RST+ACK (Windows): the acknowledged number is the end of what they refuse.
  if (other.last >= 0 && r.since(other.last, i) <= patience) {
    const SegmentFact& p = r.at(other.last);
    if (p.length() > 0 && p.end() == s.ack) n.provoked_by = other.last;
  }
}

void Answers::syn_ack(const SegmentFact& s, Note& n, Index i) {
  // The SYN it answers is the last one with that number, unless an earlier SYN-ACK has answered that already.
  const Index stop = std::max<Index>(0, i - kLookBack);
  for (Index at = i - 1; at >= stop; --at) {
    const SegmentFact& p = r.at(at);
    if (p.from_server == s.from_server) {
      if (p.syn() && p.has_ack() && p.seq == s.seq) return;
      continue;
    }
    if (!p.syn() || p.has_ack() || p.rst()) continue;
    if (p.seq + 1 == s.ack || p.end() == s.ack) n.provoked_by = at;
    return;
  }
}

void Answers::bare_ack(const SegmentFact& s, Note& n, Index i) {
  if (s.length() > 0 || s.syn() || s.sack_blocks > s.dsack) return;  // It reports data beyond a gap.
  Sender& other = r.peer(s);
  const facts::StreamFacts& mine = r.c_.streams[s.from_server];
  // The nearest segment of the other side that no earlier segment of this side came after.
  const Index last = other.last;
  if (last < 0) return;
  const Sender& self = r.sides_[s.from_server];
  const std::int64_t patience = std::max<std::int64_t>(500 * kMs, 4 * r.round_trip(0));
  if (r.since(last, i) > patience) return;
  const SegmentFact& p = r.at(last);
  const Note& pn = r.note(last);
  const bool is_first_answer = self.last < last;

  if (p.syn() && !p.has_ack()) {
    // A SYN met a connection, a TIME-WAIT or a request: RFC 5961 4.2, linux-tcp 6.5 c1. (A SYN-ACK that
    // repeats and an ACK of the client are told apart by who sent the SYN.)
    if (s.ack != p.end() || !mine.syn_seen) {
      n.provoked_by = last;
      n.challenge = true;
    }
    return;
  }
  if (!is_first_answer) return;
  if (p.syn() && p.has_ack() && pn.repeat == Repeat::kSynAck) {
    n.provoked_by = last;  // RFC 9293 3.10.7.4: a SYN-ACK in the synchronized states is answered by an ACK.
    n.challenge = true;
    return;
  }
  if (p.rst()) {
    n.provoked_by = last;
    n.challenge = true;
    return;
  }
  switch (pn.repeat) {
    case Repeat::kKeepalive:
    case Repeat::kZeroWindowProbe:
    case Repeat::kSpurious:
    case Repeat::kFin:
    case Repeat::kNetworkDuplicate:
      n.provoked_by = last;
      return;
    case Repeat::kNone: case Repeat::kSyn: case Repeat::kSynAck: case Repeat::kRto: case Repeat::kFast: case Repeat::kTlp:
    case Repeat::kOutOfOrder: case Repeat::kCaptureDuplicate: case Repeat::kUnseenOriginal: case Repeat::kAmbiguous:
      break;
  }
  if (pn.ack_place == AckPlace::kImpossible || pn.seq_place == SeqPlace::kBeyondWindow ||
      (pn.seq_place == SeqPlace::kBeforeWindow && p.length() > 0)) {
    n.provoked_by = last;
    n.challenge = true;
  }
}

}  // namespace tcpwhy::flow
