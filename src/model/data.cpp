// What arrives: in order it is queued for the program, beyond a hole it is kept and said in SACK blocks
// (RFC 2018, RFC 2883), old it is answered at once. And when to acknowledge: each second full segment, at
// once while the connection is young or something is odd, else after a while, hoping for company
// (RFC 1122 4.2.3.2, RFC 5681 4.2).

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;
using Opt = wire::Opt;

constexpr std::size_t kMaxSacks = 4;        // TCP_NUM_SACKS
constexpr int kCompressedMost = 44;         // tcp_comp_sack_nr
constexpr Duration kCompressDelay = 1ms;    // tcp_comp_sack_delay_ns

bool extends(SackBlock& block, SeqNum left, SeqNum right) {
  if (after(left, block.right) || after(block.left, right)) return false;
  if (before(left, block.left)) block.left = left;
  if (after(right, block.right)) block.right = right;
  return true;
}

void swallow_neighbours(Endpoint& e) {
  auto& sacks = e.out_of_order->sacks;
  for (std::uint8_t i = 1; i < e.num_sacks;) {
    if (!extends(sacks[0], sacks[i].left, sacks[i].right)) {
      ++i;
      continue;
    }
    --e.num_sacks;
    for (std::size_t j = i; j < e.num_sacks; ++j) sacks[j] = sacks[j + 1];
  }
}

/// The newest block comes first (RFC 2018 4). Linux tcp_sack_new_ofo_skb().
void remember_sack(Endpoint& e, SeqNum left, SeqNum right) {
  auto& sacks = e.out_of_order->sacks;
  for (std::uint8_t i = 0; i < e.num_sacks; ++i) {
    if (!extends(sacks[i], left, right)) continue;
    std::rotate(sacks.begin(), sacks.begin() + i, sacks.begin() + i + 1);
    swallow_neighbours(e);
    return;
  }
  if (e.num_sacks == kMaxSacks) --e.num_sacks;
  std::rotate(sacks.begin(), sacks.begin() + e.num_sacks, sacks.begin() + e.num_sacks + 1);
  sacks[0] = {left, right};
  ++e.num_sacks;
}

/// A D-SACK block about to be said covers this as well.
void widen_duplicate(Endpoint& e, SeqNum left, SeqNum right) { extends(e.dsack_block, left, right); }

/// rcv_nxt advanced: blocks it covers are no news any more.
void forget_sacks(Endpoint& e) {
  if (e.holes().empty()) {
    e.out_of_order.reset();
    e.num_sacks = 0;
    return;
  }
  auto& sacks = e.out_of_order->sacks;
  std::uint8_t kept = 0;
  for (std::uint8_t i = 0; i < e.num_sacks; ++i)
    if (before(e.rcv_nxt, sacks[i].left)) sacks[kept++] = sacks[i];
  e.num_sacks = kept;
}

void advance(Endpoint& e, SeqNum to) {
  e.bytes_received += distance(e.rcv_nxt, to);
  e.rcv_nxt = to;
}

}  // namespace

void Kernel::forget_out_of_order(Endpoint& e) {
  for (const Hole& h : e.holes()) free_received(e, h.buffer.memory);
  e.out_of_order.reset();
  e.num_sacks = 0;
}

void Kernel::wake(const Endpoint& e) {
  if (e.fd >= 0) step->woken.push_back(e.fd);
}

// ---------------------------------------------------------------------------------------------------------
// Text

void Kernel::take_data(Endpoint& e, const Packet& p, SeqNum from, std::uint32_t n) {
  const std::uint32_t skip = distance(p.seq + (p.syn() ? 1u : 0u), from);
  const std::size_t have = p.payload.size() > skip ? p.payload.size() - skip : 0;
  e.in.append(n, have == 0 ? nullptr : p.payload.data() + skip, have);
  advance(e, from + n);
}

