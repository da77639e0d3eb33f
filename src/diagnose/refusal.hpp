#pragma once
// A SYN that met a RST, compared with what is known of the host in whose name it
// came. linux-tcp: 7.1, 11.4, 11.5; RFC 9293 3.10.7.1.

#include <cstdint>
#include <optional>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose {

struct Refusal {
  std::int32_t syn = -1;               ///< the SYN it answers
  std::int32_t rst = -1;
  Duration delay{};                    ///< at this vantage
  std::optional<std::uint8_t> host_ttl;///< nearest TTL of the host's own segments, where it is another hop count
  bool too_fast = false;               ///< no answer of the host could be here so soon
  Duration host_fastest{};             ///< its fastest SYN-ACK, with too_fast
  bool live_window = false;            ///< a refusal that offers a window
  bool has_options = false;
  bool no_ack = false;                 ///< a bare RST: no stack answers a SYN so (RFC 9293 3.10.7.1)
};

/// Nothing when the SYN was answered otherwise.
std::optional<Refusal> refusal_of(const facts::Connection& c, const facts::Survey& survey);

}  // namespace tcpwhy::diagnose
