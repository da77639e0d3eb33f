#pragma once
// The questions causes share: plain answers about one annotated connection, each
// computed from what was observed and nothing else. An Index is a place in
// Connection::segments; -1 means "there is none". No question looks at a clock
// or another connection, and none allocates.

#include <array>
#include <cstdint>
#include <optional>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

using Index = std::int32_t;  ///< a place in Connection::segments, -1 none

// --- Walking the story -------------------------------------------------------

/// Number of segments of the story.
inline Index size_of(const Connection& c) { return static_cast<Index>(c.segments.size()); }
/// The same packet once more, by the network or by the capture.
inline bool is_copy(const Note& n) { return n.repeat == Repeat::kCaptureDuplicate || n.repeat == Repeat::kNetworkDuplicate; }
/// A probe of keepalive or of a closed window: it carries no octet of its own, whatever its numbers claim.
inline bool is_probe(const Note& n) { return n.repeat == Repeat::kKeepalive || n.repeat == Repeat::kZeroWindowProbe; }

/// First segment of `from` after index `i` (i = -1: from the beginning).
Index first_after(const Connection& c, Party from, Index i);
/// Last segment of `from` before index `i`.
Index last_before(const Connection& c, Party from, Index i);
/// First segment of `from` after `i` that carries payload and is no repeat, probe or RST.
Index next_payload(const Connection& c, Party from, Index i);
/// Segment `i` (-1: none) brings payload for the first time: no repeat, probe, keepalive or copy, and no RST.
bool new_payload(const Connection& c, Index i);
/// Last segment of `from` before `i` that carries payload (RST excluded, repeats included).
Index last_payload_before(const Connection& c, Party from, Index i);
/// Segments of `from` strictly between two indices.
std::uint32_t segments_between(const Connection& c, Party from, Index a, Index b);
/// Last segment of the story, of either side, that is no keepalive, probe or repeat.
Index last_progress(const Connection& c);

// --- Time --------------------------------------------------------------------

/// From segment `a` to segment `b`; zero when either is missing.
Duration between(const Connection& c, Index a, Index b);
/// Silence of both sides right before segment `i`; zero for the first.
Duration idle_before(const Connection& c, Index i);
/// Silence before segment `i` not counting keepalives, probes and pure ACKs: time since payload, SYN or FIN passed.
Duration quiet_before(const Connection& c, Index i);
/// How long the capture provably went on watching after segment `i` (to its end, or that of the story where the clock was
/// stepped back). Absence is evidence only within it.
Duration coverage_after(const Connection& c, Index i);
/// Best estimate of the round trip from the vantage to `party` and back (handshake, else fastest ACK).
std::optional<Duration> rtt_estimate(const Connection& c, Party party);
/// Both halves together: end to end and back.
std::optional<Duration> rtt_estimate(const Connection& c);
/// A time within which an answer of `party` to something passing the vantage must have come, were it
/// going to come without a timer: several round trips plus a delayed ACK (RFC 9293 3.8.6.3).
Duration answer_time(const Connection& c, Party party);

/// The client's SYN that the SYN-ACK at `syn_ack` answers. Of several only an echoed timestamp tells (RFC 6298 3, Karn): on a
/// long way the SYN is repeated before its answer can be here. Without timestamps the one right before it; -1 none.
Index syn_answered(const Connection& c, Index syn_ack);

// --- Acknowledgment ----------------------------------------------------------

/// First segment of the other side whose ACK covers the whole of segment `i`.
Index acked_by(const Connection& c, Index i);
/// Was everything in segment `i` acknowledged within the story?
bool was_acked(const Connection& c, Index i);
/// Octets `party` had sent and not seen acknowledged (by what passed here) right after segment `i`.
std::uint32_t outstanding_at(const Connection& c, Index i, Party party);
/// First segment of `party`, after the last ACK it got, that is still unacknowledged at the end; -1 when all was acknowledged.
Index first_unacked(const Connection& c, Party party);
/// Did the other side send anything at all after segment `i`?
bool answered(const Connection& c, Index i);
/// First segment that names `i` as what provoked it, or that newly acknowledges it; -1 none.
Index answer_to(const Connection& c, Index i);

/// The client's segment at `i` bears the window of its SYN as it stood there, although SYN and SYN-ACK agreed on a scale that
/// would show (RFC 7323 2.2: only the SYN's own is never scaled): it had not got this SYN-ACK's option.
bool bears_unscaled_window(const Connection& c, Index i);