/// RFC 9293 3.10.7.4, seventh and eighth; Linux net/ipv4/tcp_input.c tcp_data_queue(). The FIN is part of it:
/// it counts where it stands in the sequence space.
void Kernel::on_text(Endpoint& e, std::uint32_t index, const Packet& p) {
  const SeqNum first = p.seq + (p.syn() ? 1u : 0u);
  const SeqNum end = p.end();
  if (p.payload_bytes == 0 && !p.fin()) return;
  e.dsack = false;

  const auto answer_at_once = [&] {
    quick_acks(e, kMaxQuickAcks);
    e.ack.scheduled = true;
  };
  if (!after(end, e.rcv_nxt)) {
    because(Rule::kDataOld);
    count(Mib::kDelayedACKLost);
    say_duplicate(e, first, end);
    answer_at_once();
    return;
  }
  const std::uint32_t window = receive_window(e);
  const bool in_order = !after(first, e.rcv_nxt);
  if (!in_order && !before(first, e.rcv_nxt + window)) {
    because(Rule::kDataNoWindow);
    answer_at_once();
    return;
  }
  if (!in_order) {
    out_of_order(e, p);
    return;
  }
  if (before(first, e.rcv_nxt)) say_duplicate(e, first, e.rcv_nxt);
  if (window == 0 && (p.payload_bytes != 0 || before(first, e.rcv_nxt))) {
    // A bare FIN costs no memory and is taken.
    because(Rule::kDataNoWindow);
    count(Mib::kTCPZeroWindowDrop);
    answer_at_once();
    return;
  }
  if (!has_room(e, p)) {
    e.ack.no_memory = e.ack.now = e.ack.scheduled = true;
    wake(e);
    if (e.unread() != 0 && p.payload_bytes != 0) {
      because(Rule::kDataNoWindow);
      count(Mib::kTCPRcvQDrop);
      return;
    }
  }
  RcvBuffer fresh = buffer_of(p);
  fresh.fin = p.fin();
  set_aside(e, fresh.memory);
  queue_received(e, fresh);
  const std::uint32_t n = distance(e.rcv_nxt, end) - (p.fin() ? 1u : 0u);
  if (p.payload_bytes != 0) {
    because(Rule::kDataInOrder);
    take_data(e, p, e.rcv_nxt, n);
    received_data(e, p);
  }
  if (p.fin()) {
    advance(e, end);
    on_fin(e, index);
    if (e.state == State::kClose) return;
  }
  if (!e.holes().empty()) {
    take_holes(e, index);
    if (e.state == State::kClose) return;
    // RFC 5681 4.2: a filled hole is acknowledged at once.
    if (e.holes().empty()) e.ack.now = true;
  }
  if (e.num_sacks != 0) forget_sacks(e);
  predict_again(e);
  if (!e.orphan) wake(e);
}

/// Does the buffer take another segment? Growing it, and squeezing what is in it, comes first.
/// Linux tcp_can_ingest(), tcp_clamp_window(), tcp_prune_queue().
bool Kernel::has_room(Endpoint& e, const Packet& p) {
  const auto fits = [&] { return e.rcv_memory <= rcvbuf_of(e.opt); };
  if (fits()) return true;
  count(Mib::kPruneCalled);
  e.ack.quick = 0;
  const auto most = static_cast<std::uint32_t>(config.sysctls.tcp_rmem_max);
  if (rcvbuf_of(e.opt) < most && !e.opt.rcvbuf_locked) e.opt.rcvbuf = std::min(e.rcv_memory, most);
  if (e.rcv_memory > rcvbuf_of(e.opt)) e.rcv_ssthresh = std::min(e.window_clamp, 2 * e.advmss);
  if (fits()) return true;
  collapse_holes(e);
  collapse_received(e);
  if (fits()) return true;
  prune_holes(e, p);
  if (fits()) return true;
  count(Mib::kRcvPruned);
  e.slow_path = true;
  return false;
}

/// Reneging is allowed (RFC 2018 8) and this is the one place where Linux does it: an eighth of the buffer at a time, the
/// farthest first, but nothing nearer than what came. tcp_prune_ofo_queue().
void Kernel::prune_holes(Endpoint& e, const Packet& p) {
  bool pruned = false;
  std::int64_t goal = rcvbuf_of(e.opt) >> 3;
  while (!e.holes().empty() && !after(p.seq, e.holes().back().left)) {
    const std::uint32_t memory = e.holes().back().buffer.memory;
    free_received(e, memory);
    e.out_of_order->erase(e.holes().size() - 1);
    pruned = true;
    goal -= memory;
    if (goal > 0 && !e.holes().empty()) continue;
    if (e.rcv_memory <= rcvbuf_of(e.opt)) break;
    goal = rcvbuf_of(e.opt) >> 3;
  }
  if (!pruned) return;
  because(Rule::kHolesPruned);
  count(Mib::kOfoPruned);
  e.num_sacks = 0;
  e.dsack = false;
}

