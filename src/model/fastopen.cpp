// TCP Fast Open, RFC 7413. A server hands a client a cookie that proves its address; with it, data in the
// client's next SYN is given to the program before the handshake ends. The child such a SYN makes is a full
// socket in SYN_RECV that keeps its request, because its SYN-ACK may have to be repeated.
//
//   client:  no cookie ── SYN asks ──▶ SYN-ACK brings one
//            cookie ── SYN with cookie and data
//   server:  cookie good ──▶ child at once, accept() returns it
//            else an ordinary request, and a cookie in the SYN-ACK

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

using Opt = wire::Opt;
using Flag = wire::Flag;

// Bits of net.ipv4.tcp_fastopen.
constexpr std::int64_t kClient = 1, kServer = 2, kClientNoCookie = 4, kServerNoCookie = 0x200;
constexpr std::uint32_t kOptionSpace = 40;
constexpr std::uint8_t kCookieBytes = 8;  // TCP_FASTOPEN_COOKIE_SIZE
constexpr Duration kResetCounts = 60s;    // how long a reset child counts against the limit
// tcpi_fastopen_client_fail
constexpr std::uint8_t kNoCookie = 1, kDataNotAcked = 2, kSynRepeated = 3;

CallResult failed(Errno e) { return {.value = -1, .error = e, .blocked = false}; }

/// SipHash-2-4 of one block: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
class SipHash {
 public:
  explicit SipHash(const std::array<std::uint8_t, 16>& key) {
    const std::uint64_t k0 = load(key.data()), k1 = load(key.data() + 8);
    v_ = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL, k0 ^ 0x6c7967656e657261ULL,
          k1 ^ 0x7465646279746573ULL};
  }
  std::uint64_t of(const std::uint8_t* data, std::size_t n) {
    std::size_t at = 0;
    for (; at + 8 <= n; at += 8) block(load(data + at));
    std::uint64_t last = static_cast<std::uint64_t>(n) << 56;
    for (std::size_t i = 0; at + i < n; ++i) last |= std::uint64_t{data[at + i]} << (8 * i);
    block(last);
    v_[2] ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

 private:
  static std::uint64_t load(const std::uint8_t* at) {
    std::uint64_t x = 0;
    for (std::size_t i = 0; i < 8; ++i) x |= std::uint64_t{at[i]} << (8 * i);
    return x;
  }
  void block(std::uint64_t m) {
    v_[3] ^= m;
    round();
    round();
    v_[0] ^= m;
  }
  void round() {
    auto& [a, b, c, d] = v_;
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }
  std::array<std::uint64_t, 4> v_{};
};

/// The length a Fast Open option counts as: -1 where there is none, or one of a length that RFC 7413 4.1.1
/// forbids.
int cookie_length(const Packet& p) {
  if (!p.has(Opt::kFastOpen)) return -1;
  if (p.cookie_bytes == 0) return 0;
  const bool even = p.cookie_bytes % 2 == 0;
  return even && p.cookie_bytes >= 4 && p.cookie_bytes <= 16 ? p.cookie_bytes : -1;
}

bool carries_syn_data(const Packet& p) { return p.end() != p.seq + 1; }

}  // namespace

// ---------------------------------------------------------------------------------------------------------
// The server

// Linux __tcp_fastopen_cookie_gen_cipher(): of the client's address and ours. `key`: 0, or 1 for the backup.
std::array<std::uint8_t, 16> Kernel::make_cookie(const Tuple4& t, const Options& opt, std::size_t key) const {
  std::array<std::uint8_t, 16> secret{};
  const FastOpenKeys& keys = fastopen_keys[opt.fastopen_keys];
  if (!keys.empty()) {
    secret = keys[key];
  } else {
    // The kernel draws one when it is first needed.
    const std::uint64_t a = mix(config.seed ^ 0xf0), b = mix(a + 1);
    std::memcpy(secret.data(), &a, 8);
    std::memcpy(secret.data() + 8, &b, 8);
  }
  std::array<std::uint8_t, 32> both{};
  const std::size_t n = t.local.version == 4 ? 4 : 16;
  std::memcpy(both.data(), t.remote.bytes.data(), n);
  std::memcpy(both.data() + n, t.local.bytes.data(), n);
  const std::uint64_t value = SipHash{secret}.of(both.data(), 2 * n);
  std::array<std::uint8_t, 16> cookie{};
  for (std::size_t i = 0; i < kCookieBytes; ++i) cookie[i] = static_cast<std::uint8_t>(value >> (8 * i));
  return cookie;
}

