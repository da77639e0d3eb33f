// What the person at the keyboard saw: the packets with what the kernel thought of
// them, `ss` at the moments that mattered, `netstat -s` before and after, what the
// application got, and which rules made it so.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "lab/render.hpp"
#include "lab/words.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;

std::string clock(ModelTime begin, ModelTime time) {
  return fmt::format("{:12.6f}", seconds(time - begin));
}

void section(std::string& out, std::string_view title) { out += fmt::format("\n{}\n", title); }

void heading(std::string& out, const Run& run) {
  out += fmt::format("{}: {}\n", run.experiment->name, run.experiment->shows);
  out += fmt::format("  {}; server {}, client {}\n", run.experiment->source, run.kernel, run.client_kernel);
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out += "  " + line + '\n';
    line.clear();
  };
  const auto add = [&](const std::string& item) {
    if (line.size() + item.size() > 96) flush();
    line += (line.empty() ? "" : "  ") + item;
  };
  for (const auto& [name, value] : run.sysctls) add(name + '=' + value);
  flush();
  for (const auto& [name, value] : run.params) add(name + '=' + value);
  flush();
  for (const std::string& what : run.without_effect) out += "  " + what + '\n';
}

void packets(std::string& out, const Run& run, const TextOptions& options) {
  const std::string tap = options.tap.empty() ? run.tap : options.tap;
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < run.packets.size(); ++i)
    if (tap == "all" || run.taps[run.packets[i].tap] == tap) shown.push_back(i);
  section(out, fmt::format("Packets at {} ({})", tap, shown.size()));
  // Rules stand under the packet they answered; those of timers under the one before.
  std::size_t rule = 0;
  for (std::size_t n = 0; n < shown.size(); ++n) {
    const bool hidden = shown.size() > options.most_packets && n >= options.most_packets * 2 / 3 &&
                        n < shown.size() - options.most_packets / 3;
    const std::size_t next = n + 1 < shown.size() ? shown[n + 1] : run.packets.size();
    if (hidden) {
      if (n == options.most_packets * 2 / 3)
        out += fmt::format("             … {} more …\n", shown.size() - options.most_packets / 3 - n);
    } else {
      const world::Seen& seen = run.packets[shown[n]];
      if (tap == "all") out += fmt::format("{} {:>10} {}\n", clock(run.begin, seen.time), run.taps[seen.tap], tcpdump_line(seen.packet));
      else out += fmt::format("{} {}\n", clock(run.begin, seen.time), tcpdump_line(seen.packet));
    }
    std::vector<std::string> because;
    for (; rule < run.rules.size() && run.rules[rule].after <= next; ++rule) {
      const world::Fired& fired = run.rules[rule];
      if (fired.after == next && n + 1 < shown.size() && fired.time > run.packets[shown[n]].time) break;
      if (hidden) continue;
      std::string word = run.host_names[fired.host] == "server" ? std::string{fired.rule}
                                                                 : run.host_names[fired.host] + ": " + std::string{fired.rule};
      if (std::find(because.begin(), because.end(), word) == because.end()) because.push_back(std::move(word));
    }
    std::string joined;
    for (const std::string& word : because) joined += (joined.empty() ? "" : ", ") + word;
    if (!joined.empty()) out += fmt::format("{:>14}{}\n", "| ", joined);
  }
}

void sockets(std::string& out, const Run& run) {
  for (const View& view : run.views) {
    section(out, fmt::format("ss -nta at {}, {:.1f} s: {}", view.host, seconds(view.time - run.begin), view.label));
    out += socket_table(view.rows);
  }
}

void counters(std::string& out, const Run& run) {
  for (const HostRun& h : run.hosts) {
    if (h.after.empty()) continue;
    section(out, fmt::format("netstat -s at {} (before, after)", h.name));
    out += counter_table(h, run.experiment->counters);
  }
}

void application(std::string& out, const Run& run) {
  section(out, "What the applications got");
  constexpr std::size_t kMost = 40;
  for (std::size_t i = 0; i < run.notes.size(); ++i) {
    if (run.notes.size() > kMost && i >= kMost - 10 && i < run.notes.size() - 10) {
      if (i == kMost - 10) out += fmt::format("             … {} more …\n", run.notes.size() - kMost);
      continue;
    }
    const world::Note& note = run.notes[i];
    out += fmt::format("{} {:<8} {}: {}\n", clock(run.begin, note.time), note.host, note.call, result_words(note.call, note.result));
  }
  if (run.notes.empty()) out += "  nothing\n";
}

void rules(std::string& out, const Run& run) {
  if (std::all_of(run.hosts.begin(), run.hosts.end(), [](const HostRun& h) { return h.rules.empty(); })) return;
  section(out, "Rules that fired");
  for (const HostRun& h : run.hosts) out += rule_table(h);
}

}  // namespace

std::string socket_table(const std::vector<world::SocketRow>& rows) {
  if (rows.empty()) return "  (none)\n";
  std::string out = fmt::format("  {:<10} {:>6} {:>6} {:<22} {}\n", "State", "Recv-Q", "Send-Q", "Local", "Peer");
  std::map<std::string, int> states, printed;
  for (const world::SocketRow& row : rows) ++states[row.state];
  constexpr int kMostOfOneState = 8;
  for (const world::SocketRow& row : rows) {
    const int n = ++printed[row.state];
    if (n == kMostOfOneState + 1) out += fmt::format("  {:<10} … {} in this state\n", row.state, states[row.state]);
    if (n > kMostOfOneState) continue;
    out += fmt::format("  {:<10} {:>6} {:>6} {:<22} {}{}\n", row.state, row.recv_q, row.send_q, world::text(row.local),
                       world::text(row.remote), row.timer.empty() ? "" : "  " + row.timer);
  }
  return out;
}

