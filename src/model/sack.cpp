// What a peer says it has beyond what it acknowledges (RFC 2018 5, RFC 2883 4). Linux marks socket buffers, not octets: a
// block that ends inside a buffer of several segments cuts it, marked neighbours become one, and what was marked before is
// not looked at again. Linux net/ipv4/tcp_input.c tcp_sacktag_write_queue().

#include <algorithm>
#include <array>
#include <span>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;

class Scoreboard {
 public:
  struct Claim {
    SackBlock block;
    bool first = false;  ///< the segment named it first
  };

  Scoreboard(Kernel& k, Endpoint& e, Kernel::AckWork& w) : k_{k}, e_{e}, w_{w} {}
  void take(std::span<const Claim> claims, bool duplicate);
  [[nodiscard]] SeqNum lowest_reordered() const { return reord_; }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  enum class Shift : std::uint8_t { kDone, kNotInBlock, kCannot };
  struct Buffer {
    std::size_t first, last;  ///< its pieces, the last excluded
    [[nodiscard]] std::size_t segments() const { return last - first; }
  };

  [[nodiscard]] Buffer buffer(std::size_t first) const { return {first, Kernel::buffer_end(e_, first)}; }
  [[nodiscard]] Buffer buffer_before(std::size_t at) const {
    std::size_t first = at - 1;
    while (first > e_.sent_head && e_.sent[first].joined) --first;
    return {first, at};
  }
  [[nodiscard]] SeqNum seq(const Buffer& b) const { return e_.sent[b.first].seq; }
  [[nodiscard]] SeqNum end(const Buffer& b) const { return e_.sent[b.last - 1].end; }
  [[nodiscard]] static std::uint32_t octets(const Piece& p) { return p.length() - ((p.flags & Flag::kFin) ? 1u : 0u); }
  [[nodiscard]] std::uint32_t segment_length(const Buffer& b) const { return octets(e_.sent[b.first]); }
  [[nodiscard]] bool movable(const Buffer& b) const { return !(e_.sent[b.first].flags & Flag::kSyn) && segment_length(b) != 0; }
  [[nodiscard]] bool only_sacked(const Buffer& b) const {
    const Piece& p = e_.sent[b.first];
    return p.sacked && !p.lost && !p.retransmitted;
  }
  /// Behind all that is SACKed: tcp_highest_sack_seq().
  [[nodiscard]] SeqNum highest() const { return e_.sacked_out == 0 ? e_.snd_una : e_.highest_sack; }

  [[nodiscard]] std::size_t find(SeqNum octet) const;
  [[nodiscard]] std::size_t skip(std::size_t at, SeqNum to) const;
  std::size_t walk(std::size_t at, SackBlock block, bool duplicate, const SackBlock* next_duplicate);
  Shift shift(std::size_t at, SackBlock block, bool duplicate);
  int match(std::size_t at, SackBlock block);
  void mark(const Buffer& b, bool duplicate);
  void join(std::size_t at);

  Kernel& k_;
  Endpoint& e_;
  Kernel::AckWork& w_;
  SeqNum reord_{e_.snd_nxt};
};

/// The buffer that holds this octet: tcp_sacktag_bsearch().
std::size_t Scoreboard::find(SeqNum octet) const {
  const auto begin = e_.sent.begin() + static_cast<std::ptrdiff_t>(e_.sent_head);
  const auto behind = std::partition_point(begin, e_.sent.end(), [&](const Piece& p) { return !after(p.end, octet); });
  if (behind == e_.sent.end() || before(octet, behind->seq)) return kNone;
  auto at = static_cast<std::size_t>(behind - e_.sent.begin());
  while (at > e_.sent_head && e_.sent[at].joined) --at;
  return at;
}

std::size_t Scoreboard::skip(std::size_t at, SeqNum to) const {
  return at != kNone && after(e_.sent[at].seq, to) ? at : find(to);
}

