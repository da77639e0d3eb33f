#pragma once
// From bytes to frames: one parser per file format. A parser reads as many whole
// records as the window holds and stops in front of the first that it does not.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "capture/feed.hpp"
#include "tcpwhy/capture.hpp"
#include "tcpwhy/frame.hpp"

namespace tcpwhy::capture {

/// Why parse() stopped.
struct Stopped {
  enum class Why : std::uint8_t {
    kFull,     ///< the batch is full
    kMore,     ///< `bytes` are needed at Window::at
    kSkip,     ///< the next `bytes` are of no interest
    kEnd,      ///< the input ended where a record ended
    kDamaged,  ///< nothing behind this place can be trusted; said in Losses
  };
  Why why = Why::kFull;
  std::uint64_t bytes = 0;
  std::size_t frames = 0;  ///< written to the batch before that
};

class Parser {
 public:
  virtual ~Parser() = default;
  virtual Stopped parse(Window& window, std::span<Frame> batch) = 0;
  /// Nothing follows; what the window still holds is an unfinished record.
  virtual void cut_short(const Window& window) = 0;
  /// The input has been read as far as it can be.
  virtual void finish() {}
  [[nodiscard]] Losses& losses() { return losses_; }

 protected:
  explicit Parser(std::uint8_t file) : file_{file} {}
  void trouble(std::string id, std::uint64_t offset, std::string message);

  Losses losses_;
  std::uint32_t number_ = 0;  ///< of the last frame
  std::uint8_t file_;
};

/// Longest record of a pcap we believe in. libpcap keeps at most 256 KiB of a packet, but
/// the kernel hands out GRO packets of twice that (Linux include/net/gro.h,
/// GRO_MAX_SIZE); USB and D-Bus transfers are no packets at all.
[[nodiscard]] std::uint32_t longest_record(std::uint32_t link_type);

/// Linux include/uapi/linux/if_packet.h PACKET_HOST … PACKET_OUTGOING, as in
/// cooked headers and in modified records.
[[nodiscard]] FrameDirection direction_of_packet_type(std::uint32_t packet_type);
/// The direction a Linux cooked header (v1, v2) tells.
void cooked_direction(Frame& frame);

/// Octets of the file header a parser must see before it can be made.
inline constexpr std::size_t kProbeBytes = 24;

/// The parser for what the window begins with, or null when it is neither pcap
/// of version 2 nor pcapng. A pcap's file header is consumed.
std::unique_ptr<Parser> make_parser(Window& window, std::uint8_t file);

std::unique_ptr<Parser> make_pcap_parser(Window& window, std::uint8_t file);
std::unique_ptr<Parser> make_pcapng_parser(std::uint8_t file);

}  // namespace tcpwhy::capture
