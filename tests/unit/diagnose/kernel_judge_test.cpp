// Kernel events in, verdicts out. The events are what Linux 6.18's tracepoints gave for the same situations on
// loopback; reason numbers are looked up by name, as the reader of the kernel's own type data does.

#include "diagnose/kernel/judge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace tcpwhy::diagnose::kernel {
namespace {

constexpr std::uint8_t kSyn = 0x02, kAck = 0x10, kPsh = 0x08;

struct Bench {
  facts::ReasonNames names{{"NOT_SPECIFIED", "NO_SOCKET", "TCP_ABORT_ON_CLOSE", "TCP_ABORT_ON_DATA", "TCP_STATE", "TCP_FLAGS"},
                           {"NOT_SPECIFIED", "TCP_RFC7323_PAWS", "NETFILTER_DROP", "TCP_INVALID_SYN", "TCP_INVALID_SEQUENCE", "TCP_ACK_UNSENT_DATA"}};
  facts::Glance now;      // what the kernel holds of every tuple
  bool sibling = false;   // whether the two hosts have another connection
  Judge judge{names, [](std::uint32_t, const facts::Address&) { return true; },
              [](std::uint64_t) { return Owner{}; },
              [this](const tw_event&) { return std::optional{now}; },
              [this](const tw_event&) { return sibling; }};

  static tw_event reset_sent(std::uint32_t reason) {
    tw_event e{};
    e.time_ns = 5'000'000'000;
    e.kind = TW_RESET_SENT;
    e.family = 4;
    e.reason = reason;
    e.local_port = 4444;
    e.remote_port = 40112;
    e.flags = TW_HAS_PACKET | TW_INCOMING;
    const auto local = facts::parse_address("198.51.100.7"), remote = facts::parse_address("192.0.2.10");
    std::copy_n(local->bytes.begin(), 16, e.local);
    std::copy_n(remote->bytes.begin(), 16, e.remote);
    return e;
  }
  /// The same connection, seen by another event.
  static tw_event event(tw_kind kind, std::uint32_t reason = 0) {
    tw_event e = reset_sent(reason);
    e.kind = kind;
    return e;
  }
  std::vector<Failure> after(const tw_event& e) {
    judge.observe(e);
    return judge.rest(e.time_ns + 1'000'000'000);
  }
  /// The first cause said after so many of the same event, or nothing.
  std::optional<CauseId> cause_after(const tw_event& e, int times = 1) {
    for (int i = 1; i < times; ++i) judge.observe(e);
    const auto said = after(e);
    return said.empty() ? std::nullopt : std::optional{said.front().diagnoses.front().cause};
  }
};

// RFC 9293 3.10.7.1; Linux names the reason NO_SOCKET and knows the SYN it answers.
TEST(Judge, NamesAClosedPortWhenTheKernelFoundNoSocketForASyn) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kSyn;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kPortClosed);
  EXPECT_EQ(verdicts[0].server.port, 4444);
  EXPECT_EQ(verdicts[0].reset_reason, "NO_SOCKET");
}

// The last ACK of a connection that is over meets no socket and is answered by RST: nothing is lost by it.
TEST(Judge, SaysNothingOfABareAckForATupleNobodyHolds) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kAck;
  e.ack = 3952222962;
  EXPECT_TRUE(b.after(e).empty());
}

// Data is another matter: somebody believes in a connection that this host does not have.
TEST(Judge, CallsDataForATupleNobodyHoldsAHalfOpenConnection) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kAck | kPsh;
  e.payload = 90;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kHalfOpen);
  EXPECT_NE(verdicts[0].diagnoses.front().verdict, Verdict::kProven);
}

// Linux tcp_close() with unread data (RFC 9293 3.10.4 asks for a RST): the kernel says so itself.
TEST(Judge, TakesTheKernelsWordForACloseWithUnreadData) {
  Bench b;
  tw_event e = Bench::reset_sent(2);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN;
  e.state = 1;
  e.pid = 4711;
  std::copy_n("worker", 7, e.comm);
  e.bytes_in = 100;
  e.unread = 100;
  const auto verdicts = b.after(e);
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_EQ(verdicts[0].diagnoses.front().cause, CauseId::kCloseWithUnreadData);
  EXPECT_EQ(verdicts[0].process.comm, "worker");
  EXPECT_EQ(verdicts[0].process.pid, 4711u);
}

