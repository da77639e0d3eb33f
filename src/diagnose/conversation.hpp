#pragma once
// How far the conversation had come when it ended: what was said, what was
// acknowledged, who waited for whom and for how long.

#include <array>
#include <chrono>
#include <cstdint>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::diagnose::ending {

/// How far the conversation had come before segment `i`.
struct Talk {
  std::array<std::int32_t, 2> last_payload{-1, -1};  ///< new payload of each side, by Party
  std::array<std::uint64_t, 2> bytes{};              ///< new payload of each side
  std::array<bool, 2> acked{true, true};             ///< all payload of that side acknowledged
  std::uint32_t answers = 0;       ///< turns client → server → done
  std::int32_t request = -1;       ///< first segment of the request that waits for its answer, -1 none
  std::int32_t request_end = -1;   ///< its last segment
  std::uint64_t request_bytes = 0;
  std::int32_t answer = -1;        ///< first segment of the last answer
  bool answer_short = false;       ///< less than the last answer announced had been delivered
  bool answer_whole = false;       ///< the last answer announced its end and reached it
  std::uint64_t announced = 0, delivered = 0;
};
Talk talk_before(const facts::Connection& c, std::int32_t i);

/// The number of segment `i`, a FIN or an abort, counts octets of its sender that never passed here.
bool counts_unseen(const facts::Connection& c, std::int32_t i);

/// The server had sent data before its FIN or RST at `stop`; numbers tell where it was lost or overtaken.
bool server_spoke_before(const facts::Connection& c, std::int32_t stop);

/// A silence this long is a pause of somebody who waits, and no longer the distance between two segments of a flight.
inline constexpr Duration kPause = std::chrono::milliseconds{900};
/// How long the server had sent nothing new when its answer was left at segment `i`.
Duration pause_before(const facts::Connection& c, std::int32_t i);
/// From how long on a pause is more than the answer, left at segment `i`, had made before: one that comes in portions (a
/// rate limit, a stream) is not over for that.
Duration unusual_pause(const facts::Connection& c, const Talk& t, std::int32_t i);

/// HTTP was spoken, or may have been (turns of request and answer).
bool speaks_http(const facts::Connection& c);

/// The client's segment at `request` is one that every server of its protocol answers: a request of HTTP, a TLS hello.
bool owes_answer(const facts::Connection& c, std::int32_t request);

/// First segment of `from` after `i` that is no RST; -1 none.
std::int32_t next_of(const facts::Connection& c, facts::Party from, std::int32_t i);
/// First ACK of the other side that covers `seq`, after `i`; -1 none.
std::int32_t ack_of(const facts::Connection& c, facts::Party acker, SeqNum seq, std::int32_t i);

}  // namespace tcpwhy::diagnose::ending
