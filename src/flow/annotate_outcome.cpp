// How it ended: states of both ends as far as the vantage shows them, the
// outcome (product.md section 3), and who ended it. A failure is claimed only
// where the capture watched long enough to have seen the contrary: a story that
// merely stops is open, half-closed or partial.

#include <algorithm>

#include "facts/farewell.hpp"
#include "facts/questions.hpp"
#include "facts/syn_timer.hpp"
#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::AckPlace;
using facts::App;
using facts::Outcome;
using facts::Repeat;
using facts::RstShape;
using facts::State;
using facts::StreamFacts;
using namespace std::chrono_literals;

namespace {

// The initial timeout (linux-tcp 8.1).
// The kernel, not an application, answers a SYN-ACK: within the round trip of any path on earth.
constexpr Duration kSynAckAnswered = 300ms;
// Silence that several timeouts of any stack would have broken.
constexpr Duration kSeveralTimeouts = 5s;
constexpr Duration kStalledWindow = 5s;
// Four transmissions of one octet over this time are no repair under way any more.
constexpr Duration kPersistent = 2s;
// How long a request may go without an answer before that is no longer merely slow: the first one of a
// connection meets a server whose application has shown no life yet; later ones may be long polls. Five seconds
// is also when neighbours are asked for again (RFC 4861 7.3.3, Linux delay_first_probe_time): the frame that
// proves that the capture still watched.
constexpr Duration kFirstAnswer = 4500ms;
constexpr Duration kLaterAnswer = 90s;
// An announced response that stops in the middle while its receiver's window is open.
constexpr Duration kStoppedResponse = 4s;

class Ending {
 public:
  Ending(Connection& c, const Reader& reader) : c_{c}, reader_{reader}, rst_{ending_reset(c)} { look(); }

  void write() {
    c_.outcome = outcome();
    who();
    states();
    const bool over = c_.outcome == Outcome::kCompleted || c_.outcome == Outcome::kReset || c_.outcome == Outcome::kRefused;
    c_.quality.ended_early = !over && !c_.segments.empty() && facts::coverage_after(c_, last()) < kSeveralTimeouts;
  }

 private:
  [[nodiscard]] Index last() const { return static_cast<Index>(c_.segments.size()) - 1; }
  [[nodiscard]] const StreamFacts& client() const { return c_.streams[0]; }
  [[nodiscard]] const StreamFacts& server() const { return c_.streams[1]; }
  [[nodiscard]] Duration watched_after(Index i) const { return facts::coverage_after(c_, i); }

  void look() {
    // A SYN-ACK that crossed the client's ACK is as old as the path is long.
    const Index asked_by = c_.syn_ack >= 0 ? facts::syn_answered(c_, c_.syn_ack) : -1;
    const Duration crossing = std::max<Duration>(500ms, facts::between(c_, asked_by, c_.syn_ack) * 5 / 4);
    for (std::size_t k = 0; k < c_.segments.size(); ++k) {
      const SegmentFact& s = c_.segments[k];
      const Note& n = c_.notes[k];
      if (s.rst()) continue;
      if (s.from_server) {
        const bool own = !n.challenge && n.ack_place != AckPlace::kImpossible;
        if (!s.syn() && own) server_joined_ = true;
        if (n.ack_place == AckPlace::kUnseen) client_joined_ = true;  // it acknowledges words of the client that the capture missed
        if (s.syn() && s.has_ack() && c_.handshake_ack >= 0 && static_cast<Index>(k) > c_.handshake_ack &&
            (s.time - c_.segment(c_.handshake_ack).time) > crossing)
          ++late_syn_acks_;
      } else if (!s.syn()) {
        client_joined_ = true;
        // It acknowledges more than the SYN-ACK: the server spoke, although the capture missed it.
        if (n.ack_place == AckPlace::kUnseen) server_joined_ = true;
      }
    }
  }

  [[nodiscard]] bool mid_stream() const { return c_.syn < 0 && c_.syn_ack < 0; }

  /// Did both ends complete the handshake, as far as can be told?
  [[nodiscard]] bool established() const {
    if (mid_stream()) return true;
    if (server_joined_) return client_joined_ || c_.handshake_ack >= 0;
    if (c_.handshake_ack < 0) return false;
    // The server said nothing but SYN-ACKs since. It repeats them while the handshake is incomplete there.
    if (late_syn_acks_ == 0) return true;
    return late_syn_acks_ == 1 && client().payload_bytes == 0;
  }

