#include "diagnose/parting.hpp"

#include <algorithm>

#include "facts/farewell.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose::ending {

using facts::AckPlace;
using facts::Connection;
using facts::index;
using facts::Party;
using facts::Repeat;
using facts::SegmentFact;

namespace {

/// No request waits for its answer; the client's own close_notify is none.
bool nothing_asked(const Connection& c, const Talk& t) {
  return t.request < 0 || (t.request_end == t.request && facts::is_farewell(c.segment(t.request)));
}

/// What met the closed socket was nothing but a goodbye: it crossed the close on the way, or came right after it, or
/// answered the goodbye of a client that closed; nobody misses it.
bool farewell_refused(const Connection& c, const Reset& r) {
  if (r.own_fin < 0) return false;  // Windows refuses with RST+ACK, others with RST
  constexpr std::uint32_t kShortReply = 256;
  std::optional<SeqNum> acked;
  std::int32_t own_last = -1;
  for (std::int32_t i = 0; i < r.at; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != r.by) continue;
    if (facts::new_payload(c, i)) own_last = i;
    if (s.has_ack() && !s.rst() && c.note(i).ack_place != AckPlace::kImpossible && (!acked || after(s.ack, *acked))) acked = s.ack;
  }
  const bool said_goodbye = r.by == Party::kClient && own_last >= 0 && facts::is_goodbye(c, own_last);
  std::int32_t refused = -1;
  for (std::int32_t i = 0; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != r.peer() || !facts::new_payload(c, i) || (acked && !after(s.seq + s.payload_bytes, *acked))) continue;
    const bool reply = said_goodbye && i > own_last && s.payload_bytes <= kShortReply;
    // GOAWAY and close_notify of HTTP/2 in one segment, and the server's own FIN right behind them.
    const facts::StreamFacts& peer = c.stream(r.peer());
    const bool parting = r.by == Party::kClient && i > r.own_fin && peer.fin_seen && peer.fin_seq == s.seq + s.payload_bytes &&
                         facts::is_farewell(s, facts::kPartingWords);
    if (!facts::is_farewell(s) && !facts::is_goodbye(c, i) && !reply && !parting) return false;
    if (refused < 0) refused = i;
  }
  if (refused < 0) return false;
  // The FIN may carry the end of the answer.
  const Talk t = talk_before(c, std::min(r.own_fin + 1, refused));
  // The client's own close_notify is no request, nor are the window updates of HTTP/2 that come before it.
  for (std::int32_t i = t.request; i >= 0 && i <= t.request_end; ++i)
    if (c.segment(i).from() == Party::kClient && facts::new_payload(c, i) && !facts::is_farewell(c.segment(i))) return false;
  return true;
}

/// A server that resets right behind its own answer has not waited for it to arrive; what of it lies unread may be lost
/// with the connection (RFC 1122 4.2.2.13). Who lets an idle connection go takes longer.
bool right_behind_its_answer(const Connection& c, const Reset& r) {
  constexpr Duration kAtOnce = std::chrono::milliseconds{10};
  for (std::int32_t i = r.at - 1; i >= 0 && c.segment(r.at).time - c.segment(i).time < kAtOnce; --i)
    if (c.segment(i).from() == r.by && c.segment(i).payload_bytes > 0 && !facts::is_copy(c.note(i))) return true;
  return false;
}

/// Each segment that meets no socket is refused (RFC 9293 3.10.7.1). The server's FIN was, and the answer right before it
/// was not: the client's socket had taken that in, and the RST with which it went did not pass here.
bool refuses_only_the_fin(const Connection& c, const Reset& r) {
  if (r.by != Party::kClient || !r.answer || r.own_fin >= 0 || r.peer_fin < 0 || r.offender < r.peer_fin || r.resets_by != 1) return false;
  if (!c.segment(r.offender).fin() || c.segment(r.offender).payload_bytes > 0) return false;
  for (std::int32_t i = r.peer_fin - 1; i >= 0 && c.segment(i).from() == Party::kServer; --i)
    if (facts::new_payload(c, i)) return true;
  return false;
}

}  // namespace

std::int32_t stop_of(const Connection& c, Party p) {
  const std::optional<Reset> r = ending_reset(c);
  const std::int32_t fin = c.stream(p).fin;
  if (r && r->by == p && (fin < 0 || r->at < fin)) return r->at;
  return fin;
}

