#include "lab/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <tuple>

#include "lab/render.hpp"
#include "lab/words.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;

struct Line {
  ModelTime time;
  std::string text;
};

/// What differs between any two runs is taken out: chosen ports, initial numbers, the clocks of timestamps.
class Plain {
 public:
  std::string of(const world::Packet& packet) {
    if (packet.icmp) return plain_icmp(packet);
    const auto a = std::tuple{packet.source, packet.source_port}, b = std::tuple{packet.destination, packet.destination_port};
    const auto key = std::minmax(a, b);
    const auto [at, fresh] = connections_.try_emplace(key, connections_.size() + 1);
    Connection& c = state_[at->second];
    if (fresh) c.first = a;
    const std::size_t me = a == c.first ? 0 : 1;
    world::Packet p = packet;
    p.seq = relative(c.isn[me], p.seq);
    if (p.has(Flag::kAck)) p.ack = relative(c.isn[1 - me], p.ack);
    for (auto& [left, right] : p.sack) {
      left = relative(c.isn[1 - me], left);
      right = relative(c.isn[1 - me], right);
    }
    if (p.timestamps) p.timestamps = {0, 0};
    (me == 0 ? p.source_port : p.destination_port) = 0;
    return fmt::format("{}: {}", at->second, tcpdump_line(p));
  }

 private:
  using End = std::tuple<std::uint32_t, std::uint16_t>;
  struct Connection {
    End first;
    std::optional<SeqNum> isn[2];
  };
  static SeqNum relative(std::optional<SeqNum>& isn, SeqNum n) {
    if (!isn) isn = n;
    return SeqNum{n.raw() - isn->raw()};
  }
  static std::string plain_icmp(const world::Packet& packet) {
    world::Packet p = packet;
    p.source_port = 0;
    return tcpdump_line(p);
  }
  std::map<std::pair<End, End>, std::size_t> connections_;
  std::map<std::size_t, Connection> state_;
};

std::vector<Line> packets_of(const Run& run) {
  std::vector<Line> lines;
  Plain plain;
  for (const world::Seen& seen : run.packets)
    if (run.taps[seen.tap] == run.tap) lines.push_back({seen.time, plain.of(seen.packet)});
  return lines;
}

std::vector<Line> calls_of(const Run& run) {
  std::vector<Line> lines;
  for (const world::Note& note : run.notes) {
    // Which descriptor accept() gave is the host's own affair.
    const bool descriptor = note.call.starts_with("accept") && !note.result.empty() &&
                            std::isdigit(static_cast<unsigned char>(note.result[0]));
    lines.push_back({note.time, fmt::format("{} {}: {}", note.host, note.call,
                                            descriptor ? "a descriptor" : result_words(note.call, note.result))});
  }
  // Who is first within a moment is chance.
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return a.text.substr(0, a.text.find(' ')) < b.text.substr(0, b.text.find(' '));
  });
  return lines;
}

/// The longest common subsequence, as diff has it; of long runs the common beginning and then line by line.
std::vector<Pair> align(const std::vector<Line>& m, ModelTime m_begin, const std::vector<Line>& k, ModelTime k_begin) {
  std::vector<Pair> out;
  const auto model = [&](const Line& l) {
    out.push_back({Pair::Has::kModelOnly, ModelTime{l.time - m_begin}, {}, l.text});
  };
  const auto kernel = [&](const Line& l) {
    out.push_back({Pair::Has::kKernelOnly, {}, ModelTime{l.time - k_begin}, l.text});
  };
  const auto both = [&](const Line& a, const Line& b) {
    out.push_back({Pair::Has::kBoth, ModelTime{a.time - m_begin}, ModelTime{b.time - k_begin}, a.text});
  };
  constexpr std::size_t kMost = 3000;
  std::size_t i = 0, j = 0;
  while (i < m.size() && j < k.size() && m[i].text == k[j].text) both(m[i++], k[j++]);
  const std::size_t rows = m.size() - i, columns = k.size() - j;
  if (rows <= kMost && columns <= kMost) {
    const std::size_t width = columns + 1;
    std::vector<std::uint16_t> common((rows + 1) * width, 0);
    for (std::size_t r = rows; r-- > 0;)
      for (std::size_t c = columns; c-- > 0;)
        common[r * width + c] = m[i + r].text == k[j + c].text
                                    ? static_cast<std::uint16_t>(common[(r + 1) * width + c + 1] + 1)
                                    : std::max(common[(r + 1) * width + c], common[r * width + c + 1]);
    std::size_t r = 0, c = 0;
    while (r < rows && c < columns) {
      if (m[i + r].text == k[j + c].text) both(m[i + r++], k[j + c++]);
      else if (common[(r + 1) * width + c] >= common[r * width + c + 1]) model(m[i + r++]);
      else kernel(k[j + c++]);
    }
    i += r;
    j += c;
  }
  while (i < m.size()) model(m[i++]);
  while (j < k.size()) kernel(k[j++]);
  return out;
}

