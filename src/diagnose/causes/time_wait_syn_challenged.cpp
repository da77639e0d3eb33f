// A SYN hit TIME_WAIT with old numbers: ACK instead of SYN-ACK, then RST.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/challenge.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Linux include/net/tcp.h TCP_TIMEWAIT_LEN, and the restart each refused segment brings.
constexpr Duration kTimeWait = 125s;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto met = challenge_of(c);
  if (!met) return;
  const facts::SegmentFact& ack = c.segment(met->ack);
  const facts::SegmentFact& syn = c.segment(met->syn);
  if (met->reopened >= 0 && c.handshake_ack >= 0) out.passed();  // the next SYN was let in
  out.supports({met->syn, met->ack}, [&] {
    return fmt::format("the SYN (seq {}) was answered by an ACK of {}, the number an older connection expected",
                       syn.seq.raw(), ack.ack.raw());
  });
  if (met->rst >= 0)
    out.supports({met->ack, met->rst}, [] {
      return std::string{"the client reset that with the ACK's own number (RFC 9293 3.10.7.3), which ends TIME_WAIT"};
    });
  if (met->time_wait_would_accept)
    out.contradicts({met->syn, met->ack}, [&] {
      return fmt::format("TIME_WAIT lets in a SYN with a newer {} (RFC 6191; Linux tcp_timewait_state_process())",
                         met->newer_sequence ? "sequence number" : "timestamp");
    });
  if (met->no_ip_id)
    out.supports({met->ack}, [] {
      return std::string{"the ACK has IP ID 0, as Linux (4.19 and later) sends from TIME_WAIT; a connection counts its IDs"};
    });
  if (!met->previous_seen) return;
  if (met->previous_closed && met->since_previous <= kTimeWait)
    out.supports({met->syn}, [&] {
      return fmt::format("the same ports had been closed {} before, by the {} first", span_words(met->since_previous),
                         met->server_closed_first ? "server" : "client");
    });
  if (!met->previous_closed)
    out.contradicts({met->syn}, [] {
      return std::string{"the older connection of these ports had not been closed, so it was not in TIME_WAIT"};
    });
}

}  // namespace

extern const Cause kTimeWaitSynChallengedCause;
const Cause kTimeWaitSynChallengedCause = {
    .id = CauseId::kTimeWaitSynChallenged,
    .title = "The SYN hit a connection in TIME_WAIT, which answered with its old ACK.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAnsweredByAck,
    .settles = "`ss -nto state time-wait` on the server shows the 4-tuple at that time",
    .fix = {"let the client close first, or use more source ports, so that a port comes back after more than 60 s",
            "a NAT before many clients: give it more outside addresses, and let it keep sequence numbers rising",
            "a filter that drops the client's RST makes it permanent; let RSTs through",
            "no sysctl shortens TIME_WAIT on Linux (tcp_fin_timeout does not)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
