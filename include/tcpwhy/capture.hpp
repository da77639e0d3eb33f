#pragma once
// Sources of frames: files, standard input, live interfaces. A source hands out
// frames in batches, so that the price of the virtual call is paid once per
// batch and a packet costs no allocation.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tcpwhy/frame.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::capture {

/// Damage, truncation or loss of one input, in words and numbers.
struct Trouble {
  std::string id;              ///< `capture.pcap.record-length`, …
  std::uint8_t file = 0;
  std::uint64_t offset = 0;    ///< byte offset in the (decompressed) input
  std::uint32_t after_frame = 0;
  std::string message;
};

/// What a source knows about completeness once it has ended.
struct Losses {
  std::uint64_t frames = 0;             ///< records read
  std::uint64_t bytes = 0;              ///< bytes of input consumed, decompressed
  std::uint64_t dropped_by_kernel = 0;  ///< as the capture itself reports (pcapng ISB, live statistics)
  std::uint64_t dropped_by_interface = 0;
  bool drops_reported = false;          ///< the input carried a statement about drops at all
  /// When the capture stopped, as it says itself (pcapng isb_endtime); nothing where it does not, or where the file holds less
  /// than was captured: whoever took frames out may have taken the last ones.
  std::optional<CaptureTime> watched_until;
  std::uint64_t truncated_frames = 0;   ///< frames shortened by the snap length
  std::uint32_t snap_length = 0;        ///< smallest over the inputs, 0 unlimited or unknown
  std::vector<Trouble> troubles;        ///< damage met; everything before it was delivered
};

class Source {
 public:
  virtual ~Source() = default;
  /// The next frames, at most a few hundred; empty at the end of the input.
  /// The frames and their bytes stay valid until the next call.
  virtual std::span<const Frame> next() = 0;
  /// From here on a thread of its own may fetch what next() will parse: worth it where copying is the larger part of reading.
  virtual void read_ahead() {}
  /// Complete after next() has returned empty, running until then.
  [[nodiscard]] virtual const Losses& losses() const = 0;
  /// Bytes of raw input (compressed size) consumed and in all; 0 when unknown. For progress lines and for sizing.
  [[nodiscard]] virtual std::uint64_t consumed() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// May another source over the same input be opened and read independently
  /// (a plain file, mapped)? Pipes, live sources and compressed input say no.
  [[nodiscard]] virtual bool reopenable() const = 0;
};

struct OpenOptions {
  std::string filter;                  ///< libpcap syntax; empty: everything
  CaptureTime from = CaptureTime::min();
  CaptureTime to = CaptureTime::max();
};

/// Opens one file (`-` is stdin). Detects pcap, pcapng and their compressed forms.
///
/// Errors: `capture.open`, `capture.format`, `capture.filter`, `capture.empty`.
Result<std::unique_ptr<Source>> open_file(const std::string& path, std::uint8_t file_index,
                                          const OpenOptions& options);

/// Several files of one ring (`tcpdump -W`), read as one capture in order of
/// their first frames. `Frame::file` is the index in `paths`.
Result<std::unique_ptr<Source>> open_ring(const std::vector<std::string>& paths, const OpenOptions& options);

/// Time of the first and last frame of a file, for telling rings from vantages.
struct Extent {
  CaptureTime first{}, last{};
  bool empty = true;
};
Result<Extent> extent(const std::string& path);

/// Live capture through libpcap. Ends when `stop` becomes true. While no frame comes `meanwhile` is told several times a second up
/// to when none has come.
Result<std::unique_ptr<Source>> open_live(const std::string& interface, const OpenOptions& options, const volatile bool* stop,
                                          const std::function<void(CaptureTime)>& meanwhile = {});

}  // namespace tcpwhy::capture
