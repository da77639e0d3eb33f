#pragma once
// What epoll makes of the sockets of a script: which of them are watched, and which have news. Linux fs/eventpoll.c.

#include <cstdint>
#include <optional>
#include <vector>

#include "model/host.hpp"
#include "script/call.hpp"

namespace tcpwhy::script {

class Epoll {
 public:
  /// epoll_ctl(). `fd` is the host's number of the socket.
  [[nodiscard]] model::CallResult control(model::Host& host, ModelTime now, std::int64_t operation, int fd,
                                          const EpollEvent& event);
  /// Something happened on the host: a socket that became ready, or has more to read, is news to an edge trigger.
  void look(model::Host& host, ModelTime now);
  /// Takes up to `at_most` events; their number, and the first of them.
  struct Taken {
    std::int64_t count = 0;
    EpollEvent first;
  };
  [[nodiscard]] Taken take(model::Host& host, ModelTime now, std::int64_t at_most);
  /// The last descriptor of the socket is closed.
  void forget(int fd);

 private:
  struct Watched {
    int fd = -1;
    EpollEvent event;
    bool news = false;  ///< in the ready list
    std::uint32_t ready = 0;
    std::int64_t unread = 0;
  };
  [[nodiscard]] static std::uint32_t ready(model::Host& host, ModelTime now, const Watched& watched);
  static void remember(model::Host& host, ModelTime now, Watched& watched);
  std::vector<Watched> watched_;
};

}  // namespace tcpwhy::script
