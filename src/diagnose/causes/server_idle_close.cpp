// The server closed an idle keep-alive connection; no request was on its way and
// nothing was lost.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const facts::StreamFacts& server = c.stream(Party::kServer);
  const facts::StreamFacts& client = c.stream(Party::kClient);
  if (server.fin < 0 || server.last_data < 0 || client.first_data < 0) return;
  if (client.fin >= 0 && client.fin < server.fin) return;
  if (client.rst_seen || server.rst_seen) return;
  if (client.last_data > server.last_data) return;  // a request was waiting, or crossed
  const Duration idle = c.segment(server.fin).time - c.segment(server.last_data).time;
  if (idle < 1s) return;
  out.supports({server.last_data, server.fin}, [&] {
    return fmt::format("the server closed (frame {}) {} after its last response; no request was outstanding",
                       c.segment(server.fin).frame, say(idle));
  });
}

}  // namespace

extern const Cause kServerIdleCloseCause;
const Cause kServerIdleCloseCause = {
    .id = CauseId::kServerIdleClose,
    .title = "The server closed an idle keep-alive connection; nothing was lost.",
    .benign = true,
    .side = facts::Side::kServer,
    .role = Role::kNote,
    .signals = facts::Signal::kLongGap | facts::Signal::kHalfClosedAtEnd,
    .settles = "the server's keep-alive timer (nginx: keepalive_timeout, Apache: KeepAliveTimeout)",
    .fix = {"where a client's pool reuses such connections, keep its idle limit below the server's timer"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
