#pragma once
// What a capture shows and what the kernel says of the same connection, joined by its tuple and time into one answer.

#include <map>
#include <string>
#include <vector>

#include "diagnose/kernel/verdict.hpp"

namespace tcpwhy::diagnose::kernel {

/// The kernel's verdicts of the last while. Their times are monotonic; `offset` makes capture times of them.
class Words {
 public:
  explicit Words(Duration offset) : offset_{offset} {}
  void add(Failure failure);
  /// What the kernel said of this connection, or null. Stays until it is forgotten.
  [[nodiscard]] const Failure* about(const facts::Connection& connection) const;
  void forget(std::uint64_t before_ns);

 private:
  Duration offset_;
  std::multimap<std::string, Failure> by_tuple_;
};

/// The kernel's own word becomes evidence: it makes a cause the capture only suspects certain, names one the capture
/// cannot see, and never takes anything back.
void join(const Failure& word, Answer& answer);

}  // namespace tcpwhy::diagnose::kernel