  /// First SYN-ACK to last: those that answer repeated SYNs at once give the client no time to answer.
  [[nodiscard]] Duration syn_acks_span() const {
    Index first = -1, last = -1;
    for (std::size_t k = 0; k < c_.segments.size(); ++k) {
      if (!c_.segments[k].from_server || !c_.segments[k].syn()) continue;
      if (first < 0) first = static_cast<Index>(k);
      last = static_cast<Index>(k);
    }
    return facts::between(c_, first, last);
  }

  /// The capture was losing packets, and the story stops there: what should have followed need not have been missing.
  [[nodiscard]] bool missed_just_then() const { return c_.quality.coverage_cut && watched_after(last()) < facts::kInitialTimeout; }

  [[nodiscard]] Outcome handshake() const {
    if (c_.quality.one_direction) return Outcome::kPartial;
    const Index rst = server().rst;
    if (c_.syn_ack < 0 && !server_joined_) {
      bool refused = rst >= 0;
      for (const facts::IcmpFact& icmp : c_.icmp) refused |= icmp.quoted_from == Party::kClient && is_unreachable(icmp);
      if (c_.syn < 0) return Outcome::kPartial;
      bool challenged = false;
      for (std::size_t k = 0; k < c_.segments.size(); ++k)
        challenged |= c_.segments[k].from_server && !c_.segments[k].rst();
      if (challenged) return missed_just_then() ? Outcome::kPartial : Outcome::kHandshakeFailed;
      if (refused) return Outcome::kRefused;
      if (client().rst >= 0 && rst < 0 && client().syn_count == 0) return Outcome::kPartial;
      const bool watched = client().syn_count > 1 || watched_after(client().last) >= facts::kSynRepeated;
      return watched ? Outcome::kUnanswered : Outcome::kPartial;
    }
    if (c_.syn_ack < 0) return Outcome::kHandshakeFailed;
    // A SYN-ACK to a SYN that nobody here sent: an answer to a forged one, or the capture missed it.
    if (c_.syn < 0) return Outcome::kPartial;
    // The client cannot refuse, or abort, what it has not heard of: the capture shows the SYN-ACK late, or missed what followed.
    if (client().rst >= 0 && rst < 0 && (client().rst < c_.syn_ack || facts::took_unseen(c_, client().rst))) return Outcome::kPartial;
    if (client().rst >= 0 || rst >= 0) return Outcome::kHandshakeFailed;
    if (!client().seen) return Outcome::kPartial;
    if (late_syn_acks_ == 1 && repeat_not_due()) return Outcome::kPartial;
    if (late_syn_acks_ > 0 || syn_acks_span() >= kSynAckAnswered) return Outcome::kHandshakeFailed;
    // Neither repeated itself, as the client would without the SYN-ACK and the server without the ACK: what followed
    // was not captured.
    return client().syn_count > 1 && watched_after(last()) >= kSynAckAnswered ? Outcome::kHandshakeFailed : Outcome::kPartial;
  }

  /// The client answered the repeated SYN-ACK, and the capture ended before the next one was due: whether that answer was
  /// taken, as that of a listener that defers or of one that missed the first, cannot be told yet.
  [[nodiscard]] bool repeat_not_due() const {
    Index before_it = -1, repeat = -1;
    for (std::size_t k = 0; k < c_.segments.size(); ++k) {
      if (!c_.segments[k].from_server || !c_.segments[k].syn() || c_.notes[k].repeat == Repeat::kCaptureDuplicate) continue;
      before_it = repeat;
      repeat = static_cast<Index>(k);
    }
    if (before_it < 0 || client().last < repeat) return false;
    return watched_after(repeat) < 2 * facts::between(c_, before_it, repeat);  // linux-tcp 3.3: each wait is twice the one before
  }

  /// ICMP errors that end an attempt: unreachable (not "too big") and time exceeded (linux-tcp 10.2).
  static bool is_unreachable(const facts::IcmpFact& icmp) {
    if (icmp.version == 4) return (icmp.type == 3 && icmp.code != 4) || icmp.type == 11;
    return icmp.type == 1 || icmp.type == 3;
  }

