#include "diagnose/host/witness.hpp"

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/host/finding.hpp"
#include "diagnose/host/witness_rules.hpp"

namespace tcpwhy::diagnose::host {
namespace {

using facts::Party;

/// Stamps of a capture and of the host's clock may be of two machines.
constexpr Duration kSlack = std::chrono::seconds{2};
/// A counter at 0 speaks of the past only as long as the host has not started anew in between.
constexpr Duration kNoRestart = std::chrono::minutes{10};
/// Settings are changed by people: a snapshot of another day excludes nothing.
constexpr Duration kSettingsLast = std::chrono::hours{24};

std::size_t tuple_hash(const Endpoint& local, const Endpoint& remote) {
  return facts::EndpointHash{}(local) * 0x9e3779b97f4a7c15ull + facts::EndpointHash{}(remote);
}

std::string_view host_words(Party p) { return p == Party::kServer ? "the server's host" : "the client's host"; }

Duration earlier_by(const Namespace& ns) {
  return ns.earlier ? Duration{static_cast<std::int64_t>(ns.earlier->seconds * 1e9)} : Duration{};
}

/// One end of the connection that the snapshot knows.
struct End {
  const facts::HostSnapshot& host;
  const Namespace& ns;
  Party party;
  const facts::Connection& connection;

