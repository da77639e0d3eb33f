// Generic: one side holds a connection the other does not (RFC 9293 3.5.1). The
// side without it answers valid data with RST whose sequence number is the ACK
// number it just received (linux-tcp.md 9.5).

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/reset_story.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::RstShape;
using namespace std::chrono_literals;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.challenged_at && !c.stream(Party::kServer).fin_seen && !c.stream(Party::kServer).rst_seen) {
    const auto last = static_cast<std::int32_t>(c.segments.size()) - 1;
    out.note(Bearing::kSupports, {last}, {c.challenged_frame}, [&] {
      return fmt::format("a new SYN from the same ports came {} after its last segment, and the server answered with the numbers "
                         "of this connection: it still held it", say(*c.challenged_at - c.segment(last).time));
    });
    out.blames(facts::Side::kUnknown);
    out.says([] { return std::string{"The server still held the connection when its ports were dialled anew."}; });
    return;
  }
  for (Party p : {Party::kServer, Party::kClient}) {
    const facts::StreamFacts& stateless = c.stream(p);
    if (stateless.rst < 0 || stateless.fin_seen) continue;
    const std::int32_t rst = stateless.rst;
    if (c.note(rst).rst_shape != RstShape::kPassive) continue;
    const std::int32_t offender = c.note(rst).provoked_by;
    // A foreign RST says nothing about its sender's state.
    if (const auto ended = ending::ending_reset(c); ended && ended->at == rst && ended->foreign()) continue;
    if (offender < 0 || c.segment(offender).syn() || c.segment(offender).rst()) continue;
    if (c.segment(offender).fin() && c.outcome == facts::Outcome::kCompleted) continue;  // nothing was left to lose
    // Within the life of the connection only a side that had been silent can have lost it meanwhile.
    const std::int32_t heard = last_of(c, p, rst);
    if (heard < 0 && c.quality.began_late) continue;  // it may have closed before the capture
    if (c.syn >= 0 && !established(c)) continue;
    if (heard >= 0 && c.segment(offender).time - c.segment(heard).time < 1s) continue;
    // Who gave up on its own unanswered data had the connection until then: the silence before is the story.
    if (const auto gave_up = unanswered(c, p); gave_up && given_time(c, *gave_up)) continue;
    // A server that still repeats its SYN-ACK has no connection to lose.
    if (p == Party::kServer && server_still_in_handshake(c)) continue;
    if (c.quality.capture_gap) continue;  // its FIN may be among what was not recorded
    if (c.stream(other(p)).fin_seen && c.stream(other(p)).fin < offender) continue;
    out.supports({offender, rst}, [&] {
      return fmt::format("{} answered a segment of the connection (frame {}) with a RST that has no state behind it: "
                         "seq is that segment's ACK number", name(p), c.segment(offender).frame);
    });
    out.blames(side_of(p));
    out.says([&] { return fmt::format("{} no longer had the connection that {} went on using.", capital(p), name(other(p))); });
    return;
  }
}

}  // namespace

extern const Cause kHalfOpenCause;
const Cause kHalfOpenCause = {
    .id = CauseId::kHalfOpen,
    .title = "One side held a connection that the other no longer had.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kTupleTaken,
    .settles = "whether the resetting host restarted, or timed the connection out, before (its uptime, ss, logs)",
    .fix = {"let the side that keeps the connection find out: SO_KEEPALIVE with TCP_KEEPIDLE below the time it matters"},
    .specifics = {CauseId::kPeerRestarted, CauseId::kClientRestarted, CauseId::kHalfOpenChallenged,
                  CauseId::kNatPortCollision},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