// RFC 7323 5.3: an old duplicate has an old timestamp and is meant to be dropped. What the socket does not have yet is
// another matter, once its retransmission (after 200 ms at least) is old as well: a burst that was overtaken comes again
// with a new timestamp.
TEST(Judge, OnlyNewDataWhoseRepeatPawsRefusesAsWellIsAClockGoneBack) {
  tw_event e = Bench::event(TW_DROPPED, 1);
  e.state = 1;
  e.payload = 100;
  EXPECT_EQ(Bench{}.cause_after(e, 5), std::nullopt);
  e.flags |= TW_NEW_DATA;
  EXPECT_EQ(Bench{}.cause_after(e, 5), std::nullopt);
  Bench b;
  for (const std::uint64_t ms : {0, 210, 630}) {
    e.time_ns = 5'000'000'000 + ms * 1'000'000;
    b.judge.observe(e);
  }
  e.time_ns += 800'000'000;
  EXPECT_EQ(b.cause_after(e), CauseId::kTimestampRegression);
}

// RFC 5961 3: a RST outside the window is dropped without a word, and nobody is harmed.
TEST(Judge, AResetOutsideTheWindowHarmsNobody) {
  tw_event e = Bench::event(TW_DROPPED, 4);
  e.state = 1;
  e.tcp_flags = 0x04;
  EXPECT_EQ(Bench{}.cause_after(e, 5), std::nullopt);
}

// RFC 793 3.4 repeats of the SYN-ACK after 1, 3 and 7 s (tcp_timeout_init): two lost in a row happen, a third tells.
TEST(Judge, TwoRepeatsOfASynAckAreNotYetAFailedHandshake) {
  tw_event e = Bench::event(TW_SYNACK_REPEATED);
  e.flags = 0;
  e.tries = 1;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);
  e.tries = e.probes = 2;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kHandshakeAckLost);
  e.probes = 4;  // the client asked again: it has not got the answer
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kSynAckLost);
}

tw_event late_data() {
  tw_event e = Bench::event(TW_RESET_SENT, 3);
  e.flags |= TW_HAS_SOCKET | TW_OWNER_KNOWN | TW_FIN_UNSEEN;
  e.tcp_flags = kAck | kPsh;
  e.payload = 90;
  e.state = 7;
  e.pid = 4711;
  e.bytes_in = e.bytes_sent = 500;
  e.srtt_us = 20'000;
  e.closed_ns = e.time_ns - 10'000'000;  // half a round trip ago
  e.sent_ms = e.got_ms = 5'000;
  return e;
}

// RFC 9293 3.4: who has seen the FIN acknowledges it with whatever he sends.
TEST(Judge, ARequestThatCrossesTheCloseOfAnIdleConnectionIsAKeepaliveRace) {
  Bench b;
  b.judge.know_listener(0, 4444, {4711, "web", 0});
  EXPECT_EQ(b.cause_after(late_data()), CauseId::kKeepaliveRace);
}
TEST(Judge, ARequestThatAcknowledgesTheCloseIsDataAfterClose) {
  Bench b;
  b.judge.know_listener(0, 4444, {4711, "web", 0});
  tw_event e = late_data();
  e.flags &= ~static_cast<std::uint32_t>(TW_FIN_UNSEEN);
  EXPECT_EQ(b.cause_after(e), CauseId::kDataAfterClose);
}
// RFC 8446 6.1: close_notify is the last word of each side.
TEST(Judge, ATlsAlertThatMeetsAClosedSocketIsNoLostData) {
  tw_event e = late_data();
  e.flags |= TW_TLS_ALERT;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);
}

// A reject rule drops the packet as well (nft_reject); the ICMP error it sends tells it from a drop rule.
TEST(Judge, AFilterThatAnswersRejectsAndOneThatDoesNotDrops) {
  tw_event dropped = Bench::event(TW_DROPPED, 2);
  dropped.tcp_flags = kSyn;
  EXPECT_EQ(Bench{}.cause_after(dropped), CauseId::kSynDroppedByHostFilter);
  Bench b;
  b.judge.observe(Bench::event(TW_ICMP_SENT, 3 << 8 | 3));
  EXPECT_EQ(b.cause_after(dropped), CauseId::kRejectedByIcmp);
}

// Two initial sequence numbers in answer to one SYN are two answerers.
TEST(Judge, ASecondSynAckOfAnotherNumberIsASecondAnswerer) {
  tw_event e = Bench::event(TW_DROPPED, 3);
  e.state = 1;
  e.tcp_flags = kSyn | kAck;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);  // the same again
  e.flags |= TW_OTHER_ISN;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kConflictingSynAcks);
}

