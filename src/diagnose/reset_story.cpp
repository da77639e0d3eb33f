#include "diagnose/reset_story.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/once.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose::ending {

using facts::AckPlace;
using facts::Connection;
using facts::index;
using facts::Party;
using facts::Repeat;
using facts::RstShape;
using facts::SegmentFact;

namespace {

/// TTL of most segments of `p` that are no RST (the lowest of equals), and how many there are. Routes are stable, so
/// a handful of values is all a connection has; the counts of later ones are not needed to find the commonest.
std::pair<std::uint8_t, std::uint32_t> common_ttl(const Connection& c, Party p) {
  struct Seen {
    std::uint8_t ttl = 0;
    std::uint32_t times = 0;
  };
  std::array<Seen, 8> seen{};
  std::uint32_t all = 0;
  for (const SegmentFact& s : c.segments) {
    if (s.from() != p || s.rst() || facts::is_copy(c.note(static_cast<std::int32_t>(&s - c.segments.data())))) continue;
    ++all;
    for (Seen& e : seen) {
      if (e.times != 0 && e.ttl != s.ttl) continue;
      e = {s.ttl, e.times + 1};
      break;
    }
  }
  Seen best;
  for (const Seen& e : seen)
    if (e.times > best.times || (e.times != 0 && e.times == best.times && e.ttl < best.ttl)) best = e;
  return {best.ttl, all};
}

/// Every TTL that copies of its packets show belongs to a host whose packets pass the capture at several places.
bool seen_with_ttl(const Connection& c, Party p, std::uint8_t ttl) {
  for (const SegmentFact& s : c.segments)
    if (s.from() == p && !s.rst() && s.ttl == ttl) return true;
  return false;
}

/// Another initial value at the same distance: a balancer that resets for the host behind it, or a stack that resets
/// with a value of its own. Nearby, equal distances are no rare thing, and say nothing.
bool same_distance(std::uint8_t a, std::uint8_t b) {
  const auto hops = [](int ttl) { return ttl <= 64 ? 64 - ttl : ttl <= 128 ? 128 - ttl : 255 - ttl; };
  constexpr int kFar = 4;
  return hops(a) >= kFar && hops(b) >= kFar && std::abs(hops(a) - hops(b)) <= 1;
}

/// Windows and others refuse each segment that still arrives with RST+ACK, which acknowledges its end.
bool refuses_segment(const Connection& c, std::int32_t rst) {
  const SegmentFact& r = c.segment(rst);
  for (std::int32_t i = rst - 1; i >= 0 && r.time - c.segment(i).time < std::chrono::seconds{2}; --i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() == r.from() && s.rst() && s.has_ack() && s.ack == r.ack) return false;  // that one has been refused
    if (s.from() != r.from() && !s.rst() && s.length() > 0 && s.end() == r.ack) return true;
  }
  return false;
}

/// RFC 9293 3.10.5, ABORT: <SEQ=SND.NXT><CTL=RST>, without ACK flag. Windows XP, Apple's and Cisco's stacks and
/// balancers abort like that; Linux and the BSDs add ACK.
bool is_bare_abort(const Connection& c, const Reset& r) {
  constexpr std::uint8_t kUnasked = Doubt::kUnprovoked | Doubt::kNumber;
  if (!r.answer || !r.established || !(r.doubts & kUnasked) || (r.doubts & (Doubt::kTtl | Doubt::kSenderWentOn))) return false;
  std::optional<SeqNum> next;
  for (std::int32_t i = 0; i < r.at; ++i)
    if (const SegmentFact& s = c.segment(i); s.from() == r.by && !s.rst() && (!next || after(s.end(), *next))) next = s.end();
  return next && c.segment(r.at).seq == *next;
}

/// The latest segment of `peer` before `at` whose ACK number the RST repeats.
std::int32_t offender_of(const Connection& c, std::int32_t at, Party peer) {
  const SegmentFact& r = c.segment(at);
  std::int32_t found = -1;
  std::optional<SeqNum> taken;  // what the RST's own side had acknowledged was no reason for it
  for (std::int32_t i = at - 1; i >= 0; --i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != peer && s.has_ack() && !s.rst() && c.note(i).ack_place != AckPlace::kImpossible && (!taken || after(s.ack, *taken)))
      taken = s.ack;
    if (s.from() != peer || s.rst() || !s.has_ack() || s.ack != r.seq) continue;
    if (found < 0) found = i;
    // What carries something is what met a closed door; a bare ACK of an open connection rarely does.
    if (s.length() != 0 && !(taken && !after(s.end(), *taken))) return i;
    if (r.time - s.time > std::chrono::seconds{2}) break;
  }
  return found;
}

