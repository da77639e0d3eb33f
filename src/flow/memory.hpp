#pragma once
// Memory straight from the kernel, in multiples of two megabytes, and asking for
// a line of it before it is needed.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tcpwhy::flow {

namespace memory {
/// Fetches a cache line ahead of its use. gcc (12, -O2) takes a function that does nothing but prefetch for one without
/// effect and leaves out the calls of it; the empty assembly has an effect.
inline void fetch(const void* at) {
  __builtin_prefetch(at);
  __asm__ volatile("" : : "r"(at));
}
/// Every line of a value.
template <class T>
void fetch_all(const T& value) {
  const auto* const octets = reinterpret_cast<const char*>(&value);
  for (std::size_t at = 0; at < sizeof(T); at += 64) fetch(octets + at);
  fetch(octets + sizeof(T) - 1);
}

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

/// What will become of memory that is asked for: whether it is worth its first touch at once (make_ready).
enum class Use : std::uint8_t { kPerhaps, kWhole };

/// Touches whole chunks that will all be used, in the pages that are cheaper now.
///
/// The first touch of a huge page clears two megabytes at once, at 9 GB/s. But on a virtual machine whose host takes back
/// what is free, it takes back what is free in pieces of that size, and must find each of their 512 pages again: 0.2 to
/// 0.5 GB/s were seen, where ordinary pages, which come from smaller pieces, took 2. So a huge page that was dear is
/// followed by ordinary ones, before another is tried.
void make_ready(void* chunks, std::size_t bytes);

/// Zeros, from Linux; anything, elsewhere.
inline void* map(std::size_t bytes) {
#ifdef __linux__
  // A chunk more of addresses holds a piece that is aligned.
  void* const room = ::mmap(nullptr, bytes + kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc{};
  std::byte* const begin = static_cast<std::byte*>(room);
  const std::size_t before = (kChunk - reinterpret_cast<std::uintptr_t>(room) % kChunk) % kChunk;
  if (before != 0) ::munmap(begin, before);
  ::munmap(begin + before + bytes, kChunk - before);
  return begin + before;
#else
  void* const p = std::aligned_alloc(kChunk, bytes);
  if (p == nullptr) throw std::bad_alloc{};
  return p;
#endif
}

inline Chunk allocate(std::size_t bytes, Use use) {
  Chunk out{static_cast<std::byte*>(map(bytes)), Mapping{bytes}};
  if (use == Use::kWhole) make_ready(out.get(), bytes);
  return out;
}

/// An array of zeros.
template <class T>
class Zeroed {
 public:
  Zeroed() = default;
  explicit Zeroed(std::size_t n) : size_{n} {
    const std::size_t bytes = octets(n);
    data_ = {static_cast<T*>(map(bytes)), Mapping{bytes}};
    if (n * sizeof(T) >= 2 * kChunk) make_ready(data_.get(), bytes);
#ifndef __linux__
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
#endif
  }
  /// In memory that holds zeros and has octets(n).
  Zeroed(std::size_t n, Chunk zeros) : size_{n} {
    const Mapping mapping = zeros.get_deleter();
    data_ = {reinterpret_cast<T*>(zeros.release()), mapping};
  }
  [[nodiscard]] static constexpr std::size_t octets(std::size_t n) { return (n * sizeof(T) + kChunk - 1) / kChunk * kChunk; }
  [[nodiscard]] T& operator[](std::size_t i) { return data_.get()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data_.get()[i]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  Mapped<T> data_;
  std::size_t size_ = 0;
};
}  // namespace memory

}  // namespace tcpwhy::flow
