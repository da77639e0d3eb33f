#pragma once
// Sockets live in slots: addresses that never move, an index that fits a hash table, and a generation
// that tells a timer whether the socket it was set for is still the one in the slot.

#include <cstdint>
#include <memory>
#include <vector>

namespace tcpwhy::model {

template <class T>
class Pool {
 public:
  static constexpr std::uint32_t kChunk = 256;

  std::uint32_t take() {
    ++used_;
    if (!free_.empty()) {
      const std::uint32_t i = free_.back();
      free_.pop_back();
      live_[i] = 1;  // give_back() left it as new
      return i;
    }
    const auto i = static_cast<std::uint32_t>(live_.size());
    if (i % kChunk == 0) chunks_.push_back(std::make_unique<T[]>(kChunk));
    live_.push_back(1);
    generation_.push_back(0);
    return i;
  }
  void give_back(std::uint32_t i) {
    std::destroy_at(&(*this)[i]);
    std::construct_at(&(*this)[i]);
    live_[i] = 0;
    ++generation_[i];
    --used_;
    free_.push_back(i);
  }
  [[nodiscard]] T& operator[](std::uint32_t i) { return chunks_[i / kChunk][i % kChunk]; }
  [[nodiscard]] const T& operator[](std::uint32_t i) const { return chunks_[i / kChunk][i % kChunk]; }
  [[nodiscard]] bool live(std::uint32_t i) const { return i < live_.size() && live_[i]; }
  [[nodiscard]] std::uint32_t generation(std::uint32_t i) const { return generation_[i]; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(live_.size()); }
  [[nodiscard]] std::uint32_t used() const { return used_; }

 private:
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<std::uint8_t> live_;
  std::vector<std::uint32_t> generation_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
};

}  // namespace tcpwhy::model
