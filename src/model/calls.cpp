// System calls that make, name and end sockets. Each returns at once: `blocked` stands where the kernel
// would sleep.

#include <algorithm>
#include <utility>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

CallResult done_with(std::int64_t value) { return {.value = value, .error = Errno::kNone, .blocked = false}; }
CallResult failed(Errno e) { return {.value = -1, .error = e, .blocked = false}; }
CallResult would_block() { return {.value = 0, .error = Errno::kNone, .blocked = true}; }

/// An address of the other family that a dual-stack socket means: ::ffff:a.b.c.d is a.b.c.d.
Address unmapped(const Address& a) {
  if (a.version == 4) return a;
  for (std::size_t i = 0; i < 10; ++i)
    if (a.bytes[i] != 0) return a;
  if (a.bytes[10] != 0xff || a.bytes[11] != 0xff) return a;
  return Address::v4(a.bytes[12], a.bytes[13], a.bytes[14], a.bytes[15]);
}

bool is_multicast_or_broadcast(const Address& a) {
  if (a.version == 6) return a.bytes[0] == 0xff;
  return (a.bytes[0] & 0xf0u) == 0xe0u || a.bytes == Address::v4(255, 255, 255, 255).bytes;
}

bool overlaps(const Address& a, const Address& b) {
  if (a.is_any() || b.is_any()) return true;
  return a == b;
}

}  // namespace

// Descriptors

int Kernel::new_fd(Handle h) {
  int fd = lowest_fd;
  while (static_cast<std::size_t>(fd) < fds.size() && fds[static_cast<std::size_t>(fd)]) ++fd;
  if (static_cast<std::size_t>(fd) >= fds.size()) fds.resize(static_cast<std::size_t>(fd) + 1);
  fds[static_cast<std::size_t>(fd)] = h;
  lowest_fd = fd + 1;
  return fd;
}

void Kernel::free_fd(int fd) {
  fds[static_cast<std::size_t>(fd)] = {};
  lowest_fd = std::min(lowest_fd, fd);
}

Endpoint* Kernel::endpoint_of(int fd) {
  const Handle h = handle_of(fd);
  return h.kind == Kind::kEndpoint ? &endpoints[h.index] : nullptr;
}

Listener* Kernel::listener_of(int fd) {
  const Handle h = handle_of(fd);
  return h.kind == Kind::kListener ? &listeners[h.index] : nullptr;
}

Options* Kernel::options_of(int fd) {
  if (Endpoint* e = endpoint_of(fd)) return &e->opt;
  if (Listener* l = listener_of(fd)) return &l->opt;
  return nullptr;
}

Errno Kernel::take_error(Endpoint& e) { return std::exchange(e.error, Errno::kNone); }

void Kernel::settle(std::uint32_t index) {
  if (!endpoints.live(index)) return;
  Endpoint& e = endpoints[index];
  // sk_stream_wait_close(): close() sleeps while the FIN and what precedes it are on their way.
  if (e.linger_close) {
    const bool closing = e.state == State::kFinWait1 || e.state == State::kClosing || e.state == State::kLastAck;
    if (!closing || now >= e.linger_at) {
      e.linger_close = false;
      e.linger_at = kNever;
      std::erase_if(closing_fds, [&](const auto& c) { return c.second == index; });
      adjudge(index);
      if (!endpoints.live(index)) return;
    }
  }
  timer_changed(e);
}

CallResult Kernel::socket(Family family, Blocking blocking) {
  const std::uint32_t index = new_endpoint();
  Endpoint& e = endpoints[index];
  e.opt.family = family;
  e.opt.rcvbuf = static_cast<std::uint32_t>(config.sysctls.tcp_rmem_default);
  e.opt.sndbuf = static_cast<std::uint32_t>(config.sysctls.tcp_wmem_default);
  e.blocking = blocking == Blocking::kYes;
  e.tuple.local.version = family == Family::kInet ? 4 : 6;
  e.tuple.remote.version = e.tuple.local.version;
  e.rto = config.kernel.initial_rto;
  e.cwnd = 10;
  e.reordering = static_cast<std::uint32_t>(config.sysctls.tcp_reordering);
  e.created = now;
  e.fd = new_fd({Kind::kEndpoint, index});
  return done_with(e.fd);
}

