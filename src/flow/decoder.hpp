#pragma once
// Frames to packets: decoding, payload classification and the choice which
// checksums to verify. No memory of connections.

#include "flow/blanks.hpp"
#include "flow/packet.hpp"
#include "tcpwhy/decode.hpp"
#include "tcpwhy/frame.hpp"

namespace tcpwhy::flow {

/// What decoding alone can count.
struct FrameCounts {
  std::uint64_t frames = 0, tcp = 0, other = 0, malformed = 0, truncated = 0;
};

class Decoder {
 public:
  enum class Checksums : std::uint8_t { kSample, kAll };
  explicit Decoder(Checksums policy) : policy_{policy} {}

  /// Appends what `frame` means to the block; the block must have room for one.
  void decode(const Frame& frame, Block& block);

  [[nodiscard]] const FrameCounts& counts() const { return counts_; }

  /// When no frame of any kind passed for an hour or more: captures of several days joined, machines that slept.
  [[nodiscard]] const Blanks& pauses() const { return pauses_; }

 private:
  bool decode_common(const Frame& frame, Packet& out);
  void decode_other(const Frame& frame, Block& block);
  /// Of a segment whose payload was captured whole.
  [[nodiscard]] bool wants_checksum(std::uint32_t number, std::uint32_t payload, bool reset);

  Checksums policy_;
  wire::Segment segment_;  // decode() writes it whole; a fresh one each time would be cleared for nothing
  std::uint64_t verified_bytes_ = 0;
  FrameCounts counts_;
  CaptureTime latest_{};
  Blanks pauses_;
};

}  // namespace tcpwhy::flow
