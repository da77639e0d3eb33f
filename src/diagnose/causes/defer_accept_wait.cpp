// TCP_DEFER_ACCEPT: a bare ACK is ignored until data comes or the period ends.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn_ack < 0) return;
  const Opening o = opening_of(c);
  if (o.third < 0 || o.repeat < 0 || c.segment(o.third).payload_bytes != 0) return;
  if (o.data_repeat >= 0 || o.data_tries >= 3) {
    out.contradicts({o.data, o.data_repeat, o.last_try}, [] {
      return std::string{"data arrived and was ignored as well; a deferring listener waits for just that"};
    });
    return;
  }
  if (o.repeats >= 2) {
    out.contradicts({o.third, o.repeat, o.last_syn_ack}, [&] {
      return fmt::format("the SYN-ACK came again {} times; since 2.6.32 an acknowledged request repeats it once",
                         o.repeats);
    });
    return;
  }
  if (c.stream(facts::Party::kClient).payload_bytes == 0 || o.progress < 0) return;  // see defer-accept-no-data

  const Duration gap = c.segment(o.repeat).time - c.segment(o.syn_ack).time;
  // After one second a lost ACK looks the same, unless it is seen to have arrived.
  const bool telling = at_server(c, survey) || o.first_wait > kFirstSynAckRepeat;
  out.note(telling ? Bearing::kSupports : Bearing::kFits, {o.third, o.repeat}, {}, [&] {
    return fmt::format("the SYN-ACK came again once, {} after the first, although the client's bare ACK had {}",
                       span_words(gap), at_server(c, survey) ? "arrived" : "passed here");
  });
  if (!telling) return;
  note_repeats_left_out(c, o, survey, out);
  if (o.data >= 0 && o.progress > o.data)
    out.supports({o.data, o.progress}, [&] {
      return fmt::format("the data was taken at once when it came, {} later",
                         span_words(c.segment(o.progress).time - c.segment(o.data).time));
    });
}

}  // namespace

extern const Cause kDeferAcceptWaitCause;
const Cause kDeferAcceptWaitCause = {
    .id = CauseId::kDeferAcceptWait,
    .title = "The server waited for the client's data (TCP_DEFER_ACCEPT) and said SYN-ACK again.",
    .benign = true,
    .side = facts::Side::kServer,
    .role = Role::kTrouble,
    .signals = facts::Signal::kSynAckRepeated,
    .settles = "TcpExtTCPDeferAcceptDrop rising on the server (3.10 and later), or the listener's configuration",
    .fix = {"nothing is wrong: the listener asked to be woken with data only (nginx deferred, Apache AcceptFilter)",
            "for protocols in which the server speaks first, switch it off"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
