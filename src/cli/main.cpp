// Argument parsing. Each command is a door to the same rooms; `tcpwhy FILE` is
// short for `tcpwhy explain FILE`.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/options.hpp"
#ifdef TCPWHY_HOST
#include "cli/watch.hpp"
#endif

#ifndef TCPWHY_VERSION
#define TCPWHY_VERSION "unknown"
#endif

namespace tcpwhy::cli {
namespace {

int run_explain(const std::vector<std::string>& arguments) {
  ExplainOptions o;
  CLI::App app{"tcpwhy explains why TCP connections failed, were reset or stalled, from packet captures.\n\n"
               "  tcpwhy FILE...             explain captures (pcap, pcapng; gzip, zstd, lz4, xz; - is stdin)\n"
               "  tcpwhy -i IFACE            the same, live, until Ctrl-C\n"
#ifdef TCPWHY_HOST
               "  tcpwhy host                what is wrong on this machine now\n"
               "  tcpwhy watch               failures as the kernel makes them, live (tcpwhy watch --help)\n"
               "  tcpwhy probe HOST:PORT     can I connect, and if not, who says no, and where on the path\n"
#endif
               "  tcpwhy lab                 experiments and packetdrill scripts on a model of Linux TCP\n"
               "  tcpwhy why WORD            what a cause, state, errno, counter or sysctl means",
               "tcpwhy"};
  app.set_version_flag("--version", "tcpwhy " TCPWHY_VERSION);
  app.get_formatter()->column_width(34);
  app.add_option("FILE", o.files, "captures to explain")->type_name("");
  app.add_option("-i,--interface", o.interface, "capture live from this interface")->type_name("IFACE");
#ifdef TCPWHY_HOST
  app.add_flag("--with-kernel", o.with_kernel, "live: also what this kernel says of each connection (eBPF, root)");
  app.add_option("--host", o.host, "a snapshot of one end (tcpwhy host --save FILE): its counters, settings and queues as evidence")
      ->type_name("FILE");
#endif
  app.add_option("-f,--filter", o.filter, "only packets this libpcap filter matches")->type_name("EXPR");
  app.add_option("--from", o.from, "files: begin here, seconds after the first frame, @epoch, or RFC 3339")->type_name("TIME");
  app.add_option("--to", o.to, "end here, in the same forms")->type_name("TIME");
  app.add_option("-c,--connection", o.connection, "show one connection whole: its number, or A:PORT-B:PORT")
      ->type_name("WHICH");
  app.add_option("--format", o.format, "text (default), jsonl or json")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}, {"json", Format::kJson}}));
  app.add_option("--only", o.only, "failed (default) or all connections")
      ->type_name("WHICH")
      ->transform(choice<report::Only>({{"failed", report::Only::kFailed}, {"all", report::Only::kAll}}));
  bool ring = false, vantages = false;
  auto* ring_flag = app.add_flag("--ring", ring, "the files are one capture in pieces (tcpdump -W)");
  app.add_flag("--vantages", vantages, "the files were taken at several places")->excludes(ring_flag);
  app.add_option("--threads", o.threads, "trackers in parallel (default: one per core, at most 4)")
      ->type_name("N")->check(CLI::Range(1u, 64u));
  app.add_option("--max-connections", o.max_connections, "open connections kept in memory (default 20000000)")
      ->type_name("N")->check(CLI::PositiveNumber);
  app.add_flag("--verify-checksums", o.verify_checksums, "verify every TCP checksum, not only suspicious ones");
  app.footer("Exit status: 0 nothing failed, 1 a connection has a fault, 2 the command could not do its work.");
  if (const auto ended = parse(app, arguments)) return *ended;
  if (ring) o.relation = Files::kRing;
  if (vantages) o.relation = Files::kVantages;
  if (o.files.empty() && o.interface.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return Exit::kCouldNotWork;
  }
  if (!o.files.empty() && !o.interface.empty()) {
    std::fputs("tcpwhy: give either files or --interface, not both\n", stderr);
    return Exit::kCouldNotWork;
  }
  if (!o.interface.empty() && !(o.from.empty() && o.to.empty())) {
    std::fputs("tcpwhy: --from and --to choose from files; a live capture begins now and ends with Ctrl-C\n", stderr);
    return Exit::kCouldNotWork;
  }
  if (o.with_kernel && o.interface.empty()) {
    std::fputs("tcpwhy: --with-kernel needs a live capture (-i IFACE): the kernel does not remember\n", stderr);
    return Exit::kCouldNotWork;
  }
  if (!o.host.empty() && o.files.empty()) {
    std::fputs("tcpwhy: --host joins a snapshot to capture files; live, --with-kernel asks this host itself\n", stderr);
    return Exit::kCouldNotWork;
  }
  return explain(o);
}

