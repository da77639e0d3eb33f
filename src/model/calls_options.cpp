// setsockopt(), getsockopt() and what TCP_INFO tells. Linux net/core/sock.c sk_setsockopt(), net/ipv4/tcp.c
// do_tcp_setsockopt(), tcp_get_info().

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

CallResult done_with(std::int64_t value) { return {.value = value, .error = Errno::kNone, .blocked = false}; }
CallResult failed(Errno e) { return {.value = -1, .error = e, .blocked = false}; }

constexpr std::int64_t kMinRcvBuf = 2304, kMinSndBuf = 4608;  // SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF
constexpr std::int64_t kMaxWindow = 32767;                    // MAX_TCP_WINDOW
constexpr std::int64_t kMaxKeep = 32767, kMaxKeepCount = 127, kMaxSynCount = 127;
constexpr std::int64_t kMaxFinTimeout = 120;  // TCP_FIN_TIMEOUT_MAX

bool within(std::int64_t v, std::int64_t from, std::int64_t to) { return v >= from && v <= to; }

}  // namespace

CallResult Kernel::setsockopt(int fd, SocketOption option, std::int64_t value) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Options& o = *options_of(fd);
  Endpoint* e = endpoint_of(fd);
  const bool fresh = !e || e->state == State::kClose;  // closed or listening
  const auto settled = [&] {
    if (e) settle(handle_of(fd).index);
    return done_with(0);
  };
  const auto ranged = [&](std::int64_t from, std::int64_t to) { return within(value, from, to); };
  const bool on = value != 0;
  using O = SocketOption;
  switch (option) {
    case O::kReuseAddr: {
      const std::uint16_t port = e ? (e->port_held ? e->tuple.local_port : std::uint16_t{0}) : listener_of(fd)->local.port;
      if (port != 0 && o.reuse != on) {
        if (on && ports[port].no_reuse > 0) --ports[port].no_reuse;
        if (!on) ++ports[port].no_reuse;
      }
      o.reuse = on;
      return done_with(0);
    }
    case O::kReusePort: o.reuse_port = on; return done_with(0);
    case O::kKeepAlive:
      if (e && !fresh) {
        if (on && !o.keepalive) start_keepalive(*e, keepalive_idle(*e));
        if (!on) e->sk_at = kNever;
      }
      o.keepalive = on;
      return settled();
    case O::kRcvBuf:
    case O::kRcvBufForce:
      if (option == O::kRcvBuf) value = std::min(value, config.sysctls.rmem_max);
      o.rcvbuf = static_cast<std::uint32_t>(std::max(std::clamp<std::int64_t>(value, 0, 0x3fffffff) * 2, kMinRcvBuf));
      o.rcvbuf_locked = true;
      return done_with(0);
    case O::kSndBuf:
    case O::kSndBufForce:
      if (option == O::kSndBuf) value = std::min(value, config.sysctls.wmem_max);
      o.sndbuf = static_cast<std::uint32_t>(std::max(std::clamp<std::int64_t>(value, 0, 0x3fffffff) * 2, kMinSndBuf));
      o.sndbuf_locked = true;
      if (e) wake(*e);
      return done_with(0);
    case O::kError:
    case O::kAcceptConn: return failed(Errno::kENOPROTOOPT);
    case O::kOobInline: o.oob_inline = on; return done_with(0);
    case O::kRcvLowat:
      o.rcv_lowat = static_cast<std::uint32_t>(value < 0 ? 0x7fffffff : std::max<std::int64_t>(value, 1));
      if (e) wake(*e);
      return done_with(0);
    case O::kNoDelay:
      o.nodelay = on;
      if (on && e) push(*e);
      return settled();
    case O::kCork:
      o.cork = on;
      if (!on && e) push(*e);
      return settled();
    case O::kMaxSeg:
      if (value != 0 && !ranged(kMinMss, kMaxWindow)) return failed(Errno::kEINVAL);
      o.user_mss = static_cast<std::uint16_t>(value);
      return done_with(0);
    case O::kKeepIdle:
      if (!ranged(1, kMaxKeep)) return failed(Errno::kEINVAL);
      o.keep_idle_s = static_cast<std::int32_t>(value);
      if (e && !fresh && o.keepalive) start_keepalive(*e, keepalive_after(*e));
      return settled();
    case O::kKeepIntvl:
      if (!ranged(1, kMaxKeep)) return failed(Errno::kEINVAL);
      o.keep_interval_s = static_cast<std::int32_t>(value);
      return done_with(0);
    case O::kKeepCnt:
      if (!ranged(1, kMaxKeepCount)) return failed(Errno::kEINVAL);
      o.keep_count = static_cast<std::uint8_t>(value);
      return done_with(0);
    case O::kUserTimeout:
      if (value < 0) return failed(Errno::kEINVAL);
      if (config.kernel.user_timeout_syn_sent == UserTimeoutSynSent::kNoOption) return failed(Errno::kENOPROTOOPT);
      o.user_timeout_ms = static_cast<std::uint32_t>(value);
      return done_with(0);
    case O::kDeferAccept:
      o.defer_timeouts = static_cast<std::uint8_t>(
          value > 0 ? std::min(255, defer_timeouts(config.kernel, static_cast<int>(std::min<std::int64_t>(value, 0x7fffffff)))) : 0);
      return done_with(0);
    case O::kSynCnt:
      if (!ranged(1, kMaxSynCount)) return failed(Errno::kEINVAL);
      o.syn_retries = static_cast<std::uint8_t>(value);
      return done_with(0);
    case O::kLinger2:
      o.linger2_s = static_cast<std::int32_t>(value < 0 ? -1 : std::min(value, kMaxFinTimeout));
      return done_with(0);
    case O::kQuickAck:
      if (!e) {
        o.interactive = !on;
        return done_with(0);
      }
      if (!on) {
        e->ack.pingpong = 1;
        return done_with(0);
      }
      e->ack.pingpong = 0;
      if ((e->state == State::kEstablished || e->state == State::kCloseWait) && e->ack.scheduled) {
        e->ack.pushed = true;
        after_read(*e, 1);
        if (!(value & 1)) e->ack.pingpong = 1;
      }
      return settled();
    case O::kFastOpen:
      if (value < 0 || !fresh) return failed(Errno::kEINVAL);
      o.fastopen_queue = static_cast<std::uint16_t>(std::min({value, config.sysctls.somaxconn, std::int64_t{65535}}));
      return done_with(0);
    case O::kFastOpenConnect:
      if (!ranged(0, 1)) return failed(Errno::kEINVAL);
      if (!(config.sysctls.tcp_fastopen & 1)) return failed(Errno::kEOPNOTSUPP);
      if (!e || e->state != State::kClose) return failed(Errno::kEINVAL);
      o.fastopen_connect = on;
      return done_with(0);
    case O::kFastOpenNoCookie:
      if (!ranged(0, 1) || !fresh) return failed(Errno::kEINVAL);
      o.fastopen_no_cookie = on;
      return done_with(0);
    case O::kWindowClamp:
      if (value == 0) {
        if (e && e->state != State::kClose) return failed(Errno::kEINVAL);
        o.window_clamp = 0;
        return done_with(0);
      }
      o.window_clamp = static_cast<std::uint32_t>(std::max(value, kMinRcvBuf / 2));
      if (e && e->state != State::kClose) {
        e->window_clamp = o.window_clamp;
        e->rcv_ssthresh = std::min(e->rcv_ssthresh, e->window_clamp);
      }
      return done_with(0);
    case O::kNotsentLowat:
      o.notsent_lowat = static_cast<std::uint32_t>(value);
      if (e) wake(*e);
      return done_with(0);
    case O::kRecvErr: o.recv_err = on; return done_with(0);
    case O::kV6Only:
      if (o.family != Family::kInet6) return failed(Errno::kENOPROTOOPT);
      if (!e || e->port_held) return failed(Errno::kEINVAL);
      o.v6_only = on;
      return done_with(0);
    case O::kTos: o.tos = static_cast<std::uint8_t>(value & 0xfc); return done_with(0);
    case O::kTtl:
      if (value != -1 && !ranged(1, 255)) return failed(Errno::kEINVAL);
      o.ttl = static_cast<std::uint8_t>(value == -1 ? 0 : value);
      return done_with(0);
    case O::kInq:
      if (!ranged(0, 1)) return failed(Errno::kEINVAL);
      o.inq = on;
      return done_with(0);
    case O::kThinLinearTimeouts:
      if (!ranged(0, 1)) return failed(Errno::kEINVAL);
      o.thin_linear = on;
      return done_with(0);
    case O::kRtoMaxMs:
      if (!ranged(1000, 120000)) return failed(Errno::kEINVAL);
      o.rto_max_ms = static_cast<std::uint32_t>(value);
      return done_with(0);
    case O::kMtuDiscover:
    case O::kSaveSyn:
    case O::kTimestamp:
    case O::kPriority:
    case O::kTxDelay: return done_with(0);  // nothing on the wire changes
    case O::kZeroCopy:
      if (!ranged(0, 1)) return failed(Errno::kEINVAL);
      o.zero_copy = value != 0;
      return done_with(0);
  }
  return failed(Errno::kENOPROTOOPT);
}

