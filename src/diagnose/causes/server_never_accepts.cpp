// The kernel completed the handshake and acknowledges; the application never
// accepts or reads. Handshake, data and FIN need no accept() (linux-tcp.md 1.1),
// so the client sees a healthy connection that never answers.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || !established(c) || c.quality.one_direction || c.quality.capture_gap) return;
  const facts::StreamFacts& server = c.stream(Party::kServer);
  const facts::StreamFacts& client = c.stream(Party::kClient);
  if (client.first_data < 0) return;
  if (server.payload_bytes > 0) {
    if (server.first_data >= 0)
      out.contradicts({server.first_data}, [] { return std::string{"the server's application sent data"}; });
    return;
  }
  if (server.fin_seen) {
    out.contradicts({server.fin}, [] { return std::string{"the server's application closed the connection"}; });
    return;
  }
  const std::optional<Waiting> w = waiting(c);
  if (!w || !waited_too_long(c, survey, *w)) return;
  out.fits({w->request, w->acked_by}, [&] {
    return fmt::format("the server's kernel acknowledged {} octets; its application sent nothing in {}",
                       client.unique_bytes, say(w->waited));
  });
  // Elsewhere answers may be lost before they pass: long ones are where the path is narrower than it says (pmtu-blackhole).
  if (w->ended_by < 0 && captured_at(c, Party::kServer) && service_never_spoke(c, survey))
    out.supports({w->request}, [&] {
      return fmt::format("no connection to {} in this capture got an octet of its application",
                         to_string(c.ends[index(Party::kServer)]));
    });
  // An application that had the connection would read until the stream's end and close.
  if (client.fin_seen && w->ended_by >= 0 && c.segment(w->ended_by).fin() && client.fin_acked &&
      facts::coverage_after(c, client.fin) >= 10s)
    out.supports({client.fin}, [&] {
      return fmt::format("the client's FIN was acknowledged too, and no FIN of the server followed in {}",
                         say(facts::coverage_after(c, client.fin)));
    });
  if (const std::optional<ClosedWindow> closed = closed_window(c, Party::kServer); closed && closed->lasted >= 3s)
    out.supports({closed->closed}, [&] {
      return fmt::format("everything the client sent stayed unread: {} octets filled the window", client.unique_bytes);
    });
}

}  // namespace

extern const Cause kServerNeverAcceptsCause;
const Cause kServerNeverAcceptsCause = {
    .id = CauseId::kServerNeverAccepts,
    .title = "The server's kernel acknowledges; its application never takes the connection.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnansweredAtEnd | facts::Signal::kEarlyClose | facts::Signal::kZeroWindow |
               facts::Signal::kHalfClosedAtEnd,
    .settles = "ss -lnt on the server: Recv-Q of the LISTEN socket above 0 for as long as it lasts",
    .fix = {"look at the accepting process: blocked, out of workers, out of descriptors (EMFILE), or stopped",
            "a larger backlog only hides it for longer"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
