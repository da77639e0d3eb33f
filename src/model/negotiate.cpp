// What the two SYNs agree on, and the first window. The peer's options count only as far as this host's
// settings let them; the window offered first is whole segments of what the receive buffer holds, and the
// window scale is chosen for the largest buffer there could ever be.

#include <algorithm>
#include <bit>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Flag = wire::Flag;

constexpr std::uint32_t kMaxWindowScale = 14;            // TCP_MAX_WSCALE; RFC 7323 2.3
constexpr std::uint32_t kUnlimitedWindow = 65535u << kMaxWindowScale;
constexpr std::uint32_t kTcpHeader = 20;

constexpr std::uint32_t ip_header(std::uint8_t version) { return version == 4 ? 20 : 40; }

/// How many segments a first window may hold; 0: as many as the buffer. Linux tcp_default_init_rwnd(), gone
/// since a337531b942b ("tcp: up initial rmem to 128KB and SYN rwin to around 64KB").
std::uint32_t first_segments(const KernelProfile& kernel, std::uint32_t mss) {
  if (kernel.initial_window >= 65535) return 0;
  const std::uint32_t segments = kernel.initial_window / 1460;
  if (mss <= 1460) return segments;
  // 2.6.32 followed RFC 3390 to the letter: four, three or two segments.
  if (segments == 4) return mss > 3 * 1460 ? 2 : 3;
  return std::max(1460 * segments / mss, 2u);
}

}  // namespace

std::uint32_t Kernel::rcvbuf_of(const Options& opt) const {
  return opt.rcvbuf ? opt.rcvbuf : static_cast<std::uint32_t>(config.sysctls.tcp_rmem_default);
}

// Linux dst_metric_advmss(), tcp_mss_clamp(): what fits the link, at least 256, or less by TCP_MAXSEG.
std::uint16_t Kernel::advertised_mss(const Options& opt, const Address& remote) const {
  const std::uint32_t headers = ip_header(remote.version) + kTcpHeader;
  const std::uint32_t mtu = path_mtu(remote);
  const std::uint32_t room = mtu > headers ? mtu - headers : 0u;
  const std::uint32_t mss = std::clamp(room, 256u, 65535u - headers);
  return static_cast<std::uint16_t>(opt.user_mss && opt.user_mss < mss ? opt.user_mss : mss);
}

// Linux net/ipv4/tcp_output.c tcp_select_initial_window().
Kernel::Window Kernel::initial_window(const Options& opt, std::uint32_t mss, bool scaling) const {
  const auto full = static_cast<std::uint32_t>(
      (std::uint64_t{rcvbuf_of(opt)} * static_cast<std::uint32_t>(config.kernel.window_share)) >> 8);
  std::uint32_t clamp = opt.window_clamp;
  if (opt.rcvbuf_locked && (clamp > full || clamp == 0)) clamp = full;
  if (clamp == 0) clamp = kUnlimitedWindow;
  std::uint32_t space = std::min(clamp, full);
  if (space > mss && mss > 0) space -= space % mss;
  Window w;
  w.rcv_wnd = space;
  if (const std::uint32_t segments = first_segments(config.kernel, mss))
    w.rcv_wnd = std::min(w.rcv_wnd, segments * mss);
  if (scaling) {
    const auto largest =
        static_cast<std::uint32_t>(std::max(config.sysctls.tcp_rmem_max, config.sysctls.rmem_max));
    space = std::min(std::max(space, largest), clamp);
    const int bits = static_cast<int>(std::bit_width(space)) - 1;
    w.wscale = static_cast<std::uint8_t>(std::clamp(bits - 15, 0, static_cast<int>(kMaxWindowScale)));
  }
  w.clamp = std::min(65535u << w.wscale, clamp);
  return w;
}

// Linux net/ipv4/tcp_input.c tcp_parse_options() on a SYN.
Negotiated Kernel::read_options(const Packet& syn, const Options& opt) const {
  const Sysctls& s = config.sysctls;
  Negotiated n;
  n.mss_clamp = static_cast<std::uint16_t>(syn.source.version == 4 ? kMssDefault : kDefaultMss6);
  if (syn.has(Opt::kMss) && syn.mss != 0)
    n.mss_clamp = opt.user_mss && opt.user_mss < syn.mss ? opt.user_mss : syn.mss;
  if (syn.has(Opt::kWindowScale) && s.tcp_window_scaling) {
    n.window_scaling = true;
    // RFC 7323 2.3: a larger shift is logged and taken as 14.
    n.snd_wscale = static_cast<std::uint8_t>(std::min<std::uint32_t>(syn.window_scale, kMaxWindowScale));
  }
  n.timestamps = syn.has(Opt::kTimestamps) && s.tcp_timestamps != 0;
  n.sack = syn.has(Opt::kSackPermitted) && s.tcp_sack != 0;
  return n;
}