  /// Everything `p` sent was acknowledged here, leaving out a lone FIN.
  [[nodiscard]] bool delivered(Party p) const {
    const Sender& s = reader_.side(p);
    if (!s.any || !s.una_known) return c_.stream(p).payload_bytes == 0;
    const SeqNum end = c_.stream(p).fin_seen && c_.stream(p).fin_seq + 1 == s.nxt ? s.nxt - 1 : s.nxt;
    return !before(s.una, end);
  }

  /// Nothing was asked that waits for its answer; the client's own goodbye asks nothing.
  [[nodiscard]] bool nothing_asked(Index i) const {
    const std::uint32_t open = facts::requests_outstanding(c_, i);
    if (open != 1 || c_.exchanges.back().response >= 0) return open == 0;
    const Index last_words = c_.exchanges.back().request;
    return facts::is_farewell(c_.segment(last_words)) || facts::is_goodbye(c_, last_words);
  }

  /// Undelivered octets are nothing but TLS's goodbye (RFC 8446 6.1).
  [[nodiscard]] bool only_alert_undelivered(Party p) const {
    const Sender& s = reader_.side(p);
    if (!s.una_known) return false;
    for (const SegmentFact& seg : c_.segments)
      if (seg.from() == p && seg.payload_bytes > 0 && after(seg.seq + seg.payload_bytes, s.una) && !facts::is_farewell(seg))
        return false;
    return true;
  }

  /// The conversation had said that it was over: a whole response with "Connection: close", or TLS's goodbye.
  [[nodiscard]] bool said_goodbye() const {
    // An alert in the clear is 7 octets long and ends a handshake that failed; an encrypted one is longer (RFC 8446 5.2).
    constexpr std::uint32_t kAlertInTheClear = 7;
    for (const SegmentFact& s : c_.segments)
      if (s.app == App::kTlsAlert && s.payload_bytes > kAlertInTheClear) return true;
    if (c_.exchanges.empty()) return false;
    const facts::Exchange& e = c_.exchanges.back();
    return e.response >= 0 && e.response_complete && (c_.segment(e.response).app_flags & facts::AppFlag::kConnectionClose);
  }

  /// Two hops are what routes of one connection may differ by (linux-tcp 11.5).
  [[nodiscard]] bool from_elsewhere() const {
    const SegmentFact& r = c_.segment(rst_);
    const std::uint8_t usual = facts::usual_ttl(c_, r.from());
    return usual != 0 && std::abs(int{r.ttl} - int{usual}) > 2;
  }

  [[nodiscard]] Outcome after_reset() const {
    const SegmentFact& r = c_.segment(rst_);
    const Party p = r.from(), q = other(p);
    const bool p_fin = c_.stream(p).fin >= 0 && c_.stream(p).fin < rst_;
    const bool q_fin = c_.stream(q).fin >= 0 && c_.stream(q).fin < rst_;
    const bool q_done = delivered(q) || only_alert_undelivered(q);
    const bool p_done = delivered(p) || only_alert_undelivered(p);
    const bool no_request_open = nothing_asked(rst_);
    if (p_fin && q_fin && q_done && p_done) return Outcome::kCompleted;
    // In place of its own FIN, after the other's; or of the last ACK, after its own.
    if (q_fin && q_done && p_done && no_request_open) return Outcome::kCompleted;
    const bool closed_before = c_.stream(p).fin_acked || c_.note(rst_).rst_shape == RstShape::kPassive;
    if (p_fin && q_done && p_done && no_request_open && closed_before) return Outcome::kCompleted;
    // Instead of its FIN, when nothing more was to come.
    if (p == Party::kClient && !p_fin && q_done && p_done && no_request_open &&
        (said_goodbye() || (facts::left_at_rest(c_, rst_) && !from_elsewhere())))
      return Outcome::kCompleted;
    if (mid_stream() && (!client().seen || !server().seen || c_.segments.size() < 3)) return Outcome::kPartial;
    if (closed_unseen(p)) return Outcome::kPartial;
    return gave_up_with_reset(p) ? Outcome::kTimedOut : Outcome::kReset;
  }

