#pragma once
// The recent past of everyone: one ring of segments, each linked to the one
// before it of the same connection. Who turns out to be unusual finds his past
// here, as far as the ring reaches back.

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "flow/arena.hpp"
#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

class History {
 public:
  /// `segments` is rounded up to a power of two.
  explicit History(std::uint32_t segments)
      : mask_{std::bit_ceil(std::max<std::uint32_t>(segments, kPerChunk)) - 1} {}

  /// Remembers a segment; `before` is what the previous push of this connection
  /// returned, 0 for the first.
  [[gnu::always_inline]] std::uint32_t push(const facts::SegmentFact& fact, std::uint32_t before) {
    // 0 means "none", so the number after 2^32 - 1 is 1.
    if (++newest_ == 0) ++newest_;
    const std::uint32_t place = newest_ & mask_;
    if (place / kPerChunk != writing_) enter(place / kPerChunk);
    chunk_[place % kPerChunk] = fact;
    links_[place % kPerChunk] = before;
    return newest_;
  }
  /// Is the segment that push() numbered so still there?
  [[nodiscard]] bool holds(std::uint32_t number) const {
    return number != 0 && newest_ - number <= mask_ && newest_ != 0;
  }
  [[nodiscard]] facts::SegmentFact& operator[](std::uint32_t number) { return at(number & mask_); }
  [[nodiscard]] const facts::SegmentFact& operator[](std::uint32_t number) const {
    return const_cast<History*>(this)->at(number & mask_);
  }
  /// The segment before it of the same connection. The links lie apart from the segments, close together: whoever goes a
  /// long way back meets the segments' memory only where he looks at it.
  [[nodiscard]] std::uint32_t before(std::uint32_t number) const {
    const std::uint32_t place = number & mask_;
    return chunks_[place / kPerChunk].links[place % kPerChunk];
  }
  [[nodiscard]] std::uint32_t newest() const { return newest_; }
  /// The first chunk will be filled, too.
  void expect_many() { first_ = memory::Use::kWhole; }
  void draw_from(Ahead* ahead) { ahead_ = ahead; }

 private:
  static constexpr std::uint32_t kPerChunk = memory::kChunk / sizeof(facts::SegmentFact);

  facts::SegmentFact& at(std::uint32_t place) {
    return reinterpret_cast<facts::SegmentFact*>(chunks_[place / kPerChunk].segments.get())[place % kPerChunk];
  }

  /// From here on chunk `n` is written.
  void enter(std::uint32_t n) {
    if (n >= chunks_.size()) chunks_.resize(n + 1);
    if (!chunks_[n].segments) chunks_[n] = {fresh(n), std::make_unique_for_overwrite<std::uint32_t[]>(kPerChunk)};
    writing_ = n;
    chunk_ = reinterpret_cast<facts::SegmentFact*>(chunks_[n].segments.get());
    links_ = chunks_[n].links.get();
  }
  /// A small capture never leaves the first chunk; a large one will fill the others.
  memory::Chunk fresh(std::uint32_t n) {
    const memory::Use use = n == 0 ? first_ : memory::Use::kWhole;
    return ahead_ != nullptr && use == memory::Use::kWhole ? ahead_->chunk() : memory::allocate(memory::kChunk, use);
  }

  struct Piece {
    memory::Chunk segments;
    std::unique_ptr<std::uint32_t[]> links;
  };
  std::vector<Piece> chunks_;
  std::uint32_t mask_;
  std::uint32_t newest_ = 0;
  std::uint32_t writing_ = ~0u;          ///< the chunk that is written, and where it lies
  facts::SegmentFact* chunk_ = nullptr;
  std::uint32_t* links_ = nullptr;
  memory::Use first_ = memory::Use::kPerhaps;
  Ahead* ahead_ = nullptr;
};

}  // namespace tcpwhy::flow
