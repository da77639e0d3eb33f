#pragma once
// Deadlines are data in the sockets; this queue only says which socket to ask next. A socket has at most
// one valid entry: its earliest deadline. Moving a deadline later costs nothing until the entry comes up.
//
// A heap holds what is due soon. What is due within the next minute or so waits unsorted in one of a ring of slots, and
// what is due later still in a second heap: most deadlines are moved or forgotten long before they come up, and
// a TIME_WAIT socket, of which there may be many, is put into a slot and taken out of it once.

#include <algorithm>
#include <array>
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
    ++size_;
    place({at, ++order_, who, generation});
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// Not of an empty queue.
  [[nodiscard]] const Entry& top() {
    while (soon_.empty()) advance();
    return soon_.front();
  }
  void pop() {
    (void)top();
    --size_;
    std::pop_heap(soon_.begin(), soon_.end(), later);
    soon_.pop_back();
  }

 private:
  static constexpr int kSlotBits = 28;  // 268 ms in nanoseconds
  static constexpr std::int64_t kSlots = 256;

  static bool later(const Entry& a, const Entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  static std::int64_t slot_of(ModelTime at) { return at.time_since_epoch().count() >> kSlotBits; }
  static void into(std::vector<Entry>& heap, const Entry& e) {
    heap.push_back(e);
    std::push_heap(heap.begin(), heap.end(), later);
  }

  void place(const Entry& e) {
    const std::int64_t slot = slot_of(e.at);
    if (slot <= now_slot_) {
      into(soon_, e);
    } else if (slot < now_slot_ + kSlots) {
      ring_[static_cast<std::size_t>(slot % kSlots)].push_back(e);
      ++in_ring_;
    } else {
      into(late_, e);
    }
  }
  /// The next slot becomes what is due soon.
  void advance() {
    now_slot_ = in_ring_ == 0 ? slot_of(late_.front().at) : now_slot_ + 1;
    std::vector<Entry>& slot = ring_[static_cast<std::size_t>(now_slot_ % kSlots)];
    in_ring_ -= slot.size();
    soon_.swap(slot);
    std::make_heap(soon_.begin(), soon_.end(), later);
    while (!late_.empty() && slot_of(late_.front().at) < now_slot_ + kSlots) {
      std::pop_heap(late_.begin(), late_.end(), later);
      const Entry e = late_.back();
      late_.pop_back();
      place(e);
    }
  }

  std::vector<Entry> soon_, late_;
  std::array<std::vector<Entry>, kSlots> ring_;
  std::int64_t now_slot_ = INT64_MIN / 2;
  std::size_t in_ring_ = 0, size_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace tcpwhy::model