/// The least time in which `p` can answer: none known where the point of capture is beside it.
std::optional<Duration> quickest_answer(const Connection& c, Party p) {
  const std::optional<Duration>& way = p == Party::kServer ? c.rtt_to_server : c.rtt_to_client;
  if (!way || *way <= std::chrono::milliseconds{4}) return std::nullopt;
  return *way / 4;
}

/// With a flight under way each of its segments is answered (RFC 9293 3.10.7.1), and all bear the ACK number the RST
/// repeats: the newest unacknowledged one that can have reached `by` and been answered, else `offender`.
std::int32_t reached(const Connection& c, std::int32_t at, Party by, std::int32_t offender) {
  const auto least = quickest_answer(c, by);
  const SegmentFact& r = c.segment(at);
  if (!least || r.time - c.segment(offender).time >= *least) return offender;
  std::optional<SeqNum> acked;
  for (std::int32_t i = 0; i < at; ++i)
    if (const SegmentFact& s = c.segment(i); s.from() == by && s.has_ack() && !s.rst() && (!acked || after(s.ack, *acked))) acked = s.ack;
  for (std::int32_t i = offender - 1; i >= 0; --i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() == by || s.rst() || !s.has_ack() || s.ack != r.seq || s.length() == 0) continue;
    if (acked && !after(s.end(), *acked)) break;
    if (r.time - s.time >= *least) return i;
  }
  return offender;
}

Duration rtt_of(const Connection& c) {
  Duration d{};
  if (c.rtt_to_client) d += *c.rtt_to_client;
  if (c.rtt_to_server) d += *c.rtt_to_server;
  if (d == Duration::zero() && c.handshake_rtt) d = *c.handshake_rtt;
  return d == Duration::zero() ? Duration{std::chrono::milliseconds{200}} : d;
}

/// Where what the RST refuses begins: the first transmission of the offender, or the first segment of the flight it
/// belongs to. A request of several segments is refused segment by segment, and none of them was acknowledged.
std::int32_t first_of_what_was_refused(const Connection& c, const Reset& r) {
  if (r.offender < 0 || c.segment(r.offender).length() == 0) return r.offender;
  const SegmentFact& offender = c.segment(r.offender);
  std::optional<SeqNum> acked;
  for (std::int32_t k = 0; k < r.at; ++k)
    if (const SegmentFact& s = c.segment(k); s.from() == r.by && s.has_ack() && !s.rst() && c.note(k).ack_place != AckPlace::kImpossible &&
                                            (!acked || after(s.ack, *acked)))
      acked = s.ack;
  for (std::int32_t k = 0; k < r.offender; ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() != r.peer() || s.rst() || s.syn() || s.length() == 0 || after(s.seq, offender.seq)) continue;
    if (s.seq == offender.seq || (acked && facts::new_payload(c, k) && after(s.end(), *acked))) return k;
  }
  return r.offender;
}

/// Segment `k` passed after the abort at `rst` and was sent before it: it is new and ends where the RST begins.
bool overtaken_by(const Connection& c, std::int32_t k, std::int32_t rst) {
  const SegmentFact &s = c.segment(k), &r = c.segment(rst);
  return k > rst && s.from() == r.from() && r.has_ack() && s.length() > 0 && s.end() == r.seq &&
         (c.note(k).repeat == Repeat::kNone || c.note(k).repeat == Repeat::kOutOfOrder);
}

/// Where a path swaps neighbours, they are this near to each other.
constexpr Duration kNeighbours = std::chrono::milliseconds{50};

/// Segment `k` passed after the abort at `rst` and is a bare ACK of less than that acknowledges, or right behind it one of
/// no more: it was sent before it.
bool older_ack(const Connection& c, std::int32_t k, std::int32_t rst) {
  const SegmentFact &s = c.segment(k), &r = c.segment(rst);
  if (!r.has_ack() || !s.has_ack() || s.length() != 0 || s.seq != r.seq) return false;
  return before(s.ack, r.ack) || (s.ack == r.ack && s.time - r.time < kNeighbours);
}

/// The RST without ACK flag at `i` answers what came to a socket that had aborted, and overtook the abort itself.
bool abort_follows(const Connection& c, std::int32_t i) {
  const SegmentFact& answer = c.segment(i);
  if (answer.has_ack()) return false;
  for (std::int32_t k = i + 1; k < facts::size_of(c) && c.segment(k).time - answer.time < kNeighbours; ++k)
    if (const SegmentFact& s = c.segment(k); s.from() == answer.from() && s.rst() && s.has_ack() && s.seq == answer.seq && s.ttl == answer.ttl) return true;
  return false;
}

