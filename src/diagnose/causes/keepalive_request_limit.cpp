// The server closed after its number of requests; the client sent one more.

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
  if (!facts::new_payload(c, request) || r->foreign()) return;
  const facts::App met = c.segment(request).app;
  if (ending::speaks_http(c) && met != facts::App::kHttpRequest && met != facts::App::kNone) {
    out.contradicts({request}, [] { return std::string{"what met the RST is no request but the rest of one that was answered early"}; });
    return;
  }
  const ending::Talk t = ending::talk_before(c, r->own_fin + 1);
  const std::int32_t answer = t.last_payload[1];
  if (answer < 0 || t.answers == 0) return;
  const Duration after_answer = facts::between(c, answer, r->own_fin);
  if (after_answer > std::max<Duration>(std::chrono::milliseconds{200}, 2 * c.handshake_rtt.value_or(Duration{}))) {
    out.contradicts({answer, r->own_fin}, [&] {
      return fmt::format("the server closed {} after its last answer: by a timer, not by a count", ending::span(after_answer));
    });
    return;
  }
  bool announced = false;
  for (std::int32_t i = t.answer; i <= answer; ++i)
    if (i >= 0 && c.segment(i).from() == Party::kServer && (c.segment(i).app_flags & facts::AppFlag::kConnectionClose)) announced = true;
  const std::uint32_t n = std::max(t.answers, c.turns > 0 ? std::min(c.turns, t.answers) : t.answers);
  std::uint32_t alike = 0;
  if (const facts::ServiceFacts* s = survey.service(c.ends[1]))
    for (std::uint32_t v : s->requests_at_server_close.values) alike += v == n ? 1u : 0u;
  // Where the clock was set meanwhile the time between them says nothing, and a count must show that it is one.
  if (c.quality.clock_stepped && !announced && alike < 2) return;
  if (n < 2 && !announced) return;  // one request, then a close: that is how such a server ends every connection
  out.supports({answer, r->own_fin}, [&] {
    return fmt::format("the server sent FIN {} after its answer number {}", ending::span(after_answer), n);
  });
  out.supports({request, r->at}, [&] {
    return fmt::format("the client sent one more request and met RST");
  });
  if (announced)
    out.supports({t.answer}, [&] { return std::string{"that answer said `Connection: close` (RFC 9112 9.6): no further request was welcome"}; });
  if (alike >= 2)
    out.supports({r->own_fin}, [&] { return fmt::format("{} connections of this service were closed by it after {} requests", alike, n); });
  out.says([&] { return fmt::format("The server closed after request {}; the client sent one more.", n); });
}

}  // namespace

extern const Cause kKeepaliveRequestLimitCause;
const Cause kKeepaliveRequestLimitCause = {
    .id = CauseId::kKeepaliveRequestLimit,
    .title = "The server closed after its number of requests; the client sent one more.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "the server's limit of requests per connection (nginx keepalive_requests: 100, since 1.19.10 1000)",
    .fix = {"let the client honour `Connection: close` and repeat a request whose connection was closed before the first octet of the answer",
            "raise the server's limit, or let it announce the close in its last answer"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
