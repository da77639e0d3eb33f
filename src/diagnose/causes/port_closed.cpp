// Nothing listens: the host itself answered the SYN with RST.

#include "diagnose/cause.hpp"
#include "diagnose/refusal.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto refusal = refusal_of(c, survey);
  if (!refusal) return;
  const facts::SegmentFact& r = c.segment(refusal->rst);

  // Linux tcp_v4_send_reset(): RST+ACK, seq 0, ack = SYN + 1, no options, window 0.
  if (!refusal->no_ack)
    out.supports({refusal->syn, refusal->rst}, [&] {
      return fmt::format("the SYN was answered {} later by a RST that acknowledges it (RFC 9293 3.10.7.1)",
                         span_words(refusal->delay));
    });
  if (refusal->host_ttl)
    out.contradicts({refusal->rst}, [&] {
      return fmt::format("the RST has TTL {}, the host's own segments have {}", r.ttl, *refusal->host_ttl);
    });
  if (refusal->too_fast)
    out.contradicts({refusal->syn, refusal->rst}, [&] {
      return fmt::format("the RST came after {}, the host's fastest SYN-ACK after {}", span_words(refusal->delay),
                         span_words(refusal->host_fastest));
    });
}

}  // namespace

extern const Cause kPortClosedCause;
const Cause kPortClosedCause = {
    .id = CauseId::kPortClosed,
    .title = "The server refused the connection: nothing listens on that port.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynRefused,
    .settles = "`ss -lnt` on the server at that time, and OutRsts of `nstat`: a filter's REJECT does not move it",
    .fix = {"start the service, or correct the address or port that the client uses",
            "if it listens on 127.0.0.1 only, make it listen on the address the client calls"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
