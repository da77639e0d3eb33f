#pragma once
// What the causes of "the connection is reset" ask about an ending: which RST
// ended the connection, what it answered, who can have made it, and how far the
// conversation had come. Observations only; the causes decide.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose::ending {

/// Signs that a RST was not made by the stack of the host whose address it bears
/// (RFC 9293 3.10.7 and Linux tcp_v4_send_reset(), tcp_send_active_reset() leave no room for them).
struct Doubt {
  static constexpr std::uint8_t kTtl = 1 << 0,  ///< another distance than the same side's other segments
      kUnprovoked = 1 << 1,   ///< no ACK flag, yet nothing had just arrived that it could answer
      kNumber = 1 << 2,       ///< no ACK flag, and its number is no ACK number that side was ever sent
      kTooFast = 1 << 3,      ///< sooner than the round trip to that side allows
      kSenderWentOn = 1 << 4, ///< that side sent other segments afterwards
      kTwice = 1 << 5,        ///< RST+ACK more than once: a socket aborts once
      kBare = 1 << 6;         ///< RST+ACK without the timestamps the connection uses (RFC 7323 3.2)
};

/// The RST that ended a connection, and what surrounds it.
struct Reset {
  std::int32_t at = -1;
  facts::Party by = facts::Party::kClient;   ///< whose address it bears
  bool answer = false;            ///< answers a segment its host has no use for: R without ACK flag, or Windows' RST+ACK
                                  ///< for data that came after its FIN
  bool bare = false;              ///< R without ACK flag, and yet an abort: the form of RFC 9293 3.10.5
  std::int32_t offender = -1;     ///< with `answer`, or a device's: the segment it answers, -1 none that could be
  std::int32_t offender_first = -1;  ///< the first transmission of that segment
  std::uint8_t doubts = 0;        ///< Doubt bits
  std::uint8_t usual_ttl = 0;     ///< of the same side's other segments, 0 unknown
  bool ttl_known = false;         ///< compared with at least one other segment of that side
  std::int32_t went_on = -1;      ///< first segment of that side after it, -1 none
  std::int32_t own_fin = -1;      ///< that side's FIN, sent before it (it may have passed here after it)
  std::int32_t peer_fin = -1;     ///< the other side's FIN before it
  bool established = false;       ///< the handshake was complete, or lies before the capture
  Duration silence{};             ///< before it, or before the first transmission of what it answers
  Duration rtt{};                 ///< of the path, a guess when unknown
  std::uint32_t resets_by = 0;    ///< RSTs of that side
  std::int32_t other_rst = -1;    ///< first RST of the other side

  [[nodiscard]] bool foreign() const { return doubts != 0; }
  [[nodiscard]] facts::Party peer() const { return facts::other(by); }
};

/// The RST that ended the connection; nothing when there was none, or it went on after each.
std::optional<Reset> ending_reset(const facts::Connection& c);

/// Did both sides go on after the RST at `i`, each acknowledging what the other sent after it?
bool survived(const facts::Connection& c, std::int32_t i);

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

/// The segment with which `p` stopped: its first FIN, or the RST that ended the connection; -1 none.
std::int32_t stop_of(const facts::Connection& c, facts::Party p);

/// The number of segment `i`, a FIN or an abort, counts octets of its sender that never passed here.
bool counts_unseen(const facts::Connection& c, std::int32_t i);

/// The server had sent data before its FIN or RST at `stop`; numbers tell where it was lost or overtaken.
bool server_spoke_before(const facts::Connection& c, std::int32_t stop);

/// The server's FIN or RST came within a second of the handshake and before anybody had said anything.
bool closed_unasked(const facts::Connection& c);

/// Everything was delivered both ways and the RST only took the place of a last FIN or ACK.
bool formality(const facts::Connection& c, const Reset& r);

/// A client's RST long after its own FIN says nothing of why it had closed: with an answer outstanding, or the rest of one.
bool left_waiting(const facts::Connection& c, const Reset& r);

/// The side that sent RST+ACK had still not read what had come when it wrote its last segment: its window says so.
bool unread_when_answering(const facts::Connection& c, const Reset& r);

/// The client kept another attempt of the same instant and reset this one before any data: dual-port-race.
bool raced_another(const facts::Connection& c, const facts::Survey& survey);

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

/// "RST+ACK in sequence 2 ms after the last segment, and no FIN (...)".
std::string abort_words(const Reset& r);

Duration between(const facts::Connection& c, std::int32_t a, std::int32_t b);
std::string_view who(facts::Party p);        ///< "client", "server"
std::string_view Who(facts::Party p);        ///< "The client", "The server"
facts::Side side(facts::Party p);
std::string span(Duration d);                ///< "0.3 ms", "4.2 s", "2 min 5 s"
std::string octets(std::uint64_t n);         ///< "1 octet", "90 octets"

}  // namespace tcpwhy::diagnose::ending
