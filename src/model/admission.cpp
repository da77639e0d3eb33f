#include "model/admission.hpp"

#include <algorithm>
#include <bit>

namespace tcpwhy::model {

namespace {

Admission drop(const KernelProfile& kernel, Step& step) {
  if (kernel.syn_drops_counted == SynDropsCounted::kYes) step.counted.push_back(Mib::kListenDrops);
  return Admission::kDropped;
}

bool full_accept_queue_drops(const KernelProfile& kernel, const ListenerQueues& q) {
  switch (kernel.full_accept_queue) {
    case FullAcceptQueue::kDropsIfYoung:
      return accept_queue_is_full(q) && q.young > 1;
    case FullAcceptQueue::kDropsAlways:
      return accept_queue_is_full(q);
  }
  return false;
}

bool crowded(const KernelProfile& kernel, const ListenerQueues& q) {
  switch (kernel.request_storage) {
    case RequestStorage::kTable:
      return q.syn_queue >= q.table_size / 2;
    case RequestStorage::kHash:
      return 2 * std::uint64_t{q.syn_queue} > std::max(8u, q.backlog);
  }
  return false;
}

}  // namespace

std::uint32_t table_size(const Sysctls& sysctls, std::uint32_t backlog) {
  const auto most =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(sysctls.tcp_max_syn_backlog, 0, 1 << 30));
  return std::bit_ceil(std::max(8u, std::min(backlog, most)) + 1);
}

bool syn_queue_is_full(const KernelProfile& kernel, const ListenerQueues& q) {
  switch (kernel.syn_queue_full) {
    case SynQueueFull::kTableSize:
      return q.syn_queue >= q.table_size;
    case SynQueueFull::kAtBacklog:
      return q.syn_queue >= q.backlog;
    case SynQueueFull::kAboveBacklog:
      return q.syn_queue > q.backlog;
  }
  return false;
}

Admission admit_syn(const KernelProfile& kernel, const Sysctls& sysctls, const ListenerQueues& q,
                    Displaces displaces, Recycle recycle, Proven proven, Step& step) {
  const bool counted = kernel.syn_drops_counted == SynDropsCounted::kYes;
  const bool always = sysctls.tcp_syncookies == 2 && kernel.cookies_always == CookiesAlways::kKnown;
  const bool fixed_isn = displaces == Displaces::kTimeWait;
  bool cookie = false;
  if (!fixed_isn && (always || syn_queue_is_full(kernel, q))) {
    step.because.push_back(Rule::kSynQueueFull);
    if (sysctls.tcp_syncookies == 0) {
      step.because.push_back(Rule::kSynCookiesOff);
      if (counted) step.counted.push_back(Mib::kTCPReqQFullDrop);
      return drop(kernel, step);
    }
    if (counted) step.counted.push_back(Mib::kTCPReqQFullDoCookies);
    cookie = true;
  }
  if (full_accept_queue_drops(kernel, q)) {
    step.because.push_back(Rule::kAcceptQueueFull);
    if (counted) step.counted.push_back(Mib::kListenOverflows);
    return drop(kernel, step);
  }
  if (!cookie && !fixed_isn && recycle == Recycle::kRefuses) {
    step.because.push_back(Rule::kRecycleRefused);
    step.counted.push_back(Mib::kPAWSPassive);
    return drop(kernel, step);
  }
  // Skipped when cookies are on: then the whole queue is for everybody.
  const std::int64_t room = sysctls.tcp_max_syn_backlog - q.syn_queue;
  if (!cookie && !fixed_isn && sysctls.tcp_syncookies == 0 && room < (sysctls.tcp_max_syn_backlog >> 2) &&
      proven == Proven::kNo) {
    step.because.push_back(Rule::kLastQuarter);
    return drop(kernel, step);
  }
  if (!cookie) {
    step.because.push_back(Rule::kSynAccepted);
    return Admission::kQueued;
  }
  step.because.push_back(Rule::kSynCookie);
  step.counted.push_back(Mib::kSyncookiesSent);
  if (kernel.cookie_counts_drop == CookieCountsDrop::kYes) step.counted.push_back(Mib::kListenDrops);
  return Admission::kCookie;
}

int synack_timeouts_allowed(const KernelProfile& kernel, const ListenerQueues& q, int retries) {
  if (!crowded(kernel, q)) return retries;
  for (std::uint64_t young = std::uint64_t{q.young} * 2; retries > 2 && q.syn_queue >= young; young *= 2)
    --retries;
  return retries;
}

}  // namespace tcpwhy::model
