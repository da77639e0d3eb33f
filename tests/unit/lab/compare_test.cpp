// What two runs of one experiment may differ in without differing.

#include "lab/compare.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace tcpwhy::lab {
namespace {

using wire::Flag;
using namespace std::chrono_literals;

constexpr std::uint32_t kClient = 0xc0000201, kServer = 0xc6336401;  // 192.0.2.1, 198.51.100.1
constexpr std::uint16_t kWeb = 80;

/// A run that a test tells packet by packet.
class Told {
 public:
  /// `isn`: of the client; the server's is another number.
  Told(std::uint16_t port, std::uint32_t isn) : port_{port}, isn_{isn} {
    run.experiment = find_experiment("accept-queue-overflow");
    run.tap = "server";
    run.taps = {"client", "server"};
  }
  Told& again(std::uint32_t isn) {
    isn_ = isn;
    return *this;
  }
  Told& from(std::uint16_t port, std::uint32_t isn) {
    port_ = port;
    return again(isn);
  }
  Told& client(Duration at, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0, std::string data = {}) {
    return packet(at, true, flags, isn_ + seq, (flags & Flag::kAck) != 0 ? server_isn() + ack : 0, std::move(data));
  }
  Told& server(Duration at, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 0) {
    return packet(at, false, flags, server_isn() + seq, (flags & Flag::kAck) != 0 ? isn_ + ack : 0, {});
  }
  Told& call(Duration at, std::string host, std::string name, std::string result) {
    run.notes.push_back({ModelTime{at}, std::move(host), std::move(name), std::move(result)});
    return *this;
  }
  Told& counter(const std::string& name, std::uint64_t value) {
    if (run.hosts.empty())
      run.hosts.push_back({.name = "server", .kernel = {}, .before = {}, .after = {}, .rules = {}});
    run.hosts.front().before[name] = 0;
    run.hosts.front().after[name] = value;
    return *this;
  }
  Run run;

