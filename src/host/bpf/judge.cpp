// The kernel's labels, translated. Which label means what on which path of the kernel: linux-tcp 7.2, 7.3, 7.6.
// A label alone misleads in three places: INVALID_SYN names every reset of a request, an overflow under
// tcp_abort_on_overflow included; TCP_STATE names every abort that is not for unread data; and a RST in answer to a
// segment says nothing about the connection the segment belonged to, so the table of last ends is asked.

#include "host/bpf/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tcpwhy::host {

using facts::Side;

namespace {

constexpr std::uint64_t kMoment = 250'000'000;       // events so close belong to one case
constexpr std::uint64_t kLongest = 1'200'000'000;    // a case is judged after this at the latest
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::size_t kMostCases = 65536, kMostEvents = 24, kMostReported = 262144;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

// include/net/tcp_states.h
constexpr const char* kStateNames[] = {"UNSEEN",    "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
                                       "CLOSE", "CLOSE_WAIT",  "LAST_ACK",   "LISTEN",   "CLOSING",   "SYN_RECV"};
enum : std::uint8_t { kEstablished = 1, kSynSent = 2, kSynRecv = 3, kFinWait1 = 4, kFinWait2 = 5, kClose = 7, kCloseWait = 8, kLastAck = 9,
                      kListen = 10, kClosing = 11 };

const char* state_name(std::uint8_t s) { return s < std::size(kStateNames) ? kStateNames[s] : "UNSEEN"; }
bool has(const tw_event& e, std::uint32_t flag) { return (e.flags & flag) != 0; }
double seconds(std::uint64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::string who(const KernelProcess& p) {
  if (p.pid == 0) return "an application";
  return fmt::format("{} (pid {})", p.comm.empty() ? "a process" : p.comm, p.pid);
}
KernelProcess process_of(const tw_event& e) {
  KernelProcess p;
  if (!has(e, TW_OWNER_KNOWN)) return p;
  p.pid = e.pid;
  p.comm.assign(e.comm, strnlen(e.comm, sizeof e.comm));
  p.signal = e.signal;
  return p;
}
KernelProcess closer_of(const tw_event& e) {
  KernelProcess p;
  if (!has(e, TW_REMEMBERED)) return p;
  p.pid = e.closed_pid;
  p.comm.assign(e.closed_comm, strnlen(e.closed_comm, sizeof e.closed_comm));
  return p;
}

facts::Address address(const tw_event& e, const std::uint8_t* bytes) {
  facts::Address a;
  a.version = e.family == 6 ? 6 : 4;
  std::copy_n(bytes, a.version == 6 ? 16 : 4, a.bytes.begin());
  return a;
}

bool loopback(const facts::Address& a) {
  if (a.version == 4) return a.bytes[0] == 127;
  return std::all_of(a.bytes.begin(), a.bytes.end() - 1, [](std::uint8_t b) { return b == 0; }) && a.bytes[15] == 1;
}

KernelDiagnosis& add(KernelVerdict& v, std::string cause, std::string verdict, Side side, std::string summary) {
  v.diagnoses.push_back({std::move(cause), std::move(verdict), side, std::move(summary), {}, {}, {}, {}});
  return v.diagnoses.back();
}
void possible(KernelVerdict& v, std::initializer_list<const char*> causes, Side side, const char* because) {
  for (const char* cause : causes) {
    bool there = false;
    for (const KernelDiagnosis& d : v.diagnoses) there |= d.cause == cause;
    if (there) continue;
    add(v, cause, "possible", side, because);
    v.diagnoses.front().rivals.push_back({cause, because});
  }
}

const char* word(Side s) {
  switch (s) {
    case Side::kClient: return "client";
    case Side::kServer: return "server";
    case Side::kPath: return "path";
    case Side::kUnknown: return "host";
  }
  return "host";
}
Side opposite(Side s) { return s == Side::kClient ? Side::kServer : s == Side::kServer ? Side::kClient : s; }

std::string errno_word(int error) {
  switch (error) {
    case 13: return "EACCES";
    case 71: return "EPROTO";
    case 92: return "ENOPROTOOPT";
    case 95: return "EOPNOTSUPP";
    case 101: return "ENETUNREACH";
    case 103: return "ECONNABORTED";
    case 104: return "ECONNRESET";
    case 110: return "ETIMEDOUT";
    case 111: return "ECONNREFUSED";
    case 112: return "EHOSTDOWN";
    case 113: return "EHOSTUNREACH";
    default: return fmt::format("errno {}", error);
  }
}

// Drops that mean something only when they go on: a healthy connection may meet one.
std::uint32_t drops_needed(std::string_view reason, const tw_event& e) {
  if (reason == "TCP_LISTEN_OVERFLOW" || reason == "NEIGH_FAILED" || reason == "NEIGH_CREATEFAIL" || reason.starts_with("TCP_MD5") ||
      reason.starts_with("TCP_AO") || reason == "TCP_AUTH_HDR" || reason == "TCP_INVALID_SYN" || reason == "TCP_MINTTL")
    return 1;
  if ((e.tcp_flags & kSyn) != 0 && (reason == "NETFILTER_DROP" || reason == "IP_RPFILTER" || reason == "XFRM_POLICY" ||
                                    reason == "TC_INGRESS" || reason == "TC_EGRESS" || reason == "BPF_CGROUP_EGRESS" ||
                                    reason == "IP_INNOROUTES" || reason == "IP_INADDRERRORS"))
    return 1;
  if (reason == "TCP_CSUM" || reason == "NETFILTER_DROP" || reason == "SOCKET_FILTER" || reason == "PKT_TOO_BIG") return 2;
  return 3;
}

}  // namespace

facts::Endpoint local_end(const tw_event& e) { return {address(e, e.local), e.local_port}; }
facts::Endpoint remote_end(const tw_event& e) { return {address(e, e.remote), e.remote_port}; }

Judge::Judge(const ReasonNames& names, IsLocal is_local, OwnerOf owner_of)
    : names_{names}, is_local_{std::move(is_local)}, owner_of_{std::move(owner_of)} {}

std::string Judge::key(const tw_event& e) const {
  // The same from both ends.
  std::string a(reinterpret_cast<const char*>(e.local), 16), b(reinterpret_cast<const char*>(e.remote), 16);
  a += static_cast<char>(e.local_port >> 8);
  a += static_cast<char>(e.local_port & 255);
  b += static_cast<char>(e.remote_port >> 8);
  b += static_cast<char>(e.remote_port & 255);
  return a < b ? a + b : b + a;
}

void Judge::know_listener(std::uint32_t netns, std::uint16_t port, const KernelProcess& owner) {
  listeners_[{netns, port}] = owner;
}

void Judge::observe(const tw_event& event) {
  // close() and disconnect() set CLOSE before they send the RST; the table of ends knows what it was.
  tw_event e = event;
  if (e.kind == TW_RESET_SENT && !has(e, TW_HAS_PACKET) && e.state == kClose && has(e, TW_REMEMBERED) &&
      e.time_ns - e.closed_ns < kMoment)
    e.state = e.closed_state;
  if (e.kind == TW_LISTEN) {
    if (e.state == kListen) listeners_[{e.netns, e.local_port}] = process_of(e);
    return;
  }
  if (cases_.size() >= kMostCases) return;
  const std::string k = key(e);
  if (const auto said = reported_.find(k); said != reported_.end()) {
    // The rest of a story that was told. A new connection of the same tuple starts with a connect().
    const bool new_story = has(e, TW_CONNECTED_OUT) && e.opened_ns + kMoment > said->second.until_ns;
    if (!new_story && e.time_ns < said->second.until_ns) {
      said->second.until_ns = std::max(said->second.until_ns, e.time_ns + 3 * kSecond);
      return;
    }
    reported_.erase(said);
  }
  Case& c = cases_[k];
  if (c.events.empty()) c.first_ns = e.time_ns;
  c.last_ns = e.time_ns;
  if (e.kind == TW_DROPPED) ++c.drops;
  if (e.kind == TW_SYNACK_REPEATED) ++c.synacks;
  if (c.events.size() < kMostEvents)
    c.events.push_back(e);
  else
    c.events.back() = e;
}

KernelVerdict Judge::frame(const Case& c, const tw_event& e) const {
  KernelVerdict v;
  const facts::Endpoint local = local_end(e), remote = remote_end(e);
  bool local_is_client = false, known = true;
  const bool syn_in = has(e, TW_HAS_PACKET) && (e.tcp_flags & (kSyn | kAck)) == kSyn;
  if (has(e, TW_CONNECTED_OUT) || e.state == kSynSent || e.old_state == kSynSent)
    local_is_client = true;
  else if (syn_in)
    local_is_client = !has(e, TW_INCOMING);
  else if (e.kind == TW_SYNACK_REPEATED || e.state == kListen || listeners_.contains({e.netns, e.local_port}))
    local_is_client = false;
  else {
    known = false;
    local_is_client = local.port > remote.port;
    for (const tw_event& other : c.events)
      if (has(other, TW_CONNECTED_OUT)) {
        known = true;
        local_is_client = local_end(other) == local;
      }
  }
  v.client = local_is_client ? local : remote;
  v.server = local_is_client ? remote : local;
  v.roles_inferred = !known;
  v.vantage = local_is_client ? Side::kClient : Side::kServer;
  v.netns = e.netns;
  v.start_ns = e.opened_ns != 0 ? e.opened_ns : c.first_ns;
  v.end_ns = c.last_ns;
  v.bytes_in = e.bytes_in;
  v.bytes_sent = e.bytes_sent;
  const char* mine = e.kind == TW_CONNECT_FAILED ? "CLOSE" : state_name(e.state);
  v.client_state = local_is_client ? mine : "UNSEEN";
  v.server_state = local_is_client ? "UNSEEN" : mine;
  return v;
}

void Judge::find_process(const Case& c, const tw_event& e, KernelVerdict& out) const {
  if (out.process.pid != 0) return;
  out.process = process_of(e);
  if (out.process.pid == 0) out.process = closer_of(e);
  for (const tw_event& other : c.events)
    if (out.process.pid == 0 && other.netns == e.netns) out.process = process_of(other);
  for (const tw_event& other : c.events)
    if (out.process.pid == 0) out.process = process_of(other);
  if (out.process.pid == 0 && e.inode != 0) out.process = owner_of_(e.inode);
  if (out.process.pid == 0)
    if (const auto at = listeners_.find({e.netns, e.local_port}); at != listeners_.end()) out.process = at->second;
}

// --- One case ------------------------------------------------------------------------------------------------------

bool Judge::judge(Case& c, std::uint64_t now_ns, KernelVerdict& out) {
  (void)now_ns;
  auto first = [&](auto wanted) -> const tw_event* {
    for (const tw_event& e : c.events)
      if (wanted(e)) return &e;
    return nullptr;
  };
  auto last_of = [&](std::uint8_t kind) -> const tw_event* {
    const tw_event* found = nullptr;
    for (const tw_event& e : c.events)
      if (e.kind == kind) found = &e;
    return found;
  };
  auto finish = [&](bool said, const tw_event& e) {
    if (!said) return false;
    for (const tw_event& other : c.events) {
      if (other.kind == TW_RESET_SENT && out.reset_reason.empty()) out.reset_reason = names_.reset_reason(other.reason);
      if (other.kind == TW_DROPPED && out.drop_reason.empty()) out.drop_reason = names_.drop_reason(other.reason);
    }
    find_process(c, e, out);
    return true;
  };

  // Who aborted of his own accord explains everything that follows; then who was killed; then answers to segments.
  const tw_event* abort = first([](const tw_event& e) { return e.kind == TW_RESET_SENT && !has(e, TW_HAS_PACKET); });
  const tw_event* killed = first([](const tw_event& e) { return e.kind == TW_KILLED && e.old_state == kEstablished; });
  const tw_event* answer = first([](const tw_event& e) { return e.kind == TW_RESET_SENT && has(e, TW_HAS_PACKET); });
  const tw_event* drop = last_of(TW_DROPPED);
  const tw_event* failed = last_of(TW_CONNECT_FAILED);

  if (abort != nullptr && judge_reset_sent(c, *abort, out)) return finish(true, *abort);
  if (abort != nullptr && out.healthy) return false;
  if (killed != nullptr) {
    out = frame(c, *killed);
    out.outcome = "reset";
    out.ended_by = out.vantage;
    out.process = process_of(*killed);
    auto& d = add(out, "process-killed", "proven", out.vantage,
                  fmt::format("Signal {} ended {} while the connection was open.", killed->signal, who(out.process)));
    d.evidence.push_back(fmt::format("the socket was closed by the exit of its process, {} with {} bytes received and {} sent",
                                     state_name(killed->old_state), killed->bytes_in, killed->bytes_sent));
    d.settles = "the log of the process's supervisor, or dmesg when the kernel killed it for memory";
    d.fix = {"find who sent the signal; let the process finish its connections before it ends"};
    return finish(true, *killed);
  }
  if (drop != nullptr && c.drops >= drops_needed(names_.drop_reason(drop->reason), *drop) && judge_drop(c, *drop, out))
    return finish(true, *drop);
  if (answer != nullptr && judge_passive(c, *answer, out)) return finish(true, failed != nullptr ? *failed : *answer);
  if (answer != nullptr && out.healthy) return false;
  if (failed != nullptr) return finish(judge_connect(c, *failed, out), *failed);
  if (const tw_event* e = last_of(TW_DIED)) return finish(judge_death(*e, out), *e);
  if (const tw_event* e = last_of(TW_RESET_RECEIVED)) return finish(judge_reset_received(c, *e, out), *e);
  if (const tw_event* e = last_of(TW_SYNACK_REPEATED))
    if (judge_synack(c, *e, out)) return finish(true, *e);
  if (const tw_event* e = last_of(TW_RETRANSMIT)) return finish(judge_silence(*e, out), *e);
  return false;
}

// --- Resets of one's own accord (linux-tcp 7.3) ----------------------------------------------------------------------

bool Judge::judge_reset_sent(const Case& c, const tw_event& e, KernelVerdict& out) const {
  const std::string_view reason = names_.reset_reason(e.reason);
  out = frame(c, e);
  out.outcome = "reset";
  out.ended_by = out.vantage;
  out.process = process_of(e);
  const Side side = out.vantage;
  const bool peer_had_closed = e.state == kCloseWait || e.state == kLastAck || e.state == kClosing;
  const std::string numbers = fmt::format("{} bytes received, {} sent, {} unread, {} unacknowledged", e.bytes_in, e.bytes_sent, e.unread,
                                          e.unacked);

  if (reason == "TCP_KEEPALIVE_TIMEOUT" || (e.probes > 0 && e.error == 110)) {
    out.outcome = "timed-out";
    out.process = {};
    auto& d = e.user_timeout_ms != 0
                  ? add(out, "user-timeout", "proven", opposite(side), "TCP_USER_TIMEOUT ended the connection: keepalive probes stayed unanswered.")
                  : add(out, "keepalive-dead-peer", "proven", opposite(side), "Keepalive probes stayed unanswered until the kernel gave up.");
    d.evidence.push_back(fmt::format("the kernel reset the connection as keepalive timeout, {} probes unanswered", e.probes));
    d.settles = "the peer's own state, or a capture there";
    d.fix = {"find out why the peer or the path went away; keepalive did its work"};
    return true;
  }
  if (reason == "TCP_ABORT_ON_MEMORY") {
    auto& d = add(out, side == Side::kClient ? "client-aborted" : "server-aborted", "proven", side,
                  "The kernel aborted the connection: too many orphans, or TCP memory exhausted.");
    d.evidence.push_back("the kernel's reset reason is TCP_ABORT_ON_MEMORY; TCPAbortOnMemory counts it");
    d.fix = {"look at net.ipv4.tcp_mem, tcp_max_orphans and what holds the memory (tcpwhy host)"};
    return true;
  }
  const std::string comm{e.comm, strnlen(e.comm, sizeof e.comm)};
  if (e.signal != 0 && has(e, TW_OWNER_DYING)) {
    auto& d = add(out, "process-killed", "proven", side,
                  fmt::format("Signal {} ended {} with the connection open; the kernel reset it.", e.signal, who(out.process)));
    d.evidence.push_back(fmt::format("the process was exiting when its socket was closed ({}): {}", reason, numbers));
    d.settles = "the log of the process's supervisor, or dmesg when the kernel killed it for memory";
    d.fix = {"find who sent the signal"};
    if (e.unread > 0) add(out, "close-with-unread-data", "proven", side, fmt::format("{} bytes were unread, so the exit made a RST and no FIN.", e.unread));
    return true;
  }
  if (reason == "TCP_ABORT_ON_CLOSE" || (reason == "NOT_SPECIFIED" && e.unread > 0)) {
    auto& d = add(out, "close-with-unread-data", "proven", side,
                  fmt::format("{} closed the socket with {} received bytes unread.", who(out.process), e.unread));
    d.evidence.push_back("the kernel's reset reason is TCP_ABORT_ON_CLOSE: " + numbers);
    d.fix = {"read the peer's data to the end before close(), or shutdown(SHUT_WR), drain, then close"};
    if (side == Side::kServer && e.bytes_sent == 0)
      add(out, "immediate-close", "possible", side, "The server had sent nothing at all before it closed.");
    if (side == Side::kClient) add(out, "client-closed-early", "possible", side, "The client closed while the response was arriving.");
    return true;
  }
  if (has(e, TW_LINGER_ZERO) || reason == "TCP_DISCONNECT_WITH_DATA" || reason == "TCP_ABORT_ON_LINGER") {
    // A state that is not known (its place in the table of ends was taken) must not make a fault of a normal close.
    if ((peer_had_closed || e.state == kClose) && e.unacked <= 1 && e.unread == 0) {  // everything delivered: a RST in place of the last FIN
      out.healthy = true;
      return false;
    }
    auto& d = add(out, "linger-zero-abort", has(e, TW_LINGER_ZERO) ? "proven" : "likely", side,
                  fmt::format("{} aborted the connection: SO_LINGER with a time of 0 makes close() send RST.", who(out.process)));
    d.evidence.push_back(fmt::format("the socket has SO_LINGER 0 and was closed in {}: {} (the kernel calls it {})", state_name(e.state), numbers,
                                     reason));
    d.fix = {"close without SO_LINGER 0 unless the abort is meant; it loses what the peer has not read"};
    if (side == Side::kClient && e.unacked == 0 && e.bytes_sent > 0)
      add(out, "client-timeout", "possible", side, "A request was sent, no response came, and the client ended it.");
    return true;
  }
  if (e.error == 103 || comm == "ss") {
    auto& d = add(out, side == Side::kClient ? "client-aborted" : "server-aborted", "proven", side,
                  fmt::format("{} destroyed the socket through sock_diag (ss -K).", who(out.process)));
    d.evidence.push_back("the reset was made outside the owner's own close()");
    return true;
  }
  // A4: a listener closed with connections waiting, or connect(AF_UNSPEC).
  const bool waiting = e.inode == 0 && !has(e, TW_ORPHAN) && side == Side::kServer && e.bytes_sent == 0;
  auto& d = waiting ? add(out, "server-never-accepts", "likely", side,
                          fmt::format("{} closed its listener while this connection still waited to be accepted.", who(out.process)))
                    : add(out, side == Side::kClient ? "client-aborted" : "server-aborted", "proven", side,
                          fmt::format("{} aborted the connection.", who(out.process)));
  d.evidence.push_back(fmt::format("the kernel's reset reason is {} in {}: {}", reason, state_name(e.state), numbers));
  if (waiting) add(out, "server-aborted", "proven", side, "The server's side ended it with RST.");
  return true;
}

// --- Resets in answer to a segment (linux-tcp 7.2) ---------------------------------------------------------------------

bool Judge::judge_passive(const Case& c, const tw_event& e, KernelVerdict& out) const {
  const std::string_view reason = names_.reset_reason(e.reason);
  out = frame(c, e);
  out.outcome = "reset";
  out.ended_by = out.vantage;
  const Side side = out.vantage;
  const bool syn = (e.tcp_flags & kSyn) != 0, ack = (e.tcp_flags & kAck) != 0;
  const double age = has(e, TW_REMEMBERED) || e.closed_ns != 0 ? seconds(e.time_ns - e.closed_ns) : 0;
  const KernelProcess closer = process_of(e).pid != 0 ? process_of(e) : closer_of(e);

  auto data_after_close = [&](const char* how) {
    // Did a request cross the close of an idle connection, or did the peer go on unaware?
    const bool crossed = side == Side::kServer && e.payload > 0 && closer.pid != 0 && age < 0.5 && e.bytes_in > 0 && e.bytes_sent > 0;
    out.process = closer;
    auto& d = add(out, "data-after-close", "proven", side,
                  fmt::format("Data met a socket that {} had closed{}.", who(closer), age > 0 ? fmt::format(" {:.3g} s before", age) : ""));
    d.evidence.push_back(fmt::format("{} bytes arrived, {}; the answer was RST ({})", e.payload, how, reason));
    d.settles = "which side ought to have closed first: the application's protocol";
    d.fix = {"the sender must notice the FIN before it sends; the closer must not close while the peer may still send"};
    if (crossed) add(out, "keepalive-race", "possible", side, "If the connection was idle, a request crossed the server's close on the wire.");
    if (side == Side::kClient) add(out, "client-closed-early", "likely", side, "The client closed while the server was still sending.");
    return true;
  };

  if (reason == "TCP_ABORT_ON_DATA") return data_after_close("the receiving side was shut");
  if (reason == "TCP_TIMEWAIT_SOCKET") return data_after_close("the socket was gone but for its FIN_WAIT2 mini-socket");
  if (reason == "INVALID_SYN" || (reason == "NOT_SPECIFIED" && e.state == kListen && ack && !syn && e.queue > e.queue_limit)) {
    if (syn) {
      auto& d = add(out, "nat-port-collision", "possible", Side::kUnknown, "A second, different SYN came for a handshake under way; the kernel dropped both.");
      d.evidence.push_back("a SYN inside the window of the pending request (EmbryonicRsts)");
      possible(out, {"client-restarted"}, Side::kClient, "a client that lost its state and reuses the port does the same");
      out.outcome = "handshake-failed";
      return true;
    }
    out.outcome = "handshake-failed";
    auto& d = add(out, "accept-queue-overflow-reset", "proven", Side::kServer,
                  "The accept queue was full and tcp_abort_on_overflow is 1: the handshake was reset.");
    d.evidence.push_back(fmt::format("the third segment was right, the accept queue held {} of {}; the kernel calls its RST {}, which is about no SYN",
                                     e.queue, e.queue_limit, reason));
    d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together", "net.ipv4.tcp_abort_on_overflow=0 lets clients retry"};
    return true;
  }
  if (e.state == kSynSent && !has(e, TW_NOT_FULL) && has(e, TW_HAS_SOCKET)) {
    // N6: the answer to our SYN acknowledges something else.
    out.outcome = "handshake-failed";
    if (syn) {
      auto& d = add(out, "unacceptable-ack", "likely", Side::kPath, "The SYN-ACK acknowledges a number this host never sent.");
      d.evidence.push_back(fmt::format("SYN-ACK with ACK number {}; the kernel reset it ({})", e.ack, reason));
      possible(out, {"ack-number-rewritten", "conflicting-syn-acks"}, Side::kPath, "a device that rewrites numbers, or a second responder");
      return true;
    }
    bool challenged = false;
    for (const tw_event& other : c.events) challenged |= other.kind == TW_DROPPED && names_.drop_reason(other.reason) == "TCP_INVALID_SYN";
    const char* one = challenged ? "half-open-challenged" : "time-wait-syn-challenged";
    auto& d = add(out, one, challenged ? "proven" : "possible", Side::kServer,
                  challenged ? "The SYN hit a connection the server still held: it was challenged, and the challenge reset."
                             : "The SYN was answered with a plain ACK of an older connection of the same tuple.");
    d.evidence.push_back(fmt::format("ACK {} in answer to our SYN; the kernel reset it ({})", e.ack, reason));
    d.settles = "the server's socket of this tuple: ESTABLISHED or TIME-WAIT (ss -tan)";
    d.fix = {"use more local ports, or let the side that does not reuse ports close first"};
    if (!challenged) possible(out, {"half-open-challenged"}, Side::kServer, "a connection the server still holds answers alike");
    return true;
  }
  // NO_SOCKET, and TCP_FLAGS of a listener that knows no such connection.
  if (syn && !ack) {
    out.outcome = "refused";
    out.client_state = "SYN_SENT";
    out.server_state = "CLOSE";
    if (!is_local_(e.netns, address(e, e.local))) return false;
    auto& d = add(out, "port-closed", "proven", Side::kServer, fmt::format("Nothing listens on {}: the host itself answered the SYN with RST.",
                                                                           facts::to_string(local_end(e))));
    d.evidence.push_back(fmt::format("the kernel found no socket for the SYN ({})", reason));
    d.fix = {"start the service, or bind it to this address and port (ss -lnt)"};
    return true;
  }
  if (syn) {
    // A SYN-ACK: we were the client.
    std::swap(out.client, out.server);
    if (out.vantage == Side::kServer) out.client = local_end(e), out.server = remote_end(e), out.vantage = Side::kClient;
    out.outcome = "handshake-failed";
    out.ended_by = Side::kClient;
    out.client_state = "CLOSE";
    out.server_state = "SYN_RECV";
    if (has(e, TW_REMEMBERED) && e.closed_state == kSynSent) {
      out.process = closer_of(e);
      auto& d = add(out, "connect-timeout", "proven", Side::kClient,
                    fmt::format("{} had given up {:.3g} s before the SYN-ACK arrived.", who(out.process), age));
      d.evidence.push_back("the SYN-ACK found no socket; this host had closed the connecting one itself");
      d.settles = "why the answer was late: a capture at the server";
      d.fix = {"raise the client's connect timeout above the path's worst, or repair the path"};
      return true;
    }
    auto& d = add(out, "backscatter", "possible", Side::kUnknown, "A SYN-ACK came for a connection this host did not open.");
    d.evidence.push_back("no socket, and no recent connect() of this tuple");
    possible(out, {"connect-timeout"}, Side::kClient, "a connect() given up before tcpwhy watched");
    return true;
  }
  if (has(e, TW_REMEMBERED) && e.closed_state != kSynSent) {
    if (e.closed_error == 110) {
      out.process = closer_of(e);
      auto& d = add(out, "peer-unresponsive", "proven", opposite(side), "This host had given the connection up for lack of answers; the peer came back too late.");
      d.evidence.push_back(fmt::format("it ended here with ETIMEDOUT {:.3g} s ago", age));
      return true;
    }
    if (e.closed_state == kFinWait2 && age > 1.0 && e.payload > 0) {
      out.process = closer_of(e);
      auto& d = add(out, "fin-wait2-timeout", "proven", side,
                    fmt::format("{} had closed; FIN_WAIT2 ended after {:.3g} s, and data came later.", who(out.process), age));
      d.evidence.push_back(fmt::format("{} bytes for a connection that ended here in FIN_WAIT2", e.payload));
      d.fix = {"the peer must close when it sees FIN; tcp_fin_timeout only bounds the wait"};
      return true;
    }
    if (e.payload > 0) return data_after_close("the socket no longer existed");
    // A late FIN or ACK of a connection that is over: nothing is lost.
    out.healthy = true;
    return false;
  }
  bool request = false;
  for (const tw_event& other : c.events) request |= other.kind == TW_SYNACK_REPEATED;
  if (request) {
    out.outcome = "handshake-failed";
    auto& d = add(out, "unacceptable-ack", "likely", Side::kPath, "A segment acknowledged a number the server's SYN-ACK never used.");
    d.evidence.push_back(fmt::format("ACK {} while the handshake was still pending", e.ack));
    possible(out, {"ack-number-rewritten"}, Side::kPath, "a device that rewrites numbers would do this");
    return true;
  }
  if (e.payload == 0) {
    // The last words of a connection that is over: a closed tuple is remembered for a while only, and a bare ACK or FIN
    // that comes late loses nothing. A keepalive probe looks the same; the end that probes tells of its reset.
    out.healthy = true;
    return false;
  }
  out.roles_inferred = true;
  auto& d = add(out, "half-open", "likely", Side::kUnknown, "A segment came for a connection this host does not have; it answered with RST.");
  d.evidence.push_back(fmt::format("{} payload bytes, ACK {}, no socket, and no connection of this tuple ended here lately", e.payload, e.ack));
  d.settles = "whether this host restarted, or a device between changed addresses (conntrack -L, both ends' captures)";
  possible(out, {"peer-restarted", "nat-state-lost-reset", "conntrack-invalid-reset"}, Side::kUnknown,
           "this host lost the connection, or a device passed a segment on untranslated");
  return true;
}

// --- Resets that came --------------------------------------------------------------------------------------------------

bool Judge::judge_reset_received(const Case& c, const tw_event& e, KernelVerdict& out) const {
  out = frame(c, e);
  out.outcome = "reset";
  const Side me = out.vantage, peer = opposite(me);
  out.ended_by = peer;
  find_process(c, e, out);
  const bool we_closed = e.state == kFinWait1 || e.state == kFinWait2 || e.state == kClosing || e.state == kLastAck;
  if (we_closed && e.unacked <= 1) {
    out.healthy = true;  // all of ours was acknowledged but the FIN: a RST in place of the last formality
    return false;
  }
  const double quiet = static_cast<double>(e.quiet_us) * 1e-6;
  const std::string numbers = fmt::format("RST received in {}: {} bytes received, {} sent, {} unacknowledged", state_name(e.state), e.bytes_in,
                                          e.bytes_sent, e.unacked);
  if (e.state == kCloseWait) {
    auto& d = add(out, "data-after-close", e.unacked > 0 ? "likely" : "possible", me,
                  fmt::format("The {} had closed; {} went on sending and was reset.", word(peer), who(out.process)));
    d.evidence.push_back(numbers);
    d.fix = {"stop sending and close when read() returns 0"};
    possible(out, {peer == Side::kServer ? "server-aborted" : "client-aborted"}, peer, "the peer may have aborted after its FIN");
    return true;
  }
  const char* generic = peer == Side::kServer ? "server-aborted" : "client-aborted";
  auto& d = add(out, generic, "likely", peer, fmt::format("A RST came from the {}'s side in the middle of the connection.", word(peer)));
  d.evidence.push_back(numbers);
  d.settles = peer == Side::kServer ? "tcpwhy watch on the server, or a capture there" : "tcpwhy watch on the client, or a capture there";
  if (peer == Side::kServer && e.unacked > 0 && e.bytes_in > 0)
    possible(out, {"keepalive-race"}, peer, "the server may have closed the idle connection while the request was on its way");
  if (quiet >= 30) possible(out, {"idle-timeout-reset", "nat-state-lost-reset"}, Side::kPath, "the connection had been idle");
  possible(out, {"close-with-unread-data", "linger-zero-abort", "process-killed"}, peer, "all look the same from here");
  possible(out, {"reset-by-network"}, Side::kPath, "the kernel does not say who made the RST; its TTL in a capture would");
  return true;
}

// --- connect() that failed ----------------------------------------------------------------------------------------------

bool Judge::judge_connect(const Case& c, const tw_event& e, KernelVerdict& out) const {
  out = frame(c, e);
  out.process = process_of(e);
  const double waited = e.opened_ns != 0 ? seconds(e.time_ns - e.opened_ns) : 0;
  const std::string target = facts::to_string(out.server);
  out.outcome = "refused";
  switch (e.error) {
    case 111: {
      out.ended_by = Side::kServer;
      const bool here = loopback(out.server.address) || out.server.address == out.client.address;
      auto& d = here ? add(out, "rejected-by-icmp", "likely", Side::kServer, fmt::format("A filter on this host rejects connections to {}.", target))
                     : add(out, "port-closed", "likely", Side::kServer, fmt::format("{} refused: the SYN was answered with RST or ICMP port unreachable.", target));
      d.evidence.push_back(fmt::format("ECONNREFUSED after {:.3g} s{}", waited, here ? ", and the kernel sent no RST of its own" : ""));
      d.settles = "the TTL of the RST against that of an open port (tcpwhy probe)";
      d.fix = {"start the service, or allow it in the filter"};
      if (!here) possible(out, {"rejected-by-middlebox", "rejected-by-icmp"}, Side::kPath, "from here a filter's refusal reads the same");
      return true;
    }
    case 113: case 112: case 64: {
      out.ended_by = Side::kPath;
      const bool slow = waited > 2.5;
      auto& d = slow ? add(out, "neighbour-unresolved", "likely", Side::kPath, "The next hop did not answer ARP or ND.")
                     : add(out, "host-unreachable", "likely", Side::kPath, fmt::format("A router reported {} unreachable.", target));
      d.evidence.push_back(fmt::format("{} after {:.3g} s", errno_word(e.error), waited));
      d.settles = "ip neigh, and a capture of the ICMP that came";
      possible(out, {slow ? "host-unreachable" : "neighbour-unresolved", "rejected-by-icmp"}, Side::kPath,
               "the kernel reports the same errno for ICMP host unreachable, prohibited, and a neighbour that does not answer");
      return true;
    }
    case 101: {
      out.ended_by = Side::kPath;
      auto& d = add(out, "host-unreachable", "likely", Side::kPath, fmt::format("A router reported the network of {} unreachable.", target));
      d.evidence.push_back(fmt::format("ENETUNREACH after {:.3g} s", waited));
      possible(out, {"rejected-by-icmp"}, Side::kPath, "ICMP network prohibited reads the same");
      return true;
    }
    case 13: case 71: case 92: case 95: {
      auto& d = add(out, "rejected-by-icmp", "likely", Side::kPath, fmt::format("A filter rejected the connection to {} with ICMP.", target));
      d.evidence.push_back(fmt::format("{} after {:.3g} s", errno_word(e.error), waited));
      return true;
    }
    case 0: {
      // The application closed the connecting socket itself.
      if (waited < 0.9) {
        out.healthy = true;  // raced and dropped (Happy Eyeballs), or a probe
        return false;
      }
      out.outcome = "unanswered";
      auto& d = add(out, "syn-unanswered", "likely", Side::kUnknown,
                    fmt::format("{} gave up on {} after {:.3g} s without an answer.", who(out.process), target, waited));
      d.evidence.push_back(fmt::format("closed in SYN_SENT, {} SYNs repeated", e.retransmitted));
      break;
    }
    default: {
      out.outcome = "unanswered";
      auto& d = add(out, "syn-unanswered", "likely", Side::kUnknown, fmt::format("No SYN to {} was answered; the kernel gave up.", target));
      d.evidence.push_back(fmt::format("{} after {:.3g} s, {} SYNs repeated", errno_word(e.error), waited, e.retransmitted));
      break;
    }
  }
  out.diagnoses.front().settles = "a capture at the server: whether the SYN arrives, and whether it is answered (tcpwhy probe shows the hop)";
  possible(out, {"syn-dropped-on-path", "syn-dropped-by-host-filter", "syn-ack-lost", "accept-queue-overflow", "syn-queue-overflow", "peer-vanished"},
           Side::kUnknown, "this end cannot tell who was silent");
  return true;
}

// --- Time-outs and silence -------------------------------------------------------------------------------------------------

bool Judge::judge_death(const tw_event& e, KernelVerdict& out) const {
  Case alone;
  alone.first_ns = alone.last_ns = e.time_ns;
  out = frame(alone, e);
  (out.vantage == Side::kClient ? out.client_state : out.server_state) = state_name(e.old_state);
  out.outcome = "timed-out";
  out.ended_by = out.vantage;
  out.process = process_of(e);
  const Side peer = opposite(out.vantage);
  const std::string numbers = fmt::format("{} in {}: {} bytes unacknowledged, {} retransmissions in all, {} timeouts and {} probes at the end",
                                          errno_word(e.error), state_name(e.old_state), e.unacked, e.retransmitted, e.tries, e.probes);
  if (e.error == 103) return false;  // its RST tells
  if (e.user_timeout_ms != 0) {
    auto& d = add(out, "user-timeout", "proven", peer, fmt::format("TCP_USER_TIMEOUT of {} ms ended the connection.", e.user_timeout_ms));
    d.evidence.push_back(numbers);
    possible(out, {"path-blackhole", "peer-vanished"}, Side::kUnknown, "why nothing came back cannot be told from here");
    return true;
  }
  if (e.tries == 0 && e.probes > 0 && e.unacked > 0) {
    auto& d = add(out, "zero-window-stall", "likely", peer, "The peer's window stayed shut, and its probes went unanswered until the kernel gave up.");
    d.evidence.push_back(numbers);
    return true;
  }
  if (e.probes > 0 && e.unacked == 0) {
    auto& d = add(out, "keepalive-dead-peer", "proven", peer, "Keepalive probes stayed unanswered until the kernel gave up.");
    d.evidence.push_back(numbers);
    return true;
  }
  auto& d = add(out, "peer-unresponsive", "proven", peer, "Data was repeated until the kernel gave up; nothing came back any more.");
  d.evidence.push_back(numbers);
  d.settles = "a capture at the other end: whether the repeats arrive";
  possible(out, {"path-blackhole", "peer-vanished", "nat-state-lost-silent", "pmtu-blackhole"}, Side::kUnknown, "silence looks the same from here");
  return true;
}

bool Judge::judge_silence(const tw_event& e, KernelVerdict& out) const {
  Case alone;
  alone.first_ns = alone.last_ns = e.time_ns;
  out = frame(alone, e);
  out.process = process_of(e);
  if (e.state == kSynSent) {
    if (e.tries < 1) return false;
    out.outcome = "unanswered";
    auto& d = add(out, "syn-unanswered", "likely", Side::kUnknown,
                  fmt::format("{} SYNs to {} have not been answered so far.", e.tries + 2, facts::to_string(out.server)));
    d.evidence.push_back(fmt::format("connecting for {:.3g} s", e.opened_ns != 0 ? seconds(e.time_ns - e.opened_ns) : 0));
    d.settles = "a capture at the server: whether the SYN arrives, and whether it is answered (tcpwhy probe shows the hop)";
    possible(out, {"syn-dropped-on-path", "syn-dropped-by-host-filter", "syn-ack-lost", "accept-queue-overflow", "syn-queue-overflow", "peer-vanished"},
             Side::kUnknown, "this end cannot tell who was silent");
    return true;
  }
  if (e.tries < 3) return false;
  out.outcome = "timed-out";
  const bool large_only = e.bytes_acked > 1 && e.mss != 0 && e.unacked >= e.mss && e.bytes_in > 0;
  auto& d = add(out, "peer-unresponsive", "likely", opposite(out.vantage),
                fmt::format("The same data has been sent {} times in a row, and nothing came back.", e.tries + 2));
  d.evidence.push_back(fmt::format("{} bytes unacknowledged, {} acknowledged before, {} retransmissions in all", e.unacked, e.bytes_acked, e.retransmitted));
  d.settles = "a capture at the other end: whether the repeats arrive";
  possible(out, {"path-blackhole", "peer-vanished", "nat-state-lost-silent"}, Side::kUnknown, "silence looks the same from here");
  if (large_only) possible(out, {"pmtu-blackhole"}, Side::kPath, "full-size segments are outstanding while small ones had passed");
  return true;
}

// --- Drops ---------------------------------------------------------------------------------------------------------------------

bool Judge::judge_drop(const Case& c, const tw_event& e, KernelVerdict& out) const {
  const std::string_view reason = names_.drop_reason(e.reason);
  out = frame(c, e);
  const bool syn = (e.tcp_flags & (kSyn | kAck)) == kSyn, syn_ack = (e.tcp_flags & (kSyn | kAck)) == (kSyn | kAck);
  const bool in = has(e, TW_INCOMING);
  const bool ours = is_local_(e.netns, address(e, e.local));
  const char* what = syn ? "SYN" : syn_ack ? "SYN-ACK" : (e.tcp_flags & kRst) != 0 ? "RST" : e.payload > 0 ? "data" : "segment";
  if (syn_ack) {  // roles by the packet: who sends a SYN-ACK is the server
    const facts::Endpoint sender = in ? remote_end(e) : local_end(e), receiver = in ? local_end(e) : remote_end(e);
    out.server = sender;
    out.client = receiver;
    out.vantage = in ? Side::kClient : Side::kServer;
    out.roles_inferred = false;
  }
  const Side me = ours || !in ? out.vantage : Side::kPath;
  if (me == Side::kPath) out.vantage = Side::kPath;
  auto evidence = [&](KernelDiagnosis& d) {
    d.evidence.push_back(fmt::format("{} {} dropped by this host's kernel as {}{}", c.drops, c.drops == 1 ? what : "segments", reason,
                                     ours || !in ? "" : ", on its way through"));
  };
  out.outcome = syn ? "unanswered" : syn_ack ? "handshake-failed" : "stalled";

  if (reason == "TCP_LISTEN_OVERFLOW") {
    for (const tw_event& other : c.events)  // under tcp_abort_on_overflow its RST tells more
      if (other.kind == TW_RESET_SENT) return false;
    out.outcome = "handshake-failed";
    auto& d = add(out, "accept-queue-overflow", "proven", Side::kServer, "The accept queue was full: the third segment of the handshake was ignored.");
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
    std::string cause = syn ? (through ? "syn-dropped-on-path" : "syn-dropped-by-host-filter")
                            : syn_ack ? "syn-ack-lost" : through || !in ? "path-blackhole" : "host-dropped";
    if ((e.tcp_flags & kRst) != 0) return false;  // a filter that eats resets harms nobody by itself
    auto& d = add(out, cause, "proven", through ? Side::kPath : me,
                  fmt::format("This host's {} drops the {} {} {}.", filter, what, in ? "from" : "to", facts::to_string(remote_end(e))));
    evidence(d);
    d.fix = {reason == "IP_RPFILTER" ? "repair the routes, or net.ipv4.conf.*.rp_filter=2" : "find the rule: nft list ruleset, iptables-save -c; its counter rises"};
    return true;
  }
  if (reason == "TCP_CSUM") {
    out.outcome = "stalled";
    auto& d = add(out, "checksum-corruption", "proven", Side::kPath, "Segments arrive with wrong TCP checksums and are dropped.");
    evidence(d);
    d.fix = {"find the device that damages them: a NIC's offload, a NAT, a tunnel; InCsumErrors counts them"};
    return true;
  }
  if (reason.starts_with("TCP_MD5") || reason.starts_with("TCP_AO") || reason == "TCP_AUTH_HDR") {
    auto& d = add(out, "authentication-mismatch", "proven", Side::kUnknown, "TCP MD5 or AO signatures do not match: segments are ignored.");
    evidence(d);
    d.fix = {"configure the same key for the peer on both sides"};
    return true;
  }
  if (reason == "NEIGH_FAILED" || reason == "NEIGH_CREATEFAIL") {
    auto& d = add(out, "neighbour-unresolved", "proven", Side::kPath, fmt::format("The next hop towards {} does not answer ARP or ND.", facts::to_string(remote_end(e).address)));
    evidence(d);
    d.fix = {"ip neigh; is the next hop up, in this VLAN, with this address?"};
    return true;
  }
  if (reason == "TCP_INVALID_SYN") {
    out.outcome = "handshake-failed";
    if (!syn) return false;
    auto& d = add(out, "half-open-challenged", "likely", Side::kClient, "A SYN hit a connection this host still holds: it was answered with a challenge ACK.");
    evidence(d);
    d.settles = "whether the client restarted, or a NAT gave its port to another";
    possible(out, {"client-restarted", "nat-port-collision"}, Side::kUnknown, "both reuse the tuple without closing");
    return true;
  }
  if (reason == "TCP_RFC7323_PAWS" || reason == "TCP_RFC7323_TW_PAWS") {
    auto& d = add(out, "timestamp-regression", "proven", Side::kPath, "Timestamps went backwards within the connection: PAWS drops its segments.");
    evidence(d);
    return true;
  }
  if (reason == "TCP_INVALID_ACK_SEQUENCE" || reason == "TCP_ACK_UNSENT_DATA") {
    auto& d = add(out, "unacceptable-ack", "proven", Side::kPath, "Segments acknowledge what this host never sent and are dropped.");
    evidence(d);
    possible(out, {"ack-number-rewritten", "injected-data"}, Side::kPath, "a device that rewrites numbers, or a third party");
    return true;
  }
  if (reason == "TCP_RESET") {
    // In the window but not exact: challenged, ignored.
    auto& d = add(out, "forged-reset", "possible", Side::kPath, "RSTs with a wrong sequence number arrive again and again; the kernel ignores them.");
    evidence(d);
    return true;
  }
  if (reason == "TCP_ZEROWINDOW") {
    auto& d = add(out, "zero-window-stall", "proven", me, "The receive window is shut: the application here does not read.");
    evidence(d);
    return true;
  }
  if (reason == "IP_INNOROUTES" || reason == "IP_INADDRERRORS") {
    out.outcome = "refused";
    auto& d = add(out, "host-unreachable", "proven", Side::kPath, "This host has no route for the packet it should forward.");
    evidence(d);
    return true;
  }
  if (reason == "PKT_TOO_BIG") {
    auto& d = add(out, "pmtu-blackhole", "possible", Side::kPath, "Packets too big for the next link are dropped here, again and again.");
    evidence(d);
    d.settles = "whether the sender gets the ICMP that says so";
    return true;
  }
  if (reason == "QDISC_DROP") return false;  // ordinary loss
  auto& d = add(out, "host-dropped", "proven", me, fmt::format("This host's kernel drops the connection's segments ({}).", reason));
  evidence(d);
  return true;
}

// --- SYN-ACKs that repeat --------------------------------------------------------------------------------------------------------

bool Judge::judge_synack(const Case& c, const tw_event& e, KernelVerdict& out) const {
  out = frame(c, e);
  out.outcome = "handshake-failed";
  out.client_state = "UNSEEN";
  out.server_state = "SYN_RECV";
  out.bytes_in = out.bytes_sent = 0;
  const bool full = e.queue > e.queue_limit;
  if (has(e, TW_REQ_ACKED)) {
    if (e.defer_accept != 0 && !full) {
      if (e.tries + 1u < e.defer_accept) return false;
      auto& d = add(out, "defer-accept-no-data", "likely", Side::kClient, "TCP_DEFER_ACCEPT: the client completed the handshake and sent nothing.");
      d.evidence.push_back(fmt::format("the request has its ACK; the listener defers accept() for {} timeouts", e.defer_accept));
      d.fix = {"nothing, if the client is a port check; else let it send first"};
      return true;
    }
    auto& d = add(out, "accept-queue-overflow", full ? "proven" : "likely", Side::kServer,
                  "The client's ACK arrived, yet the connection was not created: the accept queue was full.");
    d.evidence.push_back(fmt::format("SYN-ACK sent again {} times after the ACK; accept queue {} of {}", e.tries + 1, e.queue, e.queue_limit));
    d.fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together"};
    return true;
  }
  if (e.tries < 1) return false;
  auto& d = add(out, "handshake-ack-lost", "likely", Side::kPath, "The SYN-ACK has been sent several times, and no ACK came back.");
  d.evidence.push_back(fmt::format("{} repeats so far", e.tries + 1));
  d.settles = "a capture at the client: whether the SYN-ACK arrives there";
  possible(out, {"syn-ack-lost", "syn-flood"}, Side::kUnknown, "a SYN-ACK that never arrives, and a forged SYN, look the same from here");
  return true;
}

// --- What is due -------------------------------------------------------------------------------------------------------------------

std::vector<KernelVerdict> Judge::collect(std::uint64_t now_ns, std::uint64_t patience_ns) {
  std::vector<KernelVerdict> out;
  std::vector<KernelVerdict> half_open;
  for (auto at = cases_.begin(); at != cases_.end();) {
    Case& c = at->second;
    if (now_ns < c.last_ns + patience_ns && now_ns < c.first_ns + std::min(kLongest, patience_ns * 5)) {
      ++at;
      continue;
    }
    KernelVerdict v;
    if (judge(c, now_ns, v) && !v.healthy && !v.diagnoses.empty()) {
      const std::uint8_t kind = c.events.back().kind;
      const bool goes_on = kind == TW_RETRANSMIT || kind == TW_SYNACK_REPEATED || kind == TW_DROPPED;
      if (reported_.size() < kMostReported) reported_[at->first] = {c.last_ns + (goes_on ? 130 : 2) * kSecond};
      const bool flood = v.diagnoses.front().cause == "handshake-ack-lost";
      (flood ? half_open : out).push_back(std::move(v));
      at = cases_.erase(at);
    } else if (c.events.back().kind == TW_DROPPED || c.events.back().kind == TW_RETRANSMIT || c.events.back().kind == TW_SYNACK_REPEATED) {
      // Not enough yet; what goes on is looked at again, what does not is forgotten.
      if (now_ns > c.last_ns + 10 * kSecond)
        at = cases_.erase(at);
      else
        ++at;
    } else {
      at = cases_.erase(at);
    }
  }
  // Many half-open requests at once are one story.
  if (half_open.size() > 20) {
    KernelVerdict v = half_open.front();
    v.kind = KernelVerdict::Kind::kFinding;
    v.connections = half_open.size();
    v.diagnoses.clear();
    auto& d = add(v, "syn-flood", "likely", Side::kUnknown, fmt::format("{} handshakes at once stay half-open: SYN-ACKs are repeated and nobody answers.", half_open.size()));
    d.evidence.push_back(fmt::format("SYN-ACKs repeated to {} tuples, none of which sent an ACK", half_open.size()));
    d.fix = {"net.ipv4.tcp_syncookies=1; a larger backlog does not help against a flood"};
    out.push_back(std::move(v));
  } else {
    for (KernelVerdict& v : half_open) out.push_back(std::move(v));
  }
  for (KernelVerdict& f : findings_) out.push_back(std::move(f));
  findings_.clear();
  std::erase_if(reported_, [&](const auto& r) { return r.second.until_ns + 5 * kSecond < now_ns; });
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.end_ns < b.end_ns; });
  return out;
}