// --- Requests and responses --------------------------------------------------

/// The server spoke after the client's segment `i`, and the capture missed it: its own numbers went on, or the client
/// acknowledged what never passed here.
bool answered_unseen(const Connection& c, Index i);
/// Requests begun before segment `i` whose response was not complete (nor known to be) by then.
std::uint32_t requests_outstanding(const Connection& c, Index i);
/// The exchange that was running at segment `i` (its request had begun, its response had not ended); nullptr none.
const Exchange* exchange_at(const Connection& c, Index i);
/// Exchanges whose request had begun before `i`; Connection::turns counts those of dropped segments too.
std::uint32_t requests_before(const Connection& c, Index i);
/// Payload of `from` that arrived at the vantage in the answer-less tail: since the other side's last payload before `i`.
std::uint64_t payload_since_answer(const Connection& c, Party from, Index i);

// --- Resets ------------------------------------------------------------------

struct ResetFacts {
  Index index = -1;                ///< -1: there is no RST
  Party by = Party::kClient;
  RstShape shape = RstShape::kNotRst;
  SeqPlace place = SeqPlace::kUnknown;
  Index provoked_by = -1;
  bool effective = false;          ///< at least one side stopped after it: it ended the connection
  bool ttl_differs = false;        ///< by more than 1 from the same side's other segments (linux-tcp 11.5)
  std::int32_t ttl_delta = 0;      ///< RST's TTL minus the usual one of that side
  bool ip_id_break = false;        ///< its IP ID breaks a steady counter, and is not 0 (an answer RST may be 0; 11.4)
  bool timestamp_missing = false;  ///< the connection uses timestamps, this RST+ACK has none
  bool window_zero = false;
  bool faster_than_rtt = false;    ///< came sooner after what provoked it than that side can answer
  bool sender_went_on = false;     ///< the side it claims to come from sent non-RST segments afterwards
  std::uint32_t burst = 1;         ///< RSTs of the same side within 100 ms
  Duration since_previous{};       ///< silence before it
};
/// The RST that ended the connection; the first one when none did.
ResetFacts reset(const Connection& c);
/// The same about the RST at index `i`.
ResetFacts reset_at(const Connection& c, Index i);
/// Only whether anybody acted on it.
bool is_effective(const Connection& c, Index rst);
/// Next RST of either side after `i`.
Index next_rst(const Connection& c, Index i);
/// The FIN or RST+ACK at `i` acknowledges octets of the other side, or its SYN or FIN, that had not passed here: its host
/// had got what the capture missed, or shows only later (tcp_send_active_reset() puts RCV.NXT there).
bool took_unseen(const Connection& c, Index i);

// --- Retry schedules ---------------------------------------------------------

/// Transmissions of one thing, in order. At most kMost indices are kept, `count` goes on.
struct Tries {
  static constexpr std::size_t kMost = 32;
  std::array<Index, kMost> at{};
  std::uint32_t count = 0;
  [[nodiscard]] std::uint32_t kept() const { return count < kMost ? count : static_cast<std::uint32_t>(kMost); }
  [[nodiscard]] Index first() const { return count ? at[0] : -1; }
  [[nodiscard]] Index last() const { return count ? at[kept() - 1] : -1; }
};

/// Which stack's SYN retry schedule the SYNs follow (linux-tcp 8.2, 8.8).
enum class SynSchedule : std::uint8_t {
  kNone,              ///< one SYN: nothing to compare
  kLinuxEither,       ///< repeats one second apart, too few to tell doubling from linear
  kLinuxDoubling,     ///< 1 s, doubling (el6, 3.10 to 6.1)
  kLinuxLinear,       ///< four or more seconds apart by one, then doubling (6.5 and later)
  kThreeSeconds,      ///< 3 s, doubling (2.6.32, older Windows)
  kAfterRefusal,      ///< about every 500 ms after each RST (Windows)
  kAtOnceAfterRst,    ///< resent within a few ticks after a challenge ACK (Linux 5.15 and later)
  kOther,
};
struct SynAttempts {
  Tries tries;                     ///< SYNs of the client that carry the first SYN's number
  SynSchedule schedule = SynSchedule::kNone;
  Duration span{};                 ///< first to last
  std::optional<Duration> gives_up_at;  ///< after the first SYN, where the schedule says so (default retries)
  Duration next_due{};             ///< after the last SYN, when another would have followed by the schedule
  bool gave_up = false;            ///< the capture watched past next_due (+ 1/8 and slack) and no SYN came
};
SynAttempts syn_attempts(const Connection& c);

