// The server accepted and closed or reset at once.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const std::int32_t stop = ending::stop_of(c, Party::kServer);
  if (stop < 0 || c.handshake_ack < 0 || stop < c.handshake_ack) return;
  if (c.segment(stop).rst() && !c.segment(stop).has_ack()) return;  // an answer to something, not a close
  if (const std::int32_t client = ending::stop_of(c, Party::kClient); client >= 0 && client < stop) return;
  const auto r = ending::ending_reset(c);
  if (r && r->at == stop && r->foreign()) return;
  const ending::Talk t = ending::talk_before(c, stop);
  if (ending::server_spoke_before(c, stop)) {
    out.contradicts({t.answer >= 0 ? t.answer : stop}, [&] { return std::string{"the server sent data before it closed"}; });
    return;
  }
  const Duration lived = facts::between(c, c.handshake_ack, stop);
  if (lived > std::max<Duration>(std::chrono::milliseconds{1000}, 3 * c.handshake_rtt.value_or(Duration{}))) return;
  const bool request_first = t.request >= 0;
  // FIN although data had come: the application had read it, so it did not close at once (tcp_close() sends RST otherwise).
  if (request_first && c.segment(stop).fin()) return;
  const bool silent_client = c.stream(Party::kClient).payload_bytes == 0;
  // With a request before it the RST may as well be a dead process, unread data or SO_LINGER 0.
  out.note(request_first ? Bearing::kFits : Bearing::kSupports, {c.handshake_ack, stop}, {}, [&] {
    return fmt::format("the server sent {} {} after the handshake, without an octet of data before it",
                       c.segment(stop).rst() ? "RST" : "FIN", ending::span(lived));
  });
  if (!request_first)
    out.supports({stop}, [&] {
      return std::string{silent_client ? "it did not wait for a request: none had been sent"
                                       : "it did not wait for a request: the first data of the client came after that"};
    });
  if (!request_first && c.segment(stop).rst())
    out.supports({stop}, [&] { return std::string{"RST with ACK flag: a listener that is closed, or a close() under SO_LINGER 0, right after accept()"}; });
}

}  // namespace

extern const Cause kImmediateCloseCause;
const Cause kImmediateCloseCause = {
    .id = CauseId::kImmediateClose,
    .title = "The server accepted the connection and closed it at once.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kEarlyClose | facts::Signal::kNoPayload,
    .settles = "the server's log: a limit of connections, an access rule (tcp wrappers, proxy allow list), or a backend it could not reach",
    .fix = {"look for connection limits, access lists and dead backends on the server or the balancer in front of it"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
