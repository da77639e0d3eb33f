// What-if: where an experiment begins to fail, against the kernel's own formulas.

#include "lab/sweep.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace tcpwhy::lab {
namespace {

Sweep swept(std::string_view experiment, const std::string& range, Options options = {}) {
  const Experiment& e = *find_experiment(experiment);
  auto result = sweep(e, options, *parse_range(range), [&e](const Options& each) { return run_on_model(e, each); });
  EXPECT_TRUE(result.has_value());
  return result ? *std::move(result) : Sweep{};
}

Options on(std::string kernel) {
  Options o;
  o.client_kernel = kernel;
  o.kernel = std::move(kernel);
  return o;
}

TEST(ParseRange, KnowsRangesStepsAndLists) {
  EXPECT_EQ(parse_range("backlog=1..1024")->size(), 1024u);
  EXPECT_EQ(parse_range("backlog=0..10:5")->size(), 3u);
  EXPECT_EQ(parse_range("backlog=0..9:5")->value(1), "5");
  EXPECT_EQ(parse_range("kernel=3.10,4.4")->value(1), "4.4");
}

TEST(ParseRange, RefusesWhatIsNoRange) {
  for (const char* bad :
       {"backlog", "=1..2", "backlog=", "backlog=5..1", "backlog=1..9:0", "backlog=a..b", "backlog=1,,2"})
    EXPECT_FALSE(parse_range(bad)) << bad;
}

TEST(Sweep, ANameThatIsNobodysIsRefused) {
  const Experiment& e = *find_experiment("syn-queue-overflow");
  const auto result =
      sweep(e, {}, *parse_range("backlogg=1..2"), [&e](const Options& each) { return run_on_model(e, each); });
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("backlog,"), std::string::npos);
}

struct SynQueue {
  const char* kernel;
  const char* first_that_holds;  ///< the smallest backlog whose SYN queue takes 100 requests
};
class SynQueues : public testing::TestWithParam<SynQueue> {};

// Linux before 4.3: the table has roundup_pow_of_two(backlog + 1) entries (reqsk_queue_alloc), so 64 gives 128.
// From 4.4: full when qlen >= backlog (inet_csk_reqsk_queue_is_full); from 6.14: when qlen > backlog.
TEST_P(SynQueues, TakeEverySynFromTheKernelsOwnFormulaOn) {
  Options o = on(GetParam().kernel);
  o.params = {{"syns", "100"}};
  const Sweep s = swept("syn-queue-overflow", "backlog=1..1024", o);
  const auto stretches = s.stretches();
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].like->outcome, Outcome::kFails);
  EXPECT_EQ(stretches[1].like->outcome, Outcome::kWorks);
  EXPECT_EQ(stretches[1].from, GetParam().first_that_holds);
  EXPECT_LT(s.points.size(), 64u);
}

INSTANTIATE_TEST_SUITE_P(Formulas, SynQueues,
                         testing::Values(SynQueue{"3.10", "64"}, SynQueue{"4.4", "100"}, SynQueue{"5.15", "100"},
                                         SynQueue{"6.18", "99"}));

TEST(Sweep, ListenTakesOneConnectionMoreThanItsBacklog) {
  // sk_acceptq_is_full: sk_ack_backlog > sk_max_ack_backlog. Eleven connections need listen(10).
  Options o = on("6.18");
  o.params = {{"fill", "10"}};
  const Sweep s = swept("accept-queue-overflow", "backlog=1..20", o);
  const auto stretches = s.stretches();
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].like->outcome, Outcome::kFails);
  EXPECT_EQ(stretches[1].from, "10");
  EXPECT_EQ(stretches[1].like->outcome, Outcome::kWorks);
}

TEST(Sweep, SaysWhatTheClientSeesOnEachKernel) {
  // Case F of seed 003: up to 4.9 the third ACK meets a full accept queue, which resets with tcp_abort_on_overflow;
  // later kernels drop the SYN before, and nobody is reset.
  const Sweep s = swept("accept-queue-overflow-abort", "kernel=3.10,6.18");
  ASSERT_EQ(s.points.size(), 2u);
  ASSERT_FALSE(s.points[0].errors.empty());
  EXPECT_EQ(s.points[0].errors[0].error, "ECONNRESET");
  ASSERT_FALSE(s.points[1].errors.empty());
  EXPECT_EQ(s.points[1].errors[0].error, "ETIMEDOUT");
  EXPECT_EQ(s.points[1].answered, 0u);
}

TEST(Sweep, FindsAFailureNarrowerThanItsSteps) {
  // A request meets nginx's FIN (RFC 9293 3.6: data for a closed socket is answered by RST) only while that FIN is
  // under way, 10 ms of 2 s: before it the connection is used again, after it another one is made.
  const Sweep s = swept("keepalive-race", "idle_ms=74000..76000");
  const auto stretches = s.stretches();
  ASSERT_EQ(stretches.size(), 3u);
  EXPECT_EQ(stretches[0].like->outcome, Outcome::kWorks);
  EXPECT_EQ(stretches[1].like->outcome, Outcome::kFails);
  EXPECT_EQ(stretches[2].like->outcome, Outcome::kWorks);
}

TEST(Sweep, ASettingIsSweptAsAParameterIs) {
  // Seed 003, cases A and B: without syncookies 16 of 542 are answered, with them all.
  const Sweep s = swept("syn-queue-overflow", "net.ipv4.tcp_syncookies=0,1");
  ASSERT_EQ(s.points.size(), 2u);
  EXPECT_EQ(s.points[0].answered, 16u);
  EXPECT_EQ(s.points[1].answered, 542u);
}

TEST(SweepJsonl, IsOneObjectALine) {
  std::istringstream lines{jsonl(swept("syn-queue-overflow", "net.ipv4.tcp_syncookies=0,1"))};
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_TRUE(nlohmann::json::accept(line));
  EXPECT_EQ(count, 5u);  // the sweep, two points, two stretches
}

}  // namespace
}  // namespace tcpwhy::lab
