// SYNs without an answer or with a negative one, and handshakes that do not
// complete. Times and numbers are the articles' (linux-tcp.md 12) where they
// have a case, else the rules' of sections 3 to 9.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "unit/diagnose/answers.hpp"

namespace tcpwhy::diagnose {
namespace {

facts::Endpoint endpoint(const facts::Connection& c, facts::Party p) { return c.ends[facts::index(p)]; }

// linux-tcp.md 12.1 case G, packet by packet: SYN-ACKs at 0, 1.001 and 3.201 s, the listener's RST at 12.9 s.
const std::string kCaseG = R"(
  0.000000 > S 2997388295 win 29200 <mss 1460,ts,ws 7>
  0.000115 < SA 2883911494 2997388296 win 28960 <mss 1460,ts,ws 7>
  0.000396 > A 2997388296 2883911495
  0.000516 > PA 2997388296(90) 2883911495 http-req
  0.201284 > PA 2997388296(90) 2883911495 http-req
  0.402355 > PA 2997388296(90) 2883911495 http-req
  0.805299 > PA 2997388296(90) 2883911495 http-req
  1.001546 < SA 2883911494 2997388296 win 28960 <mss 1460,ts,ws 7>
  1.001849 > A 2997388386 2883911495
  1.611384 > PA 2997388296(90) 2883911495 http-req
  3.201533 < SA 2883911494 2997388296 win 28960 <mss 1460,ts,ws 7>
  3.201920 > A 2997388386 2883911495
  3.221251 > PA 2997388296(90) 2883911495 http-req
  6.445338 > PA 2997388296(90) 2883911495 http-req
  12.901400 > PA 2997388296(90) 2883911495 http-req
  12.901649 < R 2883911495 win 0
)";

TEST(PortClosed, IsLikelyWhereARstAcknowledgesTheSyn) {
  const Answer a = answer_of("0.000 > S 100 <mss 1460,sackok,ts,ws 7>\n0.020 < RA 0 101 win 0 id 0\n");
  EXPECT_EQ(first_of(a), "port-closed");
  EXPECT_EQ(verdict_of(a, CauseId::kPortClosed), "likely");
  EXPECT_FALSE(a.healthy);
}

// Recorded at the server: only SYN-ACKs came back while the client sent its data again and again, and then it was gone.
TEST(AcceptQueueOverflow, AClientThatGaveUpItselfWasNotRestarted) {
  const Answer a = answer_of(R"(
    @vantage server
    0.000 > S 100 <mss 1460,sackok,ts 5000 0,ws 7>
    0.000 < SA 300 101 <mss 1460,sackok,ts 9000 5000,ws 7>
    0.015 > A 101 301 <ts 5015 9000>
    0.016 > PA 101:165 301 http-req idem <ts 5016 9000>
    0.244 > PA 101:165 301 http-req idem <ts 5244 9000>
    0.453 > PA 101:165 301 http-req idem <ts 5453 9000>
    0.915 > PA 101:165 301 http-req idem <ts 5915 9000>
    1.023 < SA 300 101 <mss 1460,sackok,ts 10023 5915,ws 7>
    1.029 > A 165 301 <ts 6029 9000>
    1.809 > PA 101:165 301 http-req idem <ts 6809 9000>
    3.039 < SA 300 101 <mss 1460,sackok,ts 12039 6809,ws 7>
    3.061 > A 165 301 <ts 8061 9000>
    7.103 < SA 300 101 <mss 1460,sackok,ts 16103 6809,ws 7>
    7.117 > R 301
  )");
  EXPECT_EQ(first_of(a), "accept-queue-overflow");
  EXPECT_EQ(find(a, CauseId::kPeerRestarted), nullptr);
  for (const Diagnosis& d : a.diagnoses)
    for (const Rival& r : d.rivals) EXPECT_NE(r.cause, CauseId::kPeerRestarted);
}

TEST(PortClosed, IsRuledOutByATtlThatIsNotTheHosts) {
  const facts::Connection c = ladder::connection("0.000 > S 100 <mss 1460>\n0.020 < RA 0 101 win 0 id 0 ttl 128\n");
  facts::Survey survey;
  facts::HostFacts& host = survey.hosts[endpoint(c, facts::Party::kServer).address];
  host.syn_acks = 3;
  host.ttl_seen[62] = 3;
  host.fastest_syn_ack = std::chrono::milliseconds{20};
  const Answer a = explain(c, survey, Detail::kSentences);
  EXPECT_EQ(first_of(a), "rejected-by-middlebox");
  EXPECT_EQ(find(a, CauseId::kPortClosed), nullptr);
}

TEST(PortClosed, IsRuledOutByAnAnswerFasterThanTheHostCanGive) {
  const facts::Connection c = ladder::connection("0.000 > S 100 <mss 1460>\n0.0003 < RA 0 101 win 0 id 0 ttl 62\n");
  facts::Survey survey;
  facts::HostFacts& host = survey.hosts[endpoint(c, facts::Party::kServer).address];
  host.syn_acks = 3;
  host.ttl_seen[62] = 3;
  host.fastest_syn_ack = std::chrono::milliseconds{40};
  EXPECT_EQ(first_of(explain(c, survey, Detail::kSentences)), "rejected-by-middlebox");
}

TEST(RejectedByIcmp, IsProvenByAPortUnreachable) {
  const Answer a = answer_of("0.000 > S 100 <mss 1460>\n@icmp 0.001 > 3 3 100\n");
  EXPECT_EQ(first_of(a), "rejected-by-icmp");
  EXPECT_EQ(verdict_of(a, CauseId::kRejectedByIcmp), "proven");
}

TEST(HostUnreachable, IsProvenByTheRoutersWord) {
  EXPECT_EQ(first_of("0.000 > S 100 <mss 1460>\n@icmp 3.100 > 3 1 100\n"), "host-unreachable");
}

TEST(SynUnanswered, IsTheAnswerAtTheClientAndItsSpecificsFollowAsPossible) {
  const Answer a = answer_of("@vantage client\n0.00 > S 100\n1.02 > S 100\n3.06 > S 100\n");
  EXPECT_EQ(first_of(a), "syn-unanswered");
  for (CauseId id : {CauseId::kSynDroppedOnPath, CauseId::kSynAckLost, CauseId::kAcceptQueueOverflow})
    EXPECT_EQ(verdict_of(a, id), "possible") << to_string(id);
}

/// A capture that goes on for `watched` seconds after one SYN, in which another connection was answered.
Answer lone_syn(double watched, bool other_family_connected = false) {
  const facts::Connection c = ladder::connection("@client [2001:db8:1::10]:40000\n@server [2001:db8:2::7]:443\n@end " +
                                                 std::to_string(watched) + "\n0.00 > S 100 <mss 1440>\n");
  facts::Survey survey;
  survey.two_direction_connections = 1;
  if (other_family_connected) {
    const facts::Endpoint v4{*facts::parse_address("198.51.100.7"), 443};
    facts::ServiceFacts& service = survey.services[v4];
    service.endpoint = v4;
    service.accepted = 1;
    facts::Attempt a;
    a.syn = ladder::at(0.2);
    a.client = *facts::parse_address("192.0.2.10");
    a.connection = c.id + 1;
    service.attempts_sample.values.push_back(a);
  }
  return explain(c, survey, Detail::kSentences);
}

TEST(SynUnanswered, CannotBeToldBeforeTheClientsFirstTimeout) {
  // RFC 6298 2.1: one second; Linux's timer wheel may be an eighth late.
  EXPECT_TRUE(no_fault(lone_syn(0.7)));
  EXPECT_TRUE(no_fault(lone_syn(1.1)));
  EXPECT_EQ(first_of(lone_syn(1.3)), "syn-unanswered");
}

TEST(DualPortRace, IsASynNotRepeatedWhereTheOtherFamilyConnected) {
  for (double watched : {0.7, 1.1, 5.0}) {
    const Answer a = lone_syn(watched, true);
    EXPECT_EQ(first_of(a), "dual-port-race") << watched;
    EXPECT_TRUE(no_fault(a)) << watched;
  }
}

/// A connection answered at its third SYN, while others of the same client with a larger TSval were accepted at once.
Answer answered_late(std::uint32_t tsval_at_the_third) {
  facts::Connection c = ladder::connection(R"(
    0.000 > S 100 <mss 1460,sackok,ts 1000 0,ws 7>
    1.030 > S 100 <mss 1460,sackok,ts 2030 0,ws 7>
    2.055 > S 100 <mss 1460,sackok,ts 3055 0,ws 7>
    2.862 < SA 300 101 <mss 1460,sackok,ts 77 3055,ws 7>
    2.863 > A 101 301
  )");
  c.segments[2].tsval = tsval_at_the_third;
  facts::Survey survey;
  const facts::Endpoint server = endpoint(c, facts::Party::kServer);
  facts::ServiceFacts& service = survey.services[server];
  service.endpoint = server;
  service.accepted = 1;
  for (double when : {-1.0, 0.5}) {
    facts::Attempt a;
    a.syn = ladder::at(when);
    a.client = endpoint(c, facts::Party::kClient).address;
    a.tsval = 500'000;
    a.has_timestamps = true;
    a.connection = c.id + 1;
    service.attempts_sample.values.push_back(a);
  }
  return explain(c, survey, Detail::kSentences);
}

TEST(PerHostTimestampCheck, IsRefutedWhereASynBelowTheMarkIsAnsweredWithinAMinute) {
  // Linux tcp_peer_is_proven() of old: below the stored value nothing passes for TCP_PAWS_MSL, 60 s.
  EXPECT_EQ(find(answered_late(3055), CauseId::kPerHostTimestampCheck), nullptr);
  EXPECT_NE(find(answered_late(600'000), CauseId::kPerHostTimestampCheck), nullptr);
}

TEST(Handshake, AnAckThatOvertakesItsSynAckHidesNoOpening) {
  // The repeated SYN came first and the older one was answered by a bare ACK (PAWS); the path swapped the answers.
  const std::string opening = R"(
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    1.013 > S 100 <mss 1460,sackok,ts,ws 7>
    1.050 < A 301 101
    1.051 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    1.051 > A 101 301
    1.060 > PA 101:165 301 http-req
    1.100 < A 301 165
    1.101 < PA 301:541 165 http-resp length 240
    1.101 > A 165 541
  )";
  EXPECT_TRUE(no_fault(answer_of("@vantage client\n" + opening)));
  const Answer a = answer_of("@vantage client\n" + opening + R"(
    1.300 > PA 165:234 541 http-req
    1.600 > PA 165:234 541 http-req
    2.200 > PA 165:234 541 http-req
    3.400 > PA 165:234 541 http-req
  )");
  EXPECT_EQ(first_of(a), "peer-unresponsive");
}

TEST(SynUnanswered, AtTheServerExcludesThePath) {
  const Answer a = answer_of("@vantage server\n0.00 > S 100 in\n1.02 > S 100 in\n3.06 > S 100 in\n");
  EXPECT_EQ(first_of(a), "syn-unanswered");
  EXPECT_EQ(find(a, CauseId::kSynDroppedOnPath), nullptr);
}

TEST(SynUnanswered, IsNotClaimedOfASynAtTheVeryEndOfTheCapture) {
  EXPECT_TRUE(answer_of("@end 0.2\n0.00 > S 100\n").diagnoses.empty());
}

TEST(SynAckLost, IsLikelyWhereTheClientAsksAgainAfterAnAnswerPassed) {
  const Answer a = answer_of("@vantage server\n0.00 > S 100\n0.0001 < SA 300 101\n1.02 > S 100\n1.0201 < SA 300 101\n"
                             "2.05 > S 100\n2.0501 < SA 300 101\n");
  EXPECT_EQ(first_of(a), "syn-ack-lost");
  EXPECT_EQ(verdict_of(a, CauseId::kSynAckLost), "likely");
}

TEST(AcceptQueueOverflow, ExplainsTheArticlesCaseGAtEveryVantage) {
  for (const char* vantage : {"@vantage client\n", "@vantage between\n", "@vantage server\n"}) {
    const Answer a = answer_of(vantage + kCaseG);
    EXPECT_EQ(first_of(a), "accept-queue-overflow") << vantage;
    EXPECT_EQ(verdict_of(a, CauseId::kAcceptQueueOverflow), "likely") << vantage;
    EXPECT_FALSE(a.healthy);
  }
}

TEST(AcceptQueueOverflow, IsNotClaimedWhereOneRepeatIsMendedByTheNextAck) {
  const Answer a = answer_of("@vantage client\n0.00 > S 100\n0.01 < SA 300 101\n0.01 > A 101 301\n1.02 < SA 300 101\n"
                             "1.02 > A 101 301\n1.04 < PA 301(20) 101\n1.04 > A 101 321\n1.05 > PA 101(5) 321\n"
                             "1.06 < FA 321 106\n1.06 > FA 106 322\n1.07 < A 322 107\n");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

// Recorded at a client on a path that lost 5 % each way: every bare ACK was lost, the first data was taken at once.
TEST(AcceptQueueOverflow, IsNotClaimedAtTheClientWhereOnlyBareAcksWereIgnored) {
  const Answer a = answer_of(R"(
  0.000 > S 100 win 64240 <mss 1460>
  0.041 < SA 900 101 win 65160 <mss 1460>
  0.0411 > A 101 901
  1.063 < SA 900 101 win 65160 <mss 1460>
  1.0631 > A 101 901
  3.075 < SA 900 101 win 65160 <mss 1460>
  3.0751 > A 101 901
  3.099 > PA 101(143) 901
  3.140 < A 901 244
  3.142 < PA 901(59) 244
  3.1421 > A 244 960
  4.450 > FA 244 960
  4.491 < FA 960 245
  4.4911 > A 245 961
)");
  EXPECT_TRUE(a.healthy);
}

// Recorded at a client on a path that lost one bare ACK; the request is three segments long and is sent once.
TEST(AcceptQueueOverflow, IsNotClaimedForAFlightOfSeveralSegmentsThatIsTakenAtOnce) {
  const Answer a = answer_of(R"(
  0.000 > S 100 win 65280 <mss 1360>
  0.121 < SA 900 101 win 64704 <mss 1360>
  0.1211 > A 101 901
  1.140 < SA 900 101 win 64704 <mss 1360>
  1.1401 > A 101 901
  1.2014 > A 101(1348) 901
  1.2015 > PA 1449(1348) 901
  1.2016 > PA 2797(369) 901
  1.3223 < A 901 1449
  1.3224 < A 901 2797
  1.3225 < A 901 3166
  1.7117 < PA 901(38) 3166
  1.7118 > FA 3166 939
  1.8325 < FA 939 3167
  1.8326 > A 3167 940
)");
  EXPECT_TRUE(a.healthy);
}

/// linux-tcp.md 12.1 case F: R 28 microseconds after the ACK, seq = its ACK number, window 0. A listener that is closed
/// between SYN-ACK and ACK leaves the same (seen on 6.18: tcp_v4_rcv() drops the request and looks up again).
const std::string kThirdAckReset = "@vantage server\n0.000000 > S 1965671248 win 29200 <mss 1460,ts,ws 7>\n"
                                   "0.000110 < SA 3965903705 1965671249 win 28960 <mss 1460,ts,ws 7>\n"
                                   "0.000506 > A 1965671249 3965903706\n0.000534 < R 3965903706 win 0\n";

/// The same beside one other attempt at the service.
Answer third_ack_reset_beside(double syn, facts::Attempt::Fate fate) { return answer_beside(kThirdAckReset, syn, fate); }

TEST(AcceptQueueOverflowReset, IsPossibleWhereNothingShowsThatTheListenerWasStillThere) {
  const Answer a = answer_of(kThirdAckReset);
  EXPECT_EQ(first_of(a), "accept-queue-overflow-reset");
  EXPECT_EQ(verdict_of(a, CauseId::kAcceptQueueOverflowReset), "possible");
  EXPECT_EQ(verdict_of(a, CauseId::kProcessKilled), "possible");
}

TEST(AcceptQueueOverflowReset, IsLikelyBesideAConnectionThatWaitsAndWhereTheListenerAnswersLater) {
  using Fate = facts::Attempt::Fate;
  for (const Answer& a : {third_ack_reset_beside(-0.5, Fate::kAccepted), third_ack_reset_beside(2.0, Fate::kIncomplete)}) {
    EXPECT_EQ(first_of(a), "accept-queue-overflow-reset");
    EXPECT_EQ(verdict_of(a, CauseId::kAcceptQueueOverflowReset), "likely");
  }
}

TEST(AcceptQueueOverflowReset, IsRuledOutWhereTheNextSynIsRefused) {
  const Answer a = third_ack_reset_beside(2.0, facts::Attempt::Fate::kRefused);
  EXPECT_EQ(find(a, CauseId::kAcceptQueueOverflowReset), nullptr);
  EXPECT_EQ(first_of(a), "process-killed");
}

TEST(NoData, IsNotSaidOfAHandshakeWhoseLastSegmentWasRefused) {
  // A client that closes at once sends its FIN with the third segment; R with its ACK number says that nobody took it up.
  const Answer a = answer_of("@vantage client\n0.000 > S 100\n0.290 < SA 300 101\n0.292 > FA 101 301\n0.600 < R 301\n");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(find(a, CauseId::kNoData), nullptr);
}

/// linux-tcp.md 4.2: the client writes one second after the end of the period: SYN-ACK again at its end only.
std::string deferred(std::string_view repeat, int written) {
  return fmt::format("@vantage server\n0.0000 > S 100\n0.0001 < SA 300 101\n0.0100 > A 101 301\n"
                     "{0} < SA 300 101\n{0}1 > A 101 301\n{1}.0000 > PA 101:201 301 http-req\n"
                     "{1}.0001 < A 301 201\n{1}.0010 < PA 301:401 201 http-resp length 100\n{1}.0110 > A 201 401\n"
                     "{1}.0200 > FA 201 401\n{1}.0201 < FA 401 202\n{1}.0300 > A 202 402\n", repeat, written);
}

TEST(DeferAcceptWait, IsProvenAtTheServerByTheRepeatsThatWereLeftOut) {
  const Answer a = answer_of(deferred("7.280", 8));
  EXPECT_EQ(verdict_of(a, CauseId::kDeferAcceptWait), "proven");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(DeferAcceptWait, IsNotProvenByThreeSecondsWhichAreTheFirstTimeoutOf2632) {
  const Answer a = answer_of(deferred("3.020", 4));
  EXPECT_EQ(verdict_of(a, CauseId::kDeferAcceptWait), "likely");
  EXPECT_TRUE(no_fault(a)) << first_of(a);
}

TEST(AcceptQueueOverflow, RepeatsTheSynAckInItsFirstSecondsOrIsAnotherCause) {
  const Answer a = answer_of("@vantage server\n0.0000 > S 100\n0.0001 < SA 300 101\n0.0100 > A 101 301\n"
                             "7.2800 < SA 300 101\n7.2900 > A 101 301\n20.0000 < FA 301 101\n20.0100 > A 101 302\n"
                             "21.0000 > FA 101 302\n21.0001 < A 302 102\n");
  EXPECT_EQ(find(a, CauseId::kAcceptQueueOverflow), nullptr);
}

TEST(HandshakeAckLost, IsLikelyAtTheServerWhereNothingFollowedTheSyn) {
  const Answer a = answer_of("@vantage server\n0.0000 > S 100\n0.0001 < SA 300 101\n1.0200 < SA 300 101\n3.0600 < SA 300 101\n");
  EXPECT_EQ(first_of(a), "handshake-ack-lost");
}

TEST(ConnectTimeout, IsLikelyWhereALateSynAckMeetsAReset) {
  const Answer a = answer_of("@vantage client\n0.00 > S 100\n1.02 > S 100\n2.50 < SA 300 101\n2.50 > R 101 win 0\n");
  EXPECT_EQ(first_of(a), "connect-timeout");
}

// net.ipv4.tcp_syncookies=2: the minute of the cookie may change between a SYN and its repeat a second later.
TEST(ConflictingSynAcks, AreNotToldOfTwoAlikeThatAnswerTwoSyns) {
  const std::string syns = "@vantage server\n0.00 > S 100\n0.00 < SA 300 101 <mss 1460> ttl 64\n1.02 > S 100\n1.02 < SA 9000 101 <mss 1460> ttl ";
  EXPECT_NE(verdict_of(answer_of(syns + "64\n2.04 > S 100\n2.04 < SA 9000 101 <mss 1460> ttl 64\n"), CauseId::kConflictingSynAcks), "proven");
  EXPECT_EQ(verdict_of(answer_of(syns + "61\n"), CauseId::kConflictingSynAcks), "proven") << "two places";
}

TEST(ConnectTimeout, IsLikelyAtTheServerWhereASynComesBehindTheRstOfItsHost) {
  // The path holds SYNs back for longer than the client waits; here each of them is answered at once.
  const Answer a = answer_of("@vantage server\n0.00 > S 100\n0.00 < SA 300 101\n0.01 > R 101 win 0\n1.01 > S 100\n1.01 < SA 900 101\n1.02 > R 101 win 0\n");
  EXPECT_EQ(first_of(a), "connect-timeout");
}

// A burst at a small backlog, net.ipv4.tcp_syncookies=1: the SYN queue is full as well, and nothing is kept of a SYN.
TEST(AcceptQueueOverflow, IsLikelyWithSyncookiesBesideConnectionsThatNobodyReads) {
  const facts::Connection c = ladder::connection("@vantage client\n0.00 > S 100\n0.02 < SA 300 101\n0.02 > A 101 301\n0.03 > PA 101:181 301 http-req\n"
                                                 "0.25 > PA 101:181 301 http-req\n0.70 > PA 101:181 301 http-req\n1.60 > PA 101:181 301 http-req\n3.40 > PA 101:181 301 http-req\n");
  facts::Survey survey;
  const facts::Endpoint server = endpoint(c, facts::Party::kServer);
  facts::ServiceFacts& service = survey.services[server];
  service.endpoint = server;
  facts::Attempt taken;
  taken.syn = ladder::at(0.0);
  taken.connection = c.id + 1;
  service.attempts_sample.values.push_back(taken);
  EXPECT_EQ(first_of(explain(c, survey, Detail::kSentences)), "peer-unresponsive") << "nobody shows that the kernel takes data";
  service.attempts_sample.values.back().unread = true;
  EXPECT_EQ(first_of(explain(c, survey, Detail::kSentences)), "accept-queue-overflow");
  service.attempts_sample.values.back().server_spoke = true;
  EXPECT_EQ(first_of(explain(c, survey, Detail::kSentences)), "peer-unresponsive") << "an application that reads empties the queue";
}

// The server scales by 10 all the same, and the client, which heard of no scale, sends into 64 octets at a time.
TEST(OptionsStripped, IsToldByAClientThatKeepsTheWindowOfItsSynThoughBothAgreedOnScale) {
  const auto story = [](std::string_view window) {
    return fmt::format("@vantage server\n0.000 > S 100 win 64240 <mss 1460,ws 10>\n0.000 < SA 300 101 win 65160 <mss 1460,ws 10>\n"
                       "0.050 > A 101 301 win {0}\n0.051 > PA 101:1101 301 win {0}\n0.051 < A 301 1101 win 64\n"
                       "0.300 > PA 1101:1165 301 win {0}\n0.300 < A 301 1165 win 64\n0.560 > PA 1165:1229 301 win {0}\n0.560 < A 301 1229 win 64\n"
                       "0.820 > PA 1229:1293 301 win {0}\n0.820 < A 301 1293 win 64\n@end 0.9\n", window);
  };
  EXPECT_EQ(first_of(answer_of(story("64240"))), "options-stripped");
  EXPECT_EQ(find(answer_of(story("63")), CauseId::kOptionsStripped), nullptr);
}

TEST(OptionsStripped, IsToldByWindowsThatLookScaledBehindASynAckWithoutScale) {
  const std::string opening = "@vantage client\n0.00 > S 100 <mss 1460,ws 7>\n0.01 < SA 300 101 win 65160 <mss 1460>\n0.01 > A 101 301\n0.02 > PA 101:1549 301\n";
  const std::string rest = "0.23 > PA 1549:1613 301\n0.24 < A 301 1613 win W\n0.45 > PA 1613:1677 301\n0.46 < A 301 1677 win W\n0.67 > PA 1677:1741 301\n"
                           "0.68 < A 301 1741 win W\n0.90 > PA 1741:1805 301\n1.12 > PA 1741:1805 301\n1.13 < A 301 1805 win W\n";
  const auto story = [&](const std::string& window) {
    std::string text = opening + "0.03 < A 301 1549 win W\n" + rest;
    for (std::size_t at = text.find("win W"); at != std::string::npos; at = text.find("win W")) text.replace(at, 5, "win " + window);
    return text;
  };
  EXPECT_NE(find(answer_of(story("64")), CauseId::kOptionsStripped), nullptr);
  EXPECT_EQ(find(answer_of(story("63700")), CauseId::kOptionsStripped), nullptr);
}

/// A SYN refused by a RST with TTL 64, where the host's other segments had these.
Answer refused_at_64(std::initializer_list<std::pair<std::size_t, std::uint32_t>> ttls) {
  const facts::Connection c = ladder::connection("@vantage client\n0.00 > S 100\n0.01 < RA 0 101 win 0 ttl 64\n");
  facts::Survey survey;
  facts::HostFacts& host = survey.hosts[endpoint(c, facts::Party::kServer).address];
  host.syn_acks = 9;
  for (const auto& [ttl, times] : ttls) host.ttl_seen[ttl] = times;
  return explain(c, survey, Detail::kSentences);
}

TEST(RejectedByMiddlebox, IsToldByOneHopWhereTheHostIsAlwaysOneHopFarther) {
  // The NAT between client and server refuses (nft reject with tcp reset).
  EXPECT_EQ(first_of(refused_at_64({{63, 9}})), "rejected-by-middlebox");
  EXPECT_EQ(first_of(refused_at_64({{63, 1}})), "port-closed") << "one connection shows no custom";
  EXPECT_EQ(first_of(refused_at_64({{63, 9}, {62, 4}})), "port-closed") << "routes that differ by a hop";
  EXPECT_EQ(first_of(refused_at_64({{65, 9}})), "port-closed") << "a port passed on to a host behind";
}

TEST(TimeWait, ChallengesASynWithOlderNumbersAndDoesNotStandForALiveConnection) {
  const std::string story = "1.00 > S 5000\n1.01 < A 900 9000 id 0\n1.01 > R 9000\n2.02 > S 5000\n2.03 < SA 70000 5001\n2.03 > A 5001 70001\n";
  EXPECT_EQ(first_of("@previous closed 0.4 9000 900 server\n" + story), "time-wait-syn-challenged");
  const Answer alive = answer_of("@previous alive 0.4 9000 900 server\n" + story);
  EXPECT_EQ(find(alive, CauseId::kTimeWaitSynChallenged), nullptr);
}

TEST(TimeWait, WouldHaveLetInANewerSequenceNumber) {
  // linux-tcp.md 6.5 b: after rcv_nxt: SYN-ACK. So an ACK came from a connection that is still held.
  const Answer a = answer_of("1.00 > S 15000\n1.01 < A 900 9000 id 7\n1.01 > R 9000\n2.02 > S 15000\n2.03 < SA 70000 15001\n"
                             "2.03 > A 15001 70001\n");
  EXPECT_EQ(find(a, CauseId::kTimeWaitSynChallenged), nullptr);
  EXPECT_EQ(first_of(a), "half-open-challenged");
}

TEST(Opening, ASynAckNeitherAnsweredNorRepeatedTellsNothing) {
  // A client without it repeats its SYN, a server without the ACK its SYN-ACK (RFC 6298 2.1): the rest was not captured.
  EXPECT_TRUE(no_fault(answer_of(R"(
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.166 < SA 300 101 <mss 1460,sackok,ts,ws 7>
  )")));
}

TEST(Opening, NothingIsSaidOfALoneSynBeforeItsFirstTimeout) {
  EXPECT_TRUE(no_fault(answer_of("@end 0.9\n0.000 > S 100 <mss 1460,sackok,ts,ws 7>\n")));
}

TEST(Opening, ACopyOfTheSynAckRightAfterItIsNoRepeat) {
  EXPECT_TRUE(no_fault(answer_of(R"(
    @vantage server
    @end 0.9
    0.000 > S 100 <mss 1460>
    0.001 < SA 300 101 <mss 1460> id 7
    0.003 < SA 300 101 <mss 1460> id 8
  )")));
}

// RFC 5961 4.2: the challenge ACK draws a RST, and the next SYN finds the port free.
TEST(Opening, AChallengedSynThatIsLetInAfterwardsIsNoFault) {
  EXPECT_TRUE(no_fault(answer_of(R"(
    @vantage client
    0.000 > S 100 <mss 1460>
    0.018 < A 777000 888000 id 4467
    0.018 > R 888000
    3.000 > S 100 <mss 1460>
    3.018 < SA 300 101 <mss 1460>
    3.018 > A 101 301
    3.019 > PA 101:201 301
    3.040 < PA 301:401 201
    3.041 > FA 201 401
    3.060 < FA 401 202
    3.060 > A 202 402
  )")));
}

/// Two SYNs of one address unanswered within 50 ms, the other's TSval as given; one with a larger TSval was accepted before.
Answer two_unanswered(std::uint32_t tsval_of_the_other) {
  const facts::Connection c = ladder::connection("@vantage client\n0.00 > S 100 <mss 1460,ts 739813859 0>\n1.03 > S 100 <mss 1460,ts 739814889 0>\n");
  facts::Survey survey;
  facts::ServiceFacts& service = survey.services[c.ends[1]];
  service.endpoint = c.ends[1];
  const auto attempt = [&](double when, std::uint32_t tsval, facts::Attempt::Fate fate) {
    facts::Attempt a;
    a.syn = ladder::at(when);
    a.client = c.ends[0].address;
    a.has_timestamps = true;
    a.tsval = tsval;
    a.fate = fate;
    a.connection = c.id + 1 + service.attempts_sample.values.size();
    service.attempts_sample.add(a);
  };
  attempt(-0.116, 1'355'715'261, facts::Attempt::Fate::kAccepted);
  attempt(-0.050, tsval_of_the_other, facts::Attempt::Fate::kUnanswered);
  return explain(c, survey, Detail::kSentences);
}

TEST(PerHostTimestampCheck, NeedsRefusedSynsOfOneClock) {
  // The phone of linux-tcp.md 12.3 has one clock; Linux since 4.10 begins each connection's at random.
  EXPECT_EQ(first_of(two_unanswered(739'813'859 - 50)), "per-host-timestamp-check");
  EXPECT_NE(first_of(two_unanswered(12'345)), "per-host-timestamp-check");
}

TEST(AcceptQueueOverflow, IsNotToldFromARoundTripThatARepeatedSynHides) {
  // Karn's rule (RFC 6298 3): the SYN-ACK may answer the first SYN, and what crosses it takes as long.
  EXPECT_TRUE(no_fault(answer_of(R"(
    @vantage client
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    1.022 > S 100 <mss 1460,sackok,ts,ws 7>
    1.059 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    1.059 > A 101 301
    1.619 > PA 101:165 301 http-req
    1.723 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    1.723 > A 165 301
    1.727 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    2.176 < A 301 165
    2.181 < PA 301:541 165 http-resp length 240
    2.181 > A 165 541
  )")));
}

TEST(PerHostTimestampCheck, WhatTheSameHostSendsLaterIsNoMark) {
  // tcp_tw_recycle compared with the last TSval it had of that address when the SYN came; a clock goes on.
  facts::Survey survey;
  const facts::Connection c = ladder::connection(R"(
    0.000 > S 100 <mss 1460,ts 5000 0>
    1.000 > S 100 <mss 1460,ts 6000 0>
    3.000 > S 100 <mss 1460,ts 8000 0>
    3.001 < SA 300 101 <mss 1460,ts>
    3.002 > A 101 301
  )");
  facts::Attempt later;
  later.syn = ladder::at(0.1);
  later.client = c.ends[0].address;
  later.has_timestamps = true;
  later.tsval = 5100;
  later.connection = c.id + 1;
  survey.services[c.ends[1]].attempts_sample.add(later);
  EXPECT_EQ(find(explain(c, survey, Detail::kSentences), CauseId::kPerHostTimestampCheck), nullptr);
}

// Recorded at a client on a path that lost 5 %, 145 ms long: the third segment and the first data were lost, the second
// transmission was taken and the third was on its way when its ACK came.
TEST(AcceptQueueOverflow, IsNotClaimedOfDataThatWasOnItsWayWhenTheServerTookIt) {
  EXPECT_TRUE(no_fault(answer_of(R"(
    @vantage client
    0.000 > S 100 <mss 1460,sackok,ts 5000 0,ws 10>
    0.145 < SA 300 101 <mss 1460,sackok,ts 9000 5000,ws 10>
    0.145 > A 101 301 <ts 5145 9000>
    1.239 < SA 300 101 <mss 1460,sackok,ts 10030 5000,ws 10>
    1.239 > A 101 301 <ts 6239 9000>
    1.534 > PA 101:244 301 http-req idem <ts 6534 9000>
    2.031 > PA 101:244 301 http-req idem <ts 7031 9000>
    2.575 > PA 101:244 301 http-req idem <ts 7575 9000>
    2.683 < A 301 244 <ts 11115 7031>
    2.748 < A 301 244 <ts 11588 7575,dsack 101:244>
    3.089 < PA 301:360 244 http-resp length 59 <ts 11898 7575>
    3.089 > A 244 360
  )")));
}

// Recorded at a client behind a full buffer: the SYN-ACKs were a second on their way, and the timestamp that they echo says
// which SYN made them.
TEST(AcceptQueueOverflow, IsNotToldFromSynAcksThatCrossedTheAckOnALongWay) {
  EXPECT_TRUE(no_fault(answer_of(R"(
    @vantage client
    0.000 > S 100 <mss 1460,sackok,ts 5000 0,ws 10>
    1.030 > S 100 <mss 1460,sackok,ts 6030 0,ws 10>
    1.184 < SA 300 101 <mss 1460,sackok,ts 9000 5000,ws 10>
    1.184 > A 101 301 <ts 6184 9000>
    1.977 < SA 300 101 <mss 1460,sackok,ts 10008 5000,ws 10>
    1.977 > A 101 301 <ts 6977 9000>
    2.142 < SA 300 101 <mss 1460,sackok,ts 10364 5000,ws 10>
    @end 2.5
  )")));
}

TEST(AcceptQueueOverflow, AListenerThatDoesNotRepeatItsSynAckForTenSecondsHadTakenTheConnection) {
  // Linux repeats the SYN-ACK 1, 3, 7 s after it while the queue is full; here once, and the data was lost on the way.
  const Answer a = answer_of(R"(
    @vantage client
    0.000 > S 100 <mss 1460,sackok,ts,ws 7>
    0.012 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    0.012 > A 101 301
    0.013 > PA 101:184 301 http-req idem
    0.244 > PA 101:184 301 http-req idem
    1.022 < SA 300 101 <mss 1460,sackok,ts,ws 7>
    1.022 > A 184 301
    5.144 > PA 101:184 301 http-req idem
    14.872 > PA 101:184 301 http-req idem
    14.883 < A 301 184
    14.916 < PA 301:801 184 http-resp length 500
    14.917 > A 184 801
    14.930 > FA 184 801
    14.942 < FA 801 185
    14.942 > A 185 802
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kAcceptQueueOverflow), "") << first_of(a);
}

// A public capture of two MSDP routers (RFC 3618 5.6 asks for MD5): one has no key. RFC 2385 2.0.
TEST(AuthenticationMismatch, IsLikelyWhereOnlyTheSynIsSignedAndNoSynAckIsTaken) {
  EXPECT_EQ(first_of(R"(
    @end 60
    0.000 > S 100 <mss 1460,md5>
    0.001 < SA 300 101 <mss 1460>
    2.005 < SA 300 101 <mss 1460>
    2.006 > S 100 <mss 1460,md5>
    2.008 < A 301 101
    6.009 < SA 300 101 <mss 1460>
    6.010 > S 100 <mss 1460,md5>
    6.011 < A 301 101
  )"), "authentication-mismatch");
}

TEST(Challenge, AnAckJustBeyondTheSynBelongsToItsOwnConnectionWhoseSynAckWasNotCaptured) {
  const Answer a = answer_of(R"(
    @vantage client
    0.000 > S 1000 <mss 1460,sackok,ts,ws 7>
    0.041 < A 300 1086
    0.042 < PA 300:653 1086 http-resp length 300
    0.042 > A 1086 653
    0.043 < FA 653 1086
    0.044 > FA 1086 654
    0.070 < A 654 1087
  )");
  EXPECT_EQ(verdict_of(a, CauseId::kHalfOpenChallenged), "") << first_of(a);
  EXPECT_EQ(verdict_of(a, CauseId::kTimeWaitSynChallenged), "") << first_of(a);
}

// The next repeat would have been due two seconds after the first (linux-tcp 3.3); the listener has its connection.
TEST(HandshakeAckLost, IsMendedByTheNextAckWhereTheSynAckIsNotRepeatedAgain) {
  const std::string once = "@vantage client\n0.00 > S 100\n0.01 < SA 300 101\n0.01 > A 101 301\n1.02 < SA 300 101\n1.02 > A 101 301\n";
  EXPECT_TRUE(no_fault(answer_of("@end 6\n" + once)));
  EXPECT_FALSE(answer_of("@end 2\n" + once).healthy);
}

// Two SYNs that waited for the same neighbour's address arrive together.
TEST(SynAckLost, IsNotShownByASynThatWasUnderWayWithTheFirst) {
  EXPECT_EQ(first_of("@vantage server\n0.000 > S 100\n0.0001 < SA 300 101\n0.0004 > S 100\n0.0005 < SA 300 101\n"
                     "1.03 < SA 300 101\n3.05 < SA 300 101\n7.08 < SA 300 101\n"), "handshake-ack-lost");
}

TEST(PeerUnresponsive, ASynAckForASecondSynIsNoSignOfAnOpenHandshake) {
  EXPECT_EQ(first_of("@vantage client\n@end 60\n0.00 > S 100\n1.00 > S 100\n1.36 < SA 300 101\n1.36 > A 101 301\n1.37 < SA 300 101\n"
                     "1.37 > A 101 301\n1.42 > PA 101(50) 301 http-req idem\n4.5 > PA 101(50) 301 http-req idem\n"
                     "8.9 > PA 101(50) 301 http-req idem\n17.3 > PA 101(50) 301 http-req idem\n"), "peer-unresponsive");
}

}  // namespace
}  // namespace tcpwhy::diagnose