// Linux tcp_fastopen_queue_check(): children that were reset count for a minute, against who spoofs cookies.
bool Kernel::fastopen_room(Listener& l) {
  if (l.opt.fastopen_queue == 0) return false;
  if (l.fastopen_queued < l.opt.fastopen_queue) return true;
  if (l.fastopen_resets.empty() || l.fastopen_resets.front() > now) {
    count(Mib::kTCPFastOpenListenOverflow);
    return false;
  }
  l.fastopen_resets.pop_front();
  --l.fastopen_queued;
  return true;
}

// Linux tcp_try_fastopen(), tcp_fastopen_create_child(). True: the SYN has become a connection, and `r`
// belongs to it.
bool Kernel::try_fastopen(std::uint32_t listener, const Packet& p, Request& r, std::uint32_t request_index) {
  const int length = cookie_length(p);
  const bool data = carries_syn_data(p);
  if (length < 0 && !data) return false;
  Listener& l = listeners[listener];
  if (length == 0) count(Mib::kTCPFastOpenCookieReqd);
  if (!(config.sysctls.tcp_fastopen & kServer) || !fastopen_room(l)) return false;

  const auto give_cookie = [&] {
    r.cookie = make_cookie(r.tuple, l.opt, 0);
    r.cookie_bytes = kCookieBytes;
    r.cookie_experimental = p.cookie_experimental;
    r.cookie_in_synack = true;
  };
  const bool free_for_all = (config.sysctls.tcp_fastopen & kServerNoCookie) || l.opt.fastopen_no_cookie;
  int matched = free_for_all ? 1 : 0;
  if (!free_for_all && length > 0) {
    const FastOpenKeys& keys = fastopen_keys[l.opt.fastopen_keys];
    for (std::size_t key = 0; key < std::max<std::size_t>(1, keys.size()) && matched == 0; ++key)
      if (length == kCookieBytes && make_cookie(r.tuple, l.opt, key) == p.cookie)
        matched = static_cast<int>(key) + 1;
  }
  if (matched == 0) {
    if (length < 0) return false;
    if (length == 0) {
      because(Rule::kFastOpenCookieSent);
    } else {
      because(Rule::kFastOpenRefused);
      count(Mib::kTCPFastOpenPassiveFail);
    }
    give_cookie();
    return false;
  }

  because(Rule::kFastOpenAccepted);
  const std::uint32_t child = make_child(r, p);
  Endpoint& e = endpoints[child];
  ++l.fastopen_queued;
  ++l.pending_requests;
  e.fastopen_child = e.was_fastopen_child = true;
  e.fastopen_request = request_index;
  e.snd_wnd = e.max_window = p.window;  // not scaled in a SYN
  e.synack_at = timer_at(config.kernel.initial_rto);
  enter_established(e);
  add_syn_data(e, p);
  r.rcv_nxt = e.rcv_wup = e.rcv_nxt;
  if (matched == 2) {
    give_cookie();
    count(Mib::kTCPFastOpenPassiveAltKey);
  }
  count(Mib::kTCPFastOpenPassive);
  send_synack(r, l.opt);
  e.first_syn_tsval = r.sent_tsval;
  accept_now(listener, child);
  settle(child);
  return true;
}