/// The number of the client's RST at `i` counts octets behind its SYN, and those passed later: what it says of the
/// handshake came before the handshake did.
bool counts_payload(const Connection& c, std::int32_t i) {
  const SegmentFact& r = c.segment(i);
  const facts::StreamFacts& own = c.stream(r.from());
  if (r.from() != Party::kClient || !own.syn_seen || !after(r.seq, own.iss + 1)) return false;
  const bool begun_in_syn = c.syn >= 0 && c.segment(c.syn).payload_bytes > 0;
  return (c.handshake_ack > i && c.syn_ack >= 0 && c.syn_ack < i) || (r.has_ack() && !begun_in_syn);
}

/// Segment `k` is a bare FIN that passed soon after the RST and acknowledges nothing of what the RST refuses: the socket
/// had closed before that came, and the RST overtook its FIN or a copy of it.
bool overtaken_fin(const Connection& c, std::int32_t k, const Reset& r) {
  constexpr Duration kHeldBack = std::chrono::seconds{1};
  const SegmentFact& s = c.segment(k);
  if (!r.answer || r.offender_first < 0 || k <= r.at || s.from() != r.by || !s.fin() || s.payload_bytes > 0 || !s.has_ack()) return false;
  return s.time - c.segment(r.at).time < kHeldBack && c.segment(r.offender_first).length() > 0 && !after(s.ack, c.segment(r.offender_first).seq);
}

/// `by` acknowledged the payload of segment `i` before `until`.
bool acknowledged_by(const Connection& c, Party by, std::int32_t i, std::int32_t until) {
  if (c.segment(i).length() == 0) return false;
  for (std::int32_t k = i + 1; k < until; ++k)
    if (const SegmentFact& s = c.segment(k); s.from() == by && s.has_ack() && !s.rst() && c.note(k).ack_place != AckPlace::kImpossible &&
                                             !before(s.ack, c.segment(i).end()))
      return true;
  return false;
}

/// The peer's latest data that a RST+ACK acknowledges and its side had not acknowledged before; -1 none.
std::int32_t refused_by(const Connection& c, const Reset& r) {
  for (std::int32_t i = r.at - 1; i >= 0; --i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() == r.peer() && s.end() == c.segment(r.at).ack && facts::new_payload(c, i)) return acknowledged_by(c, r.by, i, r.at) ? -1 : i;
  }
  return -1;
}

/// Data that its side had closed against, and that this RST+ACK refuses by acknowledging it: so Windows answers where
/// Linux sends R. Linux's own abort of a socket that took the data in keeps a window (tcp_send_active_reset()).
std::int32_t late_data_refused(const Connection& c, const Reset& r) {
  const SegmentFact& rst = c.segment(r.at);
  if (!rst.has_ack() || rst.window != 0 || r.own_fin < 0 || rst.seq != c.stream(r.by).fin_seq + 1) return -1;
  const std::int32_t data = refused_by(c, r);
  return data >= 0 && before(c.segment(r.own_fin).ack, c.segment(data).end()) ? data : -1;
}

/// The server aborted before it had said anything, and a segment of the client that was on its way opened the connection
/// anew: its ACK number is a cookie (Linux cookie_v4_check()). The second socket fares as the first.
bool reborn_by_cookie(const Connection& c, std::int32_t at) {
  const SegmentFact& rst = c.segment(at);
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (rst.from() != Party::kServer || !rst.has_ack() || !server.syn_seen || rst.seq != server.iss + 1 || server.payload_bytes > 0) return false;
  bool took = false;
  for (std::int32_t i = at + 1; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != Party::kServer || facts::is_copy(c.note(i))) continue;
    if (s.seq != rst.seq || s.ttl != rst.ttl) return false;
    if (s.rst()) return took && s.has_ack() && after(s.ack, rst.ack);
    took = took || after(s.ack, rst.ack);
  }
  return false;
}

