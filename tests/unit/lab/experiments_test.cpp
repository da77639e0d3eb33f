// The table of experiments, and how their packets are printed.

#include <gtest/gtest.h>

#include <set>

#include "lab/experiment.hpp"
#include "lab/render.hpp"

namespace tcpwhy::lab {
namespace {

TEST(Experiments, EveryNameThatWasPromisedIsThere) {
  // docs: the articles' experiments, by their published names.
  for (const std::string_view name :
       {"syn-queue-overflow", "accept-queue-overflow", "accept-queue-overflow-client-gives-up",
        "accept-queue-overflow-server-resets", "accept-queue-overflow-abort", "defer-accept-slow-client",
        "ack-number-rewritten", "tw-recycle-nat", "tw-recycle-stray-fin", "time-wait-reuse", "dual-port-race",
        "closed-port", "silent-firewall", "rejecting-firewall", "retransmission-limit", "browser-six-connections",
        "keepalive-race", "keepalive-requests", "data-after-close", "vanished-connection", "linger-abort",
        "unread-data", "forged-reset", "simultaneous-open", "simultaneous-close", "half-close", "half-open",
        "keepalive-probes", "pile-up-listen", "pile-up-syn-sent", "pile-up-syn-recv", "pile-up-established",
        "pile-up-fin-wait1", "pile-up-fin-wait2", "pile-up-close-wait", "pile-up-closing", "pile-up-last-ack",
        "pile-up-time-wait", "pile-up-closed", "accept-is-not-handshake"})
    EXPECT_NE(find_experiment(name), nullptr) << name;
}

TEST(Experiments, NoNameTwiceAndEveryOneSaysWhatItShows) {
  std::set<std::string_view> names;
  for (const Experiment& e : experiments()) {
    EXPECT_TRUE(names.insert(e.name).second) << e.name;
    EXPECT_FALSE(e.shows.empty()) << e.name;
    EXPECT_FALSE(e.lesson.empty()) << e.name;
    EXPECT_NE(e.build, nullptr) << e.name;
  }
}

world::Packet synack() {
  world::Packet p;
  p.source = world::parse_ip("198.51.100.1");
  p.destination = world::parse_ip("192.0.2.1");
  p.source_port = 8888;
  p.destination_port = 35453;
  p.flags = wire::Flag::kSyn | wire::Flag::kAck;
  p.seq = SeqNum{3268637378};
  p.ack = SeqNum{2051886525};
  p.window = 28960;
  return p;
}

TEST(TcpdumpLine, IsTcpdumps) {
  // The article's own line, seed 003 case D, with addresses for documentation.
  EXPECT_EQ(tcpdump_line(synack()),
            "IP 198.51.100.1.8888 > 192.0.2.1.35453: Flags [S.], seq 3268637378, ack 2051886525, win 28960, length 0");
}

TEST(TcpdumpLine, NamesDataByItsRange) {
  world::Packet p = synack();
  p.flags = wire::Flag::kPsh | wire::Flag::kAck;
  p.payload.assign(90, 'x');
  EXPECT_NE(tcpdump_line(p).find("Flags [P.], seq 3268637378:3268637468"), std::string::npos);
}

TEST(NetstatLine, IsNetTools) {
  // net-tools 2.10, as the article prints it.
  EXPECT_EQ(netstat_line("ListenDrops", 2900), "2900 SYNs to LISTEN sockets dropped");
  EXPECT_EQ(netstat_line("TCPReqQFullDrop", 3265), "TCPReqQFullDrop: 3265");
}

TEST(Run, RefusesAParameterTheExperimentDoesNotHave) {
  class Nobody : public HostMaker {
    std::unique_ptr<world::Host> make(world::World&, std::string_view, std::uint32_t, std::string_view,
                                      const std::map<std::string, std::string>&, Duration) override {
      return nullptr;
    }
  } nobody;
  Options options;
  options.params = {{"sinns", "5"}};
  const auto result = run(*find_experiment("syn-queue-overflow"), options, nobody, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().id, "lab.param");
  EXPECT_NE(result.error().message.find("syns"), std::string::npos);
}

}  // namespace
}  // namespace tcpwhy::lab