// Linux tcp_fastopen_add_skb(): what a SYN or a SYN-ACK carried is there to be read.
void Kernel::add_syn_data(Endpoint& e, const Packet& p) {
  if (p.end() == e.rcv_nxt) return;
  if (p.payload_bytes != 0) {
    RcvBuffer fresh = buffer_of(p);
    fresh.fin = p.fin();
    set_aside(e, fresh.memory);
    charge_received(e, fresh.memory);
    e.received.push_back(fresh);
    take_data(e, p, p.seq + 1, p.payload_bytes);
    ++e.data_segs_in;
  }
  e.rcv_nxt = p.end();
  e.syn_data_acked = true;
  if (p.fin()) on_fin(e, e.self);
}

// Linux tcp_check_req() with fastopen set: the numbers of the request, for a socket that exists.
Next Kernel::check_fastopen(Endpoint& e, std::uint32_t index, const Packet& p) {
  if (e.fastopen_request == 0xffffffff) return Next::kGoOn;
  Request& r = requests[e.fastopen_request];
  const bool stamped = p.has(Opt::kTimestamps) && config.sysctls.tcp_timestamps != 0;
  const bool paws = stamped && r.ts_recent != 0 && static_cast<std::int32_t>(p.tsval - r.ts_recent) < 0;
  const auto answer = [&] {
    send_request_ack(r, p);
    step->sent.back().seq = e.snd_nxt;
  };
  const auto allowed = [&] { return ack_allowed(r.answered_at, Mib::kTCPACKSkippedSynRecv, p); };
  const std::uint8_t kinds = p.flags & (Flag::kRst | Flag::kSyn | Flag::kAck);
  if (p.seq == r.irs && kinds == Flag::kSyn && !paws) {
    because(Rule::kRequestSynAgain);
    if (allowed()) repeat_synack(r, e.opt);
    return Next::kDone;
  }
  const SeqNum edge = r.rcv_nxt + std::min(r.rcv_wnd, 65535u);
  const bool inside = p.seq == r.rcv_nxt || (after(p.end(), r.rcv_nxt) && before(p.seq, edge)) ||
                      (p.seq == edge && p.length() == 0);
  if (paws || !inside) {
    because(paws ? Rule::kRequestPaws : Rule::kRequestOutOfWindow);
    if (!p.rst() && allowed()) answer();
    if (paws) count(Mib::kPAWSEstab);
    return Next::kDone;
  }
  // RFC 5961 3.2, as for a request without data.
  if (p.rst() && config.kernel.request_rst == RequestRst::kExact && p.seq != r.rcv_nxt) {
    because(Rule::kRstChallenged);
    if (!ack_allowed(r.answered_at, Mib::kTCPACKSkippedChallenge)) return Next::kDone;
    count(Mib::kTCPChallengeACK);
    answer();
    return Next::kDone;
  }
  if (p.rst()) {
    because(Rule::kRequestReset);
    count(Mib::kAttemptFails);
    forget_fastopen_request(e, Forget::kReset);
    peer_reset(e, index);
    return Next::kDone;
  }
  if (p.syn() && p.seq != r.irs) {
    count(Mib::kAttemptFails);
    send_reset(p, Rule::kRequestSynReset);
    return Next::kDone;
  }
  if (!p.has_ack()) {
    because(Rule::kRequestNoAck);
    return Next::kDone;
  }
  return Next::kGoOn;
}

// Linux net/core/request_sock.c reqsk_fastopen_remove().
void Kernel::forget_fastopen_request(Endpoint& e, Forget why) {
  if (!e.fastopen_child) return;
  e.fastopen_child = false;
  e.synack_at = kNever;
  const std::uint32_t index = std::exchange(e.fastopen_request, 0xffffffff);
  if (index == 0xffffffff) return;
  const std::uint32_t owner = requests[index].listener.index;
  Listener& l = listeners[owner];
  --l.pending_requests;
  --l.fastopen_queued;
  if (why == Forget::kReset && !e.listener && l.fd >= 0) {
    l.fastopen_resets.push_back(timer_at(kResetCounts));
    ++l.fastopen_queued;
  }
  remove_request(index);
}

// Linux tcp_rcv_synrecv_state_fastopen().
void Kernel::fastopen_established(Endpoint& e) {
  e.retransmits = 0;
  if (e.retrans_out == 0) e.retrans_stamp = {};
  forget_fastopen_request(e);
  rearm_rto(e);
}

