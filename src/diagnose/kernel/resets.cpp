// Resets: of one's own accord (linux-tcp 7.3), in answer to a segment (7.2), and those that came.
// Which label means what on which path of the kernel: 7.6. A label alone misleads in three places: INVALID_SYN names
// every reset of a request, an overflow under tcp_abort_on_overflow included; TCP_STATE names every abort that is not
// for unread data; and a RST in answer to a segment says nothing about the connection the segment belonged to, so the
// table of last ends is asked.

#include <algorithm>
#include <cstdlib>

#include "diagnose/kernel/words.hpp"

namespace tcpwhy::diagnose::kernel {
namespace {

// A connection rests after this; an application that waits this long for an answer waits (seconds).
constexpr double kIdle = 0.5, kPatience = 1, kPause = 2, kLongIdle = 30;
constexpr std::uint32_t kAtOnceMs = 50;
constexpr std::uint64_t kRace = 500'000'000;  // RFC 8305 5: the next address is tried after 250 ms, and must answer
constexpr std::uint32_t kLastWord = 48;       // a TLS close_notify with its record is 23 to 31 octets

}  // namespace

bool Judge::judge_reset_sent(const Case& c, const tw_event& e, Failure& out) const {
  const std::string_view reason = names_.reset_reason(e.reason);
  out = frame(c, e);
  out.outcome = "reset";
  out.ended_by = out.vantage;
  out.process = process_of(e);
  const Side side = out.vantage;
  const bool peer_had_closed = is(e.state, State::kCloseWait) || is(e.state, State::kLastAck) || is(e.state, State::kClosing);
  const std::string numbers = fmt::format("{} bytes received, {} sent, {} unread, {} unacknowledged", e.bytes_in, e.bytes_sent, e.unread,
                                          e.unacked);

  if (reason == "TCP_KEEPALIVE_TIMEOUT" || (e.probes > 0 && e.error == number(Errno::kETIMEDOUT))) {
    out.outcome = "timed-out";
    out.process = {};
    auto& d = e.user_timeout_ms != 0
                  ? add(out, CauseId::kUserTimeout, Verdict::kProven, opposite(side), "TCP_USER_TIMEOUT ended the connection: keepalive probes stayed unanswered.")
                  : add(out, CauseId::kKeepaliveDeadPeer, Verdict::kProven, opposite(side), "Keepalive probes stayed unanswered until the kernel gave up.");
    note(d, fmt::format("the kernel reset the connection as keepalive timeout, {} probes unanswered", e.probes));
    d.settles = "the peer's own state, or a capture there";
    d.fix = {"find out why the peer or the path went away; keepalive did its work"};
    return true;
  }
  if (reason == "TCP_ABORT_ON_MEMORY") {
    auto& d = add(out, side == Side::kClient ? CauseId::kClientAborted : CauseId::kServerAborted, Verdict::kProven, side,
                  "The kernel aborted the connection: too many orphans, or TCP memory exhausted.");
    note(d, "the kernel's reset reason is TCP_ABORT_ON_MEMORY; TCPAbortOnMemory counts it");
    d.fix = {"look at net.ipv4.tcp_mem, tcp_max_orphans and what holds the memory (tcpwhy host)"};
    return true;
  }
  const std::string comm{e.comm, strnlen(e.comm, sizeof e.comm)};
  if (e.signal != 0 && has(e, TW_OWNER_DYING)) {
    auto& d = add(out, CauseId::kProcessKilled, Verdict::kProven, side,
                  fmt::format("Signal {} ended {} with the connection open; the kernel reset it.", e.signal, who(out.process)));
    note(d, fmt::format("the process was exiting when its socket was closed ({}): {}", reason, numbers));
    d.settles = "the log of the process's supervisor, or dmesg when the kernel killed it for memory";
    d.fix = {"find who sent the signal"};
    if (e.unread > 0) add(out, CauseId::kCloseWithUnreadData, Verdict::kProven, side, fmt::format("{} bytes were unread, so the exit made a RST and no FIN.", e.unread));
    return true;
  }
  if (reason == "TCP_ABORT_ON_CLOSE" || (reason == "NOT_SPECIFIED" && e.unread > 0)) {
    auto& d = add(out, CauseId::kCloseWithUnreadData, Verdict::kProven, side,
                  fmt::format("{} closed the socket with {} received bytes unread.", who(out.process), e.unread));
    note(d, "the kernel's reset reason is TCP_ABORT_ON_CLOSE: " + numbers);
    d.fix = {"read the peer's data to the end before close(), or shutdown(SHUT_WR), drain, then close"};
    if (side == Side::kServer && e.bytes_sent == 0)
      add(out, CauseId::kImmediateClose, Verdict::kPossible, side, "The server had sent nothing at all before it closed.");
    if (side == Side::kClient) add(out, CauseId::kClientClosedEarly, Verdict::kPossible, side, "The client closed while the response was arriving.");
    return true;
  }
  if (has(e, TW_LINGER_ZERO) || reason == "TCP_DISCONNECT_WITH_DATA" || reason == "TCP_ABORT_ON_LINGER") {
    // A state that is not known (its place in the table of ends was taken) must not make a fault of a normal close.
    // Everything delivered: a RST in place of the last FIN. An end of file that was not read counts as one byte.
    if ((peer_had_closed || is(e.state, State::kClose)) && e.unacked <= 1 && e.unread <= (peer_had_closed ? 1u : 0u)) {
      out.healthy = true;
      return false;
    }
    // Nobody has said a word, and another port of that host answers the client: a race that was lost (SMB 445 and 139).
    if (side == Side::kClient && e.bytes_in == 0 && e.bytes_sent == 0 && e.opened_ns != 0 && e.time_ns - e.opened_ns < kSecond && is_raced(e)) {
      out.healthy = true;
      return false;
    }
    // A child has sent nothing since it was made (tcp_create_openreq_child()), so this is its age.
    if (side == Side::kServer && e.bytes_in == 0 && e.bytes_sent == 0 && e.sent_ms < 1000)
      note(add(out, CauseId::kImmediateClose, Verdict::kProven, side, fmt::format("{} accepted the connection and aborted it at once.", who(out.process))), numbers);
    auto& d = add(out, CauseId::kLingerZeroAbort, has(e, TW_LINGER_ZERO) ? Verdict::kProven : Verdict::kLikely, side,
                  fmt::format("{} aborted the connection: SO_LINGER with a time of 0 makes close() send RST.", who(out.process)));
    note(d, fmt::format("the socket has SO_LINGER 0 and was closed in {}: {} (the kernel calls it {})", state_name(e.state), numbers,
                                     reason));
    d.fix = {"close without SO_LINGER 0 unless the abort is meant; it loses what the peer has not read"};
    if (side == Side::kClient && e.unacked == 0 && e.bytes_sent > 0)
      add(out, CauseId::kClientTimeout, Verdict::kPossible, side, "A request was sent, no response came, and the client ended it.");
    return true;
  }
  if (e.error == number(Errno::kECONNABORTED) || comm == "ss") {
    auto& d = add(out, side == Side::kClient ? CauseId::kClientAborted : CauseId::kServerAborted, Verdict::kProven, side,
                  fmt::format("{} destroyed the socket through sock_diag (ss -K).", who(out.process)));
    note(d, "the reset was made outside the owner's own close()");
    return true;
  }
  // A4: a listener closed with connections waiting, or connect(AF_UNSPEC).
  const bool waiting = e.inode == 0 && !has(e, TW_ORPHAN) && side == Side::kServer && e.bytes_sent == 0;
  auto& d = waiting ? add(out, CauseId::kServerNeverAccepts, Verdict::kLikely, side,
                          fmt::format("{} closed its listener while this connection still waited to be accepted.", who(out.process)))
                    : add(out, side == Side::kClient ? CauseId::kClientAborted : CauseId::kServerAborted, Verdict::kProven, side,
                          fmt::format("{} aborted the connection.", who(out.process)));
  note(d, fmt::format("the kernel's reset reason is {} in {}: {}", reason, state_name(e.state), numbers));
  if (waiting) add(out, CauseId::kServerAborted, Verdict::kProven, side, "The server's side ended it with RST.");
  return true;
}

// --- Resets in answer to a segment (linux-tcp 7.2) ---------------------------------------------------------------------

bool Judge::judge_passive(const Case& c, const tw_event& e, Failure& out) const {
  const std::string_view reason = names_.reset_reason(e.reason);
  out = frame(c, e);
  out.outcome = "reset";
  out.ended_by = out.vantage;
  const Side side = out.vantage;
  const bool syn = (e.tcp_flags & kSyn) != 0, ack = (e.tcp_flags & kAck) != 0;
  const double age = has(e, TW_REMEMBERED) || e.closed_ns != 0 ? in_seconds(e.time_ns - e.closed_ns) : 0;
  const Owner closer = process_of(e).pid != 0 ? process_of(e) : closer_of(e);

  auto data_after_close = [&](const char* how) {
    out.process = closer;
    if (has(e, TW_TLS_ALERT)) {  // the peer's close_notify crossed ours: its last word, and nobody's data
      out.healthy = true;
      return false;
    }
    // Did a request cross the close of an idle connection, or did the peer go on although it knew? Its ACK number tells.
    const double idle_s = has(e, TW_HAS_SOCKET) ? std::min(e.sent_ms, e.got_ms) * 1e-3 - age : 0;
    const bool crossed = side == Side::kServer && e.payload > 0 && e.bytes_in > 0 && e.bytes_sent > 0 && has(e, TW_FIN_UNSEEN);
    if (crossed && idle_s >= kIdle) {
      auto& race = add(out, CauseId::kKeepaliveRace, Verdict::kLikely, side,
                       fmt::format("A request crossed {}'s close of an idle connection on the wire.", who(closer)));
      note(race, fmt::format("closed after {:.3g} s without data, {:.3g} ms before the request came, which does not acknowledge the FIN; a round trip takes {:.3g} ms",
                             idle_s, age * 1e3, e.srtt_us * 1e-3));
      race.settles = "the client's capture: was the request sent before the FIN came?";
      race.fix = {"the side that sends requests must have the shorter idle timeout", "clients: repeat an idempotent request once on a new connection"};
    }
    // The client's own patience: it had asked, and closed without having got an answer.
    const double unanswered_s = has(e, TW_HAS_SOCKET) ? (e.sent_ms < e.got_ms ? e.sent_ms * 1e-3 - age : 0) : e.unanswered_ms * 1e-3;
    if (side == Side::kClient && unanswered_s >= kPatience) {
      auto& waited = add(out, CauseId::kClientTimeout, Verdict::kLikely, side,
                         fmt::format("{} closed after {:.3g} s without an answer to its request; the answer came later.", who(closer), unanswered_s));
      note(waited, fmt::format("the client sent last, {:.3g} s before it closed; {} bytes came {:.3g} s after", unanswered_s, e.payload, age));
      waited.fix = {"find out why the server takes so long, or give it more time"};
    }
    auto& d = add(out, CauseId::kDataAfterClose, Verdict::kProven, side,
                  fmt::format("Data met a socket that {} had closed{}.", who(closer), age > 0 ? fmt::format(" {:.3g} s before", age) : ""));
    note(d, fmt::format("{} bytes arrived, {}; the answer was RST ({})", e.payload, how, reason));
    d.settles = "which side ought to have closed first: the application's protocol";
    d.fix = {"the sender must notice the FIN before it sends; the closer must not close while the peer may still send"};
    if (side == Side::kClient) add(out, CauseId::kClientClosedEarly, Verdict::kLikely, side, "The client closed while the server was still sending.");
    return true;
  };

  if (reason == "TCP_ABORT_ON_DATA") return data_after_close("the receiving side was shut");
  if (reason == "TCP_TIMEWAIT_SOCKET") return data_after_close("the socket was gone but for its FIN_WAIT2 mini-socket");
  if (reason == "INVALID_SYN" || (reason == "NOT_SPECIFIED" && is(e.state, State::kListen) && ack && !syn && e.queue > e.queue_limit)) {
    if (syn) {
      auto& d = add(out, CauseId::kNatPortCollision, Verdict::kPossible, Side::kUnknown, "A second, different SYN came for a handshake under way; the kernel dropped both.");
      note(d, "a SYN inside the window of the pending request (EmbryonicRsts)");
      possible(out, {CauseId::kClientRestarted}, Side::kClient, "a client that lost its state and reuses the port does the same");
      out.outcome = "handshake-failed";
      return true;
    }
    out.outcome = "handshake-failed";
    auto& d = add(out, CauseId::kAcceptQueueOverflowReset, Verdict::kProven, Side::kServer,
                  "The accept queue was full and tcp_abort_on_overflow is 1: the handshake was reset.");
    note(d, fmt::format("the third segment was right, the accept queue held {} of {}; the kernel calls its RST {}, which is about no SYN",
                                     e.queue, e.queue_limit, reason));
    d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together", "net.ipv4.tcp_abort_on_overflow=0 lets clients retry"};
    return true;
  }
  if (is(e.state, State::kSynSent) && !has(e, TW_NOT_FULL) && has(e, TW_HAS_SOCKET)) {
    // N6: the answer to our SYN acknowledges something else.
    out.outcome = "handshake-failed";
    if (syn) {
      auto& d = add(out, CauseId::kUnacceptableAck, Verdict::kLikely, Side::kPath, "The SYN-ACK acknowledges a number this host never sent.");
      note(d, fmt::format("SYN-ACK with ACK number {}; the kernel reset it ({})", e.ack, reason));
      possible(out, {CauseId::kAckNumberRewritten, CauseId::kConflictingSynAcks}, Side::kPath, "a device that rewrites numbers, or a second responder");
      return true;
    }
    bool challenged = false;
    for (const tw_event& other : c.events) challenged |= other.kind == TW_DROPPED && names_.drop_reason(other.reason) == "TCP_INVALID_SYN";
    const CauseId one = challenged ? CauseId::kHalfOpenChallenged : CauseId::kTimeWaitSynChallenged;
    auto& d = add(out, one, challenged ? Verdict::kProven : Verdict::kPossible, Side::kServer,
                  challenged ? "The SYN hit a connection the server still held: it was challenged, and the challenge reset."
                             : "The SYN was answered with a plain ACK of an older connection of the same tuple.");
    note(d, fmt::format("ACK {} in answer to our SYN; the kernel reset it ({})", e.ack, reason));
    d.settles = "the server's socket of this tuple: ESTABLISHED or TIME-WAIT (ss -tan)";
    d.fix = {"use more local ports, or let the side that does not reuse ports close first"};
    if (!challenged) possible(out, {CauseId::kHalfOpenChallenged}, Side::kServer, "a connection the server still holds answers alike");
    return true;
  }
  // NO_SOCKET, and TCP_FLAGS of a listener that knows no such connection.
  if (syn && !ack) {
    out.outcome = "refused";
    out.client_state = "SYN_SENT";
    out.server_state = "CLOSE";
    if (!is_local_(e.netns, facts::local_end(e).address)) return false;
    auto& d = add(out, CauseId::kPortClosed, Verdict::kProven, Side::kServer, fmt::format("Nothing listens on {}: the host itself answered the SYN with RST.",
                                                                           facts::to_string(facts::local_end(e))));
    note(d, fmt::format("the kernel found no socket for the SYN ({})", reason));
    d.fix = {"start the service, or bind it to this address and port (ss -lnt)"};
    return true;
  }
  if (syn) {
    // A SYN-ACK: we were the client.
    out.client = facts::local_end(e);
    out.server = facts::remote_end(e);
    out.vantage = Side::kClient;
    out.outcome = "handshake-failed";
    out.ended_by = Side::kClient;
    out.client_state = "CLOSE";
    out.server_state = "SYN_RECV";
    if (has(e, TW_REMEMBERED) && is(e.closed_state, State::kSynSent)) {
      out.process = closer_of(e);
      for (const tw_event& other : c.events)
        if (other.kind == TW_CONNECT_FAILED && other.error == 0 && other.opened_ns != 0 && other.time_ns - other.opened_ns < kRace) {
          out.healthy = true;  // raced against another address or port, and dropped when that answered (RFC 8305)
          return false;
        }
      auto& d = add(out, CauseId::kConnectTimeout, Verdict::kProven, Side::kClient,
                    fmt::format("{} had given up {:.3g} s before the SYN-ACK arrived.", who(out.process), age));
      note(d, "the SYN-ACK found no socket; this host had closed the connecting one itself");
      d.settles = "why the answer was late: a capture at the server";
      d.fix = {"raise the client's connect timeout above the path's worst, or repair the path"};
      return true;
    }
    auto& d = add(out, CauseId::kBackscatter, Verdict::kPossible, Side::kUnknown, "A SYN-ACK came for a connection this host did not open.");
    note(d, "no socket, and no recent connect() of this tuple");
    possible(out, {CauseId::kConnectTimeout}, Side::kClient, "a connect() given up before tcpwhy watched");
    return true;
  }
  if (has(e, TW_REMEMBERED) && !is(e.closed_state, State::kSynSent)) {
    if (e.closed_error == number(Errno::kECONNRESET) || e.closed_error == number(Errno::kEPIPE)) return false;  // by a RST, which tells
    if (e.closed_error == number(Errno::kETIMEDOUT)) {
      out.process = closer_of(e);
      auto& d = add(out, CauseId::kPeerUnresponsive, Verdict::kProven, opposite(side), "This host had given the connection up for lack of answers; the peer came back too late.");
      note(d, fmt::format("it ended here with ETIMEDOUT {:.3g} s ago", age));
      return true;
    }
    if (is(e.closed_state, State::kFinWait2) && age > 1.0 && e.payload > 0) {
      out.process = closer_of(e);
      auto& d = add(out, CauseId::kFinWait2Timeout, Verdict::kProven, side,
                    fmt::format("{} had closed; FIN_WAIT2 ended after {:.3g} s, and data came later.", who(out.process), age));
      note(d, fmt::format("{} bytes for a connection that ended here in FIN_WAIT2", e.payload));
      d.fix = {"the peer must close when it sees FIN; tcp_fin_timeout only bounds the wait"};
      return true;
    }
    if (e.payload > 0) return data_after_close("the socket no longer existed");
    // A late FIN or ACK of a connection that is over: nothing is lost.
    out.healthy = true;
    return false;
  }
  bool request = c.request == Case::Request::kPending;
  for (const tw_event& other : c.events) request |= other.kind == TW_SYNACK_REPEATED;
  if (!request && ack && is(e.state, State::kListen) && look_at_)
    if (const auto now = look_at_(e))  // the request may have become a connection since
      request = now->state == State::kSynRecv || now->state == State::kEstablished || now->ended;
  if (request) {
    out.outcome = "handshake-failed";
    auto& d = add(out, CauseId::kUnacceptableAck, Verdict::kLikely, Side::kPath, "A segment acknowledged a number the server's SYN-ACK never used.");
    note(d, fmt::format("ACK {} while the handshake was still pending", e.ack));
    possible(out, {CauseId::kAckNumberRewritten}, Side::kPath, "a device that rewrites numbers would do this");
    return true;
  }
  if (e.payload == 0 && c.request == Case::Request::kOfAnotherAddress) {
    // A NAT keeps the port where it can, and lets pass untranslated what it holds for invalid.
    out.outcome = "handshake-failed";
    auto& d = add(out, CauseId::kUnacceptableAck, Verdict::kPossible, Side::kPath,
                  "An ACK came that no handshake awaits, while one with the same ports is pending from another address.");
    note(d, fmt::format("ACK {} without a request; what a NAT on the way takes for invalid it passes on as it came", e.ack));
    d.settles = "a capture on both sides of the NAT: the ACK number there";
    possible(out, {CauseId::kAckNumberRewritten, CauseId::kConntrackInvalidReset}, Side::kPath, "a device that rewrites numbers, or a NAT that lost track, does the same");
    return true;
  }
  if (e.payload == 0) {
    // The last words of a connection that is over: a closed tuple is remembered for a while only, and a bare ACK or FIN
    // that comes late loses nothing. A keepalive probe looks the same; the end that probes tells of its reset.
    out.healthy = true;
    return false;
  }
  out.roles_inferred = true;
  auto& d = add(out, CauseId::kHalfOpen, Verdict::kLikely, Side::kUnknown, "A segment came for a connection this host does not have; it answered with RST.");
  note(d, fmt::format("{} payload bytes, ACK {}, no socket, and no connection of this tuple ended here lately", e.payload, e.ack));
  d.settles = "whether this host restarted, or a device between changed addresses (conntrack -L, both ends' captures)";
  possible(out, {CauseId::kPeerRestarted, CauseId::kNatStateLostReset, CauseId::kConntrackInvalidReset}, Side::kUnknown,
           "this host lost the connection, or a device passed a segment on untranslated");
  return true;
}

// --- Resets that came --------------------------------------------------------------------------------------------------

bool Judge::judge_reset_received(const Case& c, const tw_event& e, Failure& out) const {
  out = frame(c, e);
  out.outcome = "reset";
  const Side me = out.vantage, peer = opposite(me);
  out.ended_by = peer;
  const bool we_closed = is(e.state, State::kFinWait1) || is(e.state, State::kFinWait2) || is(e.state, State::kClosing) || is(e.state, State::kLastAck);
  if (we_closed && e.unacked <= 1) {
    out.healthy = true;  // all of ours was acknowledged but the FIN: a RST in place of the last formality
    return false;
  }
  // A server's last word to a client that has closed, a TLS close_notify mostly: nobody waits for it.
  if (me == Side::kServer && ((is(e.state, State::kCloseWait) && e.unacked <= kLastWord) || (is(e.state, State::kLastAck) && e.unacked <= kLastWord + 1))) {
    out.healthy = true;
    return false;
  }
  // The client has decided a race between ports otherwise. A child has sent nothing since it was made.
  if (me == Side::kServer && has(e, TW_HAS_SOCKET) && e.bytes_in == 0 && e.bytes_sent == 0 && e.sent_ms < 1000 && is_raced(e)) {
    out.healthy = true;
    return false;
  }
  find_process(c, e, out);
  const std::string numbers = fmt::format("RST received in {}: {} bytes received, {} sent, {} unacknowledged", state_name(e.state), e.bytes_in,
                                          e.bytes_sent, e.unacked);
  if (is(e.state, State::kCloseWait)) {
    if (me == Side::kClient && has(e, TW_FIN_CROSSED) && e.bytes_in > 1) {  // the FIN counts as one
      auto& race = add(out, CauseId::kKeepaliveRace, Verdict::kLikely, peer, fmt::format("The server closed while a request of {} was on its way.", who(out.process)));
      note(race, numbers + "; the FIN came after the request had been sent");
      race.fix = {"the side that sends requests must have the shorter idle timeout", "clients: repeat an idempotent request once on a new connection"};
    }
    // The answer took its time, and met a client that had closed meanwhile.
    if (me == Side::kServer && e.unacked > 0 && e.got_ms > e.sent_ms && (e.got_ms - e.sent_ms) * 1e-3 >= kPatience) {
      auto& waited = add(out, CauseId::kClientTimeout, Verdict::kLikely, peer,
                         fmt::format("The client closed before the answer of {}, which came {:.3g} s after its request.", who(out.process), (e.got_ms - e.sent_ms) * 1e-3));
      note(waited, numbers);
      waited.fix = {"find out why the answer takes so long; the client's read timeout is shorter"};
    }
    auto& d = add(out, CauseId::kDataAfterClose, e.unacked > 0 ? Verdict::kLikely : Verdict::kPossible, me,
                  fmt::format("The {} had closed; {} went on sending and was reset.", word(peer), who(out.process)));
    note(d, numbers);
    d.fix = {"stop sending and close when read() returns 0"};
    possible(out, {peer == Side::kServer ? CauseId::kServerAborted : CauseId::kClientAborted}, peer, "the peer may have aborted after its FIN");
    return true;
  }
  if (judge_foreign_reset(e, numbers, out)) return true;
  const CauseId generic = peer == Side::kServer ? CauseId::kServerAborted : CauseId::kClientAborted;
  // Data or a keepalive probe after a pause, and the RST comes back as fast as a kernel answers: somebody no longer knows
  // the connection. Who, the peer or a device between, is not to be seen.
  const double pause_s = e.unacked > 0 && e.got_ms > e.sent_ms ? (e.got_ms - e.sent_ms) * 1e-3 : 0;
  const bool answered = pause_s >= kPause && e.bytes_in > 0 && e.sent_ms <= std::max(kAtOnceMs, 2 * e.srtt_us / 1000);
  const bool probed = e.unacked == 0 && e.probes > 0;
  if (has(e, TW_HAS_SOCKET) && is(e.state, State::kEstablished) && (answered || probed)) {
    auto& d = add(out, CauseId::kHalfOpen, Verdict::kPossible, Side::kUnknown,
                  answered ? fmt::format("After {:.3g} s of silence data was answered by RST at once: the other end no longer had the connection.", pause_s)
                           : std::string{"A keepalive probe was answered by RST: the other end no longer had the connection."});
    note(d, numbers);
    d.settles = peer == Side::kServer ? "tcpwhy watch on the server, or a capture there" : "tcpwhy watch on the client, or a capture there";
    d.fix = {"keepalive below the idle timeout of the path and of the peer", "clients: repeat an idempotent request once on a new connection"};
    possible(out, {CauseId::kPeerRestarted, CauseId::kIdleTimeoutReset, CauseId::kNatStateLostReset}, Side::kUnknown, "the peer, or a device between, has forgotten it");
    possible(out, {generic}, peer, "an application that aborts on the request looks alike");
    if (peer == Side::kServer) possible(out, {CauseId::kKeepaliveRace}, peer, "the server may have closed the idle connection, and its FIN has not come");
    return true;
  }
  // Nothing was under way, for a while: a device with an idle timer does this as well as an application.
  const bool idle = has(e, TW_HAS_SOCKET) && e.unacked == 0 && std::min(e.sent_ms, e.got_ms) >= kIdle * 1e3;
  // The RST has its sender's TTL: hardly a device made it. Without one, and where a request was under way that may have
  // crossed a close, another cause explains as much.
  const bool own_ttl = e.ttl != 0 && e.reset_ttl != 0;
  const bool sure = own_ttl && !idle && !(peer == Side::kServer && e.unacked > 0 && e.bytes_in > 0);
  auto& d = add(out, generic, sure ? Verdict::kLikely : Verdict::kPossible, peer, fmt::format("A RST came from the {}'s side in the middle of the connection.", word(peer)));
  note(d, numbers);
  d.settles = peer == Side::kServer ? "tcpwhy watch on the server, or a capture there" : "tcpwhy watch on the client, or a capture there";
  if (peer == Side::kServer && e.unacked > 0 && e.bytes_in > 0)
    possible(out, {CauseId::kKeepaliveRace}, peer, "the server may have closed the idle connection while the request was on its way");
  if (e.unacked > 0) possible(out, {CauseId::kHalfOpen}, Side::kUnknown, "the other end may have lost the connection: a restart, or a device that forgot it");
  if (idle || (has(e, TW_HAS_SOCKET) && e.got_ms >= kLongIdle * 1e3)) possible(out, {CauseId::kIdleTimeoutReset, CauseId::kNatStateLostReset}, Side::kPath, "the connection had been idle");
  if (peer == Side::kServer && e.bytes_in == 0)
    possible(out, {CauseId::kAcceptQueueOverflowReset}, peer, "with tcp_abort_on_overflow a full accept queue answers so");
  possible(out, {CauseId::kCloseWithUnreadData, CauseId::kLingerZeroAbort, CauseId::kProcessKilled}, peer, "all look the same from here");
  possible(out, {CauseId::kResetByNetwork}, Side::kPath,
           own_ttl ? "a device may speak with the peer's TTL" : "the kernel does not say who made the RST; its TTL in a capture would");
  return true;
}

/// The RST has another TTL than the segments of the end whose address it bears (one hop more or less is a route's own).
bool Judge::judge_foreign_reset(const tw_event& e, const std::string& numbers, Failure& out) const {
  if (e.ttl == 0 || e.reset_ttl == 0 || std::abs(e.ttl - e.reset_ttl) <= 1) return false;
  const Side peer = opposite(out.vantage);
  out.ended_by = Side::kPath;
  auto& d = add(out, CauseId::kResetByNetwork, Verdict::kLikely, Side::kPath,
                fmt::format("A RST came in the {}'s name that another sent: a device on the path, or a third party.", word(peer)));
  note(d, fmt::format("the RST has TTL {}, the {}'s segments have {}", e.reset_ttl, word(peer), e.ttl));
  note(d, numbers);
  d.settles = "a capture at the end whose address the RST bears: it never left there";
  d.fix = {"look for a firewall, a balancer or a NAT on the way that ends or forgets connections; its hop count fits the TTL"};
  possible(out, {CauseId::kForgedReset, CauseId::kIdleTimeoutReset, CauseId::kNatStateLostReset}, Side::kPath, "a device ends, forgets or forbids connections, or a third party forges");
  return true;
}

}  // namespace tcpwhy::diagnose::kernel
