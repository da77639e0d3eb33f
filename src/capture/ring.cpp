// Several files that are one capture: `tcpdump -W` and `dumpcap -b` write them
// in turn and start the oldest anew, so that their names do not tell their
// order; their first frames do.

#include <algorithm>
#include <utility>
#include <vector>

#include "capture/selected.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {
namespace {

struct Part {
  std::string path;
  std::uint8_t file = 0;
  CaptureTime first = CaptureTime::max();  ///< stays there when it holds no frame
};

class Ring final : public Source {
 public:
  struct Facts {
    std::uint64_t size = 0;
    bool reopenable = true;
  };
  Ring(std::vector<Part> parts, OpenOptions options, Losses losses, Facts facts)
      : parts_{std::move(parts)}, options_{std::move(options)}, before_{std::move(losses)}, facts_{facts} {}

  std::span<const Frame> next() override {
    for (;;) {
      if (current_) {
        const std::span<const Frame> batch = current_->next();
        if (!batch.empty()) return batch;
        consumed_ += current_->consumed();
        add_losses(before_, current_->losses());
        current_.reset();
      }
      if (next_part_ == parts_.size()) return {};
      const Part& part = parts_[next_part_++];
      auto opened = open_file(part.path, part.file, options_);
      if (opened) {
        current_ = std::move(*opened);
        if (ahead_) current_->read_ahead();
      } else {
        before_.troubles.push_back({opened.error().id, part.file, 0, 0, opened.error().message});
      }
    }
  }

  void read_ahead() override {
    ahead_ = true;
    if (current_) current_->read_ahead();
  }
  const Losses& losses() const override {
    if (!current_) return before_;
    now_ = before_;
    add_losses(now_, current_->losses());
    return now_;
  }
  std::uint64_t consumed() const override { return consumed_ + (current_ ? current_->consumed() : 0); }
  std::uint64_t size() const override { return facts_.size; }
  bool reopenable() const override { return facts_.reopenable; }

 private:
  std::vector<Part> parts_;
  OpenOptions options_;
  std::size_t next_part_ = 0;
  std::unique_ptr<Source> current_;
  std::uint64_t consumed_ = 0;
  bool ahead_ = false;
  Losses before_;  ///< of the files that ended
  mutable Losses now_;
  Facts facts_;
};

// The first frame that has a time.
CaptureTime first_time(Source& source) {
  for (auto batch = source.next(); !batch.empty(); batch = source.next())
    for (const Frame& frame : batch)
      if (frame.has_time) return frame.time;
  return CaptureTime::max();
}

}  // namespace

Result<std::unique_ptr<Source>> open_ring(const std::vector<std::string>& paths, const OpenOptions& options) {
  if (paths.empty()) return Error{"capture.open", "no file was named"};
  if (paths.size() == 1) return open_file(paths.front(), 0, options);
  if (paths.size() > 256)
    return Error{"capture.open",
                 std::to_string(paths.size()) +
                     " files are more than the 256 that fit one run; join some of them with mergecap"};

  std::vector<Part> parts;
  Losses losses;
  Ring::Facts facts;
  Error last_error{"capture.empty", "all files are empty"};
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto file = static_cast<std::uint8_t>(i);
    if (paths[i] == "-")
      return Error{"capture.open", "standard input cannot be one of several files of a ring"};
    auto source = open_file(paths[i], file, {});
    if (!source) {
      // The file a rotation has just begun is no fault; one that cannot be read is.
      if (source.error().id != "capture.empty") return source.error();
      losses.troubles.push_back({source.error().id, file, 0, 0, source.error().message});
      continue;
    }
    facts.size += (*source)->size();
    facts.reopenable = facts.reopenable && (*source)->reopenable();
    parts.push_back({paths[i], file, first_time(**source)});
  }
  if (parts.empty()) return last_error;
  std::ranges::stable_sort(parts, {}, &Part::first);
  // The filter's mistakes are told now, not at the first frame.
  auto probe = open_file(parts.front().path, parts.front().file, options);
  if (!probe) return probe.error();
  return std::unique_ptr<Source>{std::make_unique<Ring>(std::move(parts), options, std::move(losses), facts)};
}

}  // namespace tcpwhy::capture