// Linux tcp_fastopen_synack_timer(): one repeat more than an ordinary request gets.
void Kernel::fire_fastopen_synack(Endpoint& e, std::uint32_t index) {
  if (e.fastopen_request == 0xffffffff) return;
  Request& r = requests[e.fastopen_request];
  count(Mib::kTCPTimeouts);
  const std::int64_t most = e.opt.syn_retries ? e.opt.syn_retries : config.sysctls.tcp_synack_retries + 1;
  if (r.timeouts >= most) return write_error(e, index, Rule::kRequestExpired);
  if (e.retransmits == 1) enter_loss(e);
  because(Rule::kSynAckRepeat);
  repeat_synack(r, e.opt);
  ++r.timeouts;
  ++e.retransmits;
  ++e.total_rto;
  ++e.retrans_total;
  if (e.retrans_stamp == ModelTime{}) e.retrans_stamp = now;
  e.synack_at = timer_at(request_timeout(config.kernel, r.timeouts));
}

// ---------------------------------------------------------------------------------------------------------
// The client

// Linux tcp_fastopen_active_should_disable(): after a black hole nobody tries for a while.
bool Kernel::fastopen_disabled() const {
  const std::int64_t pause = config.sysctls.tcp_fastopen_blackhole_timeout_sec;
  if (pause == 0 || fastopen_blackholes == 0) return false;
  const std::int64_t times = std::int64_t{1} << std::min(fastopen_blackholes - 1, 6u);
  return now < fastopen_blackhole_at + std::chrono::seconds{pause * times};
}

// Linux tcp_fastopen_active_detect_blackhole(): the third timeout in a row, or the end after fewer, is laid on data in a SYN.
void Kernel::suspect_fastopen(const Endpoint& e, bool expired) {
  if (!e.syn_fastopen && !e.syn_data && !e.syn_data_acked) return;
  if (e.retransmits != 2 && (e.retransmits > 2 || !expired)) return;
  count(Mib::kTCPFastOpenActiveFail);
  if (config.sysctls.tcp_fastopen_blackhole_timeout_sec == 0) return;
  fastopen_blackhole_at = now;
  ++fastopen_blackholes;
  count(Mib::kTCPFastOpenBlackhole);
}

// Linux tcp_fastopen_cookie_check(), tcp_fastopen_cache_get().
Kernel::CookieState Kernel::cookie_for(Endpoint& e, Packet& p, std::uint16_t& mss) {
  p.options = Opt::kFastOpen;
  p.cookie_bytes = 0;
  const auto found = fastopen_memory.find(hash(e.tuple.remote, config.seed));
  if (found != fastopen_memory.end()) {
    const FastOpenMemory& m = found->second;
    if (m.mss != 0) mss = m.mss;
    p.cookie_bytes = static_cast<std::uint8_t>(m.cookie.size());
    std::copy(m.cookie.begin(), m.cookie.end(), p.cookie.begin());
    p.cookie_experimental = m.cookie.empty() ? m.try_experimental : m.experimental;
  }
  if (fastopen_disabled()) {
    p.options = 0;
    return CookieState::kNone;
  }
  if ((config.sysctls.tcp_fastopen & kClientNoCookie) || e.opt.fastopen_no_cookie) {
    p.options = 0;
    return CookieState::kThere;
  }
  if (p.cookie_bytes != 0) return CookieState::kThere;
  e.fastopen_client_fail = kNoCookie;
  return CookieState::kRequest;
}