/// What the last ACK said already (recv_sack_cache) is not walked again; the rest is, from the left.
void Scoreboard::take(std::span<const Claim> claims, bool duplicate) {
  std::size_t at = kNone;
  std::size_t known = e_.sacked_out == 0 ? e_.sack_cache.size() : 0;
  const auto cached = [&]() -> const SackBlock* { return known < e_.sack_cache.size() ? &e_.sack_cache[known] : nullptr; };
  for (std::size_t i = 0; i < claims.size();) {
    const SackBlock b = claims[i].block;
    const bool dup = duplicate && claims[i].first;
    const SackBlock* next_dup = duplicate && i + 1 < claims.size() && claims[i + 1].first ? &claims[i + 1].block : nullptr;
    while (cached() != nullptr && !before(b.left, cached()->right)) ++known;
    if (const SackBlock* c = cached(); c != nullptr && !dup && after(b.right, c->left)) {
      if (before(b.left, c->left)) at = walk(skip(at, b.left), {b.left, c->left}, false, next_dup);
      if (!after(b.right, c->right)) {
        ++i;
        continue;
      }
      if (next_dup != nullptr && before(next_dup->left, c->right)) at = walk(skip(at, next_dup->left), *next_dup, true, nullptr);
      const SeqNum behind = c->right;
      ++known;
      if (!(highest() == behind)) {
        at = skip(at, behind);
        continue;
      }
      at = find(behind);
      if (at == kNone) break;
    } else {
      at = skip(before(b.left, highest()) ? at : kNone, b.left);
    }
    at = walk(at, b, dup, next_dup);
    ++i;
  }
  e_.sack_cache.clear();
  for (const Claim& claim : claims) e_.sack_cache.push_back(claim.block);
}

/// tcp_sacktag_walk(). Where it stopped.
std::size_t Scoreboard::walk(std::size_t at, SackBlock block, bool all_duplicate, const SackBlock* next_duplicate) {
  while (at != kNone && before(e_.sent[at].seq, block.right)) {
    int in = 0;
    bool duplicate = all_duplicate;
    if (next_duplicate != nullptr && before(e_.sent[at].seq, next_duplicate->right)) {
      in = match(at, *next_duplicate);
      duplicate = duplicate || in > 0;
    }
    if (in <= 0) {
      const Shift shifted = shift(at, block, duplicate);
      in = shifted == Shift::kCannot ? match(at, block) : 0;
    }
    if (in < 0) break;
    if (in > 0) {
      const Buffer b = buffer(at);
      const SeqNum highest_now = e_.sacked_out == 0 ? e_.sent[e_.sent_head].seq : e_.highest_sack;
      mark(b, duplicate);
      if (!before(seq(b), highest_now)) e_.highest_sack = end(b);
    }
    at = Kernel::buffer_end(e_, at);
    if (at == e_.sent.size()) at = kNone;
  }
  return at;
}

/// Is the buffer in the block? One of several segments is cut where the block begins or ends, at the border of a segment.
/// Below 0: the walk ends here. tcp_match_skb_to_sack().
int Scoreboard::match(std::size_t at, SackBlock block) {
  const Buffer b = buffer(at);
  if (!after(block.left, seq(b)) && !before(block.right, end(b))) return 1;
  if (b.segments() == 1 || !after(end(b), block.left)) return 0;
  const bool in = !after(block.left, seq(b));
  const std::uint32_t mss = segment_length(b);
  const std::uint32_t length = in ? distance(seq(b), block.right) : distance(seq(b), block.left);
  if (in && length < mss) return -1;
  const std::size_t segments = in ? length / mss : std::max((length + mss - 1) / mss, 1u);
  if (segments >= b.segments()) return in ? 1 : 0;
  k_.split_before(e_, b.first + segments);
  return in ? 1 : 0;
}

/// The piece at `at` begins a buffer; its octets move to the one before it, which takes over what was said of it.
void Scoreboard::join(std::size_t at) {
  const Buffer before_it = buffer_before(at), b = buffer(at);
  const bool repeated = e_.sent[b.first].ever_retransmitted || e_.sent[before_it.first].ever_retransmitted;
  k_.free_write_memory(e_, k_.empty_buffer());
  e_.sent[at].joined = true;
  for (std::size_t i = before_it.first; i < b.last; ++i) e_.sent[i].ever_retransmitted = repeated;
  k_.count(Mib::kTCPSackMerged);
}

