// What a packet changes in its connection, and whether it makes it unusual. The
// tests here are cheap and generous: annotate() looks again, with the whole
// story before it, at everything that is noticed here, and at nothing else.

#include <algorithm>
#include <cstdlib>

#include "flow/table.hpp"

namespace tcpwhy::flow {
namespace {

using facts::Signal;
using wire::Flag;
using wire::Opt;

constexpr Ticks kLongGap = 5 * kTicksPerSecond, kSlow = kTicksPerSecond;
/// Silence at the end of the capture before what is still owed counts as owed.
constexpr std::int64_t kOwedAfter = 1'000'000'000;
/// Lower bound for "the clock was set back": less is jitter between queues.
constexpr std::int64_t kClockStep = 1'000'000'000;

bool has_scaling(const Hot& h) {
  return h.halves[0].syn_options() & h.halves[1].syn_options() & Opt::kWindowScale;
}

}  // namespace

Side& Table::side(Hot& h) {
  if (h.side == 0) {
    const std::uint32_t n = sides_.take();
    sides_[n] = Side{};
    h.side = n + 1;
  }
  return sides_[h.side - 1];
}

Stories::Interest Table::interest(const Side& s) const {
  const bool calm = (s.signals & ~kCalm) == 0 && !options_.tell_all;
  return calm ? Stories::Interest::kCalm : Stories::Interest::kWhole;
}

void Table::begin_story(Hot& h, Side& s) {
  Story& story = s.story;
  story.begun = true;
  chain_.clear();
  std::uint32_t at = h.head;
  // A head that is not this connection's last segment is older than the ring can count.
  if (at != 0 && history_.holds(at) && history_[at].frame != h.last_frame) at = history_.newest() + 1;
  while (at != 0 && history_.holds(at)) {
    chain_.push_back(at);
    at = history_.before(at);
  }
  story.lacks_beginning = at != 0;
  constexpr std::size_t kAhead = 8;
  for (std::size_t i = chain_.size(); i-- > 0;) {
    if (i >= kAhead) memory::fetch(&history_[chain_[i - kAhead]]);
    stories_.append(story, history_[chain_[i]], interest(s));
  }
}

void Table::raise(Hot& h, std::uint64_t signals) {
  Side& s = side(h);
  s.signals |= signals;
  if (!s.story.begun && ((signals & ~kUntold) || options_.tell_all)) begin_story(h, s);
}

void Table::remember(Hot& h, const Packet& p) {
  if (h.side != 0) {
    Side& s = sides_[h.side - 1];
    if (s.story.begun) {
      stories_.append(s.story, p.fact, interest(s));
      return;
    }
  }
  h.head = history_.push(p.fact, h.head);
}

/// The same packet again: captured twice, or delivered twice by the network.
bool Table::is_copy(const Hot& h, const facts::SegmentFact& f) const {
  constexpr std::uint32_t kLookBack = 8;
  constexpr Duration kSoon = std::chrono::milliseconds{100};
  const auto same = [&](const facts::SegmentFact& g) {
    return g.seq == f.seq && g.ack == f.ack && g.flags == f.flags && g.payload_bytes == f.payload_bytes &&
           g.window == f.window && g.ip_id == f.ip_id && g.tsval == f.tsval && g.from_server == f.from_server &&
           f.time - g.time < kSoon && (f.ip_id != 0 || f.time - g.time < std::chrono::milliseconds{1});
  };
  bool found = false;
  if (h.side != 0 && sides_[h.side - 1].story.begun) {
    stories_.recent(sides_[h.side - 1].story, kLookBack, [&](const facts::SegmentFact& g) { return !(found = same(g)); });
    return found;
  }
  std::uint32_t at = h.head;
  for (std::uint32_t i = 0; i < kLookBack && at != 0 && history_.holds(at) && !found; ++i) {
    found = same(history_[at]);
    at = history_.before(at);
  }
  return found;
}

/// SYN and SYN-ACK.
std::uint64_t Table::on_syn(Ref ref, Hot& h, const Packet& p) {
  const facts::SegmentFact& f = p.fact;
  const End s = p.sender;
  Half& u = h.half(s);
  const Half& v = h.half(other(s));
  std::uint64_t signals = 0;
  if (h.is(of(Hold::kSyn, s))) {
    if (is_copy(h, f)) return Signal::kDuplicate;
    ++side(h).half(s).syns;
    if (!f.has_ack()) return Signal::kSynRepeated;
    return u.iss == f.seq ? Signal::kSynAckRepeated : Signal::kSecondSynAck;
  }
  h.set(of(Hold::kSyn, s));
  u.iss = f.seq;
  u.mss = f.mss;
  u.set_syn_shape(f.options, f.window_scale);
  if (!h.is(of(Hold::kSeen, s)) || after(f.end(), u.max_end)) u.max_end = f.end();
  if (f.payload_bytes > 0) signals |= Signal::kSynWithData;
  if (f.has(Opt::kFastOpen)) signals |= Signal::kFastOpen;
  if (!f.has_ack()) {
    if (h.is(of(Hold::kSyn, other(s)))) signals |= Signal::kSimultaneousOpen;
    else if (h.is(Hold::kEstablished)) signals |= Signal::kOutOfOrder;
    return signals;
  }
  if (h.is(of(Hold::kSyn, other(s)))) {
    if (f.ack != v.iss + 1 && f.ack != v.max_end) signals |= Signal::kImpossibleAck;
    constexpr std::uint16_t kNegotiated = Opt::kWindowScale | Opt::kSackPermitted | Opt::kTimestamps;
    if (v.syn_options() & ~f.options & kNegotiated) signals |= Signal::kCookieLike;
    Parties who = parties(ref, h);
    who.client = other(s);
    survey_.syn_ack(who, ref, f, f.time - CaptureTime{Duration{h.start}});
  } else {
    h.half(other(s)).iss = f.ack - 1;  // what its SYN must have had, should it come late
  }
  return signals;
}

/// A segment that was not seen lies between `begin` and `end`. Lost before this point it is sent again; acknowledged
/// without that, the capture lost it. (An ACK that was recorded before its data opens no hole: this side's segments keep
/// their order.)
void Table::open_missed(Side& d, const Hot& h, const Packet& p, End by, SeqNum begin, SeqNum end) {
  const bool acked = by != p.sender;
  if (!acked && d.missed_from != 0 && d.missed_by == by && d.missed_acked && after(d.missed_end, begin)) {
    // The ACK came first, and now something beyond the hole.
    if (!before(h.half(other(by)).max_ack, end)) close_missed(d);
    return;
  }
  d.missed_from = h.last_ns();
  d.missed_until = p.fact.time.time_since_epoch().count();
  d.missed_begin = begin;
  d.missed_end = end;
  d.missed_by = by;
  d.missed_acked = acked;
}

/// The capture lost it.
void Table::close_missed(Side& d) {
  blanks_.add(CaptureTime{Duration{d.missed_from}}, CaptureTime{Duration{d.missed_until}});
  d.missed_from = 0;
}

/// Sequence numbers: next, repeated, ahead, out of window.
std::uint64_t Table::on_data(Hot& h, const Packet& p) {
  const facts::SegmentFact& f = p.fact;
  const End s = p.sender;
  Half& u = h.half(s);
  const Half& v = h.half(other(s));
  const std::uint32_t length = f.payload_bytes + (f.fin() ? 1u : 0u);
  const SeqNum end = f.seq + length;
  std::uint64_t signals = 0;
  if (!h.is(of(Hold::kSeen, s))) {
    u.max_end = end;
  } else {
    const std::int32_t ahead = offset(u.max_end, f.seq);
    if (ahead == 0) {
      u.max_end = end;
    } else if (ahead > 0) {
      signals |= Signal::kOutOfOrder | Signal::kCaptureGap;
      open_missed(side(h), h, p, s, u.max_end, f.seq);
      u.max_end = end;
    } else {
      const bool probe = length <= 1 && ahead == -1 && !f.fin();
      if (h.side != 0)
        if (Side& d = sides_[h.side - 1]; d.missed_by == s && !after(f.seq, d.missed_begin) && after(end, d.missed_begin)) d.missed_from = 0;
      if (is_copy(h, f)) signals |= Signal::kDuplicate;
      else if (probe) signals |= Signal::kKeepalive;
      else if (length == 0) signals |= Signal::kOutOfOrder;
      else signals |= Signal::kRepeat;
      if (after(end, u.max_end)) u.max_end = end;
    }
  }
  if (f.fin() && !h.is(of(Hold::kFin, s))) {
    h.set(of(Hold::kFin, s));
    if (h.is(Hold::kOutstanding)) signals |= Signal::kEarlyClose;
    if (s != h.client() && h.response_end.raw() != 0 && before(f.seq + f.payload_bytes, h.response_end))
      signals |= Signal::kAnnouncedShort;
  }
  // Beyond what the receiver offered? Only where both SYNs tell the scale.
  if (length != 0 && h.is(of(Hold::kSyn, End::kLow)) && h.is(of(Hold::kSyn, End::kHigh)) && v.packets > 1) {
    const std::uint32_t window = static_cast<std::uint32_t>(v.window) << (has_scaling(h) ? v.syn_scale() : 0);
    if (offset(v.max_ack + window + 1, end) > 0) signals |= Signal::kOutOfWindow;
  }
  return signals;
}

std::uint64_t Table::on_ack(Ref ref, Hot& h, const Packet& p) {
  const facts::SegmentFact& f = p.fact;
  const End s = p.sender, t = other(s);
  Half& u = h.half(s);
  const Half& v = h.half(t);
  std::uint64_t signals = 0;
  if (h.is(of(Hold::kSeen, t)) && after(f.ack, v.max_end)) {
    signals |= Signal::kImpossibleAck | Signal::kCaptureGap;
    if (Side& d = side(h); d.missed_from == 0) open_missed(d, h, p, t, v.max_end, f.ack);
  } else if (h.side != 0) {
    if (Side& d = sides_[h.side - 1]; d.missed_from != 0 && d.missed_by == t && !d.missed_acked && !before(f.ack, d.missed_end)) close_missed(d);
  }
  const bool first = u.max_ack.raw() == 0;  // as good as a flag: at worst one old ACK goes unnoticed
  if (first || after(f.ack, u.max_ack)) u.max_ack = f.ack;
  else if (before(f.ack, u.max_ack)) signals |= Signal::kOutOfOrder;
  if (h.is(of(Hold::kFin, t)) && f.ack == v.max_end) h.set(of(Hold::kFinAcked, t));
  if (!h.is(Hold::kEstablished) && !f.syn()) {
    if (s == h.client()) {
      // The handshake's third segment; where the server's side is not captured, any will do.
      const bool answered = h.is(of(Hold::kSyn, t));
      if ((answered && !before(f.ack, v.iss + 1)) || !h.is(of(Hold::kSeen, t))) {
        h.set(Hold::kEstablished);
        survey_.opened(parties(ref, h), f.time);
      }
    } else if (!h.is(of(Hold::kSyn, s))) {
      signals |= Signal::kSynAnsweredByAck;
    }
  }
  return signals;
}

/// Who speaks, who owes an answer, and how long that takes.
std::uint64_t Table::on_conversation(Hot& h, const Packet& p, Ticks now) {
  std::uint64_t signals = 0;
  if (p.sender == h.client()) {
    if (!h.is(Hold::kOutstanding)) {
      ++h.turns;
      h.set(Hold::kOutstanding);
    }
    h.request = now;
    return signals;
  }
  if (h.is(Hold::kOutstanding)) {
    if (now - h.request > kSlow) signals |= Signal::kSlowResponse;
    h.clear(Hold::kOutstanding);
  }
  on_answer(h, p.fact);
  return signals;
}

/// How long the answer says that it is.
void Table::on_answer(Hot& h, const facts::SegmentFact& f) {
  if (f.app == facts::App::kHttpResponse) {
    constexpr std::uint32_t kUnknownLength = 1u << 30;  // its last chunk ends it (RFC 9112 7.1)
    const bool announced = f.app_flags & facts::AppFlag::kHasLength;
    const bool chunked = f.app_flags & facts::AppFlag::kChunked;
    h.response_end = announced || chunked ? f.seq + (announced ? f.app_length : kUnknownLength) : SeqNum{};
  }
  if (facts::is_tls(f) && (f.app_flags & facts::AppFlag::kHasLength)) h.response_end = f.seq + f.app_length;
  if (f.app_flags & facts::AppFlag::kChunkedEnd) h.response_end = SeqNum{};
}

void Table::on_close(Ref ref, Hot& h) {
  h.set(Hold::kClosed);
  constexpr std::int64_t kLateFor = 120'000'000'000;
  closed_.push_back({ref, rank(ref), h.last_ns() + kLateFor});
}

/// A fresh record's lone SYN, when nothing about it raises a signal: what advance() comes to.
bool Table::begin_as_predicted(Hot& h, const facts::SegmentFact& syn, End sender) {
  if (syn.window == 0 || (syn.anomalies & wire::Anomaly::kBadTcpChecksum)) return false;
  Half& u = h.half(sender);
  u.packets = 1;
  u.ttl = syn.ttl;
  u.iss = syn.seq;
  u.mss = syn.mss;
  u.set_syn_shape(syn.options, syn.window_scale);
  u.max_end = syn.seq + 1;
  u.tsval = syn.tsval;
  u.window = syn.window;
  h.head = history_.push(syn, 0);
  h.set(static_cast<std::uint16_t>(of(Hold::kSyn, sender) | of(Hold::kSeen, sender)));
  h.last_frame = syn.frame;
  h.last_file = syn.file;
  return true;
}

/// The SYN-ACK that a server's stack sends to a SYN that nothing is unusual about: the same.
bool Table::answer_as_predicted(Ref ref, Hot& h, const Packet& p) {
  using wire::Anomaly;
  const facts::SegmentFact& f = p.fact;
  const End s = p.sender, t = other(s);
  Half& u = h.half(s);
  const Half& v = h.half(t);
  constexpr std::uint8_t kFlags = Flag::kSyn | Flag::kFin | Flag::kRst | Flag::kAck;
  constexpr std::uint16_t kNegotiated = Opt::kWindowScale | Opt::kSackPermitted | Opt::kTimestamps;
  constexpr std::uint16_t kRare = Opt::kFastOpen | Opt::kSack | Opt::kMd5 | Opt::kAo;
  constexpr std::uint16_t kOurs = Hold::kUsed | Hold::kIndexed | Hold::kClientHigh;
  const std::uint16_t syn_alone = static_cast<std::uint16_t>(of(Hold::kSyn, t) | of(Hold::kSeen, t));
  if (h.side != 0 || t != h.client() || (h.flags & ~kOurs) != syn_alone || v.packets != 1) return false;
  if ((f.flags & kFlags) != (Flag::kSyn | Flag::kAck) || f.payload_bytes != 0 || f.ack != v.max_end || f.window == 0) return false;
  if ((v.syn_options() & ~f.options & kNegotiated) || (f.options & kRare) || (f.anomalies & Anomaly::kBadTcpChecksum)) return false;
  const std::int64_t ns = f.time.time_since_epoch().count() - h.start;
  const Ticks now = ns <= 0 ? 0 : static_cast<Ticks>(ns >> 20);
  if (now < h.last || now - h.last > kLongGap) return false;

  u.packets = 1;
  u.ttl = f.ttl;
  u.iss = f.seq;
  u.mss = f.mss;
  u.set_syn_shape(f.options, f.window_scale);
  u.max_end = f.end();
  u.max_ack = f.ack;
  u.tsval = f.tsval;
  u.window = f.window;
  survey_.syn_ack(parties(ref, h), ref, f, f.time - CaptureTime{Duration{h.start}});
  h.head = history_.push(f, h.head);
  h.set(static_cast<std::uint16_t>(of(Hold::kSyn, s) | of(Hold::kSeen, s)));
  h.last = now;
  h.last_frame = f.frame;
  h.last_file = f.file;
  return true;
}

/// Header prediction: on a connection of which both SYNs were seen and nothing unusual is known, the next segment in
/// sequence, with an ACK that fits and time that goes on, changes a few numbers and raises no signal, from the
/// handshake's third segment to the last ACK. Everything else, and everything that might raise a signal, is left to
/// advance(), which comes to the same for what is done here.
///
/// The tests that nearly every segment passes come first; what is as often so as not, from packet to packet of different
/// connections, is worked out without branches where that is short: the processor would guess every other one wrong.
bool Table::advance_as_predicted(Ref ref, Hot& h, const Packet& p) {
  constexpr std::uint16_t kBoth = Hold::kSeen | Hold::kSeen << 1 | Hold::kSyn | Hold::kSyn << 1;
  constexpr std::uint16_t kOver = Hold::kClosed | Hold::kInferred;
  constexpr std::uint8_t kFlags = Flag::kSyn | Flag::kRst | Flag::kAck;
  constexpr std::uint16_t kRare = Opt::kSack | Opt::kMd5 | Opt::kAo;
  const facts::SegmentFact& f = p.fact;
  if (h.side != 0 || (h.flags & (kBoth | kOver)) != kBoth) return false;
  const End s = p.sender, t = other(s);
  Half& u = h.half(s);
  const Half& v = h.half(t);
  const bool next = (f.flags & kFlags) == Flag::kAck && f.seq == u.max_end && f.ttl == u.ttl && f.window != 0 &&
                    !(before(f.ack, u.max_ack) && u.max_ack.raw() != 0) && !after(f.ack, v.max_end);
  if (!next) return false;
  const bool opens = !h.is(Hold::kEstablished), by_client = s == h.client();
  if (opens && (!by_client || before(f.ack, v.iss + 1))) return false;

  const std::uint16_t agreed = h.halves[0].syn_options() & h.halves[1].syn_options();
  const bool stamps = f.has(Opt::kTimestamps);
  const bool as_agreed = stamps ? offset(SeqNum{u.tsval}, SeqNum{f.tsval}) >= 0 || u.tsval == 0 : !(agreed & Opt::kTimestamps);
  if (!as_agreed || (f.options & kRare) || (f.anomalies & wire::Anomaly::kBadTcpChecksum)) return false;

  const Ticks now = static_cast<Ticks>(std::max<std::int64_t>(f.time.time_since_epoch().count() - h.start, 0) >> 20);
  const Ticks quiet = now - h.last;  // that time went back makes it huge
  if (quiet > kLongGap) return false;
  const bool fin = f.fin(), data = f.payload_bytes != 0, asked = h.is(Hold::kOutstanding);
  const SeqNum data_end = f.seq + f.payload_bytes, end = data_end + static_cast<std::uint32_t>(fin);
  const std::uint32_t window = static_cast<std::uint32_t>(v.window) << (agreed & Opt::kWindowScale ? v.syn_scale() : 0);
  if (offset(v.max_ack + window + 1, end) > 0 && v.packets > 1 && end != f.seq) return false;
  if (fin) {
    const bool short_of_announced = !by_client && h.response_end.raw() != 0 && before(data_end, h.response_end);
    if (h.is(of(Hold::kFin, s)) || asked || short_of_announced) return false;
  }
  if (asked && now - h.request > kSlow && data && !by_client) return false;

  ++u.packets;
  u.max_end = end;
  u.max_ack = f.ack;
  if (stamps) u.tsval = f.tsval;
  u.window = f.window;
  h.head = history_.push(f, h.head);
  h.last = now;
  h.last_frame = f.frame;
  h.last_file = f.file;
  const bool fin_acked = h.is(of(Hold::kFin, t)) & (f.ack == v.max_end);
  std::uint16_t flags = h.flags | Hold::kEstablished;
  if (data) {
    // What on_conversation() says.
    u.add_payload(f.payload_bytes);
    h.turns += static_cast<std::uint32_t>(by_client & !asked);
    h.request = by_client ? now : h.request;
    flags = static_cast<std::uint16_t>((flags & ~Hold::kOutstanding) | (by_client ? Hold::kOutstanding : 0));
    const bool says = (f.app == facts::App::kHttpResponse) | (f.app_flags != 0);
    if (says && !by_client) on_answer(h, f);
  }
  if (fin) {
    flags |= of(Hold::kFin, s);
    if (!h.is_closing()) h.set_closing(s, quiet);
  }
  h.flags = flags;
  if (opens) survey_.opened(parties(ref, h), f.time);
  if (fin_acked) {
    h.set(of(Hold::kFinAcked, t));
    if (h.is(of(Hold::kFinAcked, s))) on_close(ref, h);
  }
  return true;
}

void Table::advance(Ref ref, Hot& h, Packet& p) {
  const facts::SegmentFact& f = p.fact;
  const End s = p.sender;
  Half& u = h.half(s);
  std::uint64_t signals = 0;

  const std::int64_t ns = f.time.time_since_epoch().count() - h.start;
  Ticks now = ns <= 0 ? 0 : static_cast<Ticks>(ns >> 20);
  if (now < h.last) {
    if (h.last_ns() - h.start - ns > kClockStep) ++survey_.survey.clock_steps;
    now = h.last;
  }
  const Ticks quiet = now - h.last;
  if (quiet > kLongGap) signals |= Signal::kLongGap;

  ++u.packets;
  u.add_payload(f.payload_bytes);
  if (!h.is(of(Hold::kSeen, s))) u.ttl = f.ttl;
  else if (f.ttl != u.ttl && std::abs(static_cast<int>(f.ttl) - static_cast<int>(u.ttl)) > 1) signals |= Signal::kTtlChange;

  if (p.speaker != Speaker::kUnknown && h.is(Hold::kInferred))
    h.set_client(p.speaker == Speaker::kClient ? s : other(s));
  // Who sent a RST and goes on sending data never sent that RST.
  if (h.is(Hold::kClosed) && !f.rst() && f.payload_bytes != 0 && h.first_closer() == s && !h.is(of(Hold::kFin, s)))
    h.clear(Hold::kClosed);
  const SeqNum end_before = u.max_end;
  const bool had_fins = h.is(of(Hold::kFin, s));
  if (f.rst()) {
    signals |= Signal::kReset;
    if (h.is(Hold::kOutstanding)) signals |= Signal::kEarlyClose;
    if (!h.is(of(Hold::kSeen, s))) u.max_end = f.seq;
  } else {
    if (f.syn()) signals |= on_syn(ref, h, p);
    else signals |= on_data(h, p);
    if (f.has_ack()) signals |= on_ack(ref, h, p);
    else if (!f.syn()) signals |= Signal::kOutOfWindow;
    if (f.payload_bytes != 0 && (u.packets == 1 || after(u.max_end, end_before))) signals |= on_conversation(h, p, now);
    if (f.window == 0) signals |= Signal::kZeroWindow;
    if (f.has(Opt::kTimestamps)) {
      if (u.packets > 1 && u.tsval != 0 && offset(SeqNum{u.tsval}, SeqNum{f.tsval}) < 0) signals |= Signal::kTimestampRegress;
      u.tsval = f.tsval;
    } else if (h.halves[0].syn_options() & h.halves[1].syn_options() & Opt::kTimestamps) {
      signals |= Signal::kOptionChange;
    }
    u.window = f.window;
  }
  constexpr std::uint16_t kOddOptions = Opt::kSack | Opt::kMd5 | Opt::kAo;
  if (f.options & kOddOptions) {
    if (f.has(Opt::kSack)) signals |= Signal::kOutOfOrder;
    if (f.dsack) signals |= Signal::kDsack;
    if (f.options & (Opt::kMd5 | Opt::kAo)) signals |= Signal::kAuthentication;
  }
  if ((f.anomalies & (wire::Anomaly::kBadTcpChecksum | wire::Anomaly::kPartialChecksum)) == wire::Anomaly::kBadTcpChecksum && !f.outbound)
    signals |= Signal::kBadChecksum;

  if ((f.fin() || f.rst()) && !h.is_closing() && !had_fins) h.set_closing(s, quiet);
  if (signals != 0) {
    raise(h, signals);
    count_unusual(h, p, signals);
  }
  remember(h, p);
  h.set(of(Hold::kSeen, s));
  h.last = now;
  h.last_frame = f.frame;
  h.last_file = f.file;
  if (!h.is(Hold::kClosed)) {
    const bool fins = h.is(of(Hold::kFinAcked, End::kLow)) && h.is(of(Hold::kFinAcked, End::kHigh));
    if (fins || f.rst()) on_close(ref, h);
  }
}

void Table::count_unusual(Hot& h, const Packet& p, std::uint64_t signals) {
  const facts::SegmentFact& f = p.fact;
  SideHalf& half = side(h).half(p.sender);
  if (signals & Signal::kDuplicate) {
    ++survey_.survey.duplicate_frames;
    half.repeated_bytes += f.payload_bytes;
  }
  if (signals & Signal::kRepeat) {
    ++half.repeats;
    half.repeated_bytes += f.payload_bytes;
  }
  if (signals & Signal::kKeepalive) {
    ++half.keepalives;
    half.repeated_bytes += f.payload_bytes;
  }
  if (signals & Signal::kZeroWindow) ++half.zero_windows;
  if (signals & Signal::kBadChecksum) ++half.bad_checksums;
  if (signals & Signal::kReset) half.rst = true;
}

void Table::settle(Ref, Hot& h) {
  std::uint64_t signals = 0;
  const End client = h.client(), server = other(client);
  const std::int64_t idle = end_.time_since_epoch().count() - h.last_ns();
  const bool seen_client = h.is(of(Hold::kSeen, client)), seen_server = h.is(of(Hold::kSeen, server));
  if (!seen_client || !seen_server) signals |= Signal::kOneDirection;
  if (h.is(Hold::kInferred)) signals |= Signal::kMidStream;
  if (!h.is(Hold::kEstablished)) {
    signals |= seen_server ? Signal::kHandshakeIncomplete : Signal::kSynUnanswered;
  } else if (!h.is(Hold::kClosed)) {
    signals |= Signal::kOpenAtEnd;
    if (idle >= kOwedAfter) {
      for (End e : {End::kLow, End::kHigh})
        if (h.is(of(Hold::kSeen, End::kLow)) && h.is(of(Hold::kSeen, End::kHigh)) &&
            after(h.half(e).max_end, h.half(other(e)).max_ack))
          signals |= Signal::kUnackedAtEnd;
      if (h.is(Hold::kOutstanding)) signals |= Signal::kUnansweredAtEnd;
      if (h.is(of(Hold::kFin, End::kLow)) || h.is(of(Hold::kFin, End::kHigh))) signals |= Signal::kHalfClosedAtEnd;
    }
  } else {
    if (h.is(Hold::kOutstanding)) signals |= Signal::kEarlyClose;
    if (!h.is(Hold::kInferred) && h.halves[0].payload() + h.halves[1].payload() == 0) signals |= Signal::kNoPayload;
  }
  if (signals & ~kUntold) raise(h, signals);
  else if (h.side != 0) sides_[h.side - 1].signals |= signals;
}

void Table::count_end(Ref ref, Hot& h) {
  if (h.is(Hold::kSurveyed)) return;
  h.set(Hold::kSurveyed);
  const End client = h.client(), server = other(client);
  const Side* s = h.side != 0 ? &sides_[h.side - 1] : nullptr;
  using Fate = facts::Attempt::Fate;
  Ended& e = survey_.ended(parties(ref, h));
  e.rank = rank(ref) + options_.first_id;
  e.start = CaptureTime{Duration{h.start}};
  e.end = CaptureTime{Duration{h.last_ns()}};
  e.both_directions = h.is(of(Hold::kSeen, client)) && h.is(of(Hold::kSeen, server));
  const bool reset = s != nullptr && (s->halves[0].rst || s->halves[1].rst);
  if (!h.is(Hold::kEstablished)) {
    if (s != nullptr && (s->half(server).rst || s->icmp_count > 0)) e.fate = Fate::kRefused;
    else e.fate = h.is(of(Hold::kSeen, server)) ? Fate::kIncomplete : Fate::kUnanswered;
  } else if (reset && h.half(server).payload() == 0) {
    e.fate = Fate::kResetEarly;
  }
  if (!h.is(of(Hold::kSyn, client)) && h.half(client).payload() + h.half(server).payload() == 0) {
    // What the client's side may have said to a stray answer is one RST.
    const bool only_reset = h.half(client).packets == (s != nullptr && s->half(client).rst ? 1u : 0u);
    e.stray_syn_ack = only_reset && h.is(of(Hold::kSyn, server));
    e.stray_rst = h.half(client).packets == 0 && !h.is(of(Hold::kSyn, server)) && s != nullptr && s->half(server).rst;
  }
  // As lone_end() says it of one that stayed an embryo.
  e.lone_syn = e.fate == Fate::kUnanswered && (s == nullptr || s->half(client).syns == 0) && h.is(of(Hold::kSyn, client));
  e.opened = h.is(Hold::kEstablished);
  e.failed = e.fate != Fate::kAccepted || reset;
  e.gap = s != nullptr && (s->signals & Signal::kCaptureGap);
  e.syn_acks = h.is(of(Hold::kSyn, server)) ? 1 + (s != nullptr ? s->half(server).syns : 0) : 0;
  e.requests = h.turns;
  e.server_spoke = h.half(server).payload() > 0 || h.is(of(Hold::kFin, server));
  e.unread = e.opened && !e.server_spoke && !reset && h.half(client).payload() > 0 && h.half(server).max_ack == h.half(client).max_end;
  e.probe = h.is(of(Hold::kSyn, client)) && h.is(of(Hold::kSyn, server)) && s != nullptr && s->half(client).rst && !s->half(server).rst &&
            h.half(client).payload() + h.half(server).payload() == 0;
  e.has_timestamps = h.half(client).syn_options() & Opt::kTimestamps;
  e.tsval = h.half(client).tsval;
  if (h.is(Hold::kEstablished) && h.is_closing()) {
    e.closed = true;
    e.closer = h.first_closer() == client ? facts::Party::kClient : facts::Party::kServer;
    e.by_reset = reset && !h.is(of(Hold::kFin, h.first_closer()));
    e.crossed = h.is(Hold::kOutstanding);
    e.idle = Duration{static_cast<std::int64_t>(h.quiet_before_close()) << 20};
  }
}

}  // namespace tcpwhy::flow
