// Reading scripts: what the notation means, and that nothing is passed over.

#include <gtest/gtest.h>

#include "script/understand.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::script {
namespace {

using namespace std::chrono_literals;
using Flag = wire::Flag;

constexpr const char* kSocket = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n";

Script must_parse(const std::string& text, const Definitions& definitions = {}) {
  auto read = parse(text, "test.pkt", definitions);
  if (const auto* complaint = std::get_if<Complaint>(&read)) {
    ADD_FAILURE() << complaint->line << ": " << complaint->message;
    return {};
  }
  return std::get<Script>(std::move(read));
}

Complaint must_refuse(const std::string& text) {
  auto read = parse(text, "test.pkt", {});
  if (const auto* complaint = std::get_if<Complaint>(&read)) return *complaint;
  const auto complaint = first_not_understood(std::get<Script>(read), {});
  EXPECT_TRUE(complaint.has_value()) << "understood: " << text;
  return complaint.value_or(Complaint{});
}

TcpPacket packet_of(const Script& script, std::size_t event) {
  return std::get<TcpPacket>(std::get<Packet>(script.events.at(event).action).content);
}

TEST(ScriptPacket, CarriesFlagsNumbersWindowAndOptionsAsWritten) {
  const Script s = must_parse(
      "0 < SEW 7:17(10) win 32792 <mss 1000,sackOK,TS val 5 ecr 6,nop,wscale 7>\n"
      "+.01 > P. 1:1001(1000) ack 18 <sack 1:2 5:9,nop,nop>\n");
  const TcpPacket in = packet_of(s, 0), out = packet_of(s, 1);
  EXPECT_EQ(in.flags, Flag::kSyn | Flag::kEce | Flag::kCwr);
  EXPECT_EQ(in.seq, 7u);
  EXPECT_EQ(in.payload_bytes, 10u);
  EXPECT_EQ(in.window, 32792);
  ASSERT_EQ(in.options.size(), 5u);
  EXPECT_EQ(in.options[2].kind, Option::Kind::kTimestamps);
  EXPECT_EQ(in.options[2].value, 5u);
  EXPECT_EQ(in.options[2].echo, 6u);
  EXPECT_EQ(out.ack, 18u);
  EXPECT_FALSE(out.window.has_value()) << "a window that is not written is not compared";
  EXPECT_EQ(out.options[0].blocks, (std::vector<SackBlock>{{1, 2}, {5, 9}}));
}

TEST(ScriptPacket, WithoutFlagsIsWrittenWithADash) {
  const Script s = must_parse("0 < - 1:1001(1000) win 20000\n");
  EXPECT_EQ(packet_of(s, 0).flags, 0);
}

// RFC 9768 3.1.1: the ACE field is AE, CWR and ECE read as a number.
TEST(ScriptPacket, ADigitAmongTheFlagsIsTheAceCounter) {
  const TcpPacket tcp = packet_of(must_parse("0 > P.5 1:2(1) ack 1\n"), 0);
  EXPECT_EQ(tcp.ace, 5);
  EXPECT_TRUE(tcp.ae);
  EXPECT_EQ(tcp.flags, Flag::kPsh | Flag::kAck | Flag::kEce);
}

TEST(ScriptPacket, AsksForEcnOfTheIpHeader) {
  const Script s = must_parse("0 > [ect0] . 1:1(0) ack 1\n+0 < [ce] . 1:1(0) ack 1 win 9\n");
  EXPECT_EQ(std::get<Packet>(s.events[0].action).tos, 2);
  EXPECT_EQ(std::get<Packet>(s.events[1].action).tos, 3);
}

TEST(ScriptPacket, IcmpQuotesASequenceNumber) {
  const Script s = must_parse("0 < icmp unreachable frag_needed mtu 1400 [1:1461(1460)]\n");
  const auto& icmp = std::get<IcmpPacket>(std::get<Packet>(s.events[0].action).content);
  EXPECT_EQ(icmp.type, "unreachable");
  EXPECT_EQ(icmp.code, "frag_needed");
  EXPECT_EQ(icmp.mtu, 1400u);
  EXPECT_EQ(icmp.echoed_seq, 1u);
}

TEST(ScriptPacket, CookiesAreHexadecimalOrANameGivenFromOutside) {
  const Script s = must_parse("0 < S 0:0(0) win 9 <mss 1460,FO TFO_COOKIE,nop,nop>\n",
                              {{"TFO_COOKIE", "3021b9d889017eeb"}});
  EXPECT_EQ(packet_of(s, 0).options[1].octets,
            (std::vector<std::uint8_t>{0x30, 0x21, 0xb9, 0xd8, 0x89, 0x01, 0x7e, 0xeb}));
}

TEST(ScriptTime, MayBeAbsoluteRelativeARangeOrAny) {
  const Script s = must_parse(std::string{kSocket} +
                              "+.25 > . 1:1(0) ack 1\n.5~.75 > . 1:1(0) ack 1\n"
                              "+.3~+.4 > . 1:1(0) ack 1\n* > . 1:1(0) ack 1\n");
  EXPECT_EQ(s.events[1].time_kind, TimeKind::kRelative);
  EXPECT_EQ(s.events[1].time, 250ms);
  EXPECT_EQ(s.events[2].time_kind, TimeKind::kAbsoluteRange);
  EXPECT_EQ(s.events[2].time_end, 750ms);
  EXPECT_EQ(s.events[3].time_kind, TimeKind::kRelativeRange);
  EXPECT_EQ(s.events[4].time_kind, TimeKind::kAny);
  EXPECT_EQ(s.events[4].line, 5);
}

TEST(ScriptTime, OfABlockingCallHasAnEnd) {
  const Script s = must_parse("0 ... .2 accept(3, ..., ...) = 4\n");
  EXPECT_EQ(std::get<Syscall>(s.events[0].action).end, 200ms);
}

TEST(ScriptCall, KeepsResultAndErrno) {
  const Script s = must_parse("0 write(3, ..., 7) = -1 EPIPE (Broken pipe)\n");
  const auto& call = std::get<Syscall>(s.events[0].action);
  EXPECT_EQ(call.result.number, -1);
  EXPECT_EQ(call.error, "EPIPE");
}

TEST(ScriptNotes, OfOursAreCommentsToOthers) {
  const Script s =
      must_parse("//! kernel: syn_linear_timeouts=0\n//! expect: TCPSynRetrans +2\n" + std::string{kSocket});
  ASSERT_EQ(s.notes.size(), 2u);
  EXPECT_EQ(s.notes[1].name, "expect");
  EXPECT_EQ(s.notes[1].value, "TCPSynRetrans +2");
}

struct Refused {
  const char* text;
  int line;
};

TEST(ScriptRefusal, NamesTheLineOfWhatIsNotUnderstood) {
  const Refused rows[] = {
      {"0 frobnicate(3) = 0\n", 1},
      {"0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n", 1},
      {"0 close(3) = 0\n+0 < udp (100)\n", 2},
      {"0 close(3) = 0\n+0 < . 1:1(0) ack 1\n", 2},                 // no window
      {"0 close(3) = 0\n+0 < . 1:1(0) ack 1 win 9 <...>\n", 2},     // any options, incoming
      {"0 close(3) = 0\n+0 > . 1:3(1) ack 1\n", 2},                 // numbers that do not agree
      {"0 close(3) = 0\n+0 > . 1:1(0) ack 1 <mss 1460,nop>\n", 2},  // not whole words
      {"0 close(3) = 0\n+0 > X 1:1(0)\n", 2},
      {"0 close(3) = 0\n* close(3) = 0\n", 2},  // any time, not a packet
      {"0 close(3) = 0\n+3456701234567 > . 1:1(0) ack 1\n", 2},  // a time beyond the clock
      {"0 close(3) = 0\n+0 `reboot`\n", 2},
      {"0 close(3) = 0\n+0 `sysctl -q net.ipv4.no_such_thing=1`\n", 2},
      {"0 close(3) = 0\n+0 %{ import sys }%\n", 2},
      {"0 close(3) = 0\n+0 %{ assert tcpi_no_such_field == 1 }%\n", 2},
      {"0 close(3) = -1 ENOSUCHERRNO (What)\n", 1},
      {"--no_such_setting=1\n0 close(3) = 0\n", 1},
      {"//! surprise: 1\n0 close(3) = 0\n", 1},
  };
  for (const Refused& row : rows) EXPECT_EQ(must_refuse(row.text).line, row.line) << row.text;
}

TEST(ScriptRefusal, OfNestingIsBounded) {
  EXPECT_EQ(must_refuse("0 close(" + std::string(100'000, '[') + ") = 0\n").line, 1);
  EXPECT_EQ(must_refuse("0 close(3) = 0\n+0 %{ assert " + std::string(100'000, '(') + " }%\n").line, 2);
}

// The bound is on depth: a block may hold any number of parentheses beside each other.
TEST(ScriptRefusal, OfNestingDoesNotCountWhatIsClosed) {
  std::string text = "0 close(3) = 0\n+0 %{\n";
  for (int i = 0; i < 500; ++i) text += "assert (tcpi_state) == (1)\n";
  EXPECT_TRUE(std::holds_alternative<Script>(parse(text + "}%\n", "closed", {})));
}

}  // namespace
}  // namespace tcpwhy::script