// Ports

void Kernel::hold_port(std::uint16_t port, bool reuse) {
  PortUse& use = ports[port];
  if (use.users++ == 0) use.bound = false;
  if (!reuse) ++use.no_reuse;
}

void Kernel::release_port(std::uint16_t port, bool reuse) {
  PortUse& use = ports[port];
  if (use.users == 0) return;
  --use.users;
  if (!reuse && use.no_reuse > 0) --use.no_reuse;
}

void Kernel::hold_port(Endpoint& e) {
  if (e.port_held) return;
  hold_port(e.tuple.local_port, e.opt.reuse);
  e.port_held = true;
}

void Kernel::release_port(Endpoint& e) {
  if (!e.port_held) return;
  release_port(e.tuple.local_port, e.opt.reuse);
  e.port_held = false;
}

bool Kernel::port_free(std::uint16_t port, bool reuse) const {
  const PortUse& use = ports[port];
  return use.users == 0 || (reuse && use.no_reuse == 0 && use.listeners == 0);
}

// inet_bind_conflict(): sharing needs SO_REUSEADDR on both sides and nobody listening.
bool Kernel::bind_conflict(const Address& local, std::uint16_t port, const Options& opt, const void* self) const {
  if (port_free(port, opt.reuse)) return false;
  const auto refuses = [&](const Address& theirs, bool reuse, bool listens) {
    if (!overlaps(local, theirs)) return false;
    return !opt.reuse || !reuse || listens;
  };
  for (std::uint32_t i = 0; i < listeners.size(); ++i) {
    if (!listeners.live(i) || &listeners[i] == self) continue;
    const Listener& l = listeners[i];
    if (l.fd >= 0 && l.local.port == port && refuses(l.local.address, l.opt.reuse, true) &&
        !(opt.reuse_port && l.opt.reuse_port))
      return true;
  }
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    if (!endpoints.live(i) || &endpoints[i] == self) continue;
    const Endpoint& e = endpoints[i];
    if (e.port_held && e.tuple.local_port == port && refuses(e.tuple.local, e.opt.reuse, false)) return true;
  }
  for (std::uint32_t i = 0; i < time_waits.size(); ++i) {
    if (!time_waits.live(i)) continue;
    const TimeWait& tw = time_waits[i];
    if (tw.tuple.local_port == port && refuses(tw.tuple.local, tw.reuse, false)) return true;
  }
  return false;
}

std::optional<Address> Kernel::route_source(const Address& to) const {
  if (to.is_loopback()) return to;
  for (const Address& a : config.addresses)
    if (a == to) return a;
  for (const Address& a : config.addresses)
    if (a.version == to.version && !a.is_loopback()) return a;
  for (const Address& a : config.addresses)
    if (a.version == to.version) return a;
  return std::nullopt;
}