CallResult Kernel::getsockopt(int fd, SocketOption option) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const Options& o = *options_of(fd);
  Endpoint* e = endpoint_of(fd);
  const Sysctls& s = config.sysctls;
  using O = SocketOption;
  switch (option) {
    case O::kReuseAddr: return done_with(o.reuse);
    case O::kReusePort: return done_with(o.reuse_port);
    case O::kKeepAlive: return done_with(o.keepalive);
    case O::kRcvBuf:
    case O::kRcvBufForce: return done_with(o.rcvbuf);
    case O::kSndBuf:
    case O::kSndBufForce: return done_with(o.sndbuf);
    case O::kError: {
      if (!e) return done_with(static_cast<int>(std::exchange(listener_of(fd)->error, Errno::kNone)));
      Errno error = take_error(*e);
      if (error == Errno::kNone) error = std::exchange(e->soft_error, Errno::kNone);
      return done_with(static_cast<int>(error));
    }
    case O::kAcceptConn: return done_with(e == nullptr);
    case O::kOobInline: return done_with(o.oob_inline);
    case O::kRcvLowat: return done_with(o.rcv_lowat);
    case O::kNoDelay: return done_with(o.nodelay);
    case O::kCork: return done_with(o.cork);
    case O::kMaxSeg:
      if (o.user_mss != 0 && (!e || e->state == State::kClose)) return done_with(o.user_mss);
      return done_with(e ? e->mss : kMssDefault);
    case O::kKeepIdle: return done_with(o.keep_idle_s != 0 ? o.keep_idle_s : s.tcp_keepalive_time);
    case O::kKeepIntvl: return done_with(o.keep_interval_s != 0 ? o.keep_interval_s : s.tcp_keepalive_intvl);
    case O::kKeepCnt: return done_with(o.keep_count != 0 ? o.keep_count : s.tcp_keepalive_probes);
    case O::kUserTimeout: return done_with(o.user_timeout_ms);
    case O::kDeferAccept: return done_with(defer_seconds(config.kernel, o.defer_timeouts));
    case O::kSynCnt: return done_with(o.syn_retries != 0 ? o.syn_retries : s.tcp_syn_retries);
    case O::kLinger2: return done_with(o.linger2_s != 0 ? o.linger2_s : s.tcp_fin_timeout);
    case O::kQuickAck: return done_with(e ? e->ack.pingpong == 0 : !o.interactive);
    case O::kFastOpen: return done_with(o.fastopen_queue);
    case O::kFastOpenConnect: return done_with(o.fastopen_connect);
    case O::kFastOpenNoCookie: return done_with(o.fastopen_no_cookie);
    case O::kWindowClamp: return done_with(e ? e->window_clamp : o.window_clamp);
    case O::kNotsentLowat: return done_with(static_cast<std::int32_t>(o.notsent_lowat));
    case O::kRecvErr: return done_with(o.recv_err);
    case O::kV6Only: return done_with(o.v6_only);
    case O::kTos: return done_with(o.tos);
    case O::kTtl: return done_with(o.ttl != 0 ? o.ttl : s.ip_default_ttl);
    case O::kInq: return done_with(o.inq);
    case O::kThinLinearTimeouts: return done_with(o.thin_linear);
    case O::kRtoMaxMs: return done_with(o.rto_max_ms != 0 ? o.rto_max_ms : s.tcp_rto_max_ms);
    case O::kMtuDiscover:
    case O::kSaveSyn:
    case O::kTimestamp:
    case O::kPriority:
    case O::kTxDelay:
    case O::kZeroCopy: return done_with(o.zero_copy);
  }
  return failed(Errno::kENOPROTOOPT);
}

