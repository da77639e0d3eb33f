// Generic: the client stopped without closing. The server's FIN is repeated into
// the void, or its probes are: the client's host, its network or the NAT between
// is gone.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  const facts::StreamFacts& client = c.stream(Party::kClient);
  if (client.fin_seen) {
    if (c.has(facts::Signal::kUnackedAtEnd))
      out.contradicts({client.fin}, [] { return std::string{"the client closed its direction"}; });
    return;
  }
  if (client.rst_seen) return;
  const std::optional<Unanswered> u = unanswered(c, Party::kServer);
  if (!u || !given_time(c, *u) || captured_at(c, Party::kClient)) return;
  if (u->heard_after >= 0) {
    out.contradicts({u->heard_after}, [] { return std::string{"the client was still heard after that"}; });
    return;
  }
  auto text = [&] {
    return fmt::format("the server sent {} {} and the client, last heard {} before, answered nothing",
                       u->fin_only() ? "its FIN" : "its data", times(u->sends.size()),
                       u->heard >= 0 ? say(c.segment(u->sends.front()).time - c.segment(u->heard).time) : "never");
  };
  out.note(u->fin_only() ? Bearing::kSupports : Bearing::kFits, u->sends, {}, text);
}

}  // namespace

extern const Cause kClientVanishedCause;
const Cause kClientVanishedCause = {
    .id = CauseId::kClientVanished,
    .title = "The client stopped without closing the connection.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd,
    .settles = "a capture nearer to the client: do the server's segments still reach it",
    .fix = {"expect it of mobile and sleeping clients: let the server notice with SO_KEEPALIVE or TCP_USER_TIMEOUT",
            "if many clients vanish at once, look at the NAT or link they share"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
