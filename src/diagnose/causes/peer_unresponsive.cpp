// Generic: one side sent, repeated itself, and nothing came back any more. What
// became of the segments (path, device, peer) is not visible from here.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine_from(const facts::Connection& c, Party sender, EvidenceList& out) {
  const std::optional<Unanswered> u = unanswered(c, sender);
  if (!u || !given_time(c, *u)) return;
  const Party peer = other(sender);
  if (u->heard_after >= 0) {
    // The peer is heard and does not hear. Arriving at its own host or lost before it: from here nobody can say
    // when the capture seems to be taken right there.
    const bool at_peer = c.vantage == (peer == Party::kClient ? facts::Vantage::kClient : facts::Vantage::kServer);
    if (!at_peer) return;
  }
  const std::int32_t first = u->sends.front(), last = u->sends.back();
  // A host that answers with RST is there; what it no longer has is the connection.
  for (std::int32_t i = first + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() == peer && c.segment(i).rst() && c.note(i).rst_shape != facts::RstShape::kOutOfWindow) return;
  const bool formality = u->fin_only() && c.stream(peer).fin_seen;
  if (formality) out.harmless();
  out.note(Bearing::kSupports, u->sends, {}, [&] {
    return fmt::format("{} sent the same {} {} within {}", name(sender), u->fin_only() ? "FIN" : "data",
                       times(u->sends.size()), say(c.segment(last).time - c.segment(first).time));
  });
  out.supports({u->heard >= 0 ? u->heard : first, last}, [&] {
    if (u->heard < 0) return fmt::format("nothing of {} was seen in {}", name(peer), say(u->waited));
    return fmt::format("{} was last heard {} before; then nothing of it until the capture ended {} later", name(peer),
                       say(c.segment(first).time - c.segment(u->heard).time), say(u->waited));
  });
  out.blames(facts::Side::kUnknown);
  out.says([&] {
    if (formality) return fmt::format("{} ended without an answer to its last FIN; all data had arrived.", capital(sender));
    return fmt::format("{} sent {} {} and {} never answered again.", capital(sender),
                       u->fin_only() ? "its FIN" : "data", times(u->sends.size()), name(peer));
  });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  examine_from(c, Party::kClient, out);
  if (out.empty()) examine_from(c, Party::kServer, out);
}

}  // namespace

extern const Cause kPeerUnresponsiveCause;
const Cause kPeerUnresponsiveCause = {
    .id = CauseId::kPeerUnresponsive,
    .title = "Data was sent again and again, and the peer never answered any more.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd | facts::Signal::kRepeat,
    .settles = "a capture on the silent host at the same time: do the segments arrive, does an answer leave",
    .fix = {"capture on the other side; if the segments do not arrive there, look at NAT, firewall and route between",
            "on the sending host, net.ipv4.tcp_retries2 or TCP_USER_TIMEOUT decides how long it goes on"},
    .specifics = {CauseId::kPathBlackhole, CauseId::kPeerVanished, CauseId::kNatStateLostSilent,
                  CauseId::kIdleTimeoutSilent, CauseId::kPmtuBlackhole, CauseId::kChecksumCorruption,
                  CauseId::kHostDropped},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