  /// The RST answers for a socket that had closed where the capture did not look: before it began, or among what it
  /// missed. How that close went cannot be told.
  [[nodiscard]] bool closed_unseen(Party p) const {
    const Note& n = c_.note(rst_);
    if (facts::took_unseen(c_, rst_)) return true;
    // Its own numbers went on where the capture missed them: a FIN, most likely.
    const bool lossy = c_.quality.capture_gap || c_.quality.coverage_cut;
    if (lossy && n.rst_shape != RstShape::kActive && !c_.stream(p).fin_seen && counts_unseen(p)) return true;
    // What it asked was missed, and all that passed was delivered: the answer may have been whole.
    const SegmentFact& rst = c_.segment(rst_);
    const bool took_all = delivered(other(p)) || (rst.has_ack() && !before(rst.ack, c_.stream(other(p)).max_end));
    if (c_.quality.capture_gap && c_.exchanges.empty() && took_all && delivered(p)) return true;
    if (n.rst_shape != RstShape::kPassive || c_.stream(p).fin_seen) return false;
    if (n.provoked_by >= 0 && c_.note(n.provoked_by).ack_place == AckPlace::kUnseen) return true;
    if (!mid_stream()) return false;
    return std::none_of(c_.segments.begin(), c_.segments.end(), [&](const SegmentFact& s) { return s.from() == p && !s.rst(); });
  }

  /// The number of the ending RST is the one behind all that `p` was seen to send: an octet of its sequence space was missed.
  [[nodiscard]] bool counts_unseen(Party p) const {
    Index last = -1;
    for (Index i = 0; i < rst_; ++i)
      if (const SegmentFact& s = c_.segment(i); s.from() == p && !s.rst() && (last < 0 || after(s.end(), c_.segment(last).end()))) last = i;
    return last >= 0 && c_.segment(rst_).seq == c_.segment(last).end() + 1;
  }

  /// The RST is the last word of one who had asked in vain: keepalive ran out (linux-tcp 7.3 A7), or Windows'
  /// retries did (linux-tcp 8.8).
  [[nodiscard]] bool gave_up_with_reset(Party p) const {
    if (c_.stream(p).keepalives >= 2) {
      const facts::Keepalives k = facts::keepalives(c_, p);
      const Duration waited = facts::between(c_, k.tries.last(), rst_);
      if (k.unanswered >= 2 && waited >= k.interval * 4 / 5) return true;
    }
    const auto retry = facts::open_retry(c_, p);
    return retry && retry->peer_silent && retry->backs_off && retry->tries.count >= 4 &&
           facts::between(c_, retry->tries.last(), rst_) >= retry->next_due * 4 / 5;
  }

  /// One side sends and nothing comes back any more.
  [[nodiscard]] Outcome silence(Party p) const {
    if (!c_.stream(other(p)).seen) return Outcome::kOpen;
    const auto retry = facts::open_retry(c_, p);
    if (!retry || retry->tries.count == 0) return Outcome::kOpen;
    const Index first = retry->tries.first();
    const Duration watched = watched_after(first);
    const std::uint32_t sent = retry->tries.count;
    if (retry->peer_silent) {
      if (sent >= 3 && watched >= facts::kInitialTimeout) return Outcome::kTimedOut;
      if (sent == 2 && watched >= 3 * facts::kInitialTimeout) return Outcome::kTimedOut;
      return Outcome::kOpen;
    }
    // It still talks, but never about this: what it got was not taken, or its answers speak of something else.
    if (sent >= 4 && watched >= kPersistent) return Outcome::kTimedOut;
    return Outcome::kOpen;
  }

  /// `p` keeps repeating what was acknowledged here: it does not hear the answers.
  [[nodiscard]] bool deaf(Party p) const {
    Index i = c_.stream(p).last_data;
    if (c_.stream(p).fin > i) i = c_.stream(p).fin;
    if (i < 0 || c_.note(i).repeat != Repeat::kSpurious) return false;
    const facts::DataRetry retry = facts::data_retry(c_, i);
    return retry.tries.count >= 4 && retry.backs_off && retry.span >= kPersistent;
  }

