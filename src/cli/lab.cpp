// `tcpwhy lab`: the articles' experiments, by name.

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "cli/arguments.hpp"
#include "cli/lab_script.hpp"
#include "cli/lab_serve.hpp"
#include "cli/options.hpp"
#include "lab/compare.hpp"
#include "lab/fuzz.hpp"
#include "lab/kernel_host.hpp"
#include "lab/render.hpp"
#include "lab/run.hpp"
#include "lab/sweep.hpp"

namespace tcpwhy::cli {
namespace {

constexpr std::string_view kRunning = "running";

int say(const Error& error) {
  std::fprintf(stderr, "tcpwhy: %s\n", error.message.c_str());
  return Exit::kCouldNotWork;
}

int list() {
  for (const lab::Experiment& e : lab::experiments())
    std::printf("%-40s %s\n", std::string{e.name}.c_str(), std::string{e.shows}.c_str());
  return Exit::kNothingFailed;
}

/// "a=b" or "client:a=b" split at the first equals sign.
bool take_pairs(const std::vector<std::string>& given, std::vector<std::pair<std::string, std::string>>& into,
                const char* option) {
  for (const std::string& pair : given) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      std::fprintf(stderr, "tcpwhy: %s wants NAME=VALUE, not \"%s\"\n", option, pair.c_str());
      return false;
    }
    into.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return true;
}

struct RunOptions {
  std::string name, pcap, tap, sweep;
  std::vector<std::string> kernels, sysctls, params;
  Format format = Format::kText;
  std::uint64_t seed = 1;
  double tolerance_ms = 20;  ///< of compare
};

/// The model of the kernel at hand, beside that kernel.
int compare(const RunOptions& o) {
  const lab::Experiment* experiment = lab::find_experiment(o.name);
  if (experiment == nullptr)
    return say({"lab.name", "there is no experiment " + o.name + "; tcpwhy lab list names them"});
  lab::Options options;
  options.seed = o.seed;
  if (!take_pairs(o.sysctls, options.sysctls, "--set") || !take_pairs(o.params, options.params, "--param"))
    return Exit::kCouldNotWork;
  const auto real = lab::run_on_kernel(*experiment, options);
  if (!real) return say(real.error());
  lab::Options as_model = options;
  as_model.kernel = as_model.client_kernel = o.kernels.empty() ? "6.18" : o.kernels.front();
  as_model.machine = real->machine;
  const auto model = lab::run_on_model(*experiment, as_model);
  if (!model) return say(model.error());
  lab::Leeway leeway;
  leeway.tick = lab::kernel_tick();
  leeway.busy = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>{o.tolerance_ms});
  const lab::Comparison comparison = lab::compare(*model, *real, leeway);
  const std::string out = o.format == Format::kJsonl ? lab::jsonl(comparison, *model, *real)
                                                     : lab::text(comparison, *model, *real, leeway);
  std::fputs(out.c_str(), stdout);
  return comparison.agrees() ? Exit::kNothingFailed : Exit::kSomethingFailed;
}

/// One experiment over a range of values.
int sweep(const lab::Experiment& experiment, const lab::Options& options, const RunOptions& o, bool on_running) {
  const auto range = lab::parse_range(o.sweep);
  if (!range) return say(range.error());
  const auto result = lab::sweep(experiment, options, *range, [&](const lab::Options& each) {
    return on_running ? lab::run_on_kernel(experiment, each) : lab::run_on_model(experiment, each);
  });
  if (!result) return say(result.error());
  std::fputs((o.format == Format::kText ? lab::text(*result) : lab::jsonl(*result)).c_str(), stdout);
  return Exit::kNothingFailed;
}

int run(const RunOptions& o) {
  const lab::Experiment* experiment = lab::find_experiment(o.name);
  if (experiment == nullptr)
    return say({"lab.name", "there is no experiment " + o.name + "; tcpwhy lab list names them"});
  lab::Options options;
  options.seed = o.seed;
  bool on_running = false;
  for (const std::string& kernel : o.kernels) {
    const bool client = kernel.starts_with("client:");
    const std::string name = client ? kernel.substr(7) : kernel;
    (client ? options.client_kernel : options.kernel) = name;
    on_running |= name == kRunning;
  }
  if (!take_pairs(o.sysctls, options.sysctls, "--set") || !take_pairs(o.params, options.params, "--param"))
    return Exit::kCouldNotWork;
  if (!o.sweep.empty()) return sweep(*experiment, options, o, on_running);
  const auto result = on_running ? lab::run_on_kernel(*experiment, options) : lab::run_on_model(*experiment, options);
  if (!result) return say(result.error());
  if (!o.pcap.empty())
    if (const auto saved = lab::save_pcap(*result, o.pcap); !saved) return say(saved.error());
  const std::string out =
      o.format == Format::kJson ? lab::json(*result, o.tap) + '\n' : lab::text(*result, {.tap = o.tap});
  std::fputs(out.c_str(), o.pcap == "-" ? stderr : stdout);
  return Exit::kNothingFailed;
}

