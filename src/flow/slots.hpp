#pragma once
// The index: open addressing over eight-octet slots {32-bit hash, 32-bit
// reference}. The home of a slot follows from its hash alone, so that growing
// and deleting read no record.

#include <algorithm>
#include <bit>
#include <cstdint>

#include "flow/arena.hpp"

namespace tcpwhy::flow {

/// What a slot refers to. 0 is nobody.
using Ref = std::uint32_t;
struct RefBits {
  static constexpr Ref kWide = 1u << 31, kEmbryo = 1u << 30, kNumber = kEmbryo - 1;
};
constexpr bool is_wide(Ref r) { return r & RefBits::kWide; }
constexpr bool is_embryo(Ref r) { return r & RefBits::kEmbryo; }
constexpr std::uint32_t number(Ref r) { return (r & RefBits::kNumber) - 1; }

/// Which of four slots has this hash, the first when none does. Without a branch: which of them it is, is a matter of
/// chance, and a branch that the processor guesses wrong costs as much as looking at all of them.
inline std::size_t likely_place(const std::uint64_t* slots, std::uint32_t hash) {
  unsigned same = 1u << 4;
  for (unsigned k = 0; k < 4; ++k) same |= static_cast<unsigned>(static_cast<std::uint32_t>(slots[k] >> 32) == hash) << k;
  return static_cast<std::size_t>(std::countr_zero(same)) % 4;
}

class Slots {
 public:
  Slots() { resize(kSmallest); }

  void prefetch(std::uint32_t hash) const { memory::fetch(&slots_[home(hash)]); }

  /// The first reference with this hash for which `same` holds; 0 when there is none.
  template <class Same>
  [[nodiscard]] Ref find(std::uint32_t hash, Same&& same) const {
    for (std::size_t i = home(hash);; i = (i + 1) & mask_) {
      const std::uint64_t slot = slots_[i];
      if (slot == 0) return 0;
      if (hash_of(slot) == hash && same(ref_of(slot))) return ref_of(slot);
    }
  }
  /// The first reference with this hash, which most likely is the right one.
  [[nodiscard]] Ref guess(std::uint32_t hash) const {
    // Four slots of the line that was fetched, from its home on where there are four.
    const std::size_t at = home(hash), in_line = at % kLine;
    const std::size_t begin = at - (in_line > kLine - 4 ? in_line - (kLine - 4) : 0);
    const std::uint64_t slot = slots_[begin + likely_place(&slots_[begin], hash)];
    if (hash_of(slot) == hash) [[likely]] return ref_of(slot);
    return find(hash, [](Ref) { return true; });
  }

  void insert(std::uint32_t hash, Ref ref) {
    if ((used_ + 1) * 16 > slots_.size() * kFull) {
      resize(slots_.size() * 2);
      reserved_ = false;
    } else if (used_ == slots_.size() / 2 && ahead_ != nullptr && slots_.size() >= kWorthAhead && !reserved_) {
      ahead_->expect(Array::octets(slots_.size() * 2));
    }
    place(pack(hash, ref));
    ++used_;
  }
  void replace(std::uint32_t hash, Ref before, Ref after) {
    if (std::uint64_t* slot = locate(hash, before)) *slot = pack(hash, after);
  }
  void erase(std::uint32_t hash, Ref ref) {
    std::uint64_t* slot = locate(hash, ref);
    if (slot == nullptr) return;
    --used_;
    // Whoever was pushed past this place moves back into it.
    std::size_t hole = static_cast<std::size_t>(slot - &slots_[0]);
    for (std::size_t i = (hole + 1) & mask_; slots_[i] != 0; i = (i + 1) & mask_) {
      const std::size_t away = (i - home(hash_of(slots_[i]))) & mask_;
      if (away >= ((i - hole) & mask_)) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole] = 0;
  }
  /// Makes room for `connections` at once, to spare the growing.
  void reserve(std::uint64_t connections) {
    std::size_t size = slots_.size();
    while (connections * 16 > size * kFull && size < kLargestReserved) size *= 2;
    if (size <= slots_.size()) return;
    resize(size);
    reserved_ = true;
  }
  /// Where larger arrays come from as long as `ahead` lives; null: from the kernel.
  void draw_from(Ahead* ahead) { ahead_ = ahead; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::uint64_t bytes() const { return slots_.size() * sizeof(std::uint64_t); }

 private:
  static constexpr std::size_t kSmallest = 1u << 10, kLargestReserved = 1u << 24;
  static constexpr std::size_t kFull = 11;               ///< sixteenths
  static constexpr std::size_t kWorthAhead = 1u << 18;
  static constexpr std::size_t kLine = 64 / sizeof(std::uint64_t);
  using Array = memory::Zeroed<std::uint64_t>;

  static std::uint64_t pack(std::uint32_t hash, Ref ref) { return static_cast<std::uint64_t>(hash) << 32 | ref; }
  static std::uint32_t hash_of(std::uint64_t slot) { return static_cast<std::uint32_t>(slot >> 32); }
  static Ref ref_of(std::uint64_t slot) { return static_cast<Ref>(slot); }
  [[nodiscard]] std::size_t home(std::uint32_t hash) const { return hash & mask_; }

  std::uint64_t* locate(std::uint32_t hash, Ref ref) {
    for (std::size_t i = home(hash); slots_[i] != 0; i = (i + 1) & mask_)
      if (slots_[i] == pack(hash, ref)) return &slots_[i];
    return nullptr;
  }
  void place(std::uint64_t slot) {
    std::size_t i = home(hash_of(slot));
    while (slots_[i] != 0) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
  void resize(std::size_t size) {
    memory::Chunk touched = ahead_ != nullptr ? ahead_->array(Array::octets(size)) : memory::Chunk{};
    Array before = touched ? Array{size, std::move(touched)} : Array{size};
    std::swap(before, slots_);
    mask_ = size - 1;
    for (std::size_t i = 0; i < before.size(); ++i)
      if (before[i] != 0) place(before[i]);
  }

  Array slots_;
  Ahead* ahead_ = nullptr;
  std::size_t mask_ = 0, used_ = 0;
  bool reserved_ = false;  ///< there should be room for all: nothing is made ready for more
};

}  // namespace tcpwhy::flow
