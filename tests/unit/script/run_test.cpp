// The runner notices: each test changes one thing in a script that passes.

#include "script/run.hpp"

#include <gtest/gtest.h>

namespace tcpwhy::script {
namespace {

constexpr std::string_view kServer = R"(
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 7001:7001(0) win 1000 <mss 1000,sackOK,TS val 1000 ecr 0>
+0 > S. 17:17(0) ack 7002 <mss 1460,sackOK,TS val 100 ecr 1000>
+.1 < . 1:1(0) ack 1 win 1000 <nop,nop,TS val 1100 ecr 100>
+0 accept(3, ..., ...) = 4
+0...0.3 read(4, ..., 100) = 11
+.3 < P. 1:12(11) ack 1 win 1000 <nop,nop,TS val 1400 ecr 100>
+0 > . 1:1(0) ack 12 <nop,nop,TS val 500 ecr 1400>
+0 %{ assert tcpi_state == TCP_ESTABLISHED }%
+0 close(4) = 0
+0 > F. 1:1(0) ack 12 <nop,nop,TS val 500 ecr 1400>
+0 read(4, ..., 1) = -1 EBADF (Bad file descriptor)
)";

std::string without_last_line(std::string text) {
  return text.substr(0, text.rfind('\n', text.size() - 2) + 1);
}

Report run_text(const std::string& text, IpFamily family = IpFamily::kIpv4) {
  const auto parsed = parse(text, "test", definitions(family));
  if (const auto* complaint = std::get_if<Complaint>(&parsed)) return {Verdict::kRefused, *complaint, {}};
  return run(std::get<Script>(parsed), {family, {}, {}}, {});
}

std::string good() { return without_last_line(std::string{kServer}); }

/// The good script with one thing changed.
std::string with(std::string_view what, std::string_view instead) {
  std::string text = good();
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), instead);
}

TEST(ScriptRun, PassesOverEveryFamily) {
  for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6, IpFamily::kMapped}) {
    const Report report = run_text(good(), family);
    EXPECT_EQ(report.verdict, Verdict::kPassed)
        << name(family) << " " << report.complaint.line << ": " << report.complaint.message;
  }
}

struct Change {
  const char* what;
  const char* instead;
  int line;  ///< where it must be noticed
};

class ScriptNotices : public testing::TestWithParam<Change> {};

TEST_P(ScriptNotices, OneThingChanged) {
  const Report report = run_text(with(GetParam().what, GetParam().instead));
  EXPECT_EQ(report.verdict, Verdict::kFailed) << GetParam().instead;
  EXPECT_EQ(report.complaint.line, GetParam().line) << report.complaint.message;
}

INSTANTIATE_TEST_SUITE_P(
    All, ScriptNotices,
    testing::Values(Change{"> S. 17:17(0) ack 7002", "> S. 17:17(0) ack 7003", 7},
                    Change{"> S. 17:17(0) ack 7002 <mss 1460", "> S. 17:17(0) ack 7002 <mss 1459", 7},
                    Change{"ack 7002 <mss 1460,sackOK", "ack 7002 <mss 1460,nop,nop", 7},
                    Change{"+0 > S.", "+.1 > S.", 7}, Change{"+0 > S.", "+0 > S", 7},
                    Change{"= 11", "= 12", 10}, Change{"+0...0.3 read", "+0...0.4 read", 10},
                    Change{"+.3 < P. 1:12(11)", "+.3 < P. 2:13(11)", 12},
                    Change{"+0 > . 1:1(0) ack 12", "+0 > . 2:2(0) ack 12", 12},
                    Change{"+0 > . 1:1(0) ack 12", "+0 > P. 1:1(0) ack 12", 12},
                    Change{"+0 > . 1:1(0) ack 12 <nop,nop,TS val 500 ecr 1400>", "", 15},
                    Change{"TCP_ESTABLISHED", "TCP_CLOSE_WAIT", 13},
                    Change{"ecr 100>\n+0 >", "ecr 101>\n+0 >", 11},
                    Change{"+0 close(4) = 0", "+0 close(4) = -1 EBADF (Bad file descriptor)", 14},
                    Change{"+0 > F. 1:1(0) ack 12", "+0 > . 1:1(0) ack 12", 15}));

TEST(ScriptRun, ACallOnAClosedDescriptorIsAFaultOfTheScript) {
  const Report report = run_text(std::string{kServer});
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_EQ(report.complaint.line, 16);
}

TEST(ScriptRun, AnUnexpectedPacketIsNoticedAtTheNextExpectedOne) {
  const Report report = run_text(
      with("+.1 < . 1:1(0)", "+0 < . 1:1(0) ack 2 win 1000 <nop,nop,TS val 1100 ecr 100>\n+.1 < . 1:1(0)"));
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_EQ(report.complaint.line, 13);
}

TEST(ScriptRun, TimestampsAreComparedOnlyWhenATickIsGiven) {
  const std::string off = with("TS val 500 ecr 1400>\n+0 %", "TS val 900 ecr 1400>\n+0 %");
  EXPECT_EQ(run_text(off).verdict, Verdict::kPassed);
  EXPECT_EQ(run_text("--tcp_ts_tick_usecs=1000\n" + off).verdict, Verdict::kFailed);
  EXPECT_EQ(run_text("--tcp_ts_tick_usecs=1000\n" + good()).verdict, Verdict::kPassed);
}

TEST(ScriptRun, AWiderToleranceIsRespected) {
  const std::string late = with("+0 > . 1:1(0) ack 12", "+.02 > . 1:1(0) ack 12");
  EXPECT_EQ(run_text(late).verdict, Verdict::kFailed);
  EXPECT_EQ(run_text("--tolerance_usecs=25000\n" + late).verdict, Verdict::kPassed);
}

TEST(ScriptRun, RefusesBeforeTheFirstEventWhatItCannotCarryOut) {
  for (const char* line :
       {"+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"reno\", 4) = 0\n",
        "+0 `sysctl -q net.ipv4.tcp_unheard_of=1`\n", "+0 %{ assert tcpi_unheard_of == 1 }%\n",
        "+0 < icmp packet_too_big mtu 1280 [1:2(1)]\n"}) {
    const Report report = run_text(good() + line);
    EXPECT_EQ(report.verdict, Verdict::kRefused) << line;
    EXPECT_EQ(report.complaint.line, 16) << line;
    EXPECT_TRUE(report.story.empty()) << line;
  }
}

TEST(ScriptRun, ANoteMayAskForAFailure) {
  const std::string text = "//! expect: fail\n" + with("ack 7002 <mss 1460", "ack 7002 <mss 1459");
  const auto parsed = parse(text, "test", {});
  ASSERT_TRUE(std::holds_alternative<Script>(parsed));
  const auto& script = std::get<Script>(parsed);
  EXPECT_TRUE(as_expected(script, run(script, {}, {})));
}

}  // namespace
}  // namespace tcpwhy::script
