// A device between the vantages dropped the SYN without a word.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  // One vantage cannot see a drop behind it: this follows syn-unanswered as possible,
  // or is ruled out where the SYN is seen to arrive.
  if (c.syn >= 0 && at_server(c, survey))
    out.contradicts({c.syn}, [] { return std::string{"the SYN arrived at the server, where this was captured"}; });
}

}  // namespace

extern const Cause kSynDroppedOnPathCause;
const Cause kSynDroppedOnPathCause = {
    .id = CauseId::kSynDroppedOnPath,
    .title = "A device on the path dropped the SYN silently.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered,
    .settles = "a capture on the server at the same time: the SYN does not arrive",
    .fix = {"find the hop: `tcptraceroute -n HOST PORT` stops before it; compare with a port that works",
            "ask whoever runs the filter there to allow, or to reject instead of dropping"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
