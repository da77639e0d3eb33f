// A SYN hit a connection the server still held: challenge ACK, then RST.

#include "diagnose/cause.hpp"
#include "diagnose/challenge.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto met = challenge_of(c);
  if (!met) return;
  const facts::SegmentFact& ack = c.segment(met->ack);
  if (met->reopened >= 0 && c.handshake_ack >= 0) out.passed();  // the next SYN was let in
  // RFC 5961 4.2; Linux tcp_send_challenge_ack(), in a synchronized state, since 3.6 and in RHEL 6.
  out.supports({met->syn, met->ack}, [&] {
    return fmt::format("the SYN was answered by an ACK (seq {}, ack {}) of an older connection",
                       ack.seq.raw(), ack.ack.raw());
  });
  if (met->rst >= 0)
    out.supports({met->ack, met->rst}, [] {
      return std::string{"the client reset that with the ACK's own number, which ends the older connection (RFC 5961 3.2)"};
    });
  if (met->has_ip_id)
    out.supports({met->ack}, [&] {
      return fmt::format("the ACK has IP ID {}, the running counter of a connection that is still held", ack.ip_id);
    });
  if (!met->previous_seen) return;
  if (!met->previous_closed && !at_client(c, survey))
    out.supports({met->syn}, [&] {
      return fmt::format("the older connection of these ports was last heard of {} before, not closed",
                         span_words(met->since_previous));
    });
  else if (met->previous_closed && met->server_closed_first && !met->time_wait_would_accept)
    out.contradicts({met->syn}, [] {
      return std::string{"the older connection had been closed both ways, the server first: it is in TIME_WAIT"};
    });
}

}  // namespace

extern const Cause kHalfOpenChallengedCause;
const Cause kHalfOpenChallengedCause = {
    .id = CauseId::kHalfOpenChallenged,
    .title = "The SYN hit a connection that the server still held, and was challenged.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAnsweredByAck,
    .settles = "`ss -nto` on the server shows the 4-tuple ESTABLISHED when the SYN arrives; TcpExtTCPSYNChallenge rises",
    .fix = {"find why the server did not learn of the old connection's end: a lost FIN or RST, a restart, a NAT's timer",
            "keepalive on the server's sockets (tcp_keepalive_time below the NAT's timer) clears such connections",
            "clients of 5.15 and later repeat their SYN at once after the challenge; older ones wait 1 s"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