std::uint8_t doubts_of(const Connection& c, Reset& r) {
  const SegmentFact& rst = c.segment(r.at);
  std::uint8_t doubts = 0;

  const auto [ttl, others] = common_ttl(c, r.by);
  r.usual_ttl = others ? ttl : std::uint8_t{0};
  r.ttl_known = others > 0;
  const bool a_copys = c.quality.capture_duplicates && seen_with_ttl(c, r.by, rst.ttl);
  if (others > 0 && rst.ttl != ttl && !a_copys && !same_distance(rst.ttl, ttl)) {
    const int moved = std::abs(int{rst.ttl} - int{ttl});
    // A route that moves by one hop inside a connection is rare; one sample of the usual value is not enough.
    if (moved > 1 || others >= 2) doubts |= Doubt::kTtl;
  }

  if (r.answer && r.established) {
    // What its own side has acknowledged was taken by a socket: no RST answers it any more.
    const bool taken = r.offender >= 0 && r.own_fin < 0 && acknowledged_by(c, r.by, r.offender, r.at);
    if (r.offender < 0) doubts |= c.quality.capture_gap || c.quality.one_direction ? 0 : Doubt::kNumber;
    else if (taken || (r.own_fin < 0 && rst.time - c.segment(r.offender).time >  // a closed socket answers late where the path holds back
             (c.segment(r.offender).length() > 0 ? std::max<Duration>(4 * r.rtt, std::chrono::milliseconds{700})
                                                 : std::max<Duration>(2 * r.rtt, std::chrono::milliseconds{100}))))
      doubts |= Doubt::kUnprovoked;
    else {
      const Duration took = rst.time - c.segment(r.offender_first >= 0 ? r.offender_first : r.offender).time;
      // Its own FIN explains its RST; and a round trip known from the handshake alone may hold a wait of the client's.
      // Busy hosts and delayed ACKs make the known round trips long; from the host's own distance only a RST that
      // is far too early came from elsewhere.
      const auto least = quickest_answer(c, r.by);
      const bool own_distance = r.ttl_known && rst.ttl == r.usual_ttl;
      if (r.own_fin < 0 && least && took < (own_distance ? *least / 16 : *least)) doubts |= Doubt::kTooFast;
    }
  }

  // A socket that aborted, or a host that has none, sends nothing but RSTs for this connection.
  const bool reborn = reborn_by_cookie(c, r.at);
  // Segments that were passing the sender's network card at that instant are left a little time.
  for (std::int32_t i = r.at + 1; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != r.by || s.rst() || s.syn() || facts::is_copy(c.note(i))) continue;
    if (reborn || s.time - rst.time < std::chrono::microseconds{300} || overtaken_by(c, i, r.at) || older_ack(c, i, r.at) || overtaken_fin(c, i, r)) continue;
    r.went_on = i;
    doubts |= Doubt::kSenderWentOn;
    break;
  }

  std::uint32_t active = 0;
  for (std::int32_t i = 0; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    if (!s.rst() || facts::is_copy(c.note(i))) continue;
    if (s.from() != r.by) {
      if (r.other_rst < 0) r.other_rst = i;
      continue;
    }
    ++r.resets_by;
    if (s.has_ack() && !refuses_segment(c, i) && !(i > 0 && s.ip_id != 0 && s.ip_id == rst.ip_id && i != r.at)) ++active;
  }
  if (active > 1 && r.established && !reborn) doubts |= Doubt::kTwice;

  const facts::StreamFacts& stream = c.stream(r.by);
  // Linux signs them (tcp_send_active_reset()); Windows closes its window and leaves them out, and so do the stacks of
  // BSD's family, which offer 65535 in their SYN.
  const bool like_linux = rst.window != 0 && stream.syn_window != 65535;
  if (!r.answer && r.established && stream.timestamps && like_linux && !rst.has(wire::Opt::kTimestamps) &&
      !(rst.anomalies & wire::Anomaly::kTruncatedHeader))
    doubts |= Doubt::kBare;
  return doubts;
}

}  // namespace

bool survived(const Connection& c, std::int32_t i) {
  std::array<bool, 2> spoke{};
  for (std::int32_t k = i + 1; k < facts::size_of(c) && !(spoke[0] && spoke[1]); ++k)
    if (!c.segment(k).rst()) spoke[c.segment(k).from_server] = true;
  if (!spoke[0] || !spoke[1]) return false;
  std::array<std::optional<SeqNum>, 2> sent_before{}, sent_after{};
  for (std::int32_t k = 0; k < facts::size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.rst()) continue;
    const std::size_t me = index(s.from()), peer = 1 - me;
    const bool earlier = k < i || overtaken_by(c, k, i);
    auto& mine = earlier ? sent_before[me] : sent_after[me];
    if (!mine || after(s.end(), *mine)) mine = s.end();
    // An ACK of something that left only after the RST: both were alive then.
    if (k > i && s.has_ack() && sent_after[peer] && (!sent_before[peer] || after(s.ack, *sent_before[peer])) &&
        !after(s.ack, *sent_after[peer]))
      return true;
  }
  return false;
}

