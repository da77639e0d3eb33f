#pragma once
// The parts of annotate(). A story is read once, front to back, by a Reader that
// keeps what each side has sent and seen (annotate_reader.cpp); what a segment
// repeats is decided in annotate_repeats.cpp, what a RST or a bare ACK answers in
// annotate_answers.cpp. Then follow the exchanges, the quality of the observation,
// how it ended, and last the signals, which are made of all these.

#include <array>
#include <cstdint>

#include "facts/questions.hpp"
#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

using facts::Connection;
using facts::Index;
using facts::Note;
using facts::Party;
using facts::SegmentFact;

/// Octets of one side that were never seen although later ones were.
struct Hole {
  SeqNum from, to;
  Index opened_by = -1;    ///< the segment beyond it, or the ACK that covered what was not seen
  bool by_ack = false;     ///< opened by an ACK: the capture missed the data, or the number is wrong
  bool acked = false;      ///< the other side acknowledged it: it had arrived there
};

/// What has been seen of one side so far. `snd_` numbers are as the vantage knows them.
struct Sender {
  bool any = false;              ///< its sequence numbers are known
  bool una_known = false;
  bool right_known = false;
  bool rst = false;
  bool syn_data = false;         ///< its SYN carried data
  SeqNum low;                    ///< lowest number seen
  SeqNum nxt;                    ///< highest end of what it sent, probes excluded
  SeqNum sent_max;               ///< the same, probes included
  SeqNum una;                    ///< highest credible ACK it got
  SeqNum right;                  ///< highest right edge it was offered
  std::uint32_t window = 0;      ///< last window it offered, in octets
  bool window_seen = false;
  bool window_zero = false;      ///< that window was exactly 0
  std::uint16_t window_raw = 0;  ///< the same as on the wire
  std::uint64_t octets = 0;      ///< new payload so far

  // Loss recovery as its peer's ACKs would drive it (RFC 6675, RFC 8985).
  std::uint32_t dup_acks = 0;    ///< since the last ACK that moved `una`
  bool sacked = false;           ///< SACK blocks above `una` since then
  SeqNum sack_high;
  Index last_loss_sign = -1;     ///< the last duplicate ACK or SACK it got
  SeqNum recovery_end;           ///< repairing until this is acknowledged
  bool in_rto = false, in_fast = false;
  Index last = -1;               ///< its last segment
  Index last_new = -1;           ///< its last segment with new payload, SYN or FIN
  Index last_sent = -1;          ///< its last segment with sequence space, repeats included

  // One timed segment at a time (RFC 6298 section 3, Karn's rule).
  Index timed = -1;
  SeqNum timed_end;
  std::int64_t rtt = -1;         ///< fastest answer it *gave*: from a segment to it until its ACK, in ns
  Index judged = -1;             ///< its repeat of the first unacknowledged octet that the next ACK will judge
  Index wrong_ack = -1;          ///< the last impossible ACK number it got
  Index beyond = -1;             ///< its last segment beyond its window

  std::uint32_t last_tsval = 0;
  bool tsval_seen = false;
  std::uint16_t last_ip_id = 0;
  std::uint32_t ids_counted = 0, ids_same = 0, ids_jumped = 0;

  std::array<Hole, 8> holes;
  std::uint32_t hole_count = 0;
};

/// One reading of the story. Fills notes, streams and marks.
class Reader {
 public:
  explicit Reader(Connection& connection) : c_{connection} {}
  void read();

  [[nodiscard]] const Sender& side(Party p) const { return sides_[facts::index(p)]; }
  [[nodiscard]] std::uint64_t signals() const { return signals_; }

 private:
  friend struct Repeats;
  friend struct Answers;

  void open(Index i);                       ///< SYN and SYN-ACK
  /// Is this another connection's segment on the same ports?
  [[nodiscard]] bool took_up(const SegmentFact& s, Index i) const;
  [[nodiscard]] bool is_foreign(const SegmentFact& s, Index i) const;
  void begin_again();                       ///< after a stretch of the story that was not kept
  void count(const SegmentFact& s, Index i);
  void place_ack(const SegmentFact& s, Note& n, Index i);
  [[nodiscard]] bool goes_on_at(SeqNum ack, Index i) const;
  void take_new_ack(const SegmentFact& s, Note& n, Index i);
  void place_sequence(const SegmentFact& s, Note& n, Index i);
  void take_window(const SegmentFact& s, Note& n);
  void take_clock(const SegmentFact& s, const Note& n);
  void take_ip_id(const SegmentFact& s);
  void open_hole(Sender& me, SeqNum from, SeqNum to, Index by, bool by_ack);

  Sender& me(const SegmentFact& s) { return sides_[s.from_server]; }
  Sender& peer(const SegmentFact& s) { return sides_[1 - s.from_server]; }
  [[nodiscard]] const SegmentFact& at(Index i) const { return c_.segments[static_cast<std::size_t>(i)]; }
  [[nodiscard]] Note& note(Index i) { return c_.notes[static_cast<std::size_t>(i)]; }
  [[nodiscard]] std::int64_t since(Index earlier, Index later) const {
    return (at(later).time - at(earlier).time).count();
  }
  /// Round trip as far as known; `fallback` otherwise.
  [[nodiscard]] std::int64_t round_trip(std::int64_t fallback) const;

  Connection& c_;
  std::array<Sender, 2> sides_{};
  std::uint64_t signals_ = 0;
  bool past_gap_ = false;
};

/// What a segment that sends old numbers again is. annotate_repeats.cpp
struct Repeats {
  Reader& r;
  [[nodiscard]] bool is_probe(const SegmentFact& s, Index i) const;
  void probe(const SegmentFact& s, Note& n, Index i);
  void again(const SegmentFact& s, Note& n, Index i);           ///< all of it was seen before
  void fills(const SegmentFact& s, Note& n, Index i);           ///< reaches into a hole or below the first number
  void judge_by_ack(const SegmentFact& ack, Index i);           ///< does this ACK show that a repeat was needless
  void judge_by_dsack(const SegmentFact& ack, Index i);
  bool duplicate(const SegmentFact& s, Note& n, Index i);       ///< the same packet once more

 private:
  [[nodiscard]] Index previous(const SegmentFact& s, Index i) const;
  void compare(const SegmentFact& s, const SegmentFact& earlier);  ///< do both claim one place with different octets
  [[nodiscard]] facts::Repeat by_timing(const SegmentFact& s, Index i, Index before, std::int64_t gap) const;
  void enter(const SegmentFact& s, facts::Repeat kind);
};

/// What a RST, a SYN-ACK or an ACK without news answers. annotate_answers.cpp
struct Answers {
  Reader& r;
  void reset(const SegmentFact& s, Note& n, Index i);
  void syn_ack(const SegmentFact& s, Note& n, Index i);
  void bare_ack(const SegmentFact& s, Note& n, Index i);
};

void annotate_exchanges(Connection& c);
/// Vantage and quality. Before the outcome, which they limit.
void annotate_quality(Connection& c, const Reader& reader);
/// States, outcome, who ended it.
void annotate_outcome(Connection& c, const Reader& reader);
void annotate_signals(Connection& c, const Reader& reader);

/// The RST that ended the connection, -1 none: at least one side acted on it.
Index ending_reset(const Connection& c);

}  // namespace tcpwhy::flow
