#pragma once
// A dozen causes ask which RST ended the connection, how it opened, how far it had
// come, and what went unanswered: while a Once lives, this thread works each answer
// out a single time.

#include <array>
#include <optional>
#include <utility>

#include "diagnose/conversation.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/silence.hpp"

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

  std::optional<std::optional<Reset>> reset;
  std::optional<Opening> opening;
  std::optional<bool> raced;
  std::array<std::optional<std::optional<Unanswered>>, 2> unanswered;  ///< by Party
  std::array<std::optional<std::optional<Deaf>>, 2> deaf;              ///< by Party
  /// What had been said before a segment: most causes ask about one of two.
  std::array<std::pair<std::int32_t, std::optional<Talk>>, 2> talks{};
  std::size_t oldest_talk = 0;

 private:
  static Once*& current() {
    thread_local Once* once = nullptr;
    return once;
  }

  const facts::Connection* c_;
  Once* before_;
};

/// What `find` finds about `c`, from `memory` where a Once has it.
template <class T, class Find>
T remembered(const facts::Connection& c, std::optional<T> Once::*memory, Find&& find) {
  Once* const once = Once::of(c);
  if (once == nullptr) return find();
  std::optional<T>& known = once->*memory;
  if (!known) known.emplace(find());
  return *known;
}
/// The same of one side.
template <class T, class Find>
T remembered(const facts::Connection& c, std::array<std::optional<T>, 2> Once::*memory, facts::Party p, Find&& find) {
  Once* const once = Once::of(c);
  if (once == nullptr) return find();
  std::optional<T>& known = (once->*memory)[facts::index(p)];
  if (!known) known.emplace(find());
  return *known;
}

}  // namespace tcpwhy::diagnose::ending
