// The network without kernels: cards that speak, boxes between them, a clock that only the events move.

#include "world/world.hpp"

#include <gtest/gtest.h>

#include "capture/writer.hpp"
#include "world/apps/card.hpp"
#include "world/boxes.hpp"

namespace tcpwhy::world {
namespace {

using namespace std::chrono_literals;
using Flag = wire::Flag;

constexpr std::uint32_t kInside = 0xC0000202, kOther = 0xC0000203, kOutside = 0xCB007109, kServer = 0xC6336401;

Packet segment(std::uint32_t from, std::uint16_t port, std::uint8_t flags, std::uint32_t seq = 4294967289u) {
  Packet p;
  p.source = from;
  p.destination = kServer;
  p.source_port = port;
  p.destination_port = 443;
  p.flags = flags;
  p.seq = SeqNum{seq};
  p.window = 29200;
  return p;
}

struct Line : testing::Test {
  World world{7};
  std::size_t west = world.add_site(), east = world.add_site();
  Card& client = static_cast<Card&>(world.add_host(west, std::make_unique<Card>("client", kInside)));
  Card& server = static_cast<Card&>(world.add_host(east, std::make_unique<Card>("server", kServer)));
  std::vector<Packet> at_server, at_client;
  Line() {
    server.received = [this](const Packet& p) { at_server.push_back(p); };
    client.received = [this](const Packet& p) { at_client.push_back(p); };
  }
  void send(Packet p) { world.transmit(client, std::move(p)); }
  void answer(const Packet& to, std::uint8_t flags) {
    Packet p = reset_for(to);
    p.flags = flags;
    world.transmit(server, std::move(p));
  }
  void settle(Duration wait = 1s) { world.run_until(world.now() + wait); }
};

TEST_F(Line, APacketTakesTheDelayOfEveryLinkItPasses) {
  world.add_box(west, std::make_shared<Link>(Link::Settings{.delay = 3ms}));
  world.add_box(east, std::make_shared<Link>(Link::Settings{.delay = 11ms}));
  ModelTime arrived{};
  server.received = [&](const Packet&) { arrived = world.now(); };
  const ModelTime sent = world.now();
  send(segment(kInside, 40001, Flag::kSyn));
  settle();
  EXPECT_EQ(arrived - sent, 14ms);
}

TEST_F(Line, JitterNeverReordersAndReorderingDoes) {
  auto link = std::make_shared<Link>(Link::Settings{.delay = 1ms, .jitter = 5ms});
  world.add_box(west, link);
  for (std::uint32_t i = 0; i < 101; ++i) send(segment(kInside, 40001, Flag::kAck, i));
  settle();
  ASSERT_EQ(at_server.size(), 101u);
  for (std::uint32_t i = 0; i < 101; ++i) EXPECT_EQ(at_server[i].seq.raw(), i);
  at_server.clear();
  link->settings().reorder_ppm = 300'000;
  for (std::uint32_t i = 0; i < 101; ++i) send(segment(kInside, 40001, Flag::kAck, i));
  settle();
  ASSERT_EQ(at_server.size(), 101u);
  bool overtaken = false;
  for (std::uint32_t i = 0; i < 101; ++i) overtaken |= at_server[i].seq.raw() != i;
  EXPECT_TRUE(overtaken);
}

TEST_F(Line, TheSameSeedLosesTheSamePackets) {
  const auto survivors = [](std::uint64_t seed) {
    World w{seed};
    const std::size_t a = w.add_site(), b = w.add_site();
    auto& from = static_cast<Card&>(w.add_host(a, std::make_unique<Card>("client", kInside)));
    auto& to = static_cast<Card&>(w.add_host(b, std::make_unique<Card>("server", kServer)));
    w.add_box(a, std::make_shared<Link>(Link::Settings{.loss_ppm = 400'000}));
    std::vector<std::uint32_t> got;
    to.received = [&](const Packet& p) { got.push_back(p.seq.raw()); };
    for (std::uint32_t i = 0; i < 53; ++i) w.transmit(from, segment(kInside, 40001, Flag::kAck, i));
    w.run_until(w.now() + 1s);
    return got;
  };
  EXPECT_EQ(survivors(7), survivors(7));
  EXPECT_NE(survivors(7), survivors(11));
}

TEST_F(Line, AHugePacketBringsFragmentationNeededUnlessTheRouterIsSilent) {
  auto link = std::make_shared<Link>(Link::Settings{.mtu = 1400});
  world.add_box(west, link);
  Packet big = segment(kInside, 40001, Flag::kAck);
  big.payload.assign(1460, 'x');
  send(big);
  settle();
  EXPECT_TRUE(at_server.empty());
  ASSERT_EQ(at_client.size(), 1u);
  // RFC 1191 4: type 3, code 4, with the next hop's MTU.
  ASSERT_TRUE(at_client[0].icmp);
  EXPECT_EQ(at_client[0].icmp->type, 3);
  EXPECT_EQ(at_client[0].icmp->code, 4);
  EXPECT_EQ(at_client[0].icmp->mtu, 1400);
  link->settings().says_too_big = false;
  send(big);
  settle();
  EXPECT_EQ(at_client.size(), 1u);
}

TEST_F(Line, ANatKeepsThePortWhileItIsFreeAndTranslatesTheAnswer) {
  world.add_box(west, std::make_shared<Nat>(Nat::Settings{.outside = kOutside}));
  world.add_address(west, kOutside);
  auto& second = static_cast<Card&>(world.add_host(west, std::make_unique<Card>("second", kOther)));
  std::vector<Packet> at_second;
  second.received = [&](const Packet& p) { at_second.push_back(p); };
  send(segment(kInside, 40001, Flag::kSyn));
  world.transmit(second, segment(kOther, 40001, Flag::kSyn));
  settle();
  ASSERT_EQ(at_server.size(), 2u);
  EXPECT_EQ(at_server[0].source, kOutside);
  EXPECT_EQ(at_server[0].source_port, 40001);
  EXPECT_EQ(at_server[1].source, kOutside);
  EXPECT_NE(at_server[1].source_port, 40001);
  answer(at_server[1], Flag::kSyn | Flag::kAck);
  settle();
  EXPECT_TRUE(at_client.empty());
  ASSERT_EQ(at_second.size(), 1u);
  EXPECT_EQ(at_second[0].destination_port, 40001);
}

TEST_F(Line, ANatForgetsAnIdleConnectionAndDropsWhatFollows) {
  world.add_box(west, std::make_shared<Nat>(Nat::Settings{.outside = kOutside, .established_timeout = 60s}));
  world.add_address(west, kOutside);
  send(segment(kInside, 40001, Flag::kSyn));
  settle();
  answer(at_server.at(0), Flag::kSyn | Flag::kAck);
  settle();
  send(segment(kInside, 40001, Flag::kAck));
  settle(59s);
  send(segment(kInside, 40001, Flag::kAck));
  settle();
  EXPECT_EQ(at_server.size(), 3u);
  settle(61s);
  send(segment(kInside, 40001, Flag::kAck));
  settle();
  EXPECT_EQ(at_server.size(), 3u);
}

TEST_F(Line, AnErrorAboutATranslatedPacketFindsItsSender) {
  world.add_box(west, std::make_shared<Nat>(Nat::Settings{.outside = kOutside}));
  world.add_address(west, kOutside);
  world.add_box(east, std::make_shared<Filter>(incoming_syns(Filter::Verdict::kIcmpHost), 0xCB0071FE));
  send(segment(kInside, 40001, Flag::kSyn));
  settle();
  // RFC 5508 4.2: the quotation is translated as well.
  ASSERT_EQ(at_client.size(), 1u);
  EXPECT_EQ(at_client[0].destination, kInside);
  EXPECT_EQ(at_client[0].icmp->quoted_source, kInside);
  EXPECT_EQ(at_client[0].source, 0xCB0071FEu);
}

TEST_F(Line, AFilterAnswersASynInTheHostsNameAndNeverAReset) {
  world.add_box(east, std::make_shared<Filter>(
                          [](const Packet&, Way way) { return way == Way::kIn ? Filter::Verdict::kReset : Filter::Verdict::kPass; }));
  send(segment(kInside, 40001, Flag::kSyn));
  send(segment(kInside, 40001, Flag::kRst));
  settle();
  ASSERT_EQ(at_client.size(), 1u);
  // RFC 9293 3.10.7.1: sequence number 0, SYN + 1 acknowledged.
  EXPECT_EQ(at_client[0].flags, Flag::kRst | Flag::kAck);
  EXPECT_EQ(at_client[0].seq, SeqNum{0});
  EXPECT_EQ(at_client[0].ack, SeqNum{4294967290u});
}

TEST_F(Line, ASynProxyShiftsTheServersNumbersForTheClient) {
  world.add_box(east, std::make_shared<SynProxy>(SynProxy::Settings{}));
  send(segment(kInside, 40001, Flag::kSyn));
  settle();
  EXPECT_TRUE(at_server.empty());
  ASSERT_EQ(at_client.size(), 1u);
  Packet third = segment(kInside, 40001, Flag::kAck, 4294967290u);
  third.ack = at_client[0].seq + 1;
  send(third);
  settle();
  ASSERT_EQ(at_server.size(), 1u);
  EXPECT_EQ(at_server[0].flags, Flag::kSyn);
  Packet synack = reset_for(at_server[0]);
  synack.flags = Flag::kSyn | Flag::kAck;
  synack.seq = SeqNum{17};
  world.transmit(server, synack);
  settle();
  ASSERT_EQ(at_server.size(), 2u);
  EXPECT_EQ(at_server[1].ack, SeqNum{18});
  third.payload = "x";
  send(third);
  settle();
  EXPECT_EQ(at_server.at(2).ack, SeqNum{18});
  Packet data = reset_for(at_server[2]);
  data.flags = Flag::kAck;
  data.seq = SeqNum{18};
  world.transmit(server, data);
  settle();
  EXPECT_EQ(at_client.at(1).seq, at_client[0].seq + 1);
}

TEST_F(Line, AnInjectorResetsBothEndsWithTheNumbersTheyExpect) {
  world.add_box(east, std::make_shared<Injector>(Injector::Settings{.after_data_packets = 1, .ttl = 47}));
  Packet data = segment(kInside, 40001, Flag::kAck | Flag::kPsh);
  data.ack = SeqNum{1009};
  data.payload = "hello";
  send(data);
  settle();
  ASSERT_EQ(at_server.size(), 2u);
  EXPECT_TRUE(at_server[1].has(Flag::kRst));
  EXPECT_EQ(at_server[1].seq, data.seq + 5);
  EXPECT_EQ(at_server[1].ttl, 47);
  ASSERT_EQ(at_client.size(), 1u);
  EXPECT_EQ(at_client[0].seq, SeqNum{1009});
}

TEST_F(Line, AFloodIsOneSynPerInterval) {
  flood(world, client, {.target = {kServer, 8888}, .syns = 29, .interval = 1ms});
  settle();
  ASSERT_EQ(at_server.size(), 29u);
  EXPECT_EQ(at_server[28].source_port - at_server[0].source_port, 28);
}

TEST(WorldPacket, SurvivesItsBytes) {
  Packet p = segment(kInside, 40001, Flag::kAck | Flag::kPsh);
  p.ack = SeqNum{11};
  p.timestamps = Packet::Stamp{3, 5};
  p.sack = {{SeqNum{4294967290u}, SeqNum{7}}};
  p.payload = "abc";
  EXPECT_EQ(decode(encode(p)), p);
  Packet syn = segment(kInside, 40001, Flag::kSyn);
  syn.mss = 1460;
  syn.window_scale = 7;
  syn.sack_permitted = true;
  EXPECT_EQ(decode(encode(syn)), syn);
}

TEST(WorldPacket, AnIcmpErrorSurvivesItsBytesAsFarAsItQuotes) {
  Packet p = icmp_about(segment(kInside, 40001, Flag::kSyn), 0xCB0071FE, 3, 13);
  const auto back = decode(encode(p));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->icmp, p.icmp);
  EXPECT_EQ(back->source, p.source);
  EXPECT_EQ(back->destination, p.destination);
  EXPECT_EQ(back->source_port, p.source_port);
  EXPECT_EQ(back->seq, p.seq);
}

}  // namespace
}  // namespace tcpwhy::world
