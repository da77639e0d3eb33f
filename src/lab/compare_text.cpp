// A comparison as a person reads it: what differs first, then everything side by side.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lab/compare.hpp"
#include "lab/words.hpp"

namespace tcpwhy::lab {
namespace {

using Json = nlohmann::ordered_json;

std::string clock(Duration t) { return fmt::format("{:11.6f}", seconds(t)); }

void row(std::string& out, const Pair& p) {
  const std::string blank(11, ' ');
  const bool in_model = p.has != Pair::Has::kKernelOnly, in_kernel = p.has != Pair::Has::kModelOnly;
  const char mark = !in_kernel ? '-' : !in_model ? '+' : p.apart ? '~' : ' ';
  out += fmt::format("{} {} {}  {}\n", mark, in_model ? clock(p.model) : blank, in_kernel ? clock(p.kernel) : blank,
                     p.line);
}

void row(std::string& out, const CounterPair& p) {
  const std::string model = p.model ? fmt::format("{}", *p.model) : "not counted";
  const std::string words = netstat_words(p.name);
  out += fmt::format("{} {:>11} {:>11}  {} {}{}\n", p.agrees() ? ' ' : '!', model, p.kernel, p.host, p.name,
                     words == p.name ? "" : " (" + words + ")");
}

template <class P>
std::size_t differing(const std::vector<P>& pairs) {
  return static_cast<std::size_t>(std::count_if(pairs.begin(), pairs.end(), [](const P& p) { return !p.agrees(); }));
}

/// The rows that differ, or all of them; long lists of rows that agree are cut.
template <class P>
void table(std::string& out, std::string_view title, const std::vector<P>& pairs, bool only_differences) {
  constexpr std::size_t kMost = 120;
  if (only_differences && differing(pairs) == 0) return;
  out += fmt::format("\n      model      kernel  {}\n", title);
  std::size_t shown = 0, hidden = 0;
  for (const P& p : pairs) {
    if (only_differences && p.agrees()) continue;
    if (shown < kMost || (!only_differences && !p.agrees())) {
      row(out, p);
      ++shown;
    } else {
      ++hidden;
    }
  }
  if (hidden > 0) out += fmt::format("  … {} more\n", hidden);
}

/// Connections under their names, in the order of their numbers.
void packets(std::string& out, const Comparison& c, bool only_differences) {
  constexpr std::size_t kMost = 20;
  std::size_t told = 0, more = 0;
  for (std::size_t i = 0; i < c.connections.size(); ++i) {
    std::vector<Pair> own;
    std::copy_if(c.packets.begin(), c.packets.end(), std::back_inserter(own),
                 [&](const Pair& p) { return p.connection == i; });
    if (only_differences && differing(own) == 0) continue;
    if (told++ >= kMost) {
      ++more;
      continue;
    }
    table(out, fmt::format("connection {}: {}", i + 1, c.connections[i]), own, only_differences);
  }
  if (more > 0) out += fmt::format("\n  … and {} more connections\n", more);
}

std::string verdict(const Comparison& c) {
  if (c.agrees())
    return fmt::format("They agree: {} packets of {} connections, {} calls, {} counters that moved.", c.packets.size(),
                       c.connections.size(), c.calls.size(), c.counters.size());
  const auto apart = static_cast<std::size_t>(
      std::count_if(c.packets.begin(), c.packets.end(), [](const Pair& p) { return p.apart; }));
  return fmt::format("They differ: {} of {} packets ({} of them in time only), {} of {} calls, {} of {} counters.",
                     differing(c.packets), c.packets.size(), apart, differing(c.calls), c.calls.size(),
                     differing(c.counters), c.counters.size());
}

std::string_view where(const Pair& p) {
  return p.has == Pair::Has::kModelOnly ? "model" : p.has == Pair::Has::kKernelOnly ? "kernel" : "both";
}

Json object(const Pair& p) {
  Json j{{"in", where(p)}};
  if (p.has != Pair::Has::kKernelOnly) j["model_s"] = seconds(p.model);
  if (p.has != Pair::Has::kModelOnly) j["kernel_s"] = seconds(p.kernel);
  j["agrees"] = p.agrees();
  j["line"] = p.line;
  return j;
}

}  // namespace

std::string text(const Comparison& c, const Run& model, const Run& kernel, const Leeway& leeway) {
  std::string out = fmt::format("{}: the model of {} beside the running kernel, {}\n", model.experiment->name,
                                model.kernel, kernel.kernel);
  out += fmt::format("{}\n\n", verdict(c));
  out +=
      "Numbers count from each side's first; times from the experiment's beginning. Two timers may differ by the grain "
      "of the\n"
      "kernel's timer wheel (up to an eighth of the wait); beside it are allowed:\n";
  out += fmt::format("one tick, {:.0f} ms, and {:.0f} ms for a busy machine.\n", seconds(leeway.tick) * 1e3,
                     seconds(leeway.busy) * 1e3);
  out += "Marks: - only the model, + only the kernel, ~ both, at times no timer explains, ! another count.\n";
  if (!c.agrees()) {
    out += "\n== What differs ==\n";
    packets(out, c, true);
    table(out, "what the applications got", c.calls, true);
    table(out, "counters", c.counters, true);
    out += "\n== Side by side ==\n";
  }
  packets(out, c, false);
  table(out, "what the applications got", c.calls, false);
  table(out, "counters", c.counters, false);
  return out;
}

std::string jsonl(const Comparison& c, const Run& model, const Run& kernel) {
  std::string out = Json{{"type", "comparison"}, {"experiment", model.experiment->name}, {"model", model.kernel},
                         {"kernel", kernel.kernel}, {"agrees", c.agrees()}, {"packets", c.packets.size()},
                         {"packets_differ", differing(c.packets)}, {"calls", c.calls.size()},
                         {"calls_differ", differing(c.calls)}, {"counters", c.counters.size()},
                         {"counters_differ", differing(c.counters)}}.dump() + '\n';
  const auto add = [&out](std::string_view type, Json object) {
    Json line{{"type", type}};
    line.update(object);
    out += line.dump() + '\n';
  };
  for (const Pair& p : c.packets) {
    Json j = object(p);
    j["connection"] = p.connection + 1;
    j["ends"] = c.connections[p.connection];
    add("packet", std::move(j));
  }
  for (const Pair& p : c.calls) add("call", object(p));
  for (const CounterPair& p : c.counters) {
    Json j{{"host", p.host}, {"name", p.name}, {"model", nullptr}, {"kernel", p.kernel}, {"agrees", p.agrees()}};
    if (p.model) j["model"] = *p.model;
    add("counter", std::move(j));
  }
  return out;
}

}  // namespace tcpwhy::lab
