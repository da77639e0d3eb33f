// Nothing listens: the host itself answered the SYN with RST.

#include <fmt/format.h>

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const std::int32_t rst = c.stream(facts::Party::kServer).rst;
  if (c.syn < 0 || c.syn_ack >= 0 || rst < 0) return;
  const facts::SegmentFact& r = c.segment(rst);

  // Linux tcp_v4_send_reset(): RST+ACK, seq 0, ack = SYN + 1, no options, window 0.
  if (c.note(rst).rst_shape == facts::RstShape::kAnswerToSyn)
    out.supports({c.syn, rst}, [&] {
      return fmt::format("the SYN was answered by a RST acknowledging it, {:.1f} ms later", 
                         1e3 * seconds(r.time - c.segment(c.syn).time));
    });
  if (const facts::HostFacts* host = survey.host(c.ends[1].address); host && host->syn_acks > 0) {
    const int distance = static_cast<int>(host->usual_ttl()) - static_cast<int>(r.ttl);
    if (distance > 1 || distance < -1)
      out.contradicts({rst}, [&] {
        return fmt::format("the RST has TTL {}, the host's own segments have {}", r.ttl, host->usual_ttl());
      });
  }
}

}  // namespace

extern const Cause kPortClosedCause;
const Cause kPortClosedCause = {
    .id = CauseId::kPortClosed,
    .title = "The host refused the connection: nothing listens on that port.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynRefused,
    .settles = "`ss -lnt` on the host at that time; a capture there shows whether the SYN arrived",
    .fix = {"start the service, or correct the address and port the client uses"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
