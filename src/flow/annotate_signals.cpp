// What is unusual, in bits. A clean connection must end with none: a bit costs
// the examination of every cause that names it.

#include <algorithm>

#include "facts/questions.hpp"
#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::AckPlace;
using facts::Repeat;
using facts::SeqPlace;
using facts::Signal;
using facts::StreamFacts;
using wire::Anomaly;
using wire::Opt;
using namespace std::chrono_literals;

namespace {

constexpr Duration kLongGap = 5s;
constexpr Duration kSlowResponse = 1s;
// A last ACK may still be under way, or delayed (RFC 9293 3.8.6.3), when the capture ends.
constexpr Duration kStillUnderWay = 500ms;

/// Bits only the tracker can know: payload bytes, memory, and what happened in a dropped stretch.
constexpr std::uint64_t kFromTracker = Signal::kEvicted | Signal::kReuse | Signal::kTupleAlive | Signal::kTupleTaken;
constexpr std::uint64_t kFromDropped = Signal::kRepeat | Signal::kOutOfOrder | Signal::kDuplicate | Signal::kZeroWindow |
                                       Signal::kKeepalive | Signal::kLongGap | Signal::kDsack | Signal::kSlowResponse |
                                       Signal::kTimestampRegress;

std::uint64_t of_repeat(Repeat r) {
  switch (r) {
    case Repeat::kNone: return 0;
    case Repeat::kSyn: return Signal::kSynRepeated;
    case Repeat::kSynAck: return Signal::kSynAckRepeated;
    case Repeat::kRto: case Repeat::kFast: case Repeat::kTlp: case Repeat::kSpurious: case Repeat::kFin:
    case Repeat::kUnseenOriginal: return Signal::kRepeat;
    case Repeat::kAmbiguous: return Signal::kRepeat | Signal::kOutOfOrder;
    case Repeat::kKeepalive: return Signal::kKeepalive;
    case Repeat::kZeroWindowProbe: return Signal::kZeroWindow;
    case Repeat::kOutOfOrder: return Signal::kOutOfOrder;
    case Repeat::kNetworkDuplicate: case Repeat::kCaptureDuplicate: return Signal::kDuplicate;
  }
  return 0;
}

std::uint64_t of_segments(const Connection& c) {
  std::uint64_t bits = 0;
  CaptureTime last = c.segments.empty() ? CaptureTime{} : c.segments.front().time;
  std::array<std::uint8_t, 2> low{255, 255}, high{0, 0};
  for (std::size_t k = 0; k < c.segments.size(); ++k) {
    const SegmentFact& s = c.segments[k];
    const Note& n = c.notes[k];
    bits |= of_repeat(n.repeat);
    if (s.time - last > kLongGap) bits |= Signal::kLongGap;
    last = s.time;
    if (s.rst()) bits |= Signal::kReset;
    if (s.dsack) bits |= Signal::kDsack;
    if (s.options & (Opt::kMd5 | Opt::kAo)) bits |= Signal::kAuthentication;
    if (s.syn() && s.has(Opt::kFastOpen)) bits |= Signal::kFastOpen;
    if (s.syn() && s.payload_bytes > 0) bits |= Signal::kSynWithData;
    const bool met_syn = n.challenge && n.provoked_by >= 0 && c.segment(n.provoked_by).syn() && !c.segment(n.provoked_by).has_ack();
    if (met_syn) bits |= Signal::kSynAnsweredByAck;
    else if (n.ack_place == AckPlace::kImpossible) bits |= Signal::kImpossibleAck;
    const bool probe = n.repeat == Repeat::kZeroWindowProbe;
    if (n.seq_place == SeqPlace::kBeyondWindow && !probe) bits |= Signal::kOutOfWindow;
    if (s.rst() && n.seq_place == SeqPlace::kBeforeWindow) bits |= Signal::kOutOfWindow;
    if (!facts::is_copy(n)) {
      low[s.from_server] = std::min(low[s.from_server], s.ttl);
      high[s.from_server] = std::max(high[s.from_server], s.ttl);
    } else if (n.original >= 0 && s.ttl + 1 < c.segment(n.original).ttl) {
      bits |= Signal::kRoutingLoop;
    }
  }
  for (std::size_t p : {0u, 1u})
    if (high[p] > low[p] + 1) bits |= Signal::kTtlChange;
  return bits;
}

/// Options of the SYNs at odds with what followed (a device removed or invented them).
bool options_changed(const Connection& c) {
  const StreamFacts& client = c.streams[0];
  const StreamFacts& server = c.streams[1];
  if (!client.syn_seen || !server.syn_seen) return false;
  for (Index i : {c.syn, c.syn_ack})
    if (i >= 0 && (c.segment(i).anomalies & Anomaly::kTruncatedHeader)) return false;
  // A SYN-ACK may only carry what the SYN offered (RFC 7323 2.2, 3.2; RFC 2018 2).
  const std::uint16_t answerable = Opt::kWindowScale | Opt::kSackPermitted | Opt::kTimestamps;
  if (server.syn_options & answerable & ~client.syn_options) return true;
  const bool agreed_ts = client.timestamps, agreed_sack = client.sack;
  std::array<std::uint32_t, 2> with{0, 0}, without{0, 0};
  for (const SegmentFact& s : c.segments) {
    if (s.syn() || s.rst() || (s.anomalies & Anomaly::kTruncatedHeader)) continue;
    ++(s.has(Opt::kTimestamps) ? with : without)[s.from_server];
    if (s.has(Opt::kSack) && !agreed_sack) return true;
  }
  for (std::size_t p : {0u, 1u}) {
    if (agreed_ts && without[p] > 0) return true;
    if (!agreed_ts && with[p] > 0) return true;
  }
  return false;
}

/// Full-size segments stay unacknowledged although smaller ones had passed.
bool large_vanish(const Connection& c, Party p) {
  const auto retry = facts::open_retry(c, p);
  return retry && retry->full_size && retry->tries.count >= 3;
}

std::uint64_t of_handshake(const Connection& c) {
  const StreamFacts& client = c.streams[0];
  const StreamFacts& server = c.streams[1];
  std::uint64_t bits = 0;
  const bool only_syns = std::all_of(c.segments.begin(), c.segments.end(), [](const SegmentFact& s) { return s.syn(); });
  if (c.syn >= 0 && !server.seen && only_syns) bits |= Signal::kSynUnanswered;
  if (c.syn >= 0 && server.rst >= 0 && c.note(server.rst).rst_shape == facts::RstShape::kAnswerToSyn) bits |= Signal::kSynRefused;
  if (c.syn >= 0 && c.syn_ack < 0 && server.rst >= 0) bits |= Signal::kSynRefused;
  if (c.syn >= 0 && c.syn_ack < 0 && !c.icmp.empty()) bits |= Signal::kSynRefused;
  if (c.syn_ack >= 0 && c.handshake_ack < 0) bits |= Signal::kHandshakeIncomplete;
  if (c.syn >= 0 && c.syn_ack >= 0) {
    const std::uint16_t offered = client.syn_options & (Opt::kWindowScale | Opt::kSackPermitted | Opt::kTimestamps);
    if (offered & ~server.syn_options) bits |= Signal::kCookieLike;
  }
  for (const SegmentFact& s : c.segments)
    if (s.from_server && s.syn() && !s.has_ack()) bits |= Signal::kSimultaneousOpen;
  return bits;
}

std::uint64_t of_ending(const Connection& c, const Reader& reader) {
  const StreamFacts& client = c.streams[0];
  const StreamFacts& server = c.streams[1];
  std::uint64_t bits = 0;
  const bool any_rst = client.rst >= 0 || server.rst >= 0;
  const bool joined = c.handshake_ack >= 0 || (c.syn < 0 && c.syn_ack < 0);
  const int fins = (client.fin_seen ? 1 : 0) + (server.fin_seen ? 1 : 0);
  // Where one side was not captured its silence means nothing.
  if (c.quality.one_direction) return bits;
  if (joined && fins == 0 && !any_rst) bits |= Signal::kOpenAtEnd;
  if (fins == 1 && !any_rst) bits |= Signal::kHalfClosedAtEnd;
  if (fins == 2) {
    const SegmentFact& a = c.segment(client.fin);
    const SegmentFact& b = c.segment(server.fin);
    // Neither FIN acknowledges the other: they crossed (RFC 9293 3.6, case 3).
    if (a.has_ack() && b.has_ack() && !after(a.ack, server.fin_seq) && !after(b.ack, client.fin_seq))
      bits |= Signal::kSimultaneousClose;
  }
  if (joined && fins > 0 && client.payload_bytes == 0 && server.payload_bytes == 0 && !c.quality.began_late) bits |= Signal::kNoPayload;

  if (!any_rst) {
    for (Party p : {Party::kClient, Party::kServer}) {
      const Sender& s = reader.side(p);
      if (!s.any || !s.una_known || !before(s.una, s.nxt) || s.last_sent < 0) continue;
      if (facts::coverage_after(c, s.last_sent) < kStillUnderWay) continue;
      bits |= Signal::kUnackedAtEnd;
      if (large_vanish(c, p)) bits |= Signal::kLargeVanish;
    }
  }
  if (!c.exchanges.empty()) {
    const facts::Exchange& e = c.exchanges.back();
    const bool open_request = e.response < 0;
    if (open_request && fins == 0 && !any_rst && facts::was_acked(c, e.request_end) &&
        facts::coverage_after(c, e.request_end) >= kSlowResponse)
      bits |= Signal::kUnansweredAtEnd;
    const bool unfinished = open_request || (e.announced && !e.response_complete);
    if (unfinished && (fins > 0 || any_rst)) bits |= Signal::kEarlyClose;
    if (e.response >= 0 && (e.announced || e.last_chunk_missing || e.record_cut) && !e.response_complete && server.fin_seen) bits |= Signal::kAnnouncedShort;
    for (const facts::Exchange& x : c.exchanges)
      if (x.response >= 0 && c.segment(x.response).time - c.segment(x.request_end).time > kSlowResponse) bits |= Signal::kSlowResponse;
  }
  return bits;
}

}  // namespace

void annotate_signals(Connection& c, const Reader& reader) {
  std::uint64_t bits = c.signals & kFromTracker;
  if (c.quality.story_incomplete) bits |= c.signals & kFromDropped;
  bits |= reader.signals() | of_segments(c) | of_handshake(c) | of_ending(c, reader);
  if (!c.icmp.empty()) bits |= Signal::kIcmp;
  for (const StreamFacts& s : c.streams) {
    if (s.zero_windows > 0) bits |= Signal::kZeroWindow;
    if (s.bad_checksums > 0 && !s.checksum_offload) bits |= Signal::kBadChecksum;
  }
  if (c.quality.capture_gap) bits |= Signal::kCaptureGap;
  if (c.quality.began_late) bits |= Signal::kMidStream;
  if (c.quality.one_direction) bits |= Signal::kOneDirection;
  if (options_changed(c)) bits |= Signal::kOptionChange;
  if (c.previous_end) {
    bits |= Signal::kReuse;
    if (!c.previous_closed) bits |= Signal::kTupleAlive;
  }
  c.signals = bits;
}

}  // namespace tcpwhy::flow
