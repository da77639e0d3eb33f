// Commands between backticks, arguments of calls, and assertions.

#include <gtest/gtest.h>

#include "script/call.hpp"
#include "script/code.hpp"
#include "script/shell.hpp"

namespace tcpwhy::script {
namespace {

std::vector<Effect> effects(const std::string& command, const ReadFile& read_file = {}) {
  auto understood = understand_command(command, 1, read_file);
  if (const auto* complaint = std::get_if<Complaint>(&understood)) {
    ADD_FAILURE() << complaint->message;
    return {};
  }
  return std::get<std::vector<Effect>>(std::move(understood));
}

TEST(ScriptCommand, SetsSysctlsByName) {
  const auto e = effects("sysctl -q net.ipv4.tcp_syn_retries=2 net.ipv4.tcp_ecn=1");
  ASSERT_EQ(e.size(), 2u);
  EXPECT_EQ(std::get<SetSysctl>(e[0]).name, "net.ipv4.tcp_syn_retries");
  EXPECT_EQ(std::get<SetSysctl>(e[1]).value, "1");
}

TEST(ScriptCommand, ReadsTheScriptItCalls) {
  const auto e = effects("./defaults.sh\n ./set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0",
                         [](const std::string& path) {
                           EXPECT_EQ(path, "./defaults.sh");
                           return std::optional<std::string>{
                               "#!/bin/sh\n# a comment\nip tcp_metrics flush all > /dev/null 2>&1\n"
                               "sysctl -q net.ipv4.tcp_rmem=\"4096 540000 $((15*1024*1024))\"\n"};
                         });
  ASSERT_EQ(e.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<FlushMetrics>(e[0]));
  EXPECT_EQ(std::get<SetSysctl>(e[1]).value, "4096 540000 15728640");
  EXPECT_EQ(std::get<SetSysctl>(e[2]).name, "net.ipv4.tcp_timestamps");
}

TEST(ScriptCommand, TakesTheOtherWayOnlyAfterAFailure) {
  const auto flushed =
      effects("sysctl -q net.ipv4.tcp_fastopen_cookies=0 &> /dev/null || ip tcp_metrics flush all");
  ASSERT_EQ(flushed.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<FlushMetrics>(flushed[0]));
  const auto set = effects("sysctl -q net.ipv4.tcp_sack=0 || ip tcp_metrics flush all");
  ASSERT_EQ(set.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<SetSysctl>(set[0]));
}

// A kernel without the setting ends the original's run as well.
TEST(ScriptCommand, ThatCannotSucceedSaysSo) {
  const auto e = effects("sysctl -q net.ipv4.tcp_tw_recycle=1");
  ASSERT_EQ(e.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Fails>(e[0]));
}

TEST(ScriptCommand, AQueueOfNoPacketsDropsEveryPacket) {
  const auto e =
      effects("tc qdisc delete dev tun0 root 2>/dev/null ; tc qdisc add dev tun0 root pfifo limit 0");
  ASSERT_EQ(e.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<RestoreEgress>(e[0]));
  EXPECT_TRUE(std::holds_alternative<DropEgress>(e[1]));
}

TEST(ScriptCommand, AsksWhoListens) {
  const auto e = effects("grep \" 0A \" /proc/net/tcp /proc/net/tcp6 | grep \":1F90\"");
  ASSERT_EQ(e.size(), 1u);
  EXPECT_EQ(std::get<ExpectListener>(e[0]).port, 8080);
}

Call call_of(const std::string& text) {
  auto read = parse("0 " + text + "\n", "test.pkt", {});
  if (!std::holds_alternative<Script>(read)) {
    ADD_FAILURE() << std::get<Complaint>(read).message;
    return {};
  }
  const auto& syscall = std::get<Syscall>(std::get<Script>(read).events[0].action);
  auto call = understand_call(syscall, 1);
  if (const auto* complaint = std::get_if<Complaint>(&call)) {
    ADD_FAILURE() << complaint->message;
    return {};
  }
  return std::get<Call>(call);
}

TEST(ScriptCall, NamesBecomeNumbers) {
  const Call fcntl = call_of("fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
  EXPECT_EQ(fcntl.fd, 4);
  EXPECT_EQ(fcntl.flags, 04002);
  const Call option = call_of("setsockopt(4, SOL_TCP, TCP_USER_TIMEOUT, [3000], 4) = 0");
  EXPECT_EQ(option.level, 6);
  EXPECT_EQ(option.option, 18);
  EXPECT_EQ(std::get<std::int64_t>(option.value), 3000);
}

TEST(ScriptCall, AMessageIsTheSumOfItsPieces) {
  const Call call = call_of(
      "sendmsg(4, {msg_name(...)=..., msg_iov(3)=[{..., 0}, {..., 40}, {..., 20}], msg_flags=0}, 0) = 60");
  EXPECT_EQ(call.name, CallName::kWrite);
  EXPECT_EQ(call.number, 60);
}

TEST(ScriptCall, PollSaysWhatItExpects) {
  const Call call = call_of("poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1");
  ASSERT_EQ(call.polled.size(), 1u);
  EXPECT_EQ(call.polled[0].events, 5);
  EXPECT_EQ(call.polled[0].revents, 4);
}

TEST(ScriptCall, AReceivedMessageHasFlagsAndControlMessages) {
  const Call call = call_of(
      "recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=MSG_ERRQUEUE, msg_control=[{cmsg_level=SOL_IP, "
      "cmsg_type=IP_RECVERR, cmsg_data={ee_errno=0, ee_origin=5, ee_type=0, ee_code=1, ee_info=2, ee_data=3}}]}, MSG_ERRQUEUE) = 0");
  EXPECT_EQ(call.name, CallName::kRead);
  EXPECT_EQ(call.number, 10);
  ASSERT_TRUE(call.message.has_value());
  EXPECT_EQ(call.message->flags, 0x2000);
  ASSERT_EQ(call.message->control.size(), 1u);
  EXPECT_EQ(call.message->control[0], (ControlMessage{0, 11, {0, 5, 0, 1, 2, 3}}));
}

std::string after(const std::string& text, Variables variables) {
  const auto block = understand_code(text, 1);
  if (const auto* complaint = std::get_if<Complaint>(&block)) return "not understood: " + complaint->message;
  return run_code(std::get<CodeBlock>(block), variables);
}

TEST(ScriptCode, AssertsAsPythonWould) {
  const Variables v{{"tcpi_state", 1}, {"tcpi_options", 0x25}, {"tcpi_rtt", 100'000}};
  EXPECT_EQ(after("assert tcpi_state == TCP_ESTABLISHED, tcpi_state", v), "");
  EXPECT_EQ(after("assert (tcpi_options & TCPI_OPT_SYN_DATA) != 0, tcpi_options", v), "");
  EXPECT_EQ(after("assert 90000 < tcpi_rtt <= 110000 and not tcpi_state == 2", v), "");
  EXPECT_EQ(after("assert tcpi_state == 1, tcpi_state; \\\n assert tcpi_rtt // 3 == 33333", v), "");
  EXPECT_EQ(after("before = tcpi_rtt * 2\nassert before == 200000", v), "");
  EXPECT_EQ(after("assert abs(tcpi_rtt - 110000) <= 10000 and min(tcpi_rtt, 3) == 3 and max(1, 2) == 2", v), "");
  EXPECT_EQ(after("print(tcpi_rtt, \"x\"); assert tcpi_state in (TCP_ESTABLISHED, TCP_CLOSE) and int(7.5) == 7", v), "");
}

TEST(ScriptCode, SaysWhichAssertionFailsAndWhatItSaw) {
  const std::string failure =
      after("assert tcpi_state == 1; assert tcpi_rtt == 7, tcpi_rtt", {{"tcpi_state", 1}, {"tcpi_rtt", 9}});
  EXPECT_NE(failure.find("tcpi_rtt == 7"), std::string::npos);
  EXPECT_NE(failure.find("tcpi_rtt=9"), std::string::npos);
}

// Python: a number and == bind looser than & does.
TEST(ScriptCode, BindsOperatorsAsPythonDoes) {
  EXPECT_EQ(after("assert 6 & 3 == 2", {}), "");
  EXPECT_EQ(after("assert 1 + 2 * 3 == 7 and 1 << 3 | 1 == 9", {}), "");
  EXPECT_EQ(after("assert -7 // 2 == -4 and -7 % 3 == 2", {}), "");
}

}  // namespace
}  // namespace tcpwhy::script
