// TCP_USER_TIMEOUT ended the connection (RFC 5482's local half). Nothing of it is
// on the wire: repeats stop earlier than the kernel's limit, and no RST is sent
// (Linux tcp_write_timeout(), tcp_write_err()). A lowered tcp_retries2 looks the
// same, so this is never more than possible.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

// Linux retransmits_timed_out() with the default tcp_retries2 of 15: 924.6 s from the first repeat.
constexpr Duration kDefaultLimit = 924'600ms;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const std::optional<Unanswered> u = unanswered(c, sender);
    if (!u || !given_time(c, *u) || u->fin_only() || u->heard_after >= 0) continue;
    if (c.stream(sender).rst_seen) continue;  // a socket that times out on data sends none
    const facts::SegmentFact& last = c.segment(u->sends.back());
    const Duration tried = last.time - c.segment(u->sends.front()).time;
    const Duration last_gap = last.time - c.segment(u->sends[u->sends.size() - 2]).time;
    // The next repeat was due after twice the last gap, timer slack included.
    if (tried >= kDefaultLimit || u->silent < std::max<Duration>(3 * last_gap, 1s)) continue;
    out.note(Bearing::kFits, u->sends, {}, [&] {
      return fmt::format("{} stopped repeating after {}; its next repeat was due {} later and the default "
                         "tcp_retries2 allows 15 min 25 s", name(sender), say(tried), say(2 * last_gap));
    });
    out.blames(side_of(sender));
  }
}

}  // namespace

extern const Cause kUserTimeoutCause;
const Cause kUserTimeoutCause = {
    .id = CauseId::kUserTimeout,
    .title = "TCP_USER_TIMEOUT ended the connection while its data went unanswered.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd,
    .settles = "whether the application sets TCP_USER_TIMEOUT (strace -e setsockopt), and net.ipv4.tcp_retries2 there",
    .fix = {"the timeout only ended the wait: the reason is the silence before it",
            "raise TCP_USER_TIMEOUT if it is below the outages the path is expected to have (since Linux 2.6.37)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
