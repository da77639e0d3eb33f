#include "probe/tap.hpp"

#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "probe/session.hpp"
#include "probe/sockaddr.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::probe {
namespace {

/// A busy host must not fill the memory: no run of the probe hears as many.
constexpr std::size_t kMostHeard = 20'000;

sock_filter load_byte(std::uint32_t at) { return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at); }
sock_filter load_word(std::uint32_t at) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at); }
sock_filter equal(std::uint32_t k, std::uint8_t yes, std::uint8_t no) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no); }

std::uint32_t word(const facts::Address& a, std::size_t n) {
  std::uint32_t raw = 0;
  std::memcpy(&raw, a.bytes.data() + 4 * n, 4);
  return ntohl(raw);
}

/// ICMP of the family, and TCP from or to the address.
std::vector<sock_filter> filter_of(const facts::Address& a) {
  const sock_filter accept = BPF_STMT(BPF_RET | BPF_K, 0x40000), drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_filter version = BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0);
  if (a.version == 4)
    return {load_byte(0), version, equal(0x40, 0, 7),                  // 2: else to drop at 10
            load_byte(9), equal(IPPROTO_ICMP, 6, 0),                   // 4: to accept at 11
            equal(IPPROTO_TCP, 0, 4),                                  // 5: else to drop
            load_word(12), equal(word(a, 0), 3, 0),                    // 7: to accept
            load_word(16), equal(word(a, 0), 1, 0), drop, accept};     // 9
  return {load_byte(0), version, equal(0x60, 0, 19),                   // 2: else to drop at 22
          load_byte(6), equal(IPPROTO_ICMPV6, 18, 0),                  // 4: to accept at 23
          equal(IPPROTO_TCP, 0, 16),                                   // 5
          load_word(8), equal(word(a, 0), 0, 6),                       // 7: else to the destination at 14
          load_word(12), equal(word(a, 1), 0, 4),                      // 9
          load_word(16), equal(word(a, 2), 0, 2),                      // 11
          load_word(20), equal(word(a, 3), 9, 0),                      // 13: to accept
          load_word(24), equal(word(a, 0), 0, 6),                      // 15: else drop
          load_word(28), equal(word(a, 1), 0, 4),                      // 17
          load_word(32), equal(word(a, 2), 0, 2),                      // 19
          load_word(36), equal(word(a, 3), 1, 0), drop, accept};       // 21
}

void copy_address(const std::uint8_t* from, std::uint8_t version, facts::Address& to) {
  to.version = version;
  if (from != nullptr) std::memcpy(to.bytes.data(), from, version == 4 ? 4 : 16);
}

}  // namespace

Result<std::unique_ptr<Tap>> Tap::open() {
  const int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
  if (fd < 0) return Error{"probe.tap", fmt::format("no packet socket: {}", std::strerror(errno))};
  // Nothing until watch().
  sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{1, nothing};
  (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  return std::unique_ptr<Tap>{new Tap{fd}};
}

Tap::~Tap() { close(fd_); }

void Tap::watch(const facts::Address& address) {
  std::vector<sock_filter> code = filter_of(address);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  (void)setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  drain();
  address_ = address;
  heard_.clear();
  sent_ = 0;
}

void Tap::drain() {
  std::uint8_t bytes[2048];
  for (;;) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(fd_, bytes, sizeof bytes, MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) return;
    Frame frame;
    frame.data = bytes;
    frame.original = static_cast<std::uint32_t>(got);
    frame.captured = std::min<std::uint32_t>(frame.original, sizeof bytes);
    frame.link = LinkType::kRaw;
    wire::Segment s;
    wire::decode(frame, wire::Checksums::kSkip, s);
    if (s.kind != wire::Kind::kTcp && s.kind != wire::Kind::kIcmpError) continue;
    Heard h;
    h.way = from.sll_pkttype == PACKET_OUTGOING ? Way::kOut : Way::kIn;
    h.at_s = monotonic_s();
    copy_address(s.source, s.ip_version, h.source);
    copy_address(s.destination, s.ip_version, h.destination);
    h.source_port = s.source_port;
    h.destination_port = s.destination_port;
    h.header = {.ttl = s.ttl, .ip_id = s.ip_id, .window = s.window, .mss = s.mss, .options = s.options, .seq = s.seq, .ack = s.ack, .flags = s.flags};
    h.payload_bytes = s.payload_bytes;
    h.tsval = s.tsval;
    h.tsecr = s.tsecr;
    if (s.kind == wire::Kind::kIcmpError) {
      if (h.destination != address_) continue;  // about somebody else's packet
      facts::IcmpWord icmp;
      copy_address(s.icmp_sender, s.ip_version, icmp.sender);
      icmp.version = s.ip_version;
      icmp.type = s.icmp_type;
      icmp.code = s.icmp_code;
      icmp.mtu = s.icmp_mtu;
      h.icmp = icmp;
    } else if (h.way == Way::kOut && h.destination == address_) {
      ++sent_;
    }
    if (heard_.size() < kMostHeard) heard_.push_back(h);
  }
}

}  // namespace tcpwhy::probe
