#pragma once
// Numbers out of bytes, at any alignment and in either byte order.

#include <bit>
#include <cstdint>
#include <cstring>

namespace tcpwhy::capture {

/// Byte order of a file, relative to this machine.
enum class Order : std::uint8_t { kNative, kSwapped };

template <Order order>
[[nodiscard]] inline std::uint16_t load16(const std::uint8_t* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (order == Order::kSwapped) v = __builtin_bswap16(v);
  return v;
}

template <Order order>
[[nodiscard]] inline std::uint32_t load32(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (order == Order::kSwapped) v = __builtin_bswap32(v);
  return v;
}

template <Order order>
[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (order == Order::kSwapped) v = __builtin_bswap64(v);
  return v;
}

// The orders a format names outright.
inline constexpr Order kLittle =
    std::endian::native == std::endian::little ? Order::kNative : Order::kSwapped;
inline constexpr Order kBig = std::endian::native == std::endian::big ? Order::kNative : Order::kSwapped;

}  // namespace tcpwhy::capture
