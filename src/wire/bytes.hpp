#pragma once
// Numbers in network byte order, read from and written to bytes that may lie
// anywhere. Nothing here checks bounds: the caller has counted.

#include <bit>
#include <cstdint>
#include <cstring>

namespace tcpwhy::wire {

[[nodiscard]] inline std::uint16_t be16(const std::uint8_t* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::little) v = __builtin_bswap16(v);
  return v;
}

[[nodiscard]] inline std::uint32_t be32(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (std::endian::native == std::endian::little) v = __builtin_bswap32(v);
  return v;
}

[[nodiscard]] inline std::uint32_t be24(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 16 | std::uint32_t{p[1]} << 8 | p[2];
}

[[nodiscard]] inline std::uint16_t le16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>(p[1] << 8 | p[0]);
}

[[nodiscard]] inline std::uint32_t le32(const std::uint8_t* p) {
  return std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[1]} << 8 | p[0];
}

}  // namespace tcpwhy::wire
