// Generic: the client ended the connection on its own account.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// The client's FIN came in the middle of an answer that had stopped for longer than ever before, and nothing of the answer
/// came after it: it gave up, by a timer or by a hand.
bool left_in_a_pause(const facts::Connection& c, std::int32_t stop) {
  if (stop < 0 || c.segment(stop).rst() || c.quality.capture_gap || c.quality.story_incomplete) return false;
  if (const std::int32_t server = ending::stop_of(c, Party::kServer); server >= 0 && server < stop) return false;
  const ending::Talk t = ending::talk_before(c, stop);
  if (!t.answer_short || t.request >= 0 || ending::pause_before(c, stop) < ending::unusual_pause(c, t, stop)) return false;
  for (std::int32_t i = stop; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() == Party::kServer && facts::new_payload(c, i)) return false;
  return true;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (const std::int32_t stop = c.stream(Party::kClient).fin; left_in_a_pause(c, stop)) {
    out.supports({stop}, [] { return std::string{"the client closed in the middle of an answer that had stopped for a while, and nothing more of it came"}; });
    return;
  }
  if (!r || r->by != Party::kClient || raced_another(c, survey) || is_port_check(c, survey)) return;
  if (r->established ? ending::formality(c, *r) : c.syn_ack < 0) return;
  if (r->foreign()) {
    out.contradicts({r->at}, [&] { return std::string{"the RST with the client's address did not come from the client's stack"}; });
    return;
  }
  if (!r->answer && r->established && c.outcome == facts::Outcome::kPartial) return;
  if (!r->answer && r->established)
    out.supports({r->at}, [&] {
      return fmt::format("the client's socket sent {}", ending::abort_words(*r));
    });
  // A SYN-ACK that meets no socket any more: connect() was given up or the socket closed (RFC 9293 3.10.7.1).
  else if (!r->established && c.syn_ack >= 0 && r->offender >= 0 && c.segment(r->offender).syn() &&
           c.stream(Party::kClient).syn_count == 1 && c.note(c.syn_ack).ack_place != facts::AckPlace::kImpossible &&
           c.segment(r->at).seq == c.segment(c.syn_ack).ack && facts::between(c, c.syn, r->at) < std::chrono::milliseconds{900})
    out.supports({c.syn_ack, r->at}, [&] {
      return fmt::format("the client answered the SYN-ACK with RST {} after its own SYN: it had closed the socket by then",
                         ending::span(facts::between(c, c.syn, r->at)));
    });
  // Its socket was there, had the SYN-ACK, and was aborted before the handshake was seen to complete.
  else if (!r->established && !r->answer && c.syn >= 0 && c.syn_ack >= 0 && c.segment(r->at).ack == c.segment(c.syn_ack).end())
    out.supports({c.syn_ack, r->at}, [&] {
      return fmt::format("the client's socket answered the SYN-ACK with RST+ACK in sequence {} later (tcp_send_active_reset())",
                         ending::span(facts::between(c, c.syn_ack, r->at)));
    });
  // It closed first, and what the server sent later met no socket.
  else if (r->answer && r->established && r->own_fin >= 0 && facts::new_payload(c, r->offender_first) && r->own_fin < r->offender_first)
    out.supports({r->own_fin, r->offender, r->at}, [&] {
      return fmt::format("the client sent FIN, and data of the server {} later met no socket", 
                         ending::span(facts::between(c, r->own_fin, r->offender)));
    });
  // No FIN passed here, and no silence in which its host could have restarted: its socket ended without a packet that reached this point.
  else if (r->answer && r->established && r->own_fin < 0 && !c.quality.capture_gap && r->offender >= 0 && r->silence < std::chrono::seconds{1} &&
           (facts::new_payload(c, r->offender_first) || c.note(r->offender).repeat == facts::Repeat::kZeroWindowProbe) &&
           c.note(r->offender).ack_place != facts::AckPlace::kImpossible)
    out.supports({r->offender, r->at}, [&] {
      return std::string{"the client's host answered valid data with RST: its socket had gone, and neither FIN nor RST of it passed here"};
    });
}

}  // namespace

extern const Cause kClientAbortedCause;
const Cause kClientAbortedCause = {
    .id = CauseId::kClientAborted,
    .title = "The client ended the connection on its own account.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kEarlyClose | facts::Signal::kAnnouncedShort,
    .settles = "the client's log at that second; `nstat -az TcpExtTCPAbortOnClose TcpExtTCPAbortOnData` on the client",
    .fix = {"ask the client: a timeout of its own, a cancelled request, a killed process and SO_LINGER 0 look alike from outside"},
    .specifics = {CauseId::kClientTimeout, CauseId::kClientClosedEarly, CauseId::kLingerZeroAbort,
                  CauseId::kCloseWithUnreadData, CauseId::kProcessKilled},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