CallResult Kernel::bind(int fd, const SocketAddress& a) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEINVAL);  // a listener is bound
  if (e->opt.family == Family::kInet && a.address.version != 4) return failed(Errno::kEAFNOSUPPORT);
  const Address local = unmapped(a.address);
  if (!local.is_any() && !is_ours(local)) return failed(Errno::kEADDRNOTAVAIL);
  if (e->state != State::kClose || e->port_held) return failed(Errno::kEINVAL);
  std::uint16_t port = a.port;
  if (port == 0) {
    // inet_csk_find_open_port(): odd ports, so that connect() finds the even ones.
    const auto first = static_cast<std::uint32_t>(config.sysctls.ip_local_port_first);
    const auto last = static_cast<std::uint32_t>(config.sysctls.ip_local_port_last);
    const std::uint32_t n = std::max(2u, (last + 1 - first) & ~1u);
    const auto from = static_cast<std::uint32_t>(mix(config.seed + ++port_hint) % n) | 1u;
    for (std::uint32_t pass = 0; pass < 2 && port == 0; ++pass)
      for (std::uint32_t i = 0; i < n; i += 2) {
        const auto candidate = static_cast<std::uint16_t>(first + (from - pass + i) % n);
        if (ports[candidate].users != 0) continue;
        port = candidate;
        break;
      }
    if (port == 0) return failed(Errno::kEADDRINUSE);
  } else {
    if (bind_conflict(local, port, e->opt, e)) return failed(Errno::kEADDRINUSE);
    e->bound = true;
  }
  e->tuple.local = local;
  e->tuple.local_port = port;
  e->address_given = !local.is_any();
  const bool first_user = ports[port].users == 0;
  hold_port(*e);
  if (first_user) ports[port].bound = true;
  return done_with(0);
}

CallResult Kernel::listen(int fd, int backlog) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(0, config.sysctls.somaxconn));
  const auto wanted = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(limit, static_cast<std::uint32_t>(backlog)));  // compared unsigned
  if (Listener* l = listener_of(fd)) {
    l->backlog = wanted;
    return done_with(0);
  }
  Endpoint* e = endpoint_of(fd);
  if (e->state != State::kClose || e->connecting || e->connected) return failed(Errno::kEINVAL);
  if (!e->port_held) {
    if (const CallResult r = bind(fd, {e->tuple.local, 0}); !r.ok()) return r;
    e->bound = false;
  }
  // inet_csk_listen_start() asks for the port once more, now as a listener that shares with nobody listening.
  for (const std::uint32_t other : listening[e->tuple.local_port]) {
    const Listener& l = listeners[other];
    if (overlaps(l.local.address, e->tuple.local) && !(l.opt.reuse_port && e->opt.reuse_port))
      return failed(Errno::kEADDRINUSE);
  }
  if (!e->opt.reuse && bind_conflict(e->tuple.local, e->tuple.local_port, e->opt, e))
    return failed(Errno::kEADDRINUSE);

  const Handle old = handle_of(fd);
  const std::uint32_t index = listeners.take();
  Listener& l = listeners[index];
  l.local = {e->tuple.local, e->tuple.local_port};
  l.fd = fd;
  l.blocking = e->blocking;
  l.address_given = e->address_given;
  l.port_given = e->bound;
  l.opt = e->opt;
  l.backlog = wanted;
  // tcp_fastopen bits 2 and 0x400: a Fast Open server without the socket option.
  if ((config.sysctls.tcp_fastopen & 0x402) == 0x402 && l.opt.fastopen_queue == 0)
    l.opt.fastopen_queue = static_cast<std::uint16_t>(std::min<std::uint32_t>(wanted, 0xffff));
  if (config.kernel.request_storage == RequestStorage::kTable) {
    const std::uint32_t size = table_size(config.sysctls, wanted);
    while ((1u << l.table_bits) < size) ++l.table_bits;
    l.table.resize(size);
  }
  ++ports[l.local.port].listeners;
  e->port_held = false;  // the listener has it now
  endpoints.give_back(old.index);
  fds[static_cast<std::size_t>(fd)] = {Kind::kListener, index};
  listening[l.local.port].push_back(index);
  return done_with(0);
}

CallResult Kernel::accept(int fd, SocketAddress* peer) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Listener* l = listener_of(fd);
  if (!l) return failed(Errno::kEINVAL);
  if (l->accept_queue.empty()) return l->blocking ? would_block() : failed(Errno::kEAGAIN);
  const std::uint32_t index = l->accept_queue.front();
  l->accept_queue.pop_front();
  Endpoint& e = endpoints[index];
  e.listener = {};
  e.connected = true;
  e.blocking = true;  // O_NONBLOCK is not inherited: Linux do_accept()
  e.fd = new_fd({Kind::kEndpoint, index});
  if (peer) *peer = {e.tuple.remote, e.tuple.remote_port};
  return done_with(e.fd);
}

