// `tcpwhy host`: what is wrong on this machine now.
#ifdef TCPWHY_HOST

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cli/arguments.hpp"
#include "cli/options.hpp"
#include "host/read.hpp"
#include "report/host.hpp"
#include "tcpwhy/host_findings.hpp"

namespace tcpwhy::cli {
namespace {

struct HostCommand {
  host::ReadOptions read;
  diagnose::HostOptions judge;
  Format format = Format::kText;
  std::string save, snapshot;
  double interval = 0;
  std::uint64_t times = 0;
  bool no_processes = false;
};

volatile bool g_stop = false;
void on_signal(int) { g_stop = true; }

int fail(const Error& error) {
  fmt::print(stderr, "tcpwhy: {}\n", error.message);
  return Exit::kCouldNotWork;
}

report::TextOptions text_options() {
  report::TextOptions t;
  const char* no_colour = std::getenv("NO_COLOR");
  if (isatty(STDOUT_FILENO) && (no_colour == nullptr || *no_colour == '\0')) t.colour = report::Colour::kOn;
  winsize size{};
  if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
    t.columns = std::min<std::uint32_t>(size.ws_col, 120);
  return t;
}

int save(const facts::HostSnapshot& snapshot, const std::string& path) {
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "we");
  if (file == nullptr) return fail({"host.save", fmt::format("{} cannot be written: {}", path, std::strerror(errno))});
  host::save(snapshot, file);
  const bool bad = std::ferror(file) != 0;
  if ((file == stdout ? std::fflush(file) : std::fclose(file)) != 0 || bad)
    return fail({"host.save", fmt::format("{} could not be written whole: is the disk full?", path)});
  return Exit::kNothingFailed;
}

/// Writes what was found; is it a fault?
bool tell(const HostCommand& c, const facts::HostSnapshot& snapshot) {
  const auto findings = diagnose::find_on_host(snapshot, c.judge);
  switch (c.format) {
    case Format::kText: report::write_host_text(stdout, snapshot, findings, text_options()); break;
    case Format::kJsonl: report::write_host_jsonl(stdout, snapshot, findings); break;
    case Format::kJson: report::write_host_json(stdout, snapshot, findings); break;
  }
  std::fflush(stdout);
  for (const std::string& q : snapshot.quality)
    if (c.format != Format::kText) fmt::print(stderr, "tcpwhy: {}\n", q);
  return std::any_of(findings.begin(), findings.end(), [](const auto& f) { return f.verdict <= diagnose::Verdict::kLikely; });
}

int once(const HostCommand& c) {
  auto snapshot = c.snapshot.empty() ? host::snapshot(c.read) : host::load(c.snapshot);
  if (!snapshot) return fail(snapshot.error());
  if (!c.save.empty()) {
    if (const int status = save(*snapshot, c.save); status != Exit::kNothingFailed) return status;
    if (c.save == "-") return Exit::kNothingFailed;
  }
  return tell(c, *snapshot) ? Exit::kSomethingFailed : Exit::kNothingFailed;
}

/// A reading every interval, each judged against the one before.
int again_and_again(HostCommand c) {
  bool fault = false;
  c.read.wait_seconds = c.interval;
  for (std::uint64_t n = 0; !g_stop && (c.times == 0 || n < c.times); ++n) {
    auto snapshot = host::snapshot(c.read);
    if (!snapshot) return fail(snapshot.error());
    if (g_stop) break;
    if (c.format == Format::kText && n > 0) std::fputs("\n----\n", stdout);
    if (!c.save.empty())
      if (const int status = save(*snapshot, c.save); status != Exit::kNothingFailed) return status;
    fault |= tell(c, *snapshot);
  }
  return fault ? Exit::kSomethingFailed : Exit::kNothingFailed;
}

}  // namespace

int host_command(const std::vector<std::string>& arguments) {
  HostCommand c;
  CLI::App app{"Says what is wrong with TCP on this host now: sockets, queues, counters and settings, with their owners.",
               "tcpwhy host"};
  app.get_formatter()->column_width(30);
  app.add_option("FILE", c.snapshot, "judge a snapshot that --save wrote, instead of this host")->type_name("");
  app.add_option("--netns", c.read.where.namespaces, "look in these network namespaces")->type_name("NAME|PATH");
  app.add_option("--pid", c.read.where.pids, "look in the network namespace of these processes")->type_name("PID");
  app.add_flag("--all-netns", c.read.where.all_namespaces, "look in every network namespace");
  auto* interval = app.add_option("--interval", c.interval, "repeat every so many seconds, with the rises in between")
                       ->type_name("SECONDS")->check(CLI::Range(0.1, 86400.0));
  app.add_option("--times", c.times, "so many times (default: until Ctrl-C)")->type_name("N")->needs(interval);
  app.add_option("--wait", c.read.wait_seconds, "seconds between the two readings of counters and queues (default 1; 0: one reading)")
      ->type_name("SECONDS")->check(CLI::Range(0.0, 3600.0));
  app.add_option("--patience", c.judge.patience_s, "seconds of silence after which a socket is stuck (default 60)")
      ->type_name("SECONDS")->check(CLI::Range(0.1, 1e6));
  app.add_option("--format", c.format, "text (default), jsonl or json")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}, {"json", Format::kJson}}));
  app.add_option("--save", c.save, "write the snapshot as well, for FILE here or `tcpwhy CAPTURE --host FILE`")->type_name("FILE");
  app.add_option("--max-sockets", c.read.max_sockets, "sockets kept in memory; more are only counted (default 2000000)")
      ->type_name("N")->check(CLI::PositiveNumber);
  auto* none = app.add_flag("--no-processes", c.no_processes, "do not look for the owners of sockets");
  app.add_option("--owners", c.read.owners, "how to find the owners of sockets: auto (BPF, or /proc without the right to), proc, none")
      ->type_name("HOW")
      ->excludes(none)
      ->transform(choice<host::Owners>({
          {"auto", host::Owners::kYes}, {"proc", host::Owners::kProc}, {"none", host::Owners::kNo}}));
  app.footer("Exit status: 0 nothing wrong, 1 a finding is likely or proven, 2 the command could not do its work.");
  if (const auto ended = parse(app, arguments)) return *ended;
  if (c.no_processes) c.read.owners = host::Owners::kNo;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  c.read.stop = &g_stop;
  return c.interval > 0 ? again_and_again(std::move(c)) : once(c);
}

}  // namespace tcpwhy::cli

#endif  // TCPWHY_HOST
