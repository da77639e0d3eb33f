// The articles' experiments on the model: their counters, their packets, what their programs got.
// Golden cases of seed 003, and the same inputs measured on 6.18.

#include <gtest/gtest.h>

#include "lab/render.hpp"

namespace tcpwhy::lab {
namespace {

Run run_it(std::string_view name, const Options& options) {
  auto run = run_on_model(*find_experiment(name), options);
  EXPECT_TRUE(run.has_value());
  return run ? *std::move(run) : Run{};
}

Options with(std::string kernel, std::vector<std::pair<std::string, std::string>> sysctls,
             std::vector<std::pair<std::string, std::string>> params) {
  Options o;
  o.kernel = std::move(kernel);
  o.sysctls = std::move(sysctls);
  o.params = std::move(params);
  return o;
}

struct Flood {
  const char* kernel;
  const char* syncookies;
  const char* syns;
  std::int64_t drops, full_drops, do_cookies, answers;
};

class Floods : public testing::TestWithParam<Flood> {};

TEST_P(Floods, MoveTheCountersOfTheArticle) {
  const Flood f = GetParam();
  const auto run = run_it("syn-queue-overflow",
                          with(f.kernel, {{"net.ipv4.tcp_syncookies", f.syncookies}}, {{"syns", f.syns}}));
  const HostRun& server = *run.host("server");
  EXPECT_EQ(server.moved("ListenDrops"), f.drops);
  EXPECT_EQ(server.moved("TCPReqQFullDrop"), f.full_drops);
  EXPECT_EQ(server.moved("TCPReqQFullDoCookies"), f.do_cookies);
  EXPECT_EQ(server.moved("OutSegs"), f.answers);
  EXPECT_EQ(server.moved("ListenOverflows"), 0);
  EXPECT_EQ(server.moved("OutRsts"), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Golden, Floods,
    testing::Values(Flood{"3.10", "0", "542", 526, 526, 0, 16}, Flood{"3.10", "1", "282", 266, 0, 266, 282},
                    Flood{"3.10", "1", "455", 439, 0, 439, 455}, Flood{"3.10", "0", "358", 342, 342, 0, 16},
                    Flood{"2.6.32", "0", "542", 0, 0, 0, 16}, Flood{"4.4", "0", "542", 541, 541, 0, 1},
                    Flood{"6.18", "0", "542", 540, 540, 0, 2}, Flood{"6.18", "1", "282", 0, 0, 280, 282}));

/// Of the server's packets, when those with these letters left or came, in seconds after the first SYN.
std::vector<double> times(const Run& run, std::string_view letters) {
  std::vector<double> at;
  std::optional<ModelTime> first;
  for (const world::Seen& seen : run.packets) {
    if (run.taps[seen.tap] != "server") continue;
    if (!first) first = seen.time;
    if (flag_letters(seen.packet) == letters) at.push_back(seconds(seen.time - *first));
  }
  return at;
}

// 003-D: SYN-ACKs at 0, 1.0 to 1.4 and 3.0 to 3.6 s, +3 and +3, and never a RST.
TEST(AcceptQueueOverflow, CountsOncePerAckAndNeverResets) {
  const auto run = run_it("accept-queue-overflow", {});
  const HostRun& server = *run.host("server");
  EXPECT_EQ(server.moved("ListenOverflows"), 3);
  EXPECT_EQ(server.moved("ListenDrops"), 3);
  EXPECT_EQ(server.moved("OutRsts"), 0);
  const auto repeats = times(run, "S.");
  ASSERT_EQ(repeats.size(), 3u);
  EXPECT_GE(repeats[1], 0.999);
  EXPECT_LE(repeats[1], 1.405);
  EXPECT_GE(repeats[2], 2.999);
  EXPECT_LE(repeats[2], 3.605);
}

// 003-E: seven segments ignored; the client gives up silently, and its RST answers the next SYN-ACK.
TEST(AcceptQueueOverflow, EndsByTheClientsTimeOut) {
  const auto run = run_it("accept-queue-overflow-client-gives-up", {});
  const HostRun& server = *run.host("server");
  EXPECT_EQ(server.moved("ListenOverflows"), 7);
  EXPECT_EQ(server.moved("ListenDrops"), 7);
  EXPECT_EQ(server.moved("AttemptFails"), 1);
  EXPECT_EQ(server.moved("EmbryonicRsts"), 1);
  EXPECT_EQ(run.host("client")->moved("TCPAbortOnTimeout"), 1);
  EXPECT_EQ(run.host("client")->moved("OutRsts"), 1);
  EXPECT_EQ(times(run, "R").size(), 1u);
}

// 003-G: the server's RST 12.9 s after the SYN, to a segment that meets the listener.
TEST(AcceptQueueOverflow, EndsByTheServersReset) {
  const auto run = run_it("accept-queue-overflow-server-resets", {});
  EXPECT_EQ(run.host("server")->moved("ListenOverflows"), 10);
  EXPECT_EQ(run.host("server")->moved("ListenDrops"), 10);
  const auto resets = times(run, "R");
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_NEAR(resets[0], 12.9, 0.1);
}

// 003-F
TEST(AcceptQueueOverflow, WithAbortResetsAtOnce) {
  const auto run = run_it("accept-queue-overflow-abort", {});
  const HostRun& server = *run.host("server");
  EXPECT_EQ(server.moved("ListenOverflows"), 1);
  EXPECT_EQ(server.moved("EmbryonicRsts"), 1);
  EXPECT_EQ(server.moved("AttemptFails"), 0);
  ASSERT_FALSE(times(run, "R").empty());
  EXPECT_LE(times(run, "R").front(), 0.005);
}

// Measured on 6.18.44 (`lab compare keepalive-requests`): of 100 requests and responses on one connection the first
// request finds no memory set aside, and later ones that left by the answer before them; responses find that of their
// request.
TEST(HeaderPrediction, DependsOnTheMemoryTheSocketHasSetAside) {
  Options o;
  o.kernel = o.client_kernel = "6.18";
  const auto run = run_it("keepalive-requests", o);
  EXPECT_EQ(run.host("server")->moved("TCPHPHits"), 98);
  EXPECT_EQ(run.host("client")->moved("TCPHPHits"), 99);
}

TEST(Experiments, EveryOneRunsOnTheModelOfItsKernel) {
  for (const Experiment& e : experiments()) {
    const auto run = run_on_model(e, {});
    ASSERT_TRUE(run.has_value()) << e.name << ": " << run.error().message;
    EXPECT_FALSE(run->packets.empty() && run->views.empty()) << e.name;
  }
}

}  // namespace
}  // namespace tcpwhy::lab
