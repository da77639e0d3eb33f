// Generic: the connection is alive and makes no progress, and the reason is not
// visible from here.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Nothing that computes its answer piece by piece is expected to pause longer inside one.
constexpr Duration kResponsePaused = 4500ms;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || c.quality.capture_gap) return;
  // Who gave up waiting ended it himself: client-timeout and its kin speak of that.
  if (const std::optional<Waiting> w = waiting(c); w && w->ended_by < 0 && waited_too_long(c, survey, *w)) {
    out.supports({w->request, w->acked_by}, [&] {
      return fmt::format("{} octets of the client were acknowledged (frame {}), and nothing came back in {}",
                         c.segment(w->request).payload_bytes, c.segment(w->acked_by).frame, say(w->waited));
    });
    return;
  }
  if (const std::optional<Broken> b = broken_off(c); b && b->silent >= kResponsePaused) {
    out.supports({b->exchange->response, b->last}, [&] {
      return fmt::format("the response stopped at {} of {} announced octets (frame {}); nothing in the {} after it",
                         b->exchange->delivered_bytes, b->exchange->announced_bytes, c.segment(b->last).frame, say(b->silent));
    });
    out.says([] { return std::string{"The response stopped in the middle, and nobody closed."}; });
  }
}

}  // namespace

extern const Cause kStalledCause;
const Cause kStalledCause = {
    .id = CauseId::kStalled,
    .title = "The server acknowledged the request, and nothing came back.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnansweredAtEnd | facts::Signal::kOpenAtEnd,
    .settles = "on the server: ss -lnt (accepted at all?), then what the process that holds the connection waits for",
    .fix = {"look at the server's application first: the path carried the request and its acknowledgment"},
    .specifics = {CauseId::kZeroWindowStall, CauseId::kSlowResponse, CauseId::kServerNeverAccepts,
                  CauseId::kPeerUnresponsive},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
