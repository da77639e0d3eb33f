// packet-loss: connections that repeat what they send, on the whole host. Who among them gets no answer at all is
// peer-unresponsive.

#include "diagnose/host/finding.hpp"

namespace tcpwhy::diagnose::host {
namespace {

/// A twentieth of all segments: at such a loss the congestion window of any algorithm stays at a few segments.
constexpr std::int64_t kShare = 20;
/// Fewer repeats than this in a reading may be one bad moment of one connection.
constexpr std::int64_t kRepeats = 50;

}  // namespace

void find_repeats(const View& view, Findings& out) {
  // Repeats of SYNs and SYN-ACKs are other findings: a dead target is no loss.
  const std::int64_t repeats = view.rise("RetransSegs") - view.rise("TCPSynRetrans"), sent = view.rise("OutSegs");
  if (repeats < kRepeats || repeats * kShare < sent) return;
  HostFinding f;
  f.cause = "packet-loss";
  f.side = facts::Side::kPath;
  Pile waiting{view};
  for (const Socket& s : view.ns.sockets)
    if (s.timer == SocketTimer::kRetransmit && s.retries > 0 && s.state != State::kSynSent) waiting.add(s, std::nullopt);
  f.summary = fmt::format("{} of {} sent in {:.1f} s were repeats: the path loses packets, or holds them back.", repeats,
                          counted(sent, "segment"), view.ns.earlier->seconds);
  f.counters = {view.counter("RetransSegs"), view.counter("OutSegs")};
  for (std::string_view name : {"TCPFastRetrans", "TCPTimeouts", "TCPSpuriousRTOs", "TCPDSACKRecv"})
    if (view.rise(name) > 0) f.counters.push_back(view.counter(name));
  if (waiting.count() > 0) {
    f.sockets.push_back(waiting.evidence(waiting.where_words()));
    f.processes = waiting.owners();
  }
  if (const std::int64_t needless = view.rise("TCPDSACKRecv"); needless * 2 > repeats)
    f.notes.push_back(fmt::format("{} of them were needless (the peer had the data already): delay, not loss", needless));
  f.fix = {"one peer: look at its path; all of them: this host's own link (ip -s link, ethtool -S), its switch port or a policer",
           "ss -ti shows each connection's retrans and cwnd"};
  out.push_back(std::move(f));
}

}  // namespace tcpwhy::diagnose::host
