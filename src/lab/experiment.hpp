#pragma once
// An experiment of the articles: who is there, what they do, which settings the
// article had. It is told once, against world::World and world::System, and runs
// on the model of any kernel or, for `compare`, on the real one.

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "world/world.hpp"

namespace tcpwhy::lab {

using namespace std::chrono_literals;

/// What a model has to know of a machine to be compared with it: with its clocks timers expire on the same ticks.
struct Machine {
  Duration monotonic{};      ///< CLOCK_MONOTONIC when the world began
  Duration jiffies{};        ///< by how much its jiffies, in ticks, run ahead of that clock
  std::uint32_t small_head;  ///< model::HostConfig::small_head
  Duration send_lag{};       ///< model::HostConfig::send_lag
};

/// What the user may change.
struct Options {
  std::string kernel;                         ///< of the server; empty: the article's
  std::string client_kernel;                  ///< empty: the article's
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< server's, or "client:" before the name
  std::vector<std::pair<std::string, std::string>> params;
  std::uint64_t seed = 1;
  std::uint8_t ip_version = 4;                ///< of the whole world
  std::optional<Machine> machine;  ///< whose model it is; none: a world that begins at a round hour, with a tick
};

struct Setting {
  std::string_view name, value;
};

struct Param {
  std::string_view name, value, meaning;
};

/// Makes hosts: of the model, or in namespaces.
class HostMaker {
 public:
  virtual ~HostMaker() = default;
  virtual std::unique_ptr<world::Host> make(world::World& world, std::string_view name, std::uint32_t ip,
                                            std::string_view kernel,
                                            const std::map<std::string, std::string>& sysctls, Duration uptime) = 0;
};

/// `ss` at one host at one moment, with the words under which it is shown.
struct View {
  ModelTime time;
  std::string host, label;
  std::vector<world::SocketRow> rows;
};

class Stage;

/// What every experiment can be given beside its own: delay_us, loss_ppm and the like.
[[nodiscard]] std::span<const Param> network_params();

/// One row of the table.
struct Experiment {
  std::string_view name;
  std::string_view shows;    ///< one sentence for `lab list`
  std::string_view source;   ///< the article and the golden case
  std::string_view kernel, client_kernel;
  std::span<const Setting> sysctls;      ///< the article's, for every host; "client:" and "server:" before the name
  std::span<const Param> params;
  std::span<const std::string_view> counters;  ///< the article names them, so they are shown even at 0
  std::function<void(Stage& stage)> build;
  std::string_view tap = "server";  ///< where a person would have captured
  std::string_view lesson;   ///< printed last: what to take home
};

[[nodiscard]] std::span<const Experiment> experiments();
[[nodiscard]] const Experiment* find_experiment(std::string_view name);

/// The world of one run while the experiment builds it.
class Stage {
 public:
  Stage(const Experiment& experiment, const Options& options, world::World& world, HostMaker& maker);

  world::World& world;

  /// A host with a tap of its name at a site of its own (or at `site`), linked to the core with the delay of
  /// half of `--param delay_us` each way.
  world::Host& host(std::string_view name, std::string_view ip);
  world::Host& host(std::string_view name, std::string_view ip, std::size_t site);
  /// A host whose kernel and settings are those of `role` ("client", "server").
  world::Host& host_as(std::string_view name, std::string_view role, std::string_view ip, std::size_t site);
  /// A host of a given kernel whatever the user chose (a phone, a Windows client).
  world::Host& host_of(std::string_view name, std::string_view kernel, std::string_view ip, std::size_t site);
  /// The same, up for so long already: its timestamps begin there.
  world::Host& host_up(std::string_view name, std::string_view kernel, std::string_view ip, std::size_t site,
                       Duration uptime);
  /// A site whose chain begins with the usual link.
  std::size_t site(Duration extra = Duration::zero());
  /// A host that is only a network card: makes and swallows packets.
  world::Host& add(std::unique_ptr<world::Host> host, std::size_t site);

  [[nodiscard]] std::int64_t number(std::string_view param) const;
  [[nodiscard]] std::string word(std::string_view param) const;
  [[nodiscard]] Duration millis(std::string_view param) const { return std::chrono::milliseconds{number(param)}; }
  [[nodiscard]] Duration secs(std::string_view param) const { return std::chrono::seconds{number(param)}; }

  void at(Duration when, world::Action action) { world.at(world.start() + when, std::move(action)); }
  /// Looks at `ss` on a host.
  void look(Duration when, const world::Host& host, std::string label);
  void look_now(const world::Host& host, std::string label);
  /// Counters are read before and after; everything before `when` is preparation.
  void begin(Duration when) { begin_ = when; }
  void end(Duration when) { end_ = when; }
  [[nodiscard]] Duration begin() const { return begin_; }
  [[nodiscard]] Duration end() const { return end_; }
  [[nodiscard]] std::string kernel_of(std::string_view role) const;
  [[nodiscard]] std::map<std::string, std::string> sysctls_of(std::string_view role) const;
  /// Keeps an application alive as long as the run.
  template <class T>
  T& keep(std::shared_ptr<T> thing) {
    kept_.push_back(thing);
    return *thing;
  }

  std::vector<View> views;

 private:
  const Experiment& experiment_;
  const Options& options_;
  HostMaker& maker_;
  Duration begin_{}, end_{60s};
  std::vector<std::shared_ptr<void>> kept_;
};

}  // namespace tcpwhy::lab