/// Which timer repeated the SYN-ACKs (linux-tcp 3.3, 3.4).
enum class SynAckSchedule : std::uint8_t {
  kNone,              ///< not repeated
  kPerRequestTimer,   ///< 1 3 7 15 31 s, up to 1/8 late (4.4 and later)
  kTableTimer,        ///< on multiples of 200 ms, first 1.0 to 1.6 s (up to 3.16, el6, el7)
  kEither,            ///< too few repeats to tell
  kMirrorsSyns,       ///< each came right after a repeated SYN: no timer is behind it (cookie, or 2.5)
  kDeferred,          ///< one or more due repeats are missing: TCP_DEFER_ACCEPT skips them (4.2)
  kOther,
};
struct SynAckAttempts {
  Tries tries;                     ///< SYN-ACKs with the first one's number
  SynAckSchedule schedule = SynAckSchedule::kNone;
  std::uint32_t after_ack = 0;     ///< of them, sent after the client's acceptable ACK had passed here (by more than a crossing)
  std::uint32_t mirrored = 0;      ///< of them, within answer time of a repeated SYN
  Duration next_due{};             ///< after the last, when another would have followed were the handshake still pending
  bool gave_up = false;            ///< watched past next_due, none came
};
SynAckAttempts syn_ack_attempts(const Connection& c);

/// How one side repeated what stayed unacknowledged (linux-tcp 8.3).
struct DataRetry {
  Tries tries;                     ///< transmissions of the octet at `original`'s sequence number, the original first
  std::optional<Duration> first_rto;  ///< original (or tail-loss probe) to the first timeout repeat
  bool tlp_first = false;          ///< the first repeat was a tail-loss probe
  bool backs_off = false;          ///< later gaps about double: a timer, not the peer, drives them
  bool answered = false;           ///< acknowledged in the end
  bool peer_silent = false;        ///< the other side sent nothing at all after the original
  bool full_size = false;          ///< carries at least 9/10 of the MSS
  bool stopped = false;            ///< watched past next_due, neither a repeat nor an answer came: given up
  Duration next_due{};             ///< after the last transmission, when another was due
  Duration span{};                 ///< first transmission to last
};
/// The retry of segment `i` (an original or any of its repeats).
DataRetry data_retry(const Connection& c, Index i);
/// The retry of what `party` has unacknowledged at the end of the story; nullopt when all was acknowledged.
std::optional<DataRetry> open_retry(const Connection& c, Party party);

/// Keepalive probes in a row at the end of a silence, by `party`.
struct Keepalives {
  Tries tries;                     ///< the last unbroken series of probes
  std::uint32_t unanswered = 0;    ///< at its end
  Duration idle{};                 ///< silence before the first of them
  Duration interval{};             ///< usual distance
};
Keepalives keepalives(const Connection& c, Party party);

/// Time the receiver `party` kept its window closed.
struct ZeroWindow {
  Index closed = -1;               ///< first segment of the last closure
  Index reopened = -1;             ///< segment that opened it again, -1 never
  std::uint32_t closures = 0;
  std::uint32_t probes = 0;        ///< of the other side during the last closure
  std::uint32_t probes_answered = 0;
  Duration longest{};              ///< over all closures
  Duration last{};                 ///< of the last closure, to the end of the capture when it never opened
};
ZeroWindow zero_window(const Connection& c, Party party);

// --- Identity ----------------------------------------------------------------

/// The TTL most of `party`'s segments (RST excluded) have; 0 when it sent none.
std::uint8_t usual_ttl(const Connection& c, Party party);
/// Does `party` count its IP IDs up by small steps (so that they order its packets)?
bool counts_ip_ids(const Connection& c, Party party);
/// Longest distance the vantage can vouch for an initial TTL: hops from `ttl` up to 64, 128 or 255.
std::uint8_t hops(std::uint8_t ttl);
/// Was the connection idle, everything acknowledged and every request answered, when segment `i` came?
bool at_rest_before(const Connection& c, Index i);

}  // namespace tcpwhy::facts
