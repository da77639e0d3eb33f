#ifdef TCPWHY_HOST
#include "cli/kernel_words.hpp"

#include <iterator>

namespace tcpwhy::cli {

Result<std::unique_ptr<KernelWords>> KernelWords::start() {
  host::EventOptions how;
  how.netns = {host::Namespaces{host::Namespaces::Reach::kOwn, host::Namespaces::Stuck::kSkip}.own()};
  auto events = host::open_kernel_events(how);
  if (!events) return events.error();
  return std::unique_ptr<KernelWords>{new KernelWords{std::move(*events)}};
}

KernelWords::KernelWords(std::unique_ptr<host::KernelEvents> events)
    : follower_{std::move(events), host::Namespaces::Reach::kOwn, {}}, thread_{[this](const std::stop_token& stop) { read(stop); }} {}
KernelWords::~KernelWords() { stop(); }

void KernelWords::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void KernelWords::read(const std::stop_token& stop) {
  const auto keep = [this](std::vector<diagnose::kernel::Failure> failures) {
    const std::lock_guard lock{mutex_};
    judged_.insert(judged_.end(), std::make_move_iterator(failures.begin()), std::make_move_iterator(failures.end()));
  };
  while (!stop.stop_requested()) {
    follower_.step(50);
    keep(follower_.due());
  }
  keep(follower_.rest());
}

std::vector<diagnose::kernel::Failure> KernelWords::take() {
  const std::lock_guard lock{mutex_};
  return std::exchange(judged_, {});
}

std::vector<std::string> KernelWords::shortcomings() const {
  std::vector<std::string> out = follower_.events()->shortcomings();
  for (std::string& loss : follower_.losses()) out.push_back(std::move(loss));
  return out;
}

}  // namespace tcpwhy::cli
#endif  // TCPWHY_HOST