/// Newly SACKed octets move to the buffer before them if that is SACKed too: tcp_shift_skb_data().
Scoreboard::Shift Scoreboard::shift(std::size_t at, SackBlock block, bool duplicate) {
  const auto cannot = [&] {
    k_.count(Mib::kTCPSackShiftFallback);
    return Shift::kCannot;
  };
  const Buffer b = buffer(at);
  const Piece& head = e_.sent[b.first];
  if ((!duplicate && head.retransmitted && !head.lost) || !movable(b) || !after(end(b), e_.snd_una) || at == e_.sent_head)
    return cannot();
  const Buffer before_it = buffer_before(at);
  if (!only_sacked(before_it) || e_.sent[at - 1].eor) return cannot();
  const std::uint32_t mss = segment_length(b);
  std::size_t segments = b.segments();
  if (after(block.left, seq(b)) || before(block.right, end(b))) {
    if (!after(end(b), block.left) || segments == 1) return Shift::kNotInBlock;
    if (after(block.left, seq(b)) || mss != segment_length(before_it)) return cannot();
    segments = distance(seq(b), block.right) / mss;
    if (segments == 0) return Shift::kNotInBlock;
  } else if (mss != segment_length(before_it)) {
    return cannot();
  }
  const Buffer moved{b.first, std::min(b.first + segments, b.last)};
  if (!after(end(moved), e_.snd_una)) return cannot();

  const bool was_highest = e_.highest_sack == seq(b);
  mark(moved, duplicate);
  for (std::size_t i = moved.first; i < moved.last; ++i) e_.sent[i].lost = e_.sent[i].retransmitted = false;
  if (was_highest) e_.highest_sack = end(moved);
  if (moved.last != b.last) {
    const bool repeated = head.ever_retransmitted || e_.sent[before_it.first].ever_retransmitted;
    e_.sent[moved.first].joined = true;
    e_.sent[moved.last].joined = false;
    for (std::size_t i = before_it.first; i < moved.last; ++i) e_.sent[i].ever_retransmitted = repeated;
    k_.count(Mib::kTCPSackShifted);
    return Shift::kDone;
  }
  join(at);
  // With the hole filled, what lies behind it joins in as well.
  if (moved.last < e_.sent.size() && !e_.sent[moved.last - 1].eor) {
    const Buffer next = buffer(moved.last);
    if (movable(next) && only_sacked(next) && segment_length(next) == mss) join(next.first);
  }
  return Shift::kDone;
}

/// tcp_sacktag_one().
void Scoreboard::mark(const Buffer& b, bool duplicate) {
  const Piece was = e_.sent[b.first];
  const auto segments = static_cast<std::uint32_t>(b.segments());
  const bool repeated = was.retransmitted || was.ever_retransmitted;
  const auto set = [&](bool Piece::*flag, bool value) {
    for (std::size_t i = b.first; i < b.last; ++i) e_.sent[i].*flag = value;
  };
  if (duplicate && repeated) {
    if (e_.undo_possible && e_.undo_retrans > 0 && after(end(b), e_.undo_marker))
      e_.undo_retrans = std::max(0, e_.undo_retrans - static_cast<std::int32_t>(segments));
    if (was.sacked && before(seq(b), reord_)) reord_ = seq(b);
  }
  if (!after(end(b), e_.snd_una)) return;
  bool retransmitted = was.retransmitted;
  if (!was.sacked) {
    k_.rack_advance(e_, was, end(b));
    if (retransmitted) {
      if (was.lost) {
        retransmitted = false;
        e_.lost_out -= segments;
        e_.retrans_out -= segments;
        set(&Piece::lost, false);
        set(&Piece::retransmitted, false);
      }
    } else {
      if (!repeated) {
        if (before(seq(b), highest()) && before(seq(b), reord_)) reord_ = seq(b);
        if (!after(end(b), e_.high_seq)) w_.orig_sacked = true;
        if (w_.first_sack == ModelTime{}) w_.first_sack = was.sent_at;
        w_.last_sack = was.sent_at;
      }
      if (was.lost) {
        e_.lost_out -= segments;
        set(&Piece::lost, false);
      }
    }
    set(&Piece::sacked, true);
    w_.sacked = true;
    e_.sacked_out += segments;
    w_.sack_delivered += segments;
  }
  if (duplicate && retransmitted) {
    set(&Piece::retransmitted, false);
    e_.retrans_out -= segments;
  }
}

