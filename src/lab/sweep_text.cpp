// A sweep as a table, and as lines for a program.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lab/sweep.hpp"

namespace tcpwhy::lab {
namespace {

using Json = nlohmann::ordered_json;

std::string_view word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kWorks: return "works";
    case Outcome::kDrops: return "drops";
    case Outcome::kFails: return "fails";
  }
  return "?";
}

std::string seen_by_clients(const Point& p) {
  if (p.errors.empty()) return p.connected > 0 ? fmt::format("{} connected", p.connected) : "";
  std::string out;
  for (const ClientError& e : p.errors) {
    out += fmt::format("{}{}: {} at {:.3f} s", out.empty() ? "" : "; ", e.call, e.error, seconds(e.first));
    if (e.times > 1) out += fmt::format(" ({} times)", e.times);
  }
  return out;
}

/// Traffic moves in every run and says nothing about what failed.
bool is_traffic(std::string_view counter) {
  constexpr std::string_view kTraffic[] = {"InSegs",          "OutSegs",      "ActiveOpens",   "PassiveOpens",
                                           "CurrEstab",       "TCPPureAcks",  "TCPHPHits",     "TCPHPAcks",
                                           "TCPOrigDataSent", "TCPDelivered", "TCPAutoCorking"};
  return std::find(std::begin(kTraffic), std::end(kTraffic), counter) != std::end(kTraffic);
}

std::string counters_of(const Point& p) {
  std::string out;
  for (const auto& [host, moved] : p.counters)
    for (const auto& [name, by] : moved)
      if (!is_traffic(name))
        out += fmt::format("{}{}{} {:+}", out.empty() ? "" : ", ", host == "server" ? "" : host + ":", name, by);
  return out;
}

std::string sentence(const Stretch& s, const std::string& name) {
  const Point& p = *s.like;
  const std::string values = s.from == s.to ? s.from : s.from + " to " + s.to;
  std::string out = fmt::format("{} {}: {}", name, values, word(p.outcome));
  if (p.outcome == Outcome::kDrops) return out + ", though the server dropped segments of a full accept queue";
  if (p.outcome == Outcome::kWorks) return out;
  std::string why;
  if (p.answered < p.syns) why = p.answered == 0 ? "no SYN is answered" : "not every SYN is answered";
  for (const ClientError& e : p.errors)
    why += fmt::format("{}{} at {} gives {}", why.empty() ? "" : ", ", e.call, e.host, e.error);
  return out + ": " + why;
}

Json object(const Point& p) {
  Json j{{"type", "point"},          {"value", p.value}, {"outcome", word(p.outcome)},  {"errors", Json::array()},
         {"connected", p.connected}, {"syns", p.syns},   {"syns_answered", p.answered}, {"counters", Json::object()}};
  for (const ClientError& e : p.errors)
    j["errors"].push_back(
        {{"host", e.host}, {"call", e.call}, {"errno", e.error}, {"times", e.times}, {"first_s", seconds(e.first)}});
  for (const auto& [host, moved] : p.counters)
    for (const auto& [name, by] : moved) j["counters"][host][name] = by;
  return j;
}

/// Neighbours that were run and have the same numbers share a row.
struct Row {
  std::string first, last;
  Outcome outcome;
  std::string syns, clients, counters;
  [[nodiscard]] std::string values() const { return first == last ? first : first + " … " + last; }
};

std::vector<Row> rows(const Sweep& sweep) {
  std::vector<Row> all;
  for (const Point& p : sweep.points) {
    Row row{p.value,       p.value, p.outcome, fmt::format("{} of {}", p.answered, p.syns), seen_by_clients(p),
            counters_of(p)};
    const bool same = !all.empty() && all.back().outcome == row.outcome && all.back().syns == row.syns &&
                      all.back().clients == row.clients && all.back().counters == row.counters;
    if (same) all.back().last = p.value;
    else all.push_back(std::move(row));
  }
  return all;
}

}  // namespace

std::string text(const Sweep& sweep) {
  const std::string& name = sweep.range.name;
  std::string out = fmt::format("{}: {}\n", sweep.experiment->name, sweep.experiment->shows);
  const std::uint64_t size = sweep.range.size();
  out += fmt::format("  {} over {} value{}, {} run\n\n", name, size, size == 1 ? "" : "s", sweep.points.size());
  for (const Stretch& s : sweep.stretches()) out += sentence(s, name) + '\n';
  const std::vector<Row> table = rows(sweep);
  std::size_t value_width = name.size(), client_width = 11;
  for (const Row& r : table) {
    value_width = std::max(value_width, r.values().size());
    client_width = std::max(client_width, r.clients.size());
  }
  out += fmt::format("\n{:>{}}  outcome  SYNs answered  {:<{}}  counters that move\n", name, value_width, "clients see",
                     client_width);
  for (const Row& r : table)
    out += fmt::format("{:>{}}  {:<7}  {:>13}  {:<{}}  {}\n", r.values(), value_width, word(r.outcome), r.syns,
                       r.clients, client_width, r.counters);
  if (sweep.points.size() < size)
    out +=
        "\nValues between two neighbours that end alike were not run; where neighbours differ, they stand next to each "
        "other.\n";
  return out;
}

std::string jsonl(const Sweep& sweep) {
  std::string out = Json{{"type", "sweep"}, {"experiment", sweep.experiment->name}, {"name", sweep.range.name},
                         {"values", sweep.range.size()}, {"run", sweep.points.size()}}.dump() + '\n';
  for (const Point& p : sweep.points) out += object(p).dump() + '\n';
  for (const Stretch& s : sweep.stretches())
    out += Json{{"type", "stretch"}, {"from", s.from}, {"to", s.to}, {"outcome", word(s.like->outcome)}}.dump() + '\n';
  return out;
}

}  // namespace tcpwhy::lab
