// Syncookies: a SYN-ACK whose sequence number proves, when it comes back plus one, that we sent it lately to
// this 4-tuple, and says which of a few MSS the client had. Window scale and SACK travel in the low bits of
// the timestamp, if there is one. The connection is made from the ACK alone. RFC 4987 3.6.

#include <array>
#include <span>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Flag = wire::Flag;

constexpr std::uint32_t kCookieBits = 24;  // the upper eight bits count minutes
constexpr std::uint32_t kCookieMask = (1u << kCookieBits) - 1;
constexpr std::array<std::uint16_t, 4> kMss = {536, 1300, 1440, 1460};
constexpr std::array<std::uint16_t, 4> kMss6 = {1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60};

constexpr std::uint32_t kNoWindowScale = 15;  // in the four bits of a shift

std::span<const std::uint16_t> mss_table(const KernelProfile& kernel, std::uint8_t version) {
  if (version == 6) return kMss6;
  if (!kernel.cookie_mss.empty()) return kernel.cookie_mss;
  return kMss;
}

Tuple4 tuple_of(const Packet& p) { return {p.destination, p.source, p.destination_port, p.source_port}; }

}  // namespace

std::uint32_t Kernel::cookie_minute() const {
  return static_cast<std::uint32_t>((now.time_since_epoch() + config.tick_phase) / 60s);
}

// Linux net/ipv4/syncookies.c secure_tcp_syn_cookie(). `mss` becomes the largest of the table that is not
// larger.
SeqNum Kernel::cookie_isn(const Packet& syn, std::uint16_t& mss) const {
  const auto table_of = mss_table(config.kernel, syn.source.version);
  std::size_t i = table_of.size() - 1;
  while (i > 0 && mss < table_of[i]) --i;
  mss = table_of[i];
  const Tuple4 t = tuple_of(syn);
  const std::uint32_t minute = cookie_minute();
  const auto fixed = static_cast<std::uint32_t>(hash(t, config.seed ^ 0xc0));
  const auto moving = static_cast<std::uint32_t>(mix(hash(t, config.seed ^ 0xc1) + minute));
  return SeqNum{fixed + syn.seq.raw() + (minute << kCookieBits) +
                ((moving + static_cast<std::uint32_t>(i)) & kCookieMask)};
}

// Linux net/ipv4/syncookies.c check_tcp_syn_cookie().
std::optional<std::uint16_t> Kernel::cookie_mss(const Packet& ack) const {
  const Tuple4 t = tuple_of(ack);
  const auto fixed = static_cast<std::uint32_t>(hash(t, config.seed ^ 0xc0));
  const std::uint32_t rest = (ack.ack - 1).raw() - (fixed + (ack.seq - 1).raw());
  const std::uint32_t minute = cookie_minute();
  const std::uint32_t age = (minute - (rest >> kCookieBits)) & (0xffffffffu >> kCookieBits);
  if (age >= static_cast<std::uint32_t>(config.kernel.cookie_age_minutes)) return std::nullopt;
  const auto moving = static_cast<std::uint32_t>(mix(hash(t, config.seed ^ 0xc1) + (minute - age)));
  const std::uint32_t i = (rest - moving) & kCookieMask;
  const auto table_of = mss_table(config.kernel, ack.source.version);
  if (i >= table_of.size()) return std::nullopt;
  return table_of[i];
}

// Linux net/ipv4/syncookies.c cookie_init_timestamp(): the options replace the low bits, never into the
// future.
std::uint32_t Kernel::cookie_tsval(const Request& r) const {
  const Negotiated& n = r.neg;
  const auto bits = static_cast<std::uint32_t>(config.kernel.cookie_timestamp_bits);
  std::uint32_t options = 0;
  if (bits == 9) {
    if (n.window_scaling) options = n.snd_wscale | (std::uint32_t{n.rcv_wscale} << 4);
    if (n.sack) options |= 1u << 8;
  } else {
    options = n.window_scaling ? n.snd_wscale : kNoWindowScale;
    if (n.sack) options |= 1u << 4;
    if (n.ecn) options |= 1u << 5;
  }
  const std::uint32_t clock = clock_tsval(0);
  std::uint32_t value = (clock >> bits << bits) | options;
  if (value > clock) value -= 1u << bits;
  return value + r.ts_offset;
}

