// FIN before the announced length was delivered.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

/// The response acknowledges the request that was seen before it, and nothing beyond.
bool answers_what_was_seen(const facts::Connection& c, const facts::Exchange& x) {
  const facts::SegmentFact& asked = c.segment(x.request_end);
  const facts::SegmentFact& answered = c.segment(x.response);
  return answered.has_ack() && answered.ack == asked.seq + asked.payload_bytes;
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const std::int32_t fin = c.stream(Party::kServer).fin;
  if (fin < 0 || c.quality.story_incomplete) return;
  if (const std::int32_t client = ending::stop_of(c, Party::kClient); client >= 0 && client < fin) return;
  for (const facts::Exchange& x : c.exchanges) {
    if (x.response < 0 || !x.announced || x.delivered_bytes >= x.announced_bytes) continue;
    // Where the capture lost packets, the answer may belong to a request that is missing (HEAD announces, too).
    if (c.quality.capture_gap && !answers_what_was_seen(c, x)) continue;
    out.demands({x.response, fin}, [&] {
      return fmt::format("the response announced {} in all (RFC 9112 6.3) and the FIN came after {}", ending::octets(x.announced_bytes),
                         ending::octets(x.delivered_bytes));
    });
    return;
  }
  if (!c.quality.capture_gap && !c.exchanges.empty() && c.exchanges.back().last_chunk_missing) {
    const facts::Exchange& x = c.exchanges.back();
    out.supports({x.response, x.response_end, fin}, [&] {
      return fmt::format("the response was chunked, and the FIN came after {} of it, without the last chunk (RFC 9112 8)",
                         ending::octets(x.delivered_bytes));
    });
    out.says([] { return std::string{"The server closed in the middle of a chunked response."}; });
    return;
  }

  if (!c.quality.capture_gap && !c.exchanges.empty() && c.exchanges.back().record_cut && !ending::counts_unseen(c, fin)) {
    const facts::Exchange& x = c.exchanges.back();
    out.demands({x.response, x.response_end, fin}, [&] {
      return fmt::format("TLS records announced {} from where the last of them begin, and the FIN came after {} (RFC 8446 5.1, 6.1)",
                         ending::octets(x.record_octets), ending::octets(x.record_kept));
    });
    out.says([] { return std::string{"The server closed in the middle of a TLS record."}; });
    return;
  }

  // No octet of an answer at all, where answers are the custom: curl's "empty reply".
  if (c.quality.capture_gap || ending::counts_unseen(c, fin)) return;
  const ending::Talk t = ending::talk_before(c, fin + 1);
  if (t.request < 0 || fin < t.request_end || c.handshake_ack < 0) return;
  // In other protocols the client's last words may be its goodbye (MQTT DISCONNECT, COM_QUIT): no answer is owed.
  if (!ending::owes_answer(c, t.request)) return;
  const std::int32_t acked =
      ending::ack_of(c, Party::kServer, c.segment(t.request_end).seq + c.segment(t.request_end).payload_bytes, t.request_end);
  if (acked < 0 || acked > fin) return;  // the request may have come after close(): keepalive-race, data-after-close
  out.supports({t.request, acked, fin}, [&] {
    return fmt::format("the server acknowledged the request and sent FIN {} later, without an octet of answer",
                       ending::span(facts::between(c, t.request_end, fin)));
  });
  out.supports({fin}, [&] { return std::string{"a response was owed: none had been announced or begun (RFC 9112 8)"}; });
  out.says([&] { return std::string{"The server closed without answering the request (empty reply)."}; });
}

}  // namespace

extern const Cause kPrematureCloseCause;
const Cause kPrematureCloseCause = {
    .id = CauseId::kPrematureClose,
    .title = "The server closed before it had delivered the length it announced.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kAnnouncedShort | facts::Signal::kEarlyClose,
    .settles = "the server's error log for that request: an exception, a killed worker, or a backend that closed first",
    .fix = {"look at the worker that served this request (crash, time limit, out of memory), and at the backend behind a proxy",
            "a wrong Content-Length shows the same: compare it with the body the application meant to send"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
