// How connections end from this side: close(), SO_LINGER, connect(AF_UNSPEC), the closing of a listener.
// RFC 9293 3.10.4 and 3.10.5; RFC 2525 2.17; RFC 1122 4.2.2.13.

#include "model/kernel.hpp"

namespace tcpwhy::model {

// tcp_set_state(): the gauges and counters that belong to a pair of states are kept here and nowhere else.
void Kernel::set_state(Endpoint& e, State s) {
  const State old = e.state;
  const bool was_up = old == State::kEstablished || old == State::kCloseWait;
  auto& up = counters[static_cast<std::size_t>(Mib::kCurrEstab)];
  if (s == State::kEstablished) {
    if (old != State::kEstablished) ++up;
  } else if (s == State::kCloseWait) {
    // A request that brought a FIN with its third ACK never was ESTABLISHED; from ESTABLISHED the gauge stays.
    if (old == State::kSynRecv) ++up;
  } else if (was_up) {
    --up;
  }
  if (s == State::kClose) {
    if (was_up) count(Mib::kEstabResets);
    if (e.hashed) hash_out({Kind::kEndpoint, e.self}, e.tuple);
    e.hashed = false;
    if (!e.bound) release_port(e);
  }
  e.state = s;
}

void Kernel::free_endpoint(std::uint32_t index) {
  Endpoint& e = endpoints[index];
  if (e.hashed) hash_out({Kind::kEndpoint, index}, e.tuple);
  release_port(e);
  if (e.orphan && orphans > 0) --orphans;
  // Connections come and go: the next in this slot has room for its first segments.
  constexpr std::size_t kSmall = 16;
  std::vector<Piece> sent = std::move(e.sent), unsent = std::move(e.unsent);
  LazyVector<RcvBuffer> received = std::move(e.received);
  endpoints.give_back(index);
  for (std::vector<Piece>* v : {&sent, &unsent}) v->clear();
  if (sent.capacity() <= kSmall) e.sent = std::move(sent);
  if (unsent.capacity() <= kSmall) e.unsent = std::move(unsent);
  if (received.capacity() <= kSmall) e.received = std::move(received.emptied());
}

void Kernel::done(std::uint32_t index) {
  Endpoint& e = endpoints[index];
  if (e.state == State::kSynSent || e.state == State::kSynRecv) count(Mib::kAttemptFails);
  set_state(e, State::kClose);
  clear_timers(e);
  forget_fastopen_request(e);
  e.rcv_shut = e.snd_shut = true;
  if (e.orphan) {
    free_endpoint(index);
  } else {
    wake(e);
    timer_changed(e);
  }
}

void Kernel::done_with_error(std::uint32_t index, Errno error) {
  Endpoint& e = endpoints[index];
  e.error = error;
  drop_unsent(e);
  done(index);
}

// tcp_write_queue_purge(): what was written and not acknowledged is lost.
void Kernel::drop_unsent(Endpoint& e) {
  free_write_memory(e, e.write_memory);
  zero_copy_freed(e, Freed::kAll);
  e.sent.clear();
  e.sent_head = 0;
  e.unsent.clear();
  e.unsent_head = 0;
  e.out = {};
  e.out_seq = e.write_seq;
  e.sacked_out = e.lost_out = e.retrans_out = 0;
  e.backoff = 0;
}

bool Kernel::too_many_orphans(int shift) const {
  return (std::uint64_t{orphans} << shift) > static_cast<std::uint64_t>(config.sysctls.tcp_max_orphans);
}

// __tcp_close(), up to the point where SO_LINGER may wait.
void Kernel::close_endpoint(std::uint32_t index) {
  Endpoint& e = endpoints[index];
  e.rcv_shut = e.snd_shut = true;
  const bool unread = e.unread() != 0;
  e.in = {};
  e.copied_seq = e.peer_fin ? e.rcv_nxt - 1 : e.rcv_nxt;
  free_read(e, true);
  if (e.state == State::kClose) {
    adjudge(index);
    return;
  }
  if (unread) {
    // RFC 2525 2.17: the peer must learn that what it sent was not read.
    count(Mib::kTCPAbortOnClose);
    set_state(e, State::kClose);
    send_active_reset(e, Rule::kCloseUnread);
  } else if (e.opt.linger && e.opt.linger_s == 0) {
    disconnect_endpoint(index, Rule::kCloseLinger);
    count(Mib::kTCPAbortOnData);
  } else {
    switch (e.state) {
      case State::kEstablished:
      case State::kSynRecv:
        set_state(e, State::kFinWait1);
        queue_fin(e);
        break;
      case State::kCloseWait:
        set_state(e, State::kLastAck);
        queue_fin(e);
        break;
      case State::kSynSent:
        set_state(e, State::kClose);
        break;
      case State::kUnseen:
      case State::kFinWait1:
      case State::kFinWait2:
      case State::kTimeWait:
      case State::kClose:
      case State::kLastAck:
      case State::kListen:
      case State::kClosing:
      case State::kNewSynRecv:
        break;
    }
  }
  const bool closing = e.state == State::kFinWait1 || e.state == State::kClosing || e.state == State::kLastAck;
  if (closing && !exiting && e.opt.linger && e.opt.linger_s > 0) {
    e.linger_close = true;
    e.linger_at = now + std::chrono::seconds{e.opt.linger_s};
    return;
  }
  adjudge(index);
}

// __tcp_close(), from sock_orphan() on.
void Kernel::adjudge(std::uint32_t index) {
  Endpoint& e = endpoints[index];
  e.orphan = true;
  e.fd = -1;
  ++orphans;
  if (e.state == State::kFinWait2) {
    if (e.opt.linger2_s < 0) {
      set_state(e, State::kClose);
      send_active_reset(e, Rule::kCloseLinger2);
      count(Mib::kTCPAbortOnLinger);
    } else if (const Duration wait = fin_time(e); wait > kTimewaitLen) {
      start_keepalive(e, wait - kTimewaitLen);
    } else {
      time_wait(index, State::kFinWait2, wait);
      return;
    }
  }
  if (e.state != State::kClose && too_many_orphans(0)) {
    set_state(e, State::kClose);
    send_active_reset(e, Rule::kTooManyOrphans);
    count(Mib::kTCPAbortOnMemory);
  }
  if (e.state == State::kClose) {
    forget_fastopen_request(e);
    free_endpoint(index);
  }
}

// tcp_disconnect(): ABORT of RFC 9293 3.10.5, and the socket as new.
void Kernel::disconnect_endpoint(std::uint32_t index, Rule why) {
  Endpoint& e = endpoints[index];
  const State old = e.state;
  if (old != State::kClose) set_state(e, State::kClose);
  if (needs_reset(old)) {
    send_active_reset(e, why);
    e.error = Errno::kECONNRESET;
  } else if ((old == State::kClosing || old == State::kLastAck) && !(e.snd_nxt == e.write_seq)) {
    // Our FIN was never sent: to the peer the connection still is where it was.
    send_active_reset(e, why);
    e.error = Errno::kECONNRESET;
  } else if (old == State::kSynSent) {
    e.error = Errno::kECONNRESET;
    because(why);
  }
  clear_timers(e);
  forget_fastopen_request(e);
  // What a program set stays, and so does the place in the sequence space.
  Endpoint fresh;
  fresh.self = e.self;
  fresh.tuple.local = e.tuple.local;
  fresh.tuple.remote.version = e.tuple.local.version;
  if (!e.address_given) fresh.tuple.local = Address{e.opt.family == Family::kInet ? std::uint8_t{4} : std::uint8_t{6}, {}};
  if (e.port_held) fresh.tuple.local_port = e.tuple.local_port;
  fresh.fd = e.fd;
  fresh.listener = e.listener;
  fresh.blocking = e.blocking;
  fresh.bound = e.bound;
  fresh.address_given = e.address_given;
  fresh.port_held = e.port_held;
  fresh.error = e.error;
  fresh.opt = e.opt;
  fresh.ts_recent = e.ts_recent;
  fresh.ts_recent_at = e.ts_recent_at;
  fresh.rto = config.kernel.initial_rto;
  fresh.created = e.created;
  fresh.queued_at = e.queued_at;
  fresh.reordering = static_cast<std::uint32_t>(config.sysctls.tcp_reordering);
  fresh.write_seq = e.write_seq + e.max_window + 2;
  if (fresh.write_seq == SeqNum{}) fresh.write_seq = SeqNum{1};
  e = std::move(fresh);
  wake(e);
  timer_changed(e);
}

// inet_csk_listen_stop(): who waits to be accepted is reset, who is not through the handshake is forgotten.
void Kernel::close_listener(std::uint32_t index) {
  Listener& l = listeners[index];
  because(Rule::kListenerClosed);
  std::erase(listening[l.local.port], index);
  if (PortUse& use = ports[l.local.port]; use.listeners > 0) --use.listeners;
  release_port(l.local.port, l.opt.reuse);
  l.fd = -1;
  ++l.pending_requests;  // the request of a Fast Open child must not take the listener along while its queue is emptied
  while (!l.accept_queue.empty()) {
    const std::uint32_t child = l.accept_queue.front();
    l.accept_queue.pop_front();
    if (!endpoints.live(child)) continue;
    endpoints[child].listener = {};
    forget_fastopen_request(endpoints[child]);
    disconnect_endpoint(child, Rule::kListenerClosed);
    endpoints[child].orphan = true;
    ++orphans;
    free_endpoint(child);
  }
  --l.pending_requests;
  release_listener(index);
}

}  // namespace tcpwhy::model
