#pragma once
// What the first octets of a payload look like: HTTP/1 messages with the length
// they announce, TLS records, SSH and SMB. A cheap test on the first octets
// sends nearly everything away as opaque; nothing is kept between segments.

#include <cstdint>

#include "flow/packet.hpp"
#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

struct AppView {
  facts::App app = facts::App::kNone;
  std::uint8_t flags = 0;       ///< facts::AppFlag bits
  std::uint32_t length = 0;     ///< octets of the announced message, head included; of TLS to the end of the last record begun
  Speaker speaker = Speaker::kUnknown;
};

struct Payload {
  const std::uint8_t* data = nullptr;
  std::uint32_t captured = 0;   ///< octets at `data`
  std::uint32_t bytes = 0;      ///< octets on the wire
  std::uint8_t tcp_flags = 0;
};

/// Sources: RFC 9112 (HTTP/1.1), RFC 8446 5.1 (TLS records), RFC 4253 4.2 (SSH),
/// MS-SMB2 2.1 (SMB over a session header). Never reads beyond `captured`.
AppView classify(const Payload& payload) noexcept;

}  // namespace tcpwhy::flow