// The last ACK is not taken: SYN-ACK again after 1 and 3 s, and nothing else. One repeat is a lost ACK.
TEST(Judge, AServerThatGoesOnWithItsSynAckMayHaveAFullAcceptQueue) {
  tw_event e = Bench::event(TW_DROPPED, 3);
  e.state = 1;
  e.tcp_flags = kSyn | kAck;
  EXPECT_EQ(Bench{}.cause_after(e, 1), std::nullopt);
  Bench b;
  b.judge.observe(e);
  b.judge.observe(e);
  const auto said = b.judge.rest(e.time_ns + 2'000'000'000);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].diagnoses.front().cause, CauseId::kAcceptQueueOverflow);
  EXPECT_EQ(said[0].diagnoses.front().verdict, Verdict::kPossible);
  EXPECT_EQ(said[0].server.port, 40112);
}

// RFC 6191, RFC 9293 3.6.1: TIME_WAIT answers a SYN whose numbers are not above its own with an ACK.
TEST(Judge, ASynThatTimeWaitDropsWasChallenged) {
  tw_event e = Bench::event(TW_DROPPED, 0);
  e.state = 6;
  e.tcp_flags = kSyn;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kTimeWaitSynChallenged);
  e.state = 1;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);
}

// RFC 5961 5.2: what acknowledges data never sent is challenged; no old duplicate does.
TEST(Judge, OneAckOfWhatWasNeverSentTells) {
  tw_event e = Bench::event(TW_DROPPED, 5);
  e.state = 1;
  e.tcp_flags = kAck;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kUnacceptableAck);
}

// A host's packets reach one receiver with one TTL, but for a hop where routes differ.
TEST(Judge, AResetWithAnotherTtlThanItsSendersSegmentsIsTheNetworks) {
  tw_event e = Bench::event(TW_RESET_RECEIVED);
  e.flags = TW_HAS_SOCKET | TW_CONNECTED_OUT;
  e.state = 1;
  e.bytes_in = 100;
  e.ttl = 62;
  e.reset_ttl = 249;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kResetByNetwork);
  e.reset_ttl = 61;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kServerAborted);
}
TEST(Judge, AResetOfUnknownTtlIsOnlyPossiblyThePeers) {
  tw_event e = Bench::event(TW_RESET_RECEIVED);
  e.flags = TW_HAS_SOCKET | TW_CONNECTED_OUT;
  e.state = 1;
  e.bytes_in = 100;
  Bench b;
  const auto said = b.after(e);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].diagnoses.front().verdict, Verdict::kPossible);
  EXPECT_TRUE(std::any_of(said[0].diagnoses.begin(), said[0].diagnoses.end(), [](const Diagnosis& d) { return d.cause == CauseId::kResetByNetwork; }));
}

// SMB asks 445 and 139 at once and resets the slower one (MS-SMB 3.2.4.2.1); without a winner it is an abort.
TEST(Judge, AnAbortOfAnEmptyConnectionBesideAnotherToThatHostIsARaceDecided) {
  tw_event e = Bench::reset_sent(4);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN | TW_CONNECTED_OUT | TW_LINGER_ZERO;
  e.state = 1;
  e.opened_ns = e.time_ns - 40'000'000;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kLingerZeroAbort);
  Bench raced;
  raced.sibling = true;
  EXPECT_EQ(raced.cause_after(e), std::nullopt);
  Bench asked;
  asked.sibling = true;
  e.bytes_sent = 200;
  EXPECT_EQ(asked.cause_after(e), CauseId::kLingerZeroAbort);
}

// RFC 9293 3.5.2: a RST in answer bears the ACK number that came; outside the window it is ignored. It means nothing alone.
TEST(Judge, RstsThatFitNoNumberAnswerDataThatArrivedAsSomethingElse) {
  tw_event stray = Bench::event(TW_DROPPED, 4);
  stray.state = 1;
  stray.tcp_flags = 4;
  EXPECT_EQ(Bench{}.cause_after(stray, 5), std::nullopt);
  tw_event again = Bench::event(TW_RETRANSMIT);
  again.flags = TW_HAS_SOCKET | TW_CONNECTED_OUT;
  again.state = 1;
  again.unacked = 64;
  again.tries = 3;
  Bench b;
  b.judge.observe(again);
  EXPECT_EQ(b.cause_after(stray), CauseId::kAckNumberRewritten);
  Bench silent;
  EXPECT_EQ(silent.cause_after(again), CauseId::kPeerUnresponsive);
}

