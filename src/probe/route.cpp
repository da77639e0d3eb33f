#include "probe/route.hpp"

#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include "probe/sockaddr.hpp"

namespace tcpwhy::probe {
namespace {

/// One question to rtnetlink; every message of the answer goes to `take`. 0 or errno.
int ask(std::vector<char>& request, const std::function<void(const nlmsghdr&)>& take) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return errno;
  const timeval patience{1, 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  int status = 0;
  if (send(fd, request.data(), request.size(), 0) < 0) status = errno;
  alignas(nlmsghdr) char buffer[16384];
  bool more = status == 0;
  while (more) {
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    int left = static_cast<int>(got);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, static_cast<unsigned>(left)); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type == NLMSG_DONE) {
        more = false;
      } else if (h->nlmsg_type == NLMSG_ERROR) {
        nlmsgerr e{};
        std::memcpy(&e, NLMSG_DATA(h), sizeof e);
        status = -e.error;
        more = false;
      } else {
        take(*h);
        more = (h->nlmsg_flags & NLM_F_MULTI) != 0;
      }
    }
  }
  close(fd);
  return status;
}

template <class Body>
std::vector<char> message(std::uint16_t type, std::uint16_t flags, const Body& body) {
  std::vector<char> out(NLMSG_SPACE(sizeof body));
  nlmsghdr h{};
  h.nlmsg_len = static_cast<std::uint32_t>(out.size());
  h.nlmsg_type = type;
  h.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  h.nlmsg_seq = 1;
  std::memcpy(out.data(), &h, sizeof h);
  std::memcpy(out.data() + NLMSG_HDRLEN, &body, sizeof body);
  return out;
}

void append(std::vector<char>& to, std::uint16_t type, const void* data, std::size_t size) {
  const std::size_t at = to.size();
  to.resize(at + RTA_SPACE(size));
  rtattr a{};
  a.rta_type = type;
  a.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
  std::memcpy(to.data() + at, &a, sizeof a);
  std::memcpy(to.data() + at + RTA_LENGTH(0), data, size);
  nlmsghdr h{};
  std::memcpy(&h, to.data(), sizeof h);
  h.nlmsg_len = static_cast<std::uint32_t>(to.size());
  std::memcpy(to.data(), &h, sizeof h);
}

facts::Address address_of(const rtattr* a, std::uint8_t version) {
  facts::Address out;
  out.version = version;
  std::memcpy(out.bytes.data(), RTA_DATA(a), std::min<std::size_t>(RTA_PAYLOAD(a), version == 4 ? 4 : 16));
  return out;
}

std::uint32_t word_of(const rtattr* a) {
  std::uint32_t out = 0;
  std::memcpy(&out, RTA_DATA(a), std::min<std::size_t>(RTA_PAYLOAD(a), sizeof out));
  return out;
}

std::uint32_t mtu_of(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  const bool known = ioctl(fd, SIOCGIFMTU, &request) == 0;
  close(fd);
  return known ? static_cast<std::uint32_t>(request.ifr_mtu) : 0;
}

}  // namespace

facts::ProbeRoute read_route(const facts::Address& target) {
  facts::ProbeRoute out;
  const std::uint8_t version = target.version;
  rtmsg body{};
  body.rtm_family = static_cast<unsigned char>(family_of(target));
  body.rtm_dst_len = version == 4 ? 32 : 128;
  std::vector<char> request = message(RTM_GETROUTE, 0, body);
  append(request, RTA_DST, target.bytes.data(), version == 4 ? 4 : 16);
  std::uint32_t metric_mtu = 0;
  unsigned char kind = RTN_UNICAST;
  out.error = ask(request, [&](const nlmsghdr& h) {
    if (h.nlmsg_type != RTM_NEWROUTE) return;
    const auto* r = static_cast<const rtmsg*>(NLMSG_DATA(&h));
    kind = r->rtm_type;
    int left = static_cast<int>(RTM_PAYLOAD(&h));
    for (const rtattr* a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
      if (a->rta_type == RTA_PREFSRC) out.source = address_of(a, version);
      if (a->rta_type == RTA_GATEWAY) out.gateway = address_of(a, version);
      if (a->rta_type == RTA_OIF) {
        char name[IF_NAMESIZE] = {};
        if (if_indextoname(word_of(a), name) != nullptr) out.interface = name;
      }
      if (a->rta_type == RTA_METRICS) {
        int inner = static_cast<int>(RTA_PAYLOAD(a));
        for (const auto* m = static_cast<const rtattr*>(RTA_DATA(a)); RTA_OK(m, inner); m = RTA_NEXT(m, inner))
          if (m->rta_type == RTAX_MTU) metric_mtu = word_of(m);
      }
    }
  });
  if (kind == RTN_UNREACHABLE) out.error = EHOSTUNREACH;
  if (kind == RTN_PROHIBIT) out.error = EACCES;
  if (kind == RTN_BLACKHOLE) out.error = EINVAL;
  out.mtu = out.interface.empty() ? 0 : mtu_of(out.interface);
  if (metric_mtu != 0 && (out.mtu == 0 || metric_mtu < out.mtu)) out.mtu = metric_mtu;
  if (!out.source) {  // IPv6 often leaves it out: a datagram socket's connect() chooses, and sends nothing
    const int fd = socket(family_of(target), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const SockAddr to = to_sockaddr({target, 9});
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (fd >= 0 && connect(fd, to.get(), to.size) == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0)
      out.source = from_sockaddr(&own).address;
    if (fd >= 0) close(fd);
  }
  return out;
}

std::string read_neighbour(const facts::Address& next_hop) {
  std::string out;
  ndmsg body{};
  body.ndm_family = static_cast<unsigned char>(family_of(next_hop));
  std::vector<char> request = message(RTM_GETNEIGH, NLM_F_DUMP, body);
  (void)ask(request, [&](const nlmsghdr& h) {
    if (h.nlmsg_type != RTM_NEWNEIGH) return;
    const auto* n = static_cast<const ndmsg*>(NLMSG_DATA(&h));
    int left = static_cast<int>(h.nlmsg_len) - static_cast<int>(NLMSG_LENGTH(sizeof *n));
    const auto* a = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(n) + NLMSG_ALIGN(sizeof *n));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
      if (a->rta_type != NDA_DST || address_of(a, next_hop.version) != next_hop) continue;
      switch (n->ndm_state) {
        case NUD_REACHABLE: out = "REACHABLE"; break;
        case NUD_STALE: out = "STALE"; break;
        case NUD_DELAY: out = "DELAY"; break;
        case NUD_PROBE: out = "PROBE"; break;
        case NUD_INCOMPLETE: out = "INCOMPLETE"; break;
        case NUD_FAILED: out = "FAILED"; break;
        case NUD_PERMANENT: out = "PERMANENT"; break;
        case NUD_NOARP: out = "NOARP"; break;
        default: break;
      }
    }
  });
  return out;
}

}  // namespace tcpwhy::probe
