// `tcpwhy watch`: kernel events and a look around once a second, until a signal. Without the right to BPF it looks
// around only, and says what that cannot see.
#ifdef TCPWHY_HOST

#include "cli/watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "cli/follower.hpp"
#include "report/kernel.hpp"

namespace tcpwhy::cli {
namespace {

using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

struct Watcher {
  const WatchOptions& options;
  Follower follower;
  std::vector<std::string> shortcomings;
  std::map<diagnose::CauseId, std::uint64_t> causes;
  report::WallClock wall{wall_offset()};
  std::uint64_t said = 0, findings = 0;
  bool broken_pipe = false;

  Watcher(const WatchOptions& o, std::unique_ptr<host::KernelEvents> events)
      : options{o}, follower{std::move(events), o.all ? host::Namespaces::Reach::kAll : host::Namespaces::Reach::kOwn, o.netns} {}

  void write(const diagnose::kernel::Failure& v) {
    const bool finding = v.kind == diagnose::kernel::Failure::Kind::kFinding;
    const std::string text = options.format == Format::kText
                                 ? report::kernel_lines(v, wall)
                                 : report::kernel_object(v, said, wall).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    broken_pipe |= std::fwrite(text.data(), 1, text.size(), stdout) != text.size();
    ++(finding ? findings : said);
    ++causes[v.diagnoses.front().cause];
  }

  void write(std::vector<diagnose::kernel::Failure> verdicts) {
    if (verdicts.empty()) return;
    for (const diagnose::kernel::Failure& v : verdicts) write(v);
    broken_pipe |= std::fflush(stdout) != 0;
  }

  int run() {
    const std::uint64_t began = monotonic_ns();
    while (g_stop == 0 && !broken_pipe) {
      follower.step(100);
      write(follower.due());
      if (options.duration_s > 0 && static_cast<double>(monotonic_ns() - began) * 1e-9 >= options.duration_s) break;
    }
    write(follower.rest());
    return finish();
  }

  int finish() {
    const host::KernelEvents* events = follower.events();
    const host::EventTotals totals = events ? events->totals() : host::EventTotals{};
    for (std::string& loss : follower.losses()) shortcomings.push_back(std::move(loss));
    if (options.format == Format::kText) {
      fmt::print("\n{} connection{} failed, {} finding{}", said, said == 1 ? "" : "s", findings, findings == 1 ? "" : "s");
      if (events) fmt::print("; {} ends of connections opened, {} closed; {} events, {} lost", totals.opened, totals.closed, totals.told, follower.lost());
      fmt::print("\n");
      std::vector<std::pair<diagnose::CauseId, std::uint64_t>> ordered{causes.begin(), causes.end()};
      std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
      for (const auto& [cause, n] : ordered) fmt::print("{:8}  {}\n", n, diagnose::to_string(cause));
      for (const std::string& s : shortcomings) fmt::print("note: {}\n", s);
      if (options.cost && events)
        for (const host::ProgramCost& c : events->costs())
          fmt::print("cost: {:20} {:10} runs, {:6.1f} ns each\n", c.name, c.runs, c.runs != 0 ? static_cast<double>(c.nanoseconds) / static_cast<double>(c.runs) : 0.0);
    } else {
      for (const auto& [cause, n] : causes) {
        Json out{{"type", "cause"}, {"cause", diagnose::to_string(cause)}, {"connections", n}};
        fmt::print("{}\n", out.dump());
      }
      Json out;
      out["type"] = "summary";
      out["failed"] = said;
      out["findings"] = findings;
      out["source"] = events ? "bpf" : "polling";
      out["ends_opened"] = totals.opened;
      out["ends_closed"] = totals.closed;
      out["events"] = totals.told;
      out["events_lost"] = follower.lost();
      out["quality"] = shortcomings;
      if (options.cost && events) {
        out["programs"] = Json::array();
        for (const host::ProgramCost& c : events->costs())
          out["programs"].push_back({{"name", c.name}, {"runs", c.runs}, {"nanoseconds", c.nanoseconds}});
      }
      fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    if (broken_pipe || std::fflush(stdout) != 0) return Exit::kCouldNotWork;
    return said + findings > 0 ? Exit::kSomethingFailed : Exit::kNothingFailed;
  }
};

}  // namespace

int watch(const WatchOptions& options) {
  host::EventOptions how;
  how.cost = options.cost ? host::EventOptions::Cost::kMeasure : host::EventOptions::Cost::kDoNotMeasure;
  // The namespace must be known before the programs are loaded.
  {
    host::Namespaces look{host::Namespaces::Reach::kOwn, host::Namespaces::Stuck::kSkip};
    if (!options.all && options.netns.empty()) how.netns = {look.own()};
    for (const std::string& which : options.netns) {
      auto inode = look.only(which);
      if (!inode) {
        fmt::print(stderr, "tcpwhy: {}\n", inode.error().message);
        return Exit::kCouldNotWork;
      }
      how.netns.push_back(*inode);
    }
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  auto events = host::open_kernel_events(how);
  const std::string refused = events ? std::string{} : events.error().message;
  Watcher watcher{options, events ? std::move(*events) : nullptr};
  if (watcher.follower.events() != nullptr)
    watcher.shortcomings = watcher.follower.events()->shortcomings();
  else
    watcher.shortcomings.push_back(fmt::format(
        "no kernel events: {}. Polling instead: resets, refused connects and short failures are not seen, owners only of sockets still open", refused));
  for (const std::string& s : watcher.shortcomings) fmt::print(stderr, "tcpwhy: {}\n", s);
  fmt::print(stderr, "tcpwhy: watching {}; Ctrl-C ends and sums up\n",
             options.all ? "every network namespace" : options.netns.empty() ? "this network namespace" : "the given network namespaces");
  return watcher.run();
}

}  // namespace tcpwhy::cli

#endif  // TCPWHY_HOST
