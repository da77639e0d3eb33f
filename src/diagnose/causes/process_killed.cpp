// The process died in the middle of its work; its kernel closed the sockets for it.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// First attempt at the same service that was refused within `within` after `since`.
std::optional<facts::Attempt> refused_after(const facts::Survey& survey, const facts::Endpoint& service, CaptureTime since) {
  const facts::ServiceFacts* s = survey.service(service);
  if (s == nullptr) return std::nullopt;
  for (const facts::Attempt& a : s->failures_sample.values)
    if (a.fate == facts::Attempt::Fate::kRefused && a.syn >= since && a.syn - since < std::chrono::seconds{30}) return a;
  return std::nullopt;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const std::int32_t stop = ending::stop_of(c, Party::kServer);
  if (stop < 0 || c.handshake_ack < 0 || c.quality.capture_gap) return;
  const auto r = ending::ending_reset(c);
  const bool by_rst = c.segment(stop).rst();
  if (by_rst && (!r || r->answer || r->foreign() || ending::formality(c, *r))) return;
  const ending::Talk t = ending::talk_before(c, stop);
  const bool working = t.request >= 0 || t.answer_short;
  if (!working) return;
  if (const std::int32_t client = ending::stop_of(c, Party::kClient); client >= 0 && client < stop) return;

  // exit() closes every descriptor as close() does: FIN, or RST where data was unread. The listener goes as well.
  if (const auto refused = refused_after(survey, c.ends[1], c.segment(stop).time)) {
    out.supports({stop}, [&] {
      return fmt::format("a new connection to the same port was refused {} later: the listener was gone too",
                         ending::span(refused->syn - c.segment(stop).time));
    });
    out.supports({t.request, stop}, [&] { return std::string{"the server ended the connection while it owed an answer"}; });
    out.supports({stop}, [&] { return std::string{by_rst ? "it sent RST, as the kernel does for unread data of a dead process"
                                                         : "it sent FIN, as the kernel does for a dead process"}; });
    return;
  }
  // Elsewhere the client's last words may be its goodbye.
  const bool owed = t.request >= 0 && c.segment(t.request).app == facts::App::kHttpRequest;
  if (!by_rst && t.request >= 0 && owed && ending::between(c, t.request_end, stop) > std::chrono::milliseconds{1})
    out.supports({t.request, stop}, [&] {
      return fmt::format("the server sent FIN {} after a request it had acknowledged, without an octet of answer",
                         ending::span(ending::between(c, t.request_end, stop)));
    });
}

}  // namespace

extern const Cause kProcessKilledCause;
const Cause kProcessKilledCause = {
    .id = CauseId::kProcessKilled,
    .title = "The server's process ended in the middle of its work.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kEarlyClose | facts::Signal::kAnnouncedShort,
    .settles = "the server's journal at that second: exit, signal, out-of-memory kill (`journalctl -k | grep -i oom`), restart",
    .fix = {"find why it ended: journalctl -u SERVICE, dmesg, the orchestrator's restarts and liveness probes",
            "let the service stop gently: close the listener, finish the running requests, then exit"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