// A NAT passes what it takes for invalid untranslated: the pending request bears another address and the same port.
TEST(Judge, AWrongAckIsToldWhereTheOnlyRequestLikeItHasAnotherAddress) {
  tw_event e = Bench::reset_sent(5);
  e.tcp_flags = kAck;
  e.state = 10;
  Bench b;
  b.now.alike = 1;
  EXPECT_EQ(b.cause_after(e), CauseId::kUnacceptableAck);
  Bench crowd;
  crowd.now.alike = 2;
  EXPECT_EQ(crowd.cause_after(e), std::nullopt);
}

// A request that got a wrong ACK lives on (RFC 9293 3.10.7.4) and may be a connection, or over, when it is looked at.
TEST(Judge, AWrongAckToAPendingRequestIsToldAfterTheRequestIsOver) {
  tw_event e = Bench::reset_sent(5);
  e.tcp_flags = kAck;
  e.state = 10;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);
  Bench b;
  b.now.ended = true;
  EXPECT_EQ(b.cause_after(e), CauseId::kUnacceptableAck);
  Bench gone;  // the client has reset it before the case is judged
  gone.now.state = State::kSynRecv;
  gone.judge.observe(e);
  gone.now = {};
  const auto said = gone.judge.rest(e.time_ns + 1'000'000'000);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].diagnoses.front().cause, CauseId::kUnacceptableAck);
}

