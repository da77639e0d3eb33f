#include "lab/compare.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "lab/conversation.hpp"

namespace tcpwhy::lab {
namespace {

/// Two lines that are the same packet or call; one of them may be missing.
struct Match {
  const Line* model = nullptr;
  const Line* kernel = nullptr;
};

using Lines = std::vector<const Line*>;

/// May they be one? Repeats look alike and are told apart by their times. A timer of the kernel is late by at most an eighth
/// of its wait (wheel_lateness()), and a chain of them by an eighth of all the time.
bool alike(const Line& m, const Line& k, Duration within) {
  return m.key == k.key && std::chrono::abs(k.time - m.time) <= within + std::max(m.time, k.time) / 8;
}

/// The longest common subsequence, as diff has it; of very long runs only the common beginning.
std::vector<Match> align(const Lines& m, const Lines& k, Duration within) {
  constexpr std::size_t kMost = 3000;
  std::vector<Match> out;
  std::size_t i = 0, j = 0;
  const auto both = [&] { out.push_back({m[i++], k[j++]}); };
  while (i < m.size() && j < k.size() && alike(*m[i], *k[j], within)) both();
  const std::size_t rows = m.size() - i, columns = k.size() - j;
  if (rows <= kMost && columns <= kMost) {
    const std::size_t top = i, left = j, width = columns + 1;
    std::vector<std::uint16_t> common((rows + 1) * width, 0);
    for (std::size_t r = rows; r-- > 0;)
      for (std::size_t c = columns; c-- > 0;)
        common[r * width + c] = alike(*m[top + r], *k[left + c], within)
                                    ? static_cast<std::uint16_t>(common[(r + 1) * width + c + 1] + 1)
                                    : std::max(common[(r + 1) * width + c], common[r * width + c + 1]);
    while (i < m.size() && j < k.size()) {
      const std::size_t r = i - top, c = j - left;
      if (alike(*m[i], *k[j], within)) both();
      else if (common[(r + 1) * width + c] >= common[r * width + c + 1]) out.push_back({m[i++], nullptr});
      else out.push_back({nullptr, k[j++]});
    }
  }
  while (i < m.size()) out.push_back({m[i++], nullptr});
  while (j < k.size()) out.push_back({nullptr, k[j++]});
  return out;
}

/// What is left alone: what is the same at the same moment belongs together although others came between, for their order
/// was chance; and what is the same at another time is one thing at two times, not two things.
void join_alone(std::vector<Match>& matches, Duration within) {
  for (const Duration apart : {within, Duration::max()})
    for (Match& lone : matches) {
      if (lone.model == nullptr || lone.kernel != nullptr) continue;
      const auto other = std::find_if(matches.begin(), matches.end(), [&](const Match& m) {
        return m.model == nullptr && m.kernel != nullptr && m.kernel->key == lone.model->key &&
               std::chrono::abs(m.kernel->time - lone.model->time) <= apart;
      });
      if (other != matches.end()) lone.kernel = std::exchange(other->kernel, nullptr);
    }
  std::erase_if(matches, [](const Match& m) { return m.model == nullptr && m.kernel == nullptr; });
}

struct Event {
  Match match;
  std::size_t connection = 0;
  std::uint8_t side = 0;
  std::string host;  ///< of a call: whose
  std::optional<std::size_t> before = std::nullopt;  ///< see Line::before
  [[nodiscard]] bool is_call() const { return !host.empty(); }
  [[nodiscard]] bool in_both() const { return match.model != nullptr && match.kernel != nullptr; }
  [[nodiscard]] Duration time() const { return match.model != nullptr ? match.model->time : match.kernel->time; }
};

/// Connections by what they are in any run: numbered as the model met them, then as the kernel did.
class Directory {
 public:
  std::size_t number(const Conversation& c, std::size_t connection) {
    const auto [at, fresh] = numbers_.try_emplace(c.identities[connection], names.size());
    if (fresh) names.push_back(c.names[connection]);
    return at->second;
  }
  std::vector<std::string> names;

 private:
  std::map<std::string, std::size_t> numbers_;
};

/// What is compared line by line: the packets of one end of one connection, or the calls of one host.
struct Two {
  Lines model, kernel;
};

/// Each end of each connection for itself: the order among them at a tap is the network's.
void add_packets(std::vector<Event>& events, Directory& directory, const Conversation& model,
                 const Conversation& kernel, const Leeway& leeway) {
  std::map<std::pair<std::size_t, std::uint8_t>, Two> ends;
  for (const Line& l : model.lines) ends[{directory.number(model, l.connection), l.side}].model.push_back(&l);
  for (const Line& l : kernel.lines) ends[{directory.number(kernel, l.connection), l.side}].kernel.push_back(&l);
  for (const auto& [end, two] : ends) {
    auto matches = align(two.model, two.kernel, leeway.busy + leeway.tick);
    join_alone(matches, leeway.busy);
    for (const Match& m : matches) {
      Event& e = events.emplace_back(m, end.first, end.second, std::string{});
      const bool in_model = m.model != nullptr;
      if (const auto before = (in_model ? m.model : m.kernel)->before) e.before = directory.number(in_model ? model : kernel, *before);
    }
  }
}

void add_calls(std::vector<Event>& events, const std::vector<Line>& model, const std::vector<Line>& kernel,
               const Leeway& leeway) {
  const auto host = [](const Line& l) { return l.key.substr(0, l.key.find(' ')); };
  std::map<std::string, Two> hosts;
  for (const Line& l : model) hosts[host(l)].model.push_back(&l);
  for (const Line& l : kernel) hosts[host(l)].kernel.push_back(&l);
  for (const auto& [name, two] : hosts) {
    auto matches = align(two.model, two.kernel, leeway.busy + leeway.tick);
    join_alone(matches, leeway.busy);
    for (const Match& m : matches) events.push_back({m, 0, 0, name});
  }
}

/// Finds the events whose times no timer of the kernel explains. A time is measured from what may have set its timer:
/// what this end and its peer did last, what was last seen at all, or the experiment's own clock.
class Clock {
 public:
  explicit Clock(const Leeway& leeway) : leeway_{leeway} {}

