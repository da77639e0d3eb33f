#pragma once
// Frames back into a file: pcapng, one section, one interface per tap, stamps in
// nanoseconds. What the reader of this room reads, and Wireshark and tcpdump as
// well. Left out: comments, statistics, compression.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/frame.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::capture {

/// A pcapng file that grows in memory and is written at the end.
///
/// Source: draft-ietf-opsawg-pcapng sections 4.1 (section header), 4.2
///         (interface description), 4.3 (enhanced packet).
class PcapngWriter {
 public:
  PcapngWriter();

  /// Describes one more interface; its number is what add() wants.
  std::uint16_t add_interface(std::string_view name, LinkType link);
  /// One frame, whole. Blocks may be out of order in time, as the format allows.
  void add(std::uint16_t interface, CaptureTime time, FrameDirection direction,
           std::span<const std::uint8_t> bytes);

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }
  /// What was written so far is elsewhere: a file that is written as it grows.
  void forget() { bytes_.clear(); }
  /// Writes everything to `path`, `-` being standard output.
  ///
  /// Result: octets written. Errors: `capture.write`.
  [[nodiscard]] Result<std::uint64_t> save(const std::string& path) const;

 private:
  std::vector<std::uint8_t> bytes_;
  std::uint16_t interfaces_ = 0;
};

}  // namespace tcpwhy::capture
