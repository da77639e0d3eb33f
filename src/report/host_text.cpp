// The findings of a host for people: what is wrong first, the queues after it.

#include <fmt/format.h>

#include <algorithm>

#include "report/host.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

std::string owner(const facts::HostSnapshot& h, const facts::Socket& s) {
  const facts::Process* p = h.process(s);
  return p == nullptr ? std::string{"-"} : fmt::format("{} (pid {})", p->comm, p->pid);
}

void write_evidence(std::FILE* out, std::string_view text, const TextOptions& o) {
  std::fputs(wrap(text, "! ", "  ", o.columns).c_str(), out);
}

void write_finding(std::FILE* out, const diagnose::HostFinding& f, const TextOptions& o) {
  const bool colour = o.colour == Colour::kOn;
  fmt::print(out, "{}{}{}  [{}, {}]\n", colour ? "\x1b[1m" : "", f.summary, colour ? "\x1b[0m" : "", f.cause,
             diagnose::to_string(f.verdict));
  if (!f.network_namespace.empty()) fmt::print(out, "  in network namespace {}\n", f.network_namespace);
  if (f.listener) {
    const auto& l = *f.listener;
    write_evidence(out, fmt::format("LISTEN {}: {} wait for accept(), the limit is {} ({}), {} half-open",
                                    facts::to_string(l.endpoint), l.queue, l.limit, l.limit_from, l.requests), o);
  }
  for (const auto& s : f.sockets) {
    std::string text = fmt::format("{} {} {}", grouped(s.count), to_string(s.state), s.where);
    if (s.oldest_s) text += fmt::format(", silent for up to {}", duration_words(Duration{static_cast<std::int64_t>(*s.oldest_s * 1e9)}));
    if (s.unread_bytes) text += fmt::format(", {} bytes unread", grouped(*s.unread_bytes));
    if (s.unacknowledged_bytes) text += fmt::format(", {} bytes unacknowledged", grouped(*s.unacknowledged_bytes));
    if (!s.examples.empty()) text += fmt::format("; for example {}", s.examples.front());
    write_evidence(out, text, o);
  }
  for (const auto& p : f.processes)
    write_evidence(out, fmt::format("process {} (pid {}): {} socket{} of these", p.process.comm, p.process.pid, grouped(p.sockets), p.sockets == 1 ? "" : "s"), o);
  std::string counters;
  for (const auto& c : f.counters) {
    if (c.rise && *c.rise != 0)
      counters += fmt::format("{}{} rose by {} in {:.1f} s", counters.empty() ? "" : ", ", c.name, *c.rise, c.seconds);
    else if (c.value != 0)
      counters += fmt::format("{}{} is {}", counters.empty() ? "" : ", ", c.name, c.value);
  }
  if (!counters.empty()) write_evidence(out, counters, o);
  std::string sysctls;
  for (const auto& s : f.sysctls) sysctls += fmt::format("{}{}={}", sysctls.empty() ? "" : ", ", s.name, s.value);
  if (!sysctls.empty()) write_evidence(out, sysctls, o);
  for (const std::string& note : f.notes) write_evidence(out, note, o);
  for (const std::string& fix : f.fix) std::fputs(wrap(fix, "  to do: ", "         ", o.columns).c_str(), out);
  std::fputc('\n', out);
}

/// The fullest listeners, at most `most`.
void write_listeners(std::FILE* out, const facts::HostSnapshot& h, const facts::Namespace& ns, std::size_t most) {
  std::vector<const facts::Socket*> list;
  for (const facts::Socket& s : ns.sockets) {
    if (s.state != State::kListen) break;
    list.push_back(&s);
  }
  std::stable_sort(list.begin(), list.end(), [](const facts::Socket* a, const facts::Socket* b) {
    return a->receive_queue * (b->send_queue + 1ull) > b->receive_queue * (a->send_queue + 1ull);
  });
  if (list.empty()) return;
  fmt::print(out, "  {:<28} {:>15}  {}\n", "listener", "queue of limit", "owner");
  for (std::size_t i = 0; i < list.size() && i < most; ++i)
    fmt::print(out, "  {:<28} {:>6} of {:>5}  {}\n", facts::to_string(list[i]->local), list[i]->receive_queue,
               list[i]->send_queue, owner(h, *list[i]));
  if (list.size() > most) fmt::print(out, "  and {} more\n", list.size() - most);
}

}  // namespace

void write_host_text(std::FILE* out, const facts::HostSnapshot& h, const std::vector<diagnose::HostFinding>& findings,
                     const TextOptions& o) {
  const auto sure = std::count_if(findings.begin(), findings.end(),
                                  [](const auto& f) { return f.verdict <= diagnose::Verdict::kLikely; });
  if (findings.empty())
    fmt::print(out, "Nothing wrong is seen on this host (Linux {}).\n\n", h.kernel);
  else
    fmt::print(out, "{} on this host (Linux {}){}.\n\n", sure == 1 ? "1 finding" : fmt::format("{} findings", sure), h.kernel,
               static_cast<std::size_t>(sure) == findings.size()
                   ? std::string{} : fmt::format(", {} more are possible", findings.size() - static_cast<std::size_t>(sure)));
  for (const auto& f : findings) write_finding(out, f, o);
  for (const facts::Namespace& ns : h.namespaces) {
    std::string states;
    for (std::size_t i = 1; i < kStates; ++i)
      if (ns.by_state[i] > 0)
        states += fmt::format("{}{} {}", states.empty() ? "" : ", ", grouped(ns.by_state[i]),
                              to_string(static_cast<State>(i)));
    fmt::print(out, "{}{} socket{}{}{}\n", h.namespaces.size() > 1 ? fmt::format("{}: ", ns.name.empty() ? "here" : ns.name) : "",
               grouped(ns.sockets_total), ns.sockets_total == 1 ? "" : "s", states.empty() ? "" : ": ", states);
    write_listeners(out, h, ns, h.namespaces.size() > 1 ? 5 : 12);
  }
  for (const std::string& q : h.quality) std::fputs(wrap(q, "note: ", "      ", o.columns).c_str(), out);
}

}  // namespace tcpwhy::report
