// Nothing answered the SYN: where it died, and whether the host's TCP was reached.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/probe/view.hpp"

namespace tcpwhy::diagnose::probe {
namespace {

constexpr std::string_view kFromHere = "silence looks the same from here";

/// A listener answers every stray ACK. Two that are silent, beside two that are not, are no lost packets.
bool one_backend(const View& v) {
  int reset = 0, silent = 0;
  for (const Question& q : v.a.acks) {
    if (q.port != v.a.target.port) continue;
    reset += q.came == Came::kRst ? 1 : 0;
    silent += q.came == Came::kNothing ? 1 : 0;
  }
  return reset >= 2 && silent >= 2;
}

/// The SYN reached the host (or all that was seen says so): its filter, or its listener.
void judge_host(const View& v, Diagnosis base, ProbeAnswer& out) {
  const std::uint16_t port = v.a.target.port;
  if (v.a.connected() && one_backend(v)) {
    base.side = Side::kServer;
    base.summary = "Part of the connects are not answered: one backend behind this address does not answer.";
    note(base, fmt::format("stray ACKs to port {} are answered from part of the local ports only: more than one host stands behind the address", port));
    base.settles = "connect to each backend by its own address";
    base.fix = {"take the backend out of the balancer, or mend it; its health check does not see this"};
    out.diagnoses.push_back(std::move(base));
    return;
  }
  const View::AckTest here = v.ack_test(port);
  const View::AckTest there = v.control == nullptr ? View::AckTest::kNotDone : v.ack_test(v.control->port);
  if (here == View::AckTest::kReset) {
    // RFC 9293 3.10.7.2: in LISTEN, an ACK is answered by RST, whatever the queues hold.
    Diagnosis d = diagnosis_of(CauseId::kAcceptQueueOverflow, Verdict::kLikely, Side::kServer,
                               "The listener is there and answers no SYN: its accept queue is full.");
    d.evidence = std::move(base.evidence);
    note(d, fmt::format("a stray ACK to port {} is answered by RST: no filter stands before that port, while SYNs are dropped", port));
    d.settles = "ss -lnt on the server (Recv-Q above Send-Q), and ListenOverflows rising in nstat";
    out.diagnoses.push_back(std::move(d));
    possible(out, {CauseId::kSynQueueOverflow}, Side::kServer, "without syncookies a full SYN queue drops SYNs as silently");
    possible(out, {CauseId::kSynDroppedByHostFilter}, Side::kServer, "a filter that drops SYNs only, and passes other segments, looks the same");
    return;
  }
  if (here == View::AckTest::kSilent && there == View::AckTest::kReset) {
    Diagnosis d = diagnosis_of(CauseId::kSynDroppedByHostFilter, Verdict::kLikely, Side::kServer, "");
    d.evidence = std::move(base.evidence);
    const std::string because = fmt::format("a stray ACK to port {} is dropped as well, one to port {} is answered by RST", port, v.control->port);
    note(d, because);
    rival(d, CauseId::kAcceptQueueOverflow, Verdict::kRuledOut, "a listener answers a stray ACK with RST, also when it is full; " + because);
    out.diagnoses.push_back(std::move(d));
    return;
  }
  base.side = Side::kServer;
  out.diagnoses.push_back(std::move(base));
  possible(out, {CauseId::kSynDroppedByHostFilter, CauseId::kAcceptQueueOverflow, CauseId::kSynQueueOverflow, CauseId::kPerHostTimestampCheck},
           Side::kServer, kFromHere);
}

void judge_path(const View&, Diagnosis base, std::string summary, ProbeAnswer& out) {
  Diagnosis d = diagnosis_of(CauseId::kSynDroppedOnPath, Verdict::kLikely, Side::kPath, std::move(summary));
  d.evidence = std::move(base.evidence);
  out.diagnoses.push_back(std::move(d));
}

/// No other port answered, so that nothing shows how far the host is, or whether it is there.
void judge_without_control(const View& v, Diagnosis base, ProbeAnswer& out) {
  const facts::Hop* last = v.a.trace ? v.a.trace->last_router() : nullptr;
  note(base, "no other port of this address answered either: the host may be down, or everything to it is dropped");
  if (last != nullptr) {
    note(base, fmt::format("{} is the last that handled the SYN", hop_words(*last)));
    base.summary = fmt::format("Nothing answers the SYN; the last that handled it is {}.", hop_words(*last));
  } else if (!v.a.route.gateway && !v.a.route.neighbour.empty()) {
    note(base, fmt::format("the address is on this host's own network; in the neighbour table it is {}", v.a.route.neighbour));
  }
  out.diagnoses.push_back(std::move(base));
  possible(out, {CauseId::kSynDroppedOnPath, CauseId::kSynDroppedByHostFilter, CauseId::kPeerVanished, CauseId::kSynAckLost}, Side::kUnknown, kFromHere);
}

}  // namespace

void judge_silence(const View& v, ProbeAnswer& out) {
  Diagnosis base = diagnosis_of(CauseId::kSynUnanswered, Verdict::kLikely, Side::kUnknown, "");
  std::uint32_t syns = 0, asked = 0, silent = 0;
  for (const Question& q : v.a.connects) {
    if (q.came == Came::kNotAsked) continue;
    syns += q.syns;
    ++asked;
    if (q.came == Came::kNothing) ++silent;
  }
  const Question& first = v.a.connects.front();
  note(base, syns > 0 ? fmt::format("{} of {} connects were not answered ({} SYNs sent)", silent, asked, syns)
                      : fmt::format("{} of {} connects were not answered, the first within {:.3g} s", silent, asked, first.took_s));
  // The tap listens behind this host's own filter.
  if (syns == 0 && std::any_of(v.a.others.begin(), v.a.others.end(), [](const Question& q) { return q.syns > 0; })) {
    Diagnosis d = diagnosis_of(CauseId::kSynDroppedByHostFilter, Verdict::kProven, Side::kClient, "This host's own filter drops the SYN before it leaves.");
    note(d, "SYNs to other ports were seen to leave, none to this port");
    out.diagnoses.push_back(std::move(d));
    return;
  }
  const std::uint16_t port = v.a.target.port;
  const std::string where = port_words(port);
  if (v.a.connected()) return judge_host(v, std::move(base), out);  // sometimes it gets through: the path is open
  if (v.control == nullptr || v.distance == 0 || !v.a.trace) return judge_without_control(v, std::move(base), out);
  const std::string other = port_words(v.control->port);
  note(base, fmt::format("{} of the same address answers ({}) from hop {}", other, v.control->came == Came::kSynAck ? "SYN-ACK" : "RST", v.distance));

  const facts::Hop* last = v.a.trace->last_router();
  const int reached = last == nullptr ? 0 : last->ttl;
  // Routers that the control's SYN passes and this one's does not.
  for (int ttl = reached + 1; ttl < v.distance; ++ttl) {
    const facts::Hop* there = v.a.control->hop(ttl);
    if (there == nullptr || there->silent()) continue;
    const std::string before = reached == 0 ? std::string{"no hop"} : hop_words(*last);
    note(base, fmt::format("a SYN to {} gets as far as {}; one to {} also to {}", where, before, other, hop_words(*there)));
    if (v.ack_test(port) == View::AckTest::kReset)
      note(base, fmt::format("a stray ACK to {} passes and is answered by RST: the filter drops only what opens a connection", where));
    return judge_path(v, std::move(base),
                      reached == 0 ? fmt::format("The SYN is dropped before {}.", hop_words(*there))
                                   : fmt::format("The SYN is dropped between {} and {}.", hop_words(*last), hop_words(*there)), out);
  }
  if (reached > 0) note(base, fmt::format("{} handled the SYN to {}; what follows is silent", hop_words(*last), where));
  if (v.host_objected(port)) {
    note(base, fmt::format("the SYN reaches the host: with a full timestamp option its own IP layer, which comes before its filter, "
                           "answered with ICMP parameter problem (RFC 791 3.1)"));
    return judge_host(v, std::move(base), out);
  }
  if (v.host_objected(v.control->port)) {
    note(base, fmt::format("with a full timestamp option the host's IP layer answers a SYN to {}, and none to {}: that one does not arrive", other, where));
    if (v.ack_test(port) == View::AckTest::kReset)
      note(base, fmt::format("a stray ACK to {} passes and is answered by RST: the filter drops only what opens a connection", where));
    return judge_path(v, std::move(base),
                      reached == 0 ? std::string{"The SYN is dropped before it reaches the host."}
                                   : fmt::format("The SYN is dropped between {} and the host: by that router as it forwards, or by what stands behind it.", hop_words(*last)),
                      out);
  }
  if (v.ack_test(port) == View::AckTest::kReset) return judge_host(v, std::move(base), out);
  base.summary = reached == 0 ? std::string{"Nothing answers the SYN; the host itself is there."}
                              : fmt::format("Nothing answers the SYN behind {}: that router or the host drops it.", hop_words(*last));
  out.diagnoses.push_back(std::move(base));
  possible(out, {CauseId::kSynDroppedByHostFilter, CauseId::kSynDroppedOnPath, CauseId::kAcceptQueueOverflow, CauseId::kSynQueueOverflow,
                 CauseId::kPerHostTimestampCheck},
           Side::kUnknown, kFromHere);
}

bool judge_stamps(const View& v, ProbeAnswer& out) {
  // linux-tcp: a per-host check drops a SYN whose TSval lies in the half of the circle behind the last one remembered:
  // of four a quarter apart, two neighbours. Linux 4.4 to 4.10 and RHEL 7 drop SYNs without timestamps too.
  struct Of { std::uint32_t tsval; int answered = 0, silent = 0; };
  std::vector<Of> by_stamp;
  for (const Question& q : v.a.stamps) {
    if (q.ask != Ask::kSynStamped || !q.tsval || (q.came != Came::kSynAck && q.came != Came::kNothing)) continue;
    auto at = std::find_if(by_stamp.begin(), by_stamp.end(), [&](const Of& o) { return o.tsval == *q.tsval; });
    if (at == by_stamp.end()) at = by_stamp.insert(by_stamp.end(), Of{.tsval = *q.tsval});
    ++(q.came == Came::kSynAck ? at->answered : at->silent);
  }
  if (by_stamp.size() != 4) return false;
  std::sort(by_stamp.begin(), by_stamp.end(), [](const Of& x, const Of& y) { return x.tsval < y.tsval; });
  std::vector<std::size_t> dropped;
  for (std::size_t i = 0; i < 4; ++i) {
    if (by_stamp[i].answered > 0 && by_stamp[i].silent > 0) return false;       // not the timestamp's doing
    if (by_stamp[i].answered + by_stamp[i].silent < 2) return false;            // one round may be chance
    if (by_stamp[i].silent > 0) dropped.push_back(i);
  }
  const bool neighbours = dropped.size() == 2 && (dropped[1] - dropped[0] == 1 || dropped[1] - dropped[0] == 3);
  if (!neighbours) return false;
  Diagnosis d = diagnosis_of(CauseId::kPerHostTimestampCheck, Verdict::kProven, Side::kServer,
                             "The server drops SYNs whose timestamp is below the last it saw from this address.");
  note(d, fmt::format("SYNs with TSval {} and {} went unanswered each time, those with {} and {} were answered each time", by_stamp[dropped[0]].tsval,
                      by_stamp[dropped[1]].tsval, by_stamp[(dropped[0] + 2) % 4].tsval, by_stamp[(dropped[1] + 2) % 4].tsval));
  int plain_answered = 0, plain = 0;
  for (const Question& q : v.a.stamps) {
    if (q.ask != Ask::kSynPlain || q.came == Came::kNotAsked) continue;
    ++plain;
    plain_answered += q.came == Came::kSynAck ? 1 : 0;
  }
  if (plain > 0)
    note(d, plain_answered == plain ? "a SYN without timestamps was answered each time"
            : plain_answered == 0   ? "a SYN without timestamps went unanswered too, as Linux 4.4 to 4.10 and RHEL 7 do it"
                                    : "SYNs without timestamps were answered in part");
  if (v.a.connected()) note(d, "this host's own timestamps happened to be above, or no connect of it would have been answered");
  out.healthy = false;
  out.diagnoses.push_back(std::move(d));
  return true;
}

}  // namespace tcpwhy::diagnose::probe
