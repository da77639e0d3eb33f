// annotate(): from segments to a story. Everything is decided from this one
// connection's segments and coverage, in a fixed order: the reading of numbers
// first, then what limits the observation, then how it ended, and the signals
// last because they are made of all of it.

#include "flow/annotate.hpp"

#include "tcpwhy/track.hpp"

namespace tcpwhy::flow {

void annotate(facts::Connection& c) {
  c.notes.assign(c.segments.size(), Note{});
  c.exchanges.clear();
  c.syn = c.syn_ack = c.handshake_ack = -1;
  c.handshake_rtt.reset();
  c.rtt_to_server.reset();
  c.rtt_to_client.reset();
  c.states = {};
  c.outcome = facts::Outcome::kPartial;
  c.ended_by.reset();
  c.ended_by_network = false;
  c.vantage = facts::Vantage::kUnknown;

  Reader reader{c};
  reader.read();
  annotate_exchanges(c);
  annotate_quality(c, reader);
  annotate_outcome(c, reader);
  annotate_signals(c, reader);
}

}  // namespace tcpwhy::flow
