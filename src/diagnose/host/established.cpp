// established-ghosts, zero-window-stall, peer-unresponsive, keepalive-dead-peer:
// connections that look alive.

#include <algorithm>
#include <unordered_set>

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// Five timeouts in a row: 0.2 + 0.4 + … + 3.2 s, at least 6 s of silence to data.
constexpr std::uint8_t kTimeouts = 5;
/// A window below two segments lets nothing useful through.
constexpr std::uint32_t kShut = 2 * 1460;
/// Segments a first request fits in.
constexpr std::uint32_t kRequest = 4;

/// Both ends of a connection on this host: is the other one there?
struct Tuple {
  Endpoint a, b;
  friend bool operator==(const Tuple&, const Tuple&) = default;
};
struct TupleHash {
  std::size_t operator()(const Tuple& t) const noexcept { return facts::EndpointHash{}(t.a) * 31 + facts::EndpointHash{}(t.b); }
};

}  // namespace

void find_ghosts(const View& view, Findings& out) {
  // No keepalive could keep silent for longer: idle time plus every probe.
  const auto& ns = view.ns;
  const double bound_ms = 1e3 * static_cast<double>(std::max<std::int64_t>(
      7875, ns.sysctl("net.ipv4.tcp_keepalive_time").value_or(7200) +
                ns.sysctl("net.ipv4.tcp_keepalive_intvl").value_or(75) * ns.sysctl("net.ipv4.tcp_keepalive_probes").value_or(9)));
  std::unordered_set<Tuple, TupleHash> here;
  for (const Socket& s : ns.sockets)
    if (view.is_local(s.remote.address) && s.state != State::kListen) here.insert({s.local, s.remote});
  Pile ghosts{view}, dead{view};
  for (const Socket& s : ns.sockets) {
    if (s.state != State::kEstablished || s.inode == 0 || s.timer != SocketTimer::kNone) continue;
    const SocketInfo* i = ns.info(s);
    if (i == nullptr || i->silent_ms() < bound_ms) continue;
    if (!view.is_local(s.remote.address))
      ghosts.add(s, i->silent_ms() * 1e-3);
    else if (!here.contains({s.remote, s.local}) && ns.sockets_total == ns.sockets.size())
      dead.add(s, i->silent_ms() * 1e-3);  // the other end would be on this host, and is not
  }
  for (const Pile* pile : {&dead, &ghosts}) {
    if (pile->count() == 0) continue;
    HostFinding f;
    f.cause = pile == &dead ? "half-open" : "established-ghosts";
    // An idle pool looks the same from here; many silent clients of one listener hardly do.
    f.verdict = pile == &dead                                                     ? Verdict::kProven
                : pile->side() == facts::Side::kServer && pile->remote_hosts() >= 16 ? Verdict::kLikely
                                                                                   : Verdict::kPossible;
    f.side = pile->side() == facts::Side::kServer ? facts::Side::kClient : facts::Side::kServer;
    f.summary = pile == &dead
                    ? fmt::format("{} of {} have no other end on this host: half-open.", counted(pile->count(), "connection"),
                                  pile->owner_words())
                    : fmt::format("{} of {} were silent for up to {} without keepalive: the peers may be gone.",
                                  counted(pile->count(), "connection"), pile->owner_words(), age_words(pile->oldest_s().value_or(0)));
    f.processes = pile->owners();
    f.sockets.push_back(pile->evidence(pile->where_words()));
    f.sysctls = view.sysctls({"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"});
    f.fix = {"let the application set SO_KEEPALIVE (TCP_KEEPIDLE 60 to 600) or an idle timeout of its own",
             "the keepalive sysctls alone change nothing: only sockets with SO_KEEPALIVE use them"};
    out.push_back(std::move(f));
  }
}

void find_zero_window(const View& view, Findings& out) {
  std::unordered_map<const facts::Process*, Pile> peers, ours;
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kEstablished && s.state != State::kCloseWait) continue;
    const SocketInfo* i = view.ns.info(s);
    if (i == nullptr) continue;
    const facts::Process* p = view.host.process(s);
    if (s.timer == SocketTimer::kWindowProbe && s.send_queue > 0 && i->last_data_sent_ms >= view.patience_ms())
      peers.try_emplace(p, view).first->second.add(s, i->last_data_sent_ms * 1e-3);
    if (s.state == State::kEstablished && s.inode != 0 && s.receive_queue > 0 && i->receive_window < kShut &&
        i->last_data_received_ms >= view.patience_ms())
      ours.try_emplace(p, view).first->second.add(s, i->last_data_received_ms * 1e-3);
  }
  for (const auto* piles : {&ours, &peers})
    for (const auto& [process, pile] : *piles) {
      HostFinding f;
      f.cause = "zero-window-stall";
      const bool local = piles == &ours;
      const bool we_serve = pile.side() == facts::Side::kServer;
      f.side = local == we_serve ? facts::Side::kServer : facts::Side::kClient;
      f.verdict = Verdict::kProven;  // the window is shut, and has been for that long
      f.summary = local ? fmt::format("{} does not read: {} have a shut receive window, the longest for {}.",
                                      process_words(process), counted(pile.count(), "connection"),
                                      age_words(pile.oldest_s().value_or(0)))
                        : fmt::format("{} cannot send: the peers of {} keep their window shut, the longest for {}.",
                                      process_words(process), counted(pile.count(), "connection"),
                                      age_words(pile.oldest_s().value_or(0)));
      f.processes = pile.owners();
      f.sockets.push_back(pile.evidence(pile.where_words()));
      f.fix = {local ? "look at what the process waits for; bigger buffers only delay it"
                     : "look at the peer's application: it does not read; give up after a time of your own (TCP_USER_TIMEOUT)"};
      out.push_back(std::move(f));
    }
}

