// decode(): the common path first, the walk through the layers for everything
// else. Nine packets of ten are Ethernet, IPv4 or IPv6 without options, TCP;
// they take one branch per layer and touch nothing twice.

#include "tcpwhy/decode.hpp"

#include "wire/bytes.hpp"
#include "wire/ether_type.hpp"
#include "wire/tcp.hpp"
#include "wire/walk.hpp"

namespace tcpwhy::wire {
namespace {

/// Deeper than any real stack of tunnels; a bound on time for invented ones.
constexpr int kMaxLayers = 48;

Walk walk_frame(const Frame& frame, Checksums checksums, Segment& out) {
  out = Segment{};
  Walk walk;
  walk.at = frame.data;
  walk.captured = frame.captured;
  walk.length = std::max(frame.captured, frame.original);
  walk.checksums = checksums;
  Next next = start_link(frame.link, walk, out);
  for (int layers = 0; next != Next::kDone; ++layers) {
    if (layers == kMaxLayers) {
      out.kind = Kind::kMalformed;
      break;
    }
    switch (next) {
      case Next::kEthernet: next = read_ethernet(walk, out); break;
      case Next::kEtherType: next = read_ether_type(walk, out); break;
      case Next::kLlc: next = read_llc(walk, out); break;
      case Next::kPpp: next = read_ppp(walk, out); break;
      case Next::kIp: next = read_ip(walk, out); break;
      case Next::kIpProtocol: next = read_ip_protocol(walk, out); break;
      case Next::kDone: break;
    }
  }
  return walk;
}

}  // namespace

void decode(const Frame& frame, Checksums checksums, Segment& out) noexcept {
  walk_frame(frame, checksums, out);
  if (checksums == Checksums::kVerify && out.kind == Kind::kTcp) check_tcp(out);
}

Fragment decode_fragment(const Frame& frame) noexcept {
  Segment ignored;
  return walk_frame(frame, Checksums::kSkip, ignored).fragment;
}

Neighbour decode_neighbour(const Frame& frame) noexcept {
  Segment ignored;
  return walk_frame(frame, Checksums::kSkip, ignored).neighbour;
}

void verify_checksum(Segment& segment, const Frame&) noexcept {
  if (segment.kind == Kind::kTcp) check_tcp(segment);
}

}  // namespace tcpwhy::wire
