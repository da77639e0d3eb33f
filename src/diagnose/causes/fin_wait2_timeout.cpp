// The closer's FIN_WAIT2 had timed out; what came later met a host without a socket.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/conversation.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || !r->answer || r->own_fin < 0 || r->offender < 0 || r->foreign()) return;
  if (r->peer_fin >= 0 && r->peer_fin < r->offender_first) return;
  const std::int32_t acked = ending::ack_of(c, r->peer(), c.stream(r->by).fin_seq + 1, r->own_fin);
  if (acked < 0 || acked >= r->offender_first) return;
  const Duration waited = facts::between(c, acked, r->offender_first);
  const facts::SegmentFact& late = c.segment(r->offender_first);
  // A request that the closer itself had given up is another story: its timeout.
  const ending::Talk t = ending::talk_before(c, r->own_fin);
  if (r->by == facts::Party::kClient && (t.request >= 0 || t.answer_short)) return;
  // Nothing is lost where a bare FIN comes too late: reset-after-close.
  if (late.payload_bytes == 0 || c.segment(r->at).has_ack()) return;
  out.blames(ending::side(r->peer()));
  // tcp_fin_timeout is 60 s unless set; an eighth late at most (timer wheel).
  if (waited >= std::chrono::milliseconds{59500}) {
    out.supports({acked, r->offender, r->at}, [&] {
      return fmt::format("{} passed between the ACK of the FIN and the data that met RST; tcp_fin_timeout is 60 s unless set", ending::span(waited));
    });
    out.supports({r->own_fin, acked}, [&] {
      return fmt::format("the {} never closed its side: the {} waited in FIN_WAIT2", ending::who(r->peer()), ending::who(r->by));
    });
    out.supports({r->at}, [&] { return std::string{"RST without ACK flag and with the ACK number it answers: no socket was left"}; });
  }
}

}  // namespace

extern const Cause kFinWait2TimeoutCause;
const Cause kFinWait2TimeoutCause = {
    .id = CauseId::kFinWait2Timeout,
    .title = "One side had closed long ago and forgot the connection (FIN_WAIT2 expired).",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "`sysctl net.ipv4.tcp_fin_timeout` on the host that closed first, against the time between its FIN's ACK and the RST",
    .fix = {"the side that was slow: close when read() returns 0, instead of keeping the socket in CLOSE_WAIT",
            "the side that closed first: shutdown(SHUT_WR) instead of close() if it still wants the answer; FIN_WAIT2 then has no limit"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
