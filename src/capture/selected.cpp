// Filter and time window as a source around a source: whoever asks for neither
// pays for neither. Frames keep their numbers and stay where they lie.

#include "capture/selected.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "capture/bpf.hpp"

namespace tcpwhy::capture {
namespace {

class Selected final : public Source {
 public:
  Selected(std::unique_ptr<Source> source, std::unique_ptr<Bpf> filter, const OpenOptions& options,
           std::uint8_t file)
      : source_{std::move(source)},
        filter_{std::move(filter)},
        from_{options.from},
        to_{options.to},
        file_{file} {}

  std::span<const Frame> next() override {
    for (;;) {
      const std::span<const Frame> batch = source_->next();
      if (batch.empty()) {
        finish();
        return {};
      }
      chosen_.clear();
      for (const Frame& frame : batch)
        if (in_window(frame) && (!filter_ || filter_->matches(frame))) chosen_.push_back(frame);
      if (!chosen_.empty()) return chosen_;
    }
  }

  void read_ahead() override { source_->read_ahead(); }
  const Losses& losses() const override { return finished_ ? losses_ : source_->losses(); }
  std::uint64_t consumed() const override { return source_->consumed(); }
  std::uint64_t size() const override { return source_->size(); }
  bool reopenable() const override { return source_->reopenable(); }

 private:
  // Captures step their clocks, so that a later frame may lie in the window
  // again. A frame without a time lies in every window.
  [[nodiscard]] bool in_window(const Frame& frame) const {
    return !frame.has_time || (frame.time >= from_ && frame.time <= to_);
  }

  void finish() {
    if (finished_) return;
    losses_ = source_->losses();
    if (losses_.watched_until) losses_.watched_until = std::min(*losses_.watched_until, to_);
    if (filter_ && !filter_->complaint().empty())
      losses_.troubles.push_back({"capture.filter", file_, 0, 0, filter_->complaint()});
    finished_ = true;
  }

  std::unique_ptr<Source> source_;
  std::unique_ptr<Bpf> filter_;
  CaptureTime from_, to_;
  std::uint8_t file_;
  std::vector<Frame> chosen_;
  Losses losses_;
  bool finished_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> select_frames(std::unique_ptr<Source> source, const OpenOptions& options,
                                              std::uint8_t file) {
  std::unique_ptr<Bpf> filter;
  if (!options.filter.empty()) {
    auto compiled = compile_filter(options.filter);
    if (!compiled) return compiled.error();
    filter = std::move(*compiled);
  }
  const bool everything = !filter && options.from == CaptureTime::min() && options.to == CaptureTime::max();
  if (everything) return source;
  return std::unique_ptr<Source>{
      std::make_unique<Selected>(std::move(source), std::move(filter), options, file)};
}

void add_losses(Losses& whole, const Losses& part) {
  whole.frames += part.frames;
  whole.bytes += part.bytes;
  whole.dropped_by_kernel += part.dropped_by_kernel;
  whole.dropped_by_interface += part.dropped_by_interface;
  whole.drops_reported = whole.drops_reported || part.drops_reported;
  if (part.watched_until) whole.watched_until = std::max(whole.watched_until.value_or(*part.watched_until), *part.watched_until);
  whole.truncated_frames += part.truncated_frames;
  if (part.snap_length != 0 && (whole.snap_length == 0 || part.snap_length < whole.snap_length))
    whole.snap_length = part.snap_length;
  whole.troubles.insert(whole.troubles.end(), part.troubles.begin(), part.troubles.end());
}

}  // namespace tcpwhy::capture
