#include "flow/ahead.hpp"

#include <algorithm>

namespace tcpwhy::flow {
namespace {

/// Pages are no larger than this unless they are huge, and then one touch of many is enough.
constexpr std::size_t kPage = 4096;

void touch(std::byte* begin, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kPage) *static_cast<volatile std::byte*>(begin + at) = std::byte{0};
}

}  // namespace

Ahead::Ahead() : thread_{[this] { work(); }} {}

Ahead::~Ahead() {
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

memory::Chunk Ahead::chunk() {
  memory::Chunk out;
  {
    const std::lock_guard lock{mutex_};
    ++asked_;
    if (!ready_.empty()) {
      out = std::move(ready_.back());
      ready_.pop_back();
    }
  }
  wanted_.notify_one();
  return out ? std::move(out) : memory::allocate(memory::kChunk, memory::Pages::kHuge);
}

void Ahead::expect(std::size_t bytes) {
  {
    const std::lock_guard lock{mutex_};
    if (array_ && array_.get_deleter().bytes == bytes) return;
  }
  memory::Chunk mapped = memory::allocate(bytes, memory::Pages::kHuge);
  std::unique_lock lock{mutex_};
  touched_.wait(lock, [this] { return !touching_array_; });
  array_ = std::move(mapped);
  array_touched_ = 0;
  lock.unlock();
  wanted_.notify_one();
}

memory::Chunk Ahead::array(std::size_t bytes) {
  std::unique_lock lock{mutex_};
  touched_.wait(lock, [this] { return !touching_array_; });
  if (!array_ || array_.get_deleter().bytes != bytes) return {};
  return std::move(array_);
}

void Ahead::work() {
  std::unique_lock lock{mutex_};
  while (true) {
    const auto array_waits = [this] { return array_ && array_touched_ < array_.get_deleter().bytes; };
    wanted_.wait(lock, [&] { return stopped_ || ready_.size() < ready_most() || array_waits(); });
    if (stopped_) return;
    if (ready_.size() < ready_most()) {
      lock.unlock();
      memory::Chunk chunk = memory::allocate(memory::kChunk, memory::Pages::kHuge);
      touch(chunk.get(), memory::kChunk);
      lock.lock();
      ready_.push_back(std::move(chunk));
      continue;
    }
    std::byte* const at = array_.get() + array_touched_;
    touching_array_ = true;
    lock.unlock();
    touch(at, memory::kChunk);
    lock.lock();
    touching_array_ = false;
    array_touched_ += memory::kChunk;
    touched_.notify_one();
  }
}

}  // namespace tcpwhy::flow