bool is_common(const Pair& p) { return p.has == Pair::Has::kBoth; }

std::string clock(ModelTime t) { return fmt::format("{:11.6f}", seconds(t.time_since_epoch())); }

void columns(std::string& out, const std::vector<Pair>& pairs, Duration tolerance) {
  constexpr std::size_t kMost = 120;
  const std::string blank(11, ' ');
  std::size_t shown = 0, hidden = 0;
  for (const Pair& p : pairs) {
    const bool late = is_common(p) && std::chrono::abs(p.model_time - p.kernel_time) > tolerance;
    if (is_common(p) && !late && shown >= kMost) {
      ++hidden;
      continue;
    }
    ++shown;
    const bool in_model = p.has != Pair::Has::kKernelOnly, in_kernel = p.has != Pair::Has::kModelOnly;
    out += fmt::format("{} {} {}  {}\n", is_common(p) ? (late ? '~' : ' ') : (in_model ? '-' : '+'),
                       in_model ? clock(p.model_time) : blank, in_kernel ? clock(p.kernel_time) : blank, p.line);
  }
  if (hidden > 0) out += fmt::format("  … {} more that agree\n", hidden);
}

}  // namespace

bool Comparison::agrees() const {
  return late == 0 && std::all_of(packets.begin(), packets.end(), is_common) && std::all_of(calls.begin(), calls.end(), is_common) &&
         std::all_of(counters.begin(), counters.end(), [](const CounterPair& c) { return c.model == c.kernel; });
}

Comparison compare(const Run& model, const Run& kernel, Duration tolerance) {
  Comparison out;
  out.packets = align(packets_of(model), model.begin, packets_of(kernel), kernel.begin);
  out.calls = align(calls_of(model), model.begin, calls_of(kernel), kernel.begin);
  out.late = static_cast<std::size_t>(std::count_if(out.packets.begin(), out.packets.end(), [&](const Pair& p) {
    return is_common(p) && std::chrono::abs(p.model_time - p.kernel_time) > tolerance;
  }));
  for (const HostRun& h : model.hosts) {
    const HostRun* other = kernel.host(h.name);
    if (other == nullptr || other->after.empty() || h.after.empty()) continue;
    // Of what only one of them counts (IP, other protocols, newer names) nothing can be said.
    for (const auto& [name, value] : h.after) {
      if (!other->after.contains(name)) continue;
      const std::int64_t a = h.moved(name), b = other->moved(name);
      if (a != 0 || b != 0) out.counters.push_back({h.name, name, a, b});
    }
  }
  return out;
}

std::string text(const Comparison& c, const Run& model, const Run& kernel, Duration tolerance) {
  std::string out = fmt::format("{}: {} (model) beside {} (kernel)\n", model.experiment->name, model.kernel, kernel.kernel);
  out += fmt::format("  -: only the model, +: only the kernel, ~: both, more than {:.0f} ms apart\n\n", seconds(tolerance) * 1e3);
  out += fmt::format("      model      kernel  packets at {}\n", model.tap);
  columns(out, c.packets, tolerance);
  out += "\n      model      kernel  what the applications got\n";
  columns(out, c.calls, Duration::max());  // a call's time is the packet's, and a scheduler's
  out += "\n      model      kernel  counters\n";
  for (const CounterPair& p : c.counters)
    out += fmt::format("{} {:>11} {:>11}  {} {}\n", p.model == p.kernel ? ' ' : '!', p.model, p.kernel, p.host, p.name);
  const auto differ = [](const std::vector<Pair>& pairs) { return pairs.size() - static_cast<std::size_t>(std::count_if(pairs.begin(), pairs.end(), is_common)); };
  const auto counters = std::count_if(c.counters.begin(), c.counters.end(), [](const CounterPair& p) { return p.model != p.kernel; });
  if (c.agrees())
    out += fmt::format("\nThey agree: {} packets, {} calls, {} counters.\n", c.packets.size(), c.calls.size(), c.counters.size());
  else
    out += fmt::format("\nThey differ: {} of {} packets ({} more in time only), {} of {} calls, {} of {} counters.\n", differ(c.packets),
                       c.packets.size(), c.late, differ(c.calls), c.calls.size(), counters, c.counters.size());
  return out;
}

}  // namespace tcpwhy::lab
