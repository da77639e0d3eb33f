// The third segment, or all that followed the SYN, did not reach the server.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn_ack < 0 || c.quality.one_direction) return;  // what the client sent was not captured
  const Opening o = opening_of(c);
  if (o.client_rst >= 0 && o.third < 0) return;  // the client had an answer: it wants none of this
  if (o.progress >= 0 || settled(c, o) || c.outcome == facts::Outcome::kPartial) out.passed();  // mended by the next one
  const bool repeated_alone = o.unasked > 0 && o.syn_after_answer < 0;

  if (o.third < 0) {
    // Nothing of the client after its SYN passed here.
    if (at_client(c, survey)) {
      out.contradicts({o.syn_ack}, [] { return std::string{"the client's host never sent an ACK; this was captured there"}; });
      return;
    }
    if (o.syn_after_answer >= 0) {
      out.contradicts({o.syn_ack, o.syn_after_answer}, [] {
        return std::string{"the client repeated its SYN after the SYN-ACK had passed: it had no answer to acknowledge"};
      });
      return;
    }
    // One that is not repeated was answered, or is a SYN cookie's, and a copy right after it is no timer's.
    if (!repeated_alone || c.segment(o.last_syn_ack).time - c.segment(o.syn_ack).time < std::chrono::milliseconds{200}) return;
    out.supports({o.syn_ack, o.last_syn_ack}, [&] {
      return fmt::format("{} sent, no ACK of the client passed here, and the client did not repeat its SYN",
                         counted(o.syn_acks, "SYN-ACK"));
    });
    return;
  }
  if (o.repeats == 0) {
    out.passed();  // an ACK did follow the last repeat
    // The ACK came late, after the SYN-ACK had been repeated: an earlier one was lost before here.
    if (repeated_alone && o.third > o.last_syn_ack)
      out.supports({o.syn_ack, o.last_syn_ack, o.third}, [&] {
        return fmt::format("the SYN-ACK was repeated after {}; only then did an ACK of the client pass here",
                           span_words(c.segment(o.last_syn_ack).time - c.segment(o.syn_ack).time));
      });
    return;
  }
  if (at_server(c, survey)) {
    out.contradicts({o.third, o.repeat}, [] {
      return std::string{"the client's ACK had arrived at the server before the SYN-ACK was repeated"};
    });
    return;
  }
  out.supports({o.third, o.repeat}, [&] {
    return fmt::format("the client's ACK passed here, and {} later the server still repeated its SYN-ACK",
                       span_words(c.segment(o.repeat).time - c.segment(o.third).time));
  });
}

}  // namespace

extern const Cause kHandshakeAckLostCause;
const Cause kHandshakeAckLostCause = {
    .id = CauseId::kHandshakeAckLost,
    .title = "The client's ACK did not reach the server, which repeats its SYN-ACK.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAckRepeated | facts::Signal::kHandshakeIncomplete,
    .settles = "a capture on the server: does the client's ACK arrive before the SYN-ACK is repeated",
    .fix = {"if only the SYN passes: a stateless filter or an asymmetric path drops segments without SYN; look there",
            "a single loss mends itself with the next SYN-ACK or with the client's first data"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
