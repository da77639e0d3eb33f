#pragma once
// Where bytes come from. A parser sees a Window, a run of bytes in memory; a
// Feed makes the window longer. Underneath, Chunks brings the input in pieces:
// read from a file, received from a pipe, or unpacked by a thread of its own.
// The unfinished record at the end of one piece is carried over to the next.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {

struct Chunk {
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
  std::size_t headroom = 0;  ///< octets in front of `data` that may be written
  bool last = false;         ///< the input ends here
};

/// Headroom enough for the unfinished record of all but the oddest captures.
inline constexpr std::size_t kHeadroom = 64u << 10;

/// Memory that begins a page, as what the kernel copies into it does. Where the
/// two begin at different places of a cache line, some processors copy at a fifth
/// of their speed (docs/decisions/0002).
inline constexpr std::size_t kPage = 4096;
struct FreePages {
  void operator()(std::uint8_t* p) const { ::operator delete[](p, std::align_val_t{kPage}); }
};
using Pages = std::unique_ptr<std::uint8_t[], FreePages>;
inline Pages allocate_pages(std::size_t bytes) {
  return Pages{static_cast<std::uint8_t*>(::operator new[](bytes, std::align_val_t{kPage}))};
}
static_assert(kHeadroom % kPage == 0);

class Chunks {
 public:
  virtual ~Chunks() = default;
  /// The next piece of the input; waits for it. The piece before stays intact
  /// until the call after this one.
  virtual Chunk next() = 0;
  /// See Source::read_ahead().
  virtual void read_ahead() {}
  /// Why the input ended early, when it did. Meaningful after the last chunk.
  [[nodiscard]] virtual std::optional<Trouble> damage() const = 0;
  [[nodiscard]] virtual std::uint64_t consumed() const = 0;  ///< of the raw input
  [[nodiscard]] virtual std::uint64_t size() const = 0;      ///< of the raw input, 0 unknown
  [[nodiscard]] virtual bool reopenable() const = 0;
};

struct Window {
  const std::uint8_t* at = nullptr;  ///< the first byte not yet read
  const std::uint8_t* end = nullptr;
  std::uint64_t end_offset = 0;  ///< where `end` is in the (decompressed) input
  bool last = false;             ///< nothing follows `end`

  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(end - at); }
  [[nodiscard]] std::uint64_t offset_of(const std::uint8_t* p) const {
    return end_offset - static_cast<std::uint64_t>(end - p);
  }
};

class Feed {
 public:
  explicit Feed(std::unique_ptr<Chunks> chunks) : chunks_{std::move(chunks)} {}
  /// Keeps what the window holds and adds bytes behind it, until it holds
  /// `wanted` or the input ends. Pointers into the window are void afterwards.
  void extend(Window& window, std::size_t wanted);
  /// Drops the next `bytes` of the input, which may be more than the window
  /// holds. Returns how many there were.
  std::uint64_t skip(Window& window, std::uint64_t bytes);
  [[nodiscard]] const Chunks& chunks() const { return *chunks_; }
  void read_ahead() { chunks_->read_ahead(); }

 private:
  std::unique_ptr<Chunks> chunks_;
  std::vector<std::uint8_t> long_record_;  ///< a record that no single chunk holds
};

/// An open descriptor, closed at the end unless it is a standard one.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_{fd} {}
  Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);  // ours is closed with the other
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// A plain file from `start` to `size`, by read(2).
std::unique_ptr<Chunks> read_file(Descriptor file, std::uint64_t start, std::uint64_t size);
/// Bytes that someone else owns. For tests and fuzzing.
std::unique_ptr<Chunks> read_memory(std::span<const std::uint8_t> bytes, std::size_t chunk_bytes);

}  // namespace tcpwhy::capture
