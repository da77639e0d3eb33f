// System calls that move octets, and what poll() says about them. Linux net/ipv4/tcp.c tcp_sendmsg_locked(),
// tcp_recvmsg_locked(), tcp_poll(), tcp_ioctl(); net/core/stream.c.

#include <algorithm>
#include <bit>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

CallResult done_with(std::int64_t value) { return {.value = value, .error = Errno::kNone, .blocked = false}; }
CallResult failed(Errno e) { return {.value = -1, .error = e, .blocked = false}; }
CallResult would_block(std::int64_t so_far = 0) { return {.value = so_far, .error = Errno::kNone, .blocked = true}; }

bool may_write(State s) { return s == State::kEstablished || s == State::kCloseWait; }

}  // namespace

void Kernel::expand_sndbuf(Endpoint& e) {
  if (e.opt.sndbuf_locked) return;
  constexpr std::uint32_t kSharedInfo = 320, kBufferStruct = 256;
  const std::uint32_t headers = config.small_head - 64;  // MAX_TCP_HEADER
  const std::uint32_t per_segment =
      std::bit_ceil(std::max<std::uint32_t>(e.neg.mss_clamp, e.mss) + headers + kSharedInfo) + kBufferStruct;
  const std::uint32_t segments =
      std::max({static_cast<std::uint32_t>(config.kernel.initial_cwnd), e.cwnd, e.reordering + 1});
  const std::uint64_t wanted = std::uint64_t{2} * segments * per_segment;
  e.opt.sndbuf = std::max(e.opt.sndbuf, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                            wanted, static_cast<std::uint64_t>(config.sysctls.tcp_wmem_max))));
}

void Kernel::check_space(Endpoint& e) {
  if (!e.no_space || e.orphan) return;
  if (!e.opt.sndbuf_locked && in_flight(e) < e.cwnd) {
    expand_sndbuf(e);
    e.cwnd_tick = jiffies(now);
  }
  // sk_stream_write_space(): a third of the buffer is free.
  if (e.opt.sndbuf - std::min(e.opt.sndbuf, e.write_memory) >= e.write_memory / 2 && write_memory_free(e)) e.no_space = false;
}

/// tcp_notsent_lowat(): a number without a sign, whichever of the two said it.
std::uint32_t Kernel::notsent_lowat_of(const Endpoint& e) const {
  return e.opt.notsent_lowat != 0 ? e.opt.notsent_lowat : static_cast<std::uint32_t>(config.sysctls.tcp_notsent_lowat);
}

// sk_stream_memory_free(), tcp_stream_memory_free()
bool Kernel::write_memory_free(const Endpoint& e) const {
  return e.write_memory < e.opt.sndbuf && distance(e.snd_nxt, e.write_seq) < notsent_lowat_of(e);
}

CallResult Kernel::send(int fd, std::uint64_t bytes, std::uint32_t flags, std::span<const std::uint8_t> data) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Endpoint* at = endpoint_of(fd);
  if (!at) return (flags & MessageFlags::kFastOpen) ? fastopen_send(fd, bytes, flags, {}, data) : failed(Errno::kEPIPE);
  Endpoint& e = *at;
  if (e.defer_connect || e.fastopen_waits || (flags & MessageFlags::kFastOpen)) return fastopen_send(fd, bytes, flags, {}, data);
  const bool waits = e.blocking && !(flags & MessageFlags::kDontWait);
  const auto error = [&] {
    const Errno pending = take_error(e);
    return failed(pending != Errno::kNone ? pending : Errno::kEPIPE);
  };
  // sk_stream_wait_connect()
  if (!may_write(e.state) && !(e.fastopen_child && e.state == State::kSynRecv)) {
    if (e.error != Errno::kNone) return failed(take_error(e));
    if (e.state != State::kSynSent && e.state != State::kSynRecv) return failed(Errno::kEPIPE);
    if (!waits) return failed(Errno::kEAGAIN);
    e.write_pending = true;
    return would_block();
  }
  e.write_pending = false;
  if (e.error != Errno::kNone || e.snd_shut) return error();
  // sk_stream_wait_memory(): who sleeps is woken when a third of the buffer is free, not by the first octet that is.
  if (waits && e.write_sleeps && e.no_space) return would_block();
  e.write_sleeps = false;
  const std::uint32_t taken =
      write_data(e, static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, 0x40000000)), flags, data);
  if (taken != 0) {
    if (e.opt.zero_copy && (flags & MessageFlags::kZeroCopy))
      zero_copy_sent(e, e.write_seq, waits && taken != bytes ? ZeroCopyCall::kSleeps : ZeroCopyCall::kDone);
    settle(handle_of(fd).index);
  }
  if (taken == bytes) return done_with(static_cast<std::int64_t>(taken));
  if (waits) {
    e.write_sleeps = true;
    return would_block(static_cast<std::int64_t>(taken));
  }
  return taken != 0 ? done_with(static_cast<std::int64_t>(taken)) : failed(Errno::kEAGAIN);
}