void Kernel::out_of_order(Endpoint& e, const Packet& p) {
  because(Rule::kDataOutOfOrder);
  check_ecn(e, p);
  if (!has_room(e, p)) {
    count(Mib::kTCPOFODrop);
    wake(e);
    return;
  }
  queue_out_of_order(e, p);
  if (config.kernel.hole_and_buffer == HoleAndBuffer::kGrows && e.fd >= 0 && e.rcv_space != 0) grow_buffer(e, e.rcv_space);
}

/// Linux tcp_data_queue_ofo().
void Kernel::queue_out_of_order(Endpoint& e, const Packet& p) {
  measure_rcv_mss(e, p);
  e.slow_path = true;
  e.ack.scheduled = true;
  ++e.rcv_ooopack;
  count(Mib::kTCPOFOQueue);

  const SeqNum left = p.seq, right = p.end();
  const auto merged = [&](SeqNum l, SeqNum r) {
    count(Mib::kTCPOFOMerge);
    if (e.dsack) {
      widen_duplicate(e, l, r);
    } else {
      say_duplicate(e, l, r);
    }
  };
  if (!e.out_of_order) e.out_of_order = std::make_unique<OutOfOrder>();
  OutOfOrder& queue = *e.out_of_order;
  const std::vector<Hole>& holes = queue.holes;
  Hole fresh{left, right, p.fin(), buffer_of(p), p.payload};
  fresh.buffer.fin = p.fin();
  set_aside(e, fresh.buffer.memory);
  const auto append = [&](Hole& h) {
    if (!(left == h.right) || !coalesce(h.buffer, fresh.buffer)) return false;
    if (!p.payload.empty()) {
      h.data.resize(distance(h.left, h.right));
      h.data.insert(h.data.end(), p.payload.begin(), p.payload.end());
    }
    h.right = right;
    h.fin = h.fin || p.fin();
    if (e.neg.sack) {
      grow_window(e, p);
      remember_sack(e, left, right);
    }
    return true;
  };
  // Room at the end of the last buffer is looked at first.
  if (!holes.empty() && append(queue.holes.back())) return;
  bool kept = true, in_place_of_another = false;
  std::size_t at = holes.size();
  if (!holes.empty() && before(left, holes.back().right)) {
    // Then those on the way down the tree are asked, and no others.
    for (int node = queue.tree.root(); node != OrderTree::kNone;) {
      at = static_cast<std::size_t>(node);
      Hole& h = queue.holes[at];
      if (before(left, h.left)) {
        node = queue.tree.left(node);
        continue;
      }
      if (before(left, h.right)) {
        if (!after(right, h.right)) {
          count(Mib::kTCPOFOMerge);
          say_duplicate(e, left, right);
          kept = false;
          break;
        }
        if (left == h.left) {
          merged(h.left, h.right);
          in_place_of_another = true;
          break;
        }
        say_duplicate(e, left, h.right);
      } else if (append(h)) {
        return;
      }
      ++at;
      node = queue.tree.right(node);
    }
  }
  const std::uint32_t memory = fresh.buffer.memory;
  if (kept) {
    if (in_place_of_another) {
      free_received(e, holes[at].buffer.memory);
      queue.holes[at] = std::move(fresh);
    } else {
      queue.insert(at, std::move(fresh));
    }
    while (at + 1 < holes.size()) {
      const SeqNum l = holes[at + 1].left, r = holes[at + 1].right;
      if (!after(right, l)) break;
      if (before(right, r)) {
        if (e.dsack) {
          widen_duplicate(e, l, right);
        } else {
          say_duplicate(e, l, right);
        }
        break;
      }
      free_received(e, holes[at + 1].buffer.memory);
      queue.erase(at + 1);
      merged(l, r);
    }
    charge_received(e, memory);
  }
  if (!e.neg.sack) return;
  remember_sack(e, left, right);
  if (kept) grow_window(e, p);
}