 private:
  [[nodiscard]] std::uint32_t server_isn() const { return isn_ * 7 + 99; }
  Told& packet(Duration at, bool up, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, std::string data) {
    world::Packet p;
    p.source = up ? kClient : kServer;
    p.destination = up ? kServer : kClient;
    p.source_port = up ? port_ : kWeb;
    p.destination_port = up ? kWeb : port_;
    p.flags = flags;
    p.seq = SeqNum{seq};
    p.ack = SeqNum{ack};
    p.timestamps = world::Packet::Stamp{seq, ack};
    p.payload = std::move(data);
    run.packets.push_back({ModelTime{at}, 1, FrameDirection::kInbound, std::move(p)});
    return *this;
  }
  std::uint16_t port_;
  std::uint32_t isn_;
};

constexpr std::uint8_t kSyn = Flag::kSyn, kSynAck = Flag::kSyn | Flag::kAck, kAck = Flag::kAck;

Told handshake(std::uint16_t port, std::uint32_t isn) {
  Told t{port, isn};
  t.client(0ms, kSyn, 0).server(1ms, kSynAck, 0, 1).client(2ms, kAck, 1, 1);
  return t;
}

TEST(Compare, PortsInitialNumbersAndTimestampsOfOneConnectionAreChance) {
  const auto c = compare(handshake(40000, 1).run, handshake(51234, 0xfffffff0).run, {});
  EXPECT_TRUE(c.agrees());
  EXPECT_EQ(c.packets.size(), 3u);
}

TEST(Compare, AnAcknowledgementOffByOneDiffers) {
  Told model{40000, 1}, kernel{40001, 2};
  model.client(0ms, kSyn, 0).server(1ms, kSynAck, 0, 1);
  kernel.client(0ms, kSyn, 0).server(1ms, kSynAck, 0, 2);
  const auto c = compare(model.run, kernel.run, {});
  EXPECT_FALSE(c.agrees());
  EXPECT_EQ(c.packets.size(), 3u);  // the SYN of both, and each one's SYN-ACK
}

TEST(Compare, TheOrderOfTwoConnectionsAtTheTapIsChance) {
  Told model{40000, 1}, kernel{40000, 1};
  model.client(0ms, kSyn, 0).from(40001, 500).client(0ms, kSyn, 0);
  model.from(40000, 1).server(1ms, kSynAck, 0, 1).from(40001, 500).server(1ms, kSynAck, 0, 1);
  kernel.client(0ms, kSyn, 0).from(40001, 500).client(0ms, kSyn, 0);
  kernel.server(1ms, kSynAck, 0, 1).from(40000, 1).server(1ms, kSynAck, 0, 1);
  EXPECT_TRUE(compare(model.run, kernel.run, {}).agrees());
}

TEST(Compare, RepeatsAreComparedWithThoseOfTheirTimeWhenTheOrderAtOneMomentWasChance) {
  // A FIN that is repeated and a FIN that is answered again, whose timers fell on the same tick, twice.
  Told model = handshake(40000, 1), kernel = handshake(40000, 1);
  const auto fin = [](Told& t, Duration at) { t.server(at, Flag::kFin | Flag::kAck, 1, 2); };
  const auto answer = [](Told& t, Duration at) { t.server(at, kAck, 2, 2); };
  fin(model, 1000ms), fin(kernel, 1000ms);
  for (const Duration at : {1204ms, 1412ms}) {
    fin(model, at), answer(model, at);
    answer(kernel, at), fin(kernel, at + 4ms);
  }
  for (const Duration at : {1848ms, 2680ms}) {
    fin(model, at), answer(model, at);
    fin(kernel, at), answer(kernel, at);
  }
  EXPECT_TRUE(compare(model.run, kernel.run, {}).agrees());
}

TEST(Compare, ALaterConnectionOfTheSamePortsCountsFromItsOwnInitialNumbers) {
  // RFC 9293 3.4.1: an incarnation of a connection chooses its ISN anew.
  Told model = handshake(40000, 1), kernel = handshake(40000, 77777);
  model.again(900000).client(1s, kSyn, 0).server(1s, kSynAck, 0, 1);
  kernel.again(123456789).client(1s, kSyn, 0).server(1s, kSynAck, 0, 1);
  const auto c = compare(model.run, kernel.run, {});
  EXPECT_TRUE(c.agrees());
  EXPECT_EQ(c.connections.size(), 2u);
}

TEST(Compare, AnAnswerWithTheNumbersOfTheConnectionBeforeIsNotTheNewOnes) {
  // RFC 5961 4: a challenge ACK for a SYN carries the numbers of the connection it disturbs.
  Told challenged = handshake(40000, 1), answered = handshake(40000, 1);
  challenged.again(900000).client(1s, kSyn, 0).again(1).server(1s, kAck, 1, 1);
  answered.again(900000).client(1s, kSyn, 0).server(1s, kAck, 1, 1);
  EXPECT_FALSE(compare(challenged.run, answered.run, {}).agrees());
  EXPECT_TRUE(compare(challenged.run, challenged.run, {}).agrees());
}

TEST(WheelLateness, IsTheGrainOfTheLevelATimerIsSortedInto) {
  // The table in Linux kernel/time/timer.c for HZ=1000: 1 ms up to 63 ms, 8 ms from 63, 64 ms from 504, 512 ms from 4
  // s.
  EXPECT_EQ(wheel_lateness(62ms, 1ms), 1ms);
  EXPECT_EQ(wheel_lateness(63ms, 1ms), 8ms);
  EXPECT_EQ(wheel_lateness(503ms, 1ms), 8ms);
  EXPECT_EQ(wheel_lateness(504ms, 1ms), 64ms);
  EXPECT_EQ(wheel_lateness(4032ms, 1ms), 512ms);
  // And for HZ=250: 4 ms up to 252, 32 ms from 252, 256 ms from 2 s.
  EXPECT_EQ(wheel_lateness(200ms, 4ms), 4ms);
  EXPECT_EQ(wheel_lateness(252ms, 4ms), 32ms);
  EXPECT_EQ(wheel_lateness(3s, 4ms), 256ms);
}

/// Two SYNs with so much between them.
Run repeated(Duration wait) {
  Told t{40000, 1};
  return t.client(0ms, kSyn, 0).client(wait, kSyn, 0).run;
}

TEST(Compare, TwoTimersMayDifferByTheGrainOfTheWheelAndATick) {
  // Both are late by something between nothing and the grain of 32 ms; the tick is that of the moment they were set.
  const Leeway exact{.tick = 4ms, .busy = 0ms};
  EXPECT_TRUE(compare(repeated(1000ms), repeated(1036ms), exact).agrees());
  EXPECT_TRUE(compare(repeated(1000ms), repeated(964ms), exact).agrees());
  EXPECT_FALSE(compare(repeated(1000ms), repeated(1037ms), exact).agrees());
  const auto early = compare(repeated(1000ms), repeated(963ms), exact);
  EXPECT_FALSE(early.agrees());
  EXPECT_TRUE(early.packets.back().apart);
}

/// A FIN that is repeated after `wait`, when a SYN has used the ports again meanwhile.
Run repeated_beside_a_new_connection(Duration wait) {
  Told t = handshake(40000, 1);
  t.server(1s, Flag::kFin | kAck, 1, 1).again(900000).client(1s + 90ms, kSyn, 0);
  return t.again(1).server(1s + wait, Flag::kFin | kAck, 1, 1).run;
}

TEST(Compare, ATimerOfTheConnectionBeforeWasSetThereAndNotByTheSynThatUsedItsPortsAgain) {
  // 290 ms are 72 ticks, whose grain is 32 ms; from the SYN on it would be 200 ms, and 4.
  const Leeway exact{.tick = 4ms, .busy = 0ms};
  EXPECT_TRUE(compare(repeated_beside_a_new_connection(290ms), repeated_beside_a_new_connection(322ms), exact).agrees());
  EXPECT_FALSE(compare(repeated_beside_a_new_connection(290ms), repeated_beside_a_new_connection(327ms), exact).agrees());
}

TEST(Compare, LatenessOfEachTimerAddsUp) {
  // Each repeat is late by a grain only; the third has been late by three.
  Told model{40000, 1}, kernel{40000, 1};
  model.client(0s, kSyn, 0).client(1s, kSyn, 0).client(2s, kSyn, 0).client(3s, kSyn, 0);
  kernel.client(0s, kSyn, 0).client(1030ms, kSyn, 0).client(2060ms, kSyn, 0).client(3090ms, kSyn, 0);
  EXPECT_TRUE(compare(model.run, kernel.run, {.tick = 4ms, .busy = 0ms}).agrees());
}

TEST(Compare, WhichDescriptorAcceptGaveIsTheHostsAffair) {
  Told model{40000, 1}, kernel{40000, 1};
  model.call(1ms, "server", "accept", "4");
  kernel.call(1ms, "server", "accept", "17");
  EXPECT_TRUE(compare(model.run, kernel.run, {}).agrees());
}

TEST(Compare, AnotherErrnoDiffers) {
  Told model{40000, 1}, kernel{40000, 1};
  model.call(1ms, "client", "connect", "ECONNREFUSED");
  kernel.call(1ms, "client", "connect", "ETIMEDOUT");
  EXPECT_FALSE(compare(model.run, kernel.run, {}).agrees());
}

TEST(Compare, ACounterOnlyTheKernelKeepsIsADifferenceOnceItMoves) {
  Told model{40000, 1}, kernel{40000, 1};
  model.counter("ListenDrops", 3);
  kernel.counter("ListenDrops", 3).counter("TCPSomethingNew", 0);
  EXPECT_TRUE(compare(model.run, kernel.run, {}).agrees());
  kernel.counter("TCPSomethingNew", 1);
  const auto c = compare(model.run, kernel.run, {});
  EXPECT_FALSE(c.agrees());
  EXPECT_FALSE(c.counters.back().model.has_value());
}

TEST(CompareText, SaysFirstWhatDiffers) {
  Told model{40000, 1}, kernel{40000, 1};
  model.counter("ListenDrops", 3);
  kernel.counter("ListenDrops", 4);
  const std::string out = text(compare(model.run, kernel.run, {}), model.run, kernel.run, {});
  EXPECT_LT(out.find("They differ"), out.find("== What differs"));
  EXPECT_LT(out.find("== What differs"), out.find("== Side by side"));
}

TEST(CompareJsonl, IsOneObjectALine) {
  const auto a = handshake(40000, 1).run;
  std::istringstream lines{jsonl(compare(a, a, {}), a, a)};
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_TRUE(nlohmann::json::accept(line));
  EXPECT_EQ(count, 4u);  // the comparison and three packets
}

}  // namespace
}  // namespace tcpwhy::lab
