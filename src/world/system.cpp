#include "world/system.hpp"

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

std::string ip_text(std::uint32_t ip) {
  return std::to_string(ip >> 24) + '.' + std::to_string(ip >> 16 & 255) + '.' + std::to_string(ip >> 8 & 255) + '.' +
         std::to_string(ip & 255);
}

std::string text(const Address& address) {
  return (address.ip == 0 ? std::string{"0.0.0.0"} : ip_text(address.ip)) + ':' +
         (address.port == 0 ? std::string{"*"} : std::to_string(address.port));
}

}  // namespace tcpwhy::world
