#include "probe/connect.hpp"

#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "probe/sockaddr.hpp"
#include "probe/tap.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::probe {
namespace {

using facts::Ask;
using facts::Came;
using facts::Question;

struct Pending {
  OpenSocket socket;
  Question question;
  bool waiting = false;
};

void set(int fd, int level, int name, int value) { (void)setsockopt(fd, level, name, &value, sizeof value); }

/// RFC 791 3.1: an Internet Timestamp that is full (pointer beyond its length). Each hop adds one to the overflow
/// counter in the high nibble; 15 is an error (Linux net/ipv4/ip_options.c __ip_options_compile()). The hop numbered
/// `hop` finds 15 when those before it have added hop - 1.
void set_full_timestamp(int fd, std::uint8_t hop) {
  const auto start = static_cast<std::uint8_t>(16 - hop);
  const std::uint8_t option[4] = {68, 4, 5, static_cast<std::uint8_t>(start << 4)};
  (void)setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof option);
}

/// The newest ICMP error on the error queue.
std::optional<facts::IcmpWord> read_error_queue(int fd) {
  std::optional<facts::IcmpWord> out;
  for (;;) {
    char data[128], control[512];
    iovec part{data, sizeof data};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return out;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
          !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
        continue;
      sock_extended_err e{};
      std::memcpy(&e, CMSG_DATA(c), sizeof e);
      if (e.ee_origin != SO_EE_ORIGIN_ICMP && e.ee_origin != SO_EE_ORIGIN_ICMP6) continue;
      facts::IcmpWord icmp;
      icmp.version = e.ee_origin == SO_EE_ORIGIN_ICMP ? 4 : 6;
      icmp.type = e.ee_type;
      icmp.code = e.ee_code;
      if (icmp.too_big()) icmp.mtu = static_cast<std::uint16_t>(e.ee_info);
      // SO_EE_OFFENDER: the address stands behind the error.
      const facts::Endpoint sender = from_sockaddr(CMSG_DATA(c) + sizeof e);
      icmp.sender = sender.address;
      out = icmp;
    }
  }
}

void refuse_locally(Question& q, int error) {
  q.came = Came::kLocal;
  q.error = error;
}

/// Starts one; false when it is over at once.
bool start(Session& session, const ConnectPlan& plan, Pending& p) {
  Question& q = p.question;
  q.ask = plan.ask;
  q.port = plan.target.port;
  q.ttl = plan.ttl;
  q.local_port = plan.local_port;
  session.pace();
  q.at_s = session.now();
  const int family = family_of(plan.target.address);
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return refuse_locally(q, errno), false;
  p.socket = OpenSocket{fd};
  if (family == AF_INET) set(fd, IPPROTO_IP, IP_RECVERR, 1);
  else set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  if (plan.ask == Ask::kConnectShort && plan.ttl != 0) {
    if (family == AF_INET) set(fd, IPPROTO_IP, IP_TTL, plan.ttl);
    else set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, plan.ttl);
  }
  if (plan.ask == Ask::kConnectOption) set_full_timestamp(fd, plan.ttl);
  if (plan.local_port != 0) {
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    facts::Endpoint any;
    any.address.version = plan.target.address.version;
    any.port = plan.local_port;
    const SockAddr local = to_sockaddr(any);
    if (bind(fd, local.get(), local.size) != 0) return refuse_locally(q, errno), false;
  }
  const SockAddr remote = to_sockaddr(plan.target);
  const int status = connect(fd, remote.get(), remote.size);
  const int error = status == 0 ? 0 : errno;
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0) q.local_port = from_sockaddr(&own).port;
  if (status == 0) {  // loopback answers at once
    q.came = Came::kSynAck;
    q.took_s = session.now() - q.at_s;
    return false;
  }
  if (error == EINPROGRESS) return true;
  q.took_s = session.now() - q.at_s;
  q.error = error;
  if (error == ECONNREFUSED) q.came = Came::kRst;
  else refuse_locally(q, error);
  return false;
}