/// RFC 2883 4: is the first block about what the peer has twice? Linux tcp_check_dsack(), tcp_dsack_seen().
bool duplicate_seen(Kernel& k, Endpoint& e, SeqNum ack, std::span<const SackBlock> blocks, Kernel::AckWork& w) {
  const SackBlock first = blocks.front();
  if (before(first.left, ack))
    k.count(Mib::kTCPDSACKRecv);
  else if (blocks.size() > 1 && !after(first.right, blocks[1].right) && !before(first.left, blocks[1].left))
    k.count(Mib::kTCPDSACKOfoRecv);
  else
    return false;
  const std::uint32_t length = before(first.left, first.right) ? distance(first.left, first.right) : 0;
  std::uint32_t segments = 0;
  if (length != 0 && length <= e.max_window) {
    segments = length > e.mss ? (length + e.mss - 1) / e.mss : 1;
    if (length <= e.mss && e.tlp_open && e.tlp_high_seq == first.right) w.dsack_tlp = true;
    e.dsack_dups += segments;
    if (e.dsack_dups > e.retrans_total) segments = 0;  // we did not repeat that much
  }
  if (segments == 0) {
    k.count(Mib::kTCPDSACKIgnoredDubious);
    return false;
  }
  e.sack_seen = true;
  if (e.reord_seen != 0 && !w.dsack_tlp) e.rack_dsack_seen = true;
  w.dsack = true;
  w.sack_delivered += segments;
  for (std::uint32_t i = 0; i < segments; ++i) k.count(Mib::kTCPDSACKRecvSegs);
  if (e.undo_possible && e.undo_retrans > 0 && !after(first.right, w.prior_una) && after(first.right, e.undo_marker))
    e.undo_retrans = std::max(0, e.undo_retrans - static_cast<std::int32_t>(segments));
  return true;
}

/// Does a block make sense? A duplicate may lie below SND.UNA, if it is of what was repeated. tcp_is_sackblock_valid().
bool valid(const Endpoint& e, SackBlock b, bool duplicate) {
  if (after(b.right, e.snd_nxt) || !before(b.left, b.right) || !before(b.left, e.snd_nxt)) return false;
  if (after(b.left, e.snd_una)) return true;
  if (!duplicate || !e.undo_possible || after(b.right, e.snd_una)) return false;
  if (!before(b.left, e.undo_marker)) return true;
  return after(b.right, e.undo_marker) && !before(b.left, b.right - e.max_window);
}

}  // namespace

void Kernel::take_sack(Endpoint& e, const Packet& p, AckWork& w) {
  std::array<SackBlock, 4> named{};
  const std::size_t count_named = std::min<std::size_t>(p.sack_blocks, named.size());
  for (std::size_t i = 0; i < count_named; ++i) named[i] = {p.sack[2 * i], p.sack[2 * i + 1]};
  const bool duplicate = duplicate_seen(*this, e, p.ack, std::span{named}.first(count_named), w);
  if (before(p.ack, w.prior_una - e.max_window) || e.packets_out() == 0) return;

  std::array<Scoreboard::Claim, 4> claims{};
  std::size_t n = 0;
  for (std::size_t i = 0; i < count_named; ++i) {
    const SackBlock b = named[i];
    const bool dup = duplicate && i == 0;
    if (!valid(e, b, dup)) {
      if (dup)
        count(e.undo_possible ? Mib::kTCPDSACKIgnoredOld : Mib::kTCPDSACKIgnoredNoUndo);
      else if (p.ack == e.snd_una || after(b.right, e.snd_una))
        count(Mib::kTCPSACKDiscard);
    } else if (after(b.right, w.prior_una)) {
      claims[n++] = {b, i == 0};
    }
  }
  std::stable_sort(claims.begin(), claims.begin() + static_cast<std::ptrdiff_t>(n),
                   [](const auto& a, const auto& b) { return before(a.block.left, b.block.left); });
  Scoreboard board{*this, e, w};
  board.take(std::span{claims}.first(n), duplicate);
  if (e.ca != CaState::kLoss || e.undo_possible)
    see_reordering(e, board.lowest_reordered(), Mib::kTCPSACKReorder, e.sacked_out == 0 ? e.snd_una : e.highest_sack);
}

}  // namespace tcpwhy::model
