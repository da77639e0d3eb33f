// A NAT or firewall lost its table entry and now drops the connection without a
// word, while new connections to the same service pass.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  const std::optional<Unanswered> u = unanswered(c, Party::kClient);
  if (!u || !given_time(c, *u)) return;
  const std::int32_t first = u->sends.front();
  if (u->heard_after >= 0) {
    out.contradicts({u->heard_after},
                    [] { return std::string{"the server's segments still passed: the device had not lost the entry"}; });
    return;
  }
  if (captured_at(c, Party::kServer)) {
    out.contradicts({first}, [] { return std::string{"the client's segments reached the server's host"}; });
    return;
  }
  // A device that forgets drops what belongs to no entry; a SYN makes a new one.
  if (u->idle_before < 30s && service_answered_after(c, survey, c.segment(first).time))
    out.note(Bearing::kSupports, u->sends, {}, [&] {
      return fmt::format("this connection got no answer from frame {} on, while new ones to {} were accepted",
                         c.segment(first).frame, to_string(c.ends[index(Party::kServer)]));
    });
}

}  // namespace

extern const Cause kNatStateLostSilentCause;
const Cause kNatStateLostSilentCause = {
    .id = CauseId::kNatStateLostSilent,
    .title = "A NAT or firewall forgot the connection and drops its segments.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd,
    .settles = "`conntrack -L` (or the session table) of the device while the client repeats; a capture on both sides of it",
    .fix = {"find out why the entry went: reboot or failover without state sync, `conntrack -F`, a full table "
            "(nf_conntrack: table full, dropping packet in the kernel log)",
            "let the device answer unknown segments with RST instead of dropping them, so that clients reconnect at once"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
