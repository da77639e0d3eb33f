// Findings that no live test can bring about without hours of silence or the whole machine's memory, and the numbers
// just below each threshold. Thresholds and their reasons: docs/decisions/0007-host-findings.md. What the counters
// count is Linux's (net/ipv4/tcp.c, tcp_timer.c).

#include "tcpwhy/host_findings.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tcpwhy::diagnose {
namespace {

facts::Endpoint at(std::string_view address, std::uint16_t port) { return {*facts::parse_address(address), port}; }

/// A host on which nothing is wrong, read twice a second apart.
struct Host {
  facts::HostSnapshot snapshot;
  facts::Namespace& ns() { return snapshot.namespaces.front(); }

  Host() {
    snapshot.processes.push_back({812, "nginx", 'S', 10, 1024});
    facts::Namespace ns;
    ns.addresses = {*facts::parse_address("198.51.100.7")};
    ns.sysctls = {{"net.ipv4.tcp_keepalive_time", "7200"}, {"net.ipv4.tcp_keepalive_intvl", "75"}, {"net.ipv4.tcp_keepalive_probes", "9"},
                  {"net.ipv4.tcp_max_orphans", "4096"}, {"net.ipv4.tcp_mem", "1000 2000 3000"}, {"net.ipv4.tcp_syncookies", "1"}};
    for (const char* name : {"RetransSegs", "OutSegs", "TCPSynRetrans", "SyncookiesSent", "SyncookiesRecv", "TCPReqQFullDoCookies"})
      ns.counters[name] = 1000;
    ns.earlier.emplace();
    ns.earlier->seconds = 1;
    ns.earlier->counters = ns.counters;
    snapshot.namespaces.push_back(ns);
    listen();
  }
  void listen() {
    facts::Socket s;
    s.state = State::kListen;
    s.local = at("0.0.0.0", 80);
    s.inode = 7;
    s.send_queue = 128;
    snapshot.owner[7] = 0;
    ns().sockets.push_back(s);
  }
  facts::Socket& add(State state, const facts::Endpoint& remote, std::uint32_t silent_ms) {
    facts::Socket s;
    s.state = state;
    s.local = at("198.51.100.7", 80);
    s.remote = remote;
    s.inode = 8;
    snapshot.owner[8] = 0;
    s.info = static_cast<std::int32_t>(ns().infos.size());
    facts::SocketInfo info;
    info.last_data_sent_ms = info.last_data_received_ms = info.last_ack_received_ms = silent_ms;
    ns().infos.push_back(info);
    ns().sockets.push_back(s);
    ns().sockets_total = ns().sockets.size();
    return ns().sockets.back();
  }
  std::vector<HostFinding> findings() { return find_on_host(snapshot, {}); }
};

constexpr std::uint32_t kDay = 86'400'000;

TEST(HostFindings, ConnectionsSilentForADayWithoutKeepaliveAreGhostsWhenTheyAreManyClientsOfOneListener) {
  Host h;
  for (int i = 0; i < 16; ++i) h.add(State::kEstablished, at("203.0.113." + std::to_string(1 + i), 40000), kDay);
  const auto found = h.findings();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].cause, "established-ghosts");
  EXPECT_EQ(found[0].verdict, Verdict::kLikely);
  EXPECT_EQ(found[0].processes.front().process.pid, 812);
}

TEST(HostFindings, AnIdleConnectionMayBeAsOldAsKeepaliveAllows) {
  Host h;
  for (int i = 0; i < 16; ++i) h.add(State::kEstablished, at("203.0.113." + std::to_string(1 + i), 40000), 7'800'000);
  EXPECT_TRUE(h.findings().empty());
}

TEST(HostFindings, ASilentConnectionToThisVeryHostWithoutItsOtherEndIsHalfOpen) {
  Host h;
  h.add(State::kEstablished, at("198.51.100.7", 40000), kDay);
  const auto found = h.findings();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].cause, "half-open");
  EXPECT_EQ(found[0].verdict, Verdict::kProven);
}

// tcp_out_of_resources(): the limit is halved for peers that behave badly.
TEST(HostFindings, HalfOfTheAllowedOrphansArePressure) {
  Host h;
  h.ns().counters["sockstat.TCP.orphan"] = 2047;
  EXPECT_TRUE(h.findings().empty());
  h.ns().counters["sockstat.TCP.orphan"] = 2048;
  const auto found = h.findings();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].cause, "orphan-pressure");
}

// tcp_mem's second value: from there on the kernel saves; from the third it refuses.
TEST(HostFindings, TcpMemorySaysItselfWhereItBeginsToSave) {
  Host h;
  h.ns().counters["sockstat.TCP.mem"] = 1999;
  EXPECT_TRUE(h.findings().empty());
  h.ns().counters["sockstat.TCP.mem"] = 2000;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "memory-pressure");
  EXPECT_EQ(h.findings()[0].verdict, Verdict::kLikely);
  h.ns().counters["sockstat.TCP.mem"] = 3000;
  EXPECT_EQ(h.findings()[0].verdict, Verdict::kProven);
}

