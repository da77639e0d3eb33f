#include "model/profile.hpp"

#include <array>

namespace tcpwhy::model {

namespace {

constexpr std::array<std::uint16_t, 8> kCookieMss2632 = {64, 256, 512, 536, 1024, 1440, 1460, 4312};
constexpr std::array<std::uint16_t, 8> kCookieMss310 = {64, 512, 536, 1024, 1440, 1460, 4312, 8960};
constexpr std::array<std::string_view, 13> kNames = {"2.6.32", "el6",  "3.10.28", "3.10", "el7", "4.4",
                                                     "4.9",    "4.19", "5.15", "6.1", "6.18", "windows", "macos"};

/// 6.18 is what the fields' own defaults say; each older kernel is the next younger one with what it lacks.
KernelProfile v6_18() { return {}; }

KernelProfile v6_1() {
  KernelProfile k = v6_18();
  k.name = "6.1";
  k.syn_linear_timeouts = 0;
  k.third_ack_stamp = StampOfThirdAck::kIfAgreed;
  k.hole_and_buffer = HoleAndBuffer::kStays;
  k.syn_queue_full = SynQueueFull::kAtBacklog;
  k.timestamp_offset = TimestampOffset::kPerAddressPair;
  k.reuse_age = ReuseAge::kSecondChanged;
  k.ack_of_unsent = AckOfUnsent::kChallengedWhenClosing;
  k.request_rst = RequestRst::kInWindow;
  k.beyond_window_end = OldWindowedSegment::kTrimmed;
  k.paws_counters = PawsCounters::kOne;
  k.fin_and_cwnd = FinAndCwnd::kExempt;
  k.zero_window_limit = ZeroWindowLimit::kOnce;
  k.window_scaling_measured = ScalingMeasured::kNo;
  k.paws_expiry = std::chrono::seconds{24 * 86400};
  k.rmem_max = 6291456;
  return k;
}

KernelProfile v5_15() {
  KernelProfile k = v6_1();
  k.name = "5.15";
  k.opening_error = OpeningError::kTold;
  k.socket_memory = SocketMemory::kKept;
  k.reuse_mini = ReuseMini::kTaken;
  k.pingpong_threshold = 3;
  k.old_ack_window = OldAckWindow::kLargestSeen;
  k.challenge_limit = ChallengeLimit::kRandomised;
  k.challenge_ack_limit = 1000;
  k.simultaneous_synack = SynAckOfSimultaneousOpen::kChallenged;
  return k;
}

KernelProfile v4_19() {
  KernelProfile k = v5_15();
  k.name = "4.19";
  k.probes_give_up = ProbesGiveUp::kOneLater;
  k.old_ack_sack = OldAckSack::kDelivers;
  k.syn_timeout_undo = SynTimeoutUndo::kNo;
  k.pingpong_threshold = 1;
  k.syn_give_up = SynGiveUp::kCount;
  k.syn_repeat_at_once = SynRepeatAtOnce::kNo;
  k.somaxconn = 128;
  k.initial_window = 29200;
  k.user_timeout_syn_sent = UserTimeoutSynSent::kBurst;
  k.timeouts_counted = TimeoutsCounted::kFirstOfSeries;
  k.reset_tos = ResetTos::kCopied;
  k.rmem_default = 87380;
  return k;
}

KernelProfile v4_9() {
  KernelProfile k = v4_19();
  k.name = "4.9";
  k.ack_compression = AckCompression::kNo;
  k.syn_give_up = SynGiveUp::kElapsedOne;
  k.full_accept_queue = FullAcceptQueue::kDropsIfYoung;
  k.recycle = RecycleRule::kAlsoWithout;
  k.timestamp_offset = TimestampOffset::kNone;
  k.timestamp_hz = 250;
  k.tw_reuse_default = 0;
  k.reuse_age = ReuseAge::kTwoSeconds;
  k.rst_acceptance = RstAcceptance::kExactOrSack;
  k.ack_of_unsent = AckOfUnsent::kIgnoredOrUsed;
  k.stateless_ip_id = StatelessIpId::kNonzero;
  k.user_timeout_syn_sent = UserTimeoutSynSent::kIgnored;
  k.rfc1337_restart = Rfc1337Restart::kRestarts;
  return k;
}

KernelProfile v4_4() {
  KernelProfile k = v4_9();
  k.name = "4.4";
  k.cookie_counts_drop = CookieCountsDrop::kYes;
  k.rst_acceptance = RstAcceptance::kExact;
  k.request_ack_limit = RequestAckLimit::kResendOnly;
  k.timer_rounding = TimerRounding::kTick;
  return k;
}

KernelProfile el7() {
  KernelProfile k = v4_4();
  k.name = "el7";
  k.hz = 1000;
  k.timestamp_hz = 1000;
  k.request_storage = RequestStorage::kTable;
  k.syn_queue_full = SynQueueFull::kTableSize;
  k.cookie_memory = CookieMemory::kThreeSeconds;
  k.request_icmp = RequestIcmp::kAnyUnreachable;
  k.time_wait_counted = TimeWaitCounted::kAtEnd;
  return k;
}

KernelProfile v3_10() {
  KernelProfile k = el7();
  k.name = "3.10.28";
  k.cookies_always = CookiesAlways::kUnknown;
  k.cookie_age_minutes = 4;
  k.cookie_mss = kCookieMss310;
  k.recycle = RecycleRule::kWithTimestamp;
  k.challenge_limit = ChallengeLimit::kExact;
  k.challenge_ack_limit = 100;
  k.per_socket_ack_limit = PerSocketAckLimit::kNo;
  k.request_ack_limit = RequestAckLimit::kNone;
  k.synack_counters = SynAckCounters::kTimeoutsAndRetrans;
  k.initial_window = 14600;
  return k;
}

KernelProfile el6() {
  KernelProfile k = el7();
  k.name = "el6";
  k.syn_retries = 5;
  k.syn_drops_counted = SynDropsCounted::kNo;
  k.cookie_counts_drop = CookieCountsDrop::kNo;
  k.cookies_always = CookiesAlways::kUnknown;
  k.cookie_timestamp_bits = 9;
  k.syncookies_default = 0;
  k.recycle = RecycleRule::kWithTimestamp;
  k.per_socket_ack_limit = PerSocketAckLimit::kNo;
  k.request_ack_limit = RequestAckLimit::kNone;
  k.stateless_ip_id = StatelessIpId::kZero;
  k.synack_counters = SynAckCounters::kNone;
  k.syn_again = SynAgain::kResends;
  k.loss_probe = LossProbe::kNone;
  k.initial_window = 14600;
  k.rmem_max = 4194304;
  k.window_share = 192;
  return k;
}

KernelProfile v2_6_32() {
  KernelProfile k = el6();
  k.name = "2.6.32";
  k.mini_reset = MiniReset::kKeeps;
  k.initial_rto = std::chrono::milliseconds{3000};
  k.syn_give_up = SynGiveUp::kElapsed200ms;
  k.listen_syn_fin = ListenSynFin::kTakenAsSyn;
  k.cookie_age_minutes = 4;
  k.cookie_mss = kCookieMss2632;
  k.rst_acceptance = RstAcceptance::kInWindow;
  k.syn_in_connection = SynInConnection::kAborts;
  k.user_timeout_syn_sent = UserTimeoutSynSent::kNoOption;
  k.initial_window = 5840;
  k.initial_cwnd = 3;
  return k;
}

// Not Linux at all, and measured by nobody here: what vendors write about retries, TTL and options, on a Linux body.
KernelProfile windows() {
  KernelProfile k = v6_1();
  k.name = "windows";
  k.initial_rto = std::chrono::milliseconds{3000};
  k.syn_retries = 2;
  k.syn_give_up = SynGiveUp::kCount;
  k.data_give_up = DataGiveUp::kByCountWithReset;
  k.data_retries = 5;  // TcpMaxDataRetransmissions
  k.timestamps_default = 0;
  k.default_ttl = 128;
  k.rmem_max = 8388608;  // window scale 8
  return k;
}

KernelProfile macos() {
  KernelProfile k = v6_1();
  k.name = "macos";
  k.syn_linear_timeouts = 4;
  k.timestamp_offset = TimestampOffset::kNone;
  k.rmem_max = 2097152;  // window scale 6
  return k;
}

}  // namespace

std::span<const std::string_view> profile_names() { return kNames; }

std::optional<KernelProfile> profile(std::string_view name) {
  if (name == "6.18") return v6_18();
  if (name == "6.1") return v6_1();
  if (name == "5.15") return v5_15();
  if (name == "4.19") return v4_19();
  if (name == "4.9") return v4_9();
  if (name == "4.4") return v4_4();
  if (name == "el7") return el7();
  if (name == "3.10") {
    // Who says 3.10 means RHEL 7: the kernel of that number people still meet.
    KernelProfile k = el7();
    k.name = "3.10";
    return k;
  }
  if (name == "3.10.28") return v3_10();
  if (name == "el6") return el6();
  if (name == "2.6.32") return v2_6_32();
  if (name == "windows") return windows();
  if (name == "macos") return macos();
  return std::nullopt;
}

}  // namespace tcpwhy::model
