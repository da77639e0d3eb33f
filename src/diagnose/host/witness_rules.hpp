#pragma once
// Which counters and settings of an end bear on a cause. Sources: linux-tcp behaviour as the pages of `docs/words` tell it.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose::host {

/// Whose counters and settings matter.
enum class At : std::uint8_t { kServer, kClient, kActor, kEither };

struct WitnessRule {
  CauseId cause{};
  At at = At::kEither;
  std::array<std::string_view, 3> counters{};
  /// The first counter counts nothing else: that it rose speaks for this cause.
  bool sole = false;
  /// The cause cannot happen without the first counter: that it stands at 0 speaks against.
  bool needed = false;
  std::array<std::string_view, 3> sysctls{};
};

inline constexpr WitnessRule kWitnessRules[] = {
    {CauseId::kAcceptQueueOverflow, At::kServer, {"ListenOverflows", "ListenDrops"}, true, true,
     {"net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow"}},
    {CauseId::kAcceptQueueOverflowReset, At::kServer, {"ListenOverflows", "EmbryonicRsts"}, true, true,
     {"net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow"}},
    // A queue that is three quarters full drops without TCPReqQFullDrop, so its silence says nothing.
    {CauseId::kSynQueueOverflow, At::kServer, {"TCPReqQFullDrop", "ListenDrops"}, true, false,
     {"net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog", "net.core.somaxconn"}},
    {CauseId::kPerHostTimestampCheck, At::kServer, {"PAWSPassive"}, true, true,
     {"net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_timestamps"}},
    {CauseId::kSyncookieOptionsLost, At::kServer, {"SyncookiesSent", "SyncookiesRecv"}, true, true,
     {"net.ipv4.tcp_syncookies"}},
    {CauseId::kDeferAcceptNoData, At::kServer, {"TCPDeferAcceptDrop"}, true, true, {}},
    {CauseId::kSynUnanswered, At::kClient, {}, false, false, {"net.ipv4.tcp_syn_retries"}},
    {CauseId::kHandshakeAckLost, At::kServer, {}, false, false, {"net.ipv4.tcp_synack_retries"}},
    {CauseId::kTimeWaitSynChallenged, At::kClient, {}, false, false, {"net.ipv4.tcp_tw_reuse", "net.ipv4.ip_local_port_range"}},
    {CauseId::kHalfOpenChallenged, At::kServer, {"TCPSYNChallenge", "TCPChallengeACK"}, false, false, {}},
    // __tcp_close(): octets unread count as TCPAbortOnClose, SO_LINGER 0 as TCPAbortOnData (as does data after a close).
    {CauseId::kCloseWithUnreadData, At::kActor, {"TCPAbortOnClose"}, true, true, {}},
    {CauseId::kLingerZeroAbort, At::kActor, {"TCPAbortOnData"}, true, true, {}},
    {CauseId::kDataAfterClose, At::kActor, {"TCPAbortOnData"}, false, false, {"net.ipv4.tcp_fin_timeout"}},
    {CauseId::kFinWait2Timeout, At::kActor, {}, false, false, {"net.ipv4.tcp_fin_timeout"}},
    {CauseId::kSpoofedResetIgnored, At::kEither, {"TCPChallengeACK"}, false, false, {}},
    {CauseId::kKeepaliveDeadPeer, At::kEither, {"TCPAbortOnTimeout"}, false, false,
     {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"}},
    {CauseId::kIdleTimeoutSilent, At::kEither, {"TCPAbortOnTimeout"}, false, false,
     {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_retries2"}},
    {CauseId::kIdleTimeoutReset, At::kEither, {}, false, false,
     {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl"}},
    {CauseId::kPeerUnresponsive, At::kEither, {"TCPAbortOnTimeout"}, false, false, {"net.ipv4.tcp_retries2"}},
    {CauseId::kPathBlackhole, At::kEither, {"TCPAbortOnTimeout"}, false, false, {"net.ipv4.tcp_retries2"}},
    {CauseId::kPeerVanished, At::kEither, {"TCPAbortOnTimeout"}, false, false, {"net.ipv4.tcp_retries2"}},
    {CauseId::kPmtuBlackhole, At::kEither, {}, false, false, {"net.ipv4.tcp_mtu_probing", "net.ipv4.ip_no_pmtu_disc"}},
    {CauseId::kZeroWindowStall, At::kActor, {"TCPToZeroWindowAdv", "TCPWantZeroWindowAdv"}, false, false,
     {"net.ipv4.tcp_rmem"}},
    {CauseId::kChecksumCorruption, At::kEither, {"InCsumErrors", "InErrs"}, false, false, {}},
    {CauseId::kTimestampRegression, At::kEither, {"PAWSEstab"}, false, false, {"net.ipv4.tcp_timestamps"}},
    {CauseId::kHostDropped, At::kEither, {"TCPBacklogDrop", "TCPRcvQDrop", "PruneCalled"}, false, false, {}},
    {CauseId::kAuthenticationMismatch, At::kEither, {"TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure"}, false, false, {}},
};

/// A setting without which the cause cannot happen.
struct Requirement {
  CauseId cause{};
  At at = At::kServer;
  std::string_view sysctl;
  /// Empty: this kernel has no such setting.
  bool (*allows)(std::optional<std::int64_t> value) = nullptr;
};

inline constexpr Requirement kRequirements[] = {
    {CauseId::kAcceptQueueOverflowReset, At::kServer, "net.ipv4.tcp_abort_on_overflow",
     [](std::optional<std::int64_t> v) { return v.value_or(1) != 0; }},
    // With syncookies a full SYN queue answers by cookie instead of dropping.
    {CauseId::kSynQueueOverflow, At::kServer, "net.ipv4.tcp_syncookies",
     [](std::optional<std::int64_t> v) { return v.value_or(0) == 0; }},
    {CauseId::kSyncookieOptionsLost, At::kServer, "net.ipv4.tcp_syncookies",
     [](std::optional<std::int64_t> v) { return v.value_or(0) != 0; }},
    // Gone since 4.12, and with it the check.
    {CauseId::kPerHostTimestampCheck, At::kServer, "net.ipv4.tcp_tw_recycle",
     [](std::optional<std::int64_t> v) { return v.value_or(0) != 0; }},
};

}  // namespace tcpwhy::diagnose::host
