// The peer's host is gone without a packet. A single vantage cannot tell that
// from a dead path, unless the last router or the neighbour table says so.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// RFC 792 type 3 code 1, RFC 4443 type 1 code 3: the last router got no answer to ARP or ND.
bool says_host_gone(const facts::IcmpFact& icmp) {
  return icmp.version == 4 ? icmp.type == 3 && icmp.code == 1 : icmp.type == 1 && icmp.code == 3;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const std::optional<Unanswered> u = unanswered(c, sender);
    if (!u || !given_time(c, *u)) continue;
    const Party peer = other(sender);
    const std::int32_t first = u->sends.front();
    if (u->heard_after >= 0) {
      out.contradicts({u->heard_after}, [&] { return fmt::format("{} was still sending after that", name(peer)); });
      continue;
    }
    if (captured_at(c, peer)) {
      out.contradicts({first}, [&] { return fmt::format("the capture was taken on {}'s host, which lived", name(peer)); });
      continue;
    }
    if (peer == Party::kServer && service_answered_after(c, survey, c.segment(first).time)) {
      out.contradicts({first}, [&] { return std::string{"the server accepted other connections after this frame"}; });
      continue;
    }
    for (const facts::IcmpFact& icmp : c.icmp)
      if (says_host_gone(icmp) && icmp.quoted_from == sender && icmp.time >= c.segment(first).time) {
        out.note(Bearing::kSupports, {}, {icmp.frame}, [&] {
          return fmt::format("{} reported host unreachable: nobody answered its ARP or ND question for {}",
                             to_string(icmp.sender), to_string(c.ends[index(peer)].address));
        });
        break;
      }
    for (const facts::NeighbourFacts& n : survey.neighbours)
      if (n.target == c.ends[index(peer)].address && n.questions > n.answers && n.last >= c.segment(first).time) {
        out.note(Bearing::kSupports, {}, {n.last_frame}, [&] {
          return fmt::format("{} questions for the hardware address of {} and {} answers", n.questions,
                             to_string(n.target), n.answers);
        });
        break;
      }
  }
}

}  // namespace

extern const Cause kPeerVanishedCause;
const Cause kPeerVanishedCause = {
    .id = CauseId::kPeerVanished,
    .title = "The peer's host disappeared without closing the connection.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd | facts::Signal::kRepeat | facts::Signal::kIcmp,
    .settles = "whether the peer's host was up at that time (its uptime, its neighbours' ARP table, its logs)",
    .fix = {"look at the peer's host: power, kernel panic, suspended virtual machine, unplugged or roaming interface",
            "so that this side notices sooner: SO_KEEPALIVE with TCP_KEEPIDLE, or TCP_USER_TIMEOUT"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
