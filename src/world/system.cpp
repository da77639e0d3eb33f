#include "world/system.hpp"

#include <algorithm>

namespace tcpwhy::world {

std::uint32_t parse_ip(std::string_view text) {
  std::uint32_t ip = 0, part = 0;
  int dots = 0;
  bool digits = false;
  for (const char c : text) {
    if (c == '.') {
      if (!digits || ++dots > 3) return 0;
      ip = ip << 8 | part;
      part = 0;
      digits = false;
    } else if (c >= '0' && c <= '9') {
      part = part * 10 + static_cast<std::uint32_t>(c - '0');
      digits = true;
      if (part > 255) return 0;
    } else {
      return 0;
    }
  }
  return dots == 3 && digits ? ip << 8 | part : 0;
}

std::string ip_text(std::uint32_t ip, std::uint8_t version) {
  return (version == 6 ? "64:ff9b::" : "") + std::to_string(ip >> 24) + '.' + std::to_string(ip >> 16 & 255) + '.' + std::to_string(ip >> 8 & 255) + '.' +
         std::to_string(ip & 255);
}

std::array<std::uint8_t, 16> octets_of(std::uint32_t ip, std::uint8_t version) {
  std::array<std::uint8_t, 16> octets{};
  if (version == 6 && ip != 0) std::copy(kPrefix6.begin(), kPrefix6.end(), octets.begin());
  const std::size_t at = version == 6 ? kPrefix6.size() : 0;
  for (std::size_t i = 0; i < 4; ++i) octets[at + i] = static_cast<std::uint8_t>(ip >> (24 - 8 * i));
  return octets;
}

std::optional<std::uint32_t> ip_of(const std::uint8_t* octets, std::uint8_t version) {
  const std::uint8_t* p = version == 6 ? octets + kPrefix6.size() : octets;
  const std::uint32_t ip = std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
  if (version == 6 && !std::equal(kPrefix6.begin(), kPrefix6.end(), octets) && !std::all_of(octets, octets + 16, [](auto b) { return b == 0; }))
    return std::nullopt;
  return ip;
}

std::string text(const Address& address) {
  return (address.ip == 0 ? std::string{"0.0.0.0"} : ip_text(address.ip)) + ':' +
         (address.port == 0 ? std::string{"*"} : std::to_string(address.port));
}

}  // namespace tcpwhy::world
