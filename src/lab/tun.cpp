#ifdef TCPWHY_HOST

#include "lab/tun.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tcpwhy::lab {
namespace {

Error failed(std::string what) {
  const int why = errno;
  if (why == EPERM || why == EACCES)
    return {"lab.root", what + " needs root (CAP_NET_ADMIN); try sudo"};
  if (why == ENOENT || why == ENODEV) return {"lab.tun", what + ": there is no /dev/net/tun; modprobe tun"};
  return {"lab.tun", what + ": " + std::strerror(why)};
}

sockaddr internet(std::uint32_t ip) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(ip);
  sockaddr out{};
  std::memcpy(&out, &in, sizeof in);
  return out;
}

ifreq named(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

}  // namespace

Owned::~Owned() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Tun> Tun::open(const std::string& name) {
  Owned fd{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (fd.get() < 0) return failed("opening /dev/net/tun");
  ifreq request = named(name);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return failed("making the TUN device " + name);
  return Tun{std::move(fd), request.ifr_name};
}

std::optional<Error> Tun::configure(std::uint32_t ip, int prefix) const {
  const Owned control{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq address = named(name_), mask = named(name_), flags = named(name_);
  address.ifr_addr = internet(ip);
  mask.ifr_netmask = internet(prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix));
  flags.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(control.get(), SIOCSIFADDR, &address) != 0 || ::ioctl(control.get(), SIOCSIFNETMASK, &mask) != 0 ||
      ::ioctl(control.get(), SIOCSIFFLAGS, &flags) != 0)
    return failed("giving " + name_ + " its address");
  return std::nullopt;
}

std::optional<Error> Tun::configure6(const std::array<std::uint8_t, 16>& ours) const {
  const Owned control{::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq flags = named(name_), index = named(name_);
  flags.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(control.get(), SIOCGIFINDEX, &index) != 0 || ::ioctl(control.get(), SIOCSIFFLAGS, &flags) != 0)
    return failed("bringing " + name_ + " up");
  // A line without neighbours has no duplicates to look for: the address is usable at once.
  in6_ifreq address{};
  std::memcpy(&address.ifr6_addr, ours.data(), ours.size());
  address.ifr6_prefixlen = 128;
  address.ifr6_ifindex = index.ifr_ifindex;
  if (::ioctl(control.get(), SIOCSIFADDR, &address) != 0) return failed("giving " + name_ + " its IPv6 address");
  in6_rtmsg route{};
  route.rtmsg_flags = RTF_UP;
  route.rtmsg_metric = 1;
  route.rtmsg_ifindex = index.ifr_ifindex;
  if (::ioctl(control.get(), SIOCADDRT, &route) != 0) return failed("routing IPv6 through " + name_);
  return std::nullopt;
}

std::optional<Error> Tun::route_everything() const {
  const Owned control{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::string device = name_;
  rtentry route{};
  route.rt_dst = route.rt_genmask = internet(0);
  route.rt_flags = RTF_UP;
  route.rt_dev = device.data();
  if (::ioctl(control.get(), SIOCADDRT, &route) != 0) return failed("routing through " + name_);
  return std::nullopt;
}

std::span<const std::uint8_t> Tun::read(std::span<std::uint8_t> buffer) const {
  const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
  return buffer.first(got > 0 ? static_cast<std::size_t>(got) : 0);
}

bool Tun::write(std::span<const std::uint8_t> packet) const {
  return ::write(fd_.get(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
}

}  // namespace tcpwhy::lab

#endif  // TCPWHY_HOST
