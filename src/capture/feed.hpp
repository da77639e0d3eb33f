#pragma once
// Where bytes come from. A parser sees a Window, a run of bytes in memory; a
// Feed makes the window longer. For a mapped file the window is the whole file
// and never grows; for pipes and compressed input it is the buffer at hand, and
// the unfinished record at its end is carried over to the next one.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {

struct Window {
  const std::uint8_t* at = nullptr;   ///< the first byte not yet read
  const std::uint8_t* end = nullptr;
  std::uint64_t end_offset = 0;       ///< where `end` is in the (decompressed) input
  bool last = false;                  ///< nothing follows `end`

  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(end - at); }
  [[nodiscard]] std::uint64_t offset_of(const std::uint8_t* p) const {
    return end_offset - static_cast<std::uint64_t>(end - p);
  }
};

class Feed {
 public:
  virtual ~Feed() = default;
  /// Keeps what the window holds and adds bytes behind it, until it holds
  /// `wanted` or the input ends (`last`). Everything before `at` is given up.
  virtual void extend(Window& window, std::size_t wanted) = 0;
  /// Drops the next `bytes` of the input, which may be more than the window holds.
  virtual void skip(Window& window, std::uint64_t bytes) = 0;
  /// Called once per batch: bytes before `at` are not needed any more.
  virtual void advanced(const std::uint8_t* at) = 0;
  /// Why the input ended early, when it did. Asked once, after `last`.
  [[nodiscard]] virtual std::optional<Trouble> damage() = 0;
  [[nodiscard]] virtual std::uint64_t consumed() const = 0;  ///< of the raw input
  [[nodiscard]] virtual std::uint64_t size() const = 0;      ///< of the raw input, 0 unknown
  [[nodiscard]] virtual bool reopenable() const = 0;
};

/// An open descriptor, closed at the end.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_{fd} {}
  Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// A file mapped for reading, from `start` on.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  /// Nothing when the file cannot be mapped.
  static std::optional<Mapping> map(int fd, std::uint64_t start, std::uint64_t size);
  [[nodiscard]] const std::uint8_t* begin() const { return base_ + skip_; }
  [[nodiscard]] const std::uint8_t* end() const { return base_ + length_; }
  [[nodiscard]] std::uint64_t size() const { return length_ - skip_; }
  /// The pages of `at` and behind are wanted soon, those before it no longer.
  /// Cheap: asks the kernel once in several MiB.
  void advance(const std::uint8_t* at);
  /// Another program cut the file while it was mapped; the lost part reads as zeros.
  [[nodiscard]] bool shrank() const;

 private:
  std::uint8_t* base_ = nullptr;
  std::size_t length_ = 0;
  std::size_t skip_ = 0;       ///< bytes between the page boundary and `start`
  std::size_t dropped_ = 0;    ///< bytes from base_ given back
  std::size_t wanted_ = 0;     ///< bytes from base_ asked for
  int guard_ = -1;             ///< place in the table of guarded mappings
};

/// The bytes of a mapped file, as they are.
std::unique_ptr<Feed> feed_mapping(Mapping mapping);
/// Bytes that someone else owns. For tests and fuzzing.
std::unique_ptr<Feed> feed_memory(std::span<const std::uint8_t> bytes);

}  // namespace tcpwhy::capture
