#include "host/icmp_errors.hpp"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>

namespace tcpwhy::host {
namespace {

constexpr std::uint8_t kTcp = 6, kUnreachable = 3, kTimeExceeded = 11, kFragmentationNeeded = 4, kUnreachable6 = 1, kTimeExceeded6 = 3;
constexpr int kFilter = 1;                         // linux/icmp.h ICMP_FILTER, at SOL_RAW
constexpr std::size_t kIp = 20, kIp6 = 40, kIcmp = 8, kPorts = 4;
constexpr int kAtOnce = 256;                       // a flood of errors must not hold up the rest

std::uint16_t port(std::span<const std::uint8_t> at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }

/// `inner`: the quoted header of our own segment (RFC 792; RFC 4443 3.1).
bool put_tuple(tw_event& e, std::span<const std::uint8_t> inner) {
  std::size_t header = kIp6;
  if (e.family == 4) {
    if (inner.size() < kIp) return false;
    header = static_cast<std::size_t>(inner[0] & 15) * 4;
    if (header < kIp || inner[9] != kTcp) return false;
  } else if (inner.size() < kIp6 || inner[6] != kTcp) {
    return false;
  }
  if (inner.size() < header + kPorts) return false;
  const std::size_t at = e.family == 4 ? 12 : 8, size = e.family == 4 ? 4 : 16;
  std::copy_n(inner.begin() + static_cast<std::ptrdiff_t>(at), size, e.local);
  std::copy_n(inner.begin() + static_cast<std::ptrdiff_t>(at + size), size, e.remote);
  e.local_port = port(inner.subspan(header, 2));
  e.remote_port = port(inner.subspan(header + 2, 2));
  return true;
}

}  // namespace

IcmpErrors IcmpErrors::open() {
  IcmpErrors out;
  out.four_ = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
  const std::uint32_t only = ~(1u << kUnreachable | 1u << kTimeExceeded);  // set bits are kept away
  if (out.four_ >= 0) (void)setsockopt(out.four_, SOL_RAW, kFilter, &only, sizeof only);
  out.six_ = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
  icmp6_filter only6{};
  ICMP6_FILTER_SETBLOCKALL(&only6);
  ICMP6_FILTER_SETPASS(kUnreachable6, &only6);
  ICMP6_FILTER_SETPASS(kTimeExceeded6, &only6);
  if (out.six_ >= 0) (void)setsockopt(out.six_, IPPROTO_ICMPV6, ICMP6_FILTER, &only6, sizeof only6);
  return out;
}

IcmpErrors::~IcmpErrors() {
  if (four_ >= 0) ::close(four_);
  if (six_ >= 0) ::close(six_);
}

void IcmpErrors::read(std::uint64_t now_ns, const std::function<void(tw_event&)>& each) const {
  std::array<std::uint8_t, 512> bytes{};
  const auto begin = [&](std::uint8_t family, std::uint8_t type, std::uint8_t code) {
    tw_event e{};
    e.time_ns = now_ns;
    e.kind = TW_ICMP;
    e.family = family;
    e.flags = TW_INCOMING;
    e.reason = static_cast<std::uint32_t>(type << 8 | code);
    return e;
  };
  for (int n = 0; four_ >= 0 && n < kAtOnce; ++n) {
    const ssize_t got = recv(four_, bytes.data(), bytes.size(), 0);
    if (got < static_cast<ssize_t>(kIp + kIcmp)) break;
    const std::span<const std::uint8_t> packet{bytes.data(), static_cast<std::size_t>(got)};
    const std::size_t header = static_cast<std::size_t>(packet[0] & 15) * 4;
    if (packet.size() < header + kIcmp) continue;
    tw_event e = begin(4, packet[header], packet[header + 1]);
    if (packet[header] == kUnreachable && packet[header + 1] == kFragmentationNeeded) continue;
    std::copy_n(packet.begin() + 12, 4, e.icmp_from);
    if (put_tuple(e, packet.subspan(header + kIcmp))) each(e);
  }
  for (int n = 0; six_ >= 0 && n < kAtOnce; ++n) {
    sockaddr_in6 from{};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(six_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < static_cast<ssize_t>(kIcmp)) break;
    const std::span<const std::uint8_t> packet{bytes.data(), static_cast<std::size_t>(got)};
    tw_event e = begin(6, packet[0], packet[1]);
    std::copy_n(from.sin6_addr.s6_addr, 16, e.icmp_from);
    if (put_tuple(e, packet.subspan(kIcmp))) each(e);
  }
}

}  // namespace tcpwhy::host