  [[nodiscard]] CaptureTime first_reading() const { return host.time - earlier_by(ns); }
  /// The two readings lie around some of the connection's life.
  [[nodiscard]] bool saw_some() const {
    return ns.earlier && first_reading() <= connection.end + kSlack && host.time >= connection.start - kSlack;
  }
  [[nodiscard]] bool saw_all() const { return ns.earlier && first_reading() <= connection.start && host.time >= connection.end; }
  [[nodiscard]] std::int64_t rise(std::string_view counter) const { return saw_some() ? ns.rise(counter).value_or(0) : 0; }
  /// The counter would have moved if it had happened, and it has not.
  [[nodiscard]] bool excludes(std::string_view counter) const {
    const auto total = ns.counter(counter);
    if (!total) return false;
    if (saw_all() && ns.rise(counter) == 0) return true;
    return *total == 0 && host.time >= connection.end && host.time <= connection.end + kNoRestart;
  }
  [[nodiscard]] bool settings_hold() const {
    return !ns.sysctls.empty() && host.time >= connection.start - kSettingsLast && host.time <= connection.end + kSettingsLast;
  }
  [[nodiscard]] std::string say(std::string_view what) const { return fmt::format("{}: {}", host_words(party), what); }
};

bool concerns(At at, Party party, facts::Side side) {
  switch (at) {
    case At::kServer: return party == Party::kServer;
    case At::kClient: return party == Party::kClient;
    case At::kActor: return side == (party == Party::kServer ? facts::Side::kServer : facts::Side::kClient);
    case At::kEither: return true;
  }
  return false;
}

const WitnessRule* rule_of(CauseId cause) {
  const auto* at = std::find_if(std::begin(kWitnessRules), std::end(kWitnessRules), [&](const WitnessRule& r) { return r.cause == cause; });
  return at == std::end(kWitnessRules) ? nullptr : at;
}

/// The settings or counters that exclude the cause, as a sentence; empty: nothing does.
std::string exclusion(const End& end, const Diagnosis& d) {
  if (end.settings_hold())
    for (const Requirement& r : kRequirements)
      if (r.cause == d.cause && concerns(r.at, end.party, d.side) && !r.allows(end.ns.sysctl(r.sysctl))) {
        const auto it = end.ns.sysctls.find(r.sysctl);
        return end.say(it == end.ns.sysctls.end() ? fmt::format("Linux {} has no {}", end.host.kernel, r.sysctl)
                                                  : fmt::format("{}={}", r.sysctl, it->second));
      }
  const WitnessRule* rule = rule_of(d.cause);
  if (rule != nullptr && rule->needed && concerns(rule->at, end.party, d.side) && end.excludes(rule->counters[0]))
    return end.say(end.ns.counter(rule->counters[0]) == 0 ? fmt::format("{} is 0", rule->counters[0])
                                                          : fmt::format("{} did not rise meanwhile", rule->counters[0]));
  return {};
}

std::vector<std::string> counter_sentences(const End& end, const WitnessRule& rule) {
  std::vector<std::string> out;
  for (std::string_view name : rule.counters) {
    if (name.empty()) break;
    const auto total = end.ns.counter(name);
    if (!total || *total == 0) continue;
    if (const std::int64_t rise = end.rise(name); rise > 0)
      out.push_back(end.say(fmt::format("{} rose by {} in {:.3g} s, to {}", name, rise, end.ns.earlier->seconds, *total)));
    else
      out.push_back(end.say(fmt::format("{} stands at {}, counted since the host started", name, *total)));
  }
  return out;
}

std::string settings_sentence(const End& end, const WitnessRule& rule) {
  std::string out;
  for (std::string_view name : rule.sysctls)
    if (const auto it = end.ns.sysctls.find(name); !name.empty() && it != end.ns.sysctls.end())
      out += fmt::format("{}{}={}", out.empty() ? "" : ", ", it->first, it->second);
  return out.empty() ? out : end.say(out);
}

bool is_about_a_listener(CauseId cause) {
  switch (cause) {
    case CauseId::kPortClosed:
    case CauseId::kAcceptQueueOverflow:
    case CauseId::kAcceptQueueOverflowReset:
    case CauseId::kSynQueueOverflow:
    case CauseId::kServerNeverAccepts:
    case CauseId::kSynUnanswered:
    case CauseId::kDeferAcceptNoData: return true;
    default: return false;
  }
}

std::string listener_sentence(const End& end) {
  const Endpoint& at = end.connection.ends[facts::index(Party::kServer)];
  const Socket* l = end.ns.listener(at);
  if (l == nullptr) return end.say(fmt::format("nobody listened on port {} when the snapshot was taken", at.port));
  const auto somaxconn = end.ns.sysctl("net.core.somaxconn");
  return end.say(fmt::format("{} listened on {}, {} waiting for accept(), limit {} ({})", process_words(end.host.process(*l)),
                             facts::to_string(l->local), l->receive_queue, l->send_queue,
                             somaxconn && l->send_queue >= *somaxconn ? "net.core.somaxconn" : "its listen() backlog"));
}

/// A listener whose queue was not even half full at both readings is not the one that overflowed.
bool was_at_ease(const End& end) {
  const Socket* l = end.ns.listener(end.connection.ends[facts::index(Party::kServer)]);
  if (l == nullptr) return false;
  std::uint32_t most = l->receive_queue;
  if (end.ns.earlier)
    if (const auto it = end.ns.earlier->accept_queues.find(l->cookie); it != end.ns.earlier->accept_queues.end())
      most = std::max(most, it->second);
  return most * 2ull < l->send_queue;
}

std::string socket_sentence(const End& end, const Socket& s) {
  std::string out = fmt::format("its socket was {}", to_string(s.state));
  if (s.receive_queue > 0) out += fmt::format(", {} unread", counted(s.receive_queue, "octet"));
  if (s.send_queue > 0) out += fmt::format(", {} unacknowledged", counted(s.send_queue, "octet"));
  if (s.retries > 0) out += fmt::format(", {} without an answer", counted(static_cast<unsigned>(s.retries), "repeat"));
  if (const SocketInfo* i = end.ns.info(s)) out += fmt::format(", silent for {}", age_words(i->silent_ms() * 1e-3));
  if (const facts::Process* p = end.host.process(s)) {
    out += fmt::format(", of {}", process_words(p));
    if (p->state == 'T' || p->state == 't') out += ", which is stopped (state T)";
  } else if (s.inode == 0 && !end.host.processes.empty()) {
    out += ", held by no process";
  }
  return end.say(out);
}

/// The kernel of this end speaks for the cause alone.
bool speaks_for(const End& end, const Diagnosis& d) {
  const WitnessRule* rule = rule_of(d.cause);
  if (rule == nullptr || !rule->sole || !concerns(rule->at, end.party, d.side)) return false;
  const bool queue = d.cause == CauseId::kAcceptQueueOverflow || d.cause == CauseId::kAcceptQueueOverflowReset;
  return end.rise(rule->counters[0]) > 0 && !(queue && was_at_ease(end));
}

void exclude(const End& end, Answer& answer) {
  std::vector<Rival> refuted;
  for (std::size_t i = 0; i < answer.diagnoses.size();) {
    Diagnosis& d = answer.diagnoses[i];
    std::string why = exclusion(end, d);
    if (why.empty() || d.verdict == Verdict::kProven) {
      ++i;
    } else if (i > 0 && d.verdict == Verdict::kPossible) {
      refuted.push_back({d.cause, Verdict::kRuledOut, std::move(why), {}});
      answer.diagnoses.erase(answer.diagnoses.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      // What the packets say for it stands; the host's word takes the certainty.
      d.verdict = Verdict::kPossible;
      d.evidence.push_back({{}, 0, why + ": that speaks against it"});
      ++i;
    }
  }
  if (answer.diagnoses.empty()) return;
  auto& rivals = answer.diagnoses.front().rivals;
  for (Rival& r : refuted) {
    std::erase_if(rivals, [&](const Rival& known) { return known.cause == r.cause; });
    rivals.push_back(std::move(r));
  }
}

bool covers(CauseId generic, CauseId specific) {
  const Cause* cause = find_cause(generic);
  return cause != nullptr && std::find(cause->specifics.begin(), cause->specifics.end(), specific) != cause->specifics.end();
}

/// Of the causes that are only possible, the one whose counter rose meanwhile is likely; where two did, neither.
void raise(const End& end, Answer& answer) {
  auto speaks = [&](const Diagnosis& d) { return speaks_for(end, d); };
  auto at = std::find_if(answer.diagnoses.begin(), answer.diagnoses.end(), speaks);
  if (at == answer.diagnoses.end() || at->verdict != Verdict::kPossible || answer.diagnoses.front().verdict == Verdict::kProven ||
      std::any_of(std::next(at), answer.diagnoses.end(), speaks))
    return;
  const Diagnosis& first = answer.diagnoses.front();
  // A specific that is as sure as something else in the capture stays behind it.
  if (first.verdict == Verdict::kLikely && !covers(first.cause, at->cause)) return;
  Diagnosis d = std::move(*at);
  answer.diagnoses.erase(at);
  d.verdict = Verdict::kLikely;
  if (const Cause* cause = find_cause(d.cause)) {
    if (d.summary.empty()) d.summary = cause->title;
    if (d.fix.empty()) d.fix.assign(cause->fix.begin(), cause->fix.end());
  }
  // A generic is no answer where its specific is known; what it saw is the specific's evidence, too.
  std::erase_if(answer.diagnoses, [&](const Diagnosis& other) {
    if (!covers(other.cause, d.cause)) return false;
    d.evidence.insert(d.evidence.end(), other.evidence.begin(), other.evidence.end());
    for (const Rival& r : other.rivals)
      if (r.cause != d.cause) d.rivals.push_back(r);
    return true;
  });
  answer.diagnoses.insert(answer.diagnoses.begin(), std::move(d));
}

}  // namespace

Witness::Witness(const facts::HostSnapshot& host, std::string name) : host_{host}, name_{std::move(name)} {
  for (const Namespace& ns : host.namespaces)
    for (const Socket& s : ns.sockets)
      if (s.state != State::kListen) by_tuple_.emplace(tuple_hash(s.local, s.remote), &s);
}

const Socket* Witness::socket_of(const Namespace& ns, const facts::Connection& c, Party party) const {
  // A tuple is used again; only what lives, or has just ended, is the same connection.
  if (host_.time < c.start || (c.outcome != facts::Outcome::kOpen && host_.time > c.end + kNoRestart)) return nullptr;
  const Endpoint& local = c.ends[facts::index(party)];
  const Endpoint& remote = c.ends[facts::index(facts::other(party))];
  const auto [first, last] = by_tuple_.equal_range(tuple_hash(local, remote));
  for (auto at = first; at != last; ++at) {
    const Socket* s = at->second;
    const bool here = !ns.sockets.empty() && s >= &ns.sockets.front() && s <= &ns.sockets.back();
    if (here && s->local == local && s->remote == remote) return s;
  }
  return nullptr;
}

const Namespace* Witness::home(const facts::Connection& c, Party party) const {
  const Endpoint& end = c.ends[facts::index(party)];
  const Namespace* best = nullptr;
  int best_rank = 0;
  for (const Namespace& ns : host_.namespaces) {
    if (std::find(ns.addresses.begin(), ns.addresses.end(), end.address) == ns.addresses.end()) continue;
    const int rank = socket_of(ns, c, party) != nullptr ? 3 : party == Party::kServer && ns.listener(end) != nullptr ? 2 : 1;
    if (rank > best_rank) {
      best = &ns;
      best_rank = rank;
    }
  }
  return best;
}

void Witness::testify(const facts::Connection& c, Answer& answer) {
  if (answer.healthy || answer.diagnoses.empty()) return;
  ++failed_;
  bool met = false;
  for (Party party : {Party::kServer, Party::kClient}) {
    const Namespace* ns = home(c, party);
    if (ns == nullptr) continue;
    met = true;
    const End end{host_, *ns, party, c};
    exclude(end, answer);
    raise(end, answer);
    Diagnosis& first = answer.diagnoses.front();
    const auto cite = [&](std::string text) {
      if (!text.empty()) first.evidence.push_back({{}, 0, std::move(text)});
    };
    const Socket* socket = socket_of(*ns, c, party);
    if (socket != nullptr) cite(socket_sentence(end, *socket));
    if (party == Party::kServer && is_about_a_listener(first.cause)) cite(listener_sentence(end));
    if (const WitnessRule* rule = rule_of(first.cause); rule != nullptr && concerns(rule->at, party, first.side)) {
      for (std::string& text : counter_sentences(end, *rule)) cite(std::move(text));
      cite(settings_sentence(end, *rule));
    }
    if (party == Party::kServer && ns->conntrack_count && ns->conntrack_max && *ns->conntrack_count * 100 >= *ns->conntrack_max * 95)
      cite(end.say(fmt::format("its connection tracking table was full: {} of {}", *ns->conntrack_count, *ns->conntrack_max)));
    const Socket* held = socket != nullptr ? socket : party == Party::kServer ? ns->listener(c.ends[facts::index(party)]) : nullptr;
    const facts::Process* process = held == nullptr ? nullptr : host_.process(*held);
    if (process != nullptr && !answer.kernel)
      answer.kernel = KernelWord{static_cast<std::uint32_t>(process->pid), process->comm, 0, {}, {}};
  }
  if (met) ++met_;
}

std::vector<std::string> Witness::shortcomings(CaptureTime begin, CaptureTime end) const {
  std::vector<std::string> out;
  for (const std::string& q : host_.quality) out.push_back(fmt::format("{}: {}", name_, q));
  if (failed_ > 0 && met_ == 0)
    out.push_back(fmt::format("{}: none of this host's addresses is an end of a failed connection here; behind a NAT or a "
                              "balancer its own name differs from the one the capture shows", name_));
  const auto apart = [](Duration d) { return age_words(static_cast<double>(d.count()) * 1e-9); };
  if (host_.time < begin - kSlack)
    out.push_back(fmt::format("{}: taken {} before the capture began: its counters and queues are not of that time", name_, apart(begin - host_.time)));
  else if (Duration first = host_.namespaces.empty() ? Duration{} : earlier_by(host_.namespaces.front()); host_.time - first > end + kSlack)
    out.push_back(fmt::format("{}: taken {} after the capture ended: what its counters rose by is not of that time", name_, apart(host_.time - end)));
  return out;
}

}  // namespace tcpwhy::diagnose::host