std::vector<KernelVerdict> Judge::due(std::uint64_t now_ns) { return collect(now_ns, kMoment); }
std::vector<KernelVerdict> Judge::rest(std::uint64_t now_ns) { return collect(now_ns, 0); }

// --- Listeners and counters ---------------------------------------------------------------------------------------------------------

void Judge::observe(const NamespaceSample& s, std::uint64_t now_ns) {
  const auto before_at = counters_.find(s.netns);
  const bool first = before_at == counters_.end();
  std::map<std::string, std::uint64_t> before = first ? std::map<std::string, std::uint64_t>{} : before_at->second;
  counters_[s.netns] = s.counters;
  std::vector<KernelListener> touched;
  std::uint64_t most = 0;
  KernelProcess owner;
  for (const ListenerSample& l : s.listeners) {
    auto& [last, total] = drops_[{s.netns, facts::to_string(l.at)}];
    const bool fresh = first && !s.from_birth;
    const std::uint32_t delta = fresh ? 0 : l.drops - std::min(last, l.drops);
    last = l.drops;
    total += delta;
    if (delta == 0 && l.queue <= l.limit) continue;
    touched.push_back({l.at, l.queue, l.limit, delta});
    if (delta >= most) {
      most = delta;
      if (const auto at = listeners_.find({s.netns, l.at.port}); at != listeners_.end()) owner = at->second;
      else if (l.inode != 0) owner = owner_of_(l.inode);
    }
  }
  if (first && !s.from_birth) return;
  auto moved = [&](const char* name) {
    const auto now = s.counters.find(name);
    if (now == s.counters.end()) return std::uint64_t{0};
    const auto old = before.find(name);
    const std::uint64_t then = old == before.end() ? 0 : old->second;
    return now->second > then ? now->second - then : 0;
  };
  const std::uint64_t overflows = moved("ListenOverflows"), drops = moved("ListenDrops"), full = moved("TCPReqQFullDrop"),
                      cookies = moved("TCPReqQFullDoCookies"), paws = moved("PAWSPassive"), failed_cookies = moved("SyncookiesFailed");
  auto finding = [&](const char* cause, const char* verdict, const std::string& summary, std::initializer_list<const char*> names) -> KernelDiagnosis* {
    auto& until = quiet_until_[{s.netns, cause}];
    if (now_ns < until) return nullptr;
    until = now_ns + 10 * kSecond;
    KernelVerdict v;
    v.kind = KernelVerdict::Kind::kFinding;
    v.netns = s.netns;
    v.start_ns = v.end_ns = now_ns;
    v.vantage = Side::kServer;
    v.listeners = touched;
    v.process = owner;
    v.connections = 0;
    for (const char* name : names)
      if (const std::uint64_t n = moved(name); n > 0) v.counters.push_back(fmt::format("{} +{}", name, n));
    if (!touched.empty()) v.server = touched.front().at;
    auto& d = add(v, cause, verdict, Side::kServer, summary);
    for (const std::string& counter : v.counters) d.evidence.push_back(counter);
    for (const KernelListener& l : touched)
      d.evidence.push_back(fmt::format("listener {}: accept queue {} of {}, {} packets dropped for it", facts::to_string(l.at), l.queue, l.limit, l.drops));
    findings_.push_back(std::move(v));
    return &findings_.back().diagnoses.front();
  };
  const std::string name = touched.empty() ? std::string{"A listener"} : fmt::format("The listener {}", facts::to_string(touched.front().at));
  if (overflows > 0)
    if (auto* d = finding("accept-queue-overflow", "proven", fmt::format("{} of {} has a full accept queue: SYNs and last ACKs are dropped.", name, who(owner)),
                          {"ListenOverflows", "ListenDrops"}))
      d->fix = {"accept faster; raise the listen() backlog and net.core.somaxconn together"};
  if (full > 0)
    if (auto* d = finding("syn-queue-overflow", "proven", fmt::format("{} of {} has a full SYN queue and no syncookies: SYNs are dropped.", name, who(owner)),
                          {"TCPReqQFullDrop", "ListenDrops"}))
      d->fix = {"net.ipv4.tcp_syncookies=1; raise the listen() backlog and net.core.somaxconn together"};
  if (paws > 0)
    if (auto* d = finding("per-host-timestamp-check", "proven", "tcp_tw_recycle refuses SYNs from hosts that share an address.", {"PAWSPassive", "ListenDrops"}))
      d->fix = {"net.ipv4.tcp_tw_recycle=0"};
  if (cookies > 0)
    if (auto* d = finding("syn-flood", "possible", fmt::format("{} of {} has a full SYN queue; syncookies answer in its place.", name, who(owner)),
                          {"TCPReqQFullDoCookies", "SyncookiesSent", "SyncookiesFailed"}))
      d->settles = "whether the half-open peers exist: a flood never completes, a burst of real clients does";
  if (drops > 0 && overflows == 0 && full == 0 && paws == 0 && cookies == 0 && failed_cookies == 0)
    if (auto* d = finding("syn-queue-overflow", "possible", fmt::format("{} of {} drops SYNs for another reason than its queues.", name, who(owner)), {"ListenDrops"}))
      d->settles = "tcp_syncookies=0 with the last quarter of tcp_max_syn_backlog reserved for known peers, no memory, or no route back";
}

}  // namespace tcpwhy::host