std::optional<TcpInfo> Kernel::tcp_info(int fd) {
  TcpInfo i;
  if (const Listener* l = listener_of(fd)) {
    i.state = State::kListen;
    i.unacked = static_cast<std::uint32_t>(l->accept_queue.size());
    i.sacked = l->backlog;
    return i;
  }
  const Endpoint* at = endpoint_of(fd);
  if (!at) return std::nullopt;
  const Endpoint& e = *at;
  const auto micros = [](Duration d) { return static_cast<std::uint32_t>(d / std::chrono::microseconds{1}); };
  const auto ago = [&](ModelTime t) {
    return static_cast<std::uint32_t>((jiffies(now) - jiffies(t)) * 1000 / config.kernel.hz);
  };
  i.state = e.state;
  i.ca_state = e.ca;
  i.retransmits = e.retransmits;
  i.probes = e.probes_out;
  i.backoff = e.backoff;
  i.options = static_cast<std::uint8_t>((e.neg.timestamps ? 1 : 0) | (e.neg.sack ? 2 : 0) | (e.neg.window_scaling ? 4 : 0) |
                                        (e.neg.ecn ? 8 : 0) | (e.ecn_seen ? 16 : 0) | (e.syn_data_acked ? 32 : 0) |
                                        (e.was_fastopen_child ? 128 : 0));
  if (e.neg.window_scaling) {
    i.snd_wscale = e.neg.snd_wscale;
    i.rcv_wscale = e.neg.rcv_wscale;
  }
  i.rto = micros(e.rto);
  i.ato = micros(std::min(e.ack.ato, kDelackMax));
  i.snd_mss = e.mss;
  i.rcv_mss = e.ack.rcv_mss;
  i.unacked = static_cast<std::uint32_t>(e.packets_out());
  i.sacked = e.sacked_out;
  i.lost = e.lost_out;
  i.retrans = e.retrans_out;
  i.last_data_sent = ago(e.lsndtime);
  i.last_data_recv = ago(e.ack.last_received);
  i.last_ack_recv = ago(e.ack_heard);
  i.pmtu = e.pmtu;
  i.rcv_ssthresh = e.rcv_ssthresh;
  i.rtt = e.srtt8 >> 3;
  i.rttvar = e.mdev4 >> 2;
  i.snd_ssthresh = e.ssthresh;
  i.snd_cwnd = e.cwnd;
  i.advmss = e.advmss;
  i.reordering = e.reordering;
  i.rcv_rtt = e.rcv_rtt8 >> 3;
  i.rcv_space = e.rcv_space;
  i.total_retrans = e.retrans_total;
  i.bytes_acked = e.bytes_acked;
  i.bytes_received = e.bytes_received;
  i.bytes_sent = e.bytes_sent;
  i.bytes_retrans = e.bytes_retrans;
  i.segs_out = e.segs_out;
  i.segs_in = e.segs_in;
  i.notsent_bytes = distance(e.snd_nxt, e.write_seq);
  i.min_rtt = e.min_rtt;
  i.data_segs_in = e.data_segs_in;
  i.data_segs_out = e.data_segs_out;
  i.delivered = e.delivered;
  i.dsack_dups = e.dsack_dups;
  i.reord_seen = e.reord_seen;
  i.snd_wnd = e.snd_wnd;
  i.rcv_wnd = e.rcv_wnd;
  i.total_rto = e.total_rto;
  i.rehash = e.rehash;
  i.rcv_ooopack = e.rcv_ooopack;
  i.fastopen_client_fail = e.fastopen_client_fail;
  return i;
}

}  // namespace tcpwhy::model
