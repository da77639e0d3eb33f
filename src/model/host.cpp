// The public face: every call stamps the time and the step, and the Kernel does the rest.

#include "model/host.hpp"

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

CallResult done_with(std::int64_t value) { return {.value = value, .error = Errno::kNone, .blocked = false}; }
CallResult failed(Errno e) { return {.value = -1, .error = e, .blocked = false}; }

}  // namespace

Host::Host(HostConfig config) : kernel_{std::make_unique<Kernel>(std::move(config))} {
  if (kernel_->config.fastopen_key) kernel_->fastopen_keys[0].push_back(*kernel_->config.fastopen_key);
}
Host::~Host() = default;
Host::Host(Host&&) noexcept = default;
Host& Host::operator=(Host&&) noexcept = default;

CallResult Host::socket(ModelTime now, Family family, Blocking blocking, Step& step) {
  kernel_->enter(now, step);
  return kernel_->socket(family, blocking);
}
CallResult Host::bind(ModelTime now, int fd, const SocketAddress& address, Step& step) {
  kernel_->enter(now, step);
  return kernel_->bind(fd, address);
}
CallResult Host::listen(ModelTime now, int fd, int backlog, Step& step) {
  kernel_->enter(now, step);
  return kernel_->listen(fd, backlog);
}
CallResult Host::connect(ModelTime now, int fd, const SocketAddress& to, Step& step) {
  kernel_->enter(now, step);
  return kernel_->connect(fd, to);
}
CallResult Host::connect_result(ModelTime now, int fd, Step& step) {
  kernel_->enter(now, step);
  return kernel_->connect_result(fd);
}
CallResult Host::disconnect(ModelTime now, int fd, Step& step) {
  kernel_->enter(now, step);
  return kernel_->disconnect(fd);
}
CallResult Host::accept(ModelTime now, int fd, SocketAddress* peer, Step& step) {
  kernel_->enter(now, step);
  return kernel_->accept(fd, peer);
}
CallResult Host::send(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags,
                      std::span<const std::uint8_t> data, Step& step) {
  kernel_->enter(now, step);
  return kernel_->send(fd, bytes, flags, data);
}
CallResult Host::sendto(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                        std::span<const std::uint8_t> data, Step& step) {
  kernel_->enter(now, step);
  return kernel_->sendto(fd, bytes, flags, to, data);
}
CallResult Host::recv(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags,
                      std::vector<std::uint8_t>* data, Step& step) {
  kernel_->enter(now, step);
  return kernel_->recv(fd, bytes, flags, data);
}
CallResult Host::shutdown(ModelTime now, int fd, Shutdown how, Step& step) {
  kernel_->enter(now, step);
  return kernel_->shutdown(fd, how);
}
CallResult Host::close(ModelTime now, int fd, Step& step) {
  kernel_->enter(now, step);
  return kernel_->close(fd);
}
CallResult Host::close_result(ModelTime now, int fd, Step& step) {
  kernel_->enter(now, step);
  return kernel_->close_result(fd);
}

CallResult Host::kill_process(ModelTime now, Step& step) {
  kernel_->enter(now, step);
  kernel_->exiting = true;  // a dying process does not linger
  for (int fd = 0; static_cast<std::size_t>(fd) < kernel_->fds.size(); ++fd)
    if (kernel_->handle_of(fd)) (void)kernel_->close(fd);
  kernel_->exiting = false;
  return done_with(0);
}

CallResult Host::destroy(ModelTime now, int fd, Step& step) {
  kernel_->enter(now, step);
  return kernel_->destroy(fd);
}
CallResult Host::setsockopt(ModelTime now, int fd, SocketOption option, std::int64_t value, Step& step) {
  kernel_->enter(now, step);
  return kernel_->setsockopt(fd, option, value);
}
CallResult Host::getsockopt(ModelTime now, int fd, SocketOption option, Step& step) {
  kernel_->enter(now, step);
  return kernel_->getsockopt(fd, option);
}

CallResult Host::set_linger(ModelTime now, int fd, int on, int seconds, Step& step) {
  kernel_->enter(now, step);
  Options* o = kernel_->options_of(fd);
  if (!o) return failed(Errno::kEBADF);
  o->linger = on != 0;
  if (on != 0) o->linger_s = seconds < 0 ? 0x7fffffff / 1000 : seconds;
  return done_with(0);
}

CallResult Host::get_linger(ModelTime, int fd, int* on, int* seconds) {
  const Options* o = kernel_->options_of(fd);
  if (!o) return failed(Errno::kEBADF);
  *on = o->linger ? 1 : 0;
  *seconds = o->linger_s;
  return done_with(0);
}

CallResult Host::set_blocking(int fd, Blocking blocking) {
  if (Endpoint* e = kernel_->endpoint_of(fd)) e->blocking = blocking == Blocking::kYes;
  else if (Listener* l = kernel_->listener_of(fd)) l->blocking = blocking == Blocking::kYes;
  else return failed(Errno::kEBADF);
  return done_with(0);
}

