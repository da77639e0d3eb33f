// What an endpoint sends. The unsent queue holds what programs wrote, in pieces as long as Linux would make
// a socket buffer; on its way out a piece is cut into segments of the MSS, one packet each, and each becomes
// a piece of the sent queue. So what leaves is what a link without segmentation offload shows; PSH is where
// the bursts of Linux would have put it.

#include <algorithm>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Flag = wire::Flag;
using Opt = wire::Opt;

constexpr int kNagleOff = 1, kNagleCork = 2, kNaglePush = 4;  // TCP_NAGLE_*
// Linux include/linux/netdevice.h GSO_LEGACY_MAX_SIZE, less the room for headers.
constexpr std::uint32_t kBurstBytes = 65536 - 321;
constexpr std::uint32_t kLeastAdvMss = 256;  // net.ipv4.route.min_adv_mss
constexpr std::uint32_t kSackBase = 4, kSackPerBlock = 8, kOptionSpace = 40;

int nonagle(const Endpoint& e) { return (e.opt.nodelay ? kNagleOff : 0) | (e.opt.cork ? kNagleCork : 0); }

std::uint32_t sack_blocks(const Endpoint& e) {
  const std::uint32_t have = e.num_sacks + (e.dsack ? 1u : 0u);
  if (have == 0) return 0;
  const std::uint32_t room = kOptionSpace - (e.neg.timestamps ? kTimestampBytes : 0);
  return std::min(have, (room - kSackBase) / kSackPerBlock);
}

/// Linux include/net/tcp.h tcp_bound_to_half_wnd().
std::uint32_t bound_to_half_window(const Endpoint& e, std::uint32_t n) {
  const std::uint32_t cutoff = e.max_window > kMssDefault ? e.max_window / 2 : e.max_window;
  const std::uint32_t header = 20 + (e.neg.timestamps ? kTimestampBytes : 0);
  return cutoff != 0 && n > cutoff ? std::max(cutoff, 68 - header) : n;
}

/// How much one piece of the unsent queue may hold: Linux net/ipv4/tcp.c tcp_xmit_size_goal().
std::uint32_t size_goal(const Endpoint& e, std::uint32_t mss, bool urgent) {
  if (urgent) return mss;
  const std::uint32_t segments = std::clamp(bound_to_half_window(e, kBurstBytes) / mss, 1u, 65535u);
  return segments * mss;
}

/// Minshall: the last small segment is still on its way. Linux tcp_minshall_check(), tcp_nagle_check().
bool nagle_waits(const Endpoint& e, bool partial, int nagle) {
  if (!partial) return false;
  if (nagle & kNagleCork) return true;
  return nagle == 0 && e.packets_out() != 0 && after(e.snd_sml, e.snd_una) && !after(e.snd_sml, e.snd_nxt);
}

/// Half the buffer of what the peer can take was written since the last PSH.
bool forced_push(const Endpoint& e) { return after(e.write_seq, e.pushed_seq + e.max_window / 2); }

void mark_push(Endpoint& e) {
  e.unsent.back().flags |= Flag::kPsh;
  e.pushed_seq = e.write_seq;
}

void drop_head(std::vector<Piece>& queue, std::uint32_t& head) {
  if (++head == queue.size()) {
    queue.clear();
    head = 0;
  }
}

bool urgent_mode(const Endpoint& e) { return !(e.snd_una == e.snd_up) && after(e.snd_up, e.snd_una); }

