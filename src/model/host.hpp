#pragma once
// One Linux host in virtual time: system calls and segments go in, what the world can notice comes out.
// It owns no clock, no file, no random number: time, and the seed of its secrets, are arguments.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/packet.hpp"
#include "model/profile.hpp"
#include "model/step.hpp"
#include "model/sysctls.hpp"
#include "names/errno.hpp"
#include "names/mib.hpp"
#include "tcpwhy/state.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::model {

struct HostConfig {
  KernelProfile kernel;
  Sysctls sysctls;  ///< start from Sysctls::of(kernel)
  std::vector<Address> addresses;
  std::uint16_t mtu = 1500;
  std::uint64_t seed = 1;      ///< of ISNs, timestamp offsets, cookies and ephemeral ports
  /// Octets in the head of a small socket buffer: 384 where wireless or tunnels are built in, as distributions do, else 256.
  /// Linux net/core/skbuff.c SKB_SMALL_HEAD_SIZE; MAX_TCP_HEADER is 64 less.
  std::uint32_t small_head = 384;
  Duration tick_phase{};       ///< how far the host's clocks run ahead of virtual time
  Duration jiffies_ahead{};    ///< how far its jiffies run ahead of its other clocks: they do not begin at zero
  /// How much later than the segment that asks for it new data leaves, beside what is sent again at once: some microseconds
  /// of work on a real host. RACK, which goes by the microsecond, can tell the two apart. Linux tcp_write_xmit() looks at the clock anew.
  Duration send_lag{};
  /// The path's earlier RTT makes it a "proven peer" for the last-quarter rule.
  bool route_proves_peers = false;
  std::optional<std::array<std::uint8_t, 16>> fastopen_key;
};

/// As the kernel answers a call. `blocked`: the call would sleep; ask again with the matching retry.
struct CallResult {
  std::int64_t value = 0;  ///< descriptor, byte count, 0, or -1
  Errno error = Errno::kNone;
  bool blocked = false;

  [[nodiscard]] bool ok() const { return error == Errno::kNone && !blocked; }
};

enum class Family : std::uint8_t { kInet, kInet6 };
enum class Blocking : std::uint8_t { kYes, kNo };
enum class LocalQueue : std::uint8_t { kTakes, kDrops };
enum class Shutdown : std::uint8_t { kRead, kWrite, kBoth };

/// Options with one integer; SO_LINGER has its own call.
enum class SocketOption : std::uint8_t {
  kReuseAddr, kKeepAlive, kRcvBuf, kSndBuf, kError, kOobInline, kAcceptConn, kRcvLowat,
  kNoDelay, kCork, kMaxSeg, kKeepIdle, kKeepIntvl, kKeepCnt, kUserTimeout, kDeferAccept, kSynCnt,
  kLinger2, kQuickAck, kFastOpen, kFastOpenConnect, kFastOpenNoCookie, kWindowClamp, kNotsentLowat,
  kRecvErr,   ///< IP_RECVERR: soft ICMP errors are reported at once
  kV6Only, kTos, kTtl, kMtuDiscover, kInq, kReusePort, kThinLinearTimeouts, kSndBufForce, kRcvBufForce,
  kSaveSyn, kTimestamp, kPriority, kTxDelay, kZeroCopy, kRtoMaxMs,
};

struct MessageFlags {
  static constexpr std::uint32_t kOob = 0x1, kPeek = 0x2, kTrunc = 0x20, kDontWait = 0x40, kWaitAll = 0x100,
                                 kNoSignal = 0x4000, kMore = 0x8000, kFastOpen = 0x20000000, kEor = 0x80, kErrQueue = 0x2000,
                                 kZeroCopy = 0x4000000;
};

struct PollEvents {
  static constexpr std::uint16_t kIn = 0x1, kPri = 0x2, kOut = 0x4, kErr = 0x8, kHup = 0x10, kNval = 0x20,
                                 kRdNorm = 0x40, kWrNorm = 0x100, kRdHup = 0x2000;
};

