// A device forgot the connection while it was idle; what is sent later is dropped.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

/// No device in common use forgets an established connection sooner.
constexpr Duration kShortestTimer = 30s;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const std::optional<Unanswered> u = unanswered(c, sender);
    if (!u || !given_time(c, *u)) continue;
    const std::int32_t first = u->sends.front();
    if (u->heard_after >= 0) {
      out.contradicts({u->heard_after}, [&] { return fmt::format("{}'s segments still passed", name(other(sender))); });
      continue;
    }
    if (captured_at(c, other(sender))) {
      out.contradicts({first}, [&] { return fmt::format("the segments reached {}'s host", name(other(sender))); });
      continue;
    }
    if (u->idle_before < kShortestTimer) continue;
    auto text = [&] {
      return fmt::format("the connection had been idle for {}; nothing sent after that was answered", say(u->idle_before));
    };
    // An idle peer may have died meanwhile as well: only its life elsewhere tells.
    if (sender == Party::kClient && service_answered_after(c, survey, c.segment(first).time)) {
      out.supports({first - 1, first}, text);
      out.supports({first}, [&] {
        return fmt::format("new connections to {} were accepted after it", to_string(c.ends[index(Party::kServer)]));
      });
    } else {
      out.fits({first - 1, first}, text);
    }
  }
}

}  // namespace

extern const Cause kIdleTimeoutSilentCause;
const Cause kIdleTimeoutSilentCause = {
    .id = CauseId::kIdleTimeoutSilent,
    .title = "A device on the path forgot the idle connection and drops its segments.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd,
    .settles = "repeat with idle times below and above the suspected timer; or the device's session table",
    .fix = {"keepalive below the device's idle timer: SO_KEEPALIVE with TCP_KEEPIDLE (the default of 7200 s is longer "
            "than almost every device's timer), or a shorter idle limit in the client's pool",
            "or raise the device's timer (conntrack: nf_conntrack_tcp_timeout_established)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