/// How many segments make one burst: half the congestion window at most, so that two are on their way.
std::uint32_t cwnd_quota(std::uint32_t in_flight, std::uint32_t cwnd) {
  if (in_flight >= cwnd) return 0;
  return std::min(std::max(cwnd / 2, 1u), cwnd - in_flight);
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------
// Headers

void Kernel::fill_options(const Endpoint& e, Packet& p) const {
  if (e.neg.timestamps) {
    p.options |= Opt::kTimestamps;
    p.tsval = clock_tsval(e.ts_offset);
    p.tsecr = e.ts_recent;
  }
  const std::uint32_t blocks = sack_blocks(e);
  if (blocks == 0) return;
  p.options |= Opt::kSack;
  p.sack_blocks = static_cast<std::uint8_t>(blocks);
  std::size_t at = 0;
  if (e.dsack) {
    p.sack[0] = e.dsack_block.left;
    p.sack[1] = e.dsack_block.right;
    at = 2;
  }
  for (std::size_t i = 0; at < 2 * blocks; ++i, at += 2) {
    p.sack[at] = e.out_of_order->sacks[i].left;
    p.sack[at + 1] = e.out_of_order->sacks[i].right;
  }
}

Packet& Kernel::emit(Endpoint& e, std::uint8_t flags, SeqNum seq) {
  count(Mib::kOutSegs);
  return build(e, flags, seq, Header::kOwn);
}

Packet& Kernel::build(Endpoint& e, std::uint8_t flags, SeqNum seq, Header header) {
  Packet& p = step->sent.emplace_back();
  p.source = e.tuple.local;
  p.destination = e.tuple.remote;
  p.source_port = e.tuple.local_port;
  p.destination_port = e.tuple.remote_port;
  p.ttl = e.opt.ttl != 0 ? e.opt.ttl : static_cast<std::uint8_t>(config.sysctls.ip_default_ttl);
  p.tos = static_cast<std::uint8_t>(e.opt.tos & ~3u);
  p.ip_id = e.tuple.local.version == 4 ? e.ip_id++ : std::uint16_t{0};
  p.seq = seq;
  p.flags = flags;
  if (flags & Flag::kAck) p.ack = e.rcv_nxt;
  if (flags & Flag::kSyn) {
    // The window of a SYN is never scaled (RFC 7323 2.2).
    p.window = static_cast<std::uint16_t>(std::min(e.rcv_wnd, 65535u));
    p.options = Opt::kMss;
    // What the path is known to carry: Linux tcp_advertise_mss(), ipv4_default_advmss().
    const std::uint32_t headers = e.tuple.local.version == 4 ? 40 : 60;
    const std::uint32_t offered = std::min<std::uint32_t>(e.advmss, e.pmtu > headers + kLeastAdvMss ? e.pmtu - headers : kLeastAdvMss);
    p.mss = static_cast<std::uint16_t>(e.opt.user_mss != 0 ? std::min<std::uint32_t>(e.opt.user_mss, offered) : offered);
    if (config.sysctls.tcp_timestamps) {
      p.options |= Opt::kTimestamps;
      p.tsval = clock_tsval(e.ts_offset);
      p.tsecr = e.ts_recent;
    }
    if (config.sysctls.tcp_window_scaling) {
      p.options |= Opt::kWindowScale;
      p.window_scale = e.neg.rcv_wscale;
    }
    if (config.sysctls.tcp_sack) p.options |= Opt::kSackPermitted;
  } else if (header == Header::kOwn) {
    fill_options(e, p);
    if (p.sack_blocks != 0) e.dsack = false;  // a D-SACK is said once (RFC 2883 4)
    p.window = select_window(e);
  }
  if (urgent_mode(e) && before(seq, e.snd_up) && before(e.snd_up, seq + 0x10000)) {
    p.urgent = static_cast<std::uint16_t>(distance(seq, e.snd_up));
    p.flags |= Flag::kUrg;
  }
  if (e.neg.ecn && !(flags & (Flag::kSyn | Flag::kRst)) && e.ecn_demand_cwr) p.flags |= Flag::kEce;
  if (flags & Flag::kAck) ack_was_sent(e);
  ++e.segs_out;
  return p;
}

SeqNum Kernel::acceptable_seq(const Endpoint& e) const {
  // A window that shrank leaves snd_nxt beyond its end; the end is acceptable then. tcp_acceptable_seq().
  const SeqNum end = window_end(e);
  if (!before(end, e.snd_nxt) || (e.neg.window_scaling && distance(end, e.snd_nxt) < (1u << e.neg.rcv_wscale)))
    return e.snd_nxt;
  return end;
}

void Kernel::send_ack(Endpoint& e) {
  if (e.state == State::kClose) return;
  because(Rule::kAckSent);
  emit(e, Flag::kAck, acceptable_seq(e));
}

std::uint32_t Kernel::current_mss(const Endpoint& e) const {
  const std::uint32_t blocks = sack_blocks(e);
  return blocks == 0 ? e.mss : e.mss - (kSackBase + kSackPerBlock * blocks);
}

// ---------------------------------------------------------------------------------------------------------
// Segments

/// Sends a piece that is in the sent queue, for the first time or again. Linux __tcp_transmit_skb().
void Kernel::transmit(Endpoint& e, Piece& piece, Header header) {
  const bool first_time = after(piece.end, e.snd_nxt);
  std::uint32_t payload = piece.length();
  if (piece.flags & Flag::kSyn) --payload;
  if (piece.flags & Flag::kFin) --payload;
  piece.sent_at = now;
  if (first_time) piece.first_sent = now;

  std::uint8_t flags = piece.flags;
  if (!(flags & Flag::kSyn) || e.state != State::kSynSent) flags |= Flag::kAck;
  if (first_time) count(Mib::kOutSegs);
  Packet& p = build(e, flags, piece.seq, header);
  p.payload_bytes = payload;
  if (payload == 0) return;

  const SeqNum data = piece.seq + ((piece.flags & Flag::kSyn) ? 1u : 0u);
  if (e.out.has_content()) e.out.read(distance(e.out_seq, data), payload, p.payload);
  if (e.neg.ecn && first_time) {
    p.tos |= 2;  // ECT(0) on new data only (RFC 3168 6.1.4, 6.1.5)
    if (e.ecn_queue_cwr) {
      e.ecn_queue_cwr = false;
      p.flags |= Flag::kCwr;
    }
  }
  ++e.data_segs_out;
  e.bytes_sent += payload;
}

/// A burst is one packet until the device cuts it: its segments have one header, which says the same SACK blocks in each and
/// PSH in the last. Linux __tcp_transmit_skb(), tcp_event_data_sent().
void Kernel::transmit_burst(Endpoint& e, std::size_t first, std::size_t end) {
  const std::size_t fresh = after(e.sent[first].end, e.snd_nxt) ? end - first : 0;
  const bool starts = in_flight(e) == fresh;
  const std::uint64_t bytes_before = e.bytes_sent;
  std::size_t header = 0;
  for (std::size_t i = first; i < end; ++i) {
    transmit(e, e.sent[i], i == first ? Header::kOwn : Header::kOfBurst);
    Packet& p = step->sent.back();
    if (i == first) {
      header = step->sent.size() - 1;
      continue;
    }
    const Packet& model = step->sent[header];
    p.window = model.window;
    p.options = model.options;
    p.tsval = model.tsval;
    p.tsecr = model.tsecr;
    p.sack_blocks = model.sack_blocks;
    p.sack = model.sack;
    if (i + 1 == end) p.flags |= Flag::kPsh;
  }
  if (e.bytes_sent == bytes_before) return;
  if (starts && e.cubic.epoch != 0) {
    const std::int64_t idle = jiffies(now) - jiffies(e.lsndtime);
    if (idle > 0) e.cubic.epoch = std::min(e.cubic.epoch + idle, jiffies(now));
  }
  e.lsndtime = now;
  // An answer within the delayed-ACK time of the last data makes the session interactive.
  if (jiffies(now) - jiffies(e.ack.last_received) < e.ack.ato / tick() && e.ack.pingpong < 255) ++e.ack.pingpong;
}

namespace {

std::uint32_t data_of(const Piece& x) {
  return x.length() - ((x.flags & Flag::kFin) ? 1u : 0u) - ((x.flags & Flag::kSyn) ? 1u : 0u);
}

}  // namespace

/// Small neighbours travel together the second time. Behind a full one not even a FIN does. Linux tcp_retrans_try_collapse().
void Kernel::join_neighbours(Endpoint& e, std::size_t at, std::uint32_t longest) {
  while (at + 1 < e.sent.size() && !e.sent[at].sacked && buffer_end(e, at + 1) == at + 2) {
    Piece& piece = e.sent[at];
    const Piece next = e.sent[at + 1];
    if (next.sacked || piece.eor || (piece.flags & Flag::kFin) || data_of(piece) + data_of(next) > longest ||
        after(next.end, window_end(e)))
      break;
    piece.end = next.end;
    piece.flags |= next.flags;
    piece.ever_retransmitted = piece.ever_retransmitted || next.ever_retransmitted;
    piece.eor = next.eor;
    if (next.lost) --e.lost_out;
    if (next.retransmitted) --e.retrans_out;
    free_write_memory(e, empty_buffer());
    e.sent.erase(e.sent.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// Linux __tcp_retransmit_skb().
std::uint32_t Kernel::retransmit(Endpoint& e, std::size_t at, std::uint32_t segments) {
  Piece& front = e.sent[at];
  if (before(front.seq, e.snd_una)) {
    if (front.flags & Flag::kSyn) {
      front.flags = static_cast<std::uint8_t>(front.flags & ~Flag::kSyn);
      front.seq = front.seq + 1;
    }
    if (before(front.seq, e.snd_una)) {
      free_write_memory(e, distance(front.seq, e.snd_una));
      front.seq = e.snd_una;
    }
  }
  const std::uint32_t mss = current_mss(e);
  std::int32_t room = offset(front.seq, window_end(e));
  if (room <= 0) {
    // The peer took its window back: only the very next octet may go, as a probe.
    if (!(front.seq == e.snd_una)) return 0;
    room = static_cast<std::int32_t>(mss);
  }
  const auto window = static_cast<std::uint32_t>(room);
  std::uint32_t longest = mss * segments;
  if (longest > window) longest = window >= mss ? window / mss * mss : window;
  recut(e, at, longest, mss);
  std::size_t end = buffer_end(e, at);
  if (end == at + 1 && !(e.sent[at].flags & Flag::kSyn) && data_of(e.sent[at]) < std::min(window, mss))
    join_neighbours(e, at, std::min(window, mss));
  // RFC 3168 6.1.1.1: a SYN that asks for ECN may be what is dropped.
  Piece& piece = e.sent[at];
  if ((piece.flags & Flag::kSyn) && (piece.flags & Flag::kEce) && config.sysctls.tcp_ecn_fallback) {
    piece.flags = static_cast<std::uint8_t>(piece.flags & ~(Flag::kEce | Flag::kCwr));
    e.neg.ecn = false;
  }
  const auto n = static_cast<std::uint32_t>(end - at);
  for (std::size_t i = at; i < end; ++i) {
    count(Mib::kRetransSegs);
    e.bytes_retrans += data_of(e.sent[i]);
    e.sent[i].ever_retransmitted = true;
  }
  if ((piece.flags & Flag::kSyn) && config.kernel.synack_counters == SynAckCounters::kAlsoSynRetrans)
    count(Mib::kTCPSynRetrans);
  e.retrans_total += n;
  if (local_queue == LocalQueue::kDrops) {
    because(Rule::kLocalQueueDrops);
    count(Mib::kTCPRetransFail);
    return 0;
  }
  transmit_burst(e, at, end);
  return n;
}

/// The SYN of connect(). Linux tcp_connect(). A Fast Open SYN carries what queue_syn_data() put in the packet.
void Kernel::send_syn(Endpoint& e) {
  because(Rule::kConnect);
  e.ecn_seen = false;
  Piece syn;
  syn.seq = e.iss;
  syn.end = e.iss + 1;
  syn.flags = Flag::kSyn;
  if (config.sysctls.tcp_ecn == 1) syn.flags |= Flag::kEce | Flag::kCwr;
  e.snd_una = e.snd_sml = e.snd_up = e.iss;
  e.snd_nxt = e.iss;
  e.write_seq = e.pushed_seq = e.iss + 1;
  e.out_seq = e.iss + 1;
  e.sent.push_back(syn);
  add_buffer(e, 0);
  e.retrans_stamp = now;
  transmit_burst(e, e.sent.size() - 1, e.sent.size());
  e.snd_nxt = e.write_seq;
  count(Mib::kActiveOpens);
  arm_xmit(e, XmitTimer::kRetransmit, e.rto);
}

void Kernel::send_crossed_synack(Endpoint& e) {
  if (e.packets_out() == 0 || !(e.sent[e.sent_head].flags & Flag::kSyn)) return;
  Piece& syn = e.sent[e.sent_head];
  // The answer to an ECN-setup SYN carries ECE alone (RFC 3168 6.1.1).
  syn.flags = static_cast<std::uint8_t>(syn.flags & ~(Flag::kEce | Flag::kCwr));
  if (e.neg.ecn) syn.flags |= Flag::kEce;
  transmit(e, syn, Header::kOwn);
}

void Kernel::queue_fin(Endpoint& e) {
  because(Rule::kFinSent);
  if (e.has_unsent()) {
    e.unsent.back().flags |= Flag::kFin;
    e.unsent.back().end = e.unsent.back().end + 1;
  } else {
    Piece fin;
    fin.seq = e.write_seq;
    fin.end = e.write_seq + 1;
    fin.flags = Flag::kFin;
    e.unsent.push_back(fin);
    add_buffer(e, 0);
  }
  e.write_seq = e.write_seq + 1;
  if (write_out(e, kNagleOff, PushOne::kNo) && e.packets_out() == 0 && e.xmit == XmitTimer::kNone)
    arm_xmit(e, XmitTimer::kProbe0, std::max<Duration>(e.rto, kRtoMin));
}

void Kernel::push(Endpoint& e) {
  if (e.has_unsent() && e.state != State::kClose && write_out(e, nonagle(e), PushOne::kNo) && e.xmit == XmitTimer::kNone)
    arm_xmit(e, XmitTimer::kProbe0, std::max<Duration>(e.rto, kRtoMin));
  check_space(e);
}

std::uint32_t Kernel::write_data(Endpoint& e, std::uint32_t n, std::uint32_t flags, std::span<const std::uint8_t> data) {
  const bool urgent = (flags & MessageFlags::kOob) != 0;
  const std::uint32_t mss = current_mss(e);
  const std::uint32_t goal = size_goal(e, mss, urgent);
  const auto send_with = [&](int nagle, PushOne one) {
    if (e.state == State::kClose) return;
    if (write_out(e, nagle, one) && one == PushOne::kNo && e.xmit == XmitTimer::kNone)
      arm_xmit(e, XmitTimer::kProbe0, std::max<Duration>(e.rto, kRtoMin));
  };
  std::uint32_t taken = 0;
  const auto finish = [&](bool more, int nagle) {
    if (!e.has_unsent()) return;
    if (!more || forced_push(e)) mark_push(e);
    if (urgent) e.snd_up = e.write_seq;
    send_with(more ? kNagleCork : nagle, PushOne::kNo);
  };
  while (taken < n) {
    if (!e.has_unsent() || e.unsent.back().length() >= goal || e.unsent.back().eor) {
      if (!write_memory_free(e)) {
        // No room: what was taken leaves, whatever Nagle says.
        e.no_space = true;
        if (taken != 0) finish(false, kNaglePush);
        break;
      }
      Piece fresh;
      fresh.seq = fresh.end = e.write_seq;
      e.unsent.push_back(fresh);
      add_buffer(e, 0);
      restart_after_idle(e);
    }
    Piece& tail = e.unsent.back();
    const std::uint32_t take = std::min(n - taken, goal - tail.length());
    if (taken == 0) tail.flags = static_cast<std::uint8_t>(tail.flags & ~Flag::kPsh);
    fill_buffer(e, take);
    const std::size_t have = std::min<std::size_t>(data.size(), take);
    e.out.append(take, data.data(), have);
    data = data.subspan(have);
    tail.end = tail.end + take;
    e.write_seq = e.write_seq + take;
    taken += take;
    if (taken == n) {
      if (flags & MessageFlags::kEor) tail.eor = true;
      break;
    }
    if (tail.length() < goal || urgent) continue;
    if (forced_push(e)) {
      mark_push(e);
      send_with(kNaglePush, PushOne::kNo);
    } else if (e.unsent.size() - e.unsent_head == 1) {
      send_with(kNaglePush, PushOne::kOne);
    }
  }
  if (taken != 0) finish((flags & MessageFlags::kMore) != 0, nonagle(e));
  return taken;
}

// ---------------------------------------------------------------------------------------------------------
// What may leave now

namespace {

/// Waiting a little may make a bigger burst: Linux tcp_tso_should_defer(), with tcp_tso_win_divisor 3.
bool defers(const Kernel& k, const Endpoint& e, const Piece& head, std::uint32_t in_flight, std::uint32_t max_segments,
            bool last, bool& cwnd_limited) {
  if (e.ca >= CaState::kRecovery || e.packets_out() == 0) return false;
  if (k.now - e.lsndtime > std::chrono::milliseconds{1}) return false;
  const std::uint32_t length = head.length() - ((head.flags & Flag::kFin) ? 1u : 0u);
  const std::uint32_t send_window = distance(head.seq, k.window_end(e));
  const std::uint32_t cwnd_window = (e.cwnd - in_flight) * e.mss;
  const std::uint32_t limit = std::min(send_window, cwnd_window);
  if (limit >= max_segments * e.mss) return false;
  if (!last && limit >= length) return false;
  const std::uint32_t divisor = static_cast<std::uint32_t>(k.config.sysctls.tcp_tso_win_divisor);
  if (divisor != 0 && limit >= std::min(e.snd_wnd, e.cwnd * e.mss) / divisor) return false;
  if (divisor == 0 && limit > 3 * e.mss) return false;
  // The ACK that would let more go is expected too late to wait for it.
  const std::int64_t srtt_ns = std::int64_t{125} * e.srtt8;
  const std::int64_t expected =
      (e.sent[e.sent_head].sent_at.time_since_epoch().count() + srtt_ns) - k.now.time_since_epoch().count();
  if (expected - std::min<std::int64_t>(srtt_ns / 2, 1'000'000) > 0) return false;
  if (cwnd_window < send_window) {
    if (cwnd_window <= length) {
      cwnd_limited = true;
      return true;
    }
  } else if (send_window <= length) {
    return true;
  }
  return !((head.flags & Flag::kFin) || head.eor);
}

/// How much of the head one burst takes. Linux tcp_mss_split_point().
std::uint32_t split_point(const Kernel& k, const Endpoint& e, const Piece& head, std::uint32_t mss, std::uint32_t quota,
                          bool last, int nagle) {
  const std::uint32_t window = distance(head.seq, k.window_end(e));
  const std::uint32_t most = mss * quota;
  if (most <= window && !last) return most;
  const std::uint32_t length = head.length() - ((head.flags & Flag::kFin) ? 1u : 0u);
  const std::uint32_t needed = std::min(length, window);
  if (most <= needed) return most;
  const std::uint32_t partial = needed % mss;
  return nagle_waits(e, partial != 0, nagle) ? needed - partial : needed;
}

/// cwnd is judged by what was used of it. Linux tcp_cwnd_validate().
void validate_cwnd(Kernel& k, Endpoint& e, bool limited) {
  const auto out = static_cast<std::uint32_t>(e.packets_out());
  if (!before(e.snd_una, e.cwnd_usage_seq) || limited || (!e.cwnd_limited && out > e.max_packets_out)) {
    e.cwnd_limited = limited;
    e.max_packets_out = out;
    e.cwnd_usage_seq = e.snd_nxt;
  }
  const bool full = e.cwnd_limited || (e.cwnd < e.ssthresh && e.cwnd < 2 * e.max_packets_out);
  if (full) {
    e.cwnd_used = 0;
    e.cwnd_tick = k.jiffies(k.now);
    return;
  }
  e.cwnd_used = std::max(e.cwnd_used, out);
  if (!k.config.sysctls.tcp_slow_start_after_idle || (k.jiffies(k.now) - e.cwnd_tick) * k.tick() < e.rto) return;
  // RFC 2861: unused for a round trip, it decays.
  if (e.ca == CaState::kOpen) {
    const std::uint32_t used = std::max(e.cwnd_used, static_cast<std::uint32_t>(k.config.kernel.initial_cwnd));
    if (used < e.cwnd) {
      e.ssthresh = std::max(e.ssthresh, (e.cwnd >> 1) + (e.cwnd >> 2));
      e.cwnd = (e.cwnd + used) >> 1;
    }
    e.cwnd_used = 0;
  }
  e.cwnd_tick = k.jiffies(k.now);
}

}  // namespace

/// What an ACK says about the pace; a window that shrinks for idleness does not change it. Linux tcp_update_pacing_rate().
void Kernel::set_pacing_rate(Endpoint& e) {
  if (e.srtt8 == 0) return;
  const std::uint64_t percent = e.cwnd < e.ssthresh / 2 ? 200 : 120;  // tcp_pacing_ss_ratio, tcp_pacing_ca_ratio
  const std::uint64_t segments = std::max<std::uint64_t>(e.cwnd, e.packets_out());
  e.pacing_rate = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::uint64_t{e.mss} * 80'000 * percent * segments / e.srtt8, UINT32_MAX));
}

/// How many segments a burst may hold: about a millisecond's worth at the pace of the connection, more for near
/// peers. Linux tcp_tso_autosize().
std::uint32_t Kernel::burst_segments(const Endpoint& e, std::uint32_t mss) const {
  const std::uint32_t far = e.min_rtt >> 9;  // tcp_tso_rtt_log
  const std::uint64_t paced = std::uint64_t{e.pacing_rate >> 10} + (far < 32 && e.min_rtt != 0 ? kBurstBytes >> far : 0u);
  const std::uint64_t bytes = std::min<std::uint64_t>(paced, kBurstBytes);
  return std::max(static_cast<std::uint32_t>(bytes / mss), static_cast<std::uint32_t>(config.sysctls.tcp_min_tso_segs));
}

/// A burst takes from the next buffer, and only from that, what fills it. Linux tcp_grow_skb().
void Kernel::grow_head(Endpoint& e, std::uint32_t to) {
  if (e.unsent_head + 1 >= e.unsent.size()) return;
  Piece& head = e.unsent[e.unsent_head];
  Piece& next = e.unsent[e.unsent_head + 1];
  if (head.eor || data_of(head) >= to) return;
  const std::uint32_t move = std::min(to - data_of(head), data_of(next));
  if (move == 0) return;
  head.end = head.end + move;
  next.seq = next.seq + move;
  if (data_of(next) > 0) return;
  head.end = next.end;
  head.flags |= next.flags;
  head.eor = next.eor;
  e.unsent.erase(e.unsent.begin() + static_cast<std::ptrdiff_t>(e.unsent_head) + 1);
  free_write_memory(e, empty_buffer());
}

bool Kernel::write_out(Endpoint& e, int nagle, PushOne one) {
  const std::uint32_t mss = current_mss(e);
  const std::uint32_t max_segments = burst_segments(e, mss);
  std::uint32_t sent_segments = 0;
  bool cwnd_limited = false;
  while (e.has_unsent()) {
    Piece* head = &e.unsent[e.unsent_head];
    const std::uint32_t flying = in_flight(e);
    std::uint32_t quota = cwnd_quota(flying, e.cwnd);
    // Older kernels let the last FIN pass a full congestion window.
    if (quota == 0 && config.kernel.fin_and_cwnd == FinAndCwnd::kExempt && (head->flags & Flag::kFin) &&
        head->length() - 1 <= mss)
      quota = 1;
    if (quota == 0) {
      if (one != PushOne::kProbe) {
        because(Rule::kCwndHolds);
        break;
      }
      quota = 1;
    }
    quota = std::min(quota, max_segments);

    grow_head(e, quota * mss);
    head = &e.unsent[e.unsent_head];

    const std::uint32_t length = data_of(*head);
    const bool last = e.unsent_head + 1 == e.unsent.size();
    const SeqNum first_end = length > mss ? head->seq + mss : head->end;
    if (after(first_end, window_end(e))) {
      because(Rule::kWindowHolds);
      break;
    }
    std::uint32_t limit = mss;
    if (length <= mss) {
      const int here = last ? nagle : kNaglePush;
      if (!(here & kNaglePush) && !urgent_mode(e) && !(head->flags & Flag::kFin) && nagle_waits(e, length < mss, here)) {
        because(Rule::kNagleHolds);
        break;
      }
    } else {
      if (one == PushOne::kNo && defers(*this, e, *head, flying, max_segments, last, cwnd_limited)) break;
      if (!urgent_mode(e)) limit = split_point(*this, e, *head, mss, quota, last, nagle);
    }
    if (head->length() == 0) break;

    if (local_queue == LocalQueue::kDrops) {
      // net_xmit_eval(): the piece stays unsent, and the congestion is as real as any on the path.
      because(Rule::kLocalQueueDrops);
      ++e.segs_out;
      count(Mib::kOutSegs);
      e.lsndtime = now;
      enter_cwr(e);
      break;
    }

    Piece burst = *head;
    if (length > limit) {
      burst.end = head->seq + limit;
      burst.flags = static_cast<std::uint8_t>(burst.flags & ~(Flag::kFin | Flag::kPsh));
      burst.eor = false;
      head->seq = burst.end;
      add_buffer(e, 0);
    } else {
      drop_head(e.unsent, e.unsent_head);
    }
    const std::uint32_t bytes = data_of(burst);
    const std::uint32_t segments = std::max((bytes + mss - 1) / mss, 1u);
    because(Rule::kDataSent);

    const bool nothing_out = e.packets_out() == 0;
    const std::size_t first = e.sent.size();
    for (std::uint32_t i = 0; i < segments; ++i) {
      Piece piece = burst;
      piece.seq = burst.seq + i * mss;
      piece.joined = i != 0;
      if (i + 1 < segments) {
        piece.end = piece.seq + mss;
        piece.flags = static_cast<std::uint8_t>(piece.flags & ~(Flag::kFin | Flag::kPsh));
        piece.eor = false;
      }
      e.sent.push_back(piece);
      count(Mib::kTCPOrigDataSent);
    }
    transmit_burst(e, first, e.sent.size());
    for (std::size_t i = first; i < e.sent.size(); ++i) e.sent[i].sent_at += config.send_lag;
    e.snd_nxt = burst.end;
    check_space(e);
    if (nothing_out || e.xmit == XmitTimer::kLossProbe) rearm_rto(e);
    if (bytes < segments * mss) e.snd_sml = burst.end;
    sent_segments += segments;
    if (one != PushOne::kNo) break;
  }
  cwnd_limited = cwnd_limited || in_flight(e) >= e.cwnd;
  if (sent_segments != 0 || cwnd_limited) validate_cwnd(*this, e, cwnd_limited);
  if (sent_segments != 0) {
    if (e.ca == CaState::kCwr || e.ca == CaState::kRecovery) e.prr_out += sent_segments;
    if (one != PushOne::kProbe) schedule_loss_probe(e, false);
    return false;
  }
  return e.packets_out() == 0 && e.has_unsent();
}

void Kernel::write_wakeup(Endpoint& e, Mib counter) {
  if (e.state == State::kClose) return;
  if (e.has_unsent() && before(e.unsent[e.unsent_head].seq, window_end(e))) {
    if (local_queue == LocalQueue::kDrops) return because(Rule::kLocalQueueDrops);
    // Silly window avoidance held it back; now as much goes as fits.
    Piece& head = e.unsent[e.unsent_head];
    const std::uint32_t mss = current_mss(e);
    std::uint32_t size = distance(head.seq, window_end(e));
    if (before(e.pushed_seq, head.end)) e.pushed_seq = head.end;
    const std::uint32_t data = head.length() - ((head.flags & Flag::kFin) ? 1u : 0u);
    Piece piece = head;
    piece.flags |= Flag::kPsh;
    if (size < head.length() || data > mss) {
      size = std::min(size, mss);
      piece.end = head.seq + size;
      piece.flags = static_cast<std::uint8_t>(piece.flags & ~Flag::kFin);
      piece.eor = false;
      head.seq = piece.end;
      add_buffer(e, 0);
    } else {
      drop_head(e.unsent, e.unsent_head);
    }
    const bool nothing_out = e.packets_out() == 0;
    e.sent.push_back(piece);
    because(Rule::kDataSent);
    transmit_burst(e, e.sent.size() - 1, e.sent.size());
    e.snd_nxt = piece.end;
    count(Mib::kTCPOrigDataSent);
    if (nothing_out || e.xmit == XmitTimer::kLossProbe) rearm_rto(e);
    return;
  }
  if (urgent_mode(e) && distance(e.snd_una, e.snd_up) <= 0xFFFF) {
    count(counter);
    emit(e, Flag::kAck, e.snd_una);
  }
  // One octet below the window: the peer must answer (RFC 9293 3.8.6.1, RFC 1122 4.2.3.6).
  count(counter);
  emit(e, Flag::kAck, e.snd_una - 1);
}

// ---------------------------------------------------------------------------------------------------------
// Octets

void Bytes::append(std::uint64_t n, const std::uint8_t* data, std::size_t have) {
  if (have != 0) {
    if (!content_) content_ = std::make_unique<Content>();
    std::vector<std::uint8_t>& octets = content_->octets;
    octets.resize(content_->head + static_cast<std::size_t>(count_));  // what had no content is zeros
    octets.insert(octets.end(), data, data + std::min<std::uint64_t>(have, n));
  }
  count_ += n;
}

void Bytes::read(std::uint64_t from, std::uint64_t n, std::vector<std::uint8_t>& out) const {
  const std::size_t start = out.size();
  n = from < count_ ? std::min(n, count_ - from) : 0;
  out.resize(start + static_cast<std::size_t>(n));
  if (!content_) return;
  const std::vector<std::uint8_t>& octets = content_->octets;
  const std::size_t at = content_->head + static_cast<std::size_t>(from);
  if (at >= octets.size()) return;
  const std::size_t have = std::min(static_cast<std::size_t>(n), octets.size() - at);
  std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(at), have, out.begin() + static_cast<std::ptrdiff_t>(start));
}

void Bytes::drop(std::uint64_t n) {
  n = std::min(n, count_);
  count_ -= n;
  if (!content_) return;
  std::vector<std::uint8_t>& octets = content_->octets;
  std::size_t& head = content_->head;
  head += static_cast<std::size_t>(n);
  if (count_ == 0) {
    content_.reset();
  } else if (head > 65536 && head > octets.size() / 2) {
    const std::size_t gone = std::min(head, octets.size());
    octets.erase(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(gone));
    head -= gone;
  }
}

}  // namespace tcpwhy::model