Blocking Host::blocking(int fd) const {
  if (const Endpoint* e = kernel_->endpoint_of(fd)) return e->blocking ? Blocking::kYes : Blocking::kNo;
  if (const Listener* l = kernel_->listener_of(fd)) return l->blocking ? Blocking::kYes : Blocking::kNo;
  return Blocking::kYes;
}

CallResult Host::poll(ModelTime now, int fd) {
  kernel_->now = now;
  return kernel_->poll(fd);
}
CallResult Host::siocinq(ModelTime now, int fd) {
  kernel_->now = now;
  return kernel_->siocinq(fd);
}
CallResult Host::siocoutq(ModelTime now, int fd) {
  kernel_->now = now;
  return kernel_->siocoutq(fd);
}
CallResult Host::siocoutqnsd(ModelTime now, int fd) {
  kernel_->now = now;
  return kernel_->siocoutqnsd(fd);
}

CallResult Host::recv_error(ModelTime now, int fd, ErrorReport* report) {
  kernel_->now = now;
  return kernel_->recv_error(fd, report);
}

CallResult Host::getsockname(int fd, SocketAddress* address) const {
  if (const Endpoint* e = kernel_->endpoint_of(fd)) *address = {e->tuple.local, e->tuple.local_port};
  else if (const Listener* l = kernel_->listener_of(fd)) *address = l->local;
  else return failed(Errno::kEBADF);
  return done_with(0);
}

CallResult Host::getpeername(int fd, SocketAddress* address) const {
  if (!kernel_->handle_of(fd)) return failed(Errno::kEBADF);
  const Endpoint* e = kernel_->endpoint_of(fd);
  if (!e || e->tuple.remote_port == 0 || e->state == State::kClose || e->state == State::kSynSent)
    return failed(Errno::kENOTCONN);
  *address = {e->tuple.remote, e->tuple.remote_port};
  return done_with(0);
}

std::optional<TcpInfo> Host::tcp_info(ModelTime now, int fd) const {
  kernel_->now = now;
  return kernel_->tcp_info(fd);
}

void Host::deliver(ModelTime now, const Packet& packet, Step& step) {
  kernel_->enter(now, step);
  kernel_->deliver(packet);
}

std::optional<ModelTime> Host::next_timer() const { return kernel_->next_timer(); }

void Host::fire(ModelTime now, Step& step) {
  kernel_->enter(now, step);
  kernel_->fire();
}

const HostConfig& Host::config() const { return kernel_->config; }
Sysctls& Host::sysctls() { return kernel_->config.sysctls; }

void Host::set_local_queue(LocalQueue queue) { kernel_->local_queue = queue; }

void Host::set_mtu(std::uint16_t mtu) { kernel_->config.mtu = mtu; }

namespace {
FastOpenKeys keys_of(std::span<const std::uint8_t> octets) {
  FastOpenKeys keys;
  for (std::size_t at = 0; at + 16 <= octets.size() && at < 32; at += 16)
    std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(at), 16, keys.emplace_back().begin());
  return keys;
}
}  // namespace

void Host::set_fastopen_key(std::span<const std::uint8_t> key) { kernel_->fastopen_keys[0] = keys_of(key); }

CallResult Host::set_fastopen_key(int fd, std::span<const std::uint8_t> key) {
  Options* options = kernel_->options_of(fd);
  if (!options) return {.value = -1, .error = Errno::kEBADF, .blocked = false};
  if (key.size() != 16 && key.size() != 32) return {.value = -1, .error = Errno::kEINVAL, .blocked = false};
  auto& known = kernel_->fastopen_keys;
  const FastOpenKeys keys = keys_of(key);
  const auto at = std::find(known.begin() + 1, known.end(), keys);
  options->fastopen_keys = static_cast<std::uint16_t>(at - known.begin());
  if (at == known.end()) known.push_back(keys);
  return {};
}

void Host::set_fastopen_cookie(const Address& peer, std::span<const std::uint8_t> cookie, std::uint16_t mss) {
  const std::uint64_t who = hash(peer, kernel_->config.seed);
  if (cookie.empty()) {
    kernel_->fastopen_memory.erase(who);
    return;
  }
  Kernel::FastOpenMemory& memory = kernel_->fastopen_memory[who];
  memory.cookie.assign(cookie.begin(), cookie.end());
  memory.mss = mss;
}

const Counters& Host::counters() const { return kernel_->counters; }

State Host::state(int fd) const {
  if (const Endpoint* e = kernel_->endpoint_of(fd)) return e->state;
  return kernel_->listener_of(fd) ? State::kListen : State::kClose;
}

std::vector<SocketView> Host::sockets(ModelTime now) const {
  kernel_->now = now;
  return kernel_->sockets();
}

}  // namespace tcpwhy::model