CallResult Kernel::sendto(int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                          std::span<const std::uint8_t> data) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  if (flags & MessageFlags::kFastOpen) return fastopen_send(fd, bytes, flags, to, data);
  return send(fd, bytes, flags, data);  // TCP does not look at the address
}

// Of what is to be read, how much comes before urgent data.
std::uint32_t Kernel::readable_run(const Endpoint& e) const {
  const std::uint32_t unread = e.unread();
  if (e.urgent_state == Urgent::kNone || e.opt.oob_inline) return unread;
  const std::uint32_t to_mark = distance(e.copied_seq, e.urgent);
  return to_mark < unread ? to_mark : unread;
}

void Kernel::read_fin(Endpoint& e) {
  e.fin_read = true;
  free_read(e, true);
}

CallResult Kernel::recv(int fd, std::uint64_t bytes, std::uint32_t flags, std::vector<std::uint8_t>* data) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  Endpoint* at = endpoint_of(fd);
  if (!at) return failed(Errno::kENOTCONN);
  Endpoint& e = *at;
  const bool waits = e.blocking && !(flags & MessageFlags::kDontWait);
  if (flags & MessageFlags::kOob) return recv_urgent(e, bytes, flags, data);
  const bool peek = flags & MessageFlags::kPeek;
  std::uint64_t copied = 0;
  std::uint32_t ahead = 0;  // how far a peek has looked
  while (copied < bytes) {
    const bool at_mark = e.urgent_state != Urgent::kNone && e.urgent == e.copied_seq + ahead;
    if (at_mark && copied != 0) break;
    if (at_mark && !e.opt.oob_inline && e.unread() > ahead) {
      // The urgent octet is not part of the stream.
      if (peek) {
        ++ahead;
      } else {
        e.in.drop(1);
        e.copied_seq = e.copied_seq + 1;
        e.urgent_state = Urgent::kNone;
      }
      continue;
    }
    std::uint32_t run = e.unread() - ahead;
    if (e.urgent_state != Urgent::kNone) {
      const std::uint32_t to_mark = distance(e.copied_seq + ahead, e.urgent);
      if (to_mark != 0 && to_mark < run) run = to_mark;
    }
    if (run == 0) break;
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(run, bytes - copied));
    if (data && !(flags & MessageFlags::kTrunc)) e.in.read(ahead, n, *data);
    copied += n;
    if (peek) {
      ahead += n;
    } else {
      e.in.drop(n);
      e.copied_seq = e.copied_seq + n;
      if (e.urgent_state != Urgent::kNone && after(e.copied_seq, e.urgent)) e.urgent_state = Urgent::kNone;
      after_read(e, n);
    }
  }
  // A FIN is taken with the last octets before it if it lies in their buffer, or if there was room for more.
  if (!peek && copied != 0 && e.peer_fin && e.unread() == 0 && (copied < bytes || e.received.back().payload != 0)) read_fin(e);
  if (!peek) settle(handle_of(fd).index);
  const std::uint64_t target =
      (flags & MessageFlags::kWaitAll) ? bytes : std::max<std::uint64_t>(1, std::min<std::uint64_t>(e.opt.rcv_lowat, bytes));
  if (copied >= target || bytes == 0) return done_with(static_cast<std::int64_t>(copied));
  if (copied != 0) {
    if (!waits || e.error != Errno::kNone || e.state == State::kClose || e.rcv_shut)
      return done_with(static_cast<std::int64_t>(copied));
    return would_block(static_cast<std::int64_t>(copied));
  }
  if (e.peer_fin) {
    if (!peek) read_fin(e);
    return done_with(0);
  }
  if (e.error != Errno::kNone) return failed(take_error(e));
  if (e.rcv_shut) return done_with(0);
  if (e.state == State::kClose) return failed(Errno::kENOTCONN);
  if (!waits) return failed(Errno::kEAGAIN);
  return would_block();
}

