// The client's own read timeout ended the wait while the server worked.

#include <fmt/format.h>

#include <cmath>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/timer.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// The answer had begun. A read timeout begins anew with each piece of it: the server fell silent in the middle.
void examine_answer(const facts::Connection& c, const ending::Talk& t, std::int32_t stop, EvidenceList& out) {
  if (t.answer < 0) return;
  const Duration pause = ending::pause_before(c, stop);
  if (pause < ending::unusual_pause(c, t, stop)) {
    out.contradicts({t.answer, stop}, [&] { return std::string{"the server was answering when the client closed"}; });
    return;
  }
  if (!t.answer_short) return;  // whether more was to come cannot be told
  const bool timer = ended_by_timer(pause);
  out.note(timer ? Bearing::kSupports : Bearing::kFits, {t.answer, t.last_payload[index(Party::kServer)], stop}, {}, [&] {
    return fmt::format("the answer had stopped at {} of the {} it announced, and the client closed {} after its last piece",
                       ending::octets(t.delivered), ending::octets(t.announced), ending::span(pause));
  });
  if (timer)
    out.supports({stop}, [&] { return fmt::format("the wait ended by a timer: {} s is the client's own limit", std::round(seconds(pause))); });
  out.says([&] { return fmt::format("The client gave up waiting for the rest of the answer after {}.", ending::span(pause)); });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const std::int32_t stop = ending::stop_of(c, Party::kClient);
  if (stop < 0 || (c.syn >= 0 && c.handshake_ack < 0)) return;
  if (const std::int32_t server = ending::stop_of(c, Party::kServer); server >= 0 && server < stop) return;
  const auto r = ending::ending_reset(c);
  if (r && r->at == stop && r->answer) return;
  const ending::Talk t = ending::talk_before(c, stop);
  if (r && r->by == Party::kClient && r->foreign()) return;
  if (r && r->by == Party::kClient && !ending::left_waiting(c, *r) && ending::formality(c, *r)) return;
  if (t.request < 0) return examine_answer(c, t, stop, out);
  const std::int32_t acked = ending::ack_of(c, Party::kServer, c.segment(t.request_end).seq + c.segment(t.request_end).payload_bytes, t.request_end);
  if (acked < 0 || acked > stop) return;  // not even the kernel answered: silence, not slowness
  // A FIN on a repeat was queued behind the data some time before: how long the client waited is not known.
  if (c.segment(stop).fin() && c.segment(stop).payload_bytes > 0 && !facts::new_payload(c, stop)) return;
  const Duration wait = facts::between(c, t.request_end, stop);
  if (wait < ending::kPause) return;

  std::int32_t late = -1, refused = -1;
  for (std::int32_t i = stop + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    if (c.segment(i).from() == Party::kServer && facts::new_payload(c, i) && late < 0) late = i;
    if (late >= 0 && c.segment(i).from() == Party::kClient && c.segment(i).rst()) {
      refused = i;
      break;
    }
  }
  const bool by_rst = c.segment(stop).rst();
  const bool timer = ended_by_timer(wait);
  // One-way senders write and close, too, and last words may be a goodbye. An answer was owed where one is the custom,
  // or came after all; elsewhere an orderly close after a pause is how conversations end, whole seconds or not.
  const bool owed = ending::speaks_http(c) || ending::owes_answer(c, t.request) || refused >= 0;
  if (!by_rst && !owed) return;
  if (!by_rst && late >= 0 && refused < 0) return;  // a half-close: the answer was taken
  out.note(owed || timer ? Bearing::kSupports : Bearing::kFits, {t.request_end, acked, stop}, {}, [&] {
    return fmt::format("the client closed {} after its request; the server's kernel had acknowledged it and no octet of an answer had come",
                       ending::span(wait));
  });
  if (timer)
    out.supports({stop}, [&] { return fmt::format("the wait ended by a timer: {} s is the client's own limit", std::round(seconds(wait))); });
  if (refused >= 0)
    out.supports({late, refused}, [&] {
      return fmt::format("the answer came {} later and met RST: the client's socket was gone", ending::span(facts::between(c, stop, late)));
    });
  if (owed || timer) out.supports({t.request, stop}, [&] { return std::string{"no FIN, RST or window of the server asked the client to stop"}; });
  out.says([&] { return fmt::format("The client gave up waiting for the answer after {}.", ending::span(wait)); });
}

}  // namespace

extern const Cause kClientTimeoutCause;
const Cause kClientTimeoutCause = {
    .id = CauseId::kClientTimeout,
    .title = "The client gave up waiting for the answer.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kEarlyClose | facts::Signal::kSlowResponse,
    .settles = "the client's read timeout in its configuration, against the wait seen here",
    .fix = {"find out why the server took so long: its log of this request, its queue, its database",
            "or raise the client's read timeout above what the server may need"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