  /// In the model's order. True: too early or too late.
  bool apart(const Event& e) {
    const Match& m = e.match;
    const bool fine = std::chrono::abs(m.kernel->time - m.model->time) <= leeway_.busy + leeway_.tick ||
                      follows(last_, m) || (e.is_call() ? call_follows(e) : packet_follows(e));
    last_ = m;
    if (e.is_call()) {
      calls_[e.host] = m;
    } else {
      Recent& own = ends_[{e.connection, e.side}];
      own = {m, own.newest};
    }
    return !fine;
  }

 private:
  struct Recent {
    Match newest, second;
  };
  [[nodiscard]] bool follows(const Match& earlier, const Match& m) const {
    const Duration model = m.model->time - (earlier.model != nullptr ? earlier.model->time : Duration::zero());
    const Duration kernel = m.kernel->time - (earlier.kernel != nullptr ? earlier.kernel->time : Duration::zero());
    // The model's timers stand on a wheel as well, whose ticks began at another moment: either may be the later one.
    return std::chrono::abs(kernel - model) <=
           wheel_lateness(std::min(model, kernel), leeway_.tick) + leeway_.tick + leeway_.busy;
  }
  [[nodiscard]] bool packet_follows(const Event& e) {
    return follows_in(e.connection, e) || (e.before && follows_in(*e.before, e));
  }
  [[nodiscard]] bool follows_in(std::size_t connection, const Event& e) const {
    for (const std::uint8_t side : {std::uint8_t{0}, std::uint8_t{1}})
      if (const auto end = ends_.find({connection, side}); end != ends_.end())
        for (const Match& earlier : {end->second.newest, end->second.second})
          if (earlier.model != nullptr && follows(earlier, e.match)) return true;
    return false;
  }
  /// What set a call's timer may have been out of the tap's sight, as far back as the beginning.
  [[nodiscard]] bool call_follows(const Event& e) { return follows(calls_[e.host], e.match) || follows({}, e.match); }

  Leeway leeway_;
  Match last_;
  std::map<std::pair<std::size_t, std::uint8_t>, Recent> ends_;
  std::map<std::string, Match> calls_;
};

Pair pair_of(const Event& e) {
  const Match& m = e.match;
  Pair p;
  p.has = m.kernel == nullptr ? Pair::Has::kModelOnly : m.model == nullptr ? Pair::Has::kKernelOnly : Pair::Has::kBoth;
  if (m.model != nullptr) p.model = m.model->time;
  if (m.kernel != nullptr) p.kernel = m.kernel->time;
  p.connection = e.connection;
  p.line = (m.model != nullptr ? m.model : m.kernel)->shown;
  return p;
}

void compare_counters(std::vector<CounterPair>& out, const HostRun& model, const HostRun& kernel) {
  // Neither side of a host that is only a network card counts.
  if (kernel.after.empty() || model.after.empty()) return;
  for (const auto& [name, value] : kernel.after) {
    const std::int64_t by = kernel.moved(name);
    const bool counted = model.after.contains(name);
    const std::int64_t model_by = model.moved(name);
    if (by == 0 && model_by == 0) continue;
    out.push_back({model.name, name, counted ? std::optional{model_by} : std::nullopt, by});
  }
}

}  // namespace

Duration wheel_lateness(Duration wait, Duration tick) {
  // Level 0 holds 63 ticks to the tick; each further level is eight times as long and as coarse.
  Duration granularity = tick;
  while (wait >= 63 * granularity) granularity *= 8;
  return granularity;
}

bool Comparison::agrees() const {
  const auto agree = [](const auto& pair) { return pair.agrees(); };
  return std::all_of(packets.begin(), packets.end(), agree) && std::all_of(calls.begin(), calls.end(), agree) &&
         std::all_of(counters.begin(), counters.end(), agree);
}

Comparison compare(const Run& model, const Run& kernel, const Leeway& leeway) {
  const Conversation model_packets = packets_of(model), kernel_packets = packets_of(kernel);
  const std::vector<Line> model_calls = calls_of(model), kernel_calls = calls_of(kernel);
  Directory directory;
  std::vector<Event> events;
  add_packets(events, directory, model_packets, kernel_packets, leeway);
  add_calls(events, model_calls, kernel_calls, leeway);
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.time() < b.time(); });

  Comparison out;
  Clock clock{leeway};
  for (const Event& e : events) {
    Pair p = pair_of(e);
    if (e.in_both()) p.apart = clock.apart(e);
    (e.is_call() ? out.calls : out.packets).push_back(std::move(p));
  }
  out.connections = std::move(directory.names);
  for (const HostRun& h : model.hosts)
    if (const HostRun* other = kernel.host(h.name)) compare_counters(out.counters, h, *other);
  return out;
}

}  // namespace tcpwhy::lab