void Kernel::take_holes(Endpoint& e, std::uint32_t index) {
  SeqNum dsack_high = e.rcv_nxt;
  std::vector<Hole>& holes = e.out_of_order->holes;
  while (!holes.empty() && !after(holes.front().left, e.rcv_nxt)) {
    Hole h = std::move(holes.front());
    if (before(h.left, dsack_high)) {
      const SeqNum to = before(h.right, dsack_high) ? h.right : dsack_high;
      if (e.dsack) {
        widen_duplicate(e, h.left, to);
      } else {
        say_duplicate(e, h.left, to);
      }
    }
    e.out_of_order->erase(0);
    if (!after(h.right, e.rcv_nxt)) {
      free_received(e, h.buffer.memory);
      continue;
    }
    if (!e.received.empty() && coalesce(e.received.back(), h.buffer))
      free_received(e, h.buffer.memory);
    else
      e.received.push_back(h.buffer);
    const std::uint32_t skip = distance(h.left, e.rcv_nxt);
    const std::uint32_t n = distance(e.rcv_nxt, h.right) - (h.fin ? 1u : 0u);
    const std::size_t have = h.data.size() > skip ? h.data.size() - skip : 0;
    e.in.append(n, have == 0 ? nullptr : h.data.data() + skip, have);
    advance(e, h.right);
    if (h.fin) {
      on_fin(e, index);
      return;
    }
  }
}

/// RFC 9293 3.10.7.4, eighth; Linux tcp_fin().
void Kernel::on_fin(Endpoint& e, std::uint32_t index) {
  because(Rule::kFinReceived);
  e.ack.scheduled = true;
  e.rcv_shut = e.peer_fin = true;
  e.fin_seq = e.rcv_nxt;
  e.done_error_eof = true;
  const int fd = e.fd;
  switch (e.state) {
    case State::kSynRecv:
    case State::kEstablished:
      set_state(e, State::kCloseWait);
      e.ack.pingpong = static_cast<std::uint8_t>(config.kernel.pingpong_threshold);
      break;
    case State::kFinWait1:
      because(Rule::kClosingCrossed);
      send_ack(e);
      set_state(e, State::kClosing);
      break;
    case State::kFinWait2:
      send_ack(e);
      time_wait(index, State::kTimeWait, Duration{});
      if (fd >= 0) step->woken.push_back(fd);
      return;
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
    case State::kUnseen:
    case State::kSynSent:
    case State::kTimeWait:
    case State::kClose:
    case State::kListen:
    case State::kNewSynRecv:
      break;
  }
  // Only now: the ACK that FIN_WAIT1 and FIN_WAIT2 send at once still says what lies beyond the FIN.
  forget_out_of_order(e);
  e.dsack = false;
  if (fd >= 0) step->woken.push_back(fd);
}

// ---------------------------------------------------------------------------------------------------------
// What a segment teaches

/// How long the peer's full segments are. Linux tcp_measure_rcv_mss().
void Kernel::measure_rcv_mss(Endpoint& e, const Packet& p) {
  const std::uint16_t last = e.ack.last_segment;
  e.ack.last_segment = 0;
  std::uint32_t n = p.payload_bytes;
  const bool pushed = (p.flags & Flag::kPsh) != 0;
  if (n >= e.ack.rcv_mss) {
    if (n != e.ack.rcv_mss && config.kernel.window_scaling_measured == ScalingMeasured::kYes) {
      const std::uint32_t ratio = std::clamp((n << 8) / truesize(p), 1u, 255u);
      if (ratio != e.scaling) {
        e.scaling = static_cast<std::uint8_t>(ratio);
        clamp_window(e, full_space(e));
        e.rcv_space = std::min(e.rcv_space, e.window_clamp);
      }
    }
    e.ack.rcv_mss = std::min(n, e.advmss);
    if (pushed) e.ack.pushed = true;
    return;
  }
  n += tcp_header(p);
  const bool looks_full = !(p.flags & (Flag::kFin | Flag::kUrg | Flag::kSyn | Flag::kPsh));
  if (n >= kMssDefault + 20 || (n >= kMinMss + 20 && looks_full)) {
    n -= 20 + (e.neg.timestamps ? kTimestampBytes : 0);
    e.ack.last_segment = static_cast<std::uint16_t>(n);
    if (n == last) {
      e.ack.rcv_mss = n;
      return;
    }
  }
  if (e.ack.pushed) e.ack.pushed2 = true;
  e.ack.pushed = true;
}

