// A mapped file. The kernel is asked to bring pages in ahead of the reader and
// to take them away behind it, a few MiB at a time, so that a capture larger
// than memory is read in little of it and a fault every 64 KiB is spared.
//
// A mapped file that another program cuts short (`tcpdump -W` starts its oldest
// file anew) answers a read with SIGBUS. Here such a read finds zeros instead,
// and the source ends with a sentence about it.

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "capture/feed.hpp"

namespace tcpwhy::capture {
namespace {

constexpr std::size_t kAhead = 4u << 20;
constexpr std::size_t kBehind = 4u << 20;

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// --- files that shrink -----------------------------------------------------------

struct Guard {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> shrank{false};
};
// Read by the signal handler, hence no lock and no allocation.
std::array<Guard, 256> guards;
std::mutex guards_lock;
struct sigaction before;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Guard& guard : guards) {
    const std::uintptr_t begin = guard.begin.load(std::memory_order_acquire);
    const std::uintptr_t end = guard.end.load(std::memory_order_relaxed);
    if (begin == 0 || address < begin || address >= end) continue;
    guard.shrank.store(true);
    const std::uintptr_t page = address & ~(std::uintptr_t{4096} - 1);
    if (mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        MAP_FAILED)
      return;
  }
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    ::signal(signal, SIG_DFL);  // the access repeats and ends the program
  }
}

int guard(std::uintptr_t begin, std::uintptr_t end) {
  const std::lock_guard lock{guards_lock};
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &before) == 0;
  }();
  if (!installed) return -1;
  for (std::size_t i = 0; i < guards.size(); ++i) {
    if (guards[i].begin.load() != 0) continue;
    guards[i].shrank.store(false);
    guards[i].end.store(end);
    guards[i].begin.store(begin, std::memory_order_release);
    return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

std::optional<Mapping> Mapping::map(int fd, std::uint64_t start, std::uint64_t size) {
  const std::uint64_t page = page_size();
  const std::uint64_t aligned = start / page * page;
  void* base = mmap(nullptr, size - aligned, PROT_READ, MAP_PRIVATE, fd, static_cast<off_t>(aligned));
  if (base == MAP_FAILED) return std::nullopt;
  Mapping mapping;
  mapping.base_ = static_cast<std::uint8_t*>(base);
  mapping.length_ = size - aligned;
  mapping.skip_ = start - aligned;
  madvise(base, mapping.length_, MADV_SEQUENTIAL);
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  // Pages are mapped whole: the last one reads as zeros behind the end of the file.
  mapping.guard_ = guard(begin, begin + (mapping.length_ + page - 1) / page * page);
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : base_{std::exchange(other.base_, nullptr)},
      length_{std::exchange(other.length_, 0)},
      skip_{std::exchange(other.skip_, 0)},
      dropped_{std::exchange(other.dropped_, 0)},
      wanted_{std::exchange(other.wanted_, 0)},
      guard_{std::exchange(other.guard_, -1)} {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(length_, other.length_);
  std::swap(skip_, other.skip_);
  std::swap(dropped_, other.dropped_);
  std::swap(wanted_, other.wanted_);
  std::swap(guard_, other.guard_);
  return *this;
}

Mapping::~Mapping() {
  if (guard_ >= 0) guards[static_cast<std::size_t>(guard_)].begin.store(0);
  if (base_ != nullptr) munmap(base_, length_);
}

bool Mapping::shrank() const { return guard_ >= 0 && guards[static_cast<std::size_t>(guard_)].shrank.load(); }

void Mapping::advance(const std::uint8_t* at) {
  const auto place = static_cast<std::size_t>(at - base_);
  if (place + kAhead / 2 > wanted_ && wanted_ < length_) {
    const std::size_t ahead = std::min(length_ - wanted_, kAhead);
#ifdef MADV_POPULATE_READ
    madvise(base_ + wanted_, ahead, MADV_POPULATE_READ);
#endif
    wanted_ += ahead;
  }
  if (place >= dropped_ + kBehind && !shrank()) {
    const std::size_t behind = (place - dropped_) / page_size() * page_size();
    madvise(base_ + dropped_, behind, MADV_DONTNEED);
    dropped_ += behind;
  }
}

namespace {

class MappedFeed final : public Feed {
 public:
  explicit MappedFeed(Mapping mapping) : mapping_{std::move(mapping)}, at_{mapping_.begin()} {}

  void extend(Window& window, std::size_t) override {
    if (window.at == nullptr) window.at = mapping_.begin();
    window.end = mapping_.end();
    window.end_offset = mapping_.size();
    window.last = true;
  }
  void skip(Window& window, std::uint64_t bytes) override { window.at += std::min<std::uint64_t>(bytes, window.bytes()); }
  void advanced(const std::uint8_t* at) override {
    at_ = at;
    mapping_.advance(at);
  }
  std::optional<Trouble> damage() override {
    if (!mapping_.shrank()) return std::nullopt;
    Trouble trouble;
    trouble.id = "capture.shrank";
    trouble.message = "another program cut the file while it was being read; copy it first and read the copy";
    return trouble;
  }
  std::uint64_t consumed() const override { return static_cast<std::uint64_t>(at_ - mapping_.begin()); }
  std::uint64_t size() const override { return mapping_.size(); }
  bool reopenable() const override { return true; }

 private:
  Mapping mapping_;
  const std::uint8_t* at_;
};

class MemoryFeed final : public Feed {
 public:
  explicit MemoryFeed(std::span<const std::uint8_t> bytes) : bytes_{bytes} {}
  void extend(Window& window, std::size_t) override {
    if (window.at == nullptr) window.at = bytes_.data();
    window.end = bytes_.data() + bytes_.size();
    window.end_offset = bytes_.size();
    window.last = true;
  }
  void skip(Window& window, std::uint64_t bytes) override { window.at += std::min<std::uint64_t>(bytes, window.bytes()); }
  void advanced(const std::uint8_t* at) override { consumed_ = static_cast<std::uint64_t>(at - bytes_.data()); }
  std::optional<Trouble> damage() override { return std::nullopt; }
  std::uint64_t consumed() const override { return consumed_; }
  std::uint64_t size() const override { return bytes_.size(); }
  bool reopenable() const override { return true; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::uint64_t consumed_ = 0;
};

}  // namespace

std::unique_ptr<Feed> feed_mapping(Mapping mapping) { return std::make_unique<MappedFeed>(std::move(mapping)); }
std::unique_ptr<Feed> feed_memory(std::span<const std::uint8_t> bytes) { return std::make_unique<MemoryFeed>(bytes); }

}  // namespace tcpwhy::capture
