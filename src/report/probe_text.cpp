// A probe for people: the answer of each address first, then each step of how it came about.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "names/errno.hpp"
#include "report/probe.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using facts::Came;
using facts::Question;

std::string time_words(double s) { return duration_words(Duration{static_cast<std::int64_t>(s * 1e9)}); }

/// What an errno of connect() says, in the words of who waits for it.
std::string_view errno_meaning(int error) {
  switch (static_cast<Errno>(error)) {
    case Errno::kECONNREFUSED: return "a RST came, or ICMP port unreachable";
    case Errno::kETIMEDOUT: return "no answer to any SYN";
    case Errno::kEHOSTUNREACH: return "ICMP host unreachable or prohibited, or the next hop does not answer ARP";
    case Errno::kENETUNREACH: return "no route here, or ICMP network unreachable";
    case Errno::kEACCES:
    case Errno::kEPERM: return "this host's own filter or routing forbids it";
    case Errno::kEADDRNOTAVAIL: return "no free local port towards this destination";
    case Errno::kEADDRINUSE: return "the local port is taken";
    case Errno::kEMFILE: return "this process has no descriptor left";
    case Errno::kECONNRESET: return "a RST came";
    default: return "";
  }
}

std::string header_words(const facts::AnswerHeader& h) {
  return fmt::format("TTL {}, IP ID {}, window {}", h.ttl, h.ip_id, h.window);
}

std::string answer_words(const Question& q) {
  std::string out;
  switch (q.came) {
    case Came::kSynAck: out = fmt::format("SYN-ACK after {}", time_words(q.took_s)); break;
    case Came::kRst: out = fmt::format("RST after {}", time_words(q.took_s)); break;
    case Came::kAck: out = fmt::format("ACK after {}", time_words(q.took_s)); break;
    case Came::kNothing: out = fmt::format("no answer in {}", time_words(q.took_s)); break;
    case Came::kNotAsked: out = "not asked: too many packets"; break;
    case Came::kLocal: out = fmt::format("not sent: {}", std::string{name(static_cast<Errno>(q.error))}); break;
    case Came::kIcmp:
      out = fmt::format("ICMP {} (type {} code {}) from {} after {}", facts::to_string(*q.icmp), q.icmp->type, q.icmp->code,
                        facts::to_string(q.icmp->sender), time_words(q.took_s));
      break;
  }
  if (q.header) out += fmt::format(" ({})", header_words(*q.header));
  return out;
}

class Writer {
 public:
  Writer(std::FILE* out, const TextOptions& o) : out_{out}, o_{o} {}

  void step(std::string_view label, std::string_view text) {
    const std::string first = fmt::format("  {:<9} ", label);
    std::fputs(wrap(text, first, "            ", o_.columns).c_str(), out_);
  }
  void diagnosis(const diagnose::Diagnosis& d, const facts::ProbeAddress& a) {
    const bool colour = o_.colour == Colour::kOn;
    fmt::print(out_, "{}{}{}  [{}, {}]\n  {}\n", colour ? "\x1b[1m" : "", d.summary, colour ? "\x1b[0m" : "", diagnose::to_string(d.cause),
               diagnose::to_string(d.verdict), facts::to_string(a.target));
    for (const diagnose::Citation& e : d.evidence) std::fputs(wrap(e.text, "! ", "  ", o_.columns).c_str(), out_);
    for (const diagnose::Rival& r : d.rivals)
      if (r.verdict == diagnose::Verdict::kRuledOut)
        std::fputs(wrap(fmt::format("{}: {}", diagnose::to_string(r.cause), r.because), "  not it: ", "    ", o_.columns).c_str(), out_);
    std::string open;
    for (const diagnose::Rival& r : d.rivals)
      if (r.verdict == diagnose::Verdict::kPossible) open += fmt::format("{}{}", open.empty() ? "" : ", ", diagnose::to_string(r.cause));
    if (!open.empty()) std::fputs(wrap(open, "  also possible: ", "    ", o_.columns).c_str(), out_);
    if (d.verdict != diagnose::Verdict::kProven && !d.settles.empty()) std::fputs(wrap(d.settles, "  settles it: ", "    ", o_.columns).c_str(), out_);
    for (const std::string& fix : d.fix) std::fputs(wrap(fix, "  to do: ", "    ", o_.columns).c_str(), out_);
  }
  void steps(const facts::ProbeAddress& a) {
    route(a.route);
    connects(a);
    if (!a.others.empty()) step("others", listed(a.others));
    if (a.trace) trace(*a.trace);
    if (a.control) trace(*a.control);
    if (!a.options.empty()) step("options", "full timestamp option, to be objected to by the host: " + listed(a.options));
    if (!a.acks.empty()) step("stray ACK", listed(a.acks));
    if (!a.stamps.empty()) stamps(a.stamps);
    sizes(a);
    if (a.half_open.wanted == facts::HalfOpenTest::Wanted::kYes)
      step("half-open", a.half_open.asked ? fmt::format("a SYN on the ports of an open connection: {}", half_open_words(*a.half_open.asked))
                                          : "not asked: " + a.half_open.not_done);
    idle(a.idle);
  }

