// Every set of flags, every place of SEQ, ACK and timestamps, at listeners of every temper: what is true of every
// segment (conservation.hpp) is true here as well.

#include <gtest/gtest.h>

#include "conservation.hpp"
#include "peer.hpp"

namespace tcpwhy::model {
namespace {

enum class Temper : std::uint8_t {
  kPlain,
  kDefers,          ///< TCP_DEFER_ACCEPT
  kCookies,         ///< tcp_syncookies=2
  kFastOpen,        ///< data of a SYN is taken without a cookie
  kFull,            ///< the accept queue is full
  kFullAborts,      ///< and tcp_abort_on_overflow=1
  kFullOfSyns,      ///< the SYN queue is full, no cookies
  kFullOfCookies,   ///< the SYN queue is full, cookies
};
constexpr Temper kTempers[] = {Temper::kPlain, Temper::kDefers,     Temper::kCookies,    Temper::kFastOpen,
                               Temper::kFull,  Temper::kFullAborts, Temper::kFullOfSyns, Temper::kFullOfCookies};

enum class Where : std::uint8_t {
  kListener,  ///< the first segment of its addresses
  kRequest,   ///< a SYN came before, with data where the listener takes it
  kRepeated,  ///< the same, and its SYN-ACK was repeated
};

/// What the segment's timestamps are, beside those of the SYN.
enum class Stamp : std::uint8_t { kNone, kOlder, kEqual, kNewer, kForeignEcho };

class Stage {
 public:
  Stage(std::string_view kernel, Temper temper)
      : temper_{temper}, peer_{kernel, [temper](HostConfig& c) {
          c.sysctls.tcp_syncookies = temper == Temper::kCookies ? 2 : temper == Temper::kFullOfCookies ? 1 : 0;
          c.sysctls.tcp_abort_on_overflow = temper == Temper::kFullAborts ? 1 : 0;
          c.sysctls.tcp_fastopen = 0x203;
        }} {
    const bool full = temper == Temper::kFull || temper == Temper::kFullAborts;
    const bool syns = temper == Temper::kFullOfSyns || temper == Temper::kFullOfCookies;
    const int fd = peer_.listen(syns || full ? 150 : 4000);
    if (temper == Temper::kDefers) peer_.host.setsockopt(peer_.now, fd, SocketOption::kDeferAccept, 3, peer_.step);
    if (temper == Temper::kFastOpen) peer_.host.setsockopt(peer_.now, fd, SocketOption::kFastOpen, 4000, peer_.step);
    peer_.collect();
  }

  /// One segment to come, and what the host and its sender know of each other.
  struct Place {
    std::int32_t seq, ack;
    Stamp stamp;
    std::uint16_t from = 0;
    SeqNum rcv_nxt = Peer::kIsn, snd_nxt{1000};
    std::uint32_t their_tsval = 1;
  };

  void prepare(Where where, std::vector<Place>& places) {
    for (Place& at : places) {
      at.from = ++port_;
      if (where != Where::kListener) ask(at);
    }
    if (where == Where::kRepeated) peer_.wait(1500ms);
    fill();
  }

  /// Sends the segment and says what is wrong with what it did.
  std::string segment(const Place& at, std::uint8_t flags, std::uint32_t bytes) {
    Packet p = Peer::segment(at.from, flags, at.rcv_nxt + static_cast<std::uint32_t>(at.seq),
                             at.snd_nxt + static_cast<std::uint32_t>(at.ack), bytes);
    switch (at.stamp) {
      case Stamp::kNone: break;
      case Stamp::kOlder: p.tsval = kTsval - 100'000; break;
      case Stamp::kEqual:
      case Stamp::kForeignEcho: p.tsval = kTsval; break;
      case Stamp::kNewer: p.tsval = kTsval + 7; break;
    }
    if (at.stamp != Stamp::kNone) {
      p.options |= Opt::kTimestamps;
      p.tsecr = at.stamp == Stamp::kForeignEcho ? at.their_tsval + 50'000'000 : at.their_tsval;
    }
    const Counters before = peer_.host.counters();
    peer_.step.clear();
    peer_.host.deliver(peer_.now, p, peer_.step);
    // A child that is born acknowledges what came with its birth by a segment of its own.
    std::string wrong = conserves(flags, peer_.step, before, peer_.host.counters(), temper_ == Temper::kFastOpen ? 2 : 1);
    peer_.step.clear();
    return wrong;
  }

 private:
  static constexpr std::uint32_t kTsval = 900'000'000;

  void ask(Place& at) {
    Packet syn = Peer::segment(at.from, kS, Peer::kIsn, SeqNum{}, temper_ == Temper::kFastOpen ? 10 : 0);
    syn.options = Opt::kMss | Opt::kSackPermitted;
    syn.mss = 1000;
    if (at.stamp != Stamp::kNone) {
      syn.options |= Opt::kTimestamps;
      syn.tsval = kTsval;
    }
    const auto answers = peer_.arrives(syn);
    at.rcv_nxt = Peer::kIsn + 1;
    if (answers.empty()) return;
    at.rcv_nxt = answers.front().ack;
    at.snd_nxt = answers.front().seq + 1;
    at.their_tsval = answers.front().tsval;
  }
  void fill() {
    if (temper_ == Temper::kFull || temper_ == Temper::kFullAborts)
      for (std::uint16_t from = 40'000; from < 40'200; ++from) {
        const SeqNum theirs = peer_.open(from);
        peer_.arrives(from, kA, Peer::kIsn + 1, theirs + 1);
      }
    if (temper_ == Temper::kFullOfSyns || temper_ == Temper::kFullOfCookies)
      for (std::uint16_t from = 40'000; from < 40'200; ++from) peer_.open(from);
  }

  Temper temper_;
  Peer peer_;
  std::uint16_t port_ = 10'000;
};

class EveryListener : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryListener, GivesEverySegmentARuleAndNoRstToARst) {
  constexpr std::int32_t kSeqs[] = {-1, 0, 1, 1000, 70001}, kAcks[] = {-1, 0, 1, 100'000};
  for (const Temper temper : kTempers)
    for (const Where where : {Where::kListener, Where::kRequest, Where::kRepeated})
      for (unsigned flags = 0; flags < 32; ++flags) {
        Stage stage{GetParam(), temper};
        std::vector<Stage::Place> places;
        for (const std::int32_t seq : kSeqs)
          for (const std::int32_t ack : kAcks)
            for (const Stamp stamp : {Stamp::kNone, Stamp::kOlder, Stamp::kEqual, Stamp::kNewer, Stamp::kForeignEcho})
              places.push_back({.seq = seq, .ack = ack, .stamp = stamp});
        stage.prepare(where, places);
        for (std::size_t i = 0; i < places.size(); ++i) {
          const Stage::Place& at = places[i];
          const std::uint32_t bytes = i % 2 == 0 ? 0 : 13;  // each place once, with data or without, in turn
          ASSERT_EQ(stage.segment(at, static_cast<std::uint8_t>(flags), bytes), "")
              << "temper " << static_cast<int>(temper) << " where " << static_cast<int>(where) << " flags " << flags << " seq " << at.seq
              << " ack " << at.ack << " bytes " << bytes << " stamp " << static_cast<int>(at.stamp);
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryListener,
                         testing::Values("2.6.32", "el6", "3.10", "el7", "4.4", "4.19", "5.15", "6.1", "6.18"));

}  // namespace
}  // namespace tcpwhy::model
