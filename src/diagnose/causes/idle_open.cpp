// Open at the end of the capture, everything answered, nothing happening.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction) return;
  for (Party p : {Party::kClient, Party::kServer})
    if (c.stream(p).fin_seen || c.stream(p).rst_seen) return;
  if (c.has(facts::Signal::kUnackedAtEnd | facts::Signal::kUnansweredAtEnd)) return;
  const std::int32_t last = static_cast<std::int32_t>(c.segments.size()) - 1;
  if (last < 0 || facts::coverage_after(c, last) < 1s) return;
  out.supports({last}, [&] {
    return fmt::format("everything sent was acknowledged; the last segment passed {} before the capture ended",
                       say(facts::coverage_after(c, last)));
  });
}

}  // namespace

extern const Cause kIdleOpenCause;
const Cause kIdleOpenCause = {
    .id = CauseId::kIdleOpen,
    .title = "The connection was open and idle when the capture ended.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kNote,
    .signals = facts::Signal::kOpenAtEnd,
    .settles = "nothing to settle; whether the other side still has it shows when somebody sends (or by keepalive)",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
