#pragma once
// One connected socket as an application holds it: what it wants to be told, and
// what it may do. Every call and its result is noted, by the names of the
// system's errors, since that is what the person at the application sees.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "world/world.hpp"

namespace tcpwhy::world {

/// "ECONNRESET" for 104; errors are Linux's (asm-generic/errno.h).
std::string error_name(int error);

struct SetOption {
  Option option;
  int value;
};

class Talk : public std::enable_shared_from_this<Talk> {
 public:
  using Pointer = std::shared_ptr<Talk>;
  struct Events {
    std::function<void(const Pointer&)> connected;
    std::function<void(const Pointer&, std::string_view)> received;
    std::function<void(const Pointer&)> ended;                            ///< the peer's FIN was read
    std::function<void(const Pointer&, std::string_view call, int)> failed;  ///< which call, which error
  };

  /// socket(), the options, bind() when `from` has a port, connect().
  static Pointer open(World& world, Host& host, Address to, Events events, std::vector<SetOption> options = {},
                      Address from = {});
  /// A descriptor that accept() gave.
  static Pointer over(World& world, Host& host, Fd fd, Events events);

  /// write(): what the send buffer does not take waits and follows.
  void send(std::string_view data);
  void shutdown(How how);
  void close();
  void set(Option option, int value);
  /// Reading on and off: a reader that stops leaves data in the kernel.
  void stop_reading() { reading_ = false; }
  void resume_reading();

  Events events;
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] Fd fd() const { return fd_; }
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] Host& host() { return host_; }
  /// False keeps read() of ordinary data out of the notes.
  bool note_data = true;

 private:
  Talk(World& world, Host& host, Events wanted) : events{std::move(wanted)}, world_{world}, host_{host} {}
  void watch();
  void on_ready(Ready ready);
  void read();
  void flush();
  void fail(std::string_view call, int error);

  World& world_;
  Host& host_;
  Fd fd_ = -1;
  std::uint64_t end_ = 0;  ///< in World::at_end()
  bool connected_ = false, reading_ = true, finished_ = false;
  std::string unsent_;
};

/// A listening socket: accept() as soon as there is something, or when told.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  using Pointer = std::shared_ptr<Acceptor>;
  using Accepted = std::function<void(Fd)>;
  /// Without `accepted` nobody ever calls accept().
  static Pointer open(World& world, Host& host, Address at, int backlog, std::vector<SetOption> options,
                      Accepted accepted);
  /// One accept(); false when there was nothing.
  bool accept_one();
  void accept_all();
  void close();
  /// What accept_one() hands a connection to, where nobody accepts by itself.
  void keep(Accepted accepted) { accepted_ = std::move(accepted); }
  [[nodiscard]] Fd fd() const { return fd_; }
  /// bind() and listen() took it.
  [[nodiscard]] bool listening() const { return listening_; }

 private:
  Acceptor(World& world, Host& host) : world_{world}, host_{host} {}
  World& world_;
  Host& host_;
  Fd fd_ = -1;
  bool listening_ = false;
  Accepted accepted_;
};

}  // namespace tcpwhy::world