struct FuzzRequest {
  lab::FuzzOptions options;
  std::string out;
};

bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file{path, std::ios::binary};
  file << text;
  return file.good();
}

int fuzz(FuzzRequest& request) {
  if (std::error_code failed; !request.out.empty() && (std::filesystem::create_directories(request.out, failed), failed))
    return say({"lab.out", fmt::format("cannot make the directory {}: {}", request.out, failed.message())});
  bool written = true;
  const auto found = [&](const lab::Find& find) {
    std::printf("seed %llu: %s\n\n%s\n", static_cast<unsigned long long>(find.trial.seed), find.signature.c_str(), find.text.c_str());
    std::fflush(stdout);
    if (request.out.empty()) return;
    const std::filesystem::path base = std::filesystem::path{request.out} / ("seed-" + std::to_string(find.trial.seed));
    written &= write_file(base.string() + ".txt", find.signature + "\n\n" + find.text);
    if (find.script) written &= write_file(base.string() + ".pkt", *find.script);
  };
  const auto tally = lab::fuzz(request.options, found);
  if (!tally) return say(tally.error());
  for (const auto& [kind, count] : tally->by_signature) std::printf("%6llu %s\n", static_cast<unsigned long long>(count), kind.c_str());
  fmt::print("{} trials, {} differ in {} ways, {} did not come back, {} by the lateness of a real host\n", tally->trials,
             tally->differ, tally->by_signature.size(), tally->unsteady.size(), tally->by_lateness);
  if (!tally->unsteady.empty()) fmt::print("seeds that did not come back: {}\n", fmt::join(tally->unsteady, " "));
  if (!written) return say({"lab.out", "cannot write all finds into " + request.out + ": is the disk full, or are you not allowed to?"});
  return tally->differ == 0 ? Exit::kNothingFailed : Exit::kSomethingFailed;
}

CLI::App* add_fuzz(CLI::App& app, FuzzRequest& f) {
  CLI::App* sub = app.add_subcommand("fuzz", "short trials by chance on the model and on the kernel at hand (root)");
  sub->add_option("--seconds", f.options.seconds, "how long (default 60)")->type_name("S")->check(CLI::PositiveNumber.description(""));
  sub->add_option("--trials", f.options.trials, "so many instead")->type_name("N");
  sub->add_option("--seed", f.options.first_seed, "the first trial's; the next has the next (default 1)")->type_name("N");
  sub->add_flag_function("--fast-open", [&f](std::int64_t) { f.options.fast_open = lab::FastOpenTrials::kOnly; },
                         "openings carry data (Fast Open without cookies)");
  sub->add_flag_function("--ipv6", [&f](std::int64_t) { f.options.ip_version = 6; }, "over IPv6");
  sub->add_option("--jobs", f.options.at_once, "trials at once (default 32)")->type_name("N")->check(CLI::Range(1, 256).description(""));
  sub->add_option("--kernel", f.options.kernel, "the model's kernel (default 6.18)")->type_name("K");
  sub->add_option("--out", f.out, "a directory for each find, and its packetdrill script")->type_name("DIR");
  sub->footer("Exit status: 0 no difference, 1 some, 2 the command could not do its work.");
  return sub;
}

