// The receiver's window is closed because its application does not read. The
// other side probes: answered with window 0, for ever; unanswered, until
// tcp_retries2 ends it without a RST (Linux tcp_probe_timer()).

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

/// Longest time a window was closed and opened again.
Duration longest_closed(const facts::Connection& c, Party receiver, std::int32_t& from, std::int32_t& until) {
  Duration longest{};
  std::int32_t closed = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != receiver || s.rst() || s.syn() || (s.anomalies & wire::Anomaly::kWindowUnseen)) continue;
    if (s.window == 0) {
      if (closed < 0) closed = i;
      continue;
    }
    if (closed >= 0 && s.time - c.segment(closed).time > longest) {
      longest = s.time - c.segment(closed).time;
      from = closed;
      until = i;
    }
    closed = -1;
  }
  return longest;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  for (Party receiver : {Party::kServer, Party::kClient}) {
    if (const std::optional<ClosedWindow> w = closed_window(c, receiver); w && w->lasted >= 3s && !w->probes.empty()) {
      std::vector<std::int32_t> cited{w->closed, w->last};
      cited.insert(cited.end(), w->probes.begin(), w->probes.begin() + std::min<std::ptrdiff_t>(10, std::ssize(w->probes)));
      // A window that stays 0 while the other side asks is the receiver's own word for "not read".
      out.note(w->answered >= 2 ? Bearing::kDemands : Bearing::kSupports, cited, {}, [&] {
        return fmt::format("{} announced window 0 (frame {}) and kept it closed for {}; {} of {} probes were answered",
                           name(receiver), c.segment(w->closed).frame, say(w->lasted), w->answered, w->probes.size());
      });
      if (w->probes.size() - w->answered >= 3)
        out.supports({w->last, w->probes.back()}, [&] {
          return fmt::format("the last {} probes got no answer", w->probes.size() - w->answered);
        });
      out.blames(side_of(receiver));
      out.says([&] { return fmt::format("{}'s application does not read: its window stayed at 0.", capital(receiver)); });
      return;
    }
    std::int32_t from = -1, until = -1;
    const Duration closed = longest_closed(c, receiver, from, until);
    if (closed < 1s) continue;
    out.passed();
    out.supports({from, until}, [&] {
      return fmt::format("{}'s window was 0 for {}, then opened again", name(receiver), say(closed));
    });
    out.blames(side_of(receiver));
    out.says([&] { return fmt::format("{} read late: its window was 0 for {}.", capital(receiver), say(closed)); });
  }
}

}  // namespace

extern const Cause kZeroWindowStallCause;
const Cause kZeroWindowStallCause = {
    .id = CauseId::kZeroWindowStall,
    .title = "The receiver's application does not read: its window stayed at 0.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kZeroWindow,
    .settles = "ss -tm on the receiver: a Recv-Q that stays full; a stack trace of the process that should read",
    .fix = {"look at the receiving process: blocked, stopped, deadlocked, or slower than what is sent to it",
            "net.ipv4.tcp_rmem only decides how much fits before it shows"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
