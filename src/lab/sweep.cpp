#include "lab/sweep.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>

namespace tcpwhy::lab {
namespace {

/// A range up to here is run value by value.
constexpr std::uint64_t kShort = 32;
/// So many places of change are looked for exactly; an outcome that changes oftener has no border.
constexpr int kMostBorders = 16;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error bad_range(std::string_view text) {
  return {"lab.sweep", "--sweep wants NAME=A..B, NAME=A..B:STEP or NAME=A,B,C, not \"" + std::string{text} + "\""};
}

bool has_param(const Experiment& e, std::string_view name) {
  const auto is_it = [name](const Param& p) { return p.name == name; };
  const auto common = network_params();
  return std::any_of(e.params.begin(), e.params.end(), is_it) || std::any_of(common.begin(), common.end(), is_it);
}

/// A parameter of the experiment, a kernel, or a setting.
std::optional<Error> apply(const Experiment& e, Options& options, const std::string& name, const std::string& value) {
  if (name == "kernel") options.kernel = value;
  else if (name == "client:kernel") options.client_kernel = value;
  else if (has_param(e, name)) options.params.emplace_back(name, value);
  else if (name.find('.') != std::string::npos || name.find("tcp_") != std::string::npos || name == "somaxconn")
    options.sysctls.emplace_back(name, value);
  else {
    std::string known;
    for (const auto list : {e.params, network_params()})
      for (const Param& p : list) known += std::string{p.name} + ", ";
    return Error{"lab.sweep", std::string{e.name} + " has no parameter " + name + "; it has " + known +
                                  "and there are kernel, client:kernel and the sysctls"};
  }
  return std::nullopt;
}

/// Attempts at the tap, by the SYN, and which of them a SYN-ACK acknowledged.
void count_syns(const Run& run, Point& point) {
  using Attempt = std::tuple<std::uint32_t, std::uint16_t, std::uint32_t, std::uint16_t, std::uint32_t>;
  std::set<Attempt> asked, answered;
  for (const world::Seen& seen : run.packets) {
    const world::Packet& p = seen.packet;
    if (run.taps[seen.tap] != run.tap || p.icmp || !p.has(wire::Flag::kSyn)) continue;
    if (p.has(wire::Flag::kAck))
      answered.emplace(p.destination, p.destination_port, p.source, p.source_port, p.ack.raw() - 1);
    else asked.emplace(p.source, p.source_port, p.destination, p.destination_port, p.seq.raw());
  }
  point.syns = asked.size();
  point.answered = static_cast<std::uint64_t>(
      std::count_if(asked.begin(), asked.end(), [&](const Attempt& a) { return answered.contains(a); }));
}

bool is_error(const std::string& result) {
  return result.size() > 1 && result[0] == 'E' && result[1] >= 'A' && result[1] <= 'Z';
}

void collect_calls(const Run& run, Point& point) {
  for (const world::Note& note : run.notes) {
    if (note.call == "connect" && note.result == "0") ++point.connected;
    if (!is_error(note.result)) continue;
    const auto same = std::find_if(point.errors.begin(), point.errors.end(), [&](const ClientError& e) {
      return e.host == note.host && e.call == note.call && e.error == note.result;
    });
    if (same != point.errors.end()) ++same->times;
    else point.errors.push_back({note.host, note.call, note.result, 1, note.time - run.begin});
  }
}

Point point_of(const Run& run) {
  Point point;
  count_syns(run, point);
  collect_calls(run, point);
  bool overflowed = false;
  for (const HostRun& h : run.hosts) {
    auto& moved = point.counters[h.name];
    for (const auto& [name, value] : h.after)
      if (const std::int64_t by = h.moved(name); by != 0) moved[name] = by;
    if (moved.contains("ListenOverflows")) overflowed = true;
    if (moved.empty()) point.counters.erase(h.name);
  }
  if (!point.errors.empty() || point.answered < point.syns) point.outcome = Outcome::kFails;
  else if (overflowed) point.outcome = Outcome::kDrops;
  return point;
}

class Sweeper {
 public:
  Sweeper(const Experiment& experiment, const Options& options, const Range& range, const Runner& run)
      : experiment_{experiment}, options_{options}, run_{run} {
    sweep_.experiment = &experiment;
    sweep_.range = range;
  }

