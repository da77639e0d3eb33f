#include "flow/ahead.hpp"

#include <algorithm>

namespace tcpwhy::flow {

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
  return out ? std::move(out) : memory::allocate(memory::kChunk, memory::Use::kWhole);
}

void Ahead::expect(std::size_t bytes) {
  {
    const std::lock_guard lock{mutex_};
    if (array_ && array_.get_deleter().bytes == bytes) return;
  }
  memory::Chunk mapped = memory::allocate(bytes, memory::Use::kPerhaps);
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
  // What was expected and is not what is wanted will not be wanted any more.
  memory::Chunk expected = std::move(array_);
  const std::size_t touched = array_touched_;
  lock.unlock();
  if (!expected || expected.get_deleter().bytes != bytes) return {};
  memory::make_ready(expected.get() + touched, bytes - touched);
  return expected;
}

void Ahead::work() {
  std::unique_lock lock{mutex_};
  while (true) {
    const auto array_waits = [this] { return array_ && array_touched_ < array_.get_deleter().bytes; };
    wanted_.wait(lock, [&] { return stopped_ || ready_.size() < ready_most() || array_waits(); });
    if (stopped_) return;
    if (ready_.size() < ready_most()) {
      lock.unlock();
      memory::Chunk chunk = memory::allocate(memory::kChunk, memory::Use::kWhole);
      lock.lock();
      ready_.push_back(std::move(chunk));
      continue;
    }
    std::byte* const at = array_.get() + array_touched_;
    touching_array_ = true;
    lock.unlock();
    memory::make_ready(at, memory::kChunk);
    lock.lock();
    touching_array_ = false;
    array_touched_ += memory::kChunk;
    touched_.notify_one();
  }
}

}  // namespace tcpwhy::flow