enum class CaState : std::uint8_t { kOpen, kDisorder, kCwr, kRecovery, kLoss };

/// tcp_info by the kernel's names; times in microseconds as there.
struct TcpInfo {
  State state = State::kClose;
  CaState ca_state = CaState::kOpen;
  std::uint8_t retransmits = 0, probes = 0, backoff = 0;
  std::uint8_t options = 0;  ///< 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen, 32 SYN data acked
  std::uint8_t snd_wscale = 0, rcv_wscale = 0;
  std::uint8_t fastopen_client_fail = 0;
  std::uint32_t rto = 0, ato = 0, snd_mss = 0, rcv_mss = 0, unacked = 0, sacked = 0, lost = 0, retrans = 0, fackets = 0;
  std::uint32_t last_data_sent = 0, last_data_recv = 0, last_ack_recv = 0;
  std::uint32_t pmtu = 0, rcv_ssthresh = 0, rtt = 0, rttvar = 0, snd_ssthresh = 0, snd_cwnd = 0, advmss = 0, reordering = 3;
  std::uint32_t rcv_rtt = 0, rcv_space = 0, total_retrans = 0;
  std::uint64_t bytes_acked = 0, bytes_received = 0, bytes_sent = 0, bytes_retrans = 0;
  std::uint32_t segs_out = 0, segs_in = 0, notsent_bytes = 0, min_rtt = 0, data_segs_in = 0, data_segs_out = 0;
  std::uint32_t delivered = 0, delivered_ce = 0, dsack_dups = 0, reord_seen = 0, snd_wnd = 0, rcv_wnd = 0;
  std::uint32_t rehash = 0, total_rto = 0, total_rto_recoveries = 0, total_rto_time = 0, rcv_ooopack = 0;
  std::uint64_t busy_time = 0, rwnd_limited = 0, sndbuf_limited = 0;
};

enum class TimerShown : std::uint8_t { kNone, kOn, kKeepalive, kTimeWait, kPersist };

/// One row of `ss -ant`.
struct SocketView {
  State state = State::kClose;
  SocketAddress local, remote;
  std::uint32_t recv_q = 0, send_q = 0;
  TimerShown timer = TimerShown::kNone;
  Duration expires{};
  std::uint32_t retransmits = 0;
  int fd = -1;  ///< -1: no process has it
};

/// What MSG_ERRQUEUE reads: calls with MSG_ZEROCOPY, by their numbers, whose buffers are the program's again.
struct ErrorReport {
  std::uint32_t first = 0, last = 0;
};

using Counters = std::array<std::uint64_t, kMibs>;

class Kernel;

/// Every entry appends to `step`; time never runs backwards between calls.
class Host {
 public:
  explicit Host(HostConfig config);
  ~Host();
  Host(Host&&) noexcept;
  Host& operator=(Host&&) noexcept;

