// The kernel answers a dump in messages of up to 32 KiB if the reader's buffer
// has that room (af_netlink.c netlink_recvmsg()), so the buffer is large and the
// calls are few.

#include "host/sock_diag.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace tcpwhy::host {
namespace {

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 diag;
};

Error netlink_error(const char* what, int code) {
  return {"host.sock-diag", fmt::format("sock_diag: {}: {}", what, std::strerror(code))};
}

facts::Address address(int family, const __be32* raw) {
  facts::Address a;
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(raw);
  if (family == AF_INET) {
    std::memcpy(a.bytes.data(), bytes, 4);
  } else if (std::memcmp(bytes, kMapped, sizeof kMapped) == 0) {
    std::memcpy(a.bytes.data(), bytes + 12, 4);  // an IPv4 connection on an IPv6 socket
  } else {
    a.version = 6;
    std::memcpy(a.bytes.data(), bytes, 16);
  }
  return a;
}

/// Fields of tcp_info this kernel filled; it grows at its end.
template <class Field>
bool has(const rtattr* attribute, Field offset, std::size_t size) {
  return RTA_PAYLOAD(attribute) >= offset + size;
}

facts::SocketInfo info(const rtattr* attribute) {
  tcp_info raw{};
  std::memcpy(&raw, RTA_DATA(attribute), std::min<std::size_t>(RTA_PAYLOAD(attribute), sizeof raw));
  facts::SocketInfo out;
  out.last_data_sent_ms = raw.tcpi_last_data_sent;
  out.last_data_received_ms = raw.tcpi_last_data_recv;
  out.last_ack_received_ms = raw.tcpi_last_ack_recv;
  out.rto_us = raw.tcpi_rto;
  out.rtt_us = raw.tcpi_rtt;
  out.unacked = raw.tcpi_unacked;
  out.total_retrans = raw.tcpi_total_retrans;
  out.state = static_cast<State>(raw.tcpi_state);
  out.bytes_received = raw.tcpi_bytes_received;
  out.bytes_acked = raw.tcpi_bytes_acked;
  out.segments_in = raw.tcpi_segs_in;
  out.data_segments_out = raw.tcpi_data_segs_out;
  // tcpi_snd_wnd came with 5.4, tcpi_rcv_wnd with 6.2; they follow tcpi_dsack_dups and tcpi_reord_seen.
  constexpr std::size_t kSendWindow = offsetof(tcp_info, tcpi_snd_wnd), kReceiveWindow = kSendWindow + 4;
  const auto* bytes = static_cast<const char*>(RTA_DATA(attribute));
  out.send_window = out.receive_window = facts::SocketInfo::kUntold;
  if (has(attribute, kSendWindow, 4)) std::memcpy(&out.send_window, bytes + kSendWindow, 4);
  if (has(attribute, kReceiveWindow, 4)) std::memcpy(&out.receive_window, bytes + kReceiveWindow, 4);
  return out;
}

/// One answer, without its attributes.
facts::Socket header_of(const inet_diag_msg& m) {
  facts::Socket s;
  s.local = {address(m.idiag_family, m.id.idiag_src), ntohs(m.id.idiag_sport)};
  s.remote = {address(m.idiag_family, m.id.idiag_dst), ntohs(m.id.idiag_dport)};
  s.cookie = static_cast<std::uint64_t>(m.id.idiag_cookie[1]) << 32 | m.id.idiag_cookie[0];
  s.inode = m.idiag_inode;
  s.uid = m.idiag_uid;
  s.receive_queue = m.idiag_rqueue;
  s.send_queue = m.idiag_wqueue;
  s.expires_ms = m.idiag_expires;
  s.state = static_cast<State>(m.idiag_state);
  s.timer = m.idiag_timer <= 4 ? static_cast<facts::SocketTimer>(m.idiag_timer) : facts::SocketTimer::kNone;
  s.retries = m.idiag_retrans;
  return s;
}

/// Calls `each(message)` for every message of a dump or a batch until `more` says that is all.
template <class Each>
Result<std::uint64_t> receive(int fd, std::vector<char>& buffer, Each&& each) {
  for (;;) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      return netlink_error("receiving", errno);
    }
    if (n == 0) return netlink_error("receiving", EPIPE);
    auto left = static_cast<std::uint32_t>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      const Result<bool> more = each(*h);
      if (!more) return more.error();
      if (!*more) return std::uint64_t{0};
    }
  }
}

int error_of(const nlmsghdr& h) {
  if (h.nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) return EIO;
  return -static_cast<const nlmsgerr*>(NLMSG_DATA(&h))->error;
}

Result<std::uint64_t> ask(int fd, int family, std::uint32_t states, SockDiag::Detail detail) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.diag.sdiag_family = static_cast<std::uint8_t>(family);
  request.diag.sdiag_protocol = IPPROTO_TCP;
  request.diag.idiag_states = states;
  switch (detail) {
    case SockDiag::Detail::kHeader: break;
    case SockDiag::Detail::kInfo: request.diag.idiag_ext = 1u << (INET_DIAG_INFO - 1); break;
    case SockDiag::Detail::kDrops: request.diag.idiag_ext = 1u << (INET_DIAG_SKMEMINFO - 1); break;
  }
  if (send(fd, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
    return netlink_error("asking", errno);
  return std::uint64_t{0};
}

}  // namespace

