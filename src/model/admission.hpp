#pragma once
// Whether a listener takes a SYN, as values: queue lengths and settings in; the outcome, its counters
// and its rules out. Linux net/ipv4/tcp_input.c tcp_conn_request(); the tests run in the kernel's order,
// because the counters depend on it.

#include <cstdint>

#include "model/step.hpp"
#include "model/sysctls.hpp"

namespace tcpwhy::model {

struct ListenerQueues {
  std::uint32_t backlog = 0;     ///< sk_max_ack_backlog: min(listen(), somaxconn)
  std::uint32_t table_size = 0;  ///< of table kernels: table_size() when listen() was first called
  std::uint32_t syn_queue = 0;   ///< requests in TCP_NEW_SYN_RECV
  std::uint32_t young = 0;       ///< of them, never timed out
  std::uint32_t accept_queue = 0;
};

enum class Proven : std::uint8_t { kNo, kYes };
/// The SYN displaced a TIME_WAIT socket, so that its ISN is fixed.
enum class Displaces : std::uint8_t { kNothing, kTimeWait };
enum class Recycle : std::uint8_t { kPasses, kRefuses };  ///< the per-host check of tcp_tw_recycle
enum class Admission : std::uint8_t { kQueued, kCookie, kDropped };

/// Linux net/core/request_sock.c reqsk_queue_alloc(): a power of two, at least 16.
[[nodiscard]] std::uint32_t table_size(const Sysctls& sysctls, std::uint32_t backlog);
[[nodiscard]] bool syn_queue_is_full(const KernelProfile& kernel, const ListenerQueues& q);
/// Linux include/net/sock.h sk_acceptq_is_full(): a backlog of n holds n + 1.
[[nodiscard]] constexpr bool accept_queue_is_full(const ListenerQueues& q) {
  return q.accept_queue > q.backlog;
}

/// A SYN reaches a listener. Counters and rules are appended to `step`; the queues are the caller's to
/// change.
[[nodiscard]] Admission admit_syn(const KernelProfile& kernel, const Sysctls& sysctls,
                                  const ListenerQueues& q, Displaces displaces, Recycle recycle,
                                  Proven proven, Step& step);

/// How many timeouts a request may have when its timer fires: fewer when the queue is crowded with old ones.
/// `retries` is tcp_synack_retries or the listener's TCP_SYNCNT. Linux reqsk_timer_handler().
[[nodiscard]] int synack_timeouts_allowed(const KernelProfile& kernel, const ListenerQueues& q, int retries);

}  // namespace tcpwhy::model