/// The socket has something to say.
void finish(Session& session, Pending& p) {
  Question& q = p.question;
  q.took_s = session.now() - q.at_s;
  p.waiting = false;
  // SO_ERROR first: taking the last ICMP error off the queue clears it (Linux sock_dequeue_err_skb()).
  int error = 0;
  socklen_t size = sizeof error;
  (void)getsockopt(p.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  q.icmp = read_error_queue(p.socket.get());
  q.error = error;
  tcp_info info{};
  size = sizeof info;
  (void)getsockopt(p.socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size);
  if (error == 0 && info.tcpi_state == TCP_ESTABLISHED) {
    q.came = Came::kSynAck;
    return;
  }
  // An error that came while the socket was busy ends the attempt a moment later (sk_err_soft); it says enough now.
  if (q.icmp && !q.icmp->too_big()) q.came = Came::kIcmp;
  else if (error == 0) p.waiting = info.tcpi_state == TCP_SYN_SENT, q.came = p.waiting ? Came::kNothing : Came::kSynAck;
  else if (error == ECONNREFUSED || error == ECONNRESET) q.came = Came::kRst;
  else if (error == ETIMEDOUT) q.came = Came::kNothing;
  else q.came = Came::kLocal;
}

void wait_for(Session& session, std::vector<Pending>& all, double patience_s, double until) {
  while (!session.stopped()) {
    std::vector<pollfd> descriptors;
    std::vector<std::size_t> which;
    double next = until;
    const double now = session.now();
    for (std::size_t i = 0; i < all.size(); ++i) {
      Pending& p = all[i];
      if (!p.waiting) continue;
      if (now - p.question.at_s >= patience_s) {
        p.waiting = false;
        p.question.took_s = now - p.question.at_s;
        p.question.came = Came::kNothing;
        continue;
      }
      next = std::min(next, p.question.at_s + patience_s);
      descriptors.push_back({p.socket.get(), POLLOUT, 0});
      which.push_back(i);
    }
    if (descriptors.empty()) break;
    const int ms = now >= until ? 0 : std::clamp(static_cast<int>(std::ceil((next - now) * 1e3)), 1, 100);
    if (poll(descriptors.data(), descriptors.size(), ms) < 0 && errno != EINTR) break;
    if (session.tap) session.tap->drain();
    for (std::size_t i = 0; i < descriptors.size(); ++i)
      if (descriptors[i].revents != 0) finish(session, all[which[i]]);
    if (now >= until) break;
  }
}

}  // namespace

OpenSocket::~OpenSocket() {
  if (fd_ >= 0) close(fd_);
}

std::uint32_t cost_of_connect(double patience_s) {
  // Linux tcp_syn_linear_timeouts: a SYN a second at first, a doubling wait later.
  return 1 + static_cast<std::uint32_t>(patience_s) + 3;
}

std::vector<Question> ask_by_connect(Session& session, std::span<const ConnectPlan> plans, double patience_s) {
  std::vector<Pending> all(plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (session.stopped() || !session.budget.take(cost_of_connect(patience_s))) {
      all[i].question.ask = plans[i].ask;
      all[i].question.port = plans[i].target.port;
      all[i].question.ttl = plans[i].ttl;
      all[i].question.came = Came::kNotAsked;
      continue;
    }
    all[i].waiting = start(session, plans[i], all[i]);
    wait_for(session, all, patience_s, session.now());  // the answers of the earlier ones
  }
  wait_for(session, all, patience_s, session.now() + patience_s + 0.1);
  std::vector<Question> out;
  for (Pending& p : all) {
    if (p.waiting) p.question.took_s = session.now() - p.question.at_s;  // stopped by the user
    if (p.question.came != Came::kNotAsked) {
      add_what_was_heard(session, p.question);
      // What the question did not need. Short ones cannot repeat a SYN; without a tap long ones are taken at their worst.
      if (session.tap) {
        const std::uint32_t used = p.question.syns + (p.question.came == Came::kSynAck ? 3 : 0);
        const std::uint32_t worst = cost_of_connect(patience_s);
        session.budget.give_back(worst > used ? worst - used : 0);
      } else if (p.question.came != Came::kSynAck) {
        session.budget.give_back(3);
      }
    }
    out.push_back(p.question);
  }
  return out;  // the sockets close here, in order: a FIN where the peer is still there
}

std::pair<OpenSocket, Question> open_connection(Session& session, const ConnectPlan& plan, double patience_s) {
  std::vector<Pending> one(1);
  if (!session.budget.take(cost_of_connect(patience_s))) {
    one[0].question.port = plan.target.port;
    one[0].question.came = Came::kNotAsked;
    return {OpenSocket{}, one[0].question};
  }
  one[0].waiting = start(session, plan, one[0]);
  wait_for(session, one, patience_s, session.now() + patience_s + 0.1);
  add_what_was_heard(session, one[0].question);
  if (one[0].question.came != Came::kSynAck) return {OpenSocket{}, one[0].question};
  return {std::move(one[0].socket), one[0].question};
}

void add_what_was_heard(const Session& session, Question& q) {
  if (!session.tap || q.local_port == 0) return;
  session.tap->drain();
  for (const Heard& h : session.tap->heard()) {
    const double at = h.at_s - session.began_s;
    if (at < q.at_s - 0.01) continue;
    const std::uint8_t flags = h.header.flags;
    if (h.way == Way::kOut) {
      if (!h.icmp && h.source_port == q.local_port && h.destination_port == q.port && (flags & wire::Flag::kSyn)) ++q.syns;
      continue;
    }
    if (h.icmp) {
      if (h.source_port == q.local_port && h.destination_port == q.port && !q.icmp && !q.answered()) q.icmp = h.icmp;
      continue;
    }
    if (h.source_port != q.port || h.destination_port != q.local_port) continue;
    const bool syn_ack = (flags & wire::Flag::kSyn) && (flags & wire::Flag::kAck);
    if (syn_ack) ++q.syn_acks;
    const bool wanted = q.came == Came::kSynAck ? syn_ack : q.came == Came::kRst && (flags & wire::Flag::kRst);
    if (wanted && !q.header) q.header = h.header;
  }
}

}  // namespace tcpwhy::probe
