#pragma once
// Numbers of the kernel, each beside its source.

#include <chrono>
#include <cstdint>

#include "model/schedules.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::model {

using namespace std::chrono_literals;

// Linux include/net/tcp.h TCP_TIMEWAIT_LEN.
// DIFFERS: RFC 9293 3.6.1 asks for 2 MSL of two minutes each; Linux waits one minute.
inline constexpr Duration kTimewaitLen = 60s;
inline constexpr Duration kTimeoutFallback = 3s;         // TCP_TIMEOUT_FALLBACK; RFC 6298 5.7
inline constexpr Duration kAtoMin = 40ms;                // TCP_ATO_MIN
inline constexpr Duration kDelackMax = 200ms;            // TCP_DELACK_MAX
inline constexpr Duration kPawsMsl = 60s;                // TCP_PAWS_MSL
inline constexpr Duration kProbeInterval = 500ms;        // TCP_RESOURCE_PROBE_INTERVAL
inline constexpr int kMaxQuickAcks = 16;                 // TCP_MAX_QUICKACKS
inline constexpr std::uint32_t kMssDefault = 536;        // TCP_MSS_DEFAULT; RFC 9293 3.7.1
inline constexpr std::uint32_t kDefaultMss6 = 1280 - 60;  // the same over IPv6
inline constexpr std::uint32_t kMinMss = 88;             // TCP_MIN_MSS
inline constexpr std::uint32_t kTimestampBytes = 12;     // TCPOLEN_TSTAMP_ALIGNED
inline constexpr std::uint32_t kTwIsnStep = 65535 + 2;   // tcp_timewait_state_process
inline constexpr int kDupThresh = 3;                     // TCP_FASTRETRANS_THRESH; RFC 5681 3.2
inline constexpr std::uint32_t kInfiniteSsthresh = 0x7fffffff;

}  // namespace tcpwhy::model
