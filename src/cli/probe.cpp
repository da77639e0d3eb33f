// `tcpwhy probe HOST:PORT`: asks, judges, tells.

#ifdef TCPWHY_HOST

#include "probe/probe.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <map>

#include "cli/arguments.hpp"
#include "cli/options.hpp"
#include "diagnose/probe/judge.hpp"
#include "report/probe.hpp"

namespace tcpwhy::cli {
namespace {

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

int fail(const std::string& message) {
  fmt::print(stderr, "tcpwhy: {}\n", message);
  return Exit::kCouldNotWork;
}

/// "example.com:443", "192.0.2.1:80", "[2001:db8::7]:443".
bool parse_target(std::string_view text, probe::Options& out) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos) return false;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) return false;
  out.host = host;
  return true;
}

report::TextOptions text_options() {
  report::TextOptions t;
  const char* no_colour = std::getenv("NO_COLOR");
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  t.colour = terminal && (no_colour == nullptr || *no_colour == '\0') ? report::Colour::kOn : report::Colour::kOff;
  winsize size{};
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) t.columns = std::min<std::uint32_t>(size.ws_col, 120);
  return t;
}

}  // namespace

int probe_command(const std::vector<std::string>& arguments) {
  probe::Options o;
  std::string target;
  Format format = Format::kText;
  bool four = false, six = false, no_raw = false, half_open = false;
  CLI::App app{"Asks whether HOST:PORT can be connected to, and if not, who says no, and where on the path.\n"
               "Every address of the name is asked. At most 20 questions a second and --max-packets packets leave this host;\n"
               "connections are closed at once and carry no data. Root adds what only raw packets tell.",
               "tcpwhy probe"};
  app.get_formatter()->column_width(30);
  app.add_option("HOST:PORT", target, "for example example.com:443, 192.0.2.1:80, [2001:db8::7]:443")->type_name("")->required();
  auto* four_flag = app.add_flag("-4", four, "only IPv4 addresses");
  app.add_flag("-6", six, "only IPv6 addresses")->excludes(four_flag);
  app.add_option("--max-packets", o.max_packets, "send no more than this (default 300)")->type_name("N")->check(CLI::Range(4u, 100000u));
  app.add_option("--timeout", o.timeout_s, "seconds to wait for one connect (default 4)")->type_name("SECONDS")->check(CLI::Range(0.2, 130.0));
  app.add_option("--connects", o.connects, "from so many local ports (default 6)")->type_name("N")->check(CLI::Range(1u, 100u));
  app.add_option("--other-ports", o.other_ports, "ports to compare with (default 443,80,22,1)")->type_name("P,P…")->delimiter(',');
  app.add_option("--max-hops", o.max_hops, "how far to follow the path (default 20)")->type_name("N")->check(CLI::Range(1, 64));
  app.add_option("--idle", o.idle_s, "find the idle timer of the path, within so many seconds")->type_name("SECONDS")->check(CLI::Range(14.0, 86400.0));
  app.add_flag("--half-open", half_open, "ask what a client meets that lost its side of a connection (root)");
  app.add_flag("--no-raw", no_raw, "sockets only, as without root");
  app.add_option("--format", format, "text (default) or jsonl")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}}));
  app.footer("Exit status: 0 every address is well, 1 one is not, 2 the command could not do its work.");
  if (const auto ended = parse(app, arguments)) return *ended;
  if (!parse_target(target, o)) return fail(fmt::format("'{}' is no HOST:PORT with a port of 1 to 65535; an IPv6 address stands in brackets: [2001:db8::7]:443", target));
  o.family = four ? probe::Family::kIpv4 : six ? probe::Family::kIpv6 : probe::Family::kAny;
  o.raw = no_raw ? probe::RawUse::kNever : probe::RawUse::kIfAllowed;
  o.half_open = half_open ? facts::HalfOpenTest::Wanted::kYes : facts::HalfOpenTest::Wanted::kNo;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  o.stop = &g_stop;

  const bool show = isatty(STDERR_FILENO) == 1;
  if (show) o.progress = [](std::string_view what) { fmt::print(stderr, "\r\x1b[K{} …", what); };
  const auto found = probe::ask(o);
  if (show) fmt::print(stderr, "\r\x1b[K");
  if (!found) return fail(found.error().message);
  std::vector<diagnose::probe::ProbeAnswer> answers;
  for (const facts::ProbeAddress& a : found->addresses) answers.push_back(diagnose::probe::judge(a));
  if (answers.empty()) return fail(fmt::format("{} has no address of the family asked for", o.host));
  if (format == Format::kText) report::write_probe_text(stdout, *found, answers, text_options());
  else report::write_probe_jsonl(stdout, *found, answers);
  if (std::fflush(stdout) != 0) return Exit::kCouldNotWork;
  return std::all_of(answers.begin(), answers.end(), [](const auto& a) { return a.healthy; }) ? Exit::kNothingFailed : Exit::kSomethingFailed;
}

}  // namespace tcpwhy::cli

#endif  // TCPWHY_HOST