  // System calls. Descriptors start at 3 and the smallest free one is given.
  CallResult socket(ModelTime now, Family family, Blocking blocking, Step& step);
  CallResult bind(ModelTime now, int fd, const SocketAddress& address, Step& step);
  CallResult listen(ModelTime now, int fd, int backlog, Step& step);
  CallResult connect(ModelTime now, int fd, const SocketAddress& to, Step& step);
  /// Asks a blocking connect() that returned `blocked` again.
  CallResult connect_result(ModelTime now, int fd, Step& step);
  CallResult disconnect(ModelTime now, int fd, Step& step);  ///< connect(AF_UNSPEC)
  CallResult accept(ModelTime now, int fd, SocketAddress* peer, Step& step);
  /// `data` may be shorter than `bytes`: the rest is zeros. A blocked call has taken `value` bytes and
  /// is asked again for the rest.
  CallResult send(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags,
                  std::span<const std::uint8_t> data, Step& step);
  CallResult sendto(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags, const SocketAddress& to,
                    std::span<const std::uint8_t> data, Step& step);
  CallResult recv(ModelTime now, int fd, std::uint64_t bytes, std::uint32_t flags,
                  std::vector<std::uint8_t>* data, Step& step);
  CallResult shutdown(ModelTime now, int fd, Shutdown how, Step& step);
  /// With SO_LINGER above 0 a blocking close may be `blocked`; the descriptor is gone all the same and
  /// close_result() answers for it.
  CallResult close(ModelTime now, int fd, Step& step);
  CallResult close_result(ModelTime now, int fd, Step& step);
  CallResult kill_process(ModelTime now, Step& step);  ///< closes every descriptor in order
  CallResult destroy(ModelTime now, int fd, Step& step);  ///< `ss -K`
  CallResult setsockopt(ModelTime now, int fd, SocketOption option, std::int64_t value, Step& step);
  CallResult getsockopt(ModelTime now, int fd, SocketOption option, Step& step);
  CallResult set_linger(ModelTime now, int fd, int on, int seconds, Step& step);
  CallResult get_linger(ModelTime now, int fd, int* on, int* seconds);
  CallResult set_blocking(int fd, Blocking blocking);
  [[nodiscard]] Blocking blocking(int fd) const;
  CallResult poll(ModelTime now, int fd);  ///< value: PollEvents bits, level triggered
  CallResult siocinq(ModelTime now, int fd);
  CallResult siocoutq(ModelTime now, int fd);
  CallResult siocoutqnsd(ModelTime now, int fd);
  CallResult recv_error(ModelTime now, int fd, ErrorReport* report);  ///< recvmsg(MSG_ERRQUEUE)
  CallResult getsockname(int fd, SocketAddress* address) const;
  CallResult getpeername(int fd, SocketAddress* address) const;
  [[nodiscard]] std::optional<TcpInfo> tcp_info(ModelTime now, int fd) const;

  // The wire.
  void deliver(ModelTime now, const Packet& packet, Step& step);

  // Time.
  [[nodiscard]] std::optional<ModelTime> next_timer() const;
  /// Runs every timer due at `now` or before.
  void fire(ModelTime now, Step& step);

  // Settings.
  [[nodiscard]] const HostConfig& config() const;
  Sysctls& sysctls();
  /// A queue of the host that drops tells TCP so, which then tries again every half second. What it dropped is in
  /// Step::sent all the same; it never reached the wire.
  void set_local_queue(LocalQueue queue);
  /// The path to every peer from now on, as `ip route ... mtu` or a smaller link would make it.
  void set_mtu(std::uint16_t mtu);
  void set_fastopen_key(std::span<const std::uint8_t> key);  ///< 16 octets, or 32 with a backup key
  CallResult set_fastopen_key(int fd, std::span<const std::uint8_t> key);  ///< TCP_FASTOPEN_KEY
  /// A Fast Open cookie the host remembers for a peer (`ip tcp_metrics`); empty forgets it.
  void set_fastopen_cookie(const Address& peer, std::span<const std::uint8_t> cookie, std::uint16_t mss);

  // Views.
  [[nodiscard]] const Counters& counters() const;
  [[nodiscard]] std::uint64_t counter(Mib m) const { return counters()[static_cast<std::size_t>(m)]; }
  [[nodiscard]] std::vector<SocketView> sockets(ModelTime now) const;
  [[nodiscard]] State state(int fd) const;

 private:
  std::unique_ptr<Kernel> kernel_;
};

/// `ss -ant` (with listeners) and `netstat -s` as a person would see them.
[[nodiscard]] std::string ss(const Host& host, ModelTime now);
[[nodiscard]] std::string netstat_s(const Counters& counters);
/// Only what changed, as `nstat` prints it.
[[nodiscard]] std::string nstat(const Counters& before, const Counters& after);
[[nodiscard]] std::string to_string(const Address& address);
[[nodiscard]] std::optional<Address> parse_address(std::string_view text);

}  // namespace tcpwhy::model
