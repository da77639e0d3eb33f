// The peer's state was gone (crash, reboot, failover): its host answered valid data with RST.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/silence.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::SegmentFact;

constexpr Duration kShortestRestart = std::chrono::seconds{5};
/// Another host that takes the address over may be there sooner, but not while segments of one flight are under way.
constexpr Duration kShortestTakeover = std::chrono::seconds{1};

/// The peer's side had given the connection up before: its own retransmissions stayed unanswered.
bool gave_up_itself(const facts::Connection& c, const ending::Reset& r) {
  std::uint32_t in_vain = 0;
  for (std::int32_t i = 0; i < r.offender; ++i) {
    // A repeated SYN-ACK takes nothing: it is no answer to data.
    if (c.segment(i).from() == r.peer() && !c.segment(i).rst() && !c.segment(i).syn() && i < r.offender_first) in_vain = 0;
    if (c.segment(i).from() == r.by && c.note(i).repeat == facts::Repeat::kRto) ++in_vain;
  }
  return in_vain >= 3;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || !r->answer || r->offender < 0 || r->own_fin >= 0) return;
  out.blames(ending::side(r->by));
  if (r->doubts & ending::Doubt::kTtl) {
    out.contradicts({r->at}, [&] {
      return fmt::format("the RST has TTL {}, the {}'s segments have {}: another device sent it", c.segment(r->at).ttl,
                         ending::who(r->by), r->usual_ttl);
    });
    return;
  }
  if (r->went_on >= 0) {
    out.contradicts({r->at, r->went_on}, [&] { return fmt::format("the {} went on after it: its state was not gone", ending::who(r->by)); });
    return;
  }
  if (r->foreign()) return;
  // For a server that never took the connection out of its queues there was no state to lose.
  if (r->by == Party::kServer && c.syn >= 0) {
    if (server_still_in_handshake(c)) return;
    bool took = false;
    for (std::int32_t i = c.handshake_ack; i < r->at; ++i)
      if (c.segment(i).from() == Party::kServer && !c.segment(i).syn()) took = true;
    // Right after the handshake a RST without ACK flag is the listener's (tcp_abort_on_overflow, closed listener).
    if (!took && r->silence < std::chrono::seconds{1}) return;
  }
  if (c.note(r->offender).ack_place == facts::AckPlace::kImpossible) return;
  if (gave_up_itself(c, *r)) return;
  if (r->silence < std::chrono::milliseconds{1000} && r->by == Party::kClient) return;
  const auto knew_no_more = [&] {
    return fmt::format("the {} answered a valid segment with RST of exactly its ACK number, without having closed: its host knew the connection no more (RFC 9293 3.10.7.1)",
                       ending::who(r->by));
  };
  // A client's socket goes without its host: given up by its own timeout, killed, its FIN or RST lost on the way here.
  // No host restarts within a few seconds.
  // And where frames are missing, or were not kept, its FIN may be among them.
  const std::int32_t last = last_of(c, r->by, r->at);
  const bool unseen_fin = c.quality.capture_gap || (c.quality.began_late && last < 0) ||
                          (last >= 0 && (last <= c.gap_after || facts::between(c, last, r->at) < kShortestTakeover));
  // A FIN alone is what tells it after a RST that was lost; who uses the connection would have sent data.
  const SegmentFact& offender = c.segment(r->offender);
  const bool fin_alone = offender.fin() && offender.payload_bytes == 0;
  if (unseen_fin || fin_alone || (r->by == Party::kClient && r->silence < kShortestRestart)) {
    out.fits({r->offender, r->at}, knew_no_more);
    return;
  }
  out.supports({r->offender, r->at}, knew_no_more);
  if (r->ttl_known)
    out.supports({r->at}, [&] {
      return fmt::format("the RST has the TTL {} of the {}'s other segments", r->usual_ttl, ending::who(r->by));
    });
  if (r->silence >= std::chrono::seconds{1})
    out.supports({r->offender_first}, [&] { return fmt::format("{} of silence lay before it", ending::span(r->silence)); });
}

}  // namespace

extern const Cause kPeerRestartedCause;
const Cause kPeerRestartedCause = {
    .id = CauseId::kPeerRestarted,
    .title = "The peer's host had lost the connection (restart) and answered with RST.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "uptime of that host (`uptime -s`, `journalctl --list-boots`), or a takeover of its address at that time",
    .fix = {"find the restart or failover: without it, a host forgets a connection only by its own timeout or by an administrator",
            "let clients use keepalive (net.ipv4.tcp_keepalive_time below the idle time) so that they learn of it before they need the connection"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