// Connecting

// __inet_check_established(): a TIME_WAIT socket in the way may be taken over, anything else may not.
bool Kernel::claim_tuple(Endpoint& e, bool port_chosen) {
  const Handle other = find(e.tuple, hash(e.tuple, config.seed));
  if (!other) return true;
  if (other.kind != Kind::kTimeWait) return false;
  TimeWait& tw = time_waits[other.index];
  if (!tw_reusable(tw, port_chosen)) return false;
  because(Rule::kTimeWaitReused);
  e.write_seq = isn_after_time_wait(tw.snd_nxt);
  e.ts_recent = tw.ts_recent;
  e.ts_recent_at = tw.ts_recent_at;
  count(Mib::kTWRecycled);
  forget_time_wait(other.index);
  return true;
}

// __inet_hash_connect(): even ports first, from a place that depends on where we go.
Errno Kernel::pick_port(Endpoint& e) {
  const auto first = static_cast<std::uint32_t>(config.sysctls.ip_local_port_first);
  const auto last = static_cast<std::uint32_t>(config.sysctls.ip_local_port_last);
  std::uint32_t n = last + 1 - first;
  if (n > 1) n &= ~1u;
  Tuple4 t = e.tuple;
  t.local_port = 0;
  const auto from = static_cast<std::uint32_t>((hash(t, config.seed ^ 0x9e3779b97f4a7c15ULL) + port_hint) % n) & ~1u;
  for (std::uint32_t parity = 0; parity < 2; ++parity)
    for (std::uint32_t i = 0; i < n; i += 2) {
      const auto port = static_cast<std::uint16_t>(first + (from + parity + i) % n);
      if (ports[port].users != 0 && ports[port].bound) continue;
      e.tuple.local_port = port;
      if (!claim_tuple(e, false)) continue;
      port_hint += i + 2 + static_cast<std::uint32_t>(mix(config.seed + port) % 8) * 2;
      hold_port(e);
      return Errno::kNone;
    }
  e.tuple.local_port = 0;
  return Errno::kEADDRNOTAVAIL;
}