  [[nodiscard]] bool keepalive_unanswered(Party p) const {
    if (c_.stream(p).keepalives < 2 || !c_.stream(other(p)).seen) return false;
    const facts::Keepalives k = facts::keepalives(c_, p);
    return k.unanswered >= 2 && watched_after(k.tries.last()) >= facts::kInitialTimeout;
  }

  [[nodiscard]] bool window_stalled(Party receiver) const {
    if (c_.stream(receiver).zero_windows == 0) return false;
    const facts::ZeroWindow z = facts::zero_window(c_, receiver);
    return z.closed >= 0 && z.reopened < 0 && z.probes >= 1 && z.last >= kStalledWindow;
  }

  [[nodiscard]] bool never_answered() const {
    if (c_.exchanges.empty() || server().fin_seen) return false;
    const facts::Exchange& e = c_.exchanges.back();
    if (e.response >= 0 && e.announced && !e.response_complete && !client().fin_seen)
      return facts::first_unacked(c_, Party::kServer) < 0 && watched_after(last()) >= kStoppedResponse;
    if (e.response >= 0 || !facts::was_acked(c_, e.request_end) || facts::answered_unseen(c_, e.request_end)) return false;
    // A client that closes its half after having waited as long changes nothing; nor does one that closes it right
    // behind its request and goes on waiting (RFC 9293 3.6).
    const Duration closed_after = client().fin_seen ? c_.segment(client().fin).time - c_.segment(e.request_end).time : Duration{};
    if (closed_after > facts::kRightBehind && closed_after < kFirstAnswer) return false;
    const App app = c_.segment(e.request).app;
    const bool expects_answer = app == App::kHttpRequest || app == App::kTlsHandshake || app == App::kSmb;
    if (!expects_answer) return false;
    const bool first = server().payload_bytes == 0 && !mid_stream();
    return watched_after(e.request_end) >= (first ? kFirstAnswer : kLaterAnswer);
  }

  /// Nothing of the connection but its last few segments.
  [[nodiscard]] bool only_the_close() const {
    return client().payload_bytes + server().payload_bytes == 0 && c_.segments.size() <= 8;
  }

  [[nodiscard]] Outcome outcome() {
    if (c_.segments.empty()) return Outcome::kPartial;
    if (!established()) return handshake();
    if (c_.quality.one_direction) return Outcome::kPartial;
    if (rst_ >= 0) {
      // A RST that answers the client's first words, where the server had said nothing but SYN-ACK.
      const RstShape shape = c_.note(rst_).rst_shape;
      const bool answer = shape == RstShape::kPassive || shape == RstShape::kPassiveStale || shape == RstShape::kOther;
      if (!mid_stream() && !server_joined_ && c_.segment(rst_).from_server && answer) return Outcome::kHandshakeFailed;
      return after_reset();
    }
    if (mid_stream() && (!client().seen || !server().seen)) return Outcome::kPartial;
    for (Party p : {Party::kClient, Party::kServer})
      if (window_stalled(p)) return Outcome::kStalled;
    const bool both = closed(client()) && closed(server());
    if (mid_stream() && only_the_close()) return Outcome::kPartial;
    for (Party p : {Party::kClient, Party::kServer}) {
      if (both && delivered(p)) continue;
      const Outcome o = silence(p);
      if (o != Outcome::kOpen) {
        // Retrying into a handshake the server never completed.
        if (!server_joined_ && !mid_stream() && (late_syn_acks_ > 0 || server().rst >= 0)) return Outcome::kHandshakeFailed;
        return o;
      }
      if (keepalive_unanswered(p) || deaf(p)) return Outcome::kTimedOut;
    }
    if (both) return Outcome::kCompleted;
    if (never_answered()) return Outcome::kStalled;
    if (client().fin_seen || server().fin_seen) {
      return Outcome::kHalfClosed;
    }
    return Outcome::kOpen;
  }

