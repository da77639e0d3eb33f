#include "cli/heap.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tcpwhy::cli {

void expect_a_long_capture() {
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
  constexpr int kPiece = 128 << 20;
  mallopt(M_MMAP_THRESHOLD, kPiece);  // vectors that grow stay on the heap
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, kPiece);
  mallopt(M_ARENA_MAX, 1);  // the threads allocate little, and an arena of their own has small pages
  // What is larger than the rest of the heap makes it grow by a piece; only addresses are taken by that.
  void* const probe = std::malloc(std::size_t{1} << 20);
  if (probe == nullptr) return;
  constexpr std::uintptr_t kHuge = std::uintptr_t{2} << 20;
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(probe) + kHuge - 1) & ~(kHuge - 1);
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(sbrk(0)) & ~(kHuge - 1);
  std::free(probe);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace tcpwhy::cli