 private:
  static std::string half_open_words(const Question& q) {
    std::string out = answer_words(q);
    if (q.came == Came::kAck) out += "; a challenge ACK (RFC 5961 4): a client that lost its side is freed at once by its RST";
    if (q.came == Came::kNothing) out += "; a client that lost its side waits until its SYNs meet another port";
    return out;
  }
  void route(const facts::ProbeRoute& r) {
    if (r.error != 0) return step("route", fmt::format("none: {}", std::string{name(static_cast<Errno>(r.error))}));
    std::string text = r.source ? fmt::format("from {}", facts::to_string(*r.source)) : std::string{"source unknown"};
    text += r.gateway ? fmt::format(" by gateway {}", facts::to_string(*r.gateway)) : std::string{", on the own network"};
    if (!r.interface.empty()) text += fmt::format(", {} (MTU {})", r.interface, r.mtu);
    if (!r.neighbour.empty()) text += fmt::format(", next hop {}", r.neighbour);
    step("route", text);
  }
  void connects(const facts::ProbeAddress& a) {
    // Those that went alike share a line; the first of them is told.
    std::vector<std::pair<const Question*, int>> alike;
    for (const Question& q : a.connects) {
      const auto same = [&](const Question& p) {
        return p.came == q.came && p.error == q.error && (!p.header || !q.header || p.header->ttl == q.header->ttl) &&
               (q.took_s < 0.9) == (p.took_s < 0.9);
      };
      const auto at = std::find_if(alike.begin(), alike.end(), [&](const auto& e) { return same(*e.first); });
      if (at == alike.end()) alike.push_back({&q, 1});
      else ++at->second;
    }
    for (const auto& [q, n] : alike) {
      std::string text = answer_words(*q);
      if (q->error != 0) {
        text += fmt::format("; {}", std::string{name(static_cast<Errno>(q->error))});
        if (!errno_meaning(q->error).empty()) text += fmt::format(" ({})", std::string{errno_meaning(q->error)});
      } else if (q->came == Came::kNothing) {
        text += "; connect() would end with ETIMEDOUT in the end";
      }
      if (n > 1) text += fmt::format("; {} more the same", n - 1);
      step("connect", fmt::format("from port {}: {}", q->local_port, text));
    }
    for (const Question& q : a.again) step("again", fmt::format("from port {}: {}", q.local_port, answer_words(q)));
  }
  static std::string listed(const std::vector<Question>& questions) {
    std::string out;
    for (const Question& q : questions) out += fmt::format("{}port {}: {}", out.empty() ? "" : "; ", q.port, answer_words(q));
    return out;
  }
  void trace(const facts::Trace& t) {
    std::string text;
    for (const facts::Hop& h : t.hops) {
      const Question& q = h.best();
      text += fmt::format("{}{} ", text.empty() ? "" : ", ", h.ttl);
      if (h.silent()) text += "no answer";
      else if (!h.end()) text += fmt::format("{} ({})", facts::to_string(q.icmp->sender), time_words(q.took_s));
      else text += answer_words(q);
    }
    step("path", fmt::format("to port {}: {}", t.port, text.empty() ? "not asked" : text));
  }
  void stamps(const std::vector<Question>& questions) {
    std::map<std::string, std::pair<int, int>> by;
    for (const Question& q : questions) {
      auto& n = by[q.tsval ? fmt::format("TSval {:#010x}", *q.tsval) : std::string{"none"}];
      if (q.came == Came::kNotAsked) continue;
      ++n.second;
      n.first += q.came == Came::kSynAck ? 1 : 0;
    }
    std::string text;
    for (const auto& [what, n] : by) text += fmt::format("{}{}: {} of {} answered", text.empty() ? "" : ", ", what, n.first, n.second);
    step("stamps", "SYNs by timestamp: " + text);
  }
  void sizes(const facts::ProbeAddress& a) {
    if (!a.size.not_done.empty()) return step("size", "not asked: " + a.size.not_done);
    if (a.size.asked.empty()) return;
    std::string text;
    for (const facts::SizeQuestion& q : a.size.asked) {
      text += fmt::format("{}{} ", text.empty() ? "" : ", ", q.octets);
      if (q.came == Came::kAck) text += "passed";
      else if (q.came == Came::kNothing) text += "vanished";
      else if (q.icmp) text += fmt::format("ICMP {} from {}{}", facts::to_string(*q.icmp), facts::to_string(q.icmp->sender), q.icmp->mtu != 0 ? fmt::format(", MTU {}", q.icmp->mtu) : "");
      else text += facts::to_string(q.came);
    }
    step("size", fmt::format("octets of a packet towards the server (its MSS is {}): {}", a.size.mss, text));
  }
  void idle(const facts::IdleTest& t) {
    if (t.bound_s <= 0) return;
    std::string text;
    for (const facts::IdleQuestion& q : t.asked) {
      text += fmt::format("{}{:.0f} s {}", text.empty() ? "" : ", ", q.idle_s, facts::to_string(q.end));
      if (q.end == facts::IdleQuestion::End::kClosedByServer || q.end == facts::IdleQuestion::End::kReset) text += fmt::format(" after {}", time_words(q.ended_s));
    }
    step("idle", text.empty() ? std::string{"not asked: the bound is too short"} : text);
  }

