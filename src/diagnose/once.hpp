#pragma once
// A dozen causes ask which RST ended the connection: while a Once lives, this
// thread works the answer out a single time.

#include <optional>

#include "diagnose/reset_story.hpp"

namespace tcpwhy::diagnose::ending {

class Once {
 public:
  /// `c` stays as it is as long as this lives.
  explicit Once(const facts::Connection& c) : c_{&c}, before_{current()} { current() = this; }
  ~Once() { current() = before_; }
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  /// The one that remembers for `c`; null where nobody does.
  static Once* of(const facts::Connection& c) { return current() != nullptr && current()->c_ == &c ? current() : nullptr; }

  template <class Find>
  const std::optional<Reset>& reset(Find&& find) {
    if (!known_) reset_ = find();
    known_ = true;
    return reset_;
  }

 private:
  static Once*& current() {
    thread_local Once* once = nullptr;
    return once;
  }

  const facts::Connection* c_;
  Once* before_;
  bool known_ = false;
  std::optional<Reset> reset_;
};

}  // namespace tcpwhy::diagnose::ending
