// Two different payloads claim the same sequence numbers; one did not come from the peer.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  // `flow` compared the octets; here the pair with the clearest difference in the headers is named.
  std::int32_t a = -1, b = -1;
  int clearest = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.payload_bytes < 2 || s.rst()) continue;
    for (std::int32_t k = i + 1; k < static_cast<std::int32_t>(c.segments.size()); ++k) {
      const facts::SegmentFact& t = c.segment(k);
      if (t.from() != s.from() || t.payload_bytes < 2 || t.rst() || !in_window(t.seq, s.seq, s.payload_bytes)) continue;
      const int clear = (t.ttl != s.ttl ? 4 : 0) + (t.options != s.options ? 2 : 0) + (t.payload_bytes != s.payload_bytes ? 1 : 0);
      if (clear > clearest) {
        clearest = clear;
        a = i;
        b = k;
      }
    }
  }
  if (a < 0) {
    out.supports({}, [&] { return std::string{"two segments with the same sequence numbers carried different octets"}; });
    return;
  }
  const facts::SegmentFact &s = c.segment(a), &t = c.segment(b);
  out.demands({a, b}, [&] {
    return fmt::format("frames {} and {} both claim sequence number {} of the {} and carry different octets; a stack repeats the same ones (RFC 9293 3.8.1)",
                       s.frame, t.frame, t.seq.raw(), ending::who(s.from()));
  });
  if (s.ttl != t.ttl) out.supports({a, b}, [&] { return fmt::format("they have TTL {} and {}", s.ttl, t.ttl); });
  if (s.options != t.options) out.supports({a, b}, [&] { return std::string{"they carry different TCP options"}; });
}

}  // namespace

extern const Cause kInjectedDataCause;
const Cause kInjectedDataCause = {
    .id = CauseId::kInjectedData,
    .title = "Two different payloads claim the same place in the stream: one was injected.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kConflictingData,
    .settles = "a capture at the end that should have sent it: only one of the two exists there",
    .fix = {"find what injects (carrier notices, captive portals, cache poisoning): its TTL gives its distance",
            "use TLS: injected octets then break the connection instead of being believed"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
