#include "lab/kernel_host.hpp"

#ifdef TCPWHY_HOST
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "host/proc.hpp"
#include "host/sock_diag.hpp"
#include "lab/tun.hpp"
#include "model/host.hpp"
#include "tcpwhy/state.hpp"

namespace tcpwhy::lab {
namespace {

using world::Address;
using world::Fd;
using world::Option;

/// This thread, moved into a namespace for the length of a block.
class Inside {
 public:
  Inside(int there, int home) : home_{home} { moved_ = ::setns(there, CLONE_NEWNET) == 0; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() {
    // Staying in the wrong namespace would run everything else in it: better to end.
    if (moved_ && ::setns(home_, CLONE_NEWNET) != 0) std::abort();
  }

 private:
  int home_;
  bool moved_ = false;
};

/// An address as the socket calls take it.
struct SystemAddress {
  SystemAddress(Address a, std::uint8_t ip_version) {
    const auto octets = world::octets_of(a.ip, ip_version);
    if (ip_version == 6) {
      auto* in6 = reinterpret_cast<sockaddr_in6*>(&storage);
      in6->sin6_family = AF_INET6;
      in6->sin6_port = htons(a.port);
      std::memcpy(&in6->sin6_addr, octets.data(), 16);
      size = sizeof *in6;
    } else {
      auto* in = reinterpret_cast<sockaddr_in*>(&storage);
      in->sin_family = AF_INET;
      in->sin_port = htons(a.port);
      std::memcpy(&in->sin_addr, octets.data(), 4);
      size = sizeof *in;
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_storage storage{};
  socklen_t size = 0;
};

world::Address to_world(const facts::Endpoint& end, std::uint8_t ip_version) {
  return {world::ip_of(end.address.bytes.data(), ip_version).value_or(0), end.port};
}

/// As `ss -o` words it; nothing without a timer.
std::string timer_text(const facts::Socket& s) {
  constexpr std::string_view kNames[] = {"", "on", "keepalive", "timewait", "persist"};
  if (s.timer == facts::SocketTimer::kNone) return {};
  return fmt::format("timer:({},{}ms,{})", kNames[static_cast<std::size_t>(s.timer)], s.expires_ms, s.retries);
}

/// lo of a fresh namespace is down.
void loopback_up() {
  const Owned control{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ::ioctl(control.get(), SIOCSIFFLAGS, &request);
}

class KernelHost : public world::Host, private world::System {
 public:
  KernelHost(world::World& world, std::string name, std::uint32_t ip, std::uint8_t ip_version, int home, int epoll)
      : Host{std::move(name), ip}, world_{world}, ip_version_{ip_version}, home_{home}, epoll_{epoll} {}

  /// Makes the namespace and its line; an error says what the kernel refused.
  std::optional<Error> start(const std::map<std::string, std::string>& sysctls) {
    if (::unshare(CLONE_NEWNET) != 0)
      return Error{"lab.root",
                   "a network namespace cannot be made (" + std::string{std::strerror(errno)} + "); it needs root"};
    there_ = Owned{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    const std::optional<Error> error = furnish(sysctls);
    if (::setns(home_, CLONE_NEWNET) != 0) std::abort();
    return error;
  }

  [[nodiscard]] int tun() const { return tun_->fd(); }
  /// What the kernel has sent since the last look.
  void drain() {
    std::array<std::uint8_t, 65536> buffer;
    for (auto bytes = tun_->read(buffer); !bytes.empty(); bytes = tun_->read(buffer)) {
      if (auto packet = world::decode(bytes)) world_.transmit(*this, std::move(*packet));
      world_.touched(*this);
    }
  }

  world::System& system() override { return *this; }
  void deliver(const world::Packet& packet) override {
    // A full device queue loses the packet, as a network card's would.
    if (!tun_->write(world::encode(packet))) world_.note(*this, "device", std::strerror(errno));
    drain();
  }
  [[nodiscard]] std::optional<ModelTime> next_timer() override { return std::nullopt; }
  void fire() override {}
  // No others: an epoll asks a socket whenever it is woken, and one that is told of a full buffer lets it grow.
  void watched(Fd fd) override {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

 private:
  std::optional<Error> furnish(const std::map<std::string, std::string>& sysctls) {
    auto tun = Tun::open("lab0");
    if (!tun) return tun.error();
    tun_ = std::move(*tun);
    loopback_up();
    if (ip_version_ == 6) {
      if (auto error = tun_->configure6(world::octets_of(ip(), 6))) return error;
    } else {
      if (auto error = tun_->configure(ip(), 32)) return error;
      if (auto error = tun_->route_everything()) return error;
    }
    for (const auto& [setting, value] : sysctls)
      if (!set_sysctl(setting, value) && !may_be_absent(setting, value))
        return Error{"lab.sysctl", "the running kernel does not take " + setting + "=" + value};
    return std::nullopt;
  }
  /// What a kernel does not have is off; and the limit of orphans belongs to the whole machine, not to a namespace.
  static bool may_be_absent(std::string_view name, std::string_view value) {
    return errno == ENOENT && (value == "0" || name == "net.ipv4.tcp_max_orphans");
  }
  static bool set_sysctl(std::string name, const std::string& value) {
    for (char& c : name)
      if (c == '.') c = '/';
    const int file = ::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool written = ::write(file, value.data(), value.size()) == static_cast<ssize_t>(value.size());
    ::close(file);
    return written;
  }

  static int done(long result) { return result < 0 ? -errno : static_cast<int>(result); }
  int after(int result) {
    const int value = done(result);
    drain();
    return value;
  }

  int socket() override {
    const Inside inside{there_.get(), home_};
    const int fd = ::socket(ip_version_ == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    // The model's congestion control, not the host's default: one that paces blurs every time. Asked of the socket, because
    // a namespace's default may only be one that the host allows everybody; children inherit it.
    constexpr std::string_view kCongestionControl = "cubic";
    if (fd >= 0) ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kCongestionControl.data(), kCongestionControl.size());
    return done(fd);
  }
  int set(Fd fd, Option option, int value) override {
    const auto plain = [&](int level, int name) { return done(::setsockopt(fd, level, name, &value, sizeof value)); };
    switch (option) {
      case Option::kReuseAddress: return plain(SOL_SOCKET, SO_REUSEADDR);
      case Option::kLinger: {
        const linger l{value >= 0, std::max(value, 0)};
        return done(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
      }
      case Option::kKeepAlive: return plain(SOL_SOCKET, SO_KEEPALIVE);
      case Option::kKeepIdle: return plain(IPPROTO_TCP, TCP_KEEPIDLE);
      case Option::kKeepInterval: return plain(IPPROTO_TCP, TCP_KEEPINTVL);
      case Option::kKeepCount: return plain(IPPROTO_TCP, TCP_KEEPCNT);
      case Option::kDeferAccept: return plain(IPPROTO_TCP, TCP_DEFER_ACCEPT);
      case Option::kUserTimeout: return plain(IPPROTO_TCP, TCP_USER_TIMEOUT);
      case Option::kSynCount: return plain(IPPROTO_TCP, TCP_SYNCNT);
      case Option::kLinger2: return plain(IPPROTO_TCP, TCP_LINGER2);
      case Option::kReceiveBuffer: return plain(SOL_SOCKET, SO_RCVBUF);
      case Option::kSendBuffer: return plain(SOL_SOCKET, SO_SNDBUF);
      case Option::kNoDelay: return plain(IPPROTO_TCP, TCP_NODELAY);
      case Option::kFastOpen: return plain(IPPROTO_TCP, TCP_FASTOPEN);
      case Option::kFastOpenConnect: return plain(IPPROTO_TCP, TCP_FASTOPEN_CONNECT);
    }
    return -EINVAL;
  }
  int bind(Fd fd, Address local) override {
    const SystemAddress a{local, ip_version_};
    return done(::bind(fd, a.get(), a.size));
  }
  int listen(Fd fd, int backlog) override { return done(::listen(fd, backlog)); }
  int connect(Fd fd, Address remote) override {
    const SystemAddress a{remote, ip_version_};
    return after(::connect(fd, a.get(), a.size));
  }
  int accept(Fd fd) override {
    const int child = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return done(child);
  }
  long send(Fd fd, std::string_view data) override {
    return after(static_cast<int>(::send(fd, data.data(), data.size(), MSG_NOSIGNAL)));
  }
  long receive(Fd fd, std::size_t most, std::string& into) override {
    std::string buffer(most, '\0');
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) return -errno;
    into.append(buffer, 0, static_cast<std::size_t>(got));
    drain();
    return got;
  }
  int shutdown(Fd fd, world::How how) override {
    return after(::shutdown(fd, how == world::How::kRead ? SHUT_RD : how == world::How::kWrite ? SHUT_WR : SHUT_RDWR));
  }
  int close(Fd fd) override { return after(::close(fd)); }
  int error(Fd fd) override {
    int value = 0;
    socklen_t size = sizeof value;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size);
    return value;
  }
  world::Ready poll(Fd fd) override {
    pollfd p{fd, POLLIN | POLLOUT, 0};
    if (::poll(&p, 1, 0) <= 0) return {};
    return {(p.revents & POLLIN) != 0, (p.revents & POLLOUT) != 0, (p.revents & POLLERR) != 0,
            (p.revents & POLLHUP) != 0};
  }
  template <class Ask>
  static Address name_of(Ask ask) {
    sockaddr_storage a{};
    socklen_t size = sizeof a;
    if (ask(reinterpret_cast<sockaddr*>(&a), &size) != 0) return {};
    const auto* in = reinterpret_cast<const sockaddr_in*>(&a);
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&a);
    const bool v6 = a.ss_family == AF_INET6;
    const auto* octets = v6 ? reinterpret_cast<const std::uint8_t*>(&in6->sin6_addr) : reinterpret_cast<const std::uint8_t*>(&in->sin_addr);
    return {world::ip_of(octets, v6 ? 6 : 4).value_or(0), ntohs(v6 ? in6->sin6_port : in->sin_port)};
  }
  Address local(Fd fd) override {
    return name_of([fd](sockaddr* a, socklen_t* n) { return ::getsockname(fd, a, n); });
  }
  Address remote(Fd fd) override {
    return name_of([fd](sockaddr* a, socklen_t* n) { return ::getpeername(fd, a, n); });
  }

  Counters counters() override {
    const Inside inside{there_.get(), home_};
    facts::Counters read;
    host::parse_paired(host::read_file("/proc/thread-self/net/netstat"), "TcpExt:", read);
    host::parse_paired(host::read_file("/proc/thread-self/net/snmp"), "Tcp:", read);
    Counters all;
    for (const auto& [name, value] : read) all[name] = static_cast<std::uint64_t>(value);
    return all;
  }

  std::vector<world::SocketRow> sockets() override {
    const Inside inside{there_.get(), home_};
    std::vector<world::SocketRow> rows;
    auto diag = host::SockDiag::open();
    if (!diag) return rows;
    // What a dump cannot finish is told as far as it came.
    (void)diag->dump(ip_version_ == 6 ? AF_INET6 : AF_INET, host::kAllStates, host::SockDiag::Detail::kHeader,
                     [&](const facts::Socket& s, const facts::SocketInfo*) {
                       rows.push_back({std::string{ss_name(s.state)}, to_world(s.local, ip_version_), to_world(s.remote, ip_version_),
                                       s.receive_queue, s.send_queue, timer_text(s)});
                     });
    return rows;
  }

  world::World& world_;
  std::uint8_t ip_version_;
  int home_, epoll_;
  Owned there_;
  std::optional<Tun> tun_;
};

/// The number behind `word` in what /proc/timer_list says.
std::optional<std::int64_t> number_behind(std::string_view text, std::string_view word) {
  const std::size_t at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + word.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::int64_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc{}) return std::nullopt;
  return number;
}

/// By how much jiffies run ahead of CLOCK_MONOTONIC; nothing where the kernel does not show them. They began somewhere else,
/// and the timer wheel rounds to multiples of them. The tick's own timer says at which moments they are counted; that many are
/// sometimes not counted yet when they are read, so the largest of some readings is right.
///
/// Source: Linux kernel/time/timer_list.c, kernel/time/tick-sched.c tick_do_update_jiffies64().
std::optional<Duration> jiffies_ahead() {
  static const std::optional<Duration> ahead = []() -> std::optional<Duration> {
    const Duration tick = kernel_tick();
    std::optional<Duration> best;
    for (int i = 0; i < 5; ++i) {
      const std::string text = host::read_file("/proc/timer_list");
      const auto now = number_behind(text, "now at"), jiffies = number_behind(text, "jiffies:");
      const std::size_t handler = text.find("tick_nohz_handler");
      const auto expires = handler == std::string::npos ? std::nullopt : number_behind(std::string_view{text}.substr(handler), "expires at");
      if (!now || !jiffies || !expires) return std::nullopt;
      const Duration edge{*expires % tick.count()};
      const Duration reading = tick * *jiffies - ((Duration{*now} - edge) / tick * tick + edge);
      if (!best || reading > *best) best = reading;
    }
    return best;
  }();
  return ahead;
}

/// Octets in the head of a small socket buffer, less struct skb_shared_info; what distributions have where it is not shown.
std::uint32_t small_head() {
  constexpr std::uint32_t kSharedInfo = 320;
  const auto size = number_behind(host::read_file("/sys/kernel/slab/skbuff_small_head/object_size"), "");
  return size && *size > kSharedInfo ? static_cast<std::uint32_t>(*size) - kSharedInfo : model::HostConfig{}.small_head;
}

/// Applications that answer late change what the kernel does (a delayed ACK leaves before they read), so for the length
/// of a run this thread is served before others. It sleeps nearly all the time; without the right to it, it goes on as
/// it is.
class Punctual {
 public:
  Punctual() {
    sched_param wanted{};
    wanted.sched_priority = 1;
    old_policy_ = ::sched_getscheduler(0);
    ::sched_getparam(0, &old_);
    changed_ = ::sched_setscheduler(0, SCHED_RR, &wanted) == 0;
  }
  ~Punctual() {
    if (changed_) ::sched_setscheduler(0, old_policy_, &old_);
  }
  Punctual(const Punctual&) = delete;
  Punctual& operator=(const Punctual&) = delete;

 private:
  int old_policy_ = 0;
  sched_param old_{};
  bool changed_ = false;
};

class KernelMaker : public HostMaker {
 public:
  explicit KernelMaker(std::uint8_t ip_version)
      : ip_version_{ip_version}, home_{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)}, epoll_{::epoll_create1(EPOLL_CLOEXEC)} {}

  std::unique_ptr<world::Host> make(world::World& world, std::string_view name, std::uint32_t ip,
                                    std::string_view kernel, const std::map<std::string, std::string>& sysctls,
                                    Duration uptime) override {
    auto host = std::make_unique<KernelHost>(world, std::string{name}, ip, ip_version_, home_.get(), epoll_.get());
    if (kernel == "windows" || kernel == "macos" || uptime != Duration::zero())
      keep(Error{"lab.kernel", std::string{name} + " of this experiment is another system or has another clock; the "
                                                   "running kernel cannot play it"});
    if (auto wrong = host->start(sysctls)) keep(*wrong);
    hosts_.push_back(host.get());
    return host;
  }

  // Real time carries the world along: whoever has something wakes us.
  void drive(world::World& world, const Stage& stage, ModelTime until) {
    if (error) return;
    if (hosts_.empty()) return world.run_until(until);
    for (KernelHost* host : hosts_) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = host->tun();
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, host->tun(), &event);
    }
    bool woken = false;
    if (!began_) began_ = std::chrono::steady_clock::now();
    while (true) {
      const ModelTime now =
          world.start() + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - *began_);
      const ModelTime end = std::min(until, std::max(world.start() + stage.end(), world.now()));
      world.run_until(std::min(now, end));
      // Only now does the world's clock show the moment at which the kernel woke us.
      for (KernelHost* host : hosts_) {
        if (woken) world.touched(*host);
        host->drain();
      }
      world.run_until(world.now());
      if (now >= end) return;
      const ModelTime next = std::min(end, world.next_event().value_or(end));
      const Duration wait = std::max(next - now, Duration::zero());
      const timespec pause{static_cast<time_t>(wait.count() / 1'000'000'000),
                           static_cast<long>(wait.count() % 1'000'000'000)};
      std::array<epoll_event, 64> events;
      woken = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &pause, nullptr) > 0;
    }
  }

