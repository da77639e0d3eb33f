#pragma once
// Deadlines are data in the sockets; this heap only says which socket to ask next. A socket has at most
// one valid entry: its earliest deadline. Moving a deadline later costs nothing until the entry comes up.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/lookup.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::model {

inline constexpr ModelTime kNever = ModelTime::max();

class TimerQueue {
 public:
  struct Entry {
    ModelTime at;
    std::uint64_t order = 0;  ///< entries of one instant come up in the order they were set
    Handle who;
    std::uint32_t generation = 0;
  };
  void push(ModelTime at, Handle who, std::uint32_t generation) {
    heap_.push_back({at, ++order_, who, generation});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] const Entry& top() const { return heap_.front(); }
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }

 private:
  static bool later(const Entry& a, const Entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  std::vector<Entry> heap_;
  std::uint64_t order_ = 0;
};

}  // namespace tcpwhy::model