int run_why(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  CLI::App app{"Explains a cause, TCP state, errno, counter, sysctl, flag or tool. Without WORD: lists what there is.",
               "tcpwhy why"};
  app.add_option("WORD", words, "for example accept-queue-overflow, CLOSE_WAIT, ECONNRESET, ListenDrops")->type_name("");
  // `tcpwhy why sar -n SOCK`: what follows a word belongs to it, dashes and all.
  if (!arguments.empty() && !arguments.front().starts_with('-')) return why(arguments);
  if (const auto ended = parse(app, arguments)) return *ended;
  return why(words);
}

#ifdef TCPWHY_HOST
int run_watch(const std::vector<std::string>& arguments) {
  WatchOptions o;
  CLI::App app{"Follows failing TCP connections as the kernel makes them fail: one verdict each, with its process.\n"
               "Kernel events need root (or CAP_BPF, CAP_PERFMON); without, it polls and says what it cannot see.",
               "tcpwhy watch"};
  app.get_formatter()->column_width(34);
  auto* netns = app.add_option("--netns", o.netns, "this network namespace: a name of ip-netns, a path, or a process id")->type_name("WHICH");
  app.add_flag("--all-netns,--all", o.all, "every network namespace of this machine")->excludes(netns);
  app.add_option("--duration", o.duration_s, "end after so many seconds (default: at Ctrl-C)")->type_name("S")->check(CLI::NonNegativeNumber);
  app.add_option("--format", o.format, "text (default) or jsonl")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}}));
  app.add_flag("--cost", o.cost, "measure what the kernel programs cost and print it at the end");
  app.footer("Exit status: 0 nothing failed, 1 a connection has failed, 2 the command could not do its work.");
  if (const auto ended = parse(app, arguments)) return *ended;
  return watch(o);
}
#else
int say_not_built(const std::string& command) {
  std::fprintf(stderr, "tcpwhy: this build has no `%s`: host, watch and probe ask the kernel of the machine, and it was configured with -DTCPWHY_HOST=OFF.\n"
                       "On Linux configure without that (cmake -DTCPWHY_HOST=ON) and build again; a file of this name is explained by `tcpwhy explain %s`.\n",
               command.c_str(), command.c_str());
  return Exit::kCouldNotWork;
}
#endif

}  // namespace
}  // namespace tcpwhy::cli

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string command = arguments.empty() ? "" : arguments.front();
#ifdef TCPWHY_HOST
  if (command == "host") return tcpwhy::cli::host_command({arguments.begin() + 1, arguments.end()});
  if (command == "probe") return tcpwhy::cli::probe_command({arguments.begin() + 1, arguments.end()});
  if (command == "watch") return tcpwhy::cli::run_watch({arguments.begin() + 1, arguments.end()});
#else
  if (command == "host" || command == "probe" || command == "watch") return tcpwhy::cli::say_not_built(command);
#endif
  if (command == "lab") return tcpwhy::cli::lab_command({arguments.begin() + 1, arguments.end()});
  if (command == "explain" || command == "why") arguments.erase(arguments.begin());
  return command == "why" ? tcpwhy::cli::run_why(arguments) : tcpwhy::cli::run_explain(arguments);
}