// The Fast Open option of tcp_syn_options(), if the others leave room for it.
void Kernel::dress_syn(Endpoint& e, const Packet& option) {
  Packet& syn = step->sent.back();
  if (!option.has(Opt::kFastOpen)) return;
  std::uint32_t used = 4;
  if (syn.has(Opt::kTimestamps)) used += kTimestampBytes;
  if (syn.has(Opt::kWindowScale)) used += 4;
  if (syn.has(Opt::kSackPermitted) && !syn.has(Opt::kTimestamps)) used += 4;
  const std::uint32_t need = (option.cookie_bytes + (option.cookie_experimental ? 4u : 2u) + 3u) & ~3u;
  if (used + need > kOptionSpace) return;
  syn.options |= Opt::kFastOpen;
  syn.cookie_bytes = option.cookie_bytes;
  syn.cookie = option.cookie;
  syn.cookie_experimental = option.cookie_experimental;
  e.syn_fastopen = true;
  e.syn_fastopen_experimental = option.cookie_experimental;
}

void Kernel::ask_cookie(Endpoint& e) {
  Packet option;
  std::uint16_t mss = 0;
  if (cookie_for(e, option, mss) != CookieState::kRequest) return;
  because(Rule::kFastOpenSyn);
  dress_syn(e, option);
}

bool Kernel::defer_fastopen(Endpoint& e) {
  Packet option;
  std::uint16_t mss = 0;
  if (cookie_for(e, option, mss) != CookieState::kThere) return false;
  e.defer_connect = true;
  return true;
}

// Linux tcp_connect(), tcp_send_syn_data(): the SYN and its data are two entries of the queue and one packet.
std::uint32_t Kernel::send_syn_data(Endpoint& e, std::uint64_t bytes, std::span<const std::uint8_t> data) {
  Packet option;
  auto mss = static_cast<std::uint16_t>(e.advmss);
  const CookieState cookie = cookie_for(e, option, mss);
  if (cookie != CookieState::kNone) because(Rule::kFastOpenSyn);
  std::uint32_t n = 0;
  if (cookie == CookieState::kThere) {
    e.neg.mss_clamp = e.opt.user_mss && e.opt.user_mss < mss ? e.opt.user_mss : mss;
    // Room for every option a middlebox might add.
    const std::uint32_t headers = (e.tuple.local.version == 4 ? 20u : 40u) + 20u;
    std::uint32_t room = std::min<std::uint32_t>(e.pmtu > headers ? e.pmtu - headers : 0u, e.neg.mss_clamp);
    room = std::max(room, static_cast<std::uint32_t>(config.sysctls.tcp_min_snd_mss));
    room = room > kOptionSpace ? room - kOptionSpace : 0;
    n = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, bytes));
  }
  send_syn(e);
  dress_syn(e, option);
  if (cookie != CookieState::kThere) return 0;
  count(Mib::kTCPOrigDataSent);
  if (n == 0) return 0;
  e.syn_data = true;
  e.out.append(n, data.data(), std::min<std::size_t>(data.size(), n));
  Packet& syn = step->sent.back();
  syn.payload_bytes = n;
  if (e.out.has_content()) e.out.read(0, n, syn.payload);
  Piece piece;
  piece.seq = e.write_seq;
  piece.end = e.write_seq + n;
  piece.flags = Flag::kPsh;
  piece.sent_at = piece.first_sent = now;
  e.sent.push_back(piece);
  add_buffer(e, n);
  e.write_seq = e.snd_nxt = e.pushed_seq = piece.end;
  e.bytes_sent += n;
  ++e.data_segs_out;
  return n;
}

