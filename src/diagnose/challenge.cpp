#include "diagnose/challenge.hpp"

#include <cstdlib>

namespace tcpwhy::diagnose {

std::optional<Challenge> challenge_of(const facts::Connection& c) {
  const Opening o = opening_of(c);
  if (o.challenge < 0) return std::nullopt;
  if (c.outcome == facts::Outcome::kPartial) return std::nullopt;  // the capture may have missed the SYN-ACK before it
  Challenge out;
  out.syn = o.syn;
  out.ack = o.challenge;
  out.rst = o.challenge_rst;
  out.reopened = o.syn_ack;
  const facts::SegmentFact& syn = c.segment(o.syn);
  const facts::SegmentFact& ack = c.segment(o.challenge);
  // Linux tcp_timewait_state_process(): a SYN is let in when its number lies after
  // rcv_nxt or its TSval after ts_recent; the ACK shows both (its ACK number, its TSecr).
  out.newer_sequence = after(syn.seq, ack.ack);
  if (syn.has(wire::Opt::kTimestamps) && ack.has(wire::Opt::kTimestamps) && ack.tsecr != 0) {
    out.newer_timestamp = after(SeqNum{syn.tsval}, SeqNum{ack.tsecr});
    out.older_timestamp = before(SeqNum{syn.tsval}, SeqNum{ack.tsecr});
  }
  out.time_wait_would_accept = !out.older_timestamp && (out.newer_sequence || out.newer_timestamp);
  const bool v4 = c.ends[0].address.version == 4;
  out.no_ip_id = v4 && ack.ip_id == 0;
  out.has_ip_id = v4 && ack.ip_id != 0;
  out.previous_seen = c.previous_end.has_value();
  out.previous_closed = c.previous_closed;
  out.server_closed_first = c.previous_closer == facts::Party::kServer;
  if (c.previous_end) out.since_previous = syn.time - *c.previous_end;
  return out;
}

std::string_view other_client(const facts::Connection& c) {
  if (c.syn < 0 || !c.previous_end) return {};
  const facts::SegmentFact& syn = c.segment(c.syn);
  if (c.previous_client_ttl != 0 && std::abs(static_cast<int>(c.previous_client_ttl) - static_cast<int>(syn.ttl)) > 0)
    return "TTL";
  if (c.previous_syn_window == 0) return {};
  if (c.previous_syn_options != syn.options) return "options of its SYN";
  if (c.previous_syn_window != syn.window) return "window of its SYN";
  return {};
}

}  // namespace tcpwhy::diagnose