void Kernel::incr_quick_acks(Endpoint& e, int most) {
  std::uint32_t n = e.rcv_wnd / (2 * std::max(e.ack.rcv_mss, 1u));
  if (n == 0) n = 2;
  n = std::min(n, static_cast<std::uint32_t>(most));
  e.ack.quick = std::max(e.ack.quick, static_cast<std::uint8_t>(n));
}

void Kernel::quick_acks(Endpoint& e, int most) {
  incr_quick_acks(e, most);
  e.ack.pingpong = 0;
  e.ack.ato = kAtoMin;
}

/// Congestion the network marked. RFC 3168 6.1.3; Linux tcp_data_ecn_check().
void Kernel::check_ecn(Endpoint& e, const Packet& p) {
  if (!e.neg.ecn) return;
  switch (p.tos & 3) {
    case 0:
      if (e.ecn_seen) quick_acks(e, 2);
      break;
    case 3:
      if (!e.ecn_demand_cwr) {
        quick_acks(e, 2);
        e.ecn_demand_cwr = true;
      }
      e.ecn_seen = true;
      break;
    default:
      e.ecn_seen = true;
      break;
  }
}

/// Linux tcp_event_data_recv(): how soon data follows data sets how long an ACK may wait.
void Kernel::received_data(Endpoint& e, const Packet& p) {
  e.ack.scheduled = true;
  measure_rcv_mss(e, p);
  measure_rcv_rtt(e);
  if (e.ack.ato == Duration{}) {
    incr_quick_acks(e, kMaxQuickAcks);
    e.ack.ato = kAtoMin;
  } else {
    const Duration gap = tick() * (jiffies(now) - jiffies(e.ack.last_received));
    if (gap <= kAtoMin / 2) {
      e.ack.ato = e.ack.ato / 2 + kAtoMin / 2;
    } else if (gap < e.ack.ato) {
      e.ack.ato = std::min(e.ack.ato / 2 + gap, e.rto);
    } else if (gap > e.rto) {
      incr_quick_acks(e, kMaxQuickAcks);
    }
    e.ack.ato = e.ack.ato / tick() * tick();
  }
  e.ack.last_received = now;
  ++e.data_segs_in;
  check_ecn(e, p);
  if (p.payload_bytes >= 128) grow_window(e, p);
}

/// The round trip as a receiver without timestamps sees it: one window of data. Linux tcp_rcv_rtt_measure().
void Kernel::measure_rcv_rtt(Endpoint& e) {
  if (e.rcv_rtt_at != ModelTime{}) {
    if (before(e.rcv_nxt, e.rcv_rtt_seq)) return;
    const auto sample = static_cast<std::uint32_t>(std::max<std::int64_t>(us_between(e.rcv_rtt_at, now), 1));
    if (e.rcv_rtt8 == 0 || sample * 8 < e.rcv_rtt8) e.rcv_rtt8 = sample * 8;
  }
  e.rcv_rtt_seq = e.rcv_nxt + e.rcv_wnd;
  e.rcv_rtt_at = now;
}

/// A D-SACK block (RFC 2883) for the next ACK.
void Kernel::say_duplicate(Endpoint& e, SeqNum left, SeqNum right) {
  if (!e.neg.sack || !config.sysctls.tcp_dsack) return;
  count(before(left, e.rcv_nxt) ? Mib::kTCPDSACKOldSent : Mib::kTCPDSACKOfoSent);
  e.dsack = true;
  e.dsack_block = {left, right};
}

// ---------------------------------------------------------------------------------------------------------
// Acknowledging

