// A host's snapshot beside a capture. What the counters count is Linux's (net/ipv4/tcp_input.c, tcp_ipv4.c, tcp.c), as
// docs/words tells it; the ladders are those of the causes' own tests.

#include "diagnose/host/witness.hpp"

#include <gtest/gtest.h>

#include "answers.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

facts::Address address(std::string_view text) { return *facts::parse_address(text); }

/// The server listens, nothing is wrong: read a second apart, the second time `after` the connection's end.
facts::HostSnapshot server_of(const facts::Connection& c, Duration after = std::chrono::milliseconds{500}) {
  facts::HostSnapshot host;
  host.kernel = "3.10.0-1160.el7.x86_64";
  host.time = c.end + after;
  host.processes.push_back({812, "nginx", 'S', 10, 1024});
  facts::Namespace ns;
  ns.addresses = {address("127.0.0.1"), c.ends[1].address};
  facts::Socket listener;
  listener.state = State::kListen;
  listener.local = c.ends[1];
  listener.inode = 7;
  listener.cookie = 1;
  listener.receive_queue = 129;
  listener.send_queue = 128;
  host.owner[7] = 0;
  ns.sockets.push_back(listener);
  ns.sysctls = {{"net.core.somaxconn", "128"}, {"net.ipv4.tcp_abort_on_overflow", "0"}, {"net.ipv4.tcp_syncookies", "1"}};
  ns.counters = {{"ListenOverflows", 40}, {"ListenDrops", 40}, {"TCPReqQFullDrop", 0}, {"TCPAbortOnClose", 5}, {"TCPAbortOnData", 9}};
  ns.earlier.emplace();
  ns.earlier->seconds = 1;
  ns.earlier->counters = ns.counters;
  host.namespaces.push_back(ns);
  return host;
}

/// An answer as a capture at the client gives it: the generic cause, its specifics as possible.
Answer unanswered() {
  Answer a;
  a.healthy = false;
  const auto put = [&](CauseId id, Verdict v) {
    Diagnosis d;
    d.cause = id;
    d.verdict = v;
    d.side = v == Verdict::kLikely ? facts::Side::kUnknown : facts::Side::kServer;
    d.summary = v == Verdict::kLikely ? "Nothing answered the SYN." : "";
    a.diagnoses.push_back(d);
  };
  put(CauseId::kSynUnanswered, Verdict::kLikely);
  for (CauseId id : {CauseId::kSynDroppedOnPath, CauseId::kSynQueueOverflow, CauseId::kAcceptQueueOverflow, CauseId::kPerHostTimestampCheck})
    put(id, Verdict::kPossible);
  return a;
}

facts::Connection lone_syn() {
  facts::Connection c;
  c.ends = {facts::Endpoint{address("192.0.2.10"), 40112}, facts::Endpoint{address("198.51.100.7"), 443}};
  c.start = CaptureTime{std::chrono::seconds{1'000'000}};
  c.end = c.start + std::chrono::milliseconds{300};
  c.outcome = facts::Outcome::kUnanswered;
  return c;
}

bool mentions(const Diagnosis& d, std::string_view text) {
  return std::any_of(d.evidence.begin(), d.evidence.end(), [&](const Citation& e) { return e.text.find(text) != std::string::npos; });
}

const Rival* rival(const Answer& a, CauseId id) {
  for (const Rival& r : a.diagnoses.front().rivals)
    if (r.cause == id) return &r;
  return nullptr;
}

// ListenOverflows counts a full accept queue and nothing else (tcp_conn_request(), tcp_v4_syn_recv_sock()).
TEST(Witness, MakesAnAcceptQueueOverflowLikelyWhenListenOverflowsRoseMeanwhile) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c);
  host.namespaces[0].counters["ListenOverflows"] += 12;
  host::Witness witness{host, "server.host"};
  Answer a = unanswered();
  witness.testify(c, a);
  EXPECT_EQ(first_of(a), "accept-queue-overflow");
  EXPECT_EQ(verdict_of(a, CauseId::kAcceptQueueOverflow), "likely");
  EXPECT_EQ(find(a, CauseId::kSynUnanswered), nullptr);  // the generic is no answer beside its specific
  const Diagnosis& d = a.diagnoses.front();
  EXPECT_FALSE(d.summary.empty());
  EXPECT_TRUE(mentions(d, "ListenOverflows rose by 12 in 1 s, to 52"));
  EXPECT_TRUE(mentions(d, "net.core.somaxconn=128"));
  EXPECT_TRUE(mentions(d, "nginx (pid 812) listened on 198.51.100.7:443, 129 waiting for accept(), limit 128 (net.core.somaxconn)"));
  ASSERT_TRUE(a.kernel);
  EXPECT_EQ(a.kernel->comm, "nginx");
}