CLI::App* add_run(CLI::App& app, RunOptions& o) {
  CLI::App* sub = app.add_subcommand("run", "runs one");
  sub->add_option("NAME", o.name, "which; tcpwhy lab list names them")->required()->type_name("");
  sub->add_option("--kernel", o.kernels,
                  "the server's kernel, client:K the client's; \"running\": the kernel at hand, in namespaces (root)")
      ->type_name("K");
  sub->add_option("--set", o.sysctls, "a sysctl of the server, client:NAME=VALUE of the client")
      ->type_name("NAME=VALUE");
  sub->add_option("--param", o.params, "a parameter of the experiment")->type_name("NAME=VALUE");
  sub->add_option("--sweep", o.sweep,
                  "once per value: A..B, A..B:STEP or A,B,C of a parameter, a sysctl, or kernel; a table")
      ->type_name("NAME=A..B");
  sub->add_option("--pcap", o.pcap, "the packets at every tap, as pcapng")->type_name("FILE");
  sub->add_option("--tap", o.tap, "whose packets to show: a host's name, or all")->type_name("NAME");
  sub->add_option("--seed", o.seed, "of everything that is chance")->type_name("N");
  sub->add_option("--format", o.format, "text (default), json, or jsonl of a sweep")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"json", Format::kJson}, {"jsonl", Format::kJsonl}}));
  return sub;
}

CLI::App* add_compare(CLI::App& app, RunOptions& o) {
  CLI::App* sub = app.add_subcommand("compare", "runs one on the model and on the kernel at hand (root), side by side");
  sub->add_option("NAME", o.name, "which; tcpwhy lab list names them")->required()->type_name("");
  sub->add_option("--kernel", o.kernels, "the model's kernel (default 6.18)")->type_name("K");
  sub->add_option("--set", o.sysctls, "a sysctl of the server, client:NAME=VALUE of the client")
      ->type_name("NAME=VALUE");
  sub->add_option("--param", o.params, "a parameter of the experiment")->type_name("NAME=VALUE");
  sub->add_option("--tolerance", o.tolerance_ms, "what a busy machine may add to any time (default 20)")
      ->type_name("MS")
      ->check(CLI::NonNegativeNumber.description(""));
  sub->add_option("--seed", o.seed, "of everything that is chance")->type_name("N");
  sub->add_option("--format", o.format, "text (default) or jsonl")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}}));
  sub->footer("Exit status: 0 they agree, 1 they differ, 2 the command could not do its work.");
  return sub;
}

/// `lab script` as given, before its pairs are taken apart.
struct GivenScript {
  ScriptOptions script;
  std::vector<std::string> settings, definitions;
};

CLI::App* add_script(CLI::App& app, GivenScript& given) {
  CLI::App* sub = app.add_subcommand("script", "runs packetdrill scripts against the model");
  sub->add_option("FILE", given.script.files, "a script, or a directory of *.pkt")->required()->type_name("");
  sub->add_option("--kernel", given.script.kernel, "the kernel's profile")->type_name("K");
  sub->add_option("--set", given.settings, "a sysctl before the script's own commands")->type_name("NAME=VALUE");
  sub->add_option("-D,--define", given.definitions, "a name the script uses")->type_name("NAME=VALUE");
  sub->add_option("--family", given.script.families, "ipv4 (default), ipv6, mapped or all")
      ->type_name("F")
      ->check(CLI::IsMember({"ipv4", "ipv6", "mapped", "all"}));
  sub->add_option("--format", given.script.format, "text (default) or jsonl")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"jsonl", Format::kJsonl}}));
  sub->add_flag_callback(
      "--story", [&given] { given.script.story = ScriptOptions::Story::kOfAll; }, "every packet, call and rule");
  return sub;
}

}  // namespace

int lab_command(const std::vector<std::string>& arguments) {
  CLI::App app{"Experiments of the articles, by name.", "tcpwhy lab"};
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.add_subcommand("list", "the experiments and what they show");
  RunOptions o;
  GivenScript given;
  FuzzRequest f;
  LabServeOptions served;
  const CLI::App *run_app = add_run(app, o), *compare_app = add_compare(app, o), *script_app = add_script(app, given),
                 *serve_app = add_lab_serve(app, served), *fuzz_app = add_fuzz(app, f);
  if (const auto ended = parse(app, arguments)) return *ended;
  if (script_app->parsed()) {
    if (!take_pairs(given.settings, given.script.sysctls, "--set") ||
        !take_pairs(given.definitions, given.script.definitions, "--define"))
      return Exit::kCouldNotWork;
    return lab_script(given.script);
  }
  if (serve_app->parsed())
    return take_pairs(served.settings, served.sysctls, "--set") ? lab_serve(std::move(served)) : Exit::kCouldNotWork;
  if (compare_app->parsed()) return compare(o);
  if (fuzz_app->parsed()) return fuzz(f);
  return run_app->parsed() ? run(o) : list();
}

}  // namespace tcpwhy::cli
