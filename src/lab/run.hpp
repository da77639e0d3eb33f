#pragma once
// One run of one experiment, on whatever hosts a HostMaker makes, and everything a
// person would have seen of it.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lab/experiment.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::lab {

using Counters = std::map<std::string, std::uint64_t>;

struct HostRun {
  std::string name;
  std::string kernel;
  Counters before, after;
  std::map<std::string, std::uint64_t> rules;
  [[nodiscard]] std::int64_t moved(const std::string& counter) const;
};

struct Run {
  const Experiment* experiment = nullptr;
  std::string kernel, client_kernel;
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< as set, "client:" before the client's own
  std::vector<std::string> without_effect;  ///< of them, those that the model's kernel does not have, in words
  std::vector<std::pair<std::string, std::string>> params;
  std::string tap;
  ModelTime begin{}, end{};
  std::vector<std::string> taps;
  std::vector<world::Seen> packets;   ///< from `begin` on, every tap
  std::vector<world::Note> notes;
  std::vector<world::Fired> rules;
  std::vector<std::string> host_names;  ///< by the index in `rules`
  std::vector<View> views;
  std::vector<HostRun> hosts;
  std::optional<Machine> machine;  ///< of a run on the kernel at hand
  [[nodiscard]] const HostRun* host(std::string_view name) const;
};

/// Lets the world run from its start to the stage's end, in virtual or in real time.
using Driver = std::function<void(world::World&, const Stage&, ModelTime until)>;

/// Errors: `lab.param`, `lab.sysctl`, `lab.kernel`: what is unknown, and what there is.
[[nodiscard]] Result<Run> run(const Experiment& experiment, const Options& options, HostMaker& maker,
                              const Driver& driver);

/// On the model, in virtual time.
[[nodiscard]] Result<Run> run_on_model(const Experiment& experiment, const Options& options);

}  // namespace tcpwhy::lab
