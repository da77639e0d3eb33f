// linux-tcp sections 6.5 and 7.4, every row of which was measured on 6.18.

#include "model/verdicts.hpp"

#include <gtest/gtest.h>

namespace tcpwhy::model {
namespace {

using wire::Flag;

const KernelProfile kNew = *profile("6.18");
const TimeWaitMemory kOld{.rcv_nxt = SeqNum{5000}, .snd_nxt = SeqNum{900}, .ts_recent = 100};

Packet segment(std::uint8_t flags, std::uint32_t seq, std::uint32_t tsval = 0, std::uint32_t payload = 0) {
  Packet p;
  p.flags = flags;
  p.seq = SeqNum{seq};
  p.payload_bytes = payload;
  if (tsval != 0) p.options = wire::Opt::kTimestamps;
  p.tsval = tsval;
  return p;
}

TimeWaitAct act(const Packet& p, ListenerThere l = ListenerThere::kYes) {
  return on_time_wait(kNew, kOld, Rfc1337::kOff, l, p).act;
}

TEST(TimeWaitVerdict, AnExactRstDeletesUnlessRfc1337) {
  EXPECT_EQ(act(segment(Flag::kRst, 5000)), TimeWaitAct::kDelete);
  EXPECT_EQ(act(segment(Flag::kRst, 5001)), TimeWaitAct::kNothing);
  const auto kept = on_time_wait(kNew, kOld, Rfc1337::kOn, ListenerThere::kYes, segment(Flag::kRst, 5000));
  EXPECT_EQ(kept.act, TimeWaitAct::kNothing);
  EXPECT_FALSE(kept.restarts);
  EXPECT_TRUE(
      on_time_wait(*profile("3.10"), kOld, Rfc1337::kOn, ListenerThere::kYes, segment(Flag::kRst, 5000))
          .restarts);
}

TEST(TimeWaitVerdict, ANewerSynGoesToTheListenerAndAnOlderOneGetsTheOldAck) {
  EXPECT_EQ(act(segment(Flag::kSyn, 5001, 100)), TimeWaitAct::kHandToListener);
  EXPECT_EQ(act(segment(Flag::kSyn, 5001)), TimeWaitAct::kHandToListener);
  EXPECT_EQ(act(segment(Flag::kSyn, 4000, 101)), TimeWaitAct::kHandToListener);
  EXPECT_EQ(act(segment(Flag::kSyn, 5001, 99)), TimeWaitAct::kAck);
  EXPECT_EQ(act(segment(Flag::kSyn, 5000, 100)), TimeWaitAct::kAck);
  EXPECT_EQ(act(segment(Flag::kSyn, 5001, 101), ListenerThere::kNo), TimeWaitAct::kAckUnlimited);
  EXPECT_EQ(isn_after_time_wait(SeqNum{900}), SeqNum{66437});
  EXPECT_EQ(isn_after_time_wait(SeqNum{0u - 65537u}), SeqNum{1});
}

TEST(TimeWaitVerdict, ARepeatedFinIsAcknowledgedAndTheMinuteBeginsAgain) {
  const auto v = on_time_wait(kNew, kOld, Rfc1337::kOff, ListenerThere::kYes,
                              segment(Flag::kFin | Flag::kAck, 4999, 100));
  EXPECT_EQ(v.act, TimeWaitAct::kAck);
  EXPECT_TRUE(v.restarts);
  const auto quiet =
      on_time_wait(kNew, kOld, Rfc1337::kOff, ListenerThere::kYes, segment(Flag::kAck, 5000, 100));
  EXPECT_EQ(quiet.act, TimeWaitAct::kNothing);
  EXPECT_TRUE(quiet.restarts);
}

TEST(TimeWaitVerdict, EveryFlagSetAtEveryPlaceHasARule) {
  for (std::string_view name : profile_names())
    for (int flags = 0; flags < 256; ++flags)
      for (std::uint32_t seq : {0u, 4999u, 5000u, 5001u, 70000u, 0x80000000u})
        for (std::uint32_t ts : {0u, 99u, 100u, 101u})
          for (std::uint32_t payload : {0u, 1u}) {
            const Packet p = segment(static_cast<std::uint8_t>(flags), seq, ts, payload);
            const auto v = on_time_wait(*profile(name), kOld, Rfc1337::kOff, ListenerThere::kYes, p);
            // A RST is never answered, and only a RST deletes.
            EXPECT_FALSE(p.rst() && v.act == TimeWaitAct::kAck);
            EXPECT_TRUE(p.rst() || v.act != TimeWaitAct::kDelete);
            EXPECT_TRUE(v.act != TimeWaitAct::kHandToListener || (p.syn() && !p.has_ack() && !p.rst()));
          }
}

RstFate rst(std::string_view kernel, State s, std::uint32_t seq, std::optional<SeqNum> edge = {}) {
  return on_rst(*profile(kernel), s, SeqNum{seq}, SeqNum{1000}, SeqNum{1000}, 500, edge);
}

TEST(RstInConnection, IsBelievedAsEachKernelDoes) {
  for (std::string_view k : {"el6", "3.10", "el7", "4.4", "4.9", "4.19", "5.15", "6.1", "6.18"}) {
    EXPECT_EQ(rst(k, State::kEstablished, 1000), RstFate::kEnds) << k;
    EXPECT_EQ(rst(k, State::kEstablished, 1001), RstFate::kChallenged) << k;
    EXPECT_EQ(rst(k, State::kEstablished, 1500), RstFate::kChallenged) << k;
    EXPECT_EQ(rst(k, State::kEstablished, 1501), RstFate::kIgnored) << k;
    EXPECT_EQ(rst(k, State::kEstablished, 999), RstFate::kIgnored) << k;
  }
  EXPECT_EQ(rst("2.6.32", State::kEstablished, 1300), RstFate::kEnds);
  EXPECT_EQ(rst("4.4", State::kEstablished, 1300, SeqNum{1300}), RstFate::kChallenged);
  EXPECT_EQ(rst("4.9", State::kEstablished, 1300, SeqNum{1300}), RstFate::kEnds);
  EXPECT_EQ(rst("6.18", State::kCloseWait, 999), RstFate::kEnds);
  EXPECT_EQ(rst("6.18", State::kFinWait1, 999), RstFate::kIgnored);
  EXPECT_EQ(rst("4.9", State::kCloseWait, 999), RstFate::kIgnored);
}

}  // namespace
}  // namespace tcpwhy::model
