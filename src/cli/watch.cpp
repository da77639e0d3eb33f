// `tcpwhy watch`: kernel events and a look around once a second, until a signal. Without the right to BPF it looks
// around only, and says what that cannot see.

#include "cli/watch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <map>

#include "diagnose/kernel/judge.hpp"
#include "host/bpf/events.hpp"
#include "host/namespaces.hpp"
#include "host/proc.hpp"
#include "report/kernel.hpp"

namespace tcpwhy::cli {
namespace {

using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}
std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

diagnose::kernel::Owner owner(const facts::Process* p) {
  return p == nullptr ? diagnose::kernel::Owner{} : diagnose::kernel::Owner{static_cast<std::uint32_t>(p->pid), p->comm, 0};
}
/// Owners found by walking /proc, which is expensive: at most twice a second.
class Owners {
 public:
  diagnose::kernel::Owner of(std::uint64_t inode) {
    facts::Socket socket;
    socket.inode = static_cast<std::uint32_t>(inode);
    const facts::Process* found = all_.process(socket);
    if (found == nullptr && monotonic_ns() - walked_ns_ > 500'000'000u) {
      all_ = {};
      host::read_owners(all_, host::Owners::kYes);
      walked_ns_ = monotonic_ns();
      found = all_.process(socket);
    }
    return owner(found);
  }

 private:
  facts::HostSnapshot all_;
  std::uint64_t walked_ns_ = 0;
};

struct Watcher {
  const WatchOptions& options;
  host::Namespaces namespaces;
  facts::ReasonNames no_names;
  std::unique_ptr<host::KernelEvents> events;
  Owners owners;
  std::vector<std::string> shortcomings;
  std::map<diagnose::CauseId, std::uint64_t> causes;
  report::WallClock wall{Duration{static_cast<std::int64_t>(clock_ns(CLOCK_REALTIME) - monotonic_ns())}};
  std::uint64_t said = 0, findings = 0;
  bool broken_pipe = false;

  explicit Watcher(const WatchOptions& o, bool polling)
      : options{o},
        namespaces{o.all ? host::Namespaces::Reach::kAll : host::Namespaces::Reach::kOwn,
                   polling ? host::Namespaces::Stuck::kRead : host::Namespaces::Stuck::kSkip} {}

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

  /// What sock_diag shows of sockets whose retransmission timer runs; for hosts without events.
  void say_stuck(const facts::NamespaceSample& s, std::uint64_t now) {
    for (const facts::Socket& k : s.stuck) {
      tw_event e{};
      e.kind = TW_RETRANSMIT;
      e.time_ns = now;
      e.netns = s.netns;
      e.family = k.local.address.version;
      std::copy_n(k.local.address.bytes.begin(), 16, e.local);
      std::copy_n(k.remote.address.bytes.begin(), 16, e.remote);
      e.local_port = k.local.port;
      e.remote_port = k.remote.port;
      e.state = static_cast<std::uint8_t>(k.state);
      e.tries = k.retries;
      e.inode = k.inode;
      e.flags = TW_HAS_SOCKET;
      judge->observe(e);
    }
  }

  std::unique_ptr<diagnose::kernel::Judge> judge;

  int run() {
    judge = std::make_unique<diagnose::kernel::Judge>(
        events ? events->names() : no_names,
        [this](std::uint32_t netns, const facts::Address& a) { return namespaces.is_local(netns, a); },
        [this](std::uint64_t inode) { return owners.of(inode); });
    look_around();
    const std::uint64_t began = monotonic_ns();
    std::uint64_t looked = began;
    while (g_stop == 0 && !broken_pipe) {
      if (events)
        (void)events->poll(100, [this](const tw_event& e) { judge->observe(e); });
      else
        usleep(100'000);
      namespaces.icmp_errors(monotonic_ns(), [this](const tw_event& e) { judge->observe(e); });
      const std::uint64_t now = monotonic_ns();
      if (now - looked >= 1'000'000'000u) {
        looked = now;
        look_around();
      }
      write(judge->due(monotonic_ns()));
      if (options.duration_s > 0 && static_cast<double>(now - began) * 1e-9 >= options.duration_s) break;
    }
    if (events) (void)events->poll(0, [this](const tw_event& e) { judge->observe(e); });
    look_around();
    write(judge->rest(monotonic_ns()));
    return finish();
  }

  bool first_look = true;
  void look_around() {
    const auto samples = namespaces.sample();
    const std::uint64_t now = monotonic_ns();
    if (first_look)
      for (const auto& s : samples)
        for (const auto& l : s.listeners)
          if (const auto known = owners.of(l.inode); known.pid != 0) judge->know_listener(s.netns, l.at.port, known);
    first_look = false;
    for (const auto& s : samples) {
      judge->observe(s, now);
      if (!events) say_stuck(s, now);
    }
  }

  int finish() {
    const host::EventTotals totals = events ? events->totals() : host::EventTotals{};
    if (totals.lost > 0)
      shortcomings.push_back(fmt::format("{} events were lost: what is missing above may have happened", totals.lost));
    if (options.format == Format::kText) {
      fmt::print("\n{} connection{} failed, {} finding{}", said, said == 1 ? "" : "s", findings, findings == 1 ? "" : "s");
      if (events) fmt::print("; {} ends of connections opened, {} closed; {} events, {} lost", totals.opened, totals.closed, totals.told, totals.lost);
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
      out["events_lost"] = totals.lost;
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
  std::vector<std::uint32_t> chosen;
  {
    host::Namespaces look{host::Namespaces::Reach::kOwn, host::Namespaces::Stuck::kSkip};
    how.netns = options.all || options.netns.size() > 1 ? 0 : look.own();
    for (const std::string& which : options.netns) {
      auto inode = look.only(which);
      if (!inode) {
        fmt::print(stderr, "tcpwhy: {}\n", inode.error().message);
        return Exit::kCouldNotWork;
      }
      chosen.push_back(*inode);
      if (options.netns.size() == 1) how.netns = *inode;
    }
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  auto events = host::open_kernel_events(how);
  Watcher watcher{options, !events};
  for (const std::string& which : options.netns) (void)watcher.namespaces.only(which);
  if (events) {
    watcher.events = std::move(*events);
    watcher.shortcomings = watcher.events->shortcomings();
  } else {
    watcher.shortcomings.push_back(fmt::format(
        "no kernel events: {}. Polling instead: resets, refused connects and short failures are not seen, owners only of sockets still open",
        events.error().message));
  }
  for (const std::string& s : watcher.shortcomings) fmt::print(stderr, "tcpwhy: {}\n", s);
  fmt::print(stderr, "tcpwhy: watching {}; Ctrl-C ends and sums up\n",
             options.all ? "every network namespace" : options.netns.empty() ? "this network namespace" : "the given network namespaces");
  return watcher.run();
}

}  // namespace tcpwhy::cli
