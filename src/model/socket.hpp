#pragma once
// Linux keeps different things for a listener, a request, a connection and a TIME_WAIT socket, and so do
// we: a request cannot have a congestion window and a TIME_WAIT socket cannot be written to.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "model/constants.hpp"
#include "model/host.hpp"
#include "model/order_tree.hpp"
#include "model/timer_queue.hpp"

namespace tcpwhy::model {

using FastOpenKeys = std::vector<std::array<std::uint8_t, 16>>;

/// What a program may set; a listener's children inherit it.
struct Options {
  std::uint32_t notsent_lowat = 0;  ///< 0: the sysctl
  std::uint16_t fastopen_keys = 0;  ///< TCP_FASTOPEN_KEY: which of Kernel::fastopen_keys; 0: the host's
  Family family = Family::kInet;
  bool v6_only = false, reuse = false, keepalive = false, linger = false, recv_err = false, oob_inline = false;
  bool rcvbuf_locked = false, fastopen_connect = false, fastopen_no_cookie = false, inq = false;
  bool interactive = false;  ///< of a listener: TCP_QUICKACK is off, and children begin that way
  bool zero_copy = false;  ///< SO_ZEROCOPY: MSG_ZEROCOPY counts
  bool nodelay = false, cork = false, sndbuf_locked = false, reuse_port = false, thin_linear = false;
  std::uint32_t rcv_lowat = 1;
  std::uint32_t rto_max_ms = 0;    ///< TCP_RTO_MAX_MS; 0: the sysctl
  std::uint8_t syn_retries = 0;     ///< TCP_SYNCNT; 0: the sysctl
  std::uint8_t defer_timeouts = 0;  ///< TCP_DEFER_ACCEPT as a number of timeouts
  std::uint8_t keep_count = 0, tos = 0, ttl = 0;
  std::uint16_t user_mss = 0;
  std::uint16_t fastopen_queue = 0;
  std::int32_t linger_s = 0, linger2_s = 0;  ///< linger2: 0 the sysctl, -1 no FIN_WAIT2 at all
  std::int32_t keep_idle_s = 0, keep_interval_s = 0;
  std::uint32_t user_timeout_ms = 0, window_clamp = 0;
  std::uint32_t rcvbuf = 0, sndbuf = 0;
};

/// What the two SYNs agreed on.
struct Negotiated {
  bool timestamps = false, sack = false, window_scaling = false, ecn = false;
  std::uint8_t snd_wscale = 0, rcv_wscale = 0;
  std::uint16_t mss_clamp = 536;  ///< the peer's MSS option
};

/// Octets of one direction. Without content only their number is kept.
class Bytes {
 public:
  void append(std::uint64_t n, const std::uint8_t* data, std::size_t have);
  /// Takes `n` octets from the front, or only reads them `from` octets behind it.
  void read(std::uint64_t from, std::uint64_t n, std::vector<std::uint8_t>& out) const;
  void drop(std::uint64_t n);
  [[nodiscard]] bool has_content() const { return content_ != nullptr; }

 private:
  struct Content {
    std::vector<std::uint8_t> octets;  ///< may be shorter than the count: the rest is zeros
    std::size_t head = 0;
  };
  std::unique_ptr<Content> content_;
  std::uint64_t count_ = 0;
};

/// A segment sent or about to be sent.
struct Piece {
  SeqNum seq, end;
  std::uint8_t flags = 0;     ///< wire::Flag: FIN, SYN, PSH
  bool sacked = false, lost = false, retransmitted = false, ever_retransmitted = false, eor = false;
  bool joined = false;  ///< in the socket buffer of the piece before it
  ModelTime sent_at{}, first_sent{};
  [[nodiscard]] std::uint32_t length() const { return distance(seq, end); }
};

/// A socket buffer with octets that arrived.
struct RcvBuffer {
  SeqNum end;
  std::uint32_t memory = 0;   ///< truesize
  std::uint32_t room = 0;     ///< behind its octets
  std::uint32_t payload = 0;
  bool fin = false;           ///< the FIN lies in it
};

/// A vector that costs a pointer while it is empty: most connections hold nothing most of the time.
template <class T>
class LazyVector {
 public:
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return v_ ? v_->size() : 0; }
  T& operator[](std::size_t i) { return (*v_)[i]; }
  const T& operator[](std::size_t i) const { return (*v_)[i]; }
  T& front() { return v_->front(); }
  T& back() { return v_->back(); }
  [[nodiscard]] const T& back() const { return v_->back(); }
  [[nodiscard]] const T* begin() const { return v_ ? v_->data() : nullptr; }
  [[nodiscard]] const T* end() const { return begin() + size(); }
  void clear() { v_.reset(); }
  [[nodiscard]] std::size_t capacity() const { return v_ ? v_->capacity() : 0; }
  /// Without its content, with its room.
  LazyVector& emptied() {
    if (v_) v_->clear();
    return *this;
  }
  void insert(std::size_t at, T value) { there().insert(v_->begin() + static_cast<std::ptrdiff_t>(at), std::move(value)); }
  void push_back(T value) { there().push_back(std::move(value)); }
  void erase(std::size_t from, std::size_t to) {
    if (from != to) v_->erase(v_->begin() + static_cast<std::ptrdiff_t>(from), v_->begin() + static_cast<std::ptrdiff_t>(to));
  }
  void erase(std::size_t at) { erase(at, at + 1); }