  Result<Sweep> all() && {
    const std::uint64_t size = sweep_.range.size(), samples = std::min(size, kShort);
    for (std::uint64_t i = 0; i < samples; ++i) ask(samples == 1 ? 0 : i * (size - 1) / (samples - 1));
    refine([](const Point& a, const Point& b) { return a.alike(b); });
    // A narrow failure hides where something else changes too: one more connection, one less.
    refine([](const Point& a, const Point& b) { return a.alike(b) && a.connected == b.connected && a.syns == b.syns; });
    if (error_) return *error_;
    return std::move(sweep_);
  }

 private:
  const Point* ask(std::uint64_t index) {
    if (error_) return nullptr;
    auto& points = sweep_.points;
    const auto place = std::lower_bound(points.begin(), points.end(), index,
                                        [](const Point& p, std::uint64_t i) { return p.index < i; });
    if (place != points.end() && place->index == index) return &*place;
    const std::string value = sweep_.range.value(index);
    Options options = options_;
    error_ = apply(experiment_, options, sweep_.range.name, value);
    if (error_) return nullptr;
    const auto run = run_(options);
    if (!run) {
      error_ = run.error();
      return nullptr;
    }
    Point point = point_of(*run);
    point.index = index;
    point.value = value;
    return &*points.insert(place, std::move(point));
  }

  using Same = bool (*)(const Point&, const Point&);
  void refine(Same same) {
    int borders = 0;
    // What is put in between two points may hold a border of its own: the walk goes on from where it stands.
    for (std::size_t i = 0; !error_ && i + 1 < sweep_.points.size() && borders < kMostBorders;) {
      const Point &low = sweep_.points[i], &high = sweep_.points[i + 1];
      if (high.index - low.index == 1 || same(low, high)) {
        ++i;
        continue;
      }
      ++borders;
      halve(low, high, same);
    }
  }
  void halve(Point low, Point high, Same same) {
    while (high.index - low.index > 1) {
      const Point* middle = ask(low.index + (high.index - low.index) / 2);
      if (middle == nullptr) return;
      (same(*middle, low) ? low : high) = *middle;
    }
  }

  const Experiment& experiment_;
  const Options& options_;
  const Runner& run_;
  Sweep sweep_;
  std::optional<Error> error_;
};

}  // namespace

std::uint64_t Range::size() const {
  if (!list.empty()) return list.size();
  return static_cast<std::uint64_t>((last - first) / step) + 1;
}

std::string Range::value(std::uint64_t index) const {
  return list.empty() ? std::to_string(first + static_cast<std::int64_t>(index) * step) : list[index];
}

Result<Range> parse_range(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size()) return bad_range(text);
  Range range;
  range.name = text.substr(0, equals);
  std::string_view values = text.substr(equals + 1);
  if (const std::size_t dots = values.find(".."); dots != std::string_view::npos) {
    std::string_view upper = values.substr(dots + 2);
    if (const std::size_t colon = upper.find(':'); colon != std::string_view::npos) {
      const auto step = number(upper.substr(colon + 1));
      if (!step || *step < 1) return bad_range(text);
      range.step = *step;
      upper = upper.substr(0, colon);
    }
    const auto from = number(values.substr(0, dots)), to = number(upper);
    // The number of values must fit as well.
    constexpr std::int64_t kFarthest = std::int64_t{1} << 40;
    if (!from || !to || *to < *from || *from < -kFarthest || *to > kFarthest) return bad_range(text);
    range.first = *from;
    range.last = *to;
    return range;
  }
  while (true) {
    const std::size_t comma = values.find(',');
    range.list.emplace_back(values.substr(0, comma));
    if (range.list.back().empty()) return bad_range(text);
    if (comma == std::string_view::npos) return range;
    values.remove_prefix(comma + 1);
  }
}

bool Point::alike(const Point& other) const {
  const auto kinds = [](const Point& p) {
    std::set<std::tuple<std::string, std::string, std::string>> all;
    for (const ClientError& e : p.errors) all.emplace(e.host, e.call, e.error);
    return all;
  };
  const auto served = [](const Point& p) { return p.answered == p.syns ? 2 : p.answered > 0 ? 1 : 0; };
  return outcome == other.outcome && served(*this) == served(other) && kinds(*this) == kinds(other);
}

std::vector<Stretch> Sweep::stretches() const {
  std::vector<Stretch> all;
  for (const Point& p : points) {
    if (all.empty() || !all.back().like->alike(p)) all.push_back({p.value, p.value, &p});
    else all.back().to = p.value;
  }
  return all;
}

Result<Sweep> sweep(const Experiment& experiment, const Options& options, const Range& range, const Runner& run) {
  return Sweeper{experiment, options, range, run}.all();
}

}  // namespace tcpwhy::lab
