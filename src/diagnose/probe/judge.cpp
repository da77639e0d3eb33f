#include "diagnose/probe/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/probe/view.hpp"

namespace tcpwhy::diagnose::probe {
namespace {

bool failed(const Question& q) { return q.came != Came::kSynAck && q.came != Came::kNotAsked; }

std::string_view outcome_of(const Question& q) {
  switch (q.came) {
    case Came::kSynAck: return "completed";
    case Came::kRst:
    case Came::kIcmp: return "refused";
    case Came::kNothing:
    case Came::kAck: return "unanswered";
    case Came::kLocal: return "refused";
    case Came::kNotAsked: return "partial";
  }
  return "partial";
}

std::string ports(const std::vector<const Question*>& questions) {
  std::string out;
  for (const Question* q : questions) out += fmt::format("{}{}", out.empty() ? "" : ", ", q->local_port);
  return out;
}

/// Some connects succeed, others do not: is it the same local ports each time?
void say_how_often(const View& v, ProbeAnswer& out) {
  std::vector<const Question*> bad, good;
  for (const Question& q : v.a.connects) {
    if (q.came == Came::kNotAsked) continue;
    (failed(q) ? bad : good).push_back(&q);
  }
  if (bad.empty() || good.empty() || out.diagnoses.empty()) return;
  Diagnosis& d = out.diagnoses.front();
  const auto again_bad = std::count_if(v.a.again.begin(), v.a.again.end(), failed);
  const bool same = !v.a.again.empty() && again_bad == static_cast<std::ptrdiff_t>(v.a.again.size());
  note(d, fmt::format("{} of {} connects failed, from local port{} {}; the others were answered", bad.size(), bad.size() + good.size(),
                      bad.size() == 1 ? "" : "s", ports(bad)));
  if (v.a.again.empty()) return;
  if (same)
    note(d, "the same local ports failed again while others succeed: a balancer may send them to one sick backend");
  else
    note(d, fmt::format("asked again from the same local ports, {} of {} were answered: it is not tied to the port",
                        static_cast<std::ptrdiff_t>(v.a.again.size()) - again_bad, v.a.again.size()));
}

}  // namespace

ProbeAnswer judge(const ProbeAddress& a) {
  ProbeAnswer out;
  const View v{a};
  if (a.connects.empty()) {
    out.outcome = "partial";
    return out;
  }
  const auto worst = std::find_if(a.connects.begin(), a.connects.end(), failed);
  const Question& told = worst == a.connects.end() ? a.connects.front() : *worst;
  out.outcome = outcome_of(told);
  out.healthy = worst == a.connects.end() && told.came == Came::kSynAck;
  const bool recycled = judge_stamps(v, out);
  if (!recycled) {
    switch (told.came) {
      case Came::kLocal: judge_local(v, told, out); break;
      case Came::kIcmp: judge_icmp(v, told, out); break;
      case Came::kRst: judge_reset(v, told, out); break;
      case Came::kNothing:
      case Came::kAck: judge_silence(v, out); break;
      case Came::kSynAck:
      case Came::kNotAsked: break;
    }
  }
  if (worst != a.connects.end()) say_how_often(v, out);
  judge_size(v, out);
  judge_idle(v, out);
  out.healthy = out.healthy && std::all_of(out.diagnoses.begin(), out.diagnoses.end(), [](const Diagnosis& d) { return d.benign; });
  return out;
}

}  // namespace tcpwhy::diagnose::probe
