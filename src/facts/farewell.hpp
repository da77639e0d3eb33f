#pragma once
// How conversations say goodbye without TCP's help, and when a RST in place of a
// FIN loses nothing. Captures of ordinary browsers, mail clients and Windows hosts
// are full of both.

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

/// A FIN so soon after the last words was sent with them: the half-close of RFC 9293 3.6, or a goodbye.
inline constexpr Duration kRightBehind = std::chrono::milliseconds{50};

/// TLS's last record (close_notify), whose loss loses nothing (RFC 8446 6.1). In TLS 1.3 it looks like data and has
/// at most 5 + 2 + 1 octets and a tag; 48 leaves room for the suites in use.
[[nodiscard]] bool is_farewell(const SegmentFact& s, std::uint32_t longest = 48);

/// What a protocol inside TLS says before close_notify takes no more than this: HTTP/2's GOAWAY and its kin.
inline constexpr std::uint32_t kPartingWords = 160;

/// The last words of a side that closes without waiting for an answer: a few octets and at once its FIN, after the
/// other side had spoken (QUIT, LOGOUT, a closing frame). They ask nothing, and nobody misses what answers them.
[[nodiscard]] bool is_goodbye(const Connection& c, std::int32_t i);

/// The RST+ACK at `rst` was sent when nothing was under way (by a server: for a second and more): all octets of both sides acknowledged, the
/// server's last message whole as far as can be seen, no request waiting, and nothing more of the other side after it.
[[nodiscard]] bool left_at_rest(const Connection& c, std::int32_t rst);

}  // namespace tcpwhy::facts
