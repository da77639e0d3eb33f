// How much room we offer. The buffer is counted in bytes of memory, the window in octets of data; `scaling`
// says how many of 256 bytes of memory are data. rcv_ssthresh opens the window gradually, so that a peer
// cannot fill the buffer with small segments before we know what its segments cost.

#include <algorithm>
#include <utility>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

std::uint32_t window_of(const Endpoint& e, std::int64_t space) {
  return space <= 0 ? 0 : static_cast<std::uint32_t>((space * e.scaling) >> 8);
}

std::uint32_t align_up(std::uint32_t n, std::uint32_t shift) {
  const std::uint32_t unit = 1u << shift;
  return (n + unit - 1) & ~(unit - 1);
}

}  // namespace

// Linux include/net/tcp.h tcp_full_space(), tcp_space().
std::uint32_t Kernel::full_space(const Endpoint& e) const { return window_of(e, rcvbuf_of(e.opt)); }

std::uint32_t Kernel::free_space(const Endpoint& e) const {
  return window_of(e, std::int64_t{rcvbuf_of(e.opt)} - e.rcv_memory);
}

/// What the peer may still send of what we offered. Linux tcp_receive_window().
std::uint32_t Kernel::receive_window(const Endpoint& e) const {
  return static_cast<std::uint32_t>(std::max(0, offset(e.rcv_nxt, e.rcv_wup + e.rcv_wnd)));
}

/// Linux net/ipv4/tcp_output.c __tcp_select_window(); RFC 9293 3.8.6.2.2: no silly windows.
std::uint32_t Kernel::wanted_window(Endpoint& e) const {
  std::uint32_t mss = e.ack.rcv_mss;
  std::uint32_t free = free_space(e);
  const std::uint32_t allowed = full_space(e);
  const std::uint32_t full = std::min(e.window_clamp, allowed);
  if (mss > full) {
    mss = full;
    if (mss == 0) return 0;
  }
  const std::uint32_t shift = e.neg.rcv_wscale;
  const bool may_shrink = config.sysctls.tcp_shrink_window && shift != 0;
  if (may_shrink) free = free >> shift << shift;
  if (free < full / 2) {
    e.ack.quick = 0;
    free = free >> shift << shift;
    if (free < allowed / 16 || free < mss || (may_shrink && free < (1u << shift))) return 0;
  }
  if (may_shrink) return free > e.rcv_ssthresh ? align_up(e.rcv_ssthresh, shift) : free;
  free = std::min(free, e.rcv_ssthresh);
  if (shift != 0) return align_up(free, shift);
  // Unscaled windows stay whole segments, and stay as they are while that is nearly true.
  const std::uint32_t now_offered = e.rcv_wnd;
  if (now_offered + mss <= free || now_offered > free) return free / mss * mss;
  if (mss == full && free > now_offered + full / 2) return free;
  return now_offered;
}

std::uint16_t Kernel::select_window(Endpoint& e) {
  const std::uint32_t shift = e.neg.rcv_wscale;
  const std::uint32_t old = e.rcv_wnd;
  const std::uint32_t current = receive_window(e);
  if (e.ack.no_memory) {
    // What came could not be kept: nothing more for now.
    e.slow_path = true;
    e.rcv_wnd = 0;
    e.rcv_wup = e.rcv_nxt;
    return 0;
  }
  std::uint32_t window = wanted_window(e);
  if (window < current && (!config.sysctls.tcp_shrink_window || shift == 0)) {
    // What was offered stays offered (RFC 9293 3.8.6: do not shrink the window).
    if (window == 0) count(Mib::kTCPWantZeroWindowAdv);
    window = align_up(current, shift);
  }
  e.rcv_wnd = window;
  e.rcv_wup = e.rcv_nxt;
  window = std::min(window, 65535u << shift) >> shift;
  if (window == 0) {
    e.slow_path = true;
    if (old != 0) count(Mib::kTCPToZeroWindowAdv);
  } else if (old == 0) {
    count(Mib::kTCPFromZeroWindowAdv);
  }
  return static_cast<std::uint16_t>(window);
}

/// rcv_ssthresh after a segment that was worth its memory. Linux tcp_grow_window().
void Kernel::grow_window(Endpoint& e, const Packet& p) {
  const std::uint32_t payload = p.payload_bytes;
  const std::uint32_t most = std::min(e.window_clamp, free_space(e));
  if (most <= e.rcv_ssthresh) return;
  const std::uint32_t memory = truesize(p);
  std::uint32_t more = 0;
  if (window_of(e, memory) <= payload) {
    more = 2 * e.advmss;
  } else {
    std::uint32_t cost = window_of(e, memory) / 2;
    std::uint32_t window = window_of(e, config.sysctls.tcp_rmem_max) / 2;
    while (e.rcv_ssthresh <= window && window != 0) {
      if (cost <= payload) {
        more = 2u * e.ack.rcv_mss;
        break;
      }
      cost /= 2;
      window /= 2;
    }
  }
  if (more == 0) return;
  e.rcv_ssthresh += std::min(most - e.rcv_ssthresh, std::max(more, 2 * payload));
  e.ack.quick |= 1;
}

/// Linux net/ipv4/tcp.c tcp_set_window_clamp(); TCP_WINDOW_CLAMP and what a segment's cost teaches.
void Kernel::clamp_window(Endpoint& e, std::uint32_t to) {
  constexpr std::uint32_t kLeast = 1152;  // half of SOCK_MIN_RCVBUF
  to = std::max(to, kLeast);
  if (to == e.window_clamp) return;
  if (to < e.window_clamp)
    e.rcv_ssthresh = std::min(e.rcv_ssthresh, to);
  else
    e.rcv_ssthresh = std::max(e.rcv_ssthresh, std::min(e.rcv_wnd, to));
  e.window_clamp = to;
}

/// A receive buffer for what a round trip brings now, twice, and for what lies beyond a hole. Linux tcp_rcvbuf_grow().
void Kernel::grow_buffer(Endpoint& e, std::uint32_t fresh) {
  const std::uint32_t old = std::exchange(e.rcv_space, fresh);
  if (!config.sysctls.tcp_moderate_rcvbuf || e.opt.rcvbuf_locked) return;
  std::uint64_t window = std::uint64_t{fresh} * 2;
  window += window * (fresh - old) / old * 2;
  if (!e.holes().empty()) window += distance(e.rcv_nxt, e.holes().back().right);
  const std::uint64_t wanted =
      std::min<std::uint64_t>((window << 8) / e.scaling, static_cast<std::uint64_t>(config.sysctls.tcp_rmem_max));
  if (wanted <= rcvbuf_of(e.opt)) return;
  e.opt.rcvbuf = static_cast<std::uint32_t>(wanted);
  e.window_clamp = window_of(e, static_cast<std::int64_t>(wanted));
}

/// The receive buffer follows what the program reads per round trip. Linux tcp_rcv_space_adjust().
void Kernel::adjust_space(Endpoint& e) {
  if (e.rcv_rtt8 == 0 || us_between(e.rcv_space_at, now) < e.rcv_rtt8 / 8) return;
  const std::int32_t copied = offset(e.rcv_space_seq, e.copied_seq) - offset(e.copied_seq, e.rcv_nxt);
  if (copied > static_cast<std::int32_t>(e.rcv_space) && e.rcv_space != 0) grow_buffer(e, static_cast<std::uint32_t>(copied));
  e.rcv_space_seq = e.copied_seq;
  e.rcv_space_at = now;
}

}  // namespace tcpwhy::model