CallResult Kernel::recv_urgent(Endpoint& e, std::uint64_t bytes, std::uint32_t flags, std::vector<std::uint8_t>* data) {
  if (e.opt.oob_inline || e.urgent_state == Urgent::kNone || e.urgent_state == Urgent::kRead) return failed(Errno::kEINVAL);
  if (e.state == State::kClose && !e.peer_fin) return failed(Errno::kENOTCONN);
  if (e.urgent_state == Urgent::kValid) {
    if (!(flags & MessageFlags::kPeek)) e.urgent_state = Urgent::kRead;
    if (bytes == 0) return done_with(0);
    if (data && !(flags & MessageFlags::kTrunc)) data->push_back(e.urgent_byte);
    return done_with(1);
  }
  if (e.state == State::kClose || e.rcv_shut) return done_with(0);
  return failed(Errno::kEAGAIN);
}

CallResult Kernel::poll(int fd) {
  if (!handle_of(fd)) return done_with(PollEvents::kNval);
  using E = PollEvents;
  if (const Listener* l = listener_of(fd)) return done_with(l->accept_queue.empty() ? 0 : E::kIn | E::kRdNorm);
  Endpoint& e = *endpoint_of(fd);
  unsigned mask = 0;
  if ((e.rcv_shut && e.snd_shut) || e.state == State::kClose) mask |= E::kHup;
  if (e.rcv_shut) mask |= E::kIn | E::kRdNorm | E::kRdHup;
  if (e.state != State::kSynSent && (e.state != State::kSynRecv || e.fastopen_child)) {
    std::uint32_t target = std::max(1u, e.opt.rcv_lowat);
    if (e.urgent_state != Urgent::kNone && e.urgent == e.copied_seq && !e.opt.oob_inline) ++target;
    if (e.unread() >= target) mask |= E::kIn | E::kRdNorm;
    if (e.snd_shut) {
      mask |= E::kOut | E::kWrNorm;
    } else {
      const std::uint32_t queued = e.write_memory, buffer = e.opt.sndbuf;
      if (queued < buffer && buffer - queued >= queued / 2 && write_memory_free(e)) mask |= E::kOut | E::kWrNorm;
      else e.no_space = true;
    }
    if (e.urgent_state == Urgent::kValid) mask |= E::kPri;
  } else if (e.defer_connect) {
    mask |= E::kOut | E::kWrNorm;
  }
  if (e.error != Errno::kNone || e.error_queued || (e.zero_copy && !e.zero_copy->told.empty())) mask |= E::kErr;
  return done_with(mask);
}

CallResult Kernel::siocinq(int fd) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEINVAL);
  if (e->state == State::kSynSent || e->state == State::kSynRecv) return done_with(0);
  return done_with(readable_run(*e));
}

CallResult Kernel::siocoutq(int fd) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEINVAL);
  if (e->state == State::kSynSent || e->state == State::kSynRecv) return done_with(0);
  return done_with(distance(e->snd_una, e->write_seq));
}

CallResult Kernel::siocoutqnsd(int fd) {
  if (!handle_of(fd)) return failed(Errno::kEBADF);
  const Endpoint* e = endpoint_of(fd);
  if (!e) return failed(Errno::kEINVAL);
  if (e->state == State::kSynSent || e->state == State::kSynRecv) return done_with(0);
  return done_with(distance(e->snd_nxt, e->write_seq));
}

}  // namespace tcpwhy::model