void find_waiting(const View& view, Findings& out) {
  std::unordered_map<const facts::Process*, Pile> piles;
  for (const Socket& s : view.ns.sockets) {
    const SocketInfo* i = view.ns.info(s);
    if (s.state != State::kEstablished || s.inode == 0 || i == nullptr || s.receive_queue > 0 || s.send_queue > 0) continue;
    if (view.listening(s.local) != nullptr || i->last_data_sent_ms < view.patience_ms()) continue;
    // Where nothing came the handshake counts, and the request may have been sent in the same tick.
    if (i->last_data_sent_ms > i->last_data_received_ms || (i->last_data_sent_ms == i->last_data_received_ms && i->bytes_received > 0)) continue;
    // Who has never been answered and has sent more than one request speaks a protocol of one direction.
    if (i->bytes_received == 0 && (i->data_segments_out == 0 || i->data_segments_out > kRequest)) continue;
    piles.try_emplace(view.host.process(s), view).first->second.add(s, i->last_data_sent_ms * 1e-3);
  }
  for (const auto& [process, pile] : piles) {
    HostFinding f;
    f.cause = "slow-response";
    f.verdict = Verdict::kPossible;
    f.side = facts::Side::kServer;
    f.summary = fmt::format("{} has sent last and waits: {} {} got no answer, the longest for {}.", process_words(process),
                            counted(pile.count(), "connection"), pile.where_words(), age_words(pile.oldest_s().value_or(0)));
    f.processes = pile.owners();
    f.sockets.push_back(pile.evidence(pile.where_words()));
    f.notes.push_back("the peer's kernel has acknowledged what was sent: it is the application there that is silent");
    f.notes.push_back("a long poll, or a protocol that needs no answer, looks the same");
    f.fix = {"look at what the server does with the request; give the client a read timeout of its own"};
    out.push_back(std::move(f));
  }
}

void find_unresponsive(const View& view, Findings& out) {
  Pile data{view}, probes{view}, never{view};
  // SYN-ACKs that come again for connections which are open here (RFC 5961 4): who repeats them has not taken the last ACK.
  // Where nothing was acknowledged and no data came, they are all that a segment after the first can be.
  const bool repeated_synacks = view.rise("TCPSYNChallenge") > 0;
  for (const Socket& s : view.ns.sockets) {
    if (s.state != State::kEstablished && s.state != State::kCloseWait) continue;
    const SocketInfo* i = view.ns.info(s);
    const auto silent = i == nullptr ? std::nullopt : std::optional{i->last_ack_received_ms * 1e-3};
    const bool took_nothing = i != nullptr && (repeated_synacks || i->segments_in >= 2) && i->bytes_acked <= 1 && i->bytes_received == 0 && view.listening(s.local) == nullptr;
    if (s.timer == SocketTimer::kRetransmit && s.retries >= kTimeouts) (took_nothing ? never : data).add(s, silent);
    if (s.timer == SocketTimer::kKeepalive && s.retries >= 2) probes.add(s, silent);
  }
  if (never.count() > 0) {
    HostFinding f;
    f.cause = "accept-queue-overflow";
    f.verdict = Verdict::kPossible;  // a path that loses all but the SYN looks the same
    f.side = facts::Side::kServer;
    f.summary = fmt::format("{} {} had none of their data taken, and the SYN-ACK comes again: the server's accept queue may be full.",
                            counted(never.count(), "connection"), never.where_words());
    f.processes = never.owners();
    f.sockets.push_back(never.evidence(never.where_words()));
    f.counters = {view.counter("TCPSYNChallenge")};
    f.fix = {"ask there: ss -lnt, nstat -az TcpExtListenOverflows (tcpwhy host)"};
    out.push_back(std::move(f));
  }
  for (const Pile* pile : {&data, &probes}) {
    if (pile->count() == 0) continue;
    HostFinding f;
    f.cause = pile == &data ? "peer-unresponsive" : "keepalive-dead-peer";
    f.side = facts::Side::kUnknown;
    f.summary = fmt::format("{} {} get no answer to {}{}.", counted(pile->count(), "connection"), pile->where_words(),
                            pile == &data ? "data sent again and again" : "keepalive probes",
                            pile->oldest_s() ? ", the longest for " + age_words(*pile->oldest_s()) : std::string{});
    f.processes = pile->owners();
    f.sockets.push_back(pile->evidence(pile->where_words()));
    f.counters = {view.counter("RetransSegs"), view.counter("TCPTimeouts")};
    f.sysctls = view.sysctls({"net.ipv4.tcp_retries2"});
    f.fix = {pile->main_remote() ? fmt::format("ask the path: tcpwhy probe {}", facts::to_string(pile->main_remote()->first))
                                 : std::string{"several peers at once: look at this host's own link, filter and route first"},
             "tcp_retries2=15 means about 15 minutes until ETIMEDOUT; TCP_USER_TIMEOUT bounds it per socket"};
    out.push_back(std::move(f));
  }
}

}  // namespace tcpwhy::diagnose::host
