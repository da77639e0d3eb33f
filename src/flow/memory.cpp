#include "flow/memory.hpp"

#include <atomic>
#include <ctime>

namespace tcpwhy::flow::memory {
namespace {

#if defined(__linux__) && defined(MADV_HUGEPAGE)
constexpr std::size_t kPage = 4096;

/// A chunk in a huge page may take this long before ordinary ones are preferred, which take a millisecond.
constexpr std::int64_t kDear = 1'500'000;
/// So many chunks in ordinary pages follow one that was dear.
constexpr int kOrdinaryAfterDear = 24;
/// Any thread's; what one has found is good for all.
std::atomic<int> g_ordinary_left{0};

std::int64_t thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void touch(std::byte* chunk) {
  for (std::size_t at = 0; at < kChunk; at += kPage) *static_cast<volatile std::byte*>(chunk + at) = std::byte{0};
}

void make_chunk_ready(std::byte* chunk) {
  if (g_ordinary_left.load(std::memory_order_relaxed) > 0) {
    g_ordinary_left.fetch_sub(1, std::memory_order_relaxed);
#ifdef MADV_POPULATE_WRITE
    if (::madvise(chunk, kChunk, MADV_POPULATE_WRITE) == 0) return;
#endif
    return touch(chunk);
  }
  const std::int64_t before = thread_time();
  ::madvise(chunk, kChunk, MADV_HUGEPAGE);
  touch(chunk);
  if (thread_time() - before > kDear) g_ordinary_left.store(kOrdinaryAfterDear, std::memory_order_relaxed);
}
#endif

}  // namespace

void make_ready([[maybe_unused]] void* chunks, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  for (std::size_t at = 0; at < bytes; at += kChunk) make_chunk_ready(static_cast<std::byte*>(chunks) + at);
#endif
}

}  // namespace tcpwhy::flow::memory