std::string counter_table(const HostRun& h, std::span<const std::string_view> always) {
  std::set<std::string> names{always.begin(), always.end()};
  for (const auto& [name, value] : h.after)
    if (h.moved(name) != 0) names.insert(name);
  std::string out;
  for (const std::string& name : names) {
    const auto b = h.before.find(name), a = h.after.find(name);
    const std::uint64_t was = b == h.before.end() ? 0 : b->second, is = a == h.after.end() ? 0 : a->second;
    const std::string was_is = fmt::format("{} -> {}", was, is);
    const std::string difference = is == was ? std::string{"unchanged"} : fmt::format("+{}", is - was);
    out += fmt::format("  {:<16} {:<10} {:<26} {}\n", was_is, difference, name, netstat_words(name));
  }
  return out;
}

std::string rule_table(const HostRun& h) {
  std::string out;
  for (const auto& [rule, count] : h.rules) out += fmt::format("  {:<8} {:<36} {:>7}\n", h.name, rule, count);
  return out;
}

std::string flag_letters(const world::Packet& p) {
  std::string letters;
  if (p.has(Flag::kSyn)) letters += 'S';
  if (p.has(Flag::kFin)) letters += 'F';
  if (p.has(Flag::kRst)) letters += 'R';
  if (p.has(Flag::kPsh)) letters += 'P';
  if (p.has(Flag::kUrg)) letters += 'U';
  if (p.has(Flag::kEce)) letters += 'E';
  if (p.has(Flag::kCwr)) letters += 'W';
  if (p.has(Flag::kAck)) letters += '.';
  return letters.empty() ? "none" : letters;
}

std::string tcpdump_line(const world::Packet& p) {
  const auto address = [&p](std::uint32_t ip) { return world::ip_text(ip, p.ip_version); };
  const auto place = [&](std::uint32_t ip, std::uint16_t port) { return fmt::format("{}.{}", address(ip), port); };
  const std::string_view ip = p.ip_version == 6 ? "IP6" : "IP";
  if (p.icmp && p.ip_version == 6)
    return fmt::format("IP6 {} > {}: ICMP6 type {}, code {} about {} > {}", address(p.source), address(p.destination), p.icmp->type,
                       p.icmp->code, place(p.icmp->quoted_source, p.source_port), place(p.icmp->quoted_destination, p.destination_port));
  if (p.icmp) {
    constexpr std::string_view kCodes[] = {"net", "host", "protocol", "port", "need to frag", "source route"};
    std::string what = p.icmp->type == 3 && p.icmp->code < std::size(kCodes) ? std::string{kCodes[p.icmp->code]}
                                                                            : fmt::format("code {}", p.icmp->code);
    if (p.icmp->type == 3 && p.icmp->code == 13) what = "admin prohibited";
    return fmt::format("IP {} > {}: ICMP {} unreachable ({}) about {} > {}", world::ip_text(p.source),
                       world::ip_text(p.destination), world::ip_text(p.icmp->quoted_destination), what,
                       place(p.icmp->quoted_source, p.source_port), place(p.icmp->quoted_destination, p.destination_port));
  }
  std::string line = fmt::format("{} {} > {}: Flags [{}]", ip, place(p.source, p.source_port),
                                 place(p.destination, p.destination_port), flag_letters(p));
  if (!p.payload.empty()) line += fmt::format(", seq {}:{}", p.seq.raw(), (p.seq + static_cast<std::uint32_t>(p.payload.size())).raw());
  else if (p.has(Flag::kSyn) || p.has(Flag::kFin) || p.has(Flag::kRst)) line += fmt::format(", seq {}", p.seq.raw());
  if (p.has(Flag::kAck)) line += fmt::format(", ack {}", p.ack.raw());
  line += fmt::format(", win {}", p.window);
  std::string options;
  const auto add = [&](std::string option) { options += (options.empty() ? "" : ",") + std::move(option); };
  if (p.mss) add(fmt::format("mss {}", *p.mss));
  if (p.sack_permitted) add("sackOK");
  if (p.timestamps) add(fmt::format("TS val {} ecr {}", p.timestamps->value, p.timestamps->echo));
  if (p.window_scale) add(fmt::format("wscale {}", *p.window_scale));
  for (const auto& [left, right] : p.sack) add(fmt::format("sack {}:{}", left.raw(), right.raw()));
  if (!options.empty()) line += fmt::format(", options [{}]", options);
  return line + fmt::format(", length {}", p.payload.size());
}

std::string netstat_line(const std::string& counter, std::uint64_t value) {
  const std::string words = netstat_words(counter);
  return words == counter ? fmt::format("{}: {}", counter, value) : fmt::format("{} {}", value, words);
}

std::string text(const Run& run, const TextOptions& options) {
  std::string out;
  heading(out, run);
  packets(out, run, options);
  sockets(out, run);
  counters(out, run);
  application(out, run);
  rules(out, run);
  // The lesson is about the article's kernel; another may have shown something else.
  if (run.kernel == run.experiment->kernel) out += fmt::format("\n{}\n", run.experiment->lesson);
  return out;
}

}  // namespace tcpwhy::lab
