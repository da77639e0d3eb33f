#pragma once
// Sequence numbers live on a circle of 2^32 places, so there is no operator<:
// order is always a question about a window or about two numbers known to lie
// less than half the circle apart.

#include <cstdint>

namespace tcpwhy {

/// A place on the circle of 2^32 sequence numbers (RFC 9293 3.4).
/// Every operation is total: hostile numbers may make an answer useless,
/// never undefined.
class SeqNum {
 public:
  constexpr SeqNum() = default;
  explicit constexpr SeqNum(std::uint32_t raw) : raw_{raw} {}

  [[nodiscard]] constexpr std::uint32_t raw() const { return raw_; }

  friend constexpr bool operator==(SeqNum, SeqNum) = default;
  friend constexpr SeqNum operator+(SeqNum s, std::uint32_t n) { return SeqNum{s.raw_ + n}; }
  friend constexpr SeqNum operator-(SeqNum s, std::uint32_t n) { return SeqNum{s.raw_ - n}; }

  /// Octets from `from` forward to `to`: 0 to 2^32-1.
  friend constexpr std::uint32_t distance(SeqNum from, SeqNum to) { return to.raw_ - from.raw_; }

  /// Signed octets from `from` to `to`, the short way round: negative when `to`
  /// lies before `from`. Linux include/net/tcp.h before().
  friend constexpr std::int32_t offset(SeqNum from, SeqNum to) {
    return static_cast<std::int32_t>(to.raw_ - from.raw_);
  }

  /// Is `s` one of the `size` numbers that start at `first`?
  friend constexpr bool in_window(SeqNum s, SeqNum first, std::uint32_t size) {
    return distance(first, s) < size;
  }

 private:
  std::uint32_t raw_ = 0;
};

/// `a` comes before `b`, the two being less than half the circle apart.
constexpr bool before(SeqNum a, SeqNum b) { return offset(b, a) < 0; }
/// `a` comes after `b`, the two being less than half the circle apart.
constexpr bool after(SeqNum a, SeqNum b) { return offset(b, a) > 0; }

}  // namespace tcpwhy
