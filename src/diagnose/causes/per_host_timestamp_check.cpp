// tcp_tw_recycle: SYNs of one address dropped because their TSval lay below the
// last one the server remembered of that address. linux-tcp: 6.3.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

/// The last SYN that had passed when the SYN-ACK came.
std::int32_t answered_syn(const facts::Connection& c, const Opening& o) {
  std::int32_t found = o.syn;
  for (std::int32_t i = o.syn; i < o.syn_ack; ++i)
    if (!c.segment(i).from_server && c.segment(i).syn()) found = i;
  return found;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0) return;
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr) return;
  const facts::SegmentFact& syn = c.segment(c.syn);
  const Opening o = opening_of(c);
  if (o.syn_ack >= 0 && o.syns < 2) return;
  // Answered in the end: only where the SYNs before it had gone unanswered is there anything to explain.
  if (o.syn_ack >= 0 && o.syn_ack <= o.last_syn && o.syn_after_answer >= 0) return;
  const Siblings others = siblings_of(c, *service);
  // The mark must have been there when the SYN came: what its own host sends later has a larger TSval by nature.
  if (others.larger_before == 0) return;

  // One larger TSval alone is chance: clients of 4.10 and later start each connection (or each peer) at random.
  const Duration since = o.syn_ack >= 0 ? c.segment(o.syn_ack).time - others.larger_at : Duration{};
  if (o.syn_ack >= 0 && since < 59s) {
    const facts::SegmentFact& answered = c.segment(answered_syn(c, o));
    if (after(SeqNum{others.larger_tsval}, SeqNum{answered.tsval})) {
      out.contradicts({o.syn_ack}, [&] {
        return fmt::format("a SYN with TSval {} was answered while {} was still remembered", answered.tsval, others.larger_tsval);
      });
      return;
    }
  }
  const bool waited_out = o.syn_ack >= 0 && since > 59s && o.syns >= 3;
  const auto larger = [&] {
    return fmt::format("another connection from {} was accepted {} before, with TSval {}; this SYN has {}",
                       facts::to_string(c.ends[0].address), span_words(syn.time - others.larger_at),
                       others.larger_tsval, syn.tsval);
  };
  if (!waited_out && others.larger_meanwhile == 0 && others.also_refused == 0) {
    if (others.smaller_accepted == 0) out.fits({c.syn}, larger);
    return;
  }
  if (others.smaller_accepted != 0) return;  // the check lets nobody of that address in below the mark
  out.supports({c.syn}, larger);
  if (others.larger_meanwhile != 0)
    out.supports({c.syn, o.last_syn}, [&] {
      return fmt::format("while its SYNs went unanswered, {} with a larger TSval from the same address did not",
                         counted(others.larger_meanwhile, "connection"));
    });
  if (others.also_refused != 0)
    out.supports({c.syn}, [&] {
      return fmt::format("{} more with a smaller TSval from the same address went unanswered, none was accepted",
                         others.also_refused);
    });
  if (waited_out)
    out.supports({o.syn, o.last_syn, o.syn_ack}, [&] {
      return fmt::format("{} went unanswered; the one {} after the larger TSval was answered (TCP_PAWS_MSL, 60 s)",
                         counted(o.syns - 1, "SYN"), span_words(since));
    });
}

}  // namespace

extern const Cause kPerHostTimestampCheckCause;
const Cause kPerHostTimestampCheckCause = {
    .id = CauseId::kPerHostTimestampCheck,
    .title = "The server (tcp_tw_recycle) dropped the SYN: its timestamp was too old.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kSynRepeated,
    .settles = "net.ipv4.tcp_tw_recycle on the server, and TcpExtPAWSPassive rising with each refused SYN",
    .fix = {"set net.ipv4.tcp_tw_recycle=0 on the server; it breaks every client behind NAT, and 4.12 removed it",
            "switching timestamps off on the clients does not help against RHEL 7 or 4.4 to 4.10"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
