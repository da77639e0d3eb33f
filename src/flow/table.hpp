#pragma once
// All connections: finds the one a packet belongs to, makes new ones, tells a
// new use of a 4-tuple from the old, and keeps what is needed to tell the
// unusual ones.
//
// A packet passes in three stages, sixty-four at a time: the slot is fetched
// ahead, the record is found and fetched ahead, the record is updated.

#include <cstdint>
#include <deque>
#include <vector>

#include "flow/blanks.hpp"
#include "flow/history.hpp"
#include "flow/records.hpp"
#include "flow/shapes.hpp"
#include "flow/slots.hpp"
#include "flow/story.hpp"
#include "flow/survey_builder.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::flow {

/// A connection that is to be told, by its rank; `group` is the place + 1 of the
/// others like it.
struct Tellable {
  std::uint32_t rank = 0;
  Ref ref = 0;
  std::uint32_t group = 0;
};

/// What connections of one flood have in common.
struct FloodKey {
  facts::Endpoint server;
  std::uint64_t signals = 0;
  bool answered = false;  ///< by one SYN-ACK, and nothing after it
  bool recent = false;    ///< too close to the end of the capture to say that nothing came
  friend bool operator==(const FloodKey&, const FloodKey&) = default;
};
struct Flood {
  static constexpr std::size_t kMostIds = 1000;
  FloodKey key;
  Ref first = 0;
  std::uint32_t first_rank = 0;
  std::uint64_t alike = 0;
  std::vector<std::uint64_t> ranks;  ///< the lowest, ascending in the end
};
inline std::uint64_t survey_hash(const FloodKey& k) {
  return survey_mix(survey_hash(k.server), k.signals << 2 | static_cast<unsigned>(k.answered) << 1 | static_cast<unsigned>(k.recent));
}

struct Telling {
  std::vector<Tellable> connections;  ///< by rank
  std::vector<Flood> floods;
};

class Table {
 public:
  explicit Table(const Options& options);

  void observe(Block& block);
  /// Time has passed without a packet.
  void pass(CaptureTime now);
  /// No more packets: decides what the open ones amount to.
  void finish();
  void reserve(std::uint64_t connections) { slots_.reserve(connections); }
  /// A long input follows.
  void expect_many();
  /// Where memory comes from as long as `ahead` lives; null: from the kernel.
  void draw_from(Ahead* ahead);

  /// Live: what has ended and can be told, in order of ending. Not told again.
  [[nodiscard]] Telling ended_so_far();
  void forget_told(const Telling& told);
  /// What is to be told.
  [[nodiscard]] Telling telling(Grouping grouping) const;
  /// Fetches what gather() will touch, in steps each of which needs what the one before has fetched.
  static constexpr std::size_t kFetchSteps = 4;
  void fetch(Ref ref, std::size_t step) const;
  /// Everything known about one of them, not annotated. `out` is reused.
  void gather(Tellable which, facts::Connection& out) const;
  [[nodiscard]] std::uint32_t born() const { return next_rank_; }

  [[nodiscard]] const Blanks& blanks() const { return blanks_; }
  SurveyBuilder& survey() { return survey_; }
  [[nodiscard]] const SurveyBuilder& survey() const { return survey_; }
  [[nodiscard]] CaptureTime begin() const { return begin_; }
  [[nodiscard]] CaptureTime end() const { return end_; }
  /// The capture went on for a while after its last frame. (A day of silence is somebody's clock.)
  void watched_until(CaptureTime t) {
    if (started_ && t > end_ && t - end_ < std::chrono::hours{24}) end_ = t;
  }

 private:
  template <class K>
  struct Lane {
    Arena<Record<K>> records;
    Arena<Embryo<K>> embryos;
  };
  static constexpr std::uint64_t kUntold = facts::Signal::kOpenAtEnd | facts::Signal::kMidStream |
                                           facts::Signal::kReuse | facts::Signal::kOneDirection |
                                           facts::Signal::kFastOpen;
  /// What a long transfer over a lossy path shows while it is well.
  static constexpr std::uint64_t kCalm = kUntold | facts::Signal::kRepeat | facts::Signal::kOutOfOrder |
                                         facts::Signal::kDuplicate | facts::Signal::kDsack |
                                         facts::Signal::kCaptureGap | facts::Signal::kImpossibleAck;

  // table.cpp: whose packet is it
  struct Guess {
    Ref ref = 0;
    Hot* hot = nullptr;                       ///< of a record, else of nobody
  };
  [[nodiscard]] Guess guess(std::uint32_t hash);
  [[nodiscard]] static bool belongs(const Guess& guess, const Packet& p);
  Ref segment(Packet& p, const Guess& guess);
  Ref answer(Ref embryo, Packet& p);
  Ref unforeseen(Packet& p);
  Ref unpredicted(Ref ref, Packet& p);
  void other_kind(Packet& p, const Block& block);
  void icmp(Packet& p, const Extra& extra);
  [[nodiscard]] bool matches(Ref ref, const Packet& p) const;
  [[nodiscard]] Ref find(const Packet& p) const;
  void prefetch_side(const Guess& guess) const;
  void prefetch_story(const Guess& guess) const;
  enum class As : std::uint8_t { kWhatFits, kRecord };
  Ref born(Packet& p, As as);                 ///< the new record, or 0 when it became an embryo
  Ref hatch(Ref embryo, std::uint32_t hash);  ///< the record that replaces an embryo
  Ref incarnation(Ref ref, Packet& p);        ///< the record `p` belongs to, perhaps a new one
  Ref reborn(Ref before, Packet& p);
  [[nodiscard]] std::uint16_t syn_window(const Hot& h) const;
  void note_challenge(Ref before, Ref by, const Packet& p);
  Ref revive(Ref ref, const Packet& p);       ///< the record before, if the packet continues that
  void part_with_previous(Hot& h);
  void evict();
  void fragment(const Packet& p, const FragmentPart& part);
  void join_fragments(Ref ref, const Packet& p, const FragmentPart& part);
  void lengthen(Hot& h, End sender, std::uint32_t frame, std::uint32_t bytes);
  void detach(Ref ref);
  void retire(Ref ref);
  void retire_quiet(CaptureTime now);
  template <class K>
  Ref new_record(Lane<K>& lane, const K& key, const facts::SegmentFact& first, End sender, Speaker speaker);
  template <class K>
  Ended lone_end(const Embryo<K>& e) const;
  template <class K>
  facts::SegmentFact syn_of(const Embryo<K>& e) const;

