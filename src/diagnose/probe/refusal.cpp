// The SYN was refused: by this host's kernel, by ICMP, or by a RST, and by whom.

#include <fmt/format.h>

#include <cerrno>

#include "diagnose/probe/view.hpp"
#include "diagnose/words.hpp"
#include "names/errno.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::diagnose::probe {
namespace {

std::string span(double s) { return span_words(Duration{static_cast<std::int64_t>(s * 1e9)}); }

std::string errno_words(int error) {
  const auto e = static_cast<Errno>(error);
  return name(e).empty() ? fmt::format("errno {}", error) : fmt::format("{} ({})", name(e), sentence(e));
}

}  // namespace

void judge_local(const View& v, const Question& q, ProbeAnswer& out) {
  const std::string target = facts::to_string(v.a.target.address);
  const auto add = [&](CauseId cause, std::string summary) {
    Diagnosis d = diagnosis_of(cause, Verdict::kProven, Side::kClient, std::move(summary));
    note(d, fmt::format("connect() failed with {} after {}; no packet came back", errno_words(q.error), span(q.took_s)));
    out.diagnoses.push_back(std::move(d));
  };
  switch (q.error) {
    case ENETUNREACH:
    case EINVAL:
      add(CauseId::kHostUnreachable, fmt::format("This host has no route to {}.", target));
      out.diagnoses.back().settles = fmt::format("ip route get {}", target);
      out.diagnoses.back().fix = {"add the route, or the default route, that is missing on this host"};
      return;
    case EHOSTUNREACH:
      if (q.took_s > 0.5 || v.a.route.neighbour == "FAILED") {
        add(CauseId::kNeighbourUnresolved, "");
        if (!v.a.route.neighbour.empty()) note(out.diagnoses.back(), "the next hop is " + v.a.route.neighbour + " in the neighbour table");
      } else {
        add(CauseId::kHostUnreachable, fmt::format("This host's routing says that {} is unreachable.", target));
      }
      return;
    case EACCES:
    case EPERM:
      add(CauseId::kSynDroppedByHostFilter, fmt::format("This host itself does not let the SYN to {} out.", facts::to_string(v.a.target)));
      out.diagnoses.back().settles = "nft list ruleset and ip route show table all on this host";
      out.diagnoses.back().fix = {"allow the destination in the output chain of this host's filter, or remove its prohibit route"};
      return;
    default: return;  // EMFILE, EADDRNOTAVAIL, …: the catalogue has no cause for them; the step shows the errno
  }
}

void judge_icmp(const View& v, const Question& q, ProbeAnswer& out) {
  if (!q.icmp) return;
  const facts::IcmpWord& icmp = *q.icmp;
  const std::string sender = facts::to_string(icmp.sender);
  const std::string said = fmt::format("{} answered the SYN with ICMP{} {} (type {} code {}) after {}", sender,
                                       icmp.version == 6 ? "v6" : "", to_string(icmp), icmp.type, icmp.code, span(q.took_s));
  const bool own = v.a.route.source && icmp.sender == *v.a.route.source;
  const bool host = icmp.sender == v.a.target.address;
  std::optional<Diagnosis> d;
  if (own && icmp.unreachable()) {
    // Linux ipv4_link_failure(): a neighbour that does not answer becomes a host unreachable from oneself.
    d = diagnosis_of(CauseId::kNeighbourUnresolved, Verdict::kProven, Side::kPath, "");
    note(*d, fmt::format("this host's own kernel says host unreachable after {}: no answer to ARP or neighbour discovery", span(q.took_s)));
    if (!v.a.route.neighbour.empty()) note(*d, "the next hop is " + v.a.route.neighbour + " in the neighbour table");
  } else if (icmp.prohibited()) {
    d = diagnosis_of(CauseId::kRejectedByIcmp, Verdict::kProven, host ? Side::kServer : own ? Side::kClient : Side::kPath,
                     host  ? std::string{"The server's own packet filter rejected the SYN with an ICMP error."}
                     : own ? std::string{"This host's own packet filter rejected the SYN."}
                           : fmt::format("A filter at {} rejected the SYN with an ICMP error.", sender));
    note(*d, said);
  } else if (icmp.unreachable()) {
    d = diagnosis_of(CauseId::kHostUnreachable, Verdict::kProven, Side::kPath,
                     fmt::format("The router {} could not reach {}.", sender, facts::to_string(v.a.target.address)));
    note(*d, said);
    if (q.took_s > 2.5 && q.took_s < 4) note(*d, "after about 3 s: the router asked for the address by ARP or neighbour discovery, and nobody answered");
  } else if (icmp.time_exceeded()) {
    d = diagnosis_of(CauseId::kRoutingLoop, Verdict::kProven, Side::kPath, "");
    note(*d, said);
  }
  if (!d) return;
  if (v.a.trace)
    for (const facts::Hop& h : v.a.trace->hops)
      if (h.best().icmp && h.best().icmp->sender == icmp.sender && !h.end()) {
        note(*d, fmt::format("{} is hop {} on the way", sender, h.ttl));
        break;
      }
  out.diagnoses.push_back(std::move(*d));
}

