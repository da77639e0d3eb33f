// Segments the kernel drops and names the reason of (linux-tcp 7.6).

#include "diagnose/kernel/words.hpp"

namespace tcpwhy::diagnose::kernel {

namespace {

constexpr std::uint64_t kRepeatedAfter = 150'000'000;

/// A segment that was overtaken on the way is dropped as old and sent again with a new timestamp; only where the repeat is
/// old as well has the clock gone back. A retransmission timer is 200 ms at least.
bool came_again(const std::vector<tw_event>& events, std::uint32_t reason) {
  for (const tw_event& a : events)
    for (const tw_event& b : events)
      if (a.kind == TW_DROPPED && b.kind == TW_DROPPED && a.reason == reason && b.reason == reason && a.seq == b.seq &&
          b.time_ns > a.time_ns + kRepeatedAfter)
        return true;
  return false;
}

}  // namespace

/// The connection is open here, and the server goes on with its SYN-ACK: it does not take the last ACK.
bool Judge::judge_repeated_synacks(const Case& c, const tw_event& e, Failure& out) const {
  std::uint32_t repeats = 0;
  for (const tw_event& other : c.events) repeats += other.kind == TW_DROPPED && (other.tcp_flags & (kSyn | kAck)) == (kSyn | kAck);
  // One tells of a lost ACK; what is not acknowledged is told with its silence.
  if (repeats < 2 || e.bytes_in != 0 || e.bytes_acked > 1 || now_ns_ < c.story.last_ns + kSecond) return false;
  for (const tw_event& other : c.events)
    if (other.kind == TW_RETRANSMIT) return false;
  if (const auto now = look_at_ ? look_at_(e) : std::nullopt; now && now->bytes_received > 0) return false;
  out.outcome = "handshake-failed";
  auto& d = add(out, CauseId::kAcceptQueueOverflow, Verdict::kPossible, Side::kServer,
                "The server repeats its SYN-ACK though the connection is open here: its accept queue may be full.");
  note(d, fmt::format("the SYN-ACK came again {} times after the handshake; nothing else has come", repeats));
  d.settles = "ListenOverflows and ss -lnt on the server while it happens (tcpwhy host)";
  possible(out, {CauseId::kHandshakeAckLost}, Side::kPath, "a path that loses the client's ACKs looks the same from here");
  possible(out, {CauseId::kDeferAcceptNoData}, Side::kServer, "a server that waits for data first (TCP_DEFER_ACCEPT) may repeat it, too");
  return true;
}

bool Judge::judge_drop(const Case& c, const tw_event& e, Failure& out) const {
  const std::string_view reason = names_.drop_reason(e.reason);
  out = frame(c, e);
  const bool syn = (e.tcp_flags & (kSyn | kAck)) == kSyn, syn_ack = (e.tcp_flags & (kSyn | kAck)) == (kSyn | kAck);
  const bool in = has(e, TW_INCOMING);
  const bool ours = is_local_(e.netns, facts::local_end(e).address);
  const char* what = syn ? "SYN" : syn_ack ? "SYN-ACK" : (e.tcp_flags & kRst) != 0 ? "RST" : e.payload > 0 ? "data" : "segment";
  if (syn_ack) {  // roles by the packet: who sends a SYN-ACK is the server
    const facts::Endpoint sender = in ? facts::remote_end(e) : facts::local_end(e), receiver = in ? facts::local_end(e) : facts::remote_end(e);
    out.server = sender;
    out.client = receiver;
    out.vantage = in ? Side::kClient : Side::kServer;
    out.roles_inferred = false;
  }
  const Side me = ours || !in ? out.vantage : Side::kPath;
  if (me == Side::kPath) out.vantage = Side::kPath;
  auto evidence = [&](Diagnosis& d) {
    note(d, fmt::format("{} {} dropped by this host's kernel as {}{}", c.drops, c.drops == 1 ? what : "segments", reason,
                                     ours || !in ? "" : ", on its way through"));
  };
  out.outcome = syn ? "unanswered" : syn_ack ? "handshake-failed" : "stalled";

  if (reason == "TCP_LISTEN_OVERFLOW") {
    for (const tw_event& other : c.events)  // under tcp_abort_on_overflow its RST tells more
      if (other.kind == TW_RESET_SENT) return false;
    out.outcome = "handshake-failed";
    auto& d = add(out, CauseId::kAcceptQueueOverflow, Verdict::kProven, Side::kServer, "The accept queue was full: the third segment of the handshake was ignored.");
    evidence(d);
    d.settles = "nothing more is needed; ss -lnt shows the queue while it lasts";
    d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together"};
    return true;
  }
  if (reason == "NETFILTER_DROP" || reason == "IP_RPFILTER" || reason == "XFRM_POLICY" || reason == "TC_INGRESS" || reason == "TC_EGRESS" ||
      reason == "BPF_CGROUP_EGRESS" || reason == "SOCKET_FILTER") {
    const char* filter = reason == "IP_RPFILTER" ? "reverse path filter" : reason == "XFRM_POLICY" ? "IPsec policy" : reason == "NETFILTER_DROP"
                             ? "packet filter" : reason == "SOCKET_FILTER" ? "socket filter" : "traffic control or cgroup program";
    const bool through = in && !ours;
    const tw_event* icmp = nullptr;
    for (const tw_event& other : c.events)
      if (other.kind == TW_ICMP_SENT) icmp = &other;
    if (icmp != nullptr) {
      out.outcome = "refused";
      out.ended_by = through ? Side::kPath : me;
      auto& d = add(out, CauseId::kRejectedByIcmp, Verdict::kProven, through ? Side::kPath : me,
                    fmt::format("This host's {} rejects the {} from {}.", filter, what, facts::to_string(facts::remote_end(e))));
      evidence(d);
      note(d, fmt::format("the answer was ICMP type {} code {}", icmp->reason >> 8, icmp->reason & 255));
      d.fix = {"find the rule: nft list ruleset, iptables-save -c; its counter rises"};
      return true;
    }
    const CauseId cause = syn ? (through ? CauseId::kSynDroppedOnPath : CauseId::kSynDroppedByHostFilter)
                            : syn_ack ? CauseId::kSynAckLost : through || !in ? CauseId::kPathBlackhole : CauseId::kHostDropped;
    if ((e.tcp_flags & kRst) != 0) return false;  // a filter that eats resets harms nobody by itself
    auto& d = add(out, cause, Verdict::kProven, through ? Side::kPath : me,
                  fmt::format("This host's {} drops the {} {} {}.", filter, what, in ? "from" : "to", facts::to_string(facts::remote_end(e))));
    evidence(d);
    d.fix = {reason == "IP_RPFILTER" ? "repair the routes, or net.ipv4.conf.*.rp_filter=2" : "find the rule: nft list ruleset, iptables-save -c; its counter rises"};
    return true;
  }
  if (reason == "TCP_CSUM") {
    out.outcome = "stalled";
    auto& d = add(out, CauseId::kChecksumCorruption, Verdict::kProven, Side::kPath, "Segments arrive with wrong TCP checksums and are dropped.");
    evidence(d);
    d.fix = {"find the device that damages them: a NIC's offload, a NAT, a tunnel; InCsumErrors counts them"};
    return true;
  }
  if (reason.starts_with("TCP_MD5") || reason.starts_with("TCP_AO") || reason == "TCP_AUTH_HDR") {
    auto& d = add(out, CauseId::kAuthenticationMismatch, Verdict::kProven, Side::kUnknown, "TCP MD5 or AO signatures do not match: segments are ignored.");
    evidence(d);
    d.fix = {"configure the same key for the peer on both sides"};
    return true;
  }
  if (reason == "NEIGH_FAILED" || reason == "NEIGH_CREATEFAIL") {
    auto& d = add(out, CauseId::kNeighbourUnresolved, Verdict::kProven, Side::kPath, fmt::format("The next hop towards {} does not answer ARP or ND.", facts::to_string(facts::remote_end(e).address)));
    evidence(d);
    d.fix = {"ip neigh; is the next hop up, in this VLAN, with this address?"};
    return true;
  }
  if (reason == "TCP_INVALID_SYN") {
    out.outcome = "handshake-failed";
    if (syn_ack && has(e, TW_OTHER_ISN)) {
      auto& d = add(out, CauseId::kConflictingSynAcks, Verdict::kProven, Side::kPath,
                    "A second SYN-ACK came with another sequence number: two answer for this address.");
      note(d, fmt::format("SYN-ACK with sequence number {}, dropped as {}", e.seq, reason));
      d.settles = "the TTLs of the two SYN-ACKs in a capture";
      d.fix = {"look for a SYN proxy, a second host with this address, or two paths through a balancer"};
      return true;
    }
    if (syn_ack) return judge_repeated_synacks(c, e, out);
    if (!syn) return false;
    auto& d = add(out, CauseId::kHalfOpenChallenged, Verdict::kLikely, Side::kClient, "A SYN hit a connection this host still holds: it was answered with a challenge ACK.");
    evidence(d);
    d.settles = "whether the client restarted, or a NAT gave its port to another";
    possible(out, {CauseId::kClientRestarted, CauseId::kNatPortCollision}, Side::kUnknown, "both reuse the tuple without closing");
    return true;
  }
  if (reason == "NOT_SPECIFIED" && is(e.state, State::kTimeWait) && syn) {
    out.outcome = "handshake-failed";
    auto& d = add(out, CauseId::kTimeWaitSynChallenged, Verdict::kProven, Side::kServer,
                  "A SYN met a connection in TIME_WAIT whose numbers were not below its own: an ACK of the old connection answered it.");
    note(d, fmt::format("{} dropped in TIME_WAIT, sequence number {}", c.drops == 1 ? "SYN" : fmt::format("{} SYNs", c.drops), e.seq));
    d.settles = "whether the client's RST to that ACK arrives: then its next SYN is taken";
    d.fix = {"timestamps on both sides let a new SYN pass at once (RFC 6191)", "clients: more local ports, or let the other side close first"};
    return true;
  }
  if ((reason == "TCP_RFC7323_PAWS" && came_again(c.events, e.reason)) || reason == "TCP_RFC7323_TW_PAWS") {
    auto& d = add(out, CauseId::kTimestampRegression, Verdict::kProven, Side::kPath, "Timestamps went backwards within the connection: PAWS drops its segments.");
    evidence(d);
    return true;
  }
  if (reason == "TCP_INVALID_ACK_SEQUENCE" || reason == "TCP_ACK_UNSENT_DATA") {
    // One is enough where the kernel had to challenge it; an old duplicate has an old number as well.
    auto& d = add(out, CauseId::kUnacceptableAck, c.drops >= 3 ? Verdict::kProven : Verdict::kLikely, Side::kPath, "Segments acknowledge what this host never sent and are dropped.");
    evidence(d);
    possible(out, {CauseId::kAckNumberRewritten, CauseId::kInjectedData}, Side::kPath, "a device that rewrites numbers, or a third party");
    return true;
  }
  if (reason == "TCP_RESET") {
    // In the window but not exact: challenged, ignored.
    auto& d = add(out, CauseId::kForgedReset, Verdict::kPossible, Side::kPath, "RSTs with a wrong sequence number arrive again and again; the kernel ignores them.");
    evidence(d);
    return true;
  }
  if (reason == "TCP_ZEROWINDOW") {
    auto& d = add(out, CauseId::kZeroWindowStall, Verdict::kProven, me, "The receive window is shut: the application here does not read.");
    evidence(d);
    return true;
  }
  if (reason == "IP_INNOROUTES" || reason == "IP_INADDRERRORS") {
    out.outcome = "refused";
    auto& d = add(out, CauseId::kHostUnreachable, Verdict::kProven, Side::kPath, "This host has no route for the packet it should forward.");
    evidence(d);
    return true;
  }
  if (reason == "PKT_TOO_BIG") {
    auto& d = add(out, CauseId::kPmtuBlackhole, Verdict::kPossible, Side::kPath, "Packets too big for the next link are dropped here, again and again.");
    evidence(d);
    d.settles = "whether the sender gets the ICMP that says so";
    return true;
  }
  if (reason == "QDISC_DROP" || reason == "NOT_SPECIFIED" || reason == "TCP_RFC7323_PAWS") return false;  // ordinary loss
  auto& d = add(out, CauseId::kHostDropped, Verdict::kProven, me, fmt::format("This host's kernel drops the connection's segments ({}).", reason));
  evidence(d);
  return true;
}

}  // namespace tcpwhy::diagnose::kernel
