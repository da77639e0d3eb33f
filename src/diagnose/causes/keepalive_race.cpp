// The server closed an idle keep-alive connection while the next request was on its way.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || r->by != Party::kServer || !r->answer || r->own_fin < 0 || r->offender < 0) return;
  if (ending::formality(c, *r)) return;  // what met the RST was TLS's goodbye
  const std::int32_t request = r->offender_first;
  if (!facts::new_payload(c, request) || r->offender < 0 || r->foreign()) return;
  const ending::Talk t = ending::talk_before(c, std::min(r->own_fin, request));
  const std::int32_t last = std::max(t.last_payload[0], t.last_payload[1]);
  if (t.answers == 0 && !(c.segment(request).app == facts::App::kHttpRequest && c.handshake_ack >= 0)) return;
  const std::int32_t rest = last >= 0 ? last : c.handshake_ack;
  const Duration idle = facts::between(c, rest, r->own_fin);
  // What answers a request at once closes by count or by announcement, not by an idle timer.
  if (idle < std::max<Duration>(std::chrono::milliseconds{200}, 2 * c.handshake_rtt.value_or(Duration{}))) {
    out.contradicts({rest, r->own_fin}, [&] {
      return fmt::format("the server closed {} after its answer: the connection had not been idle", ending::span(idle));
    });
    return;
  }
  // The request does not acknowledge the FIN: its sender cannot have had it (RFC 9293 3.4).
  const bool crossed = !after(c.segment(request).ack, c.stream(Party::kServer).fin_seq);
  if (!crossed) {
    out.contradicts({r->own_fin, request}, [&] {
      return std::string{"the request acknowledged the FIN: the client's kernel had it before the request left"};
    });
    return;
  }
  // A crossing takes a round trip; what the server had for longer and did not take was refused for another reason.
  if (request < r->own_fin && facts::between(c, request, r->own_fin) > std::max<Duration>(std::chrono::seconds{1}, 4 * r->rtt)) {
    out.contradicts({request, r->own_fin}, [&] {
      return fmt::format("the server closed {} after the request had passed: they did not cross", ending::span(facts::between(c, request, r->own_fin)));
    });
    return;
  }
  if (r->peer_fin >= 0 && !after(c.segment(r->peer_fin).ack, c.stream(Party::kServer).fin_seq)) {
    out.contradicts({r->peer_fin}, [] { return std::string{"the client closed of its own accord: it waited for no answer"}; });
    return;
  }
  out.supports({r->own_fin, request, r->at}, [&] {
    return fmt::format("FIN and request crossed: {} passed here {} {} the FIN and does not acknowledge it",
                       ending::octets(c.segment(request).payload_bytes),
                       ending::span(request > r->own_fin ? facts::between(c, r->own_fin, request) : facts::between(c, request, r->own_fin)),
                       request > r->own_fin ? "after" : "before");
  });
  out.supports({rest, r->own_fin}, [&] {
    return fmt::format("the server closed after {} of idleness: its keep-alive timer", ending::span(idle));
  });
  if (t.answers > 0)
    out.supports({t.last_payload[1]}, [&] { return fmt::format("{} request{} had been answered before", t.answers, t.answers == 1 ? "" : "s"); });
  if (const facts::ServiceFacts* s = survey.service(c.ends[1])) {
    std::uint32_t alike = 0;
    for (const facts::IdleEnd& e : s->idle_ends.values)
      if (e.closer == Party::kServer && !e.by_reset && e.connection != c.id &&
          e.idle > idle - idle / 20 - std::chrono::milliseconds{20} && e.idle < idle + idle / 20 + std::chrono::milliseconds{20})
        ++alike;
    if (alike > 0)
      out.supports({r->own_fin}, [&] {
        return fmt::format("the same service closed {} other connection{} after the same {} of idleness", alike, alike == 1 ? "" : "s",
                           ending::span(idle));
      });
  }
  out.says([&] { return fmt::format("The server closed the idle connection while a request was on its way ({}).", ending::span(idle)); });
}

}  // namespace

extern const Cause kKeepaliveRaceCause;
const Cause kKeepaliveRaceCause = {
    .id = CauseId::kKeepaliveRace,
    .title = "The server closed the idle connection while a request was on its way.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "the server's keep-alive timeout in its configuration (nginx keepalive_timeout, 75 s by default)",
    .fix = {"let the client give up idle connections earlier than the server: its idle limit below the server's minus one round trip",
            "let the client repeat idempotent requests once when a reused connection is reset before the first octet of the answer"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
