// TCP_DEFER_ACCEPT, and the client never sent anything.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn_ack < 0) return;
  const Opening o = opening_of(c);
  if (o.third < 0 || o.repeat < 0) return;
  if (c.stream(facts::Party::kClient).payload_bytes != 0) return;  // see defer-accept-wait
  // A server that speaks first does not wait for its client.
  if (c.stream(facts::Party::kServer).payload_bytes != 0) return;
  const Duration gap = c.segment(o.repeat).time - c.segment(o.syn_ack).time;
  const auto ignored = [&] {
    return fmt::format("the SYN-ACK came again {} after the first, although the client's bare ACK had {}",
                       span_words(gap), at_server(c, survey) ? "arrived" : "passed here");
  };
  if (o.repeats >= 2 || o.first_wait <= kFirstSynAckRepeat) {
    // One second, or every time: a full accept queue does the same (and so did kernels before 2.6.32).
    out.fits({o.third, o.repeat}, ignored);
    return;  // once, and then it went on: the client's ACK was lost
  }
  out.supports({o.third, o.repeat}, ignored);
  note_repeats_left_out(c, o, survey, out);
  if (o.progress >= 0)
    out.supports({o.progress}, [&] {
      return fmt::format("neither side ever sent a byte in {}", span_words(c.end - c.start));
    });
}

}  // namespace

extern const Cause kDeferAcceptNoDataCause;
const Cause kDeferAcceptNoDataCause = {
    .id = CauseId::kDeferAcceptNoData,
    .title = "The server waited for data (TCP_DEFER_ACCEPT), and the client sent none.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAckRepeated,
    .settles = "TcpExtTCPDeferAcceptDrop rising on the server (3.10 and later), or the listener's configuration",
    .fix = {"if the client waits for a greeting, the listener must not defer: switch TCP_DEFER_ACCEPT off",
            "a pool that opens connections ahead of need shows this too, without harm",
            "since 2.6.32 the application is handed the empty connection at the end of the period; older kernels drop it"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