// tcp_v4_connect(), tcp_connect_init(): RFC 9293 3.10.1.
CallResult Kernel::start_connect(Endpoint& e, std::uint32_t index, const SocketAddress& to) {
  Address remote = unmapped(to.address);
  if (remote.is_any()) remote = remote.version == 4 ? Address::v4(127, 0, 0, 1) : Address{6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  const auto source = route_source(remote);
  if (!source || is_multicast_or_broadcast(remote)) return failed(Errno::kENETUNREACH);
  if (e.ts_recent_at != ModelTime{} && !(e.tuple.remote == remote)) {
    e.ts_recent = 0;
    e.ts_recent_at = {};
    e.write_seq = SeqNum{};
  }
  if (!e.address_given) e.tuple.local = *source;
  e.tuple.remote = remote;
  e.tuple.remote_port = to.port;
  if (e.port_held) {
    if (!claim_tuple(e, true)) {
      e.tuple.remote_port = 0;
      return failed(Errno::kEADDRNOTAVAIL);
    }
  } else if (const Errno error = pick_port(e); error != Errno::kNone) {
    e.tuple.remote_port = 0;
    return failed(error);
  }
  set_state(e, State::kSynSent);
  hash_in({Kind::kEndpoint, index}, e.tuple);
  e.hashed = true;
  if (e.write_seq == SeqNum{}) e.write_seq = new_isn(e.tuple);
  e.ts_offset = new_ts_offset(e.tuple);
  e.first_syn_tsval = clock_tsval(e.ts_offset);
  e.ecn_offered = config.sysctls.tcp_ecn == 1;
  e.ip_id = static_cast<std::uint16_t>(mix(hash(e.tuple, config.seed) + static_cast<std::uint64_t>(now.time_since_epoch().count())));

  e.iss = e.write_seq;
  e.neg = {};
  e.neg.mss_clamp = static_cast<std::uint16_t>(e.opt.user_mss != 0 ? e.opt.user_mss : remote.version == 4 ? kMssDefault : kDefaultMss6);
  e.pmtu = path_mtu(remote);
  e.advmss = advertised_mss(e.opt, remote);
  set_mss(e, e.pmtu);
  if (config.sysctls.tcp_timestamps != 0) e.mss -= kTimestampBytes;  // tcp_connect_init(): offered is counted as agreed
  first_rcv_mss(e);
  // Timestamps take their room only where they were used before: 64240 in a SYN, 65160 in a SYN-ACK.
  const std::uint32_t options = config.sysctls.tcp_timestamps != 0 && e.ts_recent_at != ModelTime{} ? kTimestampBytes : 0u;
  const Window w = initial_window(e.opt, e.advmss - options, config.sysctls.tcp_window_scaling != 0);
  e.rcv_wnd = w.rcv_wnd;
  e.window_clamp = w.clamp;
  e.neg.rcv_wscale = w.wscale;
  e.rcv_ssthresh = e.rcv_wnd;
  e.snd_wnd = 0;
  e.snd_wl1 = SeqNum{};
  e.snd_una = e.snd_nxt = e.snd_sml = e.write_seq;
  e.rcv_nxt = e.rcv_wup = e.copied_seq = SeqNum{};
  e.rto = config.kernel.initial_rto;
  e.retransmits = 0;
  e.retrans_stamp = {};
  e.ack_heard = now;
  e.snd_shut = e.rcv_shut = false;
  e.connecting = true;
  return done_with(0);
}

CallResult Kernel::connect(int fd, const SocketAddress& to) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEISCONN);  // listening
  const std::uint32_t index = handle_of(fd).index;
  if (e->connected) return failed(Errno::kEISCONN);
  if (!e->connecting) {
    if (e->state != State::kClose) return failed(Errno::kEISCONN);
    if (e->opt.family == Family::kInet && to.address.version != 4) return failed(Errno::kEAFNOSUPPORT);
    const CallResult r = start_connect(*e, index, to);
    if (!r.ok()) return r;
    if (e->opt.fastopen_connect && defer_fastopen(*e)) return done_with(0);
    send_syn(*e);
    if (e->opt.fastopen_connect) ask_cookie(*e);
    settle(index);
    // On loopback the answer may have come while the call was still inside.
    if (e->state == State::kSynSent || e->state == State::kSynRecv)
      return e->blocking ? would_block() : failed(Errno::kEINPROGRESS);
    return connect_result(fd);
  }
  if (e->state == State::kSynSent || e->state == State::kSynRecv) {
    if (e->defer_connect) return failed(Errno::kEISCONN);
    return e->blocking ? would_block() : failed(Errno::kEALREADY);
  }
  return connect_result(fd);
}

CallResult Kernel::connect_result(int fd) {
  Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEBADF);
  if (e->connected) return done_with(0);
  if (e->state == State::kSynSent || e->state == State::kSynRecv) return would_block();
  e->connecting = false;
  if (e->state != State::kClose) {
    e->connected = true;
    return done_with(0);
  }
  const Errno error = take_error(*e);
  disconnect_endpoint(handle_of(fd).index, Rule::kDisconnected);
  return failed(error == Errno::kNone ? Errno::kECONNABORTED : error);
}

CallResult Kernel::disconnect(int fd) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  if (listener_of(fd)) {
    unlisten(fd);
    return done_with(0);
  }
  disconnect_endpoint(handle_of(fd).index, Rule::kDisconnected);
  return done_with(0);
}

