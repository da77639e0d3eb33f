// The process died in the middle of its work; its kernel closed the sockets for it.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// The listener was gone when the handshake's last segment came: its RST is the host's, which has no such socket (Linux
/// tcp_v4_rcv(): a request whose listener is closed is dropped, and the segment looked up again).
void examine_opening(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const Opening o = opening_of(c);
  if (!third_ack_refused(c, o)) return;
  const CaptureTime when = c.segment(o.server_rst).time;
  const auto refused = refused_after(c, survey, when);
  if (!refused || listener_seen_between(c, survey, when, refused->syn)) {
    out.fits({o.third, o.server_rst}, [] { return std::string{"the same RST comes where the listening socket was closed during the handshake"}; });
    return;
  }
  out.supports({o.server_rst}, [&] {
    return fmt::format("a new connection to the same port was refused {} later: the listener was gone", ending::span(refused->syn - when));
  });
  out.supports({o.syn_ack, o.third, o.server_rst}, [] {
    return std::string{"it had answered the SYN, and the client's ACK met no socket any more: RST with its ACK number"};
  });
  out.says([] { return std::string{"The server's listening socket was closed during the handshake."}; });
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const std::int32_t stop = ending::stop_of(c, Party::kServer);
  if (stop < 0 || c.handshake_ack < 0 || c.quality.capture_gap) return;
  const auto r = ending::ending_reset(c);
  const bool by_rst = c.segment(stop).rst();
  if (by_rst && r && r->answer) examine_opening(c, survey, out);
  if (by_rst && (!r || r->answer || r->foreign() || ending::formality(c, *r))) return;
  const ending::Talk t = ending::talk_before(c, stop + 1);
  const bool working = t.request >= 0 || t.answer_short;
  if (!working) return;
  if (const std::int32_t client = ending::stop_of(c, Party::kClient); client >= 0 && client < stop) return;

  // exit() closes every descriptor as close() does: FIN, or RST where data was unread. The listener goes as well.
  if (const auto refused = refused_after(c, survey, c.segment(stop).time)) {
    out.supports({stop}, [&] {
      return fmt::format("a new connection to the same port was refused {} later: the listener was gone too",
                         ending::span(refused->syn - c.segment(stop).time));
    });
    out.supports({t.request, stop}, [&] { return std::string{"the server ended the connection while it owed an answer"}; });
    out.supports({stop}, [&] { return std::string{by_rst ? "it sent RST, as the kernel does for unread data of a dead process"
                                                         : "it sent FIN, as the kernel does for a dead process"}; });
    return;
  }
  if (ending::counts_unseen(c, stop)) return;  // an answer had begun
  // Elsewhere the client's last words may be its goodbye.
  const std::int32_t acked = t.request < 0 ? -1 : ending::ack_of(c, Party::kServer, c.segment(t.request_end).seq + c.segment(t.request_end).payload_bytes, t.request_end);
  const bool owed = acked >= 0 && acked <= stop && c.segment(t.request).app == facts::App::kHttpRequest;
  if (!by_rst && t.request >= 0 && owed && facts::between(c, t.request_end, stop) > std::chrono::milliseconds{1})
    out.supports({t.request, stop}, [&] {
      return fmt::format("the server sent FIN {} after a request it had acknowledged, without an octet of answer",
                         ending::span(facts::between(c, t.request_end, stop)));
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