// Linux tcp_openreq_init(), tcp_ecn_create_request().
void Kernel::negotiate_request(Request& r, const Packet& syn, const Options& opt) {
  r.neg = read_options(syn, opt);
  r.ts_recent = syn.has(Opt::kTimestamps) && r.neg.timestamps ? syn.tsval : 0;
  // A SYN that is itself marked ECT does not follow RFC 3168 6.1.1: no ECN with such a peer.
  const bool asked = (syn.flags & Flag::kEce) && (syn.flags & Flag::kCwr);
  r.neg.ecn = asked && (syn.tos & 3u) == 0 && config.sysctls.tcp_ecn != 0;
}

// Linux net/ipv4/tcp_minisocks.c tcp_openreq_init_rwin().
void Kernel::open_window(Request& r, const Options& opt) {
  r.advmss = advertised_mss(opt, r.tuple.remote);
  const std::uint32_t options = r.neg.timestamps ? kTimestampBytes : 0;
  const Window w = initial_window(opt, r.advmss - options, r.neg.window_scaling);
  r.rcv_wnd = w.rcv_wnd;
  r.window_clamp = w.clamp;
  r.neg.rcv_wscale = w.wscale;
}

// Linux net/ipv4/tcp_output.c tcp_sync_mss(), tcp_bound_to_half_wnd().
void Kernel::set_mss(Endpoint& e, std::uint32_t pmtu) {
  const std::uint32_t headers = ip_header(e.tuple.local.version) + kTcpHeader;
  std::uint32_t mss = pmtu > headers ? pmtu - headers : 0u;
  mss = std::min<std::uint32_t>(mss, e.neg.mss_clamp);
  mss = std::max(mss, static_cast<std::uint32_t>(config.sysctls.tcp_min_snd_mss));
  const std::uint32_t options = e.neg.timestamps ? kTimestampBytes : 0;
  mss -= std::min(mss, options);
  const std::uint32_t cutoff = e.max_window > kMssDefault ? e.max_window / 2 : e.max_window;
  if (cutoff != 0 && mss > cutoff) mss = std::max(cutoff, 68u - (kTcpHeader + options));
  e.pmtu = pmtu;
  e.mss = mss;
}

// Linux net/ipv4/tcp_input.c tcp_initialize_rcv_mss().
void Kernel::first_rcv_mss(Endpoint& e) const {
  const std::uint32_t hint = std::min({e.advmss, e.mss, e.rcv_wnd / 2, kMssDefault});
  e.ack.rcv_mss = std::max(hint, kMinMss);
}

// Up to 4.12 the timestamp clock is jiffies; since then milliseconds, which have nothing to do with where
// between two ticks we are, but with how long the host has been up.
std::uint32_t Kernel::clock_tsval(std::uint32_t offset) const {
  const bool ticks = config.kernel.timestamp_hz == config.kernel.hz;
  const Duration ahead = ticks ? jiffies_lead() : config.tick_phase / tick() * tick();
  const Duration since = now.time_since_epoch() + ahead;
  return static_cast<std::uint32_t>(since / Duration{1'000'000'000 / config.kernel.timestamp_hz}) + offset;
}

// Linux net/ipv4/tcp_input.c tcp_init_buffer_space().
void Kernel::bound_window(Endpoint& e) {
  e.rcv_space_at = now;
  e.rcv_space_seq = e.copied_seq;
  const std::uint32_t most = full_space(e);
  const auto app = static_cast<std::uint32_t>(config.sysctls.tcp_app_win);
  if (e.window_clamp >= most) {
    e.window_clamp = most;
    if (app != 0 && most > 4 * e.advmss)
      e.window_clamp = std::max(most - (app < 32 ? most >> app : 0u), 4 * e.advmss);
  }
  // One segment is kept back.
  if (app != 0 && e.window_clamp > 2 * e.advmss && e.window_clamp + e.advmss > most)
    e.window_clamp = std::max(2 * e.advmss, most > e.advmss ? most - e.advmss : 0u);
  e.rcv_ssthresh = std::min(e.rcv_ssthresh, e.window_clamp);
  e.rcv_space = std::min(
      {e.rcv_ssthresh, e.rcv_wnd, static_cast<std::uint32_t>(config.kernel.initial_cwnd) * e.advmss});
}

// Linux net/ipv4/tcp_input.c tcp_init_transfer(), net/ipv4/tcp_metrics.c tcp_init_metrics() with nothing
// remembered.
void Kernel::enter_established(Endpoint& e) {
  e.ssthresh = kInfiniteSsthresh;
  if (e.srtt8 == 0) {
    // RFC 6298 5.7: the handshake gave no sample, so that data starts with 3 s.
    e.rttvar = static_cast<std::uint32_t>(kTimeoutFallback / std::chrono::microseconds{1});
    e.mdev4 = e.mdev_max = e.rttvar;
    e.rto = kTimeoutFallback;
  }
  const bool repeated = e.retrans_total > 1 && e.undo_marker != SeqNum{};
  e.cwnd = repeated ? 1 : static_cast<std::uint32_t>(config.kernel.initial_cwnd);
  set_pacing_rate(e);
  bound_window(e);
  expand_sndbuf(e);
}

}  // namespace tcpwhy::model
