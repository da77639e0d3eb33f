#pragma once
// Memory for records of one size: chunks of two megabytes that never move, a
// free list for what was given back, and numbers instead of pointers. New
// records are written one after the other, which is what makes a flood of new
// connections cheap.

#include <cstdint>
#include <vector>

#include "flow/ahead.hpp"
#include "flow/memory.hpp"

namespace tcpwhy::flow {

/// Records are numbered from 0. `T` is trivially copyable; a record handed out
/// holds whatever was there before.
template <class T>
class Arena {
 public:
  static constexpr std::uint32_t kPerChunk = static_cast<std::uint32_t>(memory::kChunk / sizeof(T));

  [[nodiscard]] T& operator[](std::uint32_t i) {
    return reinterpret_cast<T*>(chunks_[i / kPerChunk].get())[i % kPerChunk];
  }
  [[nodiscard]] const T& operator[](std::uint32_t i) const {
    return reinterpret_cast<const T*>(chunks_[i / kPerChunk].get())[i % kPerChunk];
  }

  std::uint32_t take() {
    if (!free_.empty()) {
      const std::uint32_t i = free_.back();
      free_.pop_back();
      return i;
    }
    if (used_ == chunks_.size() * kPerChunk) add_chunk();
    return used_++;
  }
  /// Consecutive records, never from the free list; `n` divides kPerChunk.
  std::uint32_t take_run(std::uint32_t n) {
    if (used_ % kPerChunk + n > kPerChunk) used_ += kPerChunk - used_ % kPerChunk;
    if (used_ == chunks_.size() * kPerChunk) add_chunk();
    const std::uint32_t first = used_;
    used_ += n;
    return first;
  }
  void give_back(std::uint32_t i) { free_.push_back(i); }
  /// The first chunk will be filled, too: of a small capture it will not.
  void expect_many() { first_ = memory::Use::kWhole; }
  /// Where chunks come from as long as `ahead` lives; null: from the kernel.
  void draw_from(Ahead* ahead) { ahead_ = ahead; }

  /// One past the highest record ever handed out.
  [[nodiscard]] std::uint32_t high_water() const { return used_; }
  [[nodiscard]] std::uint32_t live() const { return used_ - static_cast<std::uint32_t>(free_.size()); }
  [[nodiscard]] std::uint64_t bytes() const { return static_cast<std::uint64_t>(used_) * sizeof(T); }

 private:
  void add_chunk() {
    const memory::Use use = chunks_.empty() ? first_ : memory::Use::kWhole;
    const bool ready = ahead_ != nullptr && use == memory::Use::kWhole;
    chunks_.push_back(ready ? ahead_->chunk() : memory::allocate(memory::kChunk, use));
  }

  std::vector<memory::Chunk> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
  memory::Use first_ = memory::Use::kPerhaps;
  Ahead* ahead_ = nullptr;
};

}  // namespace tcpwhy::flow
