#pragma once
// What one kernel does where kernels differ. Fields are behaviours, never version numbers;
// profile("3.10") and its like are sets of them.

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tcpwhy/time.hpp"

namespace tcpwhy::model {

/// How the seconds of a SYN that nobody answers are counted (tcp_write_timeout).
enum class SynGiveUp : std::uint8_t {
  kElapsed200ms,    ///< against a doubling of 200 ms: 2.6.32.0
  kElapsedOne,      ///< against a doubling of 1 s
  kCount,           ///< repeats only
  kCountOrElapsed,  ///< whichever comes first
};
enum class RequestStorage : std::uint8_t { kTable, kHash };
enum class SynQueueFull : std::uint8_t {
  kTableSize,     ///< requests >= 2^k
  kAtBacklog,     ///< qlen >= backlog: since "tcp: remove max_qlen_log"
  kAboveBacklog,  ///< qlen > backlog: since "allow a connection when sk_max_ack_backlog is zero"
};
enum class FullAcceptQueue : std::uint8_t { kDropsIfYoung, kDropsAlways };
enum class SynDropsCounted : std::uint8_t { kNo, kYes };
enum class CookieCountsDrop : std::uint8_t { kNo, kYes };
enum class ListenSynFin : std::uint8_t { kTakenAsSyn, kDropped };
enum class CookiesAlways : std::uint8_t { kUnknown, kKnown };  ///< tcp_syncookies=2
enum class RecycleRule : std::uint8_t { kWithTimestamp, kAlsoWithout, kGone };
enum class TimestampOffset : std::uint8_t { kNone, kPerAddressPair, kPerConnection };
enum class ReuseAge : std::uint8_t { kTwoSeconds, kSecondChanged, kDelaySysctl };
enum class RstAcceptance : std::uint8_t { kInWindow, kExact, kExactOrSack, kExactSackOrAfterFin };
enum class SynInConnection : std::uint8_t { kAborts, kChallenged };
enum class ChallengeLimit : std::uint8_t { kExact, kRandomised, kNone };
enum class PerSocketAckLimit : std::uint8_t { kNo, kYes };
enum class AckOfUnsent : std::uint8_t { kIgnoredOrUsed, kChallengedWhenClosing, kChallenged };
enum class RequestRst : std::uint8_t { kInWindow, kExact };
enum class SynRepeatAtOnce : std::uint8_t { kNo, kYes };
enum class StatelessIpId : std::uint8_t { kZero, kNonzero };
enum class UserTimeoutSynSent : std::uint8_t { kNoOption, kIgnored, kBurst, kHonoured };
enum class RequestIcmp : std::uint8_t { kAnyUnreachable, kUnreachableNetOrHost };
enum class TimerRounding : std::uint8_t { kTick, kWheel };  ///< the wheel of 4.8 rounds up by an eighth
enum class RequestAckLimit : std::uint8_t { kNone, kResendOnly, kAll };
enum class Rfc1337Restart : std::uint8_t { kRestarts, kKeepsTime };
enum class TimeoutsCounted : std::uint8_t { kFirstOfSeries, kEvery };
/// Of segments repeated into a closed window: dead when nothing was heard for one or two tcp_rto_max.
enum class ZeroWindowLimit : std::uint8_t { kOnce, kTwice };
enum class ProbesGiveUp : std::uint8_t { kAtRetries, kOneLater };
enum class OldAckWindow : std::uint8_t { kLargestSeen, kNotMoreThanAcked };  ///< how old an ACK may be
/// Does a SACK block in an ACK older than SND.UNA count as delivery (TCPDelivered), or only mark? Since Linux 5.9 ("tcp:
/// count sacked packets in tcp_sacktag_state") tcp_ack() leaves before it would.
enum class OldAckSack : std::uint8_t { kDelivers, kMarks };
/// May a connection whose SYN or SYN-ACK timed out find that it did so for nothing, by the echoed timestamp, and by D-SACKs
/// later? Since 5.2 ("tcp: undo initial congestion window on false SYN timeout").
enum class SynTimeoutUndo : std::uint8_t { kNo, kYes };
/// Does an ICMP error that ends an opening lie in the socket's error queue too, so that poll() says POLLERR from then on?
/// Of IPv4, since 5.18 ("tcp: allow traceroute -Mtcp for unpriv users"); of IPv6 with IPV6_RECVERR only.
enum class OpeningError : std::uint8_t { kTold, kToldAndQueued };
/// Does what lies beyond a hole make the receive buffer larger? Since 6.16 ("tcp: adjust rcvbuf in presence of reorders").
enum class HoleAndBuffer : std::uint8_t { kStays, kGrows };
/// Does a child remember the timestamp of the ACK that made it although none was agreed on? It does since 6.14 ("tcp: Defer
/// ts_recent changes until req is owned"), and says it again in TIME_WAIT.
enum class StampOfThirdAck : std::uint8_t { kIfAgreed, kAlways };
enum class AckCompression : std::uint8_t { kNo, kYes };     ///< SACKs are thinned while a hole stays
enum class ScalingMeasured : std::uint8_t { kNo, kYes };    ///< the window's share of the buffer follows segments
enum class FinAndCwnd : std::uint8_t { kExempt, kCounted };  ///< may a FIN pass a full congestion window
enum class LossProbe : std::uint8_t { kNone, kTlp };
enum class SynAckCounters : std::uint8_t { kNone, kTimeoutsAndRetrans, kAlsoSynRetrans };
/// TW and TWKilled: when the wait ends, or (since each socket has its own timer) when it begins.
enum class TimeWaitCounted : std::uint8_t { kAtEnd, kAtStart };
enum class SynAgain : std::uint8_t { kResends, kRestartsTimer };  ///< the SYN of a known request
enum class MiniReset : std::uint8_t { kKeeps, kDeletes };  ///< a FIN_WAIT2 mini-socket that sent a RST
enum class ReuseMini : std::uint8_t { kTaken, kRefused };   ///< of a FIN_WAIT2 mini-socket by tcp_tw_reuse
/// Data nobody acknowledges: Linux counts time and ends silently; Windows counts repeats and sends a RST.
enum class DataGiveUp : std::uint8_t { kByTime, kByCountWithReset };
enum class ResetTos : std::uint8_t { kCopied, kWithoutEcn };  ///< of a stateless RST
enum class SynAckOfSimultaneousOpen : std::uint8_t { kChallenged, kTaken };
enum class OldWindowedSegment : std::uint8_t { kTrimmed, kDropped };  ///< reaching beyond the window's end
enum class CookieMemory : std::uint8_t { kThreeSeconds, kTwoMinutes };
enum class SocketMemory : std::uint8_t { kGivenBack, kKept };  ///< whole pages a socket has no use for
enum class PawsCounters : std::uint8_t {
  kOne,
  kSplit
};  ///< PAWSOldAck, PAWSTimewait, TSEcrRejected, BeyondWindow

struct KernelProfile {
  std::string_view name = "6.18";
  std::chrono::milliseconds initial_rto{1000};
  int hz = 250;
  int syn_retries = 6;
  int syn_linear_timeouts = 4;
  SynGiveUp syn_give_up = SynGiveUp::kCountOrElapsed;
  RequestStorage request_storage = RequestStorage::kHash;
  SynQueueFull syn_queue_full = SynQueueFull::kAboveBacklog;
  FullAcceptQueue full_accept_queue = FullAcceptQueue::kDropsAlways;
  SynDropsCounted syn_drops_counted = SynDropsCounted::kYes;
  CookieCountsDrop cookie_counts_drop = CookieCountsDrop::kNo;
  ListenSynFin listen_syn_fin = ListenSynFin::kDropped;
  CookiesAlways cookies_always = CookiesAlways::kKnown;
  CookieMemory cookie_memory = CookieMemory::kTwoMinutes;
  int cookie_age_minutes = 2;
  std::span<const std::uint16_t> cookie_mss;  ///< IPv4; empty: that of 4.4 and later
  int cookie_timestamp_bits = 6;
  int syncookies_default = 1;
  RecycleRule recycle = RecycleRule::kGone;
  TimestampOffset timestamp_offset = TimestampOffset::kPerConnection;
  int timestamp_hz = 1000;
  int tw_reuse_default = 2;
  ReuseAge reuse_age = ReuseAge::kDelaySysctl;
  RstAcceptance rst_acceptance = RstAcceptance::kExactSackOrAfterFin;
  SynInConnection syn_in_connection = SynInConnection::kChallenged;
  ChallengeLimit challenge_limit = ChallengeLimit::kNone;
  int challenge_ack_limit = 2147483647;
  PerSocketAckLimit per_socket_ack_limit = PerSocketAckLimit::kYes;
  RequestAckLimit request_ack_limit = RequestAckLimit::kAll;
  AckOfUnsent ack_of_unsent = AckOfUnsent::kChallenged;
  RequestRst request_rst = RequestRst::kExact;
  SynRepeatAtOnce syn_repeat_at_once = SynRepeatAtOnce::kYes;
  int somaxconn = 4096;
  std::uint32_t initial_window = 65536;  ///< before rounding down to whole segments: 4, 10, 20, 45 of them
  StatelessIpId stateless_ip_id = StatelessIpId::kZero;
  UserTimeoutSynSent user_timeout_syn_sent = UserTimeoutSynSent::kHonoured;
  RequestIcmp request_icmp = RequestIcmp::kUnreachableNetOrHost;
  TimerRounding timer_rounding = TimerRounding::kWheel;
  Rfc1337Restart rfc1337_restart = Rfc1337Restart::kKeepsTime;
  TimeoutsCounted timeouts_counted = TimeoutsCounted::kEvery;
  SynAckCounters synack_counters = SynAckCounters::kAlsoSynRetrans;
  TimeWaitCounted time_wait_counted = TimeWaitCounted::kAtStart;
  SynAgain syn_again = SynAgain::kRestartsTimer;
  MiniReset mini_reset = MiniReset::kDeletes;
  ReuseMini reuse_mini = ReuseMini::kRefused;
  DataGiveUp data_give_up = DataGiveUp::kByTime;
  int data_retries = 0;  ///< of kByCountWithReset
  int default_ttl = 64;
  int timestamps_default = 1;
  ResetTos reset_tos = ResetTos::kWithoutEcn;
  ZeroWindowLimit zero_window_limit = ZeroWindowLimit::kTwice;
  ProbesGiveUp probes_give_up = ProbesGiveUp::kAtRetries;
  OldAckWindow old_ack_window = OldAckWindow::kNotMoreThanAcked;
  OpeningError opening_error = OpeningError::kToldAndQueued;
  HoleAndBuffer hole_and_buffer = HoleAndBuffer::kGrows;
  StampOfThirdAck third_ack_stamp = StampOfThirdAck::kAlways;
  OldAckSack old_ack_sack = OldAckSack::kMarks;
  SynTimeoutUndo syn_timeout_undo = SynTimeoutUndo::kYes;
  AckCompression ack_compression = AckCompression::kYes;
  ScalingMeasured window_scaling_measured = ScalingMeasured::kYes;
  FinAndCwnd fin_and_cwnd = FinAndCwnd::kCounted;
  int pingpong_threshold = 1;  ///< answers in time that make a session interactive
  LossProbe loss_probe = LossProbe::kTlp;
  SynAckOfSimultaneousOpen simultaneous_synack = SynAckOfSimultaneousOpen::kTaken;
  OldWindowedSegment beyond_window_end = OldWindowedSegment::kDropped;
  PawsCounters paws_counters = PawsCounters::kSplit;
  SocketMemory socket_memory = SocketMemory::kGivenBack;  ///< since 6.0, 4890b686f408
  std::chrono::seconds paws_expiry{2147};
  int initial_cwnd = 10;
  int rmem_default = 131072;
  int window_share = 128;   ///< of 256 parts of a receive buffer: tcp_adv_win_scale, later scaling_ratio
  int rmem_max = 33554432;  ///< tcp_rmem[2]: decides the window scale we offer
};

/// By name. "windows" and "macos" are peers as captures need them, from literature: schedules, limits, TTL, options.
/// "2.6.32", "el6", "3.10.28", "3.10" (RHEL 7's, as "el7"), "4.4", "4.19", "5.15", "6.1", "6.18".
[[nodiscard]] std::optional<KernelProfile> profile(std::string_view name);
[[nodiscard]] std::span<const std::string_view> profile_names();

}  // namespace tcpwhy::model
