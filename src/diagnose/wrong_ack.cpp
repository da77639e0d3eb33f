#include "diagnose/wrong_ack.hpp"

#include <algorithm>
#include <cstdlib>

#include "diagnose/conversation.hpp"
#include "diagnose/reset_story.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose::ending {

using facts::AckPlace;
using facts::Connection;
using facts::index;
using facts::Party;
using facts::SegmentFact;

std::optional<WrongAcks> wrong_acks(const Connection& c) {
  if (std::none_of(c.notes.begin(), c.notes.end(), [](const facts::Note& n) { return n.ack_place == AckPlace::kImpossible; }))
    return std::nullopt;
  WrongAcks w;
  std::array<std::optional<SeqNum>, 2> sent{};
  std::array<std::int32_t, 2> right{-1, -1};
  for (std::int32_t i = 0; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    const std::size_t me = index(s.from()), peer = 1 - me;
    // A bare ACK in answer to a SYN speaks of an older connection: a challenge (RFC 5961 4.2), not a wrong number.
    const bool answers_syn = s.from() == Party::kServer && !s.syn() && c.syn >= 0 && (c.syn_ack < 0 || i < c.syn_ack);
    if (!s.rst() && s.has_ack() && !answers_syn) {
      if (c.note(i).ack_place != AckPlace::kImpossible) {
        if (c.note(i).ack_place != AckPlace::kUnknown) right[me] = i;
      } else if (w.first < 0 || s.from() == w.by) {
        const std::int32_t shift = sent[peer] ? offset(*sent[peer], s.ack) : 0;
        if (w.first < 0) {
          w.first = i;
          w.by = s.from();
          w.shift = shift;
          w.constant = true;
          w.right_before = right[me];
          // Within a window of what it had sent before: the same stream.
          w.sequence_right = s.syn() || !sent[me] || std::abs(offset(*sent[me], s.seq)) < (1 << 20);
        }
        w.constant = w.constant && std::abs(shift - w.shift) <= 65535;
        w.last = i;
        ++w.count;
      }
    }
    if (w.first >= 0 && w.answer < 0 && s.from() != w.by && i > w.first) {
      if (s.rst() && !s.has_ack() && c.note(i).provoked_by >= w.first) w.answer = i;
      for (std::int32_t k = w.first; w.answer < 0 && s.rst() && !s.has_ack() && k < i; ++k)
        if (c.segment(k).from() == w.by && c.note(k).ack_place == AckPlace::kImpossible && c.segment(k).ack == s.seq) w.answer = i;
      if (!s.rst() && c.note(i).challenge) w.answer = i;
    }
    if (!s.rst() && (!sent[me] || after(s.end(), *sent[me])) && c.note(i).seq_place != facts::SeqPlace::kBeyondWindow) sent[me] = s.end();
  }
  if (w.first < 0) return std::nullopt;
  return w;
}

bool took_another_syn_ack(const Connection& c, const WrongAcks& w) {
  if (w.by != Party::kClient || w.right_before >= 0 || c.vantage == facts::Vantage::kClient || c.syn < 0 || c.syn_ack < 0 || w.first < c.syn_ack) return false;
  const SegmentFact& s = c.segment(w.first);
  if (s.syn() || s.anomalies & wire::Anomaly::kTruncatedHeader) return false;
  const SegmentFact &syn = c.segment(c.syn), &answer = c.segment(c.syn_ack);
  const bool stamped = syn.has(wire::Opt::kTimestamps) && answer.has(wire::Opt::kTimestamps);
  return (stamped && !s.has(wire::Opt::kTimestamps)) || facts::bears_unscaled_window(c, w.first);
}

std::optional<MisplacedAnswers> misplaced_answers(const Connection& c) {
  MisplacedAnswers m;
  for (std::int32_t i = 1; i < facts::size_of(c); ++i) {
    const SegmentFact& r = c.segment(i);
    if (!r.rst() || r.has_ack() || survived(c, i)) continue;
    // A client in SYN_SENT answers a SYN-ACK with the number it was given (RFC 9293 3.10.7.3, tcp_rcv_synsent_state_process()).
    if (r.from() == Party::kClient && c.syn_ack >= 0 && c.syn_ack < i && c.handshake_ack < 0 && r.seq != c.segment(c.syn_ack).ack &&
        next_of(c, Party::kClient, i) >= 0) {
      const std::int32_t shift = offset(c.segment(c.syn_ack).ack, r.seq);
      if (m.first < 0) {
        m.first = i;
        m.offender = c.syn_ack;
        m.shift = shift;
        m.constant = true;
      }
      m.constant = m.constant && shift == m.shift;
      m.last = i;
      ++m.count;
      continue;
    }
    // What it answers: the data right before it, from the other side.
    std::int32_t data = -1;
    for (std::int32_t k = i - 1; k >= 0 && data < 0; --k)
      if (c.segment(k).from() != r.from()) data = k;
    if (data < 0) continue;
    const SegmentFact& s = c.segment(data);
    if (s.rst() || !s.has_ack() || s.payload_bytes == 0) continue;
    const std::int32_t shift = offset(s.ack, r.seq);
    if (std::abs(shift) < (1 << 18)) continue;  // near enough to be a number of this stream
    bool known = false;                         // an ACK number that side was given at any time
    for (std::int32_t k = 0; k < i && !known; ++k)
      known = c.segment(k).from() != r.from() && c.segment(k).has_ack() && c.segment(k).ack == r.seq;
    if (known) continue;
    bool went_on = false;
    for (std::int32_t k = i + 1; k < facts::size_of(c) && !went_on; ++k) went_on = c.segment(k).from() != r.from() && !c.segment(k).rst();
    if (!went_on) continue;
    if (m.first < 0) {
      m.first = i;
      m.offender = data;
      m.shift = shift;
      m.constant = true;
    }
    m.constant = m.constant && shift == m.shift;
    m.last = i;
    ++m.count;
  }
  if (m.first < 0) return std::nullopt;
  return m;
}

}  // namespace tcpwhy::diagnose::ending
