// Every state, every set of flags, every place of SEQ and ACK: nothing happens without a rule, no RST answers
// a RST, no counter moves without the rule that moves it, and what left is counted. RFC 9293 3.10.7.

#include <gtest/gtest.h>

#include "conservation.hpp"
#include "peer.hpp"

namespace tcpwhy::model {
namespace {

enum class Where : std::uint8_t {
  kNowhere,
  kListen,
  kRequest,
  kSynSent,
  kSynRecv,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kFinWait2Mini,
  kTimeWait,
  kCloseWait,
  kClosing,
  kLastAck,
};
constexpr Where kAll[] = {Where::kNowhere,      Where::kListen,      Where::kRequest,   Where::kSynSent,
                          Where::kSynRecv,      Where::kEstablished, Where::kFinWait1,  Where::kFinWait2,
                          Where::kFinWait2Mini, Where::kTimeWait,    Where::kCloseWait, Where::kClosing,
                          Where::kLastAck};

/// A socket in a state, as its peer knows it.
struct Target {
  std::uint16_t from = 0, to = Peer::kPort;
  SeqNum rcv_nxt = Peer::kIsn + 1;  ///< what the host expects
  SeqNum snd_una, snd_nxt;          ///< what the host has sent
};

class Stage {
 public:
  explicit Stage(std::string_view kernel) : peer{kernel} { listener_ = peer.listen(4000); }

  Peer peer;

  Target make(Where where, std::uint16_t from) {
    Target t;
    t.from = from;
    switch (where) {
      case Where::kNowhere: t.to = 7777; return t;
      case Where::kListen: return t;
      case Where::kRequest:
        t.snd_una = peer.open(from);
        t.snd_nxt = t.snd_una + 1;
        return t;
      case Where::kSynSent:
      case Where::kSynRecv: {
        const int fd =
            static_cast<int>(peer.host.socket(peer.now, Family::kInet, Blocking::kNo, peer.step).value);
        peer.step.clear();
        peer.host.connect(peer.now, fd, {Peer::kPeer, from}, peer.step);
        const Packet syn = peer.step.sent.at(0);
        peer.collect();
        t.to = syn.source_port;
        t.snd_una = syn.seq;
        t.snd_nxt = syn.seq + 1;
        if (where == Where::kSynRecv) arrives(t, kS, Peer::kIsn);
        return t;
      }
      case Where::kEstablished:
      case Where::kFinWait1:
      case Where::kFinWait2:
      case Where::kFinWait2Mini:
      case Where::kTimeWait:
      case Where::kCloseWait:
      case Where::kClosing:
      case Where::kLastAck: break;
    }
    SeqNum isn;
    const int fd = peer.connect(from, listener_, &isn);
    t.snd_una = t.snd_nxt = isn + 1;
    const auto their_fin = [&] {
      arrives(t, kFA, t.rcv_nxt, t.snd_una);
      t.rcv_nxt = t.rcv_nxt + 1;
    };
    const auto our_fin = [&](bool close) {
      if (close)
        peer.host.close(peer.now, fd, peer.step);
      else
        peer.host.shutdown(peer.now, fd, Shutdown::kWrite, peer.step);
      peer.collect();
      t.snd_nxt = t.snd_nxt + 1;
    };
    const auto acked = [&] {
      arrives(t, kA, t.rcv_nxt, t.snd_nxt);
      t.snd_una = t.snd_nxt;
    };
    switch (where) {
      case Where::kFinWait1: our_fin(false); break;
      case Where::kFinWait2: our_fin(false), acked(); break;
      case Where::kFinWait2Mini: our_fin(true), acked(); break;
      case Where::kTimeWait: our_fin(true), acked(), their_fin(); break;
      case Where::kCloseWait: their_fin(); break;
      case Where::kClosing: our_fin(false), their_fin(); break;
      case Where::kLastAck: their_fin(), our_fin(true); break;
      case Where::kNowhere:
      case Where::kListen:
      case Where::kRequest:
      case Where::kSynSent:
      case Where::kSynRecv:
      case Where::kEstablished: break;
    }
    return t;
  }

  void arrives(const Target& t, std::uint8_t flags, SeqNum seq, SeqNum ack = SeqNum{}, std::uint32_t bytes = 0) {
    Packet p = Peer::segment(t.from, flags, seq, ack, bytes);
    p.destination_port = t.to;
    peer.step.clear();
    peer.host.deliver(peer.now, p, peer.step);
    seen = peer.step;
    peer.step.clear();
  }
  Step seen;  ///< what the last segment did

 private:
  int listener_ = -1;
};

class EveryState : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryState, GivesEverySegmentARuleAndNoRstToARst) {
  constexpr std::int32_t kSeqs[] = {-70001, -1, 0, 1, 1000, 70001, 0x4000'0000};
  constexpr std::int32_t kAcks[] = {-100'000, -1, 0, 1, 77, 100'000};
  for (const Where where : kAll)
    for (unsigned flags = 0; flags < 64; ++flags) {
      Stage stage{GetParam()};
      std::uint16_t from = 10'000;
      for (const std::int32_t seq : kSeqs)
        for (const std::int32_t ack : kAcks)
          for (const std::uint32_t bytes : {0u, 13u}) {
            const Target t = stage.make(where, ++from);
            const Counters before = stage.peer.host.counters();
            stage.arrives(t, static_cast<std::uint8_t>(flags),
                          t.rcv_nxt + static_cast<std::uint32_t>(seq), t.snd_nxt + static_cast<std::uint32_t>(ack), bytes);
            const std::string place =
                "state " + std::to_string(static_cast<int>(where)) + " flags " + std::to_string(flags) +
                " seq " + std::to_string(seq) + " ack " + std::to_string(ack) + " bytes " +
                std::to_string(bytes);
            ASSERT_EQ(conserves(static_cast<std::uint8_t>(flags), stage.seen, before, stage.peer.host.counters()), "") << place;
          }
    }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryState,
                         testing::Values("2.6.32", "el6", "3.10", "el7", "4.4", "4.19", "5.15", "6.1",
                                         "6.18"));

TEST(Conservation, AMadeUpStateIsTheStateItClaims) {
  const std::pair<Where, State> rows[] = {
      {Where::kSynSent, State::kSynSent},         {Where::kSynRecv, State::kSynRecv},
      {Where::kEstablished, State::kEstablished}, {Where::kFinWait1, State::kFinWait1},
      {Where::kFinWait2, State::kFinWait2},       {Where::kFinWait2Mini, State::kFinWait2},
      {Where::kTimeWait, State::kTimeWait},       {Where::kCloseWait, State::kCloseWait},
      {Where::kClosing, State::kClosing},         {Where::kLastAck, State::kLastAck}};
  for (const auto& [where, state] : rows) {
    Stage stage{"6.18"};
    stage.make(where, 10'007);
    std::optional<State> found;
    for (const SocketView& v : stage.peer.host.sockets(stage.peer.now))
      if (v.state != State::kListen) found = v.state;
    EXPECT_EQ(found, state) << static_cast<int>(where);
  }
}

}  // namespace
}  // namespace tcpwhy::model