// The counter is the host's: another listener may have overflowed.
TEST(Witness, BelievesNoOverflowOfAListenerWhoseQueueIsEmpty) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c);
  host.namespaces[0].counters["ListenOverflows"] += 12;
  host.namespaces[0].sockets[0].receive_queue = 0;
  host::Witness witness{host, "server.host"};
  Answer a = unanswered();
  witness.testify(c, a);
  EXPECT_EQ(first_of(a), "syn-unanswered");
}

// A rise an hour later is about other connections.
TEST(Witness, TakesARiseOfAnotherTimeForNoEvidence) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c, std::chrono::hours{1});
  host.namespaces[0].counters["ListenOverflows"] += 12;
  host::Witness witness{host, "server.host"};
  Answer a = unanswered();
  witness.testify(c, a);
  EXPECT_EQ(first_of(a), "syn-unanswered");
  const auto said = witness.shortcomings(c.start, c.end);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("after the capture ended"), std::string::npos);
}

// Linux 4.12 removed tcp_tw_recycle, with it the check of timestamps per host; where it is read as 0 there is no check.
TEST(Witness, RulesOutThePerHostTimestampCheckWhereTheSettingIsOffOrGone) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c);
  host::Witness gone{host, "server.host"};
  Answer a = unanswered();
  gone.testify(c, a);
  ASSERT_NE(rival(a, CauseId::kPerHostTimestampCheck), nullptr);
  EXPECT_EQ(rival(a, CauseId::kPerHostTimestampCheck)->verdict, Verdict::kRuledOut);
  EXPECT_EQ(find(a, CauseId::kPerHostTimestampCheck), nullptr);

  host.namespaces[0].sysctls["net.ipv4.tcp_tw_recycle"] = "1";
  host.namespaces[0].counters["PAWSPassive"] = 31;
  host.namespaces[0].earlier->counters["PAWSPassive"] = 30;
  host::Witness on{host, "server.host"};
  Answer b = unanswered();
  on.testify(c, b);
  EXPECT_EQ(first_of(b), "per-host-timestamp-check");
  EXPECT_TRUE(mentions(b.diagnoses.front(), "net.ipv4.tcp_tw_recycle=1"));
}

// With tcp_syncookies a full SYN queue answers by cookie (tcp_syn_flood_action()).
TEST(Witness, RulesOutASynQueueOverflowWhereSyncookiesAreOn) {
  const facts::Connection c = lone_syn();
  const facts::HostSnapshot host = server_of(c);
  host::Witness witness{host, "server.host"};
  Answer a = unanswered();
  witness.testify(c, a);
  ASSERT_NE(rival(a, CauseId::kSynQueueOverflow), nullptr);
  EXPECT_NE(rival(a, CauseId::kSynQueueOverflow)->because.find("net.ipv4.tcp_syncookies=1"), std::string::npos);
}

// __tcp_close() counts every close with unread data as TCPAbortOnClose.
TEST(Witness, TellsWhichAbortItWasByTheCounterThatRose) {
  facts::Connection c = lone_syn();
  c.outcome = facts::Outcome::kReset;
  facts::HostSnapshot host = server_of(c);
  host.namespaces[0].counters["TCPAbortOnClose"] += 1;
  const auto aborted = [] {
    Answer a;
    a.healthy = false;
    for (CauseId id : {CauseId::kServerAborted, CauseId::kCloseWithUnreadData, CauseId::kLingerZeroAbort, CauseId::kProcessKilled}) {
      Diagnosis d;
      d.cause = id;
      d.verdict = id == CauseId::kServerAborted ? Verdict::kLikely : Verdict::kPossible;
      d.side = facts::Side::kServer;
      a.diagnoses.push_back(d);
    }
    return a;
  };
  host::Witness one{host, "h"};
  Answer a = aborted();
  one.testify(c, a);
  EXPECT_EQ(first_of(a), "close-with-unread-data");
  EXPECT_EQ(rival(a, CauseId::kLingerZeroAbort)->because, "the server's host: TCPAbortOnData did not rise meanwhile");

  // Both rose: the host aborts in both ways, and this one cannot be told.
  host.namespaces[0].counters["TCPAbortOnData"] += 1;
  host::Witness both{host, "h"};
  Answer b = aborted();
  both.testify(c, b);
  EXPECT_EQ(first_of(b), "server-aborted");
  EXPECT_NE(find(b, CauseId::kLingerZeroAbort), nullptr);
}

