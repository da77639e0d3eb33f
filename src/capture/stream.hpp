#pragma once
// Input that a thread of its own fetches and unpacks, so that analysis runs
// beside it: pipes, and compressed files.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "capture/codec.hpp"
#include "capture/feed.hpp"

namespace tcpwhy::capture {

/// Octets as they come from a file, a pipe or memory.
class RawInput {
 public:
  virtual ~RawInput() = default;
  /// Fills the front of `out`; 0 at the end of the input, or when interrupted.
  virtual std::size_t read(std::span<std::uint8_t> out) = 0;
  /// Would read() answer at once?
  [[nodiscard]] virtual bool ready() = 0;
  /// Makes a read() that waits return. From another thread.
  virtual void interrupt() = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;  ///< 0 unknown
  [[nodiscard]] virtual std::string error() const = 0;   ///< why it ended early, or empty
};

/// `already` was read from the descriptor before.
std::unique_ptr<RawInput> raw_descriptor(Descriptor descriptor, std::vector<std::uint8_t> already,
                                         std::uint64_t size);
std::unique_ptr<RawInput> raw_memory(std::span<const std::uint8_t> bytes);

/// The unpacked octets of `input`.
std::unique_ptr<Chunks> stream(std::unique_ptr<RawInput> input, Compression compression);

}  // namespace tcpwhy::capture
