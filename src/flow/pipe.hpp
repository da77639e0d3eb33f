#pragma once
// Blocks of work on their way from one thread to one other: packets from the
// thread that reads to the one that tracks, events from there to the survey.
// Both sides sleep and wake many blocks at a time, so that a wake-up is paid for
// thousands of packets.

#include <array>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace tcpwhy::flow {

template <class Block>
class Pipe {
 public:
  /// An empty block to fill; waits while the reader of the pipe lags behind.
  Block& empty() {
    std::unique_lock lock{mutex_};
    if (written_ - read_ == kBlocks) room_.wait(lock, [&] { return written_ - read_ <= kBlocks / 2; });
    return blocks_[written_ % kBlocks];
  }
  /// Hands over the block that empty() gave.
  void send() {
    std::size_t waiting = 0;
    {
      const std::lock_guard lock{mutex_};
      waiting = ++written_ - read_;
    }
    if (waiting == kWake) work_.notify_one();
  }
  void close() {
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
    }
    work_.notify_one();
  }

  /// The next filled block; null when the pipe is closed and empty.
  Block* filled() {
    std::unique_lock lock{mutex_};
    if (written_ == read_) work_.wait(lock, [&] { return closed_ || written_ - read_ >= kWake; });
    return written_ == read_ ? nullptr : &blocks_[read_ % kBlocks];
  }
  /// Gives back the block that filled() gave.
  void done() {
    std::size_t waiting = 0;
    {
      const std::lock_guard lock{mutex_};
      waiting = written_ - ++read_;
    }
    if (waiting == kBlocks / 2) room_.notify_one();
  }

 private:
  static constexpr std::size_t kBlocks = 32, kWake = 4;
  std::array<Block, kBlocks> blocks_;
  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::size_t written_ = 0, read_ = 0;
  bool closed_ = false;
};

}  // namespace tcpwhy::flow