bool closed_unasked(const Connection& c) {
  const std::int32_t stop = stop_of(c, Party::kServer);
  if (stop < 0 || c.handshake_ack < 0 || stop < c.handshake_ack || server_spoke_before(c, stop)) return false;
  const Talk t = talk_before(c, stop);
  if (t.bytes[0] + t.bytes[1] > 0) return false;
  return facts::between(c, c.handshake_ack, stop) <= std::max<Duration>(std::chrono::milliseconds{1000}, 3 * c.handshake_rtt.value_or(Duration{}));
}

bool unread_when_answering(const Connection& c, const Reset& r) {
  // What is read gives its window back. The last segment with payload, or the FIN behind it, says what was still in the
  // buffer when it was written; the RST is sent after the kernel has thrown it away (Linux tcp_close() empties the queue first).
  std::uint32_t widest = 0;
  std::int32_t last = -1;
  for (std::int32_t i = 0; i < r.at; ++i) {
    if (c.segment(i).from() != r.by || c.segment(i).rst() || c.segment(i).syn() || !c.note(i).window_known) continue;
    widest = std::max(widest, c.note(i).scaled_window);
    last = i;
  }
  const facts::StreamFacts& stream = c.stream(r.by);
  if (last < 0 || !stream.scaling_known || (c.segment(last).payload_bytes == 0 && !c.segment(last).fin())) return false;
  const std::uint32_t at_reset = std::uint32_t{c.segment(r.at).window} << stream.window_shift;
  const std::uint32_t at_answer = c.note(last).scaled_window;
  return widest >= at_answer + 4096 && at_reset >= at_answer + 4096 &&
         talk_before(c, r.at).bytes[index(r.peer())] >= 4096;
}

bool formality(const Connection& c, const Reset& r) {
  if (!r.established || r.foreign()) return false;
  if (c.outcome == facts::Outcome::kCompleted) return true;
  if (farewell_refused(c, r)) return true;
  if (!r.answer && r.own_fin < 0 && r.peer_fin < 0 && unread_when_answering(c, r)) return false;
  const Talk t = talk_before(c, r.at);
  if (refuses_only_the_fin(c, r)) return t.answer_whole;
  if (r.offender >= 0 && facts::new_payload(c, r.offender_first) && r.own_fin >= 0 && r.own_fin < r.offender_first &&
      !(r.peer_fin >= 0 && c.note(r.offender).seq_place == facts::SeqPlace::kBeforeWindow))
    return false;  // data met a closed socket: it was not delivered
  if (!t.acked[0] || !t.acked[1]) return false;
  if (!nothing_asked(c, t) && t.bytes[1] > 0) return false;  // a request waits, and answers are what this server gives
  if (t.answer_short) return false;
  if (r.own_fin >= 0 && r.peer_fin >= 0) return true;
  if (r.own_fin >= 0)  // it had closed; a bare ACK or FIN met the end of FIN_WAIT2 or of TIME_WAIT
    return r.answer && r.offender >= 0 && c.segment(r.offender).payload_bytes == 0 && !c.segment(r.offender).fin();
  if (r.peer_fin >= 0) return nothing_asked(c, t) && (t.bytes[0] + t.bytes[1] > 0);
  // No FIN at all: only where the answer is known to be whole.
  // A server that answers before it has read the request's body discards the rest by RST, and with it what it sent.
  constexpr std::uint64_t kNoBody = 4096;
  if (r.by == Party::kServer && t.bytes[0] >= kNoBody && c.turns <= 1) return false;
  if (r.by == Party::kServer && right_behind_its_answer(c, r)) return false;
  return !r.answer && t.request < 0 && ((t.answer_whole && !r.bare) || facts::left_at_rest(c, r.at));
}

bool left_waiting(const Connection& c, const Reset& r) {
  if (r.by != Party::kClient || r.own_fin < 0 || c.quality.capture_gap || c.quality.story_incomplete) return false;
  const Talk t = talk_before(c, r.own_fin);
  return t.answer_short || (t.request >= 0 && owes_answer(c, t.request) && facts::between(c, t.request_end, r.own_fin) >= kPause);
}

}  // namespace tcpwhy::diagnose::ending