 private:
  std::vector<T>& there() {
    if (!v_) v_ = std::make_unique<std::vector<T>>();
    return *v_;
  }
  std::unique_ptr<std::vector<T>> v_;
};

struct Hole {  ///< a run received beyond rcv_nxt
  SeqNum left, right;
  bool fin = false;
  RcvBuffer buffer{};
  std::vector<std::uint8_t> data{};  ///< may be shorter: the rest is zeros
};

struct SackBlock {
  SeqNum left, right;
};

/// What came beyond rcv_nxt. Most connections never have it.
struct OutOfOrder {
  std::vector<Hole> holes;
  OrderTree tree;                    ///< of the holes: out_of_order_queue
  std::array<SackBlock, 4> sacks{};  ///< selective_acks: newest first

  void insert(std::size_t at, Hole hole) {
    holes.insert(holes.begin() + static_cast<std::ptrdiff_t>(at), std::move(hole));
    tree.insert(at);
  }
  void erase(std::size_t at) {
    holes.erase(holes.begin() + static_cast<std::ptrdiff_t>(at));
    tree.erase(at);
  }
};

/// Calls with MSG_ZEROCOPY have numbers; the program is told of those whose octets nobody needs any more.
struct ZeroCopy {
  struct Calls {
    std::uint32_t first = 0, last = 0;
    SeqNum end;  ///< of what they wrote
  };
  std::uint32_t next = 0;
  bool unfinished = false;  ///< the newest call sleeps with octets left to write
  std::vector<Calls> waiting, told;
};

/// CUBIC (RFC 9438) as Linux net/ipv4/tcp_cubic.c keeps it; times in ticks.
struct Cubic {
  std::uint32_t count = 0, last_max = 0, last_cwnd = 0, origin = 0, k = 0, acks = 0, tcp_cwnd = 0, delay_min = 0;
  std::int64_t last_time = 0, epoch = 0;
};

enum class XmitTimer : std::uint8_t { kNone, kRetransmit, kLossProbe, kProbe0, kReorder };

enum class Urgent : std::uint8_t { kNone, kNotYet, kValid, kRead };

struct AckState {
  bool scheduled = false, timer = false, pushed = false, pushed2 = false, now = false, no_memory = false;
  std::uint8_t quick = 0, pingpong = 0;
  std::uint16_t last_segment = 0;
  std::uint32_t rcv_mss = 536;
  Duration ato{};
  ModelTime due = kNever;     ///< when the timer fires
  std::int64_t due_tick = 0;  ///< what it was set to
  ModelTime last_received{};
};

struct Endpoint {
  std::uint32_t self = 0xffffffff;  ///< its own slot; set by Kernel::new_endpoint()
  Tuple4 tuple;
  State state = State::kClose;
  int fd = -1;
  Handle listener;          ///< while in its accept queue
  bool blocking = true, bound = false, orphan = false, hashed = false, connecting = false, port_held = false;
  bool rcv_shut = false, snd_shut = false, done_error_eof = false, accepted_cookie = false;
  bool linger_close = false;
  bool fin_read = false;           ///< the program was told of the end of the stream
  bool peer_fin = false;           ///< the peer's FIN is the octet before rcv_nxt; copied_seq never passes it
  bool connected = false;          ///< connect() has said so, or accept() gave it
  bool error_queued = false;       ///< something lies in the error queue, which nobody reads
  bool defer_connect = false;      ///< TCP_FASTOPEN_CONNECT: connect() said yes, the SYN leaves with the first data
  bool address_given = false;      ///< bind() named an address; `bound`: a port
  // Small things stand together: a million connections pay for every gap.
  Urgent urgent_state = Urgent::kNone;
  std::uint8_t urgent_byte = 0;
  std::uint8_t fastopen_client_fail = 0;
  std::uint8_t scaling = 128;  ///< share of the buffer that is window, of 256
  bool ecn_offered = false;           ///< our SYN asked for ECN
  bool write_pending = false;         ///< a blocking write waits for the handshake
  bool ts_seen = false;
  bool no_space = false;              ///< somebody was told that the send buffer is full: SOCK_NOSPACE
  bool slow_path = false;             ///< no header prediction for now: pred_flags is 0
  bool write_sleeps = false;          ///< a blocking call waits for room in it
  std::uint16_t ip_id = 0;
  bool syn_fastopen_experimental = false;
  bool fastopen_waits = false;           ///< a blocking call with data waits for the handshake
  bool was_fastopen_child = false;  ///< for tcp_info, which remembers it for life
  std::uint8_t rack_steps = 1, rack_persist = 0;
  bool undo_possible = false, sack_seen = false;
  CaState ca = CaState::kOpen;
  std::uint8_t dup_ack_counter = 0, compressed = 0;
  std::uint8_t num_sacks = 0;
  bool dsack = false;
  std::uint8_t synack_timeouts = 0;
  XmitTimer xmit = XmitTimer::kNone;
  bool rack_advanced = false, rack_dsack_seen = false, cwnd_limited = false, sack_reneged = false;
  bool ecn_seen = false, ecn_demand_cwr = false, ecn_queue_cwr = false, ecn_ece = false;
  bool frto = false, tlp_retransmitted = false, tlp_open = false, saw_ts = false;
  bool syn_data = false, syn_fastopen = false, syn_data_acked = false, fastopen_child = false, syn_retransmitted = false;
  std::uint8_t backoff = 0, retransmits = 0, probes_out = 0, total_rto = 0;
  Errno error = Errno::kNone, soft_error = Errno::kNone;
  Options opt;
  Negotiated neg;