// Linux tcp_sendmsg_fastopen() and the part of __inet_stream_connect() it uses. A blocking call waits for the
// handshake with what the SYN took already counted: if the handshake fails, all of it has failed.
CallResult Kernel::fastopen_send(int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                                 std::span<const std::uint8_t> data) {
  const bool client = (config.sysctls.tcp_fastopen & kClient) != 0;
  if (!endpoint_of(fd)) return failed(client ? Errno::kEISCONN : Errno::kEOPNOTSUPP);  // a listener
  Endpoint& e = *endpoint_of(fd);
  const std::uint32_t index = handle_of(fd).index;
  const bool waits = e.blocking && !(flags & MessageFlags::kDontWait);
  const std::uint32_t plain = flags & ~MessageFlags::kFastOpen;
  if (!e.fastopen_waits) {
    if (!client) return failed(Errno::kEOPNOTSUPP);
    const bool under_way = e.connecting && !e.defer_connect;
    if (under_way) {
      if (!waits && (e.state == State::kSynSent || e.state == State::kSynRecv)) return failed(Errno::kEALREADY);
    } else if (!e.defer_connect) {
      if (e.connected || e.state != State::kClose) return failed(Errno::kEISCONN);
      const CallResult started = start_connect(e, index, to);
      if (!started.ok()) return started;
    }
    e.defer_connect = false;
    // A connect() under way has sent its SYN; this call finds out what came of it, and sends as usual.
    e.fastopen_taken = under_way ? 0 : send_syn_data(e, bytes, data);
    if (e.fastopen_taken != 0 && e.opt.zero_copy && (flags & MessageFlags::kZeroCopy))
      zero_copy_sent(e, e.write_seq, waits && e.fastopen_taken < bytes ? ZeroCopyCall::kSleeps : ZeroCopyCall::kDone);
    settle(index);
  }
  const std::uint32_t taken = e.fastopen_taken;
  if (e.state == State::kSynSent || e.state == State::kSynRecv) {
    e.fastopen_waits = waits;
    e.write_pending = waits && taken < bytes;
    if (waits) return {.value = 0, .error = Errno::kNone, .blocked = true};
    if (taken == 0) return failed(Errno::kEINPROGRESS);
    return {.value = static_cast<std::int64_t>(taken), .error = Errno::kNone, .blocked = false};
  }
  e.fastopen_waits = e.write_pending = false;
  const CallResult connected = connect_result(fd);
  if (!connected.ok()) return connected;
  if (taken == bytes)
    return {.value = static_cast<std::int64_t>(taken), .error = Errno::kNone, .blocked = false};
  CallResult rest = send(fd, bytes - taken, plain, data.subspan(std::min<std::size_t>(taken, data.size())));
  if (rest.error == Errno::kNone) rest.value += taken;
  return rest;
}

// Linux tcp_rcv_fastopen_synack(). True: data of the SYN was not taken and has been sent again.
bool Kernel::fastopen_synack(Endpoint& e, const Packet& p) {
  const bool unacked = e.syn_data && e.packets_out() != 0;
  std::uint16_t mss = e.neg.mss_clamp;
  if (mss == e.opt.user_mss) mss = p.has(Opt::kMss) ? p.mss : std::uint16_t{0};
  int length = cookie_length(p);
  bool lost = false;
  int experiment = 0;
  if (!e.syn_fastopen)
    length = -1;  // unsolicited
  else if (e.retrans_total != 0)
    lost = length < 0 && unacked;
  else if (length < 0 && !e.syn_data)
    experiment = e.syn_fastopen_experimental ? 2 : 1;

  FastOpenMemory& m = fastopen_memory[hash(e.tuple.remote, config.seed)];
  if (mss != 0) m.mss = mss;
  if (length > 0) {
    m.cookie.assign(p.cookie.begin(), p.cookie.begin() + length);
    m.experimental = p.cookie_experimental;
  } else if (experiment > m.tried && m.cookie.empty() && !m.experimental) {
    m.tried = experiment;
    m.try_experimental = experiment == 1;
  }
  if (lost) {
    ++m.syn_loss;
    m.last_loss = now;
  } else {
    m.syn_loss = 0;
  }
  if (unacked) {
    because(Rule::kFastOpenFallback);
    e.fastopen_client_fail = e.retrans_total != 0 ? kSynRepeated : kDataNotAcked;
    for (std::size_t i = e.sent_head; i < e.sent.size(); ++i) mark_lost(e, e.sent[i]);
    simple_retransmit(e);
    count(Mib::kTCPFastOpenActiveFail);
    return true;
  }
  e.syn_data_acked = e.syn_data;
  if (e.syn_data_acked) {
    count(Mib::kTCPFastOpenActive);
    if (e.delivered > 1) --e.delivered;
  }
  add_syn_data(e, p);
  return false;
}

}  // namespace tcpwhy::model
