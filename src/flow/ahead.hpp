#pragma once
// Memory mapped and touched ahead by a thread of its own. The first touch of a
// page is dear: the kernel clears it, and on a virtual machine whose host takes
// back what is free the host has to find it first (0.4 GB/s were seen). The
// thread that tracks then finds its chunks ready.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "flow/memory.hpp"

namespace tcpwhy::flow {

class Ahead {
 public:
  Ahead();
  ~Ahead();
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// A chunk of huge pages, ready where the thread has kept up.
  memory::Chunk chunk();
  /// An array of so many octets (whole chunks) is going to be asked for.
  void expect(std::size_t bytes);
  /// That array, all of it touched; null when it was not expected.
  memory::Chunk array(std::size_t bytes);

 private:
  /// More would be cleared in vain at the end of the input: one while little has been asked for, and what asks for
  /// little can clear it itself.
  [[nodiscard]] std::size_t ready_most() const { return asked_ < kMany ? 1 : 3; }
  static constexpr std::size_t kMany = 32;

  void work();

  std::mutex mutex_;
  std::condition_variable wanted_, touched_;
  std::vector<memory::Chunk> ready_;
  memory::Chunk array_;
  std::size_t array_touched_ = 0, asked_ = 0;
  bool touching_array_ = false, stopped_ = false;
  std::thread thread_;
};

}  // namespace tcpwhy::flow
