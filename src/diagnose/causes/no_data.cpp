// Opened and closed without an octet of data: a health check, a browser's spare
// connection, a connect() test.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (is_port_check(c, survey)) {
    const std::int32_t rst = c.stream(Party::kClient).rst;
    out.supports({c.syn_ack, rst}, [&] {
      return fmt::format("the client aborted it {} after the SYN-ACK without a word, as it does each time it calls this port: a check that the port answers",
                         say(c.segment(rst).time - c.segment(c.syn_ack).time));
    });
    return;
  }
  const facts::StreamFacts& client = c.stream(Party::kClient);
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (c.syn < 0 || !established(c) || c.quality.one_direction || c.quality.capture_gap) return;
  if (client.unique_bytes > 0 || server.unique_bytes > 0 || client.first_data >= 0 || server.first_data >= 0) return;
  if (!client.fin_seen && !server.fin_seen) return;
  if (third_ack_refused(c, opening_of(c))) return;  // it never came to be opened
  const std::int32_t fin = client.fin < 0 || (server.fin >= 0 && server.fin < client.fin) ? server.fin : client.fin;
  out.supports({c.syn, fin}, [&] {
    return fmt::format("closed {} after the SYN (frame {}) with no payload either way",
                       say(c.segment(fin).time - c.segment(c.syn).time), c.segment(fin).frame);
  });
}

}  // namespace

extern const Cause kNoDataCause;
const Cause kNoDataCause = {
    .id = CauseId::kNoData,
    .title = "The connection was opened and closed without any data.",
    .benign = true,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kNoPayload | facts::Signal::kReset,
    .settles = "nothing to settle: health checks and connection tests look like this",
    .fix = {},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
