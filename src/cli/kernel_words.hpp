#pragma once
// The kernel's verdicts beside a live capture: a thread of its own reads and judges them.

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/follower.hpp"

namespace tcpwhy::cli {

class KernelWords {
 public:
  /// Kernel events of this network namespace; an error where they cannot be had.
  static Result<std::unique_ptr<KernelWords>> start();
  ~KernelWords();
  KernelWords(const KernelWords&) = delete;
  KernelWords& operator=(const KernelWords&) = delete;

  /// What has been judged since the last call.
  std::vector<diagnose::kernel::Failure> take();
  /// Ends the reading; the rest can be taken then.
  void stop();
  /// What could not be told: events lost, tracepoints this kernel lacks.
  [[nodiscard]] std::vector<std::string> shortcomings() const;

 private:
  explicit KernelWords(std::unique_ptr<host::KernelEvents> events);
  void read(const std::stop_token& stop);

  Follower follower_;
  std::mutex mutex_;
  std::vector<diagnose::kernel::Failure> judged_;
  std::jthread thread_;
};

}  // namespace tcpwhy::cli
