#include "lab/serve.hpp"

#ifdef TCPWHY_HOST
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <span>

#include "capture/writer.hpp"
#include "lab/model_config.hpp"
#include "lab/serve_apps.hpp"
#include "lab/tun.hpp"
#include "world/model_host.hpp"

namespace tcpwhy::lab {
namespace {

/// The packets as a pcapng file that is written as it grows.
class Recording {
 public:
  static Result<Recording> open(const std::string& path, const std::string& device) {
    Recording r;
    if (path.empty()) return r;
    r.file_.reset(std::fopen(path.c_str(), "wb"));
    if (!r.file_) return Error{"capture.write", "cannot write " + path + ": " + std::strerror(errno)};
    r.writer_.add_interface(device, LinkType::kIpv4);
    return r;
  }
  void add(CaptureTime time, bool in, std::span<const std::uint8_t> bytes) {
    if (!file_) return;
    writer_.add(0, time, in ? FrameDirection::kInbound : FrameDirection::kOutbound, bytes);
    if (writer_.bytes().size() > 65536) flush();
  }
  /// False: the file could not take it all.
  bool flush() {
    if (!file_) return true;
    const auto bytes = writer_.bytes();
    whole_ &= std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size() && std::fflush(file_.get()) == 0;
    writer_.forget();
    return whole_;
  }

 private:
  struct Closer {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::unique_ptr<std::FILE, Closer> file_;
  capture::PcapngWriter writer_;
  bool whole_ = true;
};

/// SIGINT and SIGTERM as something to poll, for the length of a block.
class Signals {
 public:
  Signals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &wanted, &before_);
    fd_ = Owned{::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC)};
  }
  ~Signals() {
    // The one that ended us must not end the program as well.
    signalfd_siginfo taken;
    while (::read(fd_.get(), &taken, sizeof taken) == static_cast<ssize_t>(sizeof taken)) {}
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  sigset_t before_{};
  Owned fd_;
};

/// The line between the model and the TUN device: a box at the model's site.
class Line : public world::Box {
 public:
  using Pass = std::function<void(bool in, const world::Packet&, std::span<const std::uint8_t>)>;
  Line(const Tun& tun, Pass pass) : tun_{tun}, pass_{std::move(pass)} {}
  void handle(world::Packet packet, world::Hand hand) override {
    const auto bytes = world::encode(packet);
    const bool in = hand.way() == world::Way::kIn;
    pass_(in, packet, bytes);
    if (in) hand.onward(std::move(packet));
    else tun_.write(bytes);  // a full queue loses it, as a network card's would
  }

 private:
  const Tun& tun_;
  Pass pass_;
};

struct Network {
  std::uint32_t model = 0, gateway = 0;
  int prefix = 24;
};

Result<Network> network_of(const ServeOptions& o) {
  const Error wrong{"lab.address",
                    "--address wants ADDRESS/PREFIX and --gateway another address of that network, like 198.18.0.2/24 "
                    "and 198.18.0.1"};
  const std::size_t slash = o.address.find('/');
  if (slash == std::string::npos) return wrong;
  Network n;
  n.model = world::parse_ip(o.address.substr(0, slash));
  const std::string_view prefix = std::string_view{o.address}.substr(slash + 1);
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), n.prefix);
  if (n.model == 0 || error != std::errc{} || end != prefix.data() + prefix.size() || n.prefix < 8 || n.prefix > 30)
    return wrong;
  const std::uint32_t mask = ~std::uint32_t{0} << (32 - n.prefix), first = (n.model & mask) + 1;
  n.gateway = !o.gateway.empty() ? world::parse_ip(o.gateway) : n.model == first ? first + 1 : first;
  if (n.gateway == n.model || (n.gateway & mask) != (n.model & mask)) return wrong;
  return n;
}

class Server {
 public:
  Server(const ServeOptions& options, const ServeEvents& events, Tun tun, Recording recording)
      : options_{options},
        events_{events},
        tun_{std::move(tun)},
        recording_{std::move(recording)},
        world_{options.seed} {
    world_.keep_records(0);
  }

