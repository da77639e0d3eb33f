// Generic: the server's own stack ended the connection with a RST.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || r->by != facts::Party::kServer || r->answer || !r->established) return;
  if (ending::formality(c, *r)) return;
  // Linux tcp_send_active_reset(): only a socket that existed a moment ago can make this shape.
  if (!r->foreign())
    out.supports({r->at}, [&] {
      return fmt::format("the server's socket sent {}", ending::abort_words(*r));
    });
  else
    out.contradicts({r->at}, [&] { return fmt::format("the RST with the server's address did not come from the server's stack"); });
}

}  // namespace

extern const Cause kServerAbortedCause;
const Cause kServerAbortedCause = {
    .id = CauseId::kServerAborted,
    .title = "The server's socket was aborted: it sent RST instead of FIN.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "`nstat -az TcpExtTCPAbortOnClose TcpExtTCPAbortOnData` on the server (unread data / SO_LINGER 0), or the reason in the tcp:tcp_send_reset tracepoint (Linux 6.10 and later)",
    .fix = {"look at the server's log at that second: it closed the socket with data unread, with SO_LINGER 0, or died",
            "on the server: `nstat` before and after; TCPAbortOnClose counts unread data, TCPAbortOnData counts SO_LINGER 0"},
    .specifics = {CauseId::kCloseWithUnreadData, CauseId::kLingerZeroAbort, CauseId::kProcessKilled, CauseId::kImmediateClose},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