SockDiag::SockDiag(int fd) : fd_{fd}, buffer_(std::size_t{1} << 18) {}
SockDiag::~SockDiag() {
  if (fd_ >= 0) close(fd_);
}

Result<SockDiag> SockDiag::open() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return netlink_error("this kernel has no NETLINK_SOCK_DIAG", errno);
  const int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return SockDiag{fd};
}

Result<std::uint64_t> SockDiag::dump(int family, std::uint32_t states, Detail detail, const Take& take) {
  if (auto asked = ask(fd_, family, states, detail); !asked) return asked;
  std::uint64_t sockets = 0;
  auto done = receive(fd_, buffer_, [&](const nlmsghdr& h) -> Result<bool> {
    if (h.nlmsg_type == NLMSG_DONE) return false;
    if (h.nlmsg_type == NLMSG_ERROR) return netlink_error("the kernel refused the dump", error_of(h));
    if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return true;
    const auto* m = static_cast<const inet_diag_msg*>(NLMSG_DATA(&h));
    facts::Socket s = header_of(*m);
    facts::SocketInfo extra;
    bool has_info = false;
    auto left = static_cast<int>(h.nlmsg_len - NLMSG_LENGTH(sizeof *m));
    for (auto* a = reinterpret_cast<const rtattr*>(m + 1); RTA_OK(a, left);) {
      const std::size_t room = RTA_PAYLOAD(a);
      if (a->rta_type == INET_DIAG_CGROUP_ID && room >= 8) std::memcpy(&s.cgroup, RTA_DATA(a), 8);
      if (a->rta_type == INET_DIAG_MARK && room >= 4) std::memcpy(&s.mark, RTA_DATA(a), 4);
      if (a->rta_type == INET_DIAG_INFO && room >= 100) {
        extra = info(a);
        has_info = true;
      }
      if (a->rta_type == INET_DIAG_SKMEMINFO && room >= (SK_MEMINFO_DROPS + 1) * 4) {
        std::memcpy(&extra.drops, static_cast<const char*>(RTA_DATA(a)) + SK_MEMINFO_DROPS * 4, 4);
        has_info = true;
      }
      const auto step = RTA_ALIGN(a->rta_len);
      left -= static_cast<int>(step);
      a = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(a) + step);
    }
    ++sockets;
    take(s, has_info ? &extra : nullptr);
    return true;
  });
  if (!done) return done;
  return sockets;
}

Result<std::uint64_t> SockDiag::look_up(std::span<const facts::Socket* const> sockets,
                                        const std::function<void(std::size_t, const facts::SocketInfo&)>& take) {
  static constexpr std::size_t kBatch = 64;
  std::uint64_t found = 0;
  for (std::size_t first = 0; first < sockets.size(); first += kBatch) {
    const std::size_t n = std::min(kBatch, sockets.size() - first);
    std::array<Request, kBatch> batch{};
    for (std::size_t i = 0; i < n; ++i) {
      const facts::Socket& s = *sockets[first + i];
      Request& r = batch[i];
      r.header = {sizeof(Request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_ACK, static_cast<std::uint32_t>(first + i), 0};
      // An IPv4 connection of an IPv6 socket is found by its IPv4 addresses too (inet_diag_find_one_icsk()).
      const bool v4 = s.local.address.version == 4;
      r.diag.sdiag_family = v4 ? AF_INET : AF_INET6;
      r.diag.sdiag_protocol = IPPROTO_TCP;
      r.diag.idiag_ext = 1u << (INET_DIAG_INFO - 1);
      r.diag.idiag_states = kAllStates;
      r.diag.id.idiag_sport = htons(s.local.port);
      r.diag.id.idiag_dport = htons(s.remote.port);
      std::memcpy(r.diag.id.idiag_src, s.local.address.bytes.data(), v4 ? 4 : 16);
      std::memcpy(r.diag.id.idiag_dst, s.remote.address.bytes.data(), v4 ? 4 : 16);
      r.diag.id.idiag_cookie[0] = static_cast<std::uint32_t>(s.cookie);
      r.diag.id.idiag_cookie[1] = static_cast<std::uint32_t>(s.cookie >> 32);
    }
    const std::size_t bytes = n * sizeof(Request);
    if (send(fd_, batch.data(), bytes, 0) != static_cast<ssize_t>(bytes)) return netlink_error("asking", errno);
    // Each question is answered by an error or by an acknowledgement after its answer.
    std::size_t acknowledged = 0;
    auto done = receive(fd_, buffer_, [&](const nlmsghdr& h) -> Result<bool> {
      if (h.nlmsg_type == NLMSG_ERROR) return ++acknowledged < n;
      if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return true;
      const auto* m = static_cast<const inet_diag_msg*>(NLMSG_DATA(&h));
      auto left = static_cast<int>(h.nlmsg_len - NLMSG_LENGTH(sizeof *m));
      for (auto* a = reinterpret_cast<const rtattr*>(m + 1); RTA_OK(a, left);) {
        if (a->rta_type == INET_DIAG_INFO && RTA_PAYLOAD(a) >= 100 && h.nlmsg_seq < sockets.size()) {
          ++found;
          take(h.nlmsg_seq, info(a));
        }
        const auto step = RTA_ALIGN(a->rta_len);
        left -= static_cast<int>(step);
        a = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(a) + step);
      }
      return true;
    });
    if (!done) return done;
  }
  return found;
}

}  // namespace tcpwhy::host