// A listener whose queues are gone is an ordinary closed socket again, still bound if bind() chose the port.
void Kernel::unlisten(int fd) {
  const Handle h = handle_of(fd);
  Listener& l = listeners[h.index];
  const std::uint32_t index = new_endpoint();
  Endpoint& e = endpoints[index];
  e.fd = fd;
  e.opt = l.opt;
  e.blocking = l.blocking;
  e.tuple.local = l.local.address;
  e.tuple.remote.version = l.local.address.version;
  e.tuple.local_port = l.local.port;
  e.address_given = l.address_given;
  e.rto = config.kernel.initial_rto;
  const bool port_given = l.port_given;
  close_listener(h.index);
  if (port_given) {
    e.bound = true;
    const bool first_user = ports[e.tuple.local_port].users == 0;
    hold_port(e);
    if (first_user) ports[e.tuple.local_port].bound = true;
  }
  fds[static_cast<std::size_t>(fd)] = {Kind::kEndpoint, index};
}

CallResult Kernel::shutdown(int fd, Shutdown how) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const bool read = how != Shutdown::kWrite, write = how != Shutdown::kRead;
  if (Listener* l = listener_of(fd)) {
    if (read) unlisten(fd);
    else l->snd_shut = true;
    return done_with(0);
  }
  Endpoint& e = *endpoint_of(fd);
  const std::uint32_t index = handle_of(fd).index;
  if (e.connecting && e.state != State::kSynSent && e.state != State::kSynRecv && e.state != State::kClose) {
    e.connecting = false;
    e.connected = true;
  }
  if (e.state == State::kSynSent) {
    e.connecting = false;
    disconnect_endpoint(index, Rule::kDisconnected);
    wake(e);
    return done_with(0);
  }
  const bool closed = e.state == State::kClose;
  if (read) e.rcv_shut = true;
  if (write) e.snd_shut = true;
  // tcp_shutdown(): RFC 9293 3.10.4. SYN_RECV waits for its ACK.
  if (write && (e.state == State::kEstablished || e.state == State::kCloseWait)) {
    set_state(e, e.state == State::kEstablished ? State::kFinWait1 : State::kLastAck);
    queue_fin(e);
  }
  wake(e);
  settle(index);
  return closed ? failed(Errno::kENOTCONN) : done_with(0);
}

CallResult Kernel::close(int fd) {
  const Handle h = handle_of(fd);
  if (!h) return failed(Errno::kEBADF);
  free_fd(fd);
  if (h.kind == Kind::kListener) {
    close_listener(h.index);
    return done_with(0);
  }
  close_endpoint(h.index);
  if (endpoints.live(h.index) && endpoints[h.index].linger_close) {
    endpoints[h.index].fd = -1;
    closing_fds[fd] = h.index;
    settle(h.index);
    if (closing_fds.contains(fd)) return would_block();
    return done_with(0);
  }
  settle(h.index);
  return done_with(0);
}

CallResult Kernel::close_result(int fd) { return closing_fds.contains(fd) ? would_block() : done_with(0); }

// tcp_abort(): what `ss -K` asks for.
CallResult Kernel::destroy(int fd) {
  const Handle h = handle_of(fd);
  if (!h) return failed(Errno::kEBADF);
  if (h.kind == Kind::kListener) {
    unlisten(fd);
    endpoint_of(fd)->error = Errno::kECONNABORTED;
    return done_with(0);
  }
  Endpoint& e = endpoints[h.index];
  if (e.state == State::kClose) return failed(Errno::kENOENT);
  if (needs_reset(e.state)) send_active_reset(e, Rule::kDisconnected);
  done_with_error(h.index, Errno::kECONNABORTED);
  settle(h.index);
  return done_with(0);
}

}  // namespace tcpwhy::model
