// A device translated SEQ or ACK numbers wrongly; the receiver reset or challenged.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"
#include "diagnose/wrong_ack.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Connection;

/// The far side of the device: what it made wrong is not seen, but what the other end answered is.
void examine_answers(const Connection& c, EvidenceList& out) {
  const auto story = ending::misplaced_answers(c);
  if (!story) return;
  const facts::SegmentFact& rst = c.segment(story->first);
  const auto by = rst.from();
  out.supports({story->offender, story->first}, [&] {
    return fmt::format("the {} answered data with RST number {}, while the ACK of that data was {}: it had been given another ACK number than was sent here",
                       ending::who(by), rst.seq.raw(), c.segment(story->offender).ack.raw());
  });
  if (story->count >= 2)
    out.supports({story->first, story->last}, [&] {
      return fmt::format("{} such RSTs, each answering a transmission of the same data and each ignored by the {} (RFC 5961 3.2)", story->count,
                         ending::who(facts::other(by)));
    });
  if (story->constant && story->count >= 2)
    out.supports({story->first}, [&] {
      return fmt::format("all differ from the right number by the same {}", story->shift);
    });
}

void examine(const Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto w = ending::wrong_acks(c);
  if (!w) {
    examine_answers(c, out);
    return;
  }
  // Nobody objected, and frames are missing or the ports were used before: the capture lacks what was acknowledged.
  if (w->answer < 0 && (c.quality.capture_gap || c.quality.coverage_cut || c.quality.capture_reordered || c.previous_end ||
                        c.note(w->first).seq_place == facts::SeqPlace::kAhead))
    return;
  const std::string_view who = ending::who(w->by);
  // A restarted peer or another client of a NAT would not continue the sequence numbers (RFC 9293 3.4).
  if (!w->sequence_right) {
    out.contradicts({w->first}, [&] {
      return fmt::format("the {}'s sequence numbers do not continue either: this is another connection, not a translated one", who);
    });
    return;
  }
  if (ending::took_another_syn_ack(c, *w)) {
    out.contradicts({c.syn_ack, w->first}, [&] {
      return fmt::format("the {} does not use what its SYN and this SYN-ACK agreed on: it answers another SYN-ACK", who);
    });
    return;
  }
  const facts::SegmentFact& s = c.segment(w->first);
  const auto say = [&] {
    return fmt::format("the {} acknowledged {}, which the {} never sent ({} off), while its sequence numbers continue", who, s.ack.raw(),
                       ending::who(facts::other(w->by)), w->shift);
  };
  // Who acknowledged rightly a moment before cannot itself lose the count by a constant: its numbers were changed on the way.
  if (w->right_before >= 0 && w->constant && w->count >= 2)
    out.demands({w->right_before, w->first, w->last}, say);
  else
    out.supports({w->first}, say);
  if (w->right_before >= 0)
    out.supports({w->right_before, w->first}, [&] {
      return fmt::format("frame {} of the same side still acknowledged what had been sent", c.segment(w->right_before).frame);
    });
  if (w->answer >= 0)
    out.supports({w->first, w->answer}, [&] {
      return c.segment(w->answer).rst()
                 ? fmt::format("the {} answered with RST {}, the number it was given (RFC 9293 3.10.7.4, tcp_check_req())",
                               ending::who(facts::other(w->by)), c.segment(w->answer).seq.raw())
                 : fmt::format("the {} answered with a challenge ACK (RFC 5961 5.2, tcp_ack())", ending::who(facts::other(w->by)));
    });
  if (w->count >= 2 && w->constant)
    out.supports({w->first, w->last}, [&] { return fmt::format("{} segments are off by the same {}", w->count, w->shift); });
}

}  // namespace

extern const Cause kAckNumberRewrittenCause;
const Cause kAckNumberRewrittenCause = {
    .id = CauseId::kAckNumberRewritten,
    .title = "A device on the path changed ACK numbers; the receiver refused them.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kImpossibleAck | facts::Signal::kOutOfWindow | facts::Signal::kReset,
    .settles = "captures on both sides of each balancer, NAT and firewall: the pair where the ACK number changes and SEQ does not follow",
    .fix = {"look at devices that renumber: sequence randomisation, SYN proxy, TCP splicing, application-layer gateways (FTP, SIP); switch it off there",
            "all segments of a connection must pass the same device: look for asymmetric routes"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
