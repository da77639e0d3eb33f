#pragma once
// What a TIME_WAIT socket says to a segment, and which RST a connection believes: both decided from a few
// numbers, so both are values here.

#include <optional>

#include "model/packet.hpp"
#include "model/profile.hpp"
#include "model/rules.hpp"
#include "tcpwhy/state.hpp"

namespace tcpwhy::model {

/// What is left of a connection in TIME_WAIT. Times in seconds since its timestamp was taken.
struct TimeWaitMemory {
  SeqNum rcv_nxt, snd_nxt;
  std::uint32_t ts_recent = 0;  ///< 0: the connection had no timestamps
  std::chrono::seconds ts_age{};
};

enum class ListenerThere : std::uint8_t { kNo, kYes };
enum class Rfc1337 : std::uint8_t { kOff, kOn };  ///< sysctl tcp_rfc1337

enum class TimeWaitAct : std::uint8_t {
  kDelete,          ///< gone, silently
  kNothing,         ///< no answer
  kAck,             ///< ACK of the old connection, seq = snd_nxt, ack = rcv_nxt; at most one per 500 ms
  kAckUnlimited,    ///< the same whenever asked: to a SYN that would be let in if somebody listened
  kHandToListener,  ///< the SYN is an ordinary one with the ISN old snd_nxt + 65537
};

struct TimeWaitVerdict {
  TimeWaitAct act = TimeWaitAct::kNothing;
  bool restarts = false;     ///< the 60 s begin again
  bool paws_failed = false;  ///< counted
  Rule because = Rule::kTimeWaitQuiet;
};

/// Linux net/ipv4/tcp_minisocks.c tcp_timewait_state_process(). Never a RST; RFC 6191 2, RFC 1337, RFC
/// 7323 5.3.
[[nodiscard]] TimeWaitVerdict on_time_wait(const KernelProfile& kernel, const TimeWaitMemory& tw,
                                           Rfc1337 rfc1337, ListenerThere listener, const Packet& p);

/// The ISN of a connection that takes over TIME_WAIT; 0 is skipped because it would mean "none".
[[nodiscard]] constexpr SeqNum isn_after_time_wait(SeqNum snd_nxt) {
  const SeqNum isn = snd_nxt + 65537u;
  return isn == SeqNum{0} ? SeqNum{1} : isn;
}

enum class RstFate : std::uint8_t { kEnds, kChallenged, kIgnored };

/// A RST in a synchronized state. `wup` is the left edge last advertised, `window` counts from rcv_nxt,
/// `sack_edge` the highest number we reported by SACK. RFC 5961 3.2; Linux tcp_validate_incoming(),
/// tcp_reset_check().
[[nodiscard]] RstFate on_rst(const KernelProfile& kernel, State state, SeqNum seq, SeqNum wup, SeqNum rcv_nxt,
                             std::uint32_t window, std::optional<SeqNum> sack_edge);

}  // namespace tcpwhy::model