  SeqNum iss, irs;
  SeqNum snd_una, snd_nxt, snd_wl1, snd_sml, write_seq, pushed_seq;
  std::uint32_t snd_wnd = 0, max_window = 0;
  SeqNum rcv_nxt, rcv_wup, copied_seq, fin_seq;
  std::uint32_t rcv_wnd = 0, window_clamp = 0, rcv_ssthresh = 0;
  std::uint32_t advmss = 1460, mss = 536;
  std::uint32_t pmtu = 1500;

  std::uint32_t ts_recent = 0, ts_offset = 0, last_tsecr = 0;
  std::uint32_t first_syn_tsval = 0;  ///< of the first SYN we sent, whether it carried one or not
  SeqNum last_ack_sent;
  std::uint32_t rehash = 0;
  ModelTime ts_recent_at{};

  // RFC 6298, in microseconds, scaled as the kernel scales them.
  std::uint32_t pacing_rate = UINT32_MAX;  ///< octets a second, as of the last ACK; the largest: no limit known
  std::uint32_t srtt8 = 0, mdev4 = 0, mdev_max = 0, rttvar = 0, min_rtt = 0;
  SeqNum rtt_seq;
  Duration rto{};
  std::uint32_t fastopen_taken = 0;      ///< of that data, what the SYN took
  std::uint32_t fastopen_request = 0xffffffff;  ///< of a child in SYN_RECV: what its SYN-ACK is made of
  std::uint32_t cwnd = 10, ssthresh = kInfiniteSsthresh, cwnd_count = 0, prior_ssthresh = 0, prior_cwnd = 0;
  std::uint32_t reordering = 3, dupacks = 0, delivered = 0, retrans_total = 0, prr_delivered = 0, prr_out = 0;
  std::int32_t undo_retrans = -1;
  std::uint32_t sacked_out = 0, lost_out = 0, retrans_out = 0, lost_total = 0;
  std::uint32_t rack_last_delivered = 0, reord_seen = 0, dsack_dups = 0, max_packets_out = 0, cwnd_used = 0;
  SeqNum cwnd_usage_seq;
  std::int64_t cwnd_tick = 0;  ///< snd_cwnd_stamp
  Cubic cubic;
  SeqNum undo_marker, highest_sack;
  LazyVector<SackBlock> sack_cache;  ///< of the peer's last SACK option: recv_sack_cache
  SeqNum high_seq, tlp_high_seq;
  ModelTime retrans_stamp{}, lsndtime{}, challenge_at = ModelTime::min(), oow_at = ModelTime::min(), ack_heard{};
  ModelTime probe_stamp{}, rack_mstamp{}, created{};
  SeqNum rack_end;
  std::uint32_t rack_rtt = 0;
  AckState ack;

