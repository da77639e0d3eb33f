// Abortive close: SO_LINGER with a time of 0, or connect(AF_UNSPEC).

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

constexpr std::uint64_t kNoBody = 4096;  ///< requests of this size are heads; a body may be left unread

/// The last request was of a kind that brings a body (RFC 9110 9.3): its answer does not show that this was read.
bool body_was_sent(const facts::Connection& c) {
  if (c.exchanges.empty() || c.exchanges.back().request < 0) return false;
  const facts::SegmentFact& head = c.segment(c.exchanges.back().request);
  return head.app == facts::App::kHttpRequest && !(head.app_flags & facts::AppFlag::kIdempotent);
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || ending::formality(c, *r)) return;
  // Who asked in vain until its retries ran out ends with the same RST (Windows, keepalive; linux-tcp 8.8, 7.3 A7).
  if (c.outcome == facts::Outcome::kTimedOut) return;
  if (r->by == Party::kClient && raced_another(c, survey)) return;
  out.blames(ending::side(r->by));
  if (r->answer) {
    if (!r->foreign())
      out.contradicts({r->at}, [&] {
        return c.segment(r->at).has_ack()
                   ? std::string{"this RST came with the data it acknowledges, after the FIN: it answers a segment that met a closed socket"}
                   : std::string{"an abortive close sends RST with ACK flag; this RST has none and answers a segment (tcp_v4_send_reset())"};
      });
    return;
  }
  if (r->foreign() || r->own_fin >= 0) return;
  // Unread data and a killed process send the same (tcp_send_active_reset()): alone it is no more than possible.
  out.fits({r->at}, [&] {
    return fmt::format("{} in sequence without a FIN before it, as close() under SO_LINGER 0 sends it ({})",
                       r->bare ? "RST" : "RST+ACK", r->bare ? "RFC 9293 3.10.5, ABORT" : "tcp_disconnect()");
  });
  if (r->bare) return;  // no stack that sends it is known well enough to say why
  const ending::Talk t = ending::talk_before(c, r->at);
  const std::int32_t theirs = t.last_payload[facts::index(r->peer())], mine = t.last_payload[facts::index(r->by)];
  // Nothing can have been unread: then a plain close(), or a killed process, would have sent FIN.
  const bool nothing_came = theirs < 0 && c.stream(r->peer()).payload_bytes == 0 && !c.quality.began_late;
  if (ending::unread_when_answering(c, *r)) return;
  // A server that speaks unasked (a banner) has not read what came meanwhile; a whole HTTP answer shows that it had.
  const bool all_answered = r->by == Party::kServer && theirs >= 0 && mine > theirs && ending::speaks_http(c) &&
                            c.stream(r->peer()).payload_bytes < kNoBody && !body_was_sent(c);
  if (!c.quality.capture_gap && (nothing_came || all_answered))
    out.supports({theirs, mine, r->at}, [&] {
      return nothing_came
                 ? fmt::format("the {} had sent no data, so nothing was unread: a plain close() would have sent FIN", ending::who(r->peer()))
                 : fmt::format("the server had answered all the client sent, so nothing was unread: a plain close() would have sent FIN");
    });
}

}  // namespace

extern const Cause kLingerZeroAbortCause;
const Cause kLingerZeroAbortCause = {
    .id = CauseId::kLingerZeroAbort,
    .title = "An application aborted the connection on purpose (SO_LINGER 0).",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "TcpExtTCPAbortOnData rises by one on the host that sent the RST; strace shows setsockopt(SO_LINGER, {1, 0})",
    .fix = {"remove SO_LINGER with time 0 (Java setSoLinger(true, 0), Go SetLinger(0)); it discards what is not yet delivered",
            "if TIME_WAIT was the reason for it: let the other side close first; TIME_WAIT costs little memory"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
