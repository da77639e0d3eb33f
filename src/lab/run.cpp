#include "lab/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "model/sysctls.hpp"

namespace tcpwhy::lab {
namespace {

Error unknown_param(const Experiment& e, std::string_view name) {
  std::string known;
  for (const auto list : {e.params, network_params()})
    for (const Param& p : list) known += fmt::format("{}{}", known.empty() ? "" : ", ", p.name);
  return {"lab.param", fmt::format("{} has no parameter {}; it has {}", e.name, name, known)};
}

bool is_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= 0;
}

std::optional<Error> check(const Experiment& e, const Options& options) {
  for (const auto& [name, value] : options.params) {
    const Param* known = nullptr;
    for (const auto list : {network_params(), e.params})
      for (const Param& p : list)
        if (p.name == name) known = &p;
    if (known == nullptr) return unknown_param(e, name);
    if (is_number(known->value) && !is_number(value))
      return Error{"lab.param", name + " is a number that is not negative, not \"" + value + "\""};
  }
  return std::nullopt;
}

}  // namespace

std::int64_t HostRun::moved(const std::string& counter) const {
  const auto b = before.find(counter), a = after.find(counter);
  return static_cast<std::int64_t>((a == after.end() ? 0 : a->second) - (b == before.end() ? 0 : b->second));
}

const HostRun* Run::host(std::string_view name) const {
  const auto found = std::find_if(hosts.begin(), hosts.end(), [&](const HostRun& h) { return h.name == name; });
  return found == hosts.end() ? nullptr : &*found;
}

Result<Run> run(const Experiment& experiment, const Options& options, HostMaker& maker, const Driver& driver) {
  if (auto wrong = check(experiment, options)) return *wrong;
  world::World world = options.machine ? world::World{options.seed, ModelTime{options.machine->monotonic}} : world::World{options.seed};
  Stage stage{experiment, options, world, maker};
  experiment.build(stage);

  Run run;
  run.experiment = &experiment;
  run.kernel = stage.kernel_of("server");
  run.client_kernel = stage.kernel_of("client");
  const auto server = stage.sysctls_of("server"), client = stage.sysctls_of("client");
  for (const auto& [name, value] : server) run.sysctls.emplace_back(name, value);
  for (const auto& [name, value] : client)
    if (const auto same = server.find(name); same == server.end() || same->second != value)
      run.sysctls.emplace_back("client:" + name, value);
  const auto missing = [&](const std::string& kernel, const std::map<std::string, std::string>& settings) {
    const auto profile = model::profile(kernel);
    for (const auto& [name, value] : settings)
      if (profile && model::lacks(*profile, name)) run.without_effect.push_back(fmt::format("{} has no {}: it changes nothing", kernel, name));
  };
  missing(run.kernel, server);
  if (run.client_kernel != run.kernel) missing(run.client_kernel, client);
  run.params = options.params;
  run.tap = experiment.tap;

  run.begin = world.start() + stage.begin();
  if (stage.begin() > Duration::zero()) driver(world, stage, run.begin - Duration{1});
  for (const auto& host : world.hosts()) {
    run.hosts.push_back({.name = host->name(), .kernel = {}, .before = host->system().counters(), .after = {}, .rules = host->rules()});
  }
  const std::size_t packets_before = world.seen().size(), notes_before = world.notes().size(),
                    rules_before = world.rules().size();
  driver(world, stage, world.start() + stage.end());
  run.end = world.now();
  for (std::size_t i = 0; i < run.hosts.size(); ++i) {
    HostRun& h = run.hosts[i];
    world::Host& host = *world.hosts()[i];
    h.after = host.system().counters();
    auto rules = host.rules();
    for (const auto& [rule, count] : h.rules) rules[rule] -= count;
    std::erase_if(rules, [](const auto& r) { return r.second == 0; });
    h.rules = std::move(rules);
    run.host_names.push_back(host.name());
  }
  run.taps = world.taps();
  run.packets.assign(world.seen().begin() + static_cast<std::ptrdiff_t>(packets_before), world.seen().end());
  run.notes.assign(world.notes().begin() + static_cast<std::ptrdiff_t>(notes_before), world.notes().end());
  run.rules.assign(world.rules().begin() + static_cast<std::ptrdiff_t>(rules_before), world.rules().end());
  for (world::Fired& rule : run.rules) rule.after -= packets_before;
  run.views = std::move(stage.views);
  return run;
}

}  // namespace tcpwhy::lab
