// The SYN arrived, and the host's own packet filter dropped it.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || !at_server(c, survey)) return;
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr) return;
  const Siblings others = siblings_of(c, *service);
  // A filter by source: this address is never let in while every other address is.
  // The queues of a listener know no addresses, and its clients' fate would be mixed.
  if (others.accepted_meanwhile >= 2 && others.others_failed == 0 && others.larger_accepted == 0 &&
      others.smaller_accepted == 0)
    out.fits({c.syn}, [&] {
      return fmt::format("{} of other addresses completed while this one's SYNs went unanswered",
                         counted(others.accepted_meanwhile, "connection"));
    });
}

}  // namespace

extern const Cause kSynDroppedByHostFilterCause;
const Cause kSynDroppedByHostFilterCause = {
    .id = CauseId::kSynDroppedByHostFilter,
    .title = "The server's own packet filter dropped the SYN.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered,
    .settles = "the rule's counter on the server (nft list ruleset, iptables -L -v -n), or drop reason "
               "NETFILTER_DROP of skb:kfree_skb",
    .fix = {"allow the port or the source in the server's filter; a cloud's security group counts as one",
            "rp_filter drops as well where the route back leaves by another interface (IP_RPFILTER)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
