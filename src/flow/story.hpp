#pragma once
// What only unusual connections have: their counters of unusual things, what is
// known of the previous use of the 4-tuple, ICMP errors, and their story, that
// is their segments in order. A story that grows too long keeps its beginning
// and its end; all stories together stay within a bound.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "flow/arena.hpp"
#include "flow/records.hpp"
#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

struct SideHalf {
  std::uint64_t repeated_bytes = 0;
  std::uint32_t repeats = 0, zero_windows = 0, keepalives = 0, bad_checksums = 0;
  std::uint32_t syns = 0;          ///< SYNs or SYN-ACKs beyond the first
  bool rst = false;
};

/// A list of chunks of segments. Cell numbers are + 1, 0 is none; the link of a
/// chunk's first segment names the next chunk, that of its second the one before.
struct Story {
  std::uint32_t first = 0, last = 0;
  std::uint32_t turning = 0;       ///< last chunk of the beginning that is kept, once that is settled
  std::uint32_t chunks = 0;
  std::uint32_t in_last = 0;       ///< segments in the last chunk
  std::uint32_t stored = 0;
  std::uint32_t stored_beginning = 0;
  std::uint64_t dropped = 0;       ///< between the beginning and the rest
  bool begun = false;
  bool lacks_beginning = false;    ///< the history had moved on when it began
  bool refused = false;            ///< no room any more: later segments are missing
};

struct Side {
  std::uint64_t signals = 0;
  Story story;
  bool told = false;               ///< handed over already; only what comes later would be news
  SideHalf halves[2];

  bool has_previous = false, previous_closed = false;
  End previous_closer = End::kLow;
  std::int64_t previous_end = 0;
  SeqNum previous_next[2];
  std::uint8_t previous_ttl = 0;   ///< of its client's first segment
  std::uint16_t previous_syn_options = 0, previous_syn_window = 0;
  std::uint32_t previous_tsval = 0;
  Ref previous = 0;                ///< its record, while it may still turn out to live on
  // The last hole in the numbers of side `missed_by`: it passed between these times (0 none), lost before here or by the capture.
  std::int64_t missed_from = 0, missed_until = 0;
  SeqNum missed_begin, missed_end;
  End missed_by = End::kLow;
  bool missed_acked = false;       ///< the other side has acknowledged it

  std::int64_t challenged_at = 0;  ///< a later SYN on the 4-tuple got an ACK with this connection's numbers; 0 never
  std::uint32_t challenged_frame = 0, challenged_by = 0;

  std::uint32_t icmp_first = 0, icmp_count = 0;  ///< list in Stories::icmp, + 1

  [[nodiscard]] SideHalf& half(End e) { return halves[index(e)]; }
  [[nodiscard]] const SideHalf& half(End e) const { return halves[index(e)]; }
};

/// The segments of all stories.
class Stories {
 public:
  struct Bounds {
    std::uint64_t bytes;     ///< of all stories together
    std::uint32_t segments;  ///< of one story
  };
  explicit Stories(Bounds bounds) : bounds_{bounds} {}

  /// How much of a connection is worth keeping.
  enum class Interest : std::uint8_t {
    kCalm,   ///< losses that are being repaired: how it began and how it ended
    kWhole,
  };
  /// Appends a segment and returns where it was kept; null when there is no room.
  facts::SegmentFact* append(Story& story, const facts::SegmentFact& fact, Interest interest);
  void expect_many() { cells_.expect_many(); }
  void draw_from(Ahead* ahead) { cells_.draw_from(ahead); }
  /// Fetches the place of the next segment ahead.
  void prefetch(const Story& story) const {
    if (story.last != 0) memory::fetch(&cells_[story.last - 1 + story.in_last - 1] + 1);
  }
  /// Fetches ahead what copy() begins with: the first and the last chunk, and when they are there the second.
  void fetch_ends(const Story& story) const {
    if (story.last == 0) return;
    for (std::uint32_t i = 0; i < kSizes[0]; ++i) memory::fetch(&cells_[story.first - 1 + i]);
    for (std::uint32_t i = 0; i < std::min(story.in_last, kSizes[2]); ++i) memory::fetch(&cells_[story.last - 1 + i]);
  }
  void fetch_second(const Story& story) const {
    const std::uint32_t second = story.last == 0 ? 0 : cells_[story.first - 1].link;
    for (std::uint32_t i = 0; second != 0 && i < kSizes[1]; ++i) memory::fetch(&cells_[second - 1 + i]);
  }
  void copy(const Story& story, std::vector<facts::SegmentFact>& out) const;
  /// The newest segment of a story that has one.
  [[nodiscard]] facts::SegmentFact& newest(const Story& story) { return cells_[story.last - 1 + story.in_last - 1]; }
  /// The newest segments, newest first, at most `most`.
  template <class Visit>
  void recent(const Story& story, std::uint32_t most, Visit&& visit) const {
    std::uint32_t ordinal = story.chunks - 1;
    for (std::uint32_t chunk = story.last, left = story.in_last; chunk != 0; left = kSizes[kind_of(--ordinal)]) {
      for (; left != 0; --left)
        if (most-- == 0 || !visit(cells_[chunk - 1 + left - 1])) return;
      chunk = before(chunk);
    }
  }
  /// The oldest segment of a story that has one.
  [[nodiscard]] const facts::SegmentFact& oldest(const Story& story) const { return cells_[story.first - 1]; }
  void forget(Story& story);
  [[nodiscard]] std::uint64_t bytes() const { return live_bytes_; }

 private:
  static constexpr std::uint32_t kBlock = 32;
  /// Most stories are short: of a refused, a reset and a reused connection two, six to eight and a dozen segments.
  static constexpr std::uint32_t kKinds = 6;
  static constexpr std::uint32_t kSizes[kKinds] = {2, 2, 4, 8, 16, kBlock};
  static std::uint32_t kind_of(std::uint32_t ordinal) { return std::min(ordinal, kKinds - 1); }

  std::uint32_t take(std::uint32_t kind);  ///< cell + 1, 0 when there is no room
  [[nodiscard]] std::uint32_t& next(std::uint32_t chunk) { return cells_[chunk - 1].link; }
  [[nodiscard]] std::uint32_t& before(std::uint32_t chunk) { return cells_[chunk].link; }
  [[nodiscard]] std::uint32_t before(std::uint32_t chunk) const { return cells_[chunk].link; }
  [[nodiscard]] std::uint32_t limit(Interest interest) const;

  Bounds bounds_;
  Arena<facts::SegmentFact> cells_;
  std::vector<std::uint32_t> free_[kKinds];
  std::uint64_t live_bytes_ = 0;
};

}  // namespace tcpwhy::flow
