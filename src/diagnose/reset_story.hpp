#pragma once
// The RST that ended a connection: what it answered and who can have made it.
// Observations only; the causes decide.

#include <cstdint>
#include <optional>
#include <string>

#include "tcpwhy/connection.hpp"

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

/// "RST+ACK in sequence 2 ms after the last segment, and no FIN (...)".
std::string abort_words(const Reset& r);

}  // namespace tcpwhy::diagnose::ending
