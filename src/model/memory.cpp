// What a socket's buffers cost. Linux counts memory, not octets, against SO_SNDBUF and SO_RCVBUF, and sets it aside for a
// socket in whole pages: what is left of the last page decides whether a segment may take the short way, and how much a
// program may write depends on the size of the pieces. Linux include/net/sock.h sk_mem_charge(), sk_mem_uncharge(),
// net/core/skbuff.c; what arrives is taken to come from a TUN device, whose buffers are as long as the packet needs.

#include <algorithm>
#include <bit>
#include <iterator>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

constexpr std::int32_t kPage = 4096;
constexpr std::uint32_t kBufferStruct = 256, kSharedInfo = 320;  // struct sk_buff, struct skb_shared_info, as aligned
constexpr std::uint32_t kHeadroom = 64;                          // NET_SKB_PAD
constexpr std::uint32_t kMostCollapsed = kPage - kSharedInfo;     // SKB_MAX_ORDER(0, 0)

std::uint32_t packet_octets(const Packet& p) { return (p.source.version == 4 ? 20u : 40u) + Kernel::tcp_header(p) + p.payload_bytes; }

std::uint32_t payload_of(const Piece& piece) {
  return piece.length() - ((piece.flags & wire::Flag::kFin) ? 1u : 0u) - ((piece.flags & wire::Flag::kSyn) ? 1u : 0u);
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------
// Pages

/// __sk_mem_schedule(): whole pages, as many as it takes.
void Kernel::set_aside(Endpoint& e, std::uint32_t n) {
  const auto needed = static_cast<std::int32_t>(n);
  if (e.set_aside < needed) e.set_aside += (needed - e.set_aside + kPage - 1) / kPage * kPage;
}

void Kernel::uncharge(Endpoint& e, std::uint32_t n) {
  e.set_aside += static_cast<std::int32_t>(n);
  if (e.set_aside >= kPage) e.set_aside %= kPage;
}

// ---------------------------------------------------------------------------------------------------------
// What is sent

/// An empty buffer of the write queue: its head holds the headers, octets lie in pages. tcp_stream_alloc_skb().
std::uint32_t Kernel::empty_buffer() const { return kBufferStruct + kSharedInfo + config.small_head; }

void Kernel::add_buffer(Endpoint& e, std::uint32_t payload) {
  const std::uint32_t n = empty_buffer() + payload;
  set_aside(e, n);
  e.set_aside -= static_cast<std::int32_t>(n);
  e.write_memory += n;
}

void Kernel::fill_buffer(Endpoint& e, std::uint32_t payload) {
  set_aside(e, payload);
  e.set_aside -= static_cast<std::int32_t>(payload);
  e.write_memory += payload;
}

void Kernel::free_write_memory(Endpoint& e, std::uint32_t n) {
  e.write_memory -= n;
  uncharge(e, n);
}

/// The buffer of the piece at `first` of e.sent ends before this one.
std::size_t Kernel::buffer_end(const Endpoint& e, std::size_t first) {
  std::size_t end = first + 1;
  while (end < e.sent.size() && e.sent[end].joined) ++end;
  return end;
}

/// From the piece at `at` on a buffer of its own: tcp_fragment().
void Kernel::split_before(Endpoint& e, std::size_t at) {
  if (at >= e.sent.size() || !e.sent[at].joined) return;
  e.sent[at].joined = false;
  add_buffer(e, 0);
}

/// Cuts the octets of the buffer that begins at `first` into segments of `mss` again, up to `length`; what lies beyond gets a
/// buffer of its own. tcp_set_skb_tso_segs(), tcp_fragment(). Counts of segments follow.
void Kernel::recut(Endpoint& e, std::size_t first, std::uint32_t length, std::uint32_t mss) {
  const std::size_t end = buffer_end(e, first);
  Piece whole = e.sent[first];
  if (whole.flags & wire::Flag::kSyn) return;
  whole.end = e.sent[end - 1].end;
  whole.flags = e.sent[end - 1].flags;
  whole.eor = e.sent[end - 1].eor;
  const std::uint32_t payload = payload_of(whole);
  const bool whole_fits = end == first + 1 && payload <= std::min(length, mss);
  if (whole_fits) return;

  std::vector<Piece> cut;
  SeqNum at = whole.seq;
  std::uint32_t left = payload, budget = length;
  bool joined = whole.joined;
  do {
    if (budget == 0) {
      add_buffer(e, 0);
      budget = left;
      joined = false;
    }
    const std::uint32_t n = std::min({left, budget, mss});
    Piece piece = whole;
    piece.joined = joined;
    piece.seq = at;
    at = at + n;
    left -= n;
    budget -= n;
    piece.end = at;
    if (left != 0) {
      piece.flags = static_cast<std::uint8_t>(piece.flags & ~(wire::Flag::kFin | wire::Flag::kPsh));
      piece.eor = false;
    } else {
      piece.end = whole.end;
    }
    cut.push_back(piece);
    joined = true;
  } while (left != 0);

  const auto recount = [&](const Piece& piece, int by) {
    if (piece.sacked) e.sacked_out = static_cast<std::uint32_t>(static_cast<int>(e.sacked_out) + by);
    if (piece.lost) e.lost_out = static_cast<std::uint32_t>(static_cast<int>(e.lost_out) + by);
    if (piece.retransmitted) e.retrans_out = static_cast<std::uint32_t>(static_cast<int>(e.retrans_out) + by);
  };
  for (std::size_t i = first; i < end; ++i) recount(e.sent[i], -1);
  for (const Piece& piece : cut) recount(piece, 1);
  const auto where = e.sent.begin() + static_cast<std::ptrdiff_t>(first);
  e.sent.insert(e.sent.erase(where, e.sent.begin() + static_cast<std::ptrdiff_t>(end)), cut.begin(), cut.end());
}

/// The piece at the front of e.sent is acknowledged: its octets are free, and with the last of its buffer the buffer.
void Kernel::free_front(Endpoint& e) {
  const Piece& piece = e.sent[e.sent_head];
  std::uint32_t n = payload_of(piece);
  if (buffer_end(e, e.sent_head) == e.sent_head + 1)
    n += empty_buffer();
  else
    e.sent[e.sent_head + 1].joined = false;
  free_write_memory(e, n);
}

// ---------------------------------------------------------------------------------------------------------
// What arrives

std::uint32_t Kernel::tcp_header(const Packet& p) {
  std::uint32_t n = 20;
  if (p.has(wire::Opt::kTimestamps)) n += kTimestampBytes;
  if (p.sack_blocks != 0) n += 4 + 8u * p.sack_blocks;
  if (!p.syn()) return n;
  if (p.has(wire::Opt::kMss)) n += 4;
  if (p.has(wire::Opt::kWindowScale)) n += 4;
  if (p.has(wire::Opt::kSackPermitted) && !p.has(wire::Opt::kTimestamps)) n += 4;  // beside them it takes two of their NOPs
  if (p.has(wire::Opt::kFastOpen)) n += (2u + p.cookie_bytes + (p.cookie_experimental ? 2u : 0u) + 3u) / 4 * 4;
  return n;
}

/// A received packet's buffer: a small head from its own cache, else a power of two, and pages beyond one page.
RcvBuffer Kernel::buffer_of(const Packet& p) const {
  const std::uint32_t packet = packet_octets(p), linear = kHeadroom + packet;
  if (linear <= config.small_head)
    return {p.end(), config.small_head + kSharedInfo + kBufferStruct, config.small_head - linear, p.payload_bytes};
  if (linear < kPage) {
    const std::uint32_t head = std::bit_ceil(linear + kSharedInfo);
    return {p.end(), head + kBufferStruct, head - kSharedInfo - linear, p.payload_bytes};
  }
  const std::uint32_t head = kPage - kSharedInfo - kHeadroom;
  const std::uint32_t pages = std::bit_ceil((packet - std::min(packet, head) + kPage - 1) / kPage);
  return {p.end(), kPage + kBufferStruct + pages * kPage, 0, p.payload_bytes};
}

std::uint32_t Kernel::truesize(const Packet& p) const { return buffer_of(p).memory; }

/// tcp_try_coalesce(): octets that fit behind the last ones cost nothing more. True: they did.
bool Kernel::coalesce(RcvBuffer& to, const RcvBuffer& from) {
  const SeqNum begin = from.end - (from.payload + (from.fin ? 1u : 0u));
  if (from.payload > to.room || !(begin == to.end)) return false;
  to.fin = to.fin || from.fin;
  to.room -= from.payload;
  to.payload += from.payload;
  to.end = from.end;
  count(Mib::kTCPRcvCoalesce);
  return true;
}

void Kernel::charge_received(Endpoint& e, std::uint32_t memory) {
  e.set_aside -= static_cast<std::int32_t>(memory);
  e.rcv_memory += memory;
}

void Kernel::free_received(Endpoint& e, std::uint32_t memory) {
  e.rcv_memory -= memory;
  uncharge(e, memory);
}

/// tcp_queue_rcv(). `fresh` was scheduled before.
void Kernel::queue_received(Endpoint& e, const RcvBuffer& fresh) {
  if (!e.received.empty() && coalesce(e.received.back(), fresh)) return;
  e.received.push_back(fresh);
  charge_received(e, fresh.memory);
}

/// Buffers whose last octet was read are free: tcp_eat_recv_skb(). `all`: the end of the stream was read too.
void Kernel::free_read(Endpoint& e, bool all) {
  std::size_t gone = 0;
  while (gone < e.received.size() && (all || !after(e.received[gone].end, e.copied_seq))) {
    free_received(e, e.received[gone].memory);
    ++gone;
  }
  e.received.erase(0, gone);
}

/// What tcp_collapse() copies into: a head of its own, of at most a page. `room`: what it was made for, which a FIN cuts short.
RcvBuffer Kernel::collapsed_buffer(SeqNum end, std::uint32_t octets, std::uint32_t room) const {
  const std::uint32_t head = room <= config.small_head ? config.small_head + kSharedInfo : std::bit_ceil(room + kSharedInfo);
  return {end, head + kBufferStruct, head - kSharedInfo - octets, octets};
}

/// tcp_collapse(): octets in buffers larger than they are worth are copied into a few that fit them.
void Kernel::collapse_received(Endpoint& e) {
  const auto begin = [&](std::size_t i) { return i == 0 ? e.copied_seq : e.received[i - 1].end; };
  std::size_t first = 0;
  while (first < e.received.size()) {
    const RcvBuffer& b = e.received[first];
    const bool bloated = ((std::uint64_t{b.memory} * e.scaling) >> 8) > b.payload;
    const RcvBuffer* next = first + 1 < e.received.size() ? &e.received[first + 1] : nullptr;
    const bool overlaps = next != nullptr && next->payload + (next->fin ? 1u : 0u) != distance(b.end, next->end);
    const bool begun = b.payload != distance(begin(first), b.end);  // the program has read some of it
    if (!b.fin && (bloated || overlaps || begun)) break;
    ++first;
  }
  std::size_t last = first;
  while (last < e.received.size() && !e.received[last].fin) ++last;
  if (first == last) return;
  const SeqNum start = begin(first), end = e.received[last - 1].end;
  for (std::size_t i = first; i < last; ++i) {
    free_received(e, e.received[i].memory);
    count(Mib::kTCPRcvCollapsed);
  }
  e.received.erase(first, last);
  for (SeqNum at = start; before(at, end);) {
    const std::uint32_t n = std::min(kMostCollapsed, distance(at, end));
    const RcvBuffer fresh = collapsed_buffer(at + n, n, std::min(kMostCollapsed, distance(at, e.rcv_nxt)));
    at = at + n;
    set_aside(e, fresh.memory);
    charge_received(e, fresh.memory);
    e.received.insert(first++, fresh);
  }
}

/// tcp_collapse_ofo_queue(): so are runs beyond a hole whose buffers touch each other. Lone ones are passed over, until those
/// passed hold an eighth of the buffer: then what lies behind them is not worth the search.
void Kernel::collapse_holes(Endpoint& e) {
  if (e.holes().empty()) return;
  std::vector<Hole>& holes = e.out_of_order->holes;
  std::uint32_t passed = 0;
  for (std::size_t first = 0; first < holes.size();) {
    std::size_t last = first + 1;
    SeqNum end = holes[first].right;
    for (; last < holes.size() && !after(holes[last].left, end); ++last)
      if (after(holes[last].right, end)) end = holes[last].right;
    if (last - first > 1 || distance(holes[first].left, end) >= kMostCollapsed) {
      first = collapse_run(e, first, last);
      continue;
    }
    passed += holes[first].buffer.memory;
    if (passed > rcvbuf_of(e.opt) >> 3) {
      because(Rule::kSparseHolesStay);
      return;
    }
    first = last;
  }
}

/// One run of holes, from `first` to before `last`. Where what is left of it ends.
std::size_t Kernel::collapse_run(Endpoint& e, std::size_t first, std::size_t last) {
  std::vector<Hole>& holes = e.out_of_order->holes;
  const auto worth_it = [&](std::size_t i) {
    const RcvBuffer& b = holes[i].buffer;
    return (!holes[i].fin && ((std::uint64_t{b.memory} * e.scaling) >> 8) > b.payload) ||
           (i + 1 < last && !(holes[i].right == holes[i + 1].left));
  };
  while (first < last && !worth_it(first)) ++first;
  std::size_t stop = first;
  while (stop < last && !holes[stop].fin) ++stop;
  if (stop == first) return last;
  const SeqNum start = holes[first].left;
  SeqNum end = start, run_end = start;
  for (std::size_t i = first; i < last; ++i)
    if (after(holes[i].right, run_end)) run_end = holes[i].right;
  std::vector<std::uint8_t> data;
  for (std::size_t i = first; i < stop; ++i) {
    const Hole& h = holes[i];
    free_received(e, h.buffer.memory);
    count(Mib::kTCPRcvCollapsed);
    if (!h.data.empty()) {
      data.resize(std::max<std::size_t>(data.size(), distance(start, h.right)));
      std::copy(h.data.begin(), h.data.end(), data.begin() + distance(start, h.left));
    }
    if (after(h.right, end)) end = h.right;
  }
  std::vector<Hole> fresh;
  for (SeqNum at = start; before(at, end);) {
    const std::uint32_t n = std::min(kMostCollapsed, distance(at, end));
    Hole h{at, at + n, false, collapsed_buffer(at + n, n, std::min(kMostCollapsed, distance(at, run_end))), {}};
    const std::size_t from = std::min<std::size_t>(data.size(), distance(start, at)), to = std::min<std::size_t>(data.size(), from + n);
    h.data.assign(data.begin() + static_cast<std::ptrdiff_t>(from), data.begin() + static_cast<std::ptrdiff_t>(to));
    set_aside(e, h.buffer.memory);
    charge_received(e, h.buffer.memory);
    fresh.push_back(std::move(h));
    at = at + n;
  }
  for (std::size_t n = stop - first; n > 0; --n) e.out_of_order->erase(first);
  for (std::size_t i = 0; i < fresh.size(); ++i) e.out_of_order->insert(first + i, std::move(fresh[i]));
  return first + fresh.size() + (last - stop);
}

}  // namespace tcpwhy::model