  void who() {
    const auto stopped = [&](Party p) {
      const auto retry = facts::open_retry(c_, p);
      if (retry && retry->stopped) c_.ended_by = p;
    };
    switch (c_.outcome) {
      case Outcome::kUnanswered:
        if (facts::syn_attempts(c_).gave_up) c_.ended_by = Party::kClient;
        return;
      case Outcome::kTimedOut:
        if (rst_ >= 0) c_.ended_by = c_.segment(rst_).from();
        else stopped(Party::kClient);
        if (!c_.ended_by) stopped(Party::kServer);
        return;
      case Outcome::kOpen:
      case Outcome::kStalled:
      case Outcome::kPartial:
        return;
      case Outcome::kRefused:
        if (server().rst >= 0) c_.ended_by = Party::kServer;
        return;
      case Outcome::kHandshakeFailed:
      case Outcome::kReset:
      case Outcome::kCompleted:
      case Outcome::kHalfClosed: break;
    }
    const Index fin = first_of(client().fin, server().fin);
    const bool by_rst = rst_ >= 0 && (fin < 0 || c_.outcome == Outcome::kReset || c_.outcome == Outcome::kHandshakeFailed);
    if (by_rst) {
      c_.ended_by_network = from_elsewhere();
      if (!c_.ended_by_network) c_.ended_by = c_.segment(rst_).from();
      return;
    }
    if (fin >= 0) {
      c_.ended_by = c_.segment(fin).from();
      return;
    }
    stopped(Party::kClient);
  }

  static Index first_of(Index a, Index b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

  void states() {
    State& cs = c_.states[0];
    State& ss = c_.states[1];
    if (c_.outcome == Outcome::kRefused) {
      cs = ss = State::kClose;
      return;
    }
    if (rst_ >= 0 && established()) {
      cs = ss = State::kClose;
      return;
    }
    if (!established()) {
      cs = !client().seen ? State::kUnseen
           : c_.handshake_ack >= 0 ? State::kEstablished : c_.syn >= 0 ? State::kSynSent : State::kUnseen;
      ss = c_.syn_ack >= 0 ? State::kSynRecv : State::kUnseen;
      if (client().rst >= 0 && c_.syn_ack >= 0) {
        cs = State::kClose;
        if (c_.note(client().rst).seq_place == facts::SeqPlace::kNext) ss = State::kClose;
      }
      if (server().rst >= 0 && c_.syn_ack >= 0) ss = State::kClose;
      return;
    }
    for (Party p : {Party::kClient, Party::kServer}) c_.states[facts::index(p)] = synchronized(p);
  }

  [[nodiscard]] static bool closed(const StreamFacts& s) { return s.fin_seen || s.fin_not_kept; }

  [[nodiscard]] State synchronized(Party p) const {
    const StreamFacts& mine = c_.stream(p);
    const StreamFacts& theirs = c_.stream(other(p));
    if (!mine.seen) return State::kUnseen;
    // Which of them came first is not known then.
    if (mine.fin_not_kept || theirs.fin_not_kept) return closed(mine) && closed(theirs) ? State::kClose : State::kUnseen;
    // Their FIN counts once this side acknowledged it.
    const bool got_fin = theirs.fin_seen && theirs.fin_acked;
    if (!mine.fin_seen) return got_fin ? State::kCloseWait : State::kEstablished;
    // Which FIN came first decides between the active and the passive close.
    const bool first = !theirs.fin_seen || mine.fin < theirs.fin;
    const SegmentFact& fin = c_.segment(mine.fin);
    const bool answered_their_fin = theirs.fin_seen && after(fin.ack, theirs.fin_seq);
    if (first || !answered_their_fin) {
      if (mine.fin_acked) return got_fin ? State::kTimeWait : State::kFinWait2;
      return got_fin ? State::kClosing : State::kFinWait1;
    }
    return mine.fin_acked ? State::kClose : State::kLastAck;
  }

  Connection& c_;
  const Reader& reader_;
  Index rst_;
  bool server_joined_ = false, client_joined_ = false;
  std::uint32_t late_syn_acks_ = 0;
};

}  // namespace

Index ending_reset(const Connection& c) {
  const Index first = c.streams[0].rst < 0 ? c.streams[1].rst
                      : c.streams[1].rst < 0 ? c.streams[0].rst : std::min(c.streams[0].rst, c.streams[1].rst);
  if (first < 0) return -1;
  for (Index i = first; i >= 0; i = facts::next_rst(c, i))
    if (facts::is_effective(c, i)) return i;
  return -1;
}

void annotate_outcome(Connection& c, const Reader& reader) { Ending{c, reader}.write(); }

}  // namespace tcpwhy::flow