  [[nodiscard]] Hot& hot(Ref ref) {
    return is_wide(ref) ? wide_.records[number(ref)].hot : narrow_.records[number(ref)].hot;
  }
  [[nodiscard]] const Hot& hot(Ref ref) const { return const_cast<Table*>(this)->hot(ref); }
  [[nodiscard]] std::uint32_t rank(Ref ref) const {
    return is_wide(ref) ? wide_.records[number(ref)].rank : narrow_.records[number(ref)].rank;
  }
  [[nodiscard]] facts::Endpoint endpoint(Ref ref, End e) const;
  /// Of a record, by its hot part, with which it begins.
  template <class K>
  [[nodiscard]] static const Record<K>& record_of(const Hot& h) { return reinterpret_cast<const Record<K>&>(h); }
  [[nodiscard]] static Parties parties(Ref ref, const Hot& h) {
    return is_wide(ref) ? Parties{record_of<WideKey>(h).key, h.client()} : Parties{record_of<NarrowKey>(h).key, h.client()};
  }
  [[nodiscard]] std::uint32_t hash_of(Ref ref) const;

  // update.cpp: what does it change
  bool begin_as_predicted(Hot& h, const facts::SegmentFact& syn, End sender);
  bool answer_as_predicted(Ref ref, Hot& h, const Packet& p);
  bool advance_as_predicted(Ref ref, Hot& h, const Packet& p);
  void advance(Ref ref, Hot& h, Packet& p);   ///< for what was not predicted
  std::uint64_t on_syn(Ref ref, Hot& h, const Packet& p);
  void open_missed(Side& d, const Hot& h, const Packet& p, End by, SeqNum begin, SeqNum end);
  void close_missed(Side& d);
  std::uint64_t on_data(Hot& h, const Packet& p);
  std::uint64_t on_ack(Ref ref, Hot& h, const Packet& p);
  std::uint64_t on_conversation(Hot& h, const Packet& p, Ticks now);
  void on_answer(Hot& h, const facts::SegmentFact& f);
  void on_close(Ref ref, Hot& h);
  void count_unusual(Hot& h, const Packet& p, std::uint64_t signals);
  void remember(Hot& h, const Packet& p);
  void raise(Hot& h, std::uint64_t signals);
  Side& side(Hot& h);
  void begin_story(Hot& h, Side& s);
  [[nodiscard]] Stories::Interest interest(const Side& s) const;
  [[nodiscard]] bool is_copy(const Hot& h, const facts::SegmentFact& f) const;
  void settle(Ref ref, Hot& h);               ///< the signals that show only at the end
  void count_end(Ref ref, Hot& h);

  // telling.cpp
  [[nodiscard]] bool is_told(const Hot& h) const {
    if (h.side == 0) return options_.tell_all;
    const Side& s = sides_[h.side - 1];
    if (s.story.begun && s.story.stored == 0) return false;  // nothing of it is left to show
    return !s.told && (options_.tell_all || (s.signals & ~kUntold));
  }
  [[nodiscard]] bool is_half_open_only(const Hot& h) const;
  [[nodiscard]] bool is_recent(std::int64_t ns) const;

  // gather.cpp
  template <class K>
  void gather_embryo(const Embryo<K>& e, facts::Connection& out) const;
  void gather_record(Ref ref, facts::Connection& out) const;

  Options options_;
  Lane<NarrowKey> narrow_;
  Lane<WideKey> wide_;
  Slots slots_;
  SynShapes shapes_;
  History history_;
  Stories stories_;
  Arena<Side> sides_;
  std::vector<std::pair<facts::IcmpFact, std::uint32_t>> icmp_;  ///< with the next one's place + 1
  Blanks blanks_;
  SurveyBuilder survey_;
  struct Quiet {
    Ref ref;
    std::uint32_t rank;
    std::int64_t due;
  };
  std::deque<Quiet> closed_;
  /// First fragments whose rest may still come, and rests whose first may.
  struct Pieces {
    std::uint64_t datagram = 0;
    Ref ref = 0;
    std::uint32_t rank = 0, frame = 0, bytes = 0;
    End sender = End::kLow;
  };
  static constexpr std::size_t kPieces = 256;
  std::vector<Pieces> pieces_ = std::vector<Pieces>(kPieces);
  std::uint32_t evict_hand_[4] = {};
  Hot nobody_;                                ///< of the record that was not found: stays as it is
  std::vector<std::uint32_t> chain_;          ///< scratch
  std::vector<std::uint8_t> servers_seen_;    ///< how often an end was a server, by hash
  std::uint32_t next_rank_ = 0;
  CaptureTime begin_{}, end_{};
  std::int64_t base_ns_ = 0;
  bool started_ = false;
};

}  // namespace tcpwhy::flow
