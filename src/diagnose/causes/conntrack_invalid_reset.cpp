// A NAT passed an out-of-state segment untranslated; its target reset a connection it never had.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->answer || r->offender < 0 || r->own_fin >= 0) return;
  if (!r->established) return;
  if (r->doubts & ~ending::Doubt::kSenderWentOn) return;  // another device made it
  if (r->went_on < 0 || !r->ttl_known) return;
  // The host answered one segment as if it had no connection, and served the same connection afterwards:
  // that one segment reached it under another address or port.
  out.supports({r->offender, r->at}, [&] {
    return fmt::format("the {}'s host answered a valid segment with RST as a host without the connection does (tcp_v4_send_reset())",
                       ending::who(r->by));
  });
  out.supports({r->at}, [&] { return fmt::format("the RST has the TTL {} of the {}'s other segments: its own stack made it", r->usual_ttl, ending::who(r->by)); });
  out.supports({r->at, r->went_on}, [&] {
    return fmt::format("the {} went on {} later: its connection was alive under the translated address", ending::who(r->by),
                       ending::span(facts::between(c, r->at, r->went_on)));
  });
}

}  // namespace

extern const Cause kConntrackInvalidResetCause;
const Cause kConntrackInvalidResetCause = {
    .id = CauseId::kConntrackInvalidReset,
    .title = "A NAT passed a segment untranslated, and its target reset a foreign connection.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "`conntrack -S` on the NAT (invalid rises), or a capture behind it that shows the untranslated address",
    .fix = {"on the NAT: drop what conntrack calls invalid before it is forwarded (nft `ct state invalid drop`)",
            "or net.netfilter.nf_conntrack_tcp_be_liberal=1, so that out-of-window segments keep their translation"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
