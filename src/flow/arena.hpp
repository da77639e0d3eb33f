#pragma once
// Memory for records of one size: chunks of two megabytes that never move, a
// free list for what was given back, and numbers instead of pointers. New
// records are written one after the other, which is what makes a flood of new
// connections cheap.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tcpwhy::flow {

namespace memory {
inline constexpr std::size_t kChunk = 2u << 20;

struct Free {
  void operator()(void* p) const { std::free(p); }  // NOLINT: pairs with aligned_alloc and calloc
};
struct Unmap {
  void operator()(void* p) const {
#ifdef __linux__
    ::munmap(p, kChunk);
#else
    std::free(p);
#endif
  }
};
using Chunk = std::unique_ptr<std::byte, Unmap>;

enum class Pages : std::uint8_t { kOrdinary, kHuge };

/// A chunk of untouched memory. Huge pages are asked for only where the whole
/// chunk will be used: the first touch then clears two megabytes at once.
inline Chunk allocate(Pages pages) {
#ifdef __linux__
  // Addresses for two chunks hold one that is aligned.
  void* const room = ::mmap(nullptr, 2 * kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc{};
  std::byte* const begin = static_cast<std::byte*>(room);
  const std::size_t before = (kChunk - reinterpret_cast<std::uintptr_t>(room) % kChunk) % kChunk;
  if (before != 0) ::munmap(begin, before);
  ::munmap(begin + before + kChunk, kChunk - before);
  std::byte* const p = begin + before;
#ifdef MADV_HUGEPAGE
  if (pages == Pages::kHuge) ::madvise(p, kChunk, MADV_HUGEPAGE);
#endif
  return Chunk{p};
#else
  (void)pages;
  void* p = std::aligned_alloc(kChunk, kChunk);
  if (p == nullptr) throw std::bad_alloc{};
  return Chunk{static_cast<std::byte*>(p)};
#endif
}

/// An array of zeros. Large ones come straight from the kernel, which zeroes
/// them when they are first touched, two megabytes at a time where it can.
template <class T>
class Zeroed {
 public:
  Zeroed() = default;
  explicit Zeroed(std::size_t n) : data_{static_cast<T*>(std::calloc(n, sizeof(T)))}, size_{n} {
    if (data_ == nullptr) throw std::bad_alloc{};
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const auto begin = (reinterpret_cast<std::uintptr_t>(data_.get()) + 4095) & ~std::uintptr_t{4095};
    const auto end = reinterpret_cast<std::uintptr_t>(data_.get() + n) & ~std::uintptr_t{4095};
    if (n * sizeof(T) >= 2 * kChunk) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
  }
  [[nodiscard]] T& operator[](std::size_t i) { return data_.get()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data_.get()[i]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<T, Free> data_;
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