void judge_reset(const View& v, const Question& q, ProbeAnswer& out) {
  std::vector<std::string> against;  // signs that it was not the host
  Verdict sure = Verdict::kLikely;
  const facts::Hop* end = v.a.trace ? v.a.trace->end() : nullptr;
  const bool refused_at = end != nullptr && end->best().came == Came::kRst;
  if (refused_at && v.distance > end->ttl) {
    sure = Verdict::kProven;  // the SYN had no hops left to get to the host
    against.push_back(fmt::format("a SYN that may travel {} hop{} was refused, while {} is {} hops away (port {} answers from there)", end->ttl,
                                  end->ttl == 1 ? "" : "s", facts::to_string(v.a.target.address), v.distance, v.a.control->port));
    if (end->ttl > 1)
      against.push_back(fmt::format("it was refused by {} or by what stands right behind it", hop_words(*v.a.trace, end->ttl - 1)));
  }
  const auto host = v.farthest_answer();
  bool same_distance = false;
  if (q.header && host) {
    const int travelled = facts::hops_travelled(q.header->ttl);
    same_distance = travelled >= *host;
    for (const Question& other : v.a.others)
      if (travelled < *host && other.header && other.answered() && facts::hops_travelled(other.header->ttl) == *host) {
        against.push_back(fmt::format("the RST came with TTL {} and IP ID {}, the {} of port {} with TTL {} and IP ID {}: it came from {} hop{} nearer",
                                      q.header->ttl, q.header->ip_id, other.came == Came::kSynAck ? "SYN-ACK" : "RST", other.port,
                                      other.header->ttl, other.header->ip_id, *host - travelled, *host - travelled == 1 ? "" : "s"));
        break;
      }
  }
  // RFC 9293 3.10.7.1: RST+ACK and nothing else; Linux, BSD and Windows leave window and options out.
  if (q.header && q.header->window != 0) against.push_back(fmt::format("the RST offers a window of {}; a host's refusal offers none", q.header->window));
  if (q.header && q.header->options != 0) against.push_back("the RST carries TCP options; a host's refusal has none");

  if (!against.empty()) {
    Diagnosis d = diagnosis_of(CauseId::kRejectedByMiddlebox, sure, Side::kPath, "");
    for (std::string& text : against) note(d, std::move(text));
    rival(d, CauseId::kPortClosed, Verdict::kRuledOut, d.evidence.front().text);
    out.diagnoses.push_back(std::move(d));
    return;
  }
  Diagnosis d = diagnosis_of(CauseId::kPortClosed, Verdict::kLikely, Side::kServer, "");
  note(d, fmt::format("the SYN was answered by RST after {} (ECONNREFUSED)", span(q.took_s)));
  if (same_distance)
    note(d, fmt::format("the RST came from as far as other ports' answers: TTL {}", q.header->ttl));
  const bool same_hop = refused_at && v.distance != 0;
  if (same_hop) note(d, fmt::format("a SYN must be allowed {} hop{} to be refused, as many as port {} is away", end->ttl, end->ttl == 1 ? "" : "s", v.a.control->port));
  if (same_distance || same_hop)
    rival(d, CauseId::kRejectedByMiddlebox, Verdict::kRuledOut, "it comes from where the host is; a REJECT of the host's own filter looks the same");
  out.diagnoses.push_back(std::move(d));
  if (!same_distance && !same_hop)
    possible(out, {CauseId::kRejectedByMiddlebox}, Side::kPath, "no other port answered: there is nothing to compare the RST with");
}

}  // namespace tcpwhy::diagnose::probe
