// MSG_ZEROCOPY: on the wire nothing changes, but the program is told when its buffers are its own again. Whether the kernel
// copied after all is not told here: towards a TUN device, where scripts run, it always does. Linux net/core/skbuff.c
// msg_zerocopy_realloc(), __msg_zerocopy_callback().

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

/// Does the socket buffer in which the last call ended hold what the next one writes, or has written, as well?
bool shares_buffer(const Endpoint& e, SeqNum end) {
  if (!e.has_unsent()) return false;
  if (end == e.write_seq) return true;
  return std::any_of(e.unsent.begin() + e.unsent_head, e.unsent.end(),
                     [end](const Piece& p) { return before(p.seq, end) && before(end, p.end); });
}

}  // namespace

void Kernel::zero_copy_sent(Endpoint& e, SeqNum end, ZeroCopyCall call) {
  if (!e.zero_copy) e.zero_copy = std::make_unique<ZeroCopy>();
  ZeroCopy& z = *e.zero_copy;
  if (z.unfinished) {
    z.waiting.back().end = end;
  } else if (!z.waiting.empty() && shares_buffer(e, z.waiting.back().end)) {
    // It will be told of with the call before.
    z.waiting.back().last = z.next++;
    z.waiting.back().end = end;
  } else {
    z.waiting.push_back({z.next, z.next, end});
    ++z.next;
  }
  z.unfinished = call == ZeroCopyCall::kSleeps;
}

void Kernel::zero_copy_freed(Endpoint& e, Freed what) {
  if (!e.zero_copy) return;
  ZeroCopy& z = *e.zero_copy;
  const auto kept = std::find_if(z.waiting.begin(), z.waiting.end(), [&](const ZeroCopy::Calls& calls) {
    return what == Freed::kAcked && (after(calls.end, e.snd_una) || (z.unfinished && &calls == &z.waiting.back()));
  });
  for (auto calls = z.waiting.begin(); calls != kept; ++calls) {
    if (!z.told.empty() && z.told.back().last + 1 == calls->first)
      z.told.back().last = calls->last;
    else
      z.told.push_back(*calls);
  }
  if (kept != z.waiting.begin()) wake(e);
  z.waiting.erase(z.waiting.begin(), kept);
}

CallResult Kernel::recv_error(int fd, ErrorReport* report) {
  if (!handle_of(fd)) return {.value = -1, .error = Errno::kEBADF, .blocked = false};
  Endpoint* e = endpoint_of(fd);
  if (!e || !e->zero_copy || e->zero_copy->told.empty()) return {.value = -1, .error = Errno::kEAGAIN, .blocked = false};
  auto& told = e->zero_copy->told;
  *report = {told.front().first, told.front().last};
  told.erase(told.begin());
  return {};
}

}  // namespace tcpwhy::model