namespace {

std::optional<Reset> find_ending_reset(const Connection& c) {
  // RST+ACK with number 0 as the first thing seen refuses a SYN that was not: no connection was there to end.
  if (c.syn < 0 && !c.segments.empty() && c.segments[0].rst() && c.segments[0].has_ack() && c.segments[0].seq == SeqNum{0})
    return std::nullopt;
  for (std::int32_t i = 0; i < facts::size_of(c); ++i) {
    const SegmentFact& s = c.segment(i);
    if (!s.rst() || s.syn() || facts::is_copy(c.note(i))) continue;
    if (c.note(i).rst_shape == RstShape::kOutOfWindow || survived(c, i) || abort_follows(c, i)) continue;
    Reset r;
    r.at = i;
    r.by = s.from();
    r.answer = !s.has_ack();
    r.rtt = rtt_of(c);
    r.established = (c.handshake_ack >= 0 && c.handshake_ack < i) || counts_payload(c, i);
    // Picked up mid-stream: both sides must have spoken, or the RST answers what nobody here began (backscatter).
    if (c.syn < 0 && c.syn_ack < 0)
      for (std::int32_t k = 0; k < i && !r.established; ++k) r.established = c.segment(k).from() == r.by && !c.segment(k).rst();
    for (std::int32_t k = 0; k < i; ++k) {
      if (!c.segment(k).fin()) continue;
      std::int32_t& fin = c.segment(k).from() == r.by ? r.own_fin : r.peer_fin;
      if (fin < 0) fin = k;
    }
    if (r.answer) {
      r.offender = c.note(i).provoked_by;
      if (r.offender < 0 || c.segment(r.offender).length() == 0) {
        const std::int32_t found = offender_of(c, i, r.peer());
        if (found >= 0) r.offender = found;
      }
      if (r.offender >= 0) r.offender = reached(c, i, r.by, r.offender);
    } else if (const std::int32_t late = late_data_refused(c, r); late >= 0) {
      r.answer = true;
      r.offender = late;
    }
    if (r.answer) r.offender_first = first_of_what_was_refused(c, r);
    for (std::int32_t k = i + 1; k < facts::size_of(c) && r.own_fin < 0; ++k)
      if (overtaken_fin(c, k, r)) r.own_fin = k;
    r.doubts = doubts_of(c, r);
    // What its host had got by then was not captured, and may have been the rest of everything.
    const bool heard_unseen = s.has_ack() && c.quality.one_direction && c.quality.only_from == r.by;
    if (r.doubts == 0 && (heard_unseen || facts::took_unseen(c, i))) return std::nullopt;
    // Where both FINs are acknowledged nothing is left to end, and who sent the RST matters to nobody.
    if (r.own_fin >= 0 && r.peer_fin >= 0 && c.streams[0].fin_acked && c.streams[1].fin_acked) r.doubts = 0;
    if (is_bare_abort(c, r)) {
      r.answer = false;
      r.bare = true;
      r.offender = r.offender_first = -1;
      r.doubts &= static_cast<std::uint8_t>(~(Doubt::kUnprovoked | Doubt::kNumber | Doubt::kTooFast));
    }
    // A device refuses with ACK flag as well.
    if (!r.answer && !r.bare && (r.doubts & (Doubt::kTtl | Doubt::kBare))) r.offender = r.offender_first = refused_by(c, r);
    const bool answers = r.offender >= 0 && !(r.doubts & Doubt::kUnprovoked);
    const std::int32_t trigger = answers ? r.offender_first : i;
    std::int32_t k = trigger - 1;
    while (k > 0 && c.note(k).repeat == Repeat::kKeepalive) --k;
    r.silence = trigger > 0 ? c.segment(trigger).time - c.segment(k).time : Duration{};
    return r;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Reset> ending_reset(const Connection& c) {
  return remembered(c, &Once::reset, [&] { return find_ending_reset(c); });
}

std::string abort_words(const Reset& r) {
  return fmt::format("{} in sequence {} after the last segment, {}", r.bare ? "RST" : "RST+ACK", span(r.silence),
                     r.own_fin >= 0 ? "although its FIN had gone before"
                     : r.bare       ? "and no FIN (RFC 9293 3.10.5, ABORT)"
                                    : "and no FIN (tcp_send_active_reset())");
}

}  // namespace tcpwhy::diagnose::ending
