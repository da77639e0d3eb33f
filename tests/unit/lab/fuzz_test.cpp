#include "lab/fuzz.hpp"

#include <gtest/gtest.h>

#include "lab/fuzz_trial.hpp"
#include "script/parser.hpp"

namespace tcpwhy::lab {
namespace {

Comparison of_packets(std::vector<Pair> packets) {
  Comparison c;
  c.packets = std::move(packets);
  return c;
}

TEST(Signature, OfRunsThatAgreeIsEmpty) {
  EXPECT_EQ(signature(of_packets({{.has = Pair::Has::kBoth, .line = "IP a > b: Flags [S], seq 0"}})), "");
}

TEST(Signature, IsTheKindOfTheFirstPacketThatOnlyOneSideSent) {
  const Pair both{.has = Pair::Has::kBoth, .line = "IP a > b: Flags [S], seq 0"};
  const Pair one{.has = Pair::Has::kModelOnly, .line = "IP 192.0.2.1.80 > b: Flags [.], ack 17, win 64"};
  EXPECT_EQ(signature(of_packets({both, one})), "model only: Flags [.], ack , win ");
}

TEST(Signature, IsNotMadeOfACounterThatTheModelDoesNotHave) {
  Comparison c;
  c.counters = {{"server", "TCPSackShifted", std::nullopt, 1}};
  EXPECT_EQ(signature(c), "");
  c.counters.push_back({"server", "TCPHPHits", 0, 1});
  EXPECT_EQ(signature(c), "counters: TCPHPHits");
}

TEST(Trial, OfANumberIsTheSameEveryTime) {
  const Trial a = generate(7), b = generate(7);
  ASSERT_EQ(a.acts.size(), b.acts.size());
  for (std::size_t i = 0; i < a.acts.size(); ++i) EXPECT_EQ(a.acts[i].at, b.acts[i].at);
  EXPECT_EQ(a.end, b.end);
}

TEST(Trial, IsPlayedByTheModelTheSameWayTwice) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Trial trial = generate(seed);
    const Experiment experiment = experiment_of(trial);
    Options options = options_of(trial);
    options.kernel = options.client_kernel = "6.18";
    const auto once = run_on_model(experiment, options), again = run_on_model(experiment, options);
    ASSERT_TRUE(once) << once.error().message;
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(signature(compare(*once, *again, {})), "") << "seed " << seed;
  }
}

TEST(Trial, IsWrittenAsAScriptThatCanBeRead) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Trial trial = generate(seed);
    const Experiment experiment = experiment_of(trial);
    Options options = options_of(trial);
    options.kernel = options.client_kernel = "6.18";
    const auto run = run_on_model(experiment, options);
    ASSERT_TRUE(run) << run.error().message;
    const auto text = packetdrill(trial, *run);
    if (!text) continue;
    const auto parsed = script::parse(*text, "trial.pkt", {});
    if (const auto* complaint = std::get_if<script::Complaint>(&parsed))
      ADD_FAILURE() << "seed " << seed << ":" << complaint->line << ": " << complaint->message << "\n" << *text;
  }
}

}  // namespace
}  // namespace tcpwhy::lab