  std::vector<Piece> sent;  ///< from snd_una to snd_nxt; sent_head: how many at the front are gone
  std::vector<Piece> unsent;
  std::uint32_t sent_head = 0, unsent_head = 0;
  LazyVector<RcvBuffer> received;  ///< what is unread
  std::unique_ptr<OutOfOrder> out_of_order;
  std::unique_ptr<ZeroCopy> zero_copy;
  SackBlock dsack_block;
  SeqNum compressed_rcv_nxt;
  std::uint32_t rcv_space = 0;
  SeqNum rcv_space_seq, rcv_rtt_seq;
  std::uint32_t rcv_rtt8 = 0, rcv_rtt_tsecr = 0, rcv_ooopack = 0;
  std::uint32_t rcv_memory = 0;    ///< of what is unread, and of what lies beyond a hole: sk_rmem_alloc
  std::uint32_t write_memory = 0;  ///< of what is unsent and unacknowledged: sk_wmem_queued
  std::int32_t set_aside = 0;      ///< of the pages it has, what nothing needs yet, or what it owes: sk_forward_alloc
  SeqNum out_seq;     ///< of the first octet in `out`
  SeqNum snd_up;      ///< end of urgent data we send
  SeqNum urgent;
  std::uint32_t segs_out = 0, segs_in = 0, data_segs_in = 0, data_segs_out = 0;
  ModelTime rcv_rtt_at{};
  ModelTime rcv_space_at{};
  Bytes out, in;      ///< `in` starts at copied_seq
  std::uint64_t bytes_acked = 0, bytes_received = 0, bytes_sent = 0, bytes_retrans = 0;

  ModelTime xmit_at = kNever;   ///< icsk_retransmit_timer
  ModelTime sk_at = kNever;     ///< sk_timer: keepalive, or FIN_WAIT2
  ModelTime linger_at = kNever; ///< close() with SO_LINGER waits no longer
  ModelTime compress_at = kNever;
  ModelTime synack_at = kNever; ///< a Fast Open child's SYN-ACK timer
  ModelTime queued_at = kNever; ///< of the entry in the timer queue

  [[nodiscard]] const std::vector<Hole>& holes() const {
    static const std::vector<Hole> none;
    return out_of_order ? out_of_order->holes : none;
  }
  [[nodiscard]] std::size_t packets_out() const { return sent.size() - sent_head; }
  [[nodiscard]] bool has_unsent() const { return unsent_head < unsent.size(); }
  [[nodiscard]] std::uint32_t unread() const { return distance(copied_seq, rcv_nxt) - (peer_fin ? 1u : 0u); }
};

struct Request {
  Tuple4 tuple;
  Handle listener;
  SeqNum iss, irs;
  SeqNum rcv_nxt;  ///< irs + 1, or behind the data of a Fast Open SYN
  Negotiated neg;
  std::uint32_t rcv_wnd = 0, window_clamp = 0, ts_recent = 0, ts_offset = 0, sent_tsval = 0, last_tsval = 0;
  std::uint16_t advmss = 1460;
  bool acked = false, in_table = false, ts_seen = false, ecn_ok = false, saw_syn_ts = false;
  std::uint8_t timeouts = 0, retransmitted = 0, syn_tos = 0;
  std::uint32_t bucket = 0;
  ModelTime created{}, expires = kNever, queued_at = kNever, answered_at = ModelTime::min();
  ModelTime synack_sent_at{};
  // A Fast Open option asked for or answered.
  std::uint8_t cookie_bytes = 0;
  bool cookie_in_synack = false, cookie_experimental = false;
  std::array<std::uint8_t, 16> cookie{};
};

struct TimeWait {
  Tuple4 tuple;
  State substate = State::kTimeWait;  ///< or kFinWait2: the mini-socket of an orphan
  SeqNum rcv_nxt, snd_nxt;
  std::uint32_t rcv_wnd = 0, ts_recent = 0, ts_offset = 0;
  std::uint8_t rcv_wscale = 0;
  bool timestamps = false, reuse = false;
  ModelTime ts_recent_at{}, entered{}, ends = kNever, queued_at = kNever, answered_at = ModelTime::min();
  Duration length{};  ///< of TIME_WAIT itself: 60 s, or 3.5 RTO by tcp_tw_recycle
  Duration shortest{};  ///< 3.5 RTO
  bool killed = false;  ///< so short that TWKilled counts it
  std::uint8_t tos = 0;
};

struct Listener {
  SocketAddress local;
  int fd = -1;
  bool blocking = true, address_given = false, port_given = false, snd_shut = false;
  Options opt;
  std::uint32_t backlog = 0, syn_queue = 0, young = 0;
  std::deque<std::uint32_t> accept_queue;  ///< endpoints
  std::uint32_t fastopen_queued = 0;        ///< children in SYN_RECV, and some that were reset
  std::deque<ModelTime> fastopen_resets;    ///< until when those count
  ModelTime cookie_overflow = ModelTime::min();
  Errno error = Errno::kNone;
  // Table kernels (RequestStorage::kTable): §3.4 of how Linux walks them.
  std::uint32_t table_bits = 0;
  std::vector<std::vector<std::uint32_t>> table;
  std::uint32_t hand = 0;
  ModelTime tick_at = kNever;
  ModelTime queued_at = kNever;
  std::uint32_t pending_requests = 0;
};

}  // namespace tcpwhy::model
