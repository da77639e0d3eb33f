// The grammar of trials. Openings are mostly whole, because most of what can differ lies behind them; then anything
// may follow anything.

#include <array>

#include "lab/fuzz_trial.hpp"
#include "world/random.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;
using Kind = TrialCall::Kind;
using world::How;
using world::Option;

constexpr std::size_t kListener = 0, kConnection = 1;

class Generator {
 public:
  Generator(std::uint64_t seed, FastOpenTrials fast_open) : random_{seed}, fast_open_{fast_open == FastOpenTrials::kOnly} { trial_.seed = seed; }

  Trial make() {
    settings();
    stamps_ = chance(40);
    shift_ = chance(70);
    sack_ = chance(60);
    // Both ends, and neither asks for a cookie.
    if (fast_open_) trial_.sysctls.emplace_back("net.ipv4.tcp_fastopen", "519");
    switch (pick({60, 22, 6, 12})) {
      case 0: passive(); break;
      case 1: active(); break;
      case 2: crossing(); break;
      default: crowd(); break;
    }
    for (auto n = 2 + random_.below(8); n > 0; --n) anything();
    trial_.end = now_ + std::chrono::milliseconds{one_of<int>({400, 900, 1900, 3900})};
    return std::move(trial_);
  }

 private:
  bool chance(unsigned percent) { return random_.below(100) < percent; }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[random_.below(list.size())];
  }
  std::size_t pick(std::initializer_list<unsigned> weights) {
    unsigned all = 0;
    for (const unsigned w : weights) all += w;
    auto at = random_.below(all);
    std::size_t i = 0;
    for (const unsigned w : weights) {
      if (at < w) break;
      at -= w;
      ++i;
    }
    return i;
  }

  // More than a tick of 4 ms between any two acts, and none at the round times of the kernel's own timers. Twice a round trip
  // of such a wait, and 2 ms (a tail loss probe), are a little more than a whole number of ticks: a real kernel, whose round
  // trips are some tenths longer, then rounds as the model does.
  void add(decltype(TrialAct::what) what) {
    now_ += std::chrono::microseconds{one_of<int>({7'200, 7'200, 7'200, 13'200, 63'200, 113'200, 317'200, 733'200})};
    trial_.acts.push_back({now_, std::move(what)});
  }
  void call(Kind kind, std::size_t slot, int value = 0) { add(TrialCall{kind, slot, value}); }
  void set(std::size_t slot, Option option, int value) { add(TrialCall{Kind::kSet, slot, value, option}); }

  TrialSegment segment(std::uint8_t flags) {
    TrialSegment s;
    s.flags = flags;
    s.window = shift_ ? 500 : 64000;
    if (stamps_) s.stamp = TrialSegment::Stamp{};
    return s;
  }
  TrialSegment opening(std::uint8_t flags) {
    TrialSegment s = segment(flags);
    s.window = 64240;
    s.mss = one_of<std::uint16_t>({1460, 1460, 1000, 536, 100});
    if (chance(5)) s.mss.reset();
    if (shift_) s.window_scale = one_of<std::uint8_t>({7, 7, 0, 14});
    s.sack_permitted = sack_;
    if (fast_open_ && chance(80)) s.payload_bytes = one_of<std::uint32_t>({10, 100, 1000});
    return s;
  }

  void settings() {
    const auto maybe = [&](const char* name, std::initializer_list<const char*> values) {
      if (chance(6)) trial_.sysctls.emplace_back(std::string{"net.ipv4."} + name, one_of<const char*>(values));
    };
    maybe("tcp_syncookies", {"0", "2"});
    maybe("tcp_abort_on_overflow", {"1"});
    maybe("tcp_timestamps", {"0", "2"});
    maybe("tcp_sack", {"0"});
    maybe("tcp_window_scaling", {"0"});
    maybe("tcp_rfc1337", {"1"});
    maybe("tcp_synack_retries", {"1"});
    maybe("tcp_syn_retries", {"1"});
    maybe("tcp_syn_linear_timeouts", {"0"});
    maybe("tcp_retries2", {"2"});
    maybe("tcp_orphan_retries", {"1"});
    maybe("tcp_fin_timeout", {"1"});
    maybe("tcp_invalid_ratelimit", {"0"});
    maybe("tcp_max_syn_backlog", {"4"});
    maybe("tcp_ecn", {"0", "1"});
    maybe("tcp_early_retrans", {"0"});
  }

  void options(std::size_t slot) {
    if (chance(8)) keepalive(slot);
    if (chance(5)) set(slot, Option::kUserTimeout, one_of<int>({500, 1500}));
    if (chance(5)) set(slot, Option::kNoDelay, 1);
    if (chance(5)) set(slot, Option::kLinger2, one_of<int>({1, -1}));
    if (chance(4)) set(slot, Option::kReceiveBuffer, one_of<int>({1000, 5000, 20000}));
    if (chance(4)) set(slot, Option::kSendBuffer, one_of<int>({1000, 10000}));
    if (chance(4)) set(slot, Option::kSynCount, 1);
  }
  void keepalive(std::size_t slot) {
    set(slot, Option::kKeepAlive, 1);
    set(slot, Option::kKeepIdle, 1);
    set(slot, Option::kKeepInterval, 1);
    set(slot, Option::kKeepCount, one_of<int>({1, 2}));
  }

  void listener() {
    call(Kind::kSocket, kListener);
    set(kListener, Option::kReuseAddress, 1);
    options(kListener);
    if (chance(8)) set(kListener, Option::kDeferAccept, one_of<int>({1, 3}));
    if (fast_open_) set(kListener, Option::kFastOpen, one_of<int>({1, 5}));
    call(Kind::kBind, kListener);
    call(Kind::kListen, kListener, one_of<int>({0, 1, 8, 8, 8}));
  }
  /// How many segments share a push depends on a round trip below 10 ms, which a busy machine cannot give twice.
  void round_trip() { now_ += 20ms; }
  void third_segment(std::size_t port) {
    round_trip();
    TrialSegment s = segment(Flag::kAck);
    if (chance(8)) s.payload_bytes = 100;
    if (chance(4)) s.flags |= Flag::kFin;
    if (chance(4)) s.ack = one_of<std::int32_t>({1, -1, 1000});
    if (chance(4)) s.seq = one_of<std::int32_t>({1, -1, 100'000'000});
    s.port = port;
    add(s);
  }
  void passive() {
    listener();
    add(opening(Flag::kSyn));
    if (chance(12)) anything();
    third_segment(0);
    if (chance(6)) anything();
    if (!chance(8)) call(Kind::kAccept, kListener);
  }
  void active() {
    call(Kind::kSocket, kConnection);
    set(kConnection, Option::kReuseAddress, 1);
    options(kConnection);
    call(Kind::kBind, kConnection);
    if (fast_open_) set(kConnection, Option::kFastOpenConnect, 1);
    call(Kind::kConnect, kConnection);
    if (fast_open_) call(Kind::kSend, kConnection, one_of<int>({10, 100, 1000, 5000}));
    if (chance(15)) anything();
    round_trip();
    TrialSegment s = opening(Flag::kSyn | Flag::kAck);
    if (chance(6)) s.ack = one_of<std::int32_t>({1, -1});
    if (!chance(8)) add(s);
  }
  void crossing() {
    call(Kind::kSocket, kConnection);
    set(kConnection, Option::kReuseAddress, 1);
    call(Kind::kBind, kConnection);
    call(Kind::kConnect, kConnection);
    add(opening(Flag::kSyn));
    round_trip();
    if (chance(20)) anything();
    TrialSegment s = chance(60) ? opening(Flag::kSyn | Flag::kAck) : segment(Flag::kAck);
    if (s.flags & Flag::kSyn) s.seq = -1;
    add(s);
  }
  /// More connections than the queues hold.
  void crowd() {
    listener();
    std::get<TrialCall>(trial_.acts.back().what).value = one_of<int>({0, 1, 2});
    const std::size_t n = 2 + random_.below(4);
    for (std::size_t port = 0; port < n; ++port) {
      TrialSegment s = opening(Flag::kSyn);
      s.port = port;
      add(s);
      if (chance(75)) third_segment(port);
    }
    if (chance(70)) call(Kind::kAccept, kListener);
  }

  void anything() {
    switch (pick({10, 10, 8, 8, 4, 8, 4, 6, 5, 4, 4, 3, 12, 8, 8, 8, 8, 5, 3, 3, 2, 2})) {
      case 0: return add(segment(Flag::kAck));
      case 1: return data(0);
      case 2: return data(one_of<std::int32_t>({1, 100, 1000, -1, -100, -1000}));
      case 3: return acknowledgement(one_of<std::int32_t>({-1, -100, -1000, 1, 1000, -100'000, 100'000'000, -70'000'000}));
      case 4: return selective();
      case 5: return fin();
      case 6: return reset(0);
      case 7: return reset(one_of<std::int32_t>({1, -1, 100, -100, 10'000, 100'000'000}));
      case 8: return syn();
      case 9: return elsewhere();
      case 10: return stale();
      case 11: return icmp();
      case 12: return call(Kind::kSend, kConnection, one_of<int>({1, 100, 1000, 5000, 20'000}));
      case 13: return call(Kind::kReceive, kConnection, one_of<int>({10, 100'000}));
      case 14: return add(TrialCall{.kind = Kind::kShutdown, .slot = kConnection, .how = one_of<How>({How::kWrite, How::kWrite, How::kRead, How::kBoth})});
      case 15: return call(Kind::kClose, chance(92) ? kConnection : kListener);
      case 16: return option();
      case 17: return window();
      case 18: return call(chance(50) ? Kind::kError : Kind::kPoll, kConnection);
      case 19: return call(Kind::kAccept, kListener);
      case 20: return holes();
      default: return blocks();
    }
  }
  /// Pieces of a stretch whose front is missing, in any order, touching and overlapping.
  void holes() {
    for (auto n = 3 + random_.below(6); n > 0; --n) {
      TrialSegment s = segment(Flag::kAck);
      s.seq = static_cast<std::int32_t>(100 * (1 + random_.below(12)));
      s.payload_bytes = one_of<std::uint32_t>({50, 100, 100, 100, 200, 300});
      add(s);
    }
    if (chance(50)) data(0);
  }
  /// Data, and what the peer says it has of it: blocks that know nothing of segments.
  void blocks() {
    call(Kind::kSend, kConnection, one_of<int>({1000, 5000, 20'000}));
    const std::int32_t grain = one_of<std::int32_t>({100, 536, 1000, 1460});
    for (auto n = 1 + random_.below(3); n > 0; --n) {
      TrialSegment s = segment(Flag::kAck);
      for (auto blocks = 1 + random_.below(stamps_ ? 3 : 4); blocks > 0; --blocks) {
        const std::int32_t left = -grain * static_cast<std::int32_t>(1 + random_.below(9)) - one_of<std::int32_t>({0, 0, 50});
        s.sack.emplace_back(left, left + grain * static_cast<std::int32_t>(1 + random_.below(3)));
      }
      s.ack = -grain * static_cast<std::int32_t>(1 + random_.below(10));
      add(s);
    }
  }
  void data(std::int32_t seq) {
    TrialSegment s = segment(Flag::kAck | Flag::kPsh);
    s.seq = seq;
    s.payload_bytes = one_of<std::uint32_t>({1, 100, 1000});
    add(s);
  }
  void acknowledgement(std::int32_t ack) {
    TrialSegment s = segment(Flag::kAck);
    s.ack = ack;
    if (chance(30)) s.payload_bytes = 100;
    add(s);
  }
  void selective() {
    TrialSegment s = segment(Flag::kAck);
    const std::int32_t right = one_of<std::int32_t>({0, 0, -1000});
    s.sack.emplace_back(right - one_of<std::int32_t>({1, 1000, 2000}), right);
    s.ack = s.sack.front().first - one_of<std::int32_t>({1, 100, 1000});
    add(s);
  }
  void fin() {
    TrialSegment s = segment(Flag::kAck | Flag::kFin);
    if (chance(20)) s.payload_bytes = 100;
    if (chance(15)) s.seq = one_of<std::int32_t>({100, -1});
    if (chance(20)) s.ack = -1;
    if (chance(4)) s.flags = Flag::kFin;
    add(s);
  }
  void reset(std::int32_t seq) {
    TrialSegment s = segment(chance(50) ? std::uint8_t{Flag::kRst} : std::uint8_t{Flag::kRst | Flag::kAck});
    s.seq = seq;
    s.window = 0;
    if (chance(50)) s.stamp.reset();
    if (chance(10)) s.ack = one_of<std::int32_t>({1, -1});
    add(s);
  }
  void syn() {
    TrialSegment s = opening(chance(75) ? std::uint8_t{Flag::kSyn} : std::uint8_t{Flag::kSyn | Flag::kAck});
    s.seq = one_of<std::int32_t>({0, -1, 100, 100'000'000, -100'000'000});
    if (chance(5)) s.flags |= Flag::kFin;
    add(s);
  }
  void elsewhere() {
    TrialSegment s = segment(one_of<std::uint8_t>({Flag::kAck, Flag::kAck | Flag::kFin, Flag::kAck | Flag::kPsh, Flag::kPsh, 0}));
    if (s.flags & Flag::kPsh) s.payload_bytes = 10;
    s.seq = one_of<std::int32_t>({100'000'000, -100'000'000, -1, 40'000'000});
    if (s.flags == 0) s.seq = 0;
    add(s);
  }
  /// A timestamp from the past (PAWS), or an echo of none we sent.
  void stale() {
    TrialSegment s = segment(Flag::kAck);
    s.stamp = TrialSegment::Stamp{one_of<std::int32_t>({-100'000, -1000, 0}), one_of<std::int32_t>({0, 0, -1000, 100'000})};
    if (chance(15)) s.stamp.reset();
    if (chance(50)) s.payload_bytes = 100;
    add(s);
  }
  void icmp() {
    TrialIcmp e;
    switch (pick({4, 1, 1})) {
      case 0: e.code = one_of<std::uint8_t>({0, 1, 2, 3, 10, 13}); break;
      case 1: e.code = 4, e.mtu = one_of<std::uint16_t>({1400, 600, 100}); break;
      default: e.type = 11; break;
    }
    e.seq = one_of<std::int32_t>({0, 0, 0, -1000, 100'000});
    add(e);
  }
  void option() {
    switch (pick({4, 2, 2, 1, 1, 1})) {
      // Above 0 close() sleeps, and with it everybody here.
      case 0: return set(kConnection, Option::kLinger, one_of<int>({0, 0, -1}));
      case 1: return keepalive(kConnection);
      case 2: return set(kConnection, Option::kUserTimeout, one_of<int>({300, 1500}));
      case 3: return set(kConnection, Option::kNoDelay, 1);
      case 4: return set(kConnection, Option::kLinger2, one_of<int>({1, -1}));
      default: return set(kConnection, Option::kReceiveBuffer, 5000);
    }
  }
  void window() {
    TrialSegment s = segment(Flag::kAck);
    s.window = one_of<std::uint16_t>({0, 0, 1, 10, 65535});
    add(s);
  }

  world::Random random_;
  Trial trial_;
  Duration now_{10ms};
  bool stamps_ = false, shift_ = false, sack_ = false;
  const bool fast_open_;
};

}  // namespace

Trial generate(std::uint64_t seed, FastOpenTrials fast_open, std::uint8_t ip_version) {
  Trial trial = Generator{seed, fast_open}.make();
  trial.ip_version = ip_version;
  return trial;
}

}  // namespace tcpwhy::lab
