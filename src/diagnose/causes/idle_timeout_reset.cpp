// A device ended an idle connection with RST.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || !r->established || !r->foreign()) return;
  const std::uint8_t telling = ending::Doubt::kTtl | ending::Doubt::kUnprovoked | ending::Doubt::kTooFast | ending::Doubt::kBare;
  if (!(r->doubts & telling)) return;
  if (r->silence < std::max<Duration>(std::chrono::milliseconds{900}, 5 * r->rtt)) {
    out.contradicts({r->at}, [&] { return fmt::format("the connection was not idle: {} before the RST something passed", ending::span(r->silence)); });
    return;
  }
  const bool asked = r->offender >= 0 && !(r->doubts & ending::Doubt::kUnprovoked);
  out.supports({r->at}, [&] {
    return fmt::format("a RST that the {}'s stack did not send came {} {} of silence", ending::who(r->by),
                       asked ? "with the first segment after" : "after", ending::span(r->silence));
  });
  if (!asked)
    out.supports({r->at}, [&] { return std::string{"nothing had been sent that it could answer: a timer sent it"}; });
  if (!asked && r->other_rst >= 0)
    out.supports({r->at, r->other_rst}, [&] { return std::string{"the other side got a RST at the same time"}; });
  const facts::ServiceFacts* s = survey.service(c.ends[1]);
  if (s == nullptr) return;
  std::uint32_t alike = 0;
  for (const facts::IdleEnd& e : s->idle_ends.values)
    if (e.by_reset && e.connection != c.id && e.idle > r->silence - r->silence / 20 && e.idle < r->silence + r->silence / 20) ++alike;
  if (alike > 0)
    out.supports({r->at}, [&] {
      return fmt::format("{} other connection{} to this service ended by RST after the same {} of silence", alike, alike == 1 ? "" : "s",
                         ending::span(r->silence));
    });
}

}  // namespace

extern const Cause kIdleTimeoutResetCause;
const Cause kIdleTimeoutResetCause = {
    .id = CauseId::kIdleTimeoutReset,
    .title = "A device on the path ended the idle connection with RST.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "the idle timeout of each firewall, NAT and balancer on the path, against the silence seen here",
    .fix = {"use TCP keepalive with an interval below the device's idle timeout (SO_KEEPALIVE, TCP_KEEPIDLE; Linux default is 7200 s)",
            "or let the pool close connections that were idle for that long"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