/// Linux tcp_ack_snd_check(), after everything else a segment caused.
void Kernel::ack_check(Endpoint& e) {
  if (!e.ack.scheduled) return;  // data we sent carried it
  const std::uint32_t pending = distance(e.rcv_wup, e.rcv_nxt);
  const bool second_full = pending > e.ack.rcv_mss && (distance(e.copied_seq, e.rcv_nxt) < 1 ||
                                                       wanted_window(e) >= e.rcv_wnd);
  const bool quick = e.ack.quick != 0 && !interactive(e);
  if (second_full || quick || e.ack.now) {
    send_ack(e);
    return;
  }
  if (e.holes().empty()) {
    delay_ack(e);
    return;
  }
  // Beyond three duplicates their stream is thinned: "compressed" SACKs.
  if (!e.neg.sack || config.kernel.ack_compression == AckCompression::kNo || e.compressed >= kCompressedMost) {
    send_ack(e);
    return;
  }
  if (!(e.compressed_rcv_nxt == e.rcv_nxt)) {
    e.compressed_rcv_nxt = e.rcv_nxt;
    e.dup_ack_counter = 0;
  }
  if (e.dup_ack_counter < kDupThresh) {
    ++e.dup_ack_counter;
    send_ack(e);
    return;
  }
  ++e.compressed;
  if (e.compress_at != kNever) return;
  std::uint64_t rtt8 = e.rcv_rtt8;
  if (e.srtt8 != 0 && e.srtt8 < rtt8) rtt8 = e.srtt8;
  const Duration delay = std::min<Duration>(kCompressDelay, Duration{static_cast<std::int64_t>(rtt8 * 125 / 20)});
  e.compress_at = now + delay;
  timer_changed(e);
}

void Kernel::send_compressed(Endpoint& e) {
  e.compress_at = kNever;
  if (e.compressed == 0) return;
  e.compressed = 0;
  send_ack(e);
}

void Kernel::delay_ack(Endpoint& e) {
  because(Rule::kAckDelayed);
  Duration ato = e.ack.ato;
  if (ato > kAtoMin) {
    Duration most = interactive(e) || e.ack.pushed ? kDelackMax : Duration{500ms};
    // A known round trip bounds the delay.
    if (e.srtt8 != 0) most = std::min(most, std::max<Duration>(ticks_of_us(e.srtt8 / 8), kAtoMin));
    ato = std::min(ato, most);
  }
  ato = std::min(ato, std::min<Duration>(kDelackMax, std::max<Duration>(rto_min(), 2 * tick()) - tick()));
  const std::int64_t ticks = ato / tick();
  std::int64_t due = jiffies(now) + ticks;
  if (e.ack.timer) {
    // Nearly due anyway: at once instead.
    if (e.ack.due_tick <= jiffies(now) + ticks / 4) {
      send_ack(e);
      return;
    }
    due = std::min(due, e.ack.due_tick);
  }
  e.ack.scheduled = e.ack.timer = true;
  if (due != e.ack.due_tick || e.ack.due == kNever) {
    e.ack.due_tick = due;
    e.ack.due = timer_at(tick() * (due - jiffies(now)));
    timer_changed(e);
  }
}

/// Linux tcp_event_ack_sent(): whatever carried it, the ACK is out.
void Kernel::ack_was_sent(Endpoint& e) {
  e.compressed = 0;
  e.compress_at = kNever;
  if (e.ack.quick != 0 && e.ack.scheduled) {
    --e.ack.quick;
    if (e.ack.quick == 0) e.ack.ato = kAtoMin;  // leaving quick-ACK mode deflates the delay
  }
  e.ack.scheduled = e.ack.timer = e.ack.pushed = e.ack.pushed2 = e.ack.now = e.ack.no_memory = false;
  e.ack.due = kNever;
}

/// The program read `copied` octets (already taken from e.in, copied_seq moved). Linux tcp_recvmsg():
/// tcp_rcv_space_adjust(), tcp_cleanup_rbuf().
void Kernel::after_read(Endpoint& e, std::uint32_t copied) {
  if (copied != 0) {
    free_read(e, false);
    adjust_space(e);
  }
  if (e.state == State::kClose || e.state == State::kListen) return;
  bool due = false;
  if (e.ack.scheduled) {
    const bool emptied = copied > 0 && (e.ack.pushed2 || (e.ack.pushed && !interactive(e))) && e.rcv_memory == 0;
    due = distance(e.rcv_wup, e.rcv_nxt) > e.ack.rcv_mss || emptied;
  }
  if (copied > 0 && !due && !e.rcv_shut) {
    // The window opened at least twofold: worth telling.
    const std::uint32_t current = receive_window(e);
    if (2 * std::uint64_t{current} <= e.window_clamp) {
      const std::uint32_t fresh = wanted_window(e);
      due = fresh != 0 && fresh >= 2 * current;
    }
  }
  if (due) send_ack(e);
}

}  // namespace tcpwhy::model
