#include "world/apps/talk.hpp"

#include <cerrno>

#include "names/errno.hpp"

namespace tcpwhy::world {
namespace {

constexpr std::size_t kReadSize = 65536;

}  // namespace

std::string error_name(int error) {
  const std::string_view known = name(static_cast<Errno>(error));
  return known.empty() ? "errno " + std::to_string(error) : std::string{known};
}

Talk::Pointer Talk::open(World& world, Host& host, Address to, Events events, std::vector<SetOption> options,
                         Address from) {
  Pointer talk{new Talk{world, host, std::move(events)}};
  System& system = host.system();
  talk->fd_ = system.socket();
  for (const SetOption& o : options) system.set(talk->fd_, o.option, o.value);
  if (from.port != 0 || from.ip != 0) {
    system.set(talk->fd_, Option::kReuseAddress, 1);
    if (const int bound = system.bind(talk->fd_, from); bound < 0) {
      talk->fail("bind", -bound);
      return talk;
    }
  }
  const int result = system.connect(talk->fd_, to);
  world.touched(host);
  if (result < 0 && result != -EINPROGRESS) {
    // The caller does not hold the pointer yet: tell it as soon as it does.
    world.after(Duration::zero(), [talk, result] { talk->fail("connect", -result); });
    return talk;
  }
  talk->watch();
  return talk;
}

Talk::Pointer Talk::over(World& world, Host& host, Fd fd, Events events) {
  Pointer talk{new Talk{world, host, std::move(events)}};
  talk->fd_ = fd;
  talk->connected_ = true;
  talk->watch();
  return talk;
}

void Talk::watch() {
  // What is told of this socket mostly holds whoever holds this socket.
  end_ = world_.at_end([weak = weak_from_this()] {
    const Pointer self = weak.lock();
    if (self) self->events = {};
  });
  world_.watch(host_, fd_, [self = shared_from_this()](Ready ready) { self->on_ready(ready); });
}

void Talk::set(Option option, int value) {
  if (fd_ >= 0) host_.system().set(fd_, option, value);
  world_.touched(host_);
}

void Talk::on_ready(Ready ready) {
  const Pointer self = shared_from_this();
  if (fd_ < 0) return;
  if (!connected_) {
    if (!ready.writable && !ready.error && !ready.hangup) return;
    const int error = host_.system().error(fd_);
    world_.touched(host_);
    if (error != 0) return fail("connect", error);
    connected_ = true;
    world_.note(host_, "connect", "0");
    if (events.connected) events.connected(self);
    if (fd_ < 0) return;
  }
  if (ready.writable) flush();
  if (fd_ >= 0 && reading_ && (ready.readable || ready.error || ready.hangup)) read();
}

void Talk::read() {
  const Pointer self = shared_from_this();
  while (fd_ >= 0 && reading_ && !finished_) {
    std::string data;
    const long got = host_.system().receive(fd_, kReadSize, data);
    world_.touched(host_);
    if (got == -EAGAIN) return;
    if (got < 0) return fail("recv", static_cast<int>(-got));
    if (got == 0) {
      finished_ = true;
      world_.note(host_, "recv", "0");
      if (events.ended) events.ended(self);
      return;
    }
    if (note_data) world_.note(host_, "recv", std::to_string(got));
    if (events.received) events.received(self, data);
  }
}

void Talk::resume_reading() {
  reading_ = true;
  if (fd_ >= 0 && connected_) read();
}

void Talk::send(std::string_view data) {
  if (fd_ < 0) return;
  const bool waiting = !unsent_.empty();
  unsent_.append(data);
  if (!waiting) flush();
}

void Talk::flush() {
  while (fd_ >= 0 && !unsent_.empty()) {
    const long sent = host_.system().send(fd_, unsent_);
    world_.touched(host_);
    if (sent == -EAGAIN) return;
    if (sent < 0) {
      unsent_.clear();
      return fail("send", static_cast<int>(-sent));
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
}

void Talk::shutdown(How how) {
  if (fd_ < 0) return;
  host_.system().shutdown(fd_, how);
  world_.touched(host_);
}

void Talk::close() {
  if (fd_ < 0) return;
  world_.unwatch(host_, fd_);
  host_.system().close(fd_);
  world_.touched(host_);
  fd_ = -1;
  // Later, because whoever closes is mostly one of them.
  world_.after(Duration::zero(), [self = shared_from_this()] {
    self->events = {};
    self->world_.forget_end(self->end_);
  });
}

void Talk::fail(std::string_view call, int error) {
  const Pointer self = shared_from_this();
  world_.note(host_, std::string{call}, error_name(error));
  if (events.failed) events.failed(self, call, error);
  else close();
}

Acceptor::Pointer Acceptor::open(World& world, Host& host, Address at, int backlog, std::vector<SetOption> options,
                                 Accepted accepted) {
  Pointer a{new Acceptor{world, host}};
  System& system = host.system();
  a->fd_ = system.socket();
  system.set(a->fd_, Option::kReuseAddress, 1);
  for (const SetOption& o : options) system.set(a->fd_, o.option, o.value);
  if (const int bound = system.bind(a->fd_, at); bound < 0) world.note(host, "bind", error_name(-bound));
  const int listening = system.listen(a->fd_, backlog);
  if (listening < 0) world.note(host, "listen", error_name(-listening));
  a->listening_ = listening >= 0;
  world.touched(host);
  if (accepted) {
    a->accepted_ = std::move(accepted);
    world.watch(host, a->fd_, [a](Ready) { a->accept_all(); });
  }
  return a;
}

void Acceptor::accept_all() {
  while (accept_one()) {}
}

bool Acceptor::accept_one() {
  if (fd_ < 0) return false;
  const int fd = host_.system().accept(fd_);
  world_.touched(host_);
  // As nginx with its accept_mutex_delay: poll() would say the same again at once.
  if (fd == -EMFILE && accepted_) world_.after(std::chrono::milliseconds{500}, [self = shared_from_this()] { self->accept_all(); });
  if (fd < 0) {
    if (fd != -EAGAIN) world_.note(host_, "accept", error_name(-fd));
    return false;
  }
  world_.note(host_, "accept", std::to_string(fd));
  if (accepted_) accepted_(fd);
  else host_.system().close(fd);
  return true;
}

void Acceptor::close() {
  if (fd_ < 0) return;
  world_.unwatch(host_, fd_);
  host_.system().close(fd_);
  world_.touched(host_);
  fd_ = -1;
}

}  // namespace tcpwhy::world
