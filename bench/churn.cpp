// Short connections over loopback, as fast as they go: the load that bench/watch.py measures `tcpwhy watch` under.
//
//   churn SECONDS KIND [RESETS [alone]]
//                                  KIND: fin (all close in order), or one of: reset (the client's SO_LINGER 0), refused
//                                  (a closed port), unread (the server closes with a request unread)
//                                  RESETS: one connection of so many is of that kind (default 1)
//                                  alone: a thread is client and server of its connections, so that nobody waits for
//                                  another or is woken: the most connections that the cores can make
//
// Prints the connections made and the seconds they took.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr int kPairs = 2;

int socket_on(std::uint8_t host, std::uint16_t port, sockaddr_in& at) {
  at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(0x7f000100u + host);
  return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

enum class Close { kAtOnce, kUnread, kLast };

void serve(int listener, Close how) {
  char byte = 0;
  for (;;) {
    const int s = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (s < 0) return;
    // To close with an octet unread, wait until it is there.
    if (recv(s, &byte, 1, how == Close::kUnread ? MSG_PEEK : 0) < 0 && how != Close::kLast) std::perror("recv");
    // A client that aborts after the server's FIN has lost nothing.
    if (how == Close::kLast) (void)!recv(s, &byte, 1, 0);
    close(s);
  }
}

// The other end of a connection, by the same thread: over loopback all that was sent has arrived.
void answer(int listener, bool read) {
  const int s = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  char byte = 0;
  if (read && recv(s, &byte, 1, 0) < 0) std::perror("recv");
  close(s);
}

std::uint64_t connect_until(std::chrono::steady_clock::time_point end, std::uint8_t host, std::string_view kind, std::uint64_t every, int own_listener) {
  std::uint64_t n = 0;
  for (; std::chrono::steady_clock::now() < end; ++n) {
    const bool special = kind != "fin" && n % every == 0;
    sockaddr_in at;
    // Many destinations, so that ports in TIME_WAIT do not run out.
    const int s = socket_on(host, special && kind == "refused" ? 9 : 80, at);
    if (connect(s, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
      const char byte = 'x';
      if (send(s, &byte, 1, MSG_NOSIGNAL) < 0) std::perror("send");
      const linger hard{1, 0};
      if (special && kind == "reset") setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      const bool aborted = special && kind == "reset";
      if (own_listener >= 0 && !aborted) answer(own_listener, !special);
      char rest = 0;
      if (special && kind == "unread") (void)!recv(s, &rest, 1, 0);
      close(s);
      if (own_listener >= 0 && aborted) answer(own_listener, false);
      continue;
    }
    close(s);
  }
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("churn SECONDS fin|reset|refused|unread [RESETS [alone]]\n", stderr), 2;
  const auto length = std::chrono::duration<double>(std::atof(argv[1]));
  const std::string_view kind = argv[2];
  const std::uint64_t every = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const bool alone = argc > 4 && std::string_view{argv[4]} == "alone";
  std::vector<int> listeners;
  for (std::uint8_t host = 0; host < kPairs; ++host) {
    sockaddr_in at;
    const int s = socket_on(host, 80, at), on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(s, 4096) != 0) return std::perror("listen"), 2;
    listeners.push_back(s);
    const Close how = kind == "reset" ? Close::kLast : kind == "unread" && every == 1 ? Close::kUnread : Close::kAtOnce;
    if (!alone) std::thread{serve, s, how}.detach();
  }
  const auto began = std::chrono::steady_clock::now();
  const auto end = began + std::chrono::duration_cast<std::chrono::steady_clock::duration>(length);
  std::atomic<std::uint64_t> total = 0;
  std::vector<std::thread> clients;
  for (std::uint8_t host = 0; host < kPairs; ++host)
    clients.emplace_back([&, host] { total += connect_until(end, host, kind, every, alone ? listeners[host] : -1); });
  for (std::thread& t : clients) t.join();
  std::printf("%llu %.3f\n", static_cast<unsigned long long>(total),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  std::fflush(stdout);
  std::_Exit(0);
}
