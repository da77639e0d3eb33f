#pragma once
// Our addresses as the kernel's, and back.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::probe {

struct SockAddr {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline int family_of(const facts::Address& a) { return a.version == 4 ? AF_INET : AF_INET6; }

inline SockAddr to_sockaddr(const facts::Endpoint& e) {
  SockAddr out;
  if (e.address.version == 4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(e.port);
    std::memcpy(&v4.sin_addr, e.address.bytes.data(), 4);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(e.port);
    std::memcpy(&v6.sin6_addr, e.address.bytes.data(), 16);
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
  }
  return out;
}

/// Version 0 where the family is another.
inline facts::Endpoint from_sockaddr(const void* raw) {
  facts::Endpoint out;
  sa_family_t family = 0;
  std::memcpy(&family, static_cast<const char*>(raw) + offsetof(sockaddr, sa_family), sizeof family);
  if (family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, raw, sizeof v4);
    out.port = ntohs(v4.sin_port);
    std::memcpy(out.address.bytes.data(), &v4.sin_addr, 4);
  } else if (family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, raw, sizeof v6);
    out.port = ntohs(v6.sin6_port);
    out.address.version = 6;
    std::memcpy(out.address.bytes.data(), &v6.sin6_addr, 16);
  } else {
    out.address.version = 0;
  }
  return out;
}

}  // namespace tcpwhy::probe
