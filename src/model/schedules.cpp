#include "model/schedules.hpp"

#include <algorithm>

namespace tcpwhy::model {

namespace {
using namespace std::chrono_literals;

Duration doubled(Duration base, int times, Duration most = kRtoMax) {
  Duration d = base;
  for (int i = 0; i < times && d < most; ++i) d *= 2;
  return std::min(d, most);
}
}  // namespace

Duration doubled_time(Duration base, int boundary, Duration most) {
  Duration sum{};
  for (int i = 0; i <= boundary; ++i) sum += doubled(base, i, most);
  return sum;
}

Fate syn_fate(const KernelProfile& kernel, const Sysctls& sysctls, int retries, int repeats,
              Duration elapsed) {
  const int linear = static_cast<int>(std::clamp<std::int64_t>(sysctls.tcp_syn_linear_timeouts, 0, 255));
  const bool counted_out = repeats >= retries + linear;
  const bool timed_out = repeats > 0 && elapsed >= doubled_time(1s, retries);
  switch (kernel.syn_give_up) {
    case SynGiveUp::kElapsed200ms:
      // The doubling starts at TCP_RTO_MIN although a SYN starts at 3 s: a known defect of 2.6.32.
      return repeats > 0 && elapsed >= doubled_time(kRtoMin, retries) ? Fate::kGivesUp : Fate::kRepeats;
    case SynGiveUp::kElapsedOne:
      return timed_out ? Fate::kGivesUp : Fate::kRepeats;
    case SynGiveUp::kCount:
      return counted_out ? Fate::kGivesUp : Fate::kRepeats;
    case SynGiveUp::kCountOrElapsed:
      return counted_out || timed_out ? Fate::kGivesUp : Fate::kRepeats;
  }
  return Fate::kRepeats;
}

Duration syn_timeout(const KernelProfile& kernel, const Sysctls& sysctls, int repeats) {
  const int linear = static_cast<int>(std::clamp<std::int64_t>(sysctls.tcp_syn_linear_timeouts, 0, 255));
  return doubled(kernel.initial_rto, std::max(0, repeats - linear));
}

Fate data_fate(int retries, Duration since_repeat) {
  return since_repeat >= doubled_time(kRtoMin, retries) ? Fate::kGivesUp : Fate::kRepeats;
}

Duration request_timeout(const KernelProfile& kernel, int timeouts) {
  return doubled(kernel.initial_rto, timeouts);
}

int defer_timeouts(const KernelProfile& kernel, int seconds) {
  if (seconds <= 0) return 0;
  int n = 1;
  for (Duration sum = kernel.initial_rto; sum < std::chrono::seconds{seconds} && n < 255; ++n)
    sum += doubled(kernel.initial_rto, n);
  return n;
}

int defer_seconds(const KernelProfile& kernel, int timeouts) {
  if (timeouts <= 0) return 0;
  return static_cast<int>(doubled_time(kernel.initial_rto, timeouts - 1) / 1s);
}

RequestTimer request_timer(int timeouts, int allowed, int defer, Acked acked) {
  const bool was_acked = acked == Acked::kYes;
  const bool expires = timeouts >= allowed && (!was_acked || defer == 0 || timeouts >= defer);
  if (expires) return RequestTimer::kRemoves;
  // The last timeout of the period asks once more, so that the client's answer can create the connection.
  if (defer != 0 && was_acked && timeouts < defer - 1) return RequestTimer::kWaits;
  return RequestTimer::kRepeatsSynAck;
}

}  // namespace tcpwhy::model
