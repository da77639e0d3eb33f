// ARP or ND for the next hop stayed unanswered, so nothing could be sent.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Linux neigh: three questions, one a second (mcast_solicit, retrans_time_ms).
constexpr std::uint32_t kQuestions = 2;
// An answer that waits for its next hop's address asks within this time.
constexpr Duration kAsksAtOnce = 100ms;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || c.stream(facts::Party::kServer).seen) return;
  for (const facts::NeighbourFacts& n : survey.neighbours) {
    if (n.answers != 0 || n.questions < kQuestions) continue;
    const bool of_target = n.target == c.ends[index(facts::Party::kServer)].address;
    const Duration after_syn = n.first - c.segment(c.syn).time;
    const bool asked_for_it = after_syn >= Duration{} && after_syn < kAsksAtOnce;
    const bool meanwhile = n.first <= c.end && n.last + 4s >= c.start;
    if (!meanwhile || !(of_target || asked_for_it)) continue;
    out.note(Bearing::kSupports, {c.syn}, {n.first_frame, n.last_frame}, [&] {
      return fmt::format("{} {} for {} stayed unanswered, the first {}", counted(n.questions, n.target.version == 6 ? "neighbour solicitation" : "ARP request"),
                         n.last > n.first ? fmt::format("in {}", span_words(n.last - n.first)) : std::string{"at once"},
                         facts::to_string(n.target),
                         asked_for_it ? fmt::format("{} after the SYN", span_words(after_syn)) : std::string{"before the SYN"});
    });
    if (asked_for_it && !of_target)
      out.note(Bearing::kSupports, {c.syn}, {n.first_frame}, [&] {
        return fmt::format("the SYN arrived and its answer waited for the hardware address of {}", facts::to_string(n.target));
      });
    out.blames(at_server(c, survey) || asked_for_it ? facts::Side::kServer : facts::Side::kPath);
    out.says([&] { return fmt::format("Nobody answered ARP or ND for {}, the next hop.", facts::to_string(n.target)); });
    return;
  }
}

}  // namespace

extern const Cause kNeighbourUnresolvedCause;
const Cause kNeighbourUnresolvedCause = {
    .id = CauseId::kNeighbourUnresolved,
    .title = "The next hop's hardware address could not be resolved (ARP or ND).",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered,
    .settles = "`ip neigh` on the host that asks: the entry is FAILED or INCOMPLETE",
    .fix = {"is the next hop up and on this network? Check its address, the netmask, the VLAN and the gateway route",
            "a gateway that moved: correct the default route of the host that asks"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
