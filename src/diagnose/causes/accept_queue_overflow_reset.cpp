// tcp_abort_on_overflow=1: the third ACK met a full accept queue and a RST.

#include <fmt/format.h>

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn_ack < 0) return;
  const Opening o = opening_of(c);
  if (o.third < 0 || o.server_rst < 0 || o.server_rst < o.third) return;
  const facts::SegmentFact& rst = c.segment(o.server_rst);
  const facts::SegmentFact& third = c.segment(o.third);
  // Linux tcp_check_req() embryonic_reset: R, seq = the ACK's number, window 0, no options.
  if (rst.has_ack()) {
    out.contradicts({o.server_rst}, [] {
      return std::string{"the RST carries an ACK: a socket made it, and after an overflow there is none"};
    });
    return;
  }
  if (o.repeats > 0) {
    out.contradicts({o.third, o.repeat}, [] {
      return std::string{"the ACK was first ignored and the SYN-ACK repeated; tcp_abort_on_overflow resets at once"};
    });
    return;
  }
  if (!third_ack_refused(c, o)) return;
  const auto refused = refused_after(c, survey, rst.time);
  const bool answered = listener_seen_between(c, survey, rst.time, refused ? refused->syn : rst.time + 30s);
  if (refused && !answered) {
    out.contradicts({o.server_rst}, [&] {
      return fmt::format("the next connection to this port was refused {} later: the listener was gone", span_words(refused->syn - rst.time));
    });
    return;
  }
  // The host sends the same RST where the listener was closed meanwhile: it takes a sign that it was still there.
  const std::uint32_t waiting = waiting_beside(c, survey);
  out.note(answered || waiting > 0 ? Bearing::kSupports : Bearing::kFits, {o.third, o.server_rst}, {}, [&] {
    return fmt::format("{} after the client's ACK a RST came with its ACK number as sequence number, window {}",
                       span_words(rst.time - third.time), rst.window);
  });
  if (answered)
    out.supports({o.server_rst}, [] { return std::string{"the listener was still there: it answered a SYN that came after the RST"}; });
  if (waiting > 0)
    out.supports({o.syn_ack}, [&] {
      return fmt::format("{} to this port had completed and heard nothing of the application yet; closing the listener resets what waits in its queue",
                         counted(waiting, "other connection"));
    });
  if (!answered && waiting == 0) return;
  if (c.stream(facts::Party::kServer).ttl != 0 && rst.ttl == c.segment(o.syn_ack).ttl)
    out.supports({o.syn_ack, o.server_rst}, [&] {
      return fmt::format("SYN-ACK and RST have the same TTL, {}: one host sent both", rst.ttl);
    });
}

}  // namespace

extern const Cause kAcceptQueueOverflowResetCause;
const Cause kAcceptQueueOverflowResetCause = {
    .id = CauseId::kAcceptQueueOverflowReset,
    .title = "The accept queue was full, and the server reset the client's ACK.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "net.ipv4.tcp_abort_on_overflow=1 on the server, and TcpExtListenOverflows rising with each RST",
    .fix = {"find out why the application does not call accept(), and raise the listen() backlog with net.core.somaxconn",
            "net.ipv4.tcp_abort_on_overflow=0 (the default) lets a short burst recover instead of failing clients",
            "if the setting is 0: the listening socket was closed between SYN-ACK and ACK (a restart)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