// A proof of the packets outweighs a counter.
TEST(Witness, TakesNoProofBack) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c);
  host.namespaces[0].counters["ListenOverflows"] = host.namespaces[0].earlier->counters["ListenOverflows"] = 0;
  Answer proven, likely;
  proven.healthy = likely.healthy = false;
  Diagnosis d;
  d.cause = CauseId::kAcceptQueueOverflow;
  d.side = facts::Side::kServer;
  d.verdict = Verdict::kProven;
  proven.diagnoses.push_back(d);
  d.verdict = Verdict::kLikely;
  likely.diagnoses.push_back(d);
  host::Witness witness{host, "h"};
  witness.testify(c, proven);
  witness.testify(c, likely);
  EXPECT_EQ(verdict_of(proven, CauseId::kAcceptQueueOverflow), "proven");
  EXPECT_EQ(verdict_of(likely, CauseId::kAcceptQueueOverflow), "possible");
  EXPECT_TRUE(mentions(likely.diagnoses.front(), "ListenOverflows is 0: that speaks against it"));
}

TEST(Witness, TellsTheStateAndTheProcessOfTheConnectionsOwnSocket) {
  facts::Connection c = lone_syn();
  c.outcome = facts::Outcome::kOpen;
  facts::HostSnapshot host = server_of(c);
  facts::Namespace& ns = host.namespaces[0];
  facts::Socket s;
  s.state = State::kCloseWait;
  s.local = c.ends[1];
  s.remote = c.ends[0];
  s.inode = 9;
  s.receive_queue = 812;
  s.info = 0;
  facts::SocketInfo info;
  info.last_data_sent_ms = info.last_data_received_ms = info.last_ack_received_ms = 90'000;
  ns.infos.push_back(info);
  ns.sockets.push_back(s);
  host.processes.push_back({55, "worker", 'S', 0, 0});
  host.owner[9] = 1;
  host::Witness witness{host, "h"};
  Answer a;
  a.healthy = false;
  Diagnosis d;
  d.cause = CauseId::kCloseWaitLeak;
  d.verdict = Verdict::kLikely;
  a.diagnoses.push_back(d);
  witness.testify(c, a);
  EXPECT_TRUE(mentions(a.diagnoses.front(), "its socket was CLOSE_WAIT, 812 octets unread, silent for 90 s, of worker (pid 55)"));
  EXPECT_EQ(a.kernel->pid, 55u);
}

TEST(Witness, SaysWhenTheSnapshotIsOfAnotherHostOrOfAnotherTime) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c, -std::chrono::hours{3});
  host.namespaces[0].addresses = {address("203.0.113.9")};
  host::Witness witness{host, "other.host"};
  Answer a = unanswered();
  witness.testify(c, a);
  EXPECT_EQ(first_of(a), "syn-unanswered");
  EXPECT_EQ(a.diagnoses.size(), unanswered().diagnoses.size());
  EXPECT_FALSE(a.kernel);
  const auto said = witness.shortcomings(c.start, c.end);
  ASSERT_EQ(said.size(), 2u);
  EXPECT_NE(said[0].find("none of this host's addresses"), std::string::npos);
  EXPECT_NE(said[1].find("3 h before the capture began"), std::string::npos);
}

TEST(Witness, HasNoWordOnAHealthyConnection) {
  const facts::Connection c = lone_syn();
  facts::HostSnapshot host = server_of(c);
  host.namespaces[0].counters["ListenOverflows"] += 12;
  host::Witness witness{host, "h"};
  Answer a;
  witness.testify(c, a);
  EXPECT_TRUE(a.healthy);
  EXPECT_TRUE(a.diagnoses.empty());
  EXPECT_TRUE(witness.shortcomings(c.start, c.end).empty());
}

}  // namespace
}  // namespace tcpwhy::diagnose
