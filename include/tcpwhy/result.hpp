#pragma once
// What an operation that may fail returns: the value, or an Error that an
// administrator can act on. Has the shape of std::expected so that it can
// become one.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace tcpwhy {

/// Why an operation failed.
struct Error {
  std::string id;       ///< stable, dotted: `capture.pcapng.block-length`
  std::string message;  ///< one sentence: what failed, where, what to do
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_{std::move(value)} {}        // NOLINT: implicit like std::expected
  Result(Error error) : value_{std::move(error)} {}    // NOLINT

  [[nodiscard]] bool has_value() const { return value_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& operator*() { return std::get<0>(value_); }
  const T& operator*() const { return std::get<0>(value_); }
  T* operator->() { return &std::get<0>(value_); }
  const T* operator->() const { return &std::get<0>(value_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(value_); }

 private:
  std::variant<T, Error> value_;
};

}  // namespace tcpwhy
