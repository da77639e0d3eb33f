#pragma once
// Memory for records of one size: chunks of two megabytes that never move, a
// free list for what was given back, and numbers instead of pointers. New
// records are written one after the other, which is what makes a flood of new
// connections cheap.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tcpwhy::flow {

namespace memory {
inline constexpr std::size_t kChunk = 2u << 20;

/// Memory straight from the kernel: nothing of it is touched before it is used,
/// and all of it goes back when it is let go. `bytes` is a multiple of a chunk.
struct Mapping {
  std::size_t bytes = 0;
  void operator()(void* p) const {
#ifdef __linux__
    ::munmap(p, bytes);
#else
    std::free(p);  // NOLINT: pairs with aligned_alloc
#endif
  }
};
template <class T>
using Mapped = std::unique_ptr<T, Mapping>;
using Chunk = Mapped<std::byte>;

enum class Pages : std::uint8_t { kOrdinary, kHuge };

/// Zeros, from Linux; anything, elsewhere. Huge pages are asked for only where
/// all of it will be used: the first touch then clears two megabytes at once.
inline void* map(std::size_t bytes, Pages pages) {
#ifdef __linux__
  // A chunk more of addresses holds a piece that is aligned.
  void* const room = ::mmap(nullptr, bytes + kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc{};
  std::byte* const begin = static_cast<std::byte*>(room);
  const std::size_t before = (kChunk - reinterpret_cast<std::uintptr_t>(room) % kChunk) % kChunk;
  if (before != 0) ::munmap(begin, before);
  ::munmap(begin + before + bytes, kChunk - before);
#ifdef MADV_HUGEPAGE
  if (pages == Pages::kHuge) ::madvise(begin + before, bytes, MADV_HUGEPAGE);
#endif
  return begin + before;
#else
  (void)pages;
  void* const p = std::aligned_alloc(kChunk, bytes);
  if (p == nullptr) throw std::bad_alloc{};
  return p;
#endif
}

inline Chunk allocate(Pages pages) { return {static_cast<std::byte*>(map(kChunk, pages)), Mapping{kChunk}}; }

/// An array of zeros.
template <class T>
class Zeroed {
 public:
  Zeroed() = default;
  explicit Zeroed(std::size_t n) : size_{n} {
    const std::size_t bytes = (n * sizeof(T) + kChunk - 1) / kChunk * kChunk;
    const Pages pages = n * sizeof(T) >= 2 * kChunk ? Pages::kHuge : Pages::kOrdinary;
    data_ = {static_cast<T*>(map(bytes, pages)), Mapping{bytes}};
#ifndef __linux__
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
#endif
  }
  [[nodiscard]] T& operator[](std::size_t i) { return data_.get()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data_.get()[i]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  Mapped<T> data_;
  std::size_t size_ = 0;
};
}  // namespace memory

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
    if (used_ == chunks_.size() * kPerChunk)
      chunks_.push_back(memory::allocate(chunks_.empty() ? first_ : memory::Pages::kHuge));
    return used_++;
  }
  /// Consecutive records, never from the free list; `n` divides kPerChunk.
  std::uint32_t take_run(std::uint32_t n) {
    if (used_ % kPerChunk + n > kPerChunk) used_ += kPerChunk - used_ % kPerChunk;
    if (used_ == chunks_.size() * kPerChunk)
      chunks_.push_back(memory::allocate(chunks_.empty() ? first_ : memory::Pages::kHuge));
    const std::uint32_t first = used_;
    used_ += n;
    return first;
  }
  void give_back(std::uint32_t i) { free_.push_back(i); }
  /// The first chunk will be filled, too: of a small capture it will not.
  void expect_many() { first_ = memory::Pages::kHuge; }

  /// One past the highest record ever handed out.
  [[nodiscard]] std::uint32_t high_water() const { return used_; }
  [[nodiscard]] std::uint32_t live() const { return used_ - static_cast<std::uint32_t>(free_.size()); }
  [[nodiscard]] std::uint64_t bytes() const { return static_cast<std::uint64_t>(used_) * sizeof(T); }

 private:
  std::vector<memory::Chunk> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
  memory::Pages first_ = memory::Pages::kOrdinary;
};

}  // namespace tcpwhy::flow
