// The client closed before the response was complete.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/farewell.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// The server's data from segment `late` on is longer than the last words of a protocol.
bool more_than_words(const facts::Connection& c, std::int32_t late) {
  std::uint64_t octets = 0;
  for (std::int32_t i = std::max(late, 0); i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() == Party::kServer && facts::new_payload(c, i)) octets += c.segment(i).payload_bytes;
  return octets > facts::kPartingWords;
}

/// What the head of the request announces, head included; 0 when it is none or does not say. The head is what has the
/// lowest number, though it may have come behind what it begins.
std::uint64_t announced_by_request(const facts::Connection& c, const ending::Talk& t) {
  std::int32_t first = t.request;
  for (std::int32_t i = t.request; i <= t.request_end; ++i)
    if (c.segment(i).from() == Party::kClient && facts::new_payload(c, i) && before(c.segment(i).seq, c.segment(first).seq)) first = i;
  const facts::SegmentFact& head = c.segment(first);
  const bool known = head.app == facts::App::kHttpRequest && (head.app_flags & facts::AppFlag::kHasLength) && !c.quality.capture_gap;
  return known ? head.app_length : 0;
}

/// The client closed a moment after its request, and the server ended it as well without a word. Who closes his half
/// right behind the request waits for the answer (RFC 9293 3.6); then the silence is the server's.
bool left_unanswered(const facts::Connection& c, const ending::Talk& t, std::int32_t stop) {
  const std::int32_t server = ending::stop_of(c, Party::kServer);
  if (server < stop || facts::between(c, t.request_end, stop) <= facts::kRightBehind || !ending::owes_answer(c, t.request)) return false;
  for (std::int32_t i = stop; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() == Party::kServer && c.segment(i).payload_bytes > 0) return false;
  return true;
}

/// The server wrote nothing more once it had the client's FIN, and closed short of what it had announced: it took the FIN,
/// which came in the middle of its answer, for the end of the client. Who closes his half after the request goes on receiving.
bool server_gave_up(const facts::Connection& c, const ending::Talk& t, std::int32_t stop) {
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (!t.answer_short || stop < t.answer || server.fin < stop || c.quality.capture_gap || c.quality.story_incomplete) return false;
  for (std::int32_t i = stop; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (const facts::SegmentFact& s = c.segment(i); s.from() == Party::kServer && facts::new_payload(c, i) && !before(s.ack, c.segment(stop).end()))
      return false;
  return true;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const std::int32_t stop = ending::stop_of(c, Party::kClient);
  if (stop < 0 || (c.syn >= 0 && c.handshake_ack < 0)) return;
  if (const std::int32_t server = ending::stop_of(c, Party::kServer); server >= 0 && server < stop) return;
  // What it acknowledges and the capture missed, or shows only later, may have been the rest, and the server's FIN.
  if (facts::took_unseen(c, stop)) return;
  const auto r = ending::ending_reset(c);
  if (r && r->at == stop && r->answer) return;
  if (r && r->by == Party::kClient && (r->foreign() || (!ending::left_waiting(c, *r) && ending::formality(c, *r)))) return;
  const ending::Talk t = ending::talk_before(c, stop);

  // Late data of the server that meets no socket: the response was not over (RFC 9293 3.10.7.1).
  std::int32_t late = -1, refused = -1;
  for (std::int32_t i = stop + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    if (c.segment(i).from() == Party::kServer && facts::new_payload(c, i) && late < 0 && !facts::is_farewell(c.segment(i))) late = i;
    if (late >= 0 && c.segment(i).from() == Party::kClient && c.segment(i).rst() && (!c.segment(i).has_ack() || (r && r->at == i && r->answer))) {
      refused = i;
      break;
    }
  }
  const bool by_rst = c.segment(stop).rst();
  if (t.answer >= 0 && t.request < 0) {  // a response had begun
    const bool unfinished = t.answer_short || (late >= 0 && (refused >= 0 || by_rst));
    if (!unfinished || (t.answer_whole && !t.answer_short)) return;
    const bool given_up = !by_rst && server_gave_up(c, t, stop);
    if (!by_rst && refused < 0 && !r && !given_up) return;  // a half-close: the client went on receiving
    // What comes after a pause, or is no longer than a protocol's last words (GOAWAY, close_notify), need not be the rest
    // of an answer; and a client that waited in vain for the rest gave up (client-timeout).
    const bool paused = ending::pause_before(c, stop) >= ending::unusual_pause(c, t, stop);
    if (!t.answer_short && (paused || !more_than_words(c, late))) return;
    out.note(paused ? Bearing::kFits : Bearing::kSupports, {t.answer, stop}, {}, [&] {
      return t.answer_short ? fmt::format("the client closed after {} of the {} the response announced", ending::octets(t.delivered),
                                          ending::octets(t.announced))
                            : fmt::format("the client closed {} after the response began, and the server was not done",
                                          ending::span(facts::between(c, t.answer, stop)));
    });
    if (paused) return;
    if (late >= 0)
      out.supports({stop, late, refused}, [&] {
        return fmt::format("the server's next data, {} later, {}", ending::span(facts::between(c, stop, late)),
                           refused >= 0 ? "met RST: the client's socket was gone" : "was still on its way");
      });
    if (given_up)
      out.supports({stop, c.stream(Party::kServer).fin}, [] {
        return std::string{"the server sent nothing more once it had the client's FIN, and closed as well"};
      });
    if (by_rst || refused >= 0)
      out.supports({stop}, [&] { return std::string{"no FIN of the server had been seen: the close was the client's own"}; });
    return;
  }
  // No octet of an answer yet, and no wait to speak of: a cancelled request.
  if (t.request >= 0 && facts::between(c, t.request_end, stop) < ending::kPause) {
    const std::uint64_t announced = announced_by_request(c, t);
    const bool cut = t.request_bytes < announced;
    if (!by_rst && refused < 0 && !cut && !left_unanswered(c, t, stop)) return;
    // In protocols that only ever go one way nothing was owed.
    const bool owed = !by_rst || refused >= 0 || t.answers > 0 || ending::owes_answer(c, t.request);
    out.note(owed ? Bearing::kSupports : Bearing::kFits, {t.request, stop, refused}, {}, [&] {
      return cut ? fmt::format("the client closed after {} of the {} its request announced", ending::octets(t.request_bytes), ending::octets(announced))
                 : fmt::format("the client closed {} after its request, before any octet of an answer",
                               ending::span(facts::between(c, t.request_end, stop)));
    });
    if (refused >= 0)
      out.supports({late, refused}, [&] {
        return fmt::format("the answer came {} later and met RST: the client's socket was gone", ending::span(facts::between(c, stop, late)));
      });
    if (refused >= 0 && !by_rst)
      out.supports({stop}, [&] { return std::string{"the client's FIN came first: the close was its own"}; });
  }
}

}  // namespace

extern const Cause kClientClosedEarlyCause;
const Cause kClientClosedEarlyCause = {
    .id = CauseId::kClientClosedEarly,
    .title = "The client closed before the response was complete.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kEarlyClose | facts::Signal::kAnnouncedShort,
    .settles = "the client's log: a cancelled request, a closed page, a size limit, a crash",
    .fix = {"nothing on the server or the path: the client did not wait for the rest (nginx logs it as status 499)",
            "if the client says otherwise, look for a proxy between that closes for it"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