  std::FILE* out_;
  const TextOptions& o_;
};

std::string name_words(const facts::NameAnswer& n) {
  std::string out = fmt::format("DNS {}: {}", n.type, n.said);
  if (!n.addresses.empty()) {
    out += " (";
    for (std::size_t i = 0; i < n.addresses.size() && i < 8; ++i) out += fmt::format("{}{}", i == 0 ? "" : ", ", facts::to_string(n.addresses[i]));
    out += fmt::format("; TTL {} s)", n.ttl_s);
  }
  if (!n.aliases.empty()) out += fmt::format(", alias of {}", n.aliases.back());
  return out + fmt::format(", after {}", time_words(n.took_s));
}

}  // namespace

void write_probe_text(std::FILE* out, const facts::Probe& p, const std::vector<diagnose::probe::ProbeAnswer>& answers, const TextOptions& o) {
  Writer w{out, o};
  const auto good = std::count_if(answers.begin(), answers.end(), [](const auto& a) { return a.healthy; });
  if (answers.size() != 1)
    fmt::print(out, "{}:{}: {} of {} addresses can be connected to, nothing wrong seen.\n\n", p.host, p.port, good, answers.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const facts::ProbeAddress& a = p.addresses[i];
    if (answers[i].diagnoses.empty() || answers[i].diagnoses.front().benign)
      fmt::print(out, "{} {}\n", facts::to_string(a.target), answers[i].healthy ? "accepts connections; nothing wrong is seen." : "cannot be connected to, and no cause of the catalogue explains it.");
    for (const diagnose::Diagnosis& d : answers[i].diagnoses)
      if (d.verdict != diagnose::Verdict::kPossible) w.diagnosis(d, a);
    if (i == 0) {
      for (const facts::NameAnswer& n : p.names) w.step("name", name_words(n));
      if (!p.names.empty() && p.source != "DNS") w.step("name", "the addresses come from elsewhere: " + p.source);
    }
    w.steps(a);
    fmt::print(out, "\n");
  }
  std::fputs(wrap(fmt::format("{} packets {} in {}; --max-packets is {}.", p.packets, p.counted == facts::Counted::kByTap ? "sent" : "at most sent", time_words(p.took_s),
                              p.max_packets), "", "", o.columns).c_str(), out);
  for (const std::string& r : p.without_root) std::fputs(wrap(r, "root would add: ", "      ", o.columns).c_str(), out);
  for (const std::string& q : p.quality) std::fputs(wrap(q, "note: ", "      ", o.columns).c_str(), out);
}

}  // namespace tcpwhy::report