// Linux net/ipv4/syncookies.c cookie_timestamp_decode().
std::optional<Negotiated> Kernel::cookie_options(const Packet& ack, std::uint32_t ts_offset) const {
  const Sysctls& s = config.sysctls;
  Negotiated n;
  if (!ack.has(Opt::kTimestamps) || s.tcp_timestamps == 0) return n;
  n.timestamps = true;
  const std::uint32_t options = ack.tsecr ? ack.tsecr - ts_offset : 0;
  if (config.kernel.cookie_timestamp_bits == 9) {
    n.snd_wscale = options & 15u;
    n.rcv_wscale = (options >> 4) & 15u;
    n.window_scaling = n.snd_wscale || n.rcv_wscale;
    n.sack = (options >> 8) & 1u;
  } else {
    n.sack = (options >> 4) & 1u;
    n.ecn = ((options >> 5) & 1u) && s.tcp_ecn != 0;
    n.window_scaling = (options & 15u) != kNoWindowScale;
    if (n.window_scaling) n.snd_wscale = options & 15u;
  }
  // What this host has switched off it cannot have sent.
  if ((n.sack && !s.tcp_sack) || (n.window_scaling && !s.tcp_window_scaling)) return std::nullopt;
  return n;
}

// Linux net/ipv4/syncookies.c cookie_v4_check(), tcp_get_cookie_sock(). kGoOn: to the listener it is a stray
// ACK.
Next Kernel::try_cookie(std::uint32_t listener, const Packet& p) {
  Listener& l = listeners[listener];
  if (config.sysctls.tcp_syncookies == 0) return Next::kGoOn;
  const bool brief = config.kernel.cookie_memory == CookieMemory::kThreeSeconds;
  const Duration memory = brief ? Duration{3s} : Duration{120s};
  const bool recent = l.cookie_overflow != ModelTime::min() && now - l.cookie_overflow <= memory;
  const auto mss = recent ? cookie_mss(p) : std::nullopt;
  if (!mss) {
    // Older kernels blamed every stray ACK on cookies.
    if (recent || brief) {
      because(Rule::kCookieInvalid);
      count(Mib::kSyncookiesFailed);
    }
    return Next::kGoOn;
  }
  count(Mib::kSyncookiesRecv);
  Request r;
  r.tuple = tuple_of(p);
  r.ts_offset = p.has(Opt::kTimestamps) && p.tsecr ? new_ts_offset(r.tuple) : 0;
  const auto options = cookie_options(p, r.ts_offset);
  if (!options) return Next::kGoOn;
  because(Rule::kCookieValid);
  r.neg = *options;
  r.neg.mss_clamp = *mss;
  r.listener = {Kind::kListener, listener};
  r.irs = p.seq - 1;
  r.rcv_nxt = p.seq;
  r.iss = p.ack - 1;
  r.syn_tos = p.tos;
  r.created = now;
  r.ts_recent = r.neg.timestamps ? p.tsval : 0;
  r.advmss = advertised_mss(l.opt, p.source);
  const std::uint8_t old_scale = r.neg.rcv_wscale;
  const Window w = initial_window(l.opt, *mss, r.neg.window_scaling);
  r.rcv_wnd = w.rcv_wnd;
  r.window_clamp = w.clamp;
  r.neg.rcv_wscale = config.kernel.cookie_timestamp_bits == 9 ? old_scale : w.wscale;
  // Silently, whatever tcp_abort_on_overflow says.
  if (accept_queue_full(l)) {
    because(Rule::kThirdAckIgnored);
    overflowed();
    return Next::kDone;
  }
  const std::uint32_t child = make_child(r, p);
  accept_now(listener, child);
  on_endpoint(child, p);
  return Next::kDone;
}

}  // namespace tcpwhy::model
