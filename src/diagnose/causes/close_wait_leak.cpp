// The peer's FIN was acknowledged by the kernel and never answered by a close of
// the application. CLOSE_WAIT has no timer in Linux: it stays until the process
// closes or ends.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;
using namespace std::chrono_literals;

/// Nothing asked, nothing owed: an application that notices the end of the stream has no reason to wait.
constexpr Duration kOwingNothing = 10s;
/// The same where the announced end of the response had been reached: not even a guess is left.
constexpr Duration kDone = 4s;
/// A pooled client looks at an idle connection only when it wants to use it; a server may still be working.
constexpr Duration kMayBeBusy = 120s;

/// A client that was told that the connection ends with this answer (RFC 9112 9.6) has no use for it any more.
constexpr Duration kTold = 30s;

bool told_to_close(const facts::Connection& c) {
  if (c.exchanges.empty() || c.exchanges.back().response < 0 || !c.exchanges.back().response_complete) return false;
  const facts::SegmentFact& head = c.segment(c.exchanges.back().response);
  return head.app == facts::App::kHttpResponse && (head.app_flags & facts::AppFlag::kConnectionClose);
}

/// A RST is not sent again (RFC 9293 3.10.5): where this connection lost packets before this point, the holder's abort may
/// be among them. Beside the holder nothing is lost on the way.
bool abort_may_be_lost(const facts::Connection& c, Party holder) {
  const facts::Vantage beside = holder == Party::kClient ? facts::Vantage::kClient : facts::Vantage::kServer;
  if (c.vantage == beside) return false;
  return std::any_of(c.notes.begin(), c.notes.end(), [](const facts::Note& n) {
    return n.repeat == Repeat::kRto || n.repeat == Repeat::kFast || n.repeat == Repeat::kTlp || n.repeat == Repeat::kFin ||
           n.repeat == Repeat::kSpurious || n.repeat == Repeat::kUnseenOriginal;
  });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction) return;
  if (c.quality.capture_gap) return;  // the other FIN may be among what was not recorded
  // Nothing but the close was captured: what the connection was for cannot be told.
  if (c.quality.began_late && c.stream(Party::kClient).payload_bytes + c.stream(Party::kServer).payload_bytes == 0) return;
  for (Party closer : {Party::kClient, Party::kServer}) {
    const Party holder = other(closer);
    const facts::StreamFacts& gone = c.stream(closer);
    const facts::StreamFacts& held = c.stream(holder);
    if (!gone.fin_seen || !gone.fin_acked || held.fin_seen || held.fin_not_kept || held.rst_seen || gone.rst_seen) continue;
    std::int32_t ack = -1;
    for (std::int32_t i = gone.fin + 1; i < static_cast<std::int32_t>(c.segments.size()) && ack < 0; ++i)
      if (c.segment(i).from() == holder && c.segment(i).has_ack() && after(c.segment(i).ack, gone.fin_seq)) ack = i;
    if (ack < 0) continue;
    // Data after the other's FIN is a half-close at work.
    std::int32_t quiet_since = ack;
    for (std::int32_t i = ack + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i)
      if (c.segment(i).from() == holder && carries_data(c, i)) quiet_since = i;
    const Duration kept = facts::coverage_after(c, quiet_since);
    const bool server_owes = holder == Party::kServer && (held.last_data < gone.last_data || held.last_data < 0) &&
                             gone.last_data >= 0;
    const bool done = !c.exchanges.empty() && c.exchanges.back().announced && c.exchanges.back().response_complete;
    Duration patience = done ? kDone : kOwingNothing;
    if (holder == Party::kClient || server_owes || c.quality.began_late)
      patience = holder == Party::kClient && told_to_close(c) ? kTold : kMayBeBusy;
    if (kept < patience) continue;
    out.note(abort_may_be_lost(c, holder) ? Bearing::kFits : Bearing::kSupports, {gone.fin, ack}, {}, [&] {
      return fmt::format("{}'s FIN (frame {}) was acknowledged (frame {}); no FIN of {} in the {} the capture went on",
                         name(closer), c.segment(gone.fin).frame, c.segment(ack).frame, name(holder),
                         say(kept));
    });
    out.blames(side_of(holder));
    out.says([&] {
      return fmt::format("{}'s application did not close after {}'s FIN: CLOSE_WAIT.", capital(holder), name(closer));
    });
    return;
  }
}

}  // namespace

extern const Cause kCloseWaitLeakCause;
const Cause kCloseWaitLeakCause = {
    .id = CauseId::kCloseWaitLeak,
    .title = "The application did not close after the peer's FIN: CLOSE_WAIT.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kHalfClosedAtEnd,
    .settles = "ss -tnp state close-wait on that host: the same socket still there, and its process",
    .fix = {"mend the application: close the socket when read() returns 0; no sysctl shortens CLOSE_WAIT",
            "restarting the process closes them until it is mended"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
