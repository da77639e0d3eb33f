// connect() that failed, connections that died or stand still, SYN-ACKs that repeat.

#include "diagnose/kernel/words.hpp"

#include <algorithm>

namespace tcpwhy::diagnose::kernel {
namespace {

constexpr std::uint8_t kRepeatsThatTell = 2;  // the third comes 7 s after the first SYN-ACK
constexpr std::uint64_t kDeferred = 3 * kSecond;

/// Nothing of the connection is open any more, or it has been closed by its peer.
bool is_over(State s) { return s != State::kSynRecv && s != State::kNewSynRecv && s != State::kEstablished; }

bool loopback(const facts::Address& a) {
  if (a.version == 4) return a.bytes[0] == 127;
  return std::all_of(a.bytes.begin(), a.bytes.end() - 1, [](std::uint8_t b) { return b == 0; }) && a.bytes[15] == 1;
}


/// The last ICMP error about the case.
const tw_event* icmp_error(const std::vector<tw_event>& events) {
  const tw_event* found = nullptr;
  for (const tw_event& e : events)
    if (e.kind == TW_ICMP) found = &e;
  return found;
}

// RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1: the codes only a filter sends, and "port unreachable", which no TCP sends.
enum class Unreachable : std::uint8_t { kPort, kProhibited, kNoRoute };
Unreachable unreachable(const tw_event& e) {
  const std::uint32_t code = e.reason & 255;
  if (e.family == 6) return code == 4 ? Unreachable::kPort : code == 1 || code == 5 || code == 6 ? Unreachable::kProhibited : Unreachable::kNoRoute;
  return code == 3 ? Unreachable::kPort : code == 9 || code == 10 || code == 13 ? Unreachable::kProhibited : Unreachable::kNoRoute;
}

}  // namespace

/// An ICMP error ended the connect(), and the kernel showed it.
bool Judge::judge_icmp(const tw_event& icmp, const tw_event& e, Failure& out) const {
  facts::Address from;
  from.version = icmp.family == 6 ? 6 : 4;
  std::copy_n(icmp.icmp_from, from.version == 6 ? 16 : 4, from.bytes.begin());
  const std::string target = facts::to_string(out.server), sender = facts::to_string(from);
  const double waited = e.opened_ns != 0 ? in_seconds(e.time_ns - e.opened_ns) : 0;
  const std::string seen = fmt::format("ICMP type {} code {} came from {}; {} after {:.3g} s", icmp.reason >> 8, icmp.reason & 255, sender,
                                       e.error == 0 ? "the application closed the socket" : errno_word(e.error), waited);
  out.outcome = "refused";
  out.ended_by = Side::kPath;
  // RFC 792, RFC 4443 3.3: time exceeded in transit.
  if (icmp.reason == (icmp.family == 6 ? 3u << 8 : 11u << 8)) {
    auto& d = add(out, CauseId::kRoutingLoop, Verdict::kLikely, Side::kPath, fmt::format("The TTL of the SYN to {} ran out at {}: routers send it in a circle.", target, sender));
    note(d, seen);
    d.settles = "tcpwhy probe, or traceroute: the same routers again and again";
    d.fix = {"repair the routes between the routers that repeat"};
    return true;
  }
  if (icmp.reason >> 8 != (icmp.family == 6 ? 1u : 3u)) return false;
  if (const Unreachable what = unreachable(icmp); what != Unreachable::kNoRoute) {
    const bool host = from == out.server.address;
    auto& d = add(out, CauseId::kRejectedByIcmp, what == Unreachable::kProhibited ? Verdict::kProven : Verdict::kLikely, host ? Side::kServer : Side::kPath,
                  fmt::format("A filter {} rejected the connection to {}.", host ? "on the host, or one that speaks in its name," : "at " + sender, target));
    note(d, seen);
    d.fix = {"allow it in that filter (a REJECT rule), or ask who runs it"};
    return true;
  }
  // The kernel tells itself "host unreachable" when nobody answers ARP or ND.
  if (is_local_(e.netns, from)) {
    auto& d = add(out, CauseId::kNeighbourUnresolved, Verdict::kProven, Side::kPath, fmt::format("The next hop towards {} did not answer ARP or ND.", facts::to_string(out.server.address)));
    note(d, seen + ": this host's own word for it");
    d.fix = {"ip neigh; is the next hop up, in this VLAN, with this address?"};
    return true;
  }
  auto& d = add(out, CauseId::kHostUnreachable, Verdict::kProven, Side::kPath, fmt::format("The router {} reported {} unreachable.", sender, facts::to_string(out.server.address)));
  note(d, seen);
  d.fix = {"look at that router's routes and neighbours"};
  return true;
}

bool Judge::judge_connect(const Case& c, const tw_event& e, Failure& out) const {
  out = frame(c, e);
  out.process = process_of(e);
  const double waited = e.opened_ns != 0 ? in_seconds(e.time_ns - e.opened_ns) : 0;
  const std::string target = facts::to_string(out.server);
  if (const tw_event* icmp = icmp_error(c.events); icmp != nullptr && judge_icmp(*icmp, e, out)) return true;
  out.outcome = "refused";
  switch (static_cast<Errno>(e.error)) {
    case Errno::kECONNREFUSED: {
      out.ended_by = Side::kServer;
      const bool here = loopback(out.server.address) || out.server.address == out.client.address;
      auto& d = here ? add(out, CauseId::kRejectedByIcmp, Verdict::kLikely, Side::kServer, fmt::format("A filter on this host rejects connections to {}.", target))
                     : add(out, CauseId::kPortClosed, Verdict::kLikely, Side::kServer, fmt::format("{} refused: the SYN was answered with RST or ICMP port unreachable.", target));
      note(d, fmt::format("ECONNREFUSED after {:.3g} s{}", waited, here ? ", and the kernel sent no RST of its own" : ""));
      d.settles = "the TTL of the RST against that of an open port (tcpwhy probe)";
      d.fix = {"start the service, or allow it in the filter"};
      if (!here) possible(out, {CauseId::kRejectedByMiddlebox, CauseId::kRejectedByIcmp}, Side::kPath, "from here a filter's refusal reads the same");
      return true;
    }
    case Errno::kEHOSTUNREACH:
    case Errno::kEHOSTDOWN:
    case Errno::kENONET: {
      out.ended_by = Side::kPath;
      const bool slow = waited > 2.5;
      auto& d = slow ? add(out, CauseId::kNeighbourUnresolved, Verdict::kLikely, Side::kPath, "The next hop did not answer ARP or ND.")
                     : add(out, CauseId::kHostUnreachable, Verdict::kLikely, Side::kPath, fmt::format("A router reported {} unreachable.", target));
      note(d, fmt::format("{} after {:.3g} s", errno_word(e.error), waited));
      d.settles = "ip neigh, and a capture of the ICMP that came";
      possible(out, {slow ? CauseId::kHostUnreachable : CauseId::kNeighbourUnresolved, CauseId::kRejectedByIcmp}, Side::kPath,
               "the kernel reports the same errno for ICMP host unreachable, prohibited, and a neighbour that does not answer");
      return true;
    }
    case Errno::kENETUNREACH: {
      out.ended_by = Side::kPath;
      auto& d = add(out, CauseId::kHostUnreachable, Verdict::kLikely, Side::kPath, fmt::format("A router reported the network of {} unreachable.", target));
      note(d, fmt::format("ENETUNREACH after {:.3g} s", waited));
      possible(out, {CauseId::kRejectedByIcmp}, Side::kPath, "ICMP network prohibited reads the same");
      return true;
    }
    case Errno::kEACCES:
    case Errno::kEPROTO:
    case Errno::kENOPROTOOPT:
    case Errno::kEOPNOTSUPP: {
      auto& d = add(out, CauseId::kRejectedByIcmp, Verdict::kLikely, Side::kPath, fmt::format("A filter rejected the connection to {} with ICMP.", target));
      note(d, fmt::format("{} after {:.3g} s", errno_word(e.error), waited));
      return true;
    }
    case Errno::kNone: {
      // The application closed the connecting socket itself.
      if (waited < 0.9) {
        out.healthy = true;  // raced and dropped (Happy Eyeballs), or a probe
        return false;
      }
      out.outcome = "unanswered";
      auto& d = add(out, CauseId::kSynUnanswered, Verdict::kLikely, Side::kUnknown,
                    fmt::format("{} gave up on {} after {:.3g} s without an answer.", who(out.process), target, waited));
      note(d, fmt::format("closed in SYN_SENT, {} SYNs repeated", e.retransmitted));
      break;
    }
    default: {
      out.outcome = "unanswered";
      auto& d = add(out, CauseId::kSynUnanswered, Verdict::kLikely, Side::kUnknown, fmt::format("No SYN to {} was answered; the kernel gave up.", target));
      note(d, fmt::format("{} after {:.3g} s, {} SYNs repeated", errno_word(e.error), waited, e.retransmitted));
      break;
    }
  }
  out.diagnoses.front().settles = "a capture at the server: whether the SYN arrives, and whether it is answered (tcpwhy probe shows the hop)";
  possible(out, {CauseId::kSynDroppedOnPath, CauseId::kSynDroppedByHostFilter, CauseId::kSynAckLost, CauseId::kAcceptQueueOverflow, CauseId::kSynQueueOverflow, CauseId::kPeerVanished},
           Side::kUnknown, "this end cannot tell who was silent");
  return true;
}

// --- Time-outs and silence -------------------------------------------------------------------------------------------------

bool Judge::judge_death(const Case& c, const tw_event& e, Failure& out) const {
  Case alone;
  alone.first_ns = alone.story.last_ns = e.time_ns;
  out = frame(alone, e);
  (out.vantage == Side::kClient ? out.client_state : out.server_state) = state_name(e.old_state);
  out.outcome = "timed-out";
  out.ended_by = out.vantage;
  out.process = process_of(e);
  const Side peer = opposite(out.vantage);
  const std::string numbers = fmt::format("{} in {}: {} bytes unacknowledged, {} retransmissions in all, {} timeouts and {} probes at the end",
                                          errno_word(e.error), state_name(e.old_state), e.unacked, e.retransmitted, e.tries, e.probes);
  if (e.error == number(Errno::kECONNABORTED)) return false;  // its RST tells
  if (judge_strange_answers(c, e, out) || judge_untaken(c, e, out)) return true;
  if (e.user_timeout_ms != 0) {
    auto& d = add(out, CauseId::kUserTimeout, Verdict::kProven, peer, fmt::format("TCP_USER_TIMEOUT of {} ms ended the connection.", e.user_timeout_ms));
    note(d, numbers);
    possible(out, {CauseId::kPathBlackhole, CauseId::kPeerVanished}, Side::kUnknown, "why nothing came back cannot be told from here");
    return true;
  }
  if (e.tries == 0 && e.probes > 0 && e.unacked > 0) {
    auto& d = add(out, CauseId::kZeroWindowStall, Verdict::kLikely, peer, "The peer's window stayed shut, and its probes went unanswered until the kernel gave up.");
    note(d, numbers);
    return true;
  }
  if (e.probes > 0 && e.unacked == 0) {
    auto& d = add(out, CauseId::kKeepaliveDeadPeer, Verdict::kProven, peer, "Keepalive probes stayed unanswered until the kernel gave up.");
    note(d, numbers);
    return true;
  }
  auto& d = add(out, CauseId::kPeerUnresponsive, Verdict::kProven, peer, "Data was repeated until the kernel gave up; nothing came back any more.");
  note(d, numbers);
  d.settles = "a capture at the other end: whether the repeats arrive";
  possible(out, {CauseId::kPathBlackhole, CauseId::kPeerVanished, CauseId::kNatStateLostSilent, CauseId::kPmtuBlackhole}, Side::kUnknown, "silence looks the same from here");
  return true;
}

/// Each time the data is sent a RST comes that fits no number of the connection: its sender answers what it was sent, and took that for
/// something else (RFC 9293 3.5.2: a RST in answer bears the ACK number that came).
bool Judge::judge_strange_answers(const Case& c, const tw_event& e, Failure& out) const {
  if (c.stray_resets == 0 || e.unacked == 0) return false;
  auto& d = add(out, CauseId::kAckNumberRewritten, c.stray_resets > 1 ? Verdict::kLikely : Verdict::kPossible, Side::kPath,
                "The data goes unanswered, but for RSTs whose numbers are none of this connection's: it does not arrive as it was sent.");
  note(d, fmt::format("{} bytes sent {} times, {} RST ignored: outside the window", e.unacked, e.tries + 2, c.stray_resets));
  d.settles = "captures at both ends: the ACK numbers of the same segment";
  d.fix = {"look for a balancer or a firewall on the way that rewrites sequence numbers"};
  possible(out, {CauseId::kUnacceptableAck, CauseId::kForgedReset}, Side::kPath, "a RST of a third party that guesses the numbers is ignored just so");
  return true;
}

/// The handshake is over here, nothing sent since was ever acknowledged, and the SYN-ACK comes again.
bool Judge::judge_untaken(const Case& c, const tw_event& e, Failure& out) const {
  std::uint32_t synacks = 0;  // dropped as SYNs inside a connection (RFC 5961 4)
  for (const tw_event& other : c.events) synacks += other.kind == TW_DROPPED && (other.tcp_flags & (kSyn | kAck)) == (kSyn | kAck);
  if (out.vantage != Side::kClient || synacks == 0 || e.bytes_acked > 1 || e.bytes_in != 0) return false;
  out.outcome = "handshake-failed";
  auto& d = add(out, CauseId::kAcceptQueueOverflow, Verdict::kPossible, Side::kServer, "The server repeats its SYN-ACK and takes no data: its accept queue may be full.");
  note(d, fmt::format("{} bytes sent {} times, none acknowledged; the SYN-ACK came again after the handshake", e.unacked, e.tries + 2));
  d.settles = "ListenOverflows and ss -lnt on the server while it happens (tcpwhy host)";
  d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together, on the server"};
  possible(out, {CauseId::kHandshakeAckLost, CauseId::kAckNumberRewritten}, Side::kPath, "a path that loses or spoils whatever the client sends after its SYN looks the same from here");
  return true;
}

bool Judge::judge_silence(const Case& c, const tw_event& e, Failure& out) const {
  Case alone;
  alone.first_ns = alone.story.last_ns = e.time_ns;
  out = frame(alone, e);
  out.process = process_of(e);
  if (is(e.state, State::kSynSent)) {
    // A neighbour that does not answer is told of by ICMP after three seconds; until then nothing is said.
    const double waited = e.opened_ns != 0 ? in_seconds(e.time_ns - e.opened_ns) : 0;
    if (e.tries < 1 || (e.opened_ns != 0 ? waited < 3.5 : e.tries < 3)) return false;
    out.outcome = "unanswered";
    auto& d = add(out, CauseId::kSynUnanswered, Verdict::kLikely, Side::kUnknown,
                  fmt::format("{} SYNs to {} have not been answered so far.", e.tries + 2, facts::to_string(out.server)));
    note(d, fmt::format("connecting for {:.3g} s", waited));
    d.settles = "a capture at the server: whether the SYN arrives, and whether it is answered (tcpwhy probe shows the hop)";
    possible(out, {CauseId::kSynDroppedOnPath, CauseId::kSynDroppedByHostFilter, CauseId::kSynAckLost, CauseId::kAcceptQueueOverflow, CauseId::kSynQueueOverflow, CauseId::kPeerVanished},
             Side::kUnknown, "this end cannot tell who was silent");
    return true;
  }
  if (e.tries < 3) return false;
  if (judge_strange_answers(c, e, out) || judge_untaken(c, e, out)) return true;
  out.outcome = "timed-out";
  const bool large_only = e.bytes_acked > 1 && e.mss != 0 && e.unacked >= e.mss && e.bytes_in > 0;
  auto& d = add(out, CauseId::kPeerUnresponsive, Verdict::kLikely, opposite(out.vantage),
                fmt::format("The same data has been sent {} times in a row, and nothing came back.", e.tries + 2));
  note(d, fmt::format("{} bytes unacknowledged, {} acknowledged before, {} retransmissions in all", e.unacked, e.bytes_acked, e.retransmitted));
  d.settles = "a capture at the other end: whether the repeats arrive";
  possible(out, {CauseId::kPathBlackhole, CauseId::kPeerVanished, CauseId::kNatStateLostSilent}, Side::kUnknown, "silence looks the same from here");
  if (large_only) possible(out, {CauseId::kPmtuBlackhole}, Side::kPath, "full-size segments are outstanding while small ones had passed");
  return true;
}

bool Judge::judge_synack(const Case& c, const tw_event& e, Failure& out) const {
  out = frame(c, e);
  out.outcome = "handshake-failed";
  out.client_state = "UNSEEN";
  out.server_state = "SYN_RECV";
  out.bytes_in = out.bytes_sent = 0;
  const bool full = e.queue > e.queue_limit;
  if (has(e, TW_REQ_ACKED)) {
    if (e.defer_accept != 0 && !full) {
      if (e.tries + 1u < e.defer_accept) return false;
      for (const tw_event& other : c.events)
        if (other.kind == TW_RESET_SENT && other.payload > 0) return false;  // it sent, and was refused: its RST tells
      // The client's next bare ACK makes the connection, and its data may yet come.
      if (now_ns_ < c.story.last_ns + kDeferred) return false;
      if (const auto now = look_at_ ? look_at_(e) : std::nullopt; now && (now->bytes_received > 0 || (is_over(now->state) && !now->empty))) return false;
      auto& d = add(out, CauseId::kDeferAcceptNoData, Verdict::kLikely, Side::kClient, "TCP_DEFER_ACCEPT: the client completed the handshake and sent nothing.");
      note(d, fmt::format("the request has its ACK; the listener defers accept() for {} timeouts", e.defer_accept));
      d.fix = {"nothing, if the client is a port check; else let it send first"};
      return true;
    }
    auto& d = add(out, CauseId::kAcceptQueueOverflow, full ? Verdict::kProven : Verdict::kLikely, Side::kServer,
                  "The client's ACK arrived, yet the connection was not created: the accept queue was full.");
    note(d, fmt::format("SYN-ACK sent again {} times after the ACK; accept queue {} of {}", e.tries + 1, e.queue, e.queue_limit));
    d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together"};
    return true;
  }
  if (e.tries < 1) return false;
  if (e.probes > e.tries && e.tries >= kRepeatsThatTell) {
    auto& d = add(out, CauseId::kSynAckLost, Verdict::kLikely, Side::kPath, "The client repeats its SYN: the SYN-ACKs sent to it do not arrive.");
    note(d, fmt::format("the SYN-ACK was sent again {} times, {} of them because the SYN came again", e.probes + 1, e.probes - e.tries));
    d.settles = "a capture at the client, or on the way: where the SYN-ACK ends";
    d.fix = {"check the way back: routes, filters and NAT for packets from this host to the client"};
    return true;
  }
  // Two in a row are lost on a bad path now and then.
  auto& d = add(out, CauseId::kHandshakeAckLost, e.tries >= kRepeatsThatTell ? Verdict::kLikely : Verdict::kPossible, Side::kPath, "The SYN-ACK has been sent several times, and no ACK came back.");
  note(d, fmt::format("{} repeats so far", e.tries + 1));
  d.settles = "a capture at the client: whether the SYN-ACK arrives there";
  possible(out, {CauseId::kSynAckLost, CauseId::kSynFlood}, Side::kUnknown, "a SYN-ACK that never arrives, and a forged SYN, look the same from here");
  return true;
}

}  // namespace tcpwhy::diagnose::kernel
