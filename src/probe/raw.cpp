#include "probe/raw.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "probe/sockaddr.hpp"
#include "probe/tap.hpp"

namespace tcpwhy::probe {

using facts::Ask;
using facts::Came;
using facts::Question;

Result<std::unique_ptr<RawSender>> RawSender::open() {
  const int v4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (v4 < 0) return Error{"probe.raw", fmt::format("no raw socket: {}", std::strerror(errno))};
  const int v6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);  // may be missing
  return std::unique_ptr<RawSender>{new RawSender{v4, v6}};
}

RawSender::~RawSender() {
  close(v4_);
  if (v6_ >= 0) close(v6_);
}

int RawSender::send(const wire::Draft& draft) const {
  const std::vector<std::uint8_t> bytes = wire::encode(draft, wire::Around::kNothing);
  facts::Endpoint to;
  to.address.version = draft.ip_version;
  to.address.bytes = draft.destination;
  const SockAddr address = to_sockaddr(to);
  const int fd = draft.ip_version == 4 ? v4_ : v6_;
  return sendto(fd, bytes.data(), bytes.size(), 0, address.get(), address.size) < 0 ? errno : 0;
}

ReservedPort::ReservedPort(const facts::Address& source) {
  fd_ = socket(family_of(source), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd_ < 0) return;
  const SockAddr local = to_sockaddr({source, 0});
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (bind(fd_, local.get(), local.size) == 0 && getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) == 0)
    port_ = from_sockaddr(&own).port;
}
ReservedPort::~ReservedPort() {
  if (fd_ >= 0) close(fd_);
}

wire::Draft draft_to(const facts::Address& source, std::uint16_t local_port, const facts::Endpoint& target) {
  wire::Draft d;
  d.ip_version = target.address.version;
  d.source = source.bytes;
  d.destination = target.address.bytes;
  d.source_port = local_port;
  d.destination_port = target.port;
  return d;
}

namespace {

std::uint32_t random_word() {
  std::uint32_t out = 0;
  (void)!getrandom(&out, sizeof out, 0);
  return out;
}

/// The first answer to it.
bool hear(const Session& session, Question& q) {
  session.tap->drain();
  for (const Heard& h : session.tap->heard()) {
    const double at = h.at_s - session.began_s;
    if (h.way != Way::kIn || at < q.at_s) continue;
    if (h.icmp) {
      if (h.source_port != q.local_port || h.destination_port != q.port) continue;
      q.icmp = h.icmp;
      q.came = Came::kIcmp;
      q.took_s = at - q.at_s;
      return true;
    }
    if (h.source_port != q.port || h.destination_port != q.local_port) continue;
    const std::uint8_t flags = h.header.flags;
    q.header = h.header;
    q.took_s = at - q.at_s;
    q.came = (flags & wire::Flag::kRst) ? Came::kRst : (flags & wire::Flag::kSyn) ? Came::kSynAck : Came::kAck;
    return true;
  }
  return false;
}

}  // namespace

std::vector<Question> ask_raw(Session& session, const facts::Address& source, std::span<const RawPlan> plans, double patience_s) {
  std::vector<Question> out;
  for (const RawPlan& plan : plans) {
    Question q;
    q.ask = plan.ask;
    q.port = plan.target.port;
    q.tsval = plan.tsval;
    q.came = Came::kNotAsked;
    const ReservedPort port{source};
    q.local_port = port.port();
    if (!session.stopped() && port.port() != 0 && session.budget.take(2)) {  // and this kernel's RST
      wire::Draft d = draft_to(source, port.port(), plan.target);
      d.seq = SeqNum{random_word()};
      d.window = 64240;
      if (plan.ask == Ask::kAck) {
        d.flags = wire::Flag::kAck;
        d.ack = SeqNum{random_word()};
      } else {
        d.flags = wire::Flag::kSyn;
        d.mss = 1460;
        d.sack_permitted = wire::SackPermitted::kYes;
        d.window_scale = 7;
        if (plan.tsval) d.timestamps = wire::Timestamps{*plan.tsval, 0};
      }
      session.pace();
      q.at_s = session.now();
      q.came = Came::kNothing;
      if (const int error = session.raw->send(d); error != 0) {
        q.came = Came::kLocal;
        q.error = error;
      }
      while (q.came == Came::kNothing && session.now() - q.at_s < patience_s && !session.stopped()) {
        pollfd p{session.tap->descriptor(), POLLIN, 0};
        (void)poll(&p, 1, 20);
        if (hear(session, q)) break;
      }
      if (q.came == Came::kNothing) q.took_s = session.now() - q.at_s;
      if (q.came == Came::kSynAck) session.wait(0.01);  // the port is held until this kernel has reset it
      else session.budget.give_back(1);
    }
    out.push_back(q);
  }
  return out;
}

}  // namespace tcpwhy::probe