  std::optional<Error> error;
  [[nodiscard]] std::optional<Machine> machine() const {
    const auto jiffies = jiffies_ahead();
    if (!began_ || !jiffies) return std::nullopt;
    return Machine{std::chrono::duration_cast<Duration>(began_->time_since_epoch()), *jiffies, small_head()};
  }

 private:
  void keep(Error e) {
    if (!error) error = std::move(e);
  }
  std::uint8_t ip_version_;
  Owned home_, epoll_;
  std::vector<KernelHost*> hosts_;
  std::optional<std::chrono::steady_clock::time_point> began_;
};

}  // namespace

std::string running_kernel() {
  utsname name{};
  ::uname(&name);
  std::string release = name.release;
  return release.substr(0, release.find('-'));
}

Duration kernel_tick() {
  // The coarse clock advances once a tick, whatever CONFIG_HZ is.
  timespec resolution{};
  ::clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
  return std::chrono::seconds{resolution.tv_sec} + Duration{resolution.tv_nsec};
}

std::optional<Error> kernel_is_usable() {
  if (::geteuid() != 0)
    return Error{"lab.root", "the running kernel is used in network namespaces, which needs root; try sudo"};
  if (::access("/dev/net/tun", R_OK | W_OK) != 0)
    return Error{"lab.tun", "there is no /dev/net/tun; modprobe tun"};
  return std::nullopt;
}

Result<Run> run_on_kernel(const Experiment& experiment, const Options& options) {
  if (auto cannot = kernel_is_usable()) return *cannot;
  const Punctual punctual;
  KernelMaker maker{options.ip_version};
  auto run = lab::run(experiment, options, maker, [&](world::World& world, const Stage& stage, ModelTime until) {
    maker.drive(world, stage, until);
  });
  if (maker.error) return *maker.error;
  if (run) {
    run->kernel = run->client_kernel = running_kernel();
    run->without_effect.clear();  // said of the profile; the kernel at hand says for itself
    run->machine = maker.machine();
  }
  return run;
}

}  // namespace tcpwhy::lab

#else

namespace tcpwhy::lab {

std::string running_kernel() { return {}; }
Duration kernel_tick() { return {}; }
std::optional<Error> kernel_is_usable() {
  return Error{"lab.host",
               "this tcpwhy was built without the live host (TCPWHY_HOST), so it cannot use the running kernel"};
}
Result<Run> run_on_kernel(const Experiment&, const Options&) { return *kernel_is_usable(); }

}  // namespace tcpwhy::lab

#endif