  std::optional<Error> furnish(model::HostConfig config, const Network& network) {
    const std::size_t site = world_.add_site();
    world_.add_box(site,
                   std::make_shared<Line>(tun_, [this](bool in, const world::Packet& p,
                                                       std::span<const std::uint8_t> bytes) { pass(in, p, bytes); }));
    auto made = std::make_unique<world::ModelHost>(world_, "server", network.model, std::move(config));
    made->limit_descriptors(options_.max_descriptors);
    host_ = &world_.add_host(site, std::move(made));
    for (const Service& s : options_.services)
      if (!start(s, world_, *host_)) return Error{"lab.listen", "two services want port " + std::to_string(s.port)};
    if (auto error = tun_.configure(network.gateway, network.prefix)) return error;
    if (events_.ready) events_.ready(tun_.name(), world::ip_text(network.model), world::ip_text(network.gateway));
    return std::nullopt;
  }

  Result<Served> run(const Signals& signals) {
    served_.host = {
        .name = "server", .kernel = options_.kernel, .before = host_->system().counters(), .after = {}, .rules = {}};
    began_ = std::chrono::steady_clock::now();
    std::timespec real{};
    std::timespec_get(&real, TIME_UTC);
    real_ = CaptureTime{std::chrono::seconds{real.tv_sec} + Duration{real.tv_nsec}};
    std::array<pollfd, 2> wait{{{tun_.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    for (;;) {
      world_.run_until(now());
      take_packets();
      if (wait[1].revents != 0 || over()) break;
      const timespec pause = until_next();
      ::ppoll(wait.data(), wait.size(), &pause, nullptr);
    }
    served_.duration = world_.now() - world_.start();
    served_.host.after = host_->system().counters();
    served_.host.rules = host_->rules();
    served_.sockets = host_->system().sockets();
    if (!recording_.flush()) return Error{"capture.write", "the packets could not all be written to " + options_.pcap};
    return std::move(served_);
  }

 private:
  void pass(bool in, const world::Packet& packet, std::span<const std::uint8_t> bytes) {
    ++(in ? served_.packets_in : served_.packets_out);
    const Duration since = world_.now() - world_.start();
    recording_.add(real_ + since, in, bytes);
    if (events_.packet) events_.packet(since, in, packet);
  }
  [[nodiscard]] ModelTime now() const {
    return world_.start() + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began_);
  }
  [[nodiscard]] bool over() const {
    return options_.duration > Duration::zero() && world_.now() - world_.start() >= options_.duration;
  }
  /// Some at a time, so that timers are not late in a flood.
  void take_packets() {
    std::array<std::uint8_t, 65536> buffer;
    for (int i = 0; i < 64; ++i) {
      const auto bytes = tun_.read(buffer);
      if (bytes.empty()) return;
      if (auto packet = world::decode(bytes)) world_.route(std::move(*packet));
      world_.run_until(now());
    }
  }
  [[nodiscard]] timespec until_next() {
    constexpr Duration kLongest = std::chrono::hours{1};
    Duration wait = std::min(world_.next_event().value_or(ModelTime::max()) - world_.now(), kLongest);
    if (options_.duration > Duration::zero())
      wait = std::min(wait, options_.duration - (world_.now() - world_.start()));
    wait = std::max(wait, Duration::zero());
    return {static_cast<time_t>(wait.count() / 1'000'000'000), static_cast<long>(wait.count() % 1'000'000'000)};
  }

  const ServeOptions& options_;
  const ServeEvents& events_;
  Tun tun_;
  Recording recording_;
  world::World world_;
  world::Host* host_ = nullptr;
  Served served_;
  std::chrono::steady_clock::time_point began_;
  CaptureTime real_{};
};

}  // namespace

Result<Served> serve(const ServeOptions& options, const ServeEvents& events) {
  const auto network = network_of(options);
  if (!network) return network.error();
  auto config = model_config(options.kernel, options.sysctls, network->model, options.seed);
  if (!config) return config.error();
  const Signals signals;
  auto tun = Tun::open(options.device);
  if (!tun) return tun.error();
  auto recording = Recording::open(options.pcap, options.device);
  if (!recording) return recording.error();
  Server server{options, events, std::move(*tun), std::move(*recording)};
  if (auto error = server.furnish(std::move(*config), *network)) return *error;
  return server.run(signals);
}

}  // namespace tcpwhy::lab

#else

namespace tcpwhy::lab {

Result<Served> serve(const ServeOptions&, const ServeEvents&) {
  return Error{"lab.host", "this tcpwhy was built without the live host (TCPWHY_HOST), so it has no TUN device"};
}

}  // namespace tcpwhy::lab

#endif  // TCPWHY_HOST
