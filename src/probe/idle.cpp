#include "probe/idle.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "probe/connect.hpp"

namespace tcpwhy::probe {
namespace {

using facts::IdleQuestion;
using End = facts::IdleQuestion::End;

/// After the idle time: keepalives a second apart, three of them, and the answer to the last.
constexpr int kProbes = 3;
constexpr double kAsking = kProbes + 1.5;

struct Waiting {
  OpenSocket socket;
  IdleQuestion question;
  double since_s = 0;
  bool done = false;
};

Waiting open_idle(Session& s, const facts::Endpoint& target, int idle_s) {
  Waiting w;
  w.question.idle_s = idle_s;
  auto [socket, opened] = open_connection(s, {.target = target}, 2.5);
  if (!socket || !s.budget.take(kProbes)) {
    w.question.end = End::kNotConnected;
    w.done = true;
    return w;
  }
  w.socket = std::move(socket);
  const int on = 1, interval = 1, count = kProbes;
  (void)setsockopt(w.socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(w.socket.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  (void)setsockopt(w.socket.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)setsockopt(w.socket.get(), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  w.since_s = s.now();
  return w;
}

/// What the socket shows; data of the server that speaks first is read away, and starts the wait anew.
void look(Session& s, Waiting& w) {
  const double idle = s.now() - w.since_s;
  char data[4096];
  for (;;) {
    const ssize_t got = recv(w.socket.get(), data, sizeof data, MSG_DONTWAIT);
    if (got > 0) {
      w.since_s = s.now();
      continue;
    }
    if (got == 0) {
      w.question.end = End::kClosedByServer;
    } else if (errno == EAGAIN || errno == EINTR) {
      break;
    } else {
      w.question.end = errno == ECONNRESET || errno == EPIPE ? End::kReset : End::kSilent;
    }
    w.question.ended_s = idle;
    w.done = true;
    return;
  }
  if (idle < w.question.idle_s + kAsking) return;
  tcp_info info{};
  socklen_t size = sizeof info;
  (void)getsockopt(w.socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size);
  // tcpi_last_ack_recv: milliseconds since the last ACK; the keepalive's answer is younger than the idle time.
  w.question.end = info.tcpi_last_ack_recv < (kAsking + 1) * 1e3 ? End::kAlive : End::kSilent;
  w.question.ended_s = w.question.end == End::kSilent ? idle : 0;
  w.done = true;
}

std::vector<IdleQuestion> run(Session& s, const facts::Endpoint& target, const std::vector<int>& idles, double until) {
  std::vector<Waiting> all;
  for (const int idle : idles) all.push_back(open_idle(s, target, idle));
  while (!s.stopped() && s.now() < until && std::any_of(all.begin(), all.end(), [](const Waiting& w) { return !w.done; })) {
    s.wait(0.1);
    for (Waiting& w : all)
      if (!w.done) look(s, w);
  }
  std::vector<IdleQuestion> out;
  for (const Waiting& w : all) out.push_back(w.question);
  return out;
}

}  // namespace

void ask_idle(Session& s, facts::ProbeAddress& a) {
  const double bound = s.options.idle_s;
  if (bound <= 0) return;
  a.idle.bound_s = bound;
  const double until = s.now() + bound;
  // Half of the time for a ladder of halves, all at once; what is left to close in between two rungs.
  double low = 0, high = bound / 2;
  std::vector<int> idles;
  for (double t = std::floor(bound / 2 - kAsking); t >= 1 && idles.size() < 6; t = std::floor(t / 2)) idles.push_back(static_cast<int>(t));
  while (!idles.empty() && !s.stopped()) {
    const auto answers = run(s, a.target, idles, until);
    a.idle.asked.insert(a.idle.asked.end(), answers.begin(), answers.end());
    bool dead = false;
    for (const IdleQuestion& q : a.idle.asked) {
      if (q.end == End::kAlive) low = std::max(low, q.idle_s);
    }
    for (const IdleQuestion& q : a.idle.asked)
      if ((q.end == End::kSilent || q.end == End::kReset) && q.idle_s > low) {
        high = dead ? std::min(high, q.idle_s) : q.idle_s;
        dead = true;
      }
    idles.clear();
    if (!dead || high - low < 2) return;
    const double left = until - s.now() - kAsking - 1;
    for (int n = 1; n <= 4; ++n) {
      const int t = static_cast<int>(low + (high - low) * n / 5);
      if (t > low && t < high && t <= left && std::find(idles.begin(), idles.end(), t) == idles.end()) idles.push_back(t);
    }
  }
}

}  // namespace tcpwhy::probe
