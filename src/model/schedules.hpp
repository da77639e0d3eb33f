#pragma once
// When the kernel's timers give up and how far apart they fire, as arithmetic. No socket is needed to say it.

#include <chrono>
#include <cstdint>

#include "model/profile.hpp"
#include "model/sysctls.hpp"

namespace tcpwhy::model {

/// Linux include/net/tcp.h TCP_RTO_MIN and TCP_RTO_MAX. DIFFERS: RFC 6298 2.4 asks for a minimum of 1 s.
inline constexpr Duration kRtoMin = std::chrono::milliseconds{200};
inline constexpr Duration kRtoMax = std::chrono::seconds{120};

/// What `boundary` doublings of `base` add up to, each at most `most`: the model time of a sysctl that
/// looks like a count. Linux net/ipv4/tcp_timer.c retransmits_timed_out().
[[nodiscard]] Duration doubled_time(Duration base, int boundary, Duration most = kRtoMax);

enum class Fate : std::uint8_t { kRepeats, kGivesUp };

/// A SYN timed out: `repeats` were sent before, `elapsed` since the first. `retries` is tcp_syn_retries or
/// TCP_SYNCNT. Linux tcp_write_timeout().
[[nodiscard]] Fate syn_fate(const KernelProfile& kernel, const Sysctls& sysctls, int retries, int repeats,
                            Duration elapsed);

/// The timeout after `repeats` repeats of a SYN: linear at first where the kernel does that. Linux
/// tcp_retransmit_timer().
[[nodiscard]] Duration syn_timeout(const KernelProfile& kernel, const Sysctls& sysctls, int repeats);

/// Data timed out: `since_repeat` since the first repeat. `retries` is tcp_retries2 (15) or what stands for
/// it.
[[nodiscard]] Fate data_fate(int retries, Duration since_repeat);

/// The timeout of a request after `timeouts` of them. Linux reqsk_timeout().
[[nodiscard]] Duration request_timeout(const KernelProfile& kernel, int timeouts);

/// TCP_DEFER_ACCEPT: seconds as a number of timeouts, and back as getsockopt() tells them.
/// Linux net/ipv4/tcp.c secs_to_retrans(), retrans_to_secs().
[[nodiscard]] int defer_timeouts(const KernelProfile& kernel, int seconds);
[[nodiscard]] int defer_seconds(const KernelProfile& kernel, int timeouts);

/// What the timer of a request does. Linux net/ipv4/inet_connection_sock.c reqsk_timer_handler(),
/// syn_ack_recalc().
enum class RequestTimer : std::uint8_t { kRepeatsSynAck, kWaits, kRemoves };
enum class Acked : std::uint8_t { kNo, kYes };  ///< a third ACK came and was deferred or found no room
/// `timeouts` so far, `allowed` after ageing, `defer` as a number of timeouts (0: no TCP_DEFER_ACCEPT).
[[nodiscard]] RequestTimer request_timer(int timeouts, int allowed, int defer, Acked acked);

}  // namespace tcpwhy::model
