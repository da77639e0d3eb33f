#include "diagnose/probe/view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose::probe {

View::View(const ProbeAddress& address) : a{address} {
  if (!a.control) return;
  for (const Question& q : a.others)
    if (q.port == a.control->port) control = &q;
  if (const facts::Hop* end = a.control->end()) distance = end->ttl;
}

std::optional<int> View::farthest_answer() const {
  std::optional<int> out;
  for (const Question& q : a.others)
    if (q.header && q.answered()) out = std::max(out.value_or(0), facts::hops_travelled(q.header->ttl));
  return out;
}

const Question* View::objection(std::uint16_t port) const {
  for (const Question& q : a.options)
    if (q.port == port && q.icmp && q.icmp->parameter_problem()) return &q;
  return nullptr;
}

bool View::host_objected(std::uint16_t port) const {
  const Question* q = objection(port);
  return q != nullptr && q->icmp->sender == a.target.address;
}

View::AckTest View::ack_test(std::uint16_t port) const {
  AckTest out = AckTest::kNotDone;
  for (const Question& q : a.acks) {
    if (q.port != port || q.came == Came::kNotAsked || q.came == Came::kLocal) continue;
    if (q.came == Came::kRst) return AckTest::kReset;
    out = AckTest::kSilent;
  }
  return out;
}

Diagnosis diagnosis_of(CauseId cause, Verdict verdict, Side side, std::string summary) {
  Diagnosis d;
  d.cause = cause;
  d.verdict = verdict;
  d.side = side;
  d.summary = std::move(summary);
  if (const Cause* c = find_cause(cause)) {
    d.benign = c->benign;
    d.settles = c->settles;
    for (const std::string_view fix : c->fix) d.fix.emplace_back(fix);
    if (d.summary.empty()) d.summary = c->title;
  }
  return d;
}

void note(Diagnosis& d, std::string text) { d.evidence.push_back({{}, 0, std::move(text)}); }
void rival(Diagnosis& d, CauseId cause, Verdict verdict, std::string because) { d.rivals.push_back({cause, verdict, std::move(because), {}}); }

void possible(ProbeAnswer& out, std::initializer_list<CauseId> causes, Side side, std::string_view because) {
  for (const CauseId cause : causes) {
    const bool there = std::any_of(out.diagnoses.begin(), out.diagnoses.end(), [&](const Diagnosis& d) { return d.cause == cause; });
    if (there) continue;
    rival(out.diagnoses.front(), cause, Verdict::kPossible, std::string{because});
    Diagnosis d = diagnosis_of(cause, Verdict::kPossible, side, "");
    note(d, std::string{because});
    out.diagnoses.push_back(std::move(d));
  }
}

std::string hop_words(const facts::Hop& hop) {
  const Question& q = hop.best();
  return q.icmp ? fmt::format("hop {} ({})", hop.ttl, facts::to_string(q.icmp->sender)) : fmt::format("hop {}", hop.ttl);
}
std::string hop_words(const facts::Trace& trace, int ttl) {
  const facts::Hop* hop = trace.hop(ttl);
  return hop == nullptr || hop->silent() ? fmt::format("hop {} (silent)", ttl) : hop_words(*hop);
}
std::string port_words(std::uint16_t port) { return fmt::format("port {}", port); }

}  // namespace tcpwhy::diagnose::probe
