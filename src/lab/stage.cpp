#include <algorithm>
#include <charconv>

#include "lab/experiment.hpp"
#include "lab/experiments/common.hpp"

namespace tcpwhy::lab {
namespace {

constexpr std::string_view kClient = "client:", kServer = "server:";

// Every experiment has a network, so every experiment has these.
constexpr Param kNetwork[] = {
    {"delay_us", "100", "one way between two hosts"},
    {"jitter_us", "0", "up to this much more"},
    {"loss_ppm", "0", "packets lost in a million, on each link"},
    {"reorder_ppm", "0", "packets in a million that the next one overtakes"},
    {"mtu", "1500", "of each link"},
};

const Param* find(std::span<const Param> params, std::string_view name) {
  const auto found = std::find_if(params.begin(), params.end(), [&](const Param& p) { return p.name == name; });
  return found == params.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Param> network_params() { return kNetwork; }

Stage::Stage(const Experiment& experiment, const Options& options, world::World& in, HostMaker& maker)
    : world{in}, experiment_{experiment}, options_{options}, maker_{maker} {}

std::string Stage::word(std::string_view name) const {
  for (auto p = options_.params.rbegin(); p != options_.params.rend(); ++p)
    if (p->first == name) return p->second;
  if (const Param* own = find(experiment_.params, name)) return std::string{own->value};
  if (const Param* common = find(kNetwork, name)) return std::string{common->value};
  return {};
}

std::int64_t Stage::number(std::string_view name) const {
  const std::string text = word(name);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string Stage::kernel_of(std::string_view role) const {
  if (role == "server") return options_.kernel.empty() ? std::string{experiment_.kernel} : options_.kernel;
  return options_.client_kernel.empty() ? std::string{experiment_.client_kernel} : options_.client_kernel;
}

std::map<std::string, std::string> Stage::sysctls_of(std::string_view role) const {
  std::map<std::string, std::string> all;
  const bool client = role != "server";
  const auto take = [&](std::string_view name, std::string_view value, bool for_both) {
    if (name.starts_with(kClient)) {
      if (client) all[std::string{name.substr(kClient.size())}] = value;
    } else if (name.starts_with(kServer)) {
      if (!client) all[std::string{name.substr(kServer.size())}] = value;
    } else if (for_both || !client) {
      all[std::string{name}] = value;
    }
  };
  for (const Setting& s : experiment_.sysctls) take(s.name, s.value, true);
  for (const auto& [name, value] : options_.sysctls) take(name, value, false);
  return all;
}

std::size_t Stage::site(Duration extra) {
  const std::size_t site = world.add_site();
  world::Link::Settings link;
  link.delay = std::chrono::microseconds{number("delay_us")} / 2 + extra;
  link.jitter = std::chrono::microseconds{number("jitter_us")} / 2;
  link.loss_ppm = static_cast<std::uint32_t>(number("loss_ppm"));
  link.reorder_ppm = static_cast<std::uint32_t>(number("reorder_ppm"));
  link.mtu = static_cast<std::uint32_t>(number("mtu"));
  world.add_box(site, std::make_shared<world::Link>(link));
  return site;
}

world::Host& Stage::add(std::unique_ptr<world::Host> made, std::size_t site) {
  world::Host& host = world.add_host(site, std::move(made));
  world.add_tap(host.name(), &host);
  return host;
}

world::Host& Stage::host(std::string_view name, std::string_view ip) { return host(name, ip, site()); }
world::Host& Stage::host(std::string_view name, std::string_view ip, std::size_t site) {
  return host_as(name, name == "server" ? "server" : "client", ip, site);
}
world::Host& Stage::host_as(std::string_view name, std::string_view role, std::string_view ip, std::size_t site) {
  return add(maker_.make(world, name, world::parse_ip(ip), kernel_of(role), sysctls_of(role), Duration::zero()), site);
}
world::Host& Stage::host_of(std::string_view name, std::string_view kernel, std::string_view ip, std::size_t site) {
  return host_up(name, kernel, ip, site, Duration::zero());
}
world::Host& Stage::host_up(std::string_view name, std::string_view kernel, std::string_view ip, std::size_t site,
                            Duration uptime) {
  const std::string wanted = !options_.client_kernel.empty() ? options_.client_kernel : std::string{kernel};
  return add(maker_.make(world, name, world::parse_ip(ip), wanted, sysctls_of("client"), uptime), site);
}

void Stage::look(Duration when, const world::Host& host, std::string label) {
  at(when, [this, &host, label = std::move(label)] { look_now(host, label); });
}

void Stage::look_now(const world::Host& host, std::string label) {
  world::Host& seen = *world.find(host.name());
  views.push_back({world.now(), host.name(), std::move(label), seen.system().sockets()});
}

std::span<const Experiment> experiments() {
  static const std::vector<Experiment> all = [] {
    std::vector<Experiment> list;
    for (const auto part : {queue_experiments(), handshake_experiments(), refusal_experiments(), reset_experiments(),
                            closing_experiments(), keepalive_experiments(), pile_up_experiments()})
      list.insert(list.end(), part.begin(), part.end());
    return list;
  }();
  return all;
}

const Experiment* find_experiment(std::string_view name) {
  for (const Experiment& e : experiments())
    if (e.name == name) return &e;
  return nullptr;
}

Acceptor::Pointer polite_server(Stage& stage, world::Host& host, std::uint16_t port, int backlog,
                                std::vector<world::SetOption> options) {
  return Acceptor::open(stage.world, host, {0, port}, backlog, std::move(options), [&stage, &host](world::Fd fd) {
    Talk::Events events;
    events.ended = [](const Talk::Pointer& talk) { talk->close(); };
    Talk::over(stage.world, host, fd, std::move(events));
  });
}

}  // namespace tcpwhy::lab