TEST(Judge, ADeferredConnectionThatEndsWithoutAnOctetNeverSent) {
  tw_event e = Bench::event(TW_SYNACK_REPEATED);
  e.flags = TW_REQ_ACKED;
  e.tries = 2;
  e.defer_accept = 2;
  Bench over;
  over.now.ended = true;
  over.judge.observe(e);
  EXPECT_TRUE(over.judge.rest(e.time_ns + 4'000'000'000).empty());
  Bench empty;
  empty.now.ended = empty.now.empty = true;
  empty.judge.observe(e);
  const auto said = empty.judge.rest(e.time_ns + 4'000'000'000);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].diagnoses.front().cause, CauseId::kDeferAcceptNoData);
}

TEST(Judge, OneHostAtManyClosedPortsIsToldOnceAsAScan) {
  Bench b;
  std::vector<Failure> said;
  for (std::uint16_t port = 1; port <= 100; ++port) {
    tw_event e = Bench::reset_sent(1);
    e.tcp_flags = kSyn;
    e.local_port = port;
    b.judge.observe(e);
  }
  said = b.judge.rest(6'000'000'000);
  EXPECT_EQ(std::count_if(said.begin(), said.end(), [](const Failure& f) { return f.diagnoses.front().cause == CauseId::kPortScan; }), 1);
  EXPECT_LT(said.size(), 20u);
}

// SO_LINGER with a time of 0 in CLOSE_WAIT, the end of file unread: all was delivered.
TEST(Judge, AResetInPlaceOfTheLastFinIsNoFault) {
  tw_event e = Bench::reset_sent(4);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN | TW_LINGER_ZERO;
  e.state = 8;
  e.bytes_in = e.bytes_sent = 100;
  e.unread = 1;
  EXPECT_EQ(Bench{}.cause_after(e), std::nullopt);
  e.state = 1;
  EXPECT_EQ(Bench{}.cause_after(e), CauseId::kLingerZeroAbort);
}

// tcp_close() sets CLOSE before tcp_send_active_reset(): what the socket was before decides whether anything is lost.
TEST(Judge, TellsAnAbortByTheStateThatTheSocketWasClosedIn) {
  tw_event e = Bench::event(TW_RESET_SENT, 4);
  e.flags = TW_HAS_SOCKET | TW_LINGER_ZERO | TW_OWNER_KNOWN;
  e.state = static_cast<std::uint8_t>(State::kClose);
  e.bytes_in = e.bytes_sent = 100;
  {
    Bench b;
    e.old_state = static_cast<std::uint8_t>(State::kEstablished);
    const auto said = b.cause_after(e);
    EXPECT_EQ(said, CauseId::kLingerZeroAbort);
  }
  {
    Bench b;  // the peer had closed, and all was delivered
    e.old_state = static_cast<std::uint8_t>(State::kCloseWait);
    EXPECT_EQ(b.cause_after(e), std::nullopt);
  }
}

// Where the server fails first, nothing of the client's says that the connection is another one: its own birth does.
TEST(Judge, AnAcceptedConnectionIsAnotherOneWhenItsHandshakeCameAfterTheLastEnd) {
  Bench b;
  tw_event e = Bench::event(TW_RESET_SENT, 2);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN;
  e.state = static_cast<std::uint8_t>(State::kEstablished);
  e.unread = 1;
  for (int i = 0; i < 3; ++i) {
    e.opened_ns = e.time_ns + 1'000'000;
    e.time_ns += 2'000'000;
    b.judge.observe(e);
  }
  EXPECT_EQ(b.judge.due(e.time_ns + 300'000'000).size(), 3u);
}

// A RST that answers a segment without a socket knows no birth; it comes before what the client tells of the same connection.
TEST(Judge, AnAnswerWithoutASocketDoesNotHideTheConnectionItBelongsTo) {
  Bench b;
  tw_event own = Bench::event(TW_RESET_SENT, 4);
  own.flags = TW_HAS_SOCKET | TW_LINGER_ZERO | TW_OWNER_KNOWN | TW_CONNECTED_OUT;
  own.state = static_cast<std::uint8_t>(State::kEstablished);
  own.bytes_in = own.bytes_sent = 100;
  own.opened_ns = own.time_ns - 1'000'000;
  b.judge.observe(own);
  EXPECT_EQ(b.judge.due(own.time_ns + 300'000'000).size(), 1u);
  tw_event answer = Bench::reset_sent(1);
  answer.tcp_flags = kAck;
  answer.time_ns = own.time_ns + 600'000'000;
  b.judge.observe(answer);
  own.opened_ns = answer.time_ns - 1'000;
  own.time_ns = answer.time_ns + 1'000;
  b.judge.observe(own);
  EXPECT_EQ(b.judge.due(own.time_ns + 300'000'000).size(), 1u);
}

// RFC 6298 5.5: a SYN or SYN-ACK that was repeated belongs to the handshake it led to.
TEST(Judge, AHandshakeAfterARepeatedSynAckIsTheSameConnection) {
  Bench b;
  tw_event repeated = Bench::event(TW_SYNACK_REPEATED);
  repeated.state = static_cast<std::uint8_t>(State::kSynRecv);
  repeated.tries = 1;
  b.judge.observe(repeated);
  tw_event e = Bench::event(TW_RESET_SENT, 2);
  e.flags = TW_HAS_SOCKET | TW_OWNER_KNOWN;
  e.state = static_cast<std::uint8_t>(State::kEstablished);
  e.unread = 1;
  e.opened_ns = repeated.time_ns + 1'000'000;
  e.time_ns = repeated.time_ns + 2'000'000;
  b.judge.observe(e);
  EXPECT_EQ(b.judge.due(e.time_ns + 300'000'000).size(), 1u);
  EXPECT_TRUE(b.judge.rest(e.time_ns + 20'000'000'000).empty());
}

TEST(Judge, APortThatFailsAgainAtOnceHasFailedTwice) {
  Bench b;
  tw_event e = Bench::event(TW_RESET_SENT, 4);
  e.flags = TW_HAS_SOCKET | TW_LINGER_ZERO | TW_OWNER_KNOWN | TW_CONNECTED_OUT;
  e.state = static_cast<std::uint8_t>(State::kClose);
  e.old_state = static_cast<std::uint8_t>(State::kEstablished);
  e.bytes_in = e.bytes_sent = 100;
  e.opened_ns = e.time_ns - 1'000'000;
  const auto told = [&](std::uint64_t later_ns) {
    e.time_ns += later_ns;
    b.judge.observe(e);
    return b.judge.due(e.time_ns + 300'000'000).size();
  };
  EXPECT_EQ(told(0), 1u);
  EXPECT_EQ(told(500'000'000), 0u) << "the rest of what was told";
  e.opened_ns = e.time_ns + 400'000'000;
  EXPECT_EQ(told(500'000'000), 1u);
  // Before the first of them is judged as well.
  for (int i = 0; i < 3; ++i) {
    e.opened_ns = e.time_ns + 1'000'000;
    e.time_ns += 2'000'000;
    b.judge.observe(e);
  }
  EXPECT_EQ(b.judge.due(e.time_ns + 300'000'000).size(), 3u);
}

// Silence about a connection must not be taken for health where its event met too many others.
TEST(Judge, CountsEveryEventThatItHasNoRoomFor) {
  Bench b;
  tw_event e = Bench::reset_sent(1);
  e.tcp_flags = kSyn;
  constexpr std::uint32_t kMany = 100'000;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    e.remote_port = static_cast<std::uint16_t>(i);
    e.local_port = static_cast<std::uint16_t>(1 + (i >> 16));
    b.judge.observe(e);
  }
  EXPECT_GT(b.judge.overlooked(), 0u);
  std::uint64_t told = 0;
  for (const Failure& f : b.judge.rest(e.time_ns + 1'000'000'000)) told += f.connections;
  EXPECT_EQ(told + b.judge.overlooked(), kMany);
}

}  // namespace
}  // namespace tcpwhy::diagnose::kernel
