// The same experiment on the model, in virtual time.

#include "lab/model_config.hpp"
#include "lab/run.hpp"
#include "world/model_host.hpp"

namespace tcpwhy::lab {

namespace {

class ModelMaker : public HostMaker {
 public:
  explicit ModelMaker(const Options& options) : options_{options} {}

  std::unique_ptr<world::Host> make(world::World& world, std::string_view name, std::uint32_t ip,
                                    std::string_view kernel, const std::map<std::string, std::string>& sysctls,
                                    Duration uptime) override {
    auto config = model_config(kernel, sysctls, ip, options_.seed, options_.ip_version);
    if (!config) {
      if (!error) error = config.error();
      config = model::HostConfig{};
    }
    config->tick_phase = uptime;
    if (options_.machine) {
      config->jiffies_ahead = options_.machine->jiffies;
      config->small_head = options_.machine->small_head;
      config->send_lag = options_.machine->send_lag;
    }
    return std::make_unique<world::ModelHost>(world, std::string{name}, ip, std::move(*config));
  }

  std::optional<Error> error;

 private:
  const Options& options_;
};

}  // namespace

Result<model::HostConfig> model_config(std::string_view kernel, const std::map<std::string, std::string>& sysctls,
                                       std::uint32_t ip, std::uint64_t seed, std::uint8_t ip_version) {
  const auto profile = model::profile(kernel);
  if (!profile) {
    std::string known;
    for (const std::string_view k : model::profile_names()) known += (known.empty() ? "" : ", ") + std::string{k};
    return Error{"lab.kernel", "there is no kernel " + std::string{kernel} + "; there are " + known};
  }
  model::HostConfig config;
  config.kernel = *profile;
  config.sysctls = model::Sysctls::of(config.kernel);
  for (const auto& [setting, value] : sysctls)
    if (!config.sysctls.set(setting, value))
      return Error{"lab.sysctl", "no such setting or no number: " + setting + "=" + value};
  config.addresses = {{ip_version, world::octets_of(ip, ip_version)}};
  config.seed = seed * 1'000'003 + ip;
  return config;
}

Result<Run> run_on_model(const Experiment& experiment, const Options& options) {
  ModelMaker maker{options};
  auto run = lab::run(experiment, options, maker, [&](world::World& world, const Stage& stage, ModelTime until) {
    if (maker.error) return;
    // The end may come nearer while the experiment runs.
    while (const auto next = world.next_event()) {
      if (*next > std::min(until, world.start() + stage.end())) break;
      world.run_until(*next);
    }
    world.run_until(std::min(until, std::max(world.now(), world.start() + stage.end())));
  });
  if (maker.error) return *maker.error;
  return run;
}

}  // namespace tcpwhy::lab
