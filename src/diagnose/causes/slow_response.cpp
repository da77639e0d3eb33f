// The request was acknowledged at once, the response took long: the network
// carried it, the application worked (or waited). Only what never came, or was
// given up on, is a fault.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

/// Less is a working server.
constexpr Duration kWorthTelling = 3s;

/// First pure or piggybacked ACK of the request from the server, at or before the response.
std::int32_t acked_by(const facts::Connection& c, std::int32_t request, std::int32_t until) {
  const facts::SegmentFact& r = c.segment(request);
  for (std::int32_t i = request + 1; i <= until; ++i)
    if (c.segment(i).from() == Party::kServer && c.segment(i).has_ack() && !before(c.segment(i).ack, r.end())) return i;
  return -1;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction) return;
  out.blames(facts::Side::kServer);
  if (const std::optional<Waiting> w = waiting(c); w && waited_too_long(c, survey, *w)) {
    auto text = [&] {
      return fmt::format("the request was acknowledged {} after it (frame {}); no octet of a response in {}{}",
                         say(c.segment(w->acked_by).time - c.segment(w->request).time), c.segment(w->acked_by).frame,
                         say(w->waited), w->ended_by >= 0 ? ", then the client ended the connection" : "");
    };
    // Whether an application ever took a connection that never carried an answer cannot be told.
    if (w->answered_before > 0) out.supports({w->request, w->acked_by, w->ended_by}, text);
    else out.fits({w->request, w->acked_by, w->ended_by}, text);
    out.says([&] { return fmt::format("The server acknowledged the request and did not answer within {}.", say(w->waited)); });
    return;
  }
  Duration longest{};
  const facts::Exchange* slowest = nullptr;
  std::int32_t slowest_ack = -1;
  for (const facts::Exchange& x : c.exchanges) {
    const std::int32_t asked = x.request_end >= 0 ? x.request_end : x.request;
    if (asked < 0 || x.response < 0) continue;
    const Duration took = c.segment(x.response).time - c.segment(asked).time;
    if (took < kWorthTelling || took <= longest) continue;
    const std::int32_t ack = acked_by(c, asked, x.response);
    // Acknowledged only by the late response, or only after a repeat: the network may have held it.
    if (ack < 0 || ack == x.response || c.segment(ack).time - c.segment(asked).time > 500ms + 2 * round_trip(c)) continue;
    longest = took;
    slowest = &x;
    slowest_ack = ack;
  }
  if (slowest == nullptr) return;
  out.passed();
  out.supports({slowest->request, slowest_ack, slowest->response}, [&] {
    return fmt::format("the request (frame {}) was acknowledged {} after it, the response began after {}",
                       c.segment(slowest->request).frame,
                       say(c.segment(slowest_ack).time - c.segment(slowest->request).time), say(longest));
  });
  out.says([&] { return fmt::format("The server took {} to begin its response.", say(longest)); });
}

}  // namespace

extern const Cause kSlowResponseCause;
const Cause kSlowResponseCause = {
    .id = CauseId::kSlowResponse,
    .title = "The server acknowledged the request at once and took long to answer.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kTrouble,
    .signals = facts::Signal::kSlowResponse | facts::Signal::kUnansweredAtEnd | facts::Signal::kEarlyClose |
               facts::Signal::kHalfClosedAtEnd,
    .settles = "the server's own request log: time received and time answered",
    .fix = {"look at the server's application: what it waits for (database, lock, upstream, worker pool)",
            "the network carried the request: nothing in TCP will make it faster"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
