// Generic: the connection is alive and makes no progress, and the reason is not
// visible from here.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || c.quality.capture_gap) return;
  const std::optional<Waiting> w = waiting(c);
  // Who gave up waiting ended it himself: client-timeout and its kin speak of that.
  if (!w || w->ended_by >= 0 || !waited_too_long(c, *w)) return;
  out.supports({w->request, w->acked_by}, [&] {
    return fmt::format("{} octets of the client were acknowledged (frame {}), and nothing came back in {}",
                       c.segment(w->request).payload_bytes, c.segment(w->acked_by).frame, say(w->waited));
  });
}

}  // namespace

extern const Cause kStalledCause;
const Cause kStalledCause = {
    .id = CauseId::kStalled,
    .title = "The server acknowledged the request, and nothing came back.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnansweredAtEnd,
    .settles = "on the server: ss -lnt (accepted at all?), then what the process that holds the connection waits for",
    .fix = {"look at the server's application first: the path carried the request and its acknowledgment"},
    .specifics = {CauseId::kZeroWindowStall, CauseId::kSlowResponse, CauseId::kServerNeverAccepts,
                  CauseId::kPeerUnresponsive},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
