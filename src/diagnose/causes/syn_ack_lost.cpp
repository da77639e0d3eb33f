// The server answered; the answer did not reach the client.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0) return;
  if (c.syn_ack < 0) {
    if (at_server(c, survey) && answers_would_show(c, survey))
      out.contradicts({c.syn}, [] { return std::string{"no SYN-ACK left the server, where this was captured"}; });
    return;
  }
  const Opening o = opening_of(c);
  if (o.third >= 0) return;  // it did arrive in the end
  // A RST of the client shows that something arrived, however late.
  if (o.client_rst >= 0) {
    out.contradicts({o.syn_ack, o.client_rst}, [] {
      return std::string{"the client answered the SYN-ACK with a RST, so it arrived"};
    });
    return;
  }
  if (o.syn_after_answer < 0) {
    if (at_client(c, survey) && o.unasked > 0)
      out.fits({o.syn_ack, o.last_syn_ack}, [&] {
        return fmt::format("{} reached the client's host, which sent nothing back: its own filter may drop them",
                           counted(o.syn_acks, "SYN-ACK"));
      });
    return;
  }
  const facts::SegmentFact& answer = c.segment(o.syn_ack);
  out.supports({o.syn, o.syn_ack, o.syn_after_answer}, [&] {
    return fmt::format("the client sent its SYN again {} after a SYN-ACK had passed here",
                       span_words(c.segment(o.syn_after_answer).time - answer.time));
  });
  out.supports({o.syn_ack, o.last_syn_ack}, [&] {
    return fmt::format("{} passed, and no ACK of the client ever did", counted(o.syn_acks, "SYN-ACK"));
  });
  if (at_client(c, survey))
    out.says([] { return std::string{"The SYN-ACK reached the client's host, and the client ignored it."}; });
}

}  // namespace

extern const Cause kSynAckLostCause;
const Cause kSynAckLostCause = {
    .id = CauseId::kSynAckLost,
    .title = "The server answered, and the SYN-ACK was lost on its way back.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kHandshakeIncomplete,
    .settles = "a capture on the client at the same time: no SYN-ACK arrives",
    .fix = {"look at the way back from the server: route, stateful filters and NAT that saw no SYN (asymmetric paths)",
            "a filter on the client's own host drops answers too: nft list ruleset, iptables -L INPUT -v"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
