#pragma once
// The inside of a Host. One class, told file by file: calls.cpp what programs ask, arrives.cpp what the
// wire brings, timers.cpp what time brings; the rest is what these three share.

#include <unordered_map>
#include <utility>

#include "model/admission.hpp"
#include "model/pool.hpp"
#include "model/socket.hpp"
#include "model/verdicts.hpp"

namespace tcpwhy::model {

/// How much of its way a segment has gone.
enum class Next : std::uint8_t { kGoOn, kDone };

/// tcp_need_reset(): the states whose abortive end the peer is told of.
[[nodiscard]] constexpr bool needs_reset(State s) {
  return s == State::kEstablished || s == State::kCloseWait || s == State::kFinWait1 || s == State::kFinWait2 ||
         s == State::kSynRecv;
}

class Kernel {
 public:
  explicit Kernel(HostConfig given) : config{std::move(given)}, tick_{1'000'000'000 / config.kernel.hz} { counters.fill(0); }

  HostConfig config;
  Counters counters{};
  ModelTime now{};
  Step* step = nullptr;

  void enter(ModelTime at, Step& s) {
    now = at;
    step = &s;
  }

  // calls.cpp, calls_data.cpp, calls_options.cpp
  CallResult socket(Family family, Blocking blocking);
  CallResult bind(int fd, const SocketAddress& a);
  CallResult listen(int fd, int backlog);
  CallResult connect(int fd, const SocketAddress& to);
  CallResult connect_result(int fd);
  CallResult disconnect(int fd);
  CallResult accept(int fd, SocketAddress* peer);
  CallResult send(int fd, std::uint64_t bytes, std::uint32_t flags, std::span<const std::uint8_t> data);
  CallResult sendto(int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                    std::span<const std::uint8_t> data);
  CallResult recv(int fd, std::uint64_t bytes, std::uint32_t flags, std::vector<std::uint8_t>* data);
  CallResult shutdown(int fd, Shutdown how);
  CallResult close(int fd);
  CallResult close_result(int fd);
  CallResult destroy(int fd);
  CallResult setsockopt(int fd, SocketOption option, std::int64_t value);
  CallResult getsockopt(int fd, SocketOption option);
  CallResult recv_urgent(Endpoint& e, std::uint64_t bytes, std::uint32_t flags, std::vector<std::uint8_t>* data);
  CallResult poll(int fd);
  CallResult siocinq(int fd);
  CallResult siocoutq(int fd);
  CallResult siocoutqnsd(int fd);
  CallResult recv_error(int fd, ErrorReport* report);
  [[nodiscard]] std::uint32_t readable_run(const Endpoint& e) const;
  std::optional<TcpInfo> tcp_info(int fd);
  Options* options_of(int fd);
  Endpoint* endpoint_of(int fd);
  Listener* listener_of(int fd);
  Errno take_error(Endpoint& e);
  int new_fd(Handle h);
  void free_fd(int fd);
  /// After an entry has touched an endpoint: a close() that waited may be over, and its timer entry may be stale.
  void settle(std::uint32_t index);
  /// What would refuse bind(): someone else on the port whose address overlaps and who does not share.
  [[nodiscard]] bool bind_conflict(const Address& local, std::uint16_t port, const Options& opt, const void* self) const;
  void hold_port(std::uint16_t port, bool reuse);
  void release_port(std::uint16_t port, bool reuse);
  /// Takes over a TIME_WAIT socket in the way of `e`. False: the 4-tuple is in use.
  bool claim_tuple(Endpoint& e, bool port_chosen);
  [[nodiscard]] std::uint32_t notsent_lowat_of(const Endpoint& e) const;
  [[nodiscard]] bool write_memory_free(const Endpoint& e) const;
  void read_fin(Endpoint& e);
  /// tcp_sndbuf_expand(): room for two congestion windows.
  void expand_sndbuf(Endpoint& e);
  /// tcp_check_space(): who was told that there is no room may have more by now.
  void check_space(Endpoint& e);
  [[nodiscard]] std::vector<SocketView> sockets() const;
  [[nodiscard]] Handle handle_of(int fd) const {
    return fd >= 0 && static_cast<std::size_t>(fd) < fds.size() ? fds[static_cast<std::size_t>(fd)] : Handle{};
  }
  std::optional<Address> route_source(const Address& to) const;
  Errno pick_port(Endpoint& e);
  [[nodiscard]] bool port_free(std::uint16_t port, bool reuse) const;
  void hold_port(Endpoint& e);
  void release_port(Endpoint& e);
  CallResult start_connect(Endpoint& e, std::uint32_t index, const SocketAddress& to);

  // arrives.cpp
  void deliver(const Packet& p);
  [[nodiscard]] Handle find(const Tuple4& t, std::uint64_t h) const;
  [[nodiscard]] Handle find_listener(const Address& local, std::uint16_t port) const;
  [[nodiscard]] bool is_ours(const Address& a) const {
    for (const Address& ours : config.addresses)
      if (ours == a) return true;
    return a.is_loopback();
  }
  void hash_in(Handle h, const Tuple4& t) { table.insert(hash(t, config.seed), h); }
  void hash_out(Handle h, const Tuple4& t) { table.erase(hash(t, config.seed), h); }
  /// To the state of the endpoint; ends with settle(). A child just made goes here too.
  void on_endpoint(std::uint32_t index, const Packet& p);

  // listener.cpp, cookies.cpp
  void on_listener(std::uint32_t index, const Packet& p);
  void on_listener_syn(std::uint32_t index, const Packet& p, std::optional<SeqNum> tw_isn);
  [[nodiscard]] bool syn_queue_full(const Listener& l) const;
  [[nodiscard]] bool accept_queue_full(const Listener& l) const { return l.accept_queue.size() > l.backlog; }
  [[nodiscard]] bool accept_queue_drops_syn(const Listener& l) const;
  /// A segment that would have become a connection found no room.
  void overflowed();
  [[nodiscard]] ListenerQueues queues_of(const Listener& l) const;
  SeqNum cookie_isn(const Packet& syn, std::uint16_t& mss) const;
  std::optional<std::uint16_t> cookie_mss(const Packet& ack) const;
  [[nodiscard]] std::uint32_t cookie_tsval(const Request& r) const;
  /// What the echoed timestamp says about the SYN; none: an option this host has switched off.
  [[nodiscard]] std::optional<Negotiated> cookie_options(const Packet& ack, std::uint32_t ts_offset) const;
  [[nodiscard]] std::uint32_t cookie_minute() const;
  [[nodiscard]] Next try_cookie(std::uint32_t listener, const Packet& p);
  [[nodiscard]] SeqNum new_isn(const Tuple4& t) const;
  [[nodiscard]] std::uint32_t new_ts_offset(const Tuple4& t) const;

  // request.cpp
  void on_request(std::uint32_t index, const Packet& p);
  enum class SynAck : std::uint8_t { kRequest, kCookie };
  void send_synack(Request& r, const Options& opt, SynAck kind = SynAck::kRequest);
  void repeat_synack(Request& r, const Options& opt);
  void send_request_ack(Request& r, const Packet& offender);
  void take_third_ack(std::uint32_t index, const Packet& p);
  std::uint32_t make_child(Request& r, const Packet& p);
  void remove_request(std::uint32_t index);
  void queue_request(std::uint32_t index);
  void fire_request(std::uint32_t index);
  void fire_table(std::uint32_t listener);
  /// One timeout of a request, of `allowed` before it is given up; false: it is gone.
  bool time_out(std::uint32_t index, int allowed);
  [[nodiscard]] int synack_limit(const Listener& l) const;
  /// A closed listener (fd -1, not in `listening`). Table kernels drop its requests at once; in the hash they
  /// stay until their timer or a packet finds them, and the slot with them.
  void release_listener(std::uint32_t index);
  void accept_now(std::uint32_t listener, std::uint32_t endpoint);

  // negotiate.cpp
  struct Window {
    std::uint32_t rcv_wnd = 0, clamp = 0;
    std::uint8_t wscale = 0;
  };
  [[nodiscard]] Window initial_window(const Options& opt, std::uint32_t mss, bool scaling) const;
  /// The options of the peer's SYN as this host's settings let them count (tcp_parse_options).
  [[nodiscard]] Negotiated read_options(const Packet& syn, const Options& opt) const;
  void bound_window(Endpoint& e);
  void first_rcv_mss(Endpoint& e) const;
  [[nodiscard]] std::uint16_t advertised_mss(const Options& opt, const Address& remote) const;
  void negotiate_request(Request& r, const Packet& syn, const Options& opt);
  void open_window(Request& r, const Options& opt);
  void set_mss(Endpoint& e, std::uint32_t pmtu);
  [[nodiscard]] std::uint32_t rcvbuf_of(const Options& opt) const;
  [[nodiscard]] std::uint32_t clock_tsval(std::uint32_t offset) const;
  void enter_established(Endpoint& e);

  // syn_sent.cpp
  void on_syn_sent(std::uint32_t index, const Packet& p);
  [[nodiscard]] bool tsecr_of_syn(const Endpoint& e, const Packet& p) const;

  // synchronized.cpp: the checks of RFC 9293 3.10.7.4 in its order
  void on_synchronized(std::uint32_t index, const Packet& p);
  Next check_sequence(Endpoint& e, std::uint32_t index, const Packet& p);
  Next check_rst(Endpoint& e, std::uint32_t index, const Packet& p);
  Next check_syn(Endpoint& e, std::uint32_t index, const Packet& p);
  Next check_ack(Endpoint& e, std::uint32_t index, const Packet& p);
  Next check_state(Endpoint& e, std::uint32_t index, const Packet& p);
  enum class Paws : std::uint8_t { kPasses, kRefuses, kOldAck };
  [[nodiscard]] Paws paws(const Endpoint& e, const Packet& p) const;
  [[nodiscard]] bool newer_timestamp(const Endpoint& e, const Packet& p, std::int32_t slack) const;
  /// tcp_replace_ts_recent(): for on_ack(), once the ACK is neither old nor of unsent data.
  void store_timestamp(Endpoint& e, const Packet& p);
  /// tcp_send_dupack(): an ACK that tells a peer where we stand, with a DSACK for what it repeated.
  void send_dupack(Endpoint& e, const Packet& p);
  void take_urgent(Endpoint& e, const Packet& p);
  void peer_reset(Endpoint& e, std::uint32_t index);
  void challenge(Endpoint& e, Rule why);
  /// May an answer to a useless segment leave? One per 500 ms. (Segments with data, unless SYN, are not limited: the
  /// caller's test.)
  bool ack_allowed(ModelTime& last, Mib skipped);
  bool ack_allowed(ModelTime& last, Mib skipped, const Packet& p);  ///< data is never held back
  void challenge_syn(Endpoint& e);

  // data.cpp
  void on_text(Endpoint& e, std::uint32_t index, const Packet& p);
  void on_fin(Endpoint& e, std::uint32_t index);
  void take_data(Endpoint& e, const Packet& p, SeqNum from, std::uint32_t n);
  void ack_check(Endpoint& e);
  void received_data(Endpoint& e, const Packet& p);
  void measure_rcv_mss(Endpoint& e, const Packet& p);
  void quick_acks(Endpoint& e, int most);
  void send_ack(Endpoint& e);
  void delay_ack(Endpoint& e);
  void ack_was_sent(Endpoint& e);
  void after_read(Endpoint& e, std::uint32_t copied);
  void wake(const Endpoint& e);
  void out_of_order(Endpoint& e, const Packet& p);
  void queue_out_of_order(Endpoint& e, const Packet& p);
  /// What the hole's filling put in order: tcp_ofo_queue.
  void take_holes(Endpoint& e, std::uint32_t index);
  void say_duplicate(Endpoint& e, SeqNum left, SeqNum right);
  void measure_rcv_rtt(Endpoint& e);
  void incr_quick_acks(Endpoint& e, int most);
  void check_ecn(Endpoint& e, const Packet& p);
  void send_compressed(Endpoint& e);
  [[nodiscard]] bool interactive(const Endpoint& e) const {
    return e.ack.pingpong >= config.kernel.pingpong_threshold;
  }

  // window.cpp
  [[nodiscard]] std::uint32_t full_space(const Endpoint& e) const;
  [[nodiscard]] std::uint32_t free_space(const Endpoint& e) const;
  [[nodiscard]] std::uint32_t receive_window(const Endpoint& e) const;
  [[nodiscard]] std::uint32_t wanted_window(Endpoint& e) const;
  std::uint16_t select_window(Endpoint& e);
  void grow_window(Endpoint& e, const Packet& p);
  void adjust_space(Endpoint& e);
  void grow_buffer(Endpoint& e, std::uint32_t fresh);
  void clamp_window(Endpoint& e, std::uint32_t to);
  bool has_room(Endpoint& e, const Packet& p);
  void prune_holes(Endpoint& e, const Packet& p);
  void forget_out_of_order(Endpoint& e);

  // memory.cpp
  static void set_aside(Endpoint& e, std::uint32_t n);
  static void uncharge(Endpoint& e, std::uint32_t n);
  [[nodiscard]] std::uint32_t empty_buffer() const;
  void add_buffer(Endpoint& e, std::uint32_t payload);
  void fill_buffer(Endpoint& e, std::uint32_t payload);
  void free_write_memory(Endpoint& e, std::uint32_t n);
  void free_front(Endpoint& e);
  [[nodiscard]] static std::size_t buffer_end(const Endpoint& e, std::size_t first);
  void split_before(Endpoint& e, std::size_t at);
  void recut(Endpoint& e, std::size_t first, std::uint32_t length, std::uint32_t mss);
  /// Octets of a segment's TCP header, options included.
  [[nodiscard]] static std::uint32_t tcp_header(const Packet& p);
  [[nodiscard]] RcvBuffer buffer_of(const Packet& p) const;
  [[nodiscard]] std::uint32_t truesize(const Packet& p) const;
  bool coalesce(RcvBuffer& to, const RcvBuffer& from);
  void charge_received(Endpoint& e, std::uint32_t memory);
  void free_received(Endpoint& e, std::uint32_t memory);
  void queue_received(Endpoint& e, const RcvBuffer& fresh);
  void free_read(Endpoint& e, bool all);
  void collapse_received(Endpoint& e);
  void collapse_holes(Endpoint& e);
  std::size_t collapse_run(Endpoint& e, std::size_t first, std::size_t last);
  RcvBuffer collapsed_buffer(SeqNum end, std::uint32_t octets, std::uint32_t room) const;

  // zero_copy.cpp
  /// A call with MSG_ZEROCOPY is about to write up to `end`, and then sleeps if it is not done.
  enum class ZeroCopyCall : std::uint8_t { kDone, kSleeps };
  void zero_copy_sent(Endpoint& e, SeqNum end, ZeroCopyCall call);
  enum class Freed : std::uint8_t { kAcked, kAll };
  void zero_copy_freed(Endpoint& e, Freed what);

  // ack.cpp, recovery.cpp
  enum class AckFate : std::uint8_t { kOk, kOld, kRefused };
  /// tcp_ack(). kRefused: unsent or far too old; it names its rule, the challenge is check_ack()'s to send.
  /// kPredicted: its data is queued already.
  enum class Path : std::uint8_t { kSlow, kPredicted };
  AckFate on_ack(Endpoint& e, std::uint32_t index, const Packet& p, Path path = Path::kSlow);
  void predict_again(Endpoint& e) const;
  bool take_predicted(Endpoint& e, std::uint32_t index, const Packet& p);
  /// What one ACK turned out to mean: FLAG_* of tcp_input.c.
  struct AckWork {
    bool data = false, window_update = false, data_acked = false, syn_acked = false, retrans_acked = false,
         sacked = false, ece = false, lost_retrans = false, orig_sacked = false, advanced = false, dsack = false,
         set_timer = false, reneging = false, maybe_delayed = false, dsack_tlp = false;
    SeqNum prior_una, reord;
    std::uint32_t sack_delivered = 0, prior_delivered = 0;
    ModelTime first_sack{}, last_sack{};  ///< when what is newly SACKed was sent
    [[nodiscard]] bool acked() const { return data_acked || syn_acked; }
    [[nodiscard]] bool not_dup() const { return data || window_update || acked(); }
  };
  void clean_sent(Endpoint& e, AckWork& w, SeqNum prior_fack);
  void take_sack(Endpoint& e, const Packet& p, AckWork& w);
  void rtt_sample(Endpoint& e, std::int64_t sample_us);
  void set_rto(Endpoint& e);
  enum class Resend : std::uint8_t { kNothing, kLost, kNew };
  Resend recover(Endpoint& e, AckWork& w, std::uint32_t dupacks);
  void grow_cwnd(Endpoint& e, std::uint32_t acked);
  void reduce_cwnd(Endpoint& e, std::uint32_t delivered, std::uint32_t lost, bool advanced);
  void fire_reorder(Endpoint& e);
  void enter_recovery(Endpoint& e, bool ece);
  void enter_cwr(Endpoint& e);
  /// tcp_retransmit_skb: the buffer at `at` of e.sent again, counted as on its way. How many segments left.
  std::uint32_t resend(Endpoint& e, std::size_t at, std::uint32_t segments);
  [[nodiscard]] std::uint32_t ssthresh_now(const Endpoint& e) const;
  void mark_lost(Endpoint& e, Piece& piece);
  void tlp_ack(Endpoint& e, SeqNum ack, const AckWork& w);
  void restart_after_idle(Endpoint& e);
  /// A measured round trip in microseconds, or -1: tcp_ack_update_rtt. For the SYN-ACK's too.
  bool update_rtt(Endpoint& e, std::int64_t seq_us, std::int64_t sack_us, std::int64_t ca_us, const AckWork& w);
  /// What is in flight was too big for the path: it is cut anew and sent again. tcp_simple_retransmit.
  void simple_retransmit(Endpoint& e);
  void rack_advance(Endpoint& e, const Piece& piece, SeqNum end);
  void see_reordering(Endpoint& e, SeqNum low, Mib counter, SeqNum fack);
  void check_reno_reordering(Endpoint& e, std::uint32_t addend);
  [[nodiscard]] bool echo_before(const Endpoint& e, ModelTime t) const;
  void enter_loss(Endpoint& e);
  void retransmit_lost(Endpoint& e);
  void undo_spurious_syn(Endpoint& e, const Packet& p) const;
  [[nodiscard]] std::uint32_t in_flight(const Endpoint& e) const;
  void ack_probe(Endpoint& e);

  // output.cpp
  /// Header, options and window of a segment; it is in step->sent. emit() counts it as new.
  /// A packet has options and a window of its own, or those of the burst it is cut from.
  enum class Header : std::uint8_t { kOwn, kOfBurst };
  Packet& emit(Endpoint& e, std::uint8_t flags, SeqNum seq);
  Packet& build(Endpoint& e, std::uint8_t flags, SeqNum seq, Header header);
  void fill_options(const Endpoint& e, Packet& p) const;
  /// tcp_connect(): the SYN of write_seq (which it moves on) is queued in `sent`, leaves, and its timer starts.
  void send_syn(Endpoint& e);
  /// tcp_send_synack(): after crossed SYNs the queued SYN leaves again, as a SYN-ACK.
  void send_crossed_synack(Endpoint& e);
  /// tcp_push_pending_frames: sends what may be sent.
  void push(Endpoint& e);
  /// tcp_sendmsg_locked(): makes pieces of as much as the send buffer takes, and sends what may be sent. `flags` are
  /// MessageFlags. How much it took.
  std::uint32_t write_data(Endpoint& e, std::uint32_t n, std::uint32_t flags, std::span<const std::uint8_t> data);
  enum class PushOne : std::uint8_t { kNo, kOne, kProbe };
  /// True: something waits and nothing is in flight.
  bool write_out(Endpoint& e, int nonagle, PushOne one);
  void grow_head(Endpoint& e, std::uint32_t to);
  void transmit(Endpoint& e, Piece& piece, Header header);
  /// The pieces from `first` to before `end` leave as one burst, with one header.
  void transmit_burst(Endpoint& e, std::size_t first, std::size_t end);
  /// The buffer that begins at `at` of e.sent again, up to `segments` of it. How many segments left; 0: none.
  std::uint32_t retransmit(Endpoint& e, std::size_t at, std::uint32_t segments);
  void join_neighbours(Endpoint& e, std::size_t at, std::uint32_t longest);
  void queue_fin(Endpoint& e);
  /// Data if the window admits any, else an empty segment one octet back. tcp_write_wakeup.
  void write_wakeup(Endpoint& e, Mib counter);
  [[nodiscard]] SeqNum acceptable_seq(const Endpoint& e) const;
  void set_pacing_rate(Endpoint& e);
  [[nodiscard]] std::uint32_t burst_segments(const Endpoint& e, std::uint32_t mss) const;
  [[nodiscard]] std::uint32_t current_mss(const Endpoint& e) const;
  [[nodiscard]] SeqNum window_end(const Endpoint& e) const { return e.snd_una + e.snd_wnd; }

  // reset.cpp
  void send_reset(const Packet& offender, Rule why);
  /// An answer made from the segment that provoked it, without a socket of its own: addresses, ports, TTL, TOS and IP ID.
  Packet& answer(const Packet& offender);
  void send_active_reset(Endpoint& e, Rule why);

  // timers.cpp
  /// Every endpoint is born here: it knows its slot.
  std::uint32_t new_endpoint();
  std::optional<ModelTime> next_timer();
  void fire();
  /// After any deadline of an endpoint changed. Most entries end here with nothing to do.
  void timer_changed(Endpoint& e) {
    const ModelTime at = deadline_of(e);
    if (at >= e.queued_at) return;  // an entry that comes up too early is put right then
    e.queued_at = at;
    timers.push(at, {Kind::kEndpoint, e.self}, endpoints.generation(e.self));
  }
  void clear_xmit(Endpoint& e) { e.xmit = XmitTimer::kNone; }
  /// tcp_clear_xmit_timers
  void clear_timers(Endpoint& e);
  [[nodiscard]] ModelTime timer_at(Duration d) const;
  [[nodiscard]] Duration tick() const { return tick_; }
  void arm_xmit(Endpoint& e, XmitTimer kind, Duration d);
  void rearm_rto(Endpoint& e);
  bool schedule_loss_probe(Endpoint& e, bool advancing);
  void requeue(Handle h);
  [[nodiscard]] ModelTime deadline_of(Handle h) const;
  [[nodiscard]] static ModelTime deadline_of(const Endpoint& e) {
    ModelTime at = std::min(std::min(e.sk_at, e.linger_at), std::min(e.compress_at, e.synack_at));
    if (e.xmit != XmitTimer::kNone) at = std::min(at, e.xmit_at);
    if (e.ack.timer) at = std::min(at, e.ack.due);
    return at;
  }
  void fire_endpoint(std::uint32_t index);
  void fire_delayed_ack(Endpoint& e);
  void fire_retransmit(Endpoint& e, std::uint32_t index);
  void fire_loss_probe(Endpoint& e);
  void fire_probe0(Endpoint& e, std::uint32_t index);
  void fire_keepalive(Endpoint& e, std::uint32_t index);
  bool gave_up(Endpoint& e, std::uint32_t index);
  [[nodiscard]] bool timed_out(const Endpoint& e, int boundary, std::uint32_t user_timeout_ms) const;
  void write_error(Endpoint& e, std::uint32_t index, Rule why);
  [[nodiscard]] Duration probe_delay(const Endpoint& e) const;
  void start_keepalive(Endpoint& e, Duration d);
  [[nodiscard]] Duration keepalive_after(const Endpoint& e) const;
  /// TCP_KEEPIDLE or the sysctl: keepalive_time_when().
  [[nodiscard]] Duration keepalive_idle(const Endpoint& e) const {
    return std::chrono::seconds{e.opt.keep_idle_s != 0 ? e.opt.keep_idle_s : config.sysctls.tcp_keepalive_time};
  }
  [[nodiscard]] Duration clamp_rto_to_user_timeout(const Endpoint& e) const;
  [[nodiscard]] Duration rto_max() const { return std::chrono::milliseconds{config.sysctls.tcp_rto_max_ms}; }
  [[nodiscard]] Duration rto_min() const { return std::chrono::microseconds{config.sysctls.tcp_rto_min_us}; }

  // close.cpp, time_wait.cpp
  void set_state(Endpoint& e, State s);
  void close_endpoint(std::uint32_t index);
  void close_listener(std::uint32_t index);
  /// tcp_done: no longer in any table; freed if it is an orphan.
  void done(std::uint32_t index);
  void done_with_error(std::uint32_t index, Errno error);
  void free_endpoint(std::uint32_t index);
  void drop_unsent(Endpoint& e);
  /// A listener becomes an ordinary closed socket again.
  void unlisten(int fd);
  /// The end of close(), after SO_LINGER has waited: nobody has the socket any more.
  void adjudge(std::uint32_t index);
  [[nodiscard]] bool too_many_orphans(int shift) const;
  void disconnect_endpoint(std::uint32_t index, Rule why);
  void time_wait(std::uint32_t index, State substate, Duration length);
  void on_time_wait(std::uint32_t index, const Packet& p);
  void on_fin_wait2_mini(TimeWait& tw, std::uint32_t index, const Packet& p);
  void end_time_wait(std::uint32_t index);
  /// Gone from every table, uncounted.
  void forget_time_wait(std::uint32_t index);
  enum class TwAck : std::uint8_t { kInOrder, kOutOfWindow };
  void send_time_wait_ack(const TimeWait& tw, const Packet& offender, TwAck kind);
  void restart_time_wait(std::uint32_t index, Duration length);
  [[nodiscard]] Duration fin_time(const Endpoint& e) const;
  /// May connect() take it over? `program_chose_port`: bind() did, so that only timestamps are asked for.
  [[nodiscard]] bool tw_reusable(const TimeWait& tw, bool program_chose_port) const;
  bool remember_stamp(const Address& peer, std::uint32_t tsval, std::int64_t second);
  [[nodiscard]] bool recycle_refuses(const Packet& syn) const;

  // icmp.cpp
  void on_icmp(const Packet& p);
  void icmp_to_request(std::uint32_t index, const Packet& p);
  void lower_mtu(Endpoint& e, const Packet& p);
  void undo_backoff(Endpoint& e, std::uint32_t index, const Packet& p);
  /// Of the way to a peer: the link's, loopback's, or what ICMP said.
  [[nodiscard]] std::uint32_t path_mtu(const Address& remote) const;

  // fastopen.cpp
  [[nodiscard]] std::array<std::uint8_t, 16> make_cookie(const Tuple4& t, const Options& opt, std::size_t key) const;
  bool try_fastopen(std::uint32_t listener, const Packet& p, Request& r, std::uint32_t request_index);
  /// tcp_sendmsg_fastopen(), and what follows it in sendmsg(): MSG_FASTOPEN, or the first write after a
  /// deferred connect(), for which `to` is empty.
  CallResult fastopen_send(int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                           std::span<const std::uint8_t> data);
  enum class CookieState : std::uint8_t { kNone, kRequest, kThere };
  /// Of a SYN to this peer; it and the MSS remembered with it go into `p`. tcp_fastopen_cookie_check().
  CookieState cookie_for(Endpoint& e, Packet& p, std::uint16_t& mss);
  /// connect() with data: as much as one SYN takes; returns how much.
  std::uint32_t send_syn_data(Endpoint& e, std::uint64_t bytes, std::span<const std::uint8_t> data);
  /// The SYN just sent asks for a cookie.
  void ask_cookie(Endpoint& e);
  void dress_syn(Endpoint& e, const Packet& option);
  void add_syn_data(Endpoint& e, const Packet& p);
  void suspect_fastopen(const Endpoint& e, bool expired);
  [[nodiscard]] bool fastopen_disabled() const;
  [[nodiscard]] bool fastopen_room(Listener& l);
  /// tcp_check_req() for a child that has its connection already. kDone: the segment ends here.
  Next check_fastopen(Endpoint& e, std::uint32_t index, const Packet& p);
  /// TCP_FASTOPEN_CONNECT with a cookie at hand: connect() says yes and sends nothing yet.
  bool defer_fastopen(Endpoint& e);
  bool fastopen_synack(Endpoint& e, const Packet& p);
  /// reqsk_fastopen_remove(): the request behind a Fast Open child, if it has one, is no longer needed.
  enum class Forget : std::uint8_t { kOver, kReset };
  void forget_fastopen_request(Endpoint& e, Forget why = Forget::kOver);
  /// tcp_rcv_synrecv_state_fastopen(): the third ACK of a Fast Open child.
  void fastopen_established(Endpoint& e);
  void fire_fastopen_synack(Endpoint& e, std::uint32_t index);

  // Bookkeeping
  void count(Mib m) {
    ++counters[static_cast<std::size_t>(m)];
    step->counted.push_back(m);
  }
  void because(Rule r) { step->because.push_back(r); }
  [[nodiscard]] Duration jiffies_lead() const { return config.tick_phase + config.jiffies_ahead; }
  [[nodiscard]] std::int64_t jiffies(ModelTime t) const { return (t.time_since_epoch() + jiffies_lead()) / tick(); }
  [[nodiscard]] Duration ticks_of_us(std::int64_t us) const {
    const std::int64_t t = tick().count() / 1000;
    return tick() * ((us + t - 1) / t);
  }
  [[nodiscard]] static std::int64_t us(ModelTime t) { return t.time_since_epoch() / std::chrono::microseconds{1}; }
  [[nodiscard]] static std::int64_t us_between(ModelTime from, ModelTime to) {
    return to > from ? us(to) - us(from) : 0;
  }
  [[nodiscard]] std::int64_t second(ModelTime t) const { return t.time_since_epoch() / std::chrono::seconds{1}; }

  Pool<Endpoint> endpoints;
  Pool<Request> requests;
  Pool<TimeWait> time_waits;
  Pool<Listener> listeners;
  std::vector<Handle> fds = std::vector<Handle>(3);
  int lowest_fd = 3;
  Lookup table;
  std::unordered_map<std::uint16_t, std::vector<std::uint32_t>> listening;  ///< by port
  TimerQueue timers;
  struct PortUse {
    std::uint32_t users = 0, no_reuse = 0, listeners = 0;
    bool bound = false;  ///< its first user chose it by bind(): connect() keeps away
  };
  std::vector<PortUse> ports = std::vector<PortUse>(65536);
  std::uint32_t orphans = 0;
  std::uint32_t port_hint = 0;
  std::int64_t challenge_second = -1;
  std::int64_t challenges_left = 0;
  std::uint32_t answers = 0;  ///< makes the IP ID of stateless answers
  struct Stamp {
    std::uint32_t tsval = 0;
    std::int64_t second = 0;
  };
  std::unordered_map<std::uint64_t, std::uint32_t> learned_mtu;  ///< by hashed address
  std::unordered_map<std::uint64_t, Stamp> stamps;  ///< tw_recycle, by hashed address
  struct FastOpenMemory {
    std::vector<std::uint8_t> cookie;
    std::uint16_t mss = 0;
    bool experimental = false, try_experimental = false;
    int tried = 0;  ///< 1: the experimental option is next, 2: it was no better
    std::uint32_t syn_loss = 0;
    ModelTime last_loss{};
  };
  std::unordered_map<std::uint64_t, FastOpenMemory> fastopen_memory;
  /// The host's first, then what sockets were given; a host's programs set few.
  std::vector<FastOpenKeys> fastopen_keys = std::vector<FastOpenKeys>(1);
  std::uint32_t fastopen_blackholes = 0;
  ModelTime fastopen_blackhole_at{};
  std::unordered_map<int, std::uint32_t> closing_fds;
  LocalQueue local_queue = LocalQueue::kTakes;
  bool exiting = false;  ///< the process dies: close() does not linger

 private:
  Duration tick_;  ///< asked for at every turn
};

}  // namespace tcpwhy::model
