#pragma once
// When the capture did not see: it paused, or it lost packets. A hole in one
// connection's numbers that its receiver acknowledged passed the point of capture
// without being recorded; what else it hid at that moment cannot be known.
// Bounded memory: where holes are many, those close together count as one.

#include <algorithm>
#include <vector>

#include "tcpwhy/time.hpp"

namespace tcpwhy::flow {

class Blanks {
 public:
  /// What passed between `from` and `until` is not in the capture, or not all of it.
  void add(CaptureTime from, CaptureTime until) {
    if (until < from) return;
    if (!holes_.empty() && from <= holes_.back().until + apart_) {
      holes_.back().from = std::min(holes_.back().from, from);
      holes_.back().until = std::max(holes_.back().until, until);
      return;
    }
    holes_.push_back({from, until});
    while (holes_.size() > kMost) join();
  }
  /// From when on the first hole that reaches beyond `t` hides something; the greatest time when none does.
  [[nodiscard]] CaptureTime next(CaptureTime t) const {
    const auto hole = std::upper_bound(holes_.begin(), holes_.end(), t, [](CaptureTime at, const Hole& h) { return at < h.until; });
    return hole == holes_.end() ? CaptureTime::max() : std::max(t, hole->from);
  }

 private:
  struct Hole {
    CaptureTime from, until;
  };
  static constexpr std::size_t kMost = 1024;
  void join() {
    apart_ *= 2;
    std::vector<Hole> joined;
    for (const Hole& h : holes_) {
      if (!joined.empty() && h.from <= joined.back().until + apart_) joined.back().until = std::max(joined.back().until, h.until);
      else joined.push_back(h);
    }
    holes_ = std::move(joined);
  }
  std::vector<Hole> holes_;  ///< in the order of their ends, which is that of their discovery but for moments
  Duration apart_ = std::chrono::milliseconds{5};
};

}  // namespace tcpwhy::flow