TEST(HostFindings, ATwentiethOfAllSegmentsRepeatedIsLossAndRepeatedSynsAreNone) {
  Host h;
  h.ns().counters["OutSegs"] += 10'000;
  h.ns().counters["RetransSegs"] += 499;
  EXPECT_TRUE(h.findings().empty());
  h.ns().counters["RetransSegs"] += 1;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "packet-loss");
  h.ns().counters["TCPSynRetrans"] += 500;
  EXPECT_TRUE(h.findings().empty());
}

TEST(HostFindings, CookiesThatComeBackAreClientsAndCookiesThatDoNotAreAFlood) {
  Host h;
  h.ns().counters["SyncookiesSent"] += 100;
  h.ns().counters["TCPReqQFullDoCookies"] += 100;
  h.ns().counters["SyncookiesRecv"] += 100;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "syncookie-options-lost");
  EXPECT_EQ(h.findings()[0].verdict, Verdict::kLikely);
  h.ns().counters["SyncookiesRecv"] -= 99;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "syn-flood");
}

// A full accept queue refuses a cookie's ACK as any other, each time it comes (tcp_v4_syn_recv_sock()): ListenOverflows counts them.
TEST(HostFindings, CookiesThatMeetAFullAcceptQueueLetNobodyIn) {
  Host h;
  h.ns().earlier->counters["ListenOverflows"] = 1000;
  h.ns().counters["SyncookiesSent"] += 6;
  h.ns().counters["SyncookiesRecv"] += 24;
  h.ns().counters["ListenOverflows"] = 1024;
  for (const auto& f : h.findings()) EXPECT_NE(f.cause, "syncookie-options-lost");
}

// tcp_syncookies=2 sends a cookie to everyone (ip-sysctl): the setting is told of, not the queue's size.
TEST(HostFindings, CookiesForEveryoneAreTheSettingsDoing) {
  Host h;
  h.ns().sysctls["net.ipv4.tcp_syncookies"] = "2";
  h.ns().counters["SyncookiesSent"] += 100;
  h.ns().counters["SyncookiesRecv"] += 100;
  const auto found = h.findings();
  const auto lost = std::find_if(found.begin(), found.end(), [](const HostFinding& f) { return f.cause == "syncookie-options-lost"; });
  ASSERT_NE(lost, found.end());
  EXPECT_NE(lost->fix.front().find("net.ipv4.tcp_syncookies=2"), std::string::npos);
}

facts::Socket& client(Host& h) {
  facts::Socket& s = h.add(State::kEstablished, at("203.0.113.9", 443), 0);
  s.local.port = 40112;
  return s;
}

// Data that is never taken: the server drops the last ACK and all that follows, and repeats its SYN-ACK, which is all the
// client gets (tcpi_segs_in counts the first one, too).
TEST(HostFindings, AServerThatRepeatsItsSynAckAndTakesNoDataMayHaveAFullAcceptQueue) {
  Host h;
  facts::Socket& s = client(h);
  s.timer = facts::SocketTimer::kRetransmit;
  s.retries = 6;
  s.send_queue = 90;
  h.ns().infos.back().segments_in = 3;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "accept-queue-overflow");
  EXPECT_EQ(h.findings()[0].verdict, Verdict::kPossible);
  h.ns().infos.back().segments_in = 1;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "peer-unresponsive");
}

TEST(HostFindings, WhoHasSentLastAndWaitsForAMinuteMayWaitForAnAnswer) {
  Host h;
  client(h);
  facts::SocketInfo& info = h.ns().infos.back();
  info.last_data_sent_ms = info.last_ack_received_ms = 61'000;
  info.last_data_received_ms = 62'000;
  info.bytes_received = 5'000;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "slow-response");
  EXPECT_EQ(h.findings()[0].verdict, Verdict::kPossible);
  info.last_data_received_ms = 60'500;  // answered
  EXPECT_TRUE(h.findings().empty());
}

// A log is sent and never answered.
TEST(HostFindings, WhoHasNeverBeenAnsweredAndSendsAgainAndAgainDoesNotWait) {
  Host h;
  client(h);
  facts::SocketInfo& info = h.ns().infos.back();
  info.last_data_sent_ms = info.last_ack_received_ms = 61'000;
  info.last_data_received_ms = 3'600'000;
  info.data_segments_out = 500;
  EXPECT_TRUE(h.findings().empty());
  info.data_segments_out = 1;
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "slow-response");
  info.last_data_received_ms = info.last_data_sent_ms;  // sent in the tick of the handshake
  EXPECT_EQ(h.findings().size(), 1u);
  info.bytes_received = 10;
  EXPECT_TRUE(h.findings().empty());
}

TEST(HostFindings, AKeepaliveIntervalOfHoursIsAbsurdAndTheDefaultIsNot) {
  Host h;
  h.ns().sysctls["net.ipv4.tcp_keepalive_intvl"] = "3600";
  ASSERT_EQ(h.findings().size(), 1u);
  EXPECT_EQ(h.findings()[0].cause, "risky-setting");
  ASSERT_EQ(h.findings()[0].sysctls.size(), 1u);
  EXPECT_EQ(h.findings()[0].sysctls[0].name, "net.ipv4.tcp_keepalive_intvl");
}

}  // namespace
}  // namespace tcpwhy::diagnose
