// A device answered the SYN with RST in the host's name.

#include "diagnose/cause.hpp"
#include "diagnose/refusal.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto refusal = refusal_of(c, survey);
  if (!refusal) return;
  const facts::SegmentFact& r = c.segment(refusal->rst);

  if (refusal->host_ttl)
    out.supports({refusal->rst}, [&] {
      return fmt::format("the RST arrived with TTL {}, the server's own segments with {}: it came from another place",
                         r.ttl, *refusal->host_ttl);
    });
  if (refusal->too_fast)
    out.supports({refusal->syn, refusal->rst}, [&] {
      return fmt::format("the RST came after {}; the server's fastest SYN-ACK took {}", span_words(refusal->delay),
                         span_words(refusal->host_fastest));
    });
  // RFC 9293 3.10.7.1: RST+ACK and nothing else; Linux, BSD and Windows leave window and options out.
  if (refusal->no_ack)
    out.supports({refusal->rst}, [] {
      return std::string{"the RST carries no ACK; a host acknowledges the SYN it refuses (RFC 9293 3.10.7.1)"};
    });
  if (refusal->live_window)
    out.supports({refusal->rst}, [&] {
      return fmt::format("the RST offers a window of {}; a host's refusal offers none", r.window);
    });
  if (refusal->has_options)
    out.supports({refusal->rst}, [] { return std::string{"the RST carries TCP options; a host's refusal has none"}; });
}

}  // namespace

extern const Cause kRejectedByMiddleboxCause;
const Cause kRejectedByMiddleboxCause = {
    .id = CauseId::kRejectedByMiddlebox,
    .title = "A device on the path refused the connection in the server's name.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynRefused,
    .settles = "a capture on the server at the same time: the SYN does not arrive, or no RST leaves",
    .fix = {"ask whoever runs the firewall or balancer before the server which rule rejects this address and port",
            "find its place: `tcptraceroute`, and compare the TTL of the RST with that of the server's segments"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
