// Generic: nothing came back to any SYN, and this vantage cannot tell why.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"
#include "facts/syn_timer.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

/// Had the capture gone on long enough for an answer, or did the client itself
/// find that none came?
bool waited_long_enough(const facts::Connection& c, const facts::Survey& survey) {
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  // RFC 6298 2.1: a client repeats its SYN because nothing came within its timeout.
  if (client.syn_count > 1) return true;
  const Duration waited = c.capture_end - c.segment(c.syn).time;
  if (waited >= facts::kSynRepeated) return true;
  // Others were answered much faster than this one waited (a flood that ends with the capture).
  const facts::HostFacts* host = survey.host(c.ends[index(facts::Party::kServer)].address);
  // (A clock that was set back makes an answer come before its question.)
  return host != nullptr && host->fastest_syn_ack != Duration::max() && host->fastest_syn_ack > Duration::zero() && waited > 10ms &&
         waited > 20 * host->fastest_syn_ack;
}

// So long no application waits for connect() without somebody noticing.
constexpr Duration kLongWait = 20s;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  if (c.syn >= 0 && c.syn_ack > c.syn && c.segment(c.syn_ack).time - c.segment(c.syn).time > kLongWait) {
    out.supports({c.syn, c.syn_ack}, [&] {
      return fmt::format("{} before the first answer, which came {} after the first", counted(client.syn_count, "SYN"),
                         span_words(c.segment(c.syn_ack).time - c.segment(c.syn).time));
    });
    out.says([] { return std::string{"Nothing answered the SYN for a long time; the connection came about late."}; });
    return;
  }
  if (c.syn < 0 || c.stream(facts::Party::kServer).seen || !c.icmp.empty()) return;
  if (c.quality.one_direction) return;  // a client that acknowledges had an answer
  if (!waited_long_enough(c, survey) || raced_another(c, survey)) return;
  // No answer of anybody in the whole capture: the answers may go another way. A lone SYN may have got its own, and who
  // sends RST with the number after his SYN got a SYN-ACK, too late (RFC 9293 3.10.7.1).
  const bool refused = client.rst >= 0 && c.segment(client.rst).seq == client.iss + 1;
  if ((client.syn_count == 1 || refused) && !answers_would_show(c, survey)) {
    out.fits({c.syn, client.rst}, [&] {
      return fmt::format("{}; no answer of anybody passed here, they may go another way",
                         refused ? "the client's RST answers a SYN-ACK" : "one SYN, not repeated");
    });
    return;
  }

  const std::int32_t last = client.last;
  out.supports({c.syn, last}, [&] {
    if (client.syn_count == 1)
      return fmt::format("one SYN, not repeated; no answer in the {} until the capture ended",
                         span_words(c.capture_end - c.segment(c.syn).time));
    return fmt::format("{} in {}, no answer until the capture ended {} after the last",
                       counted(client.syn_count, "SYN"), span_words(c.segment(last).time - c.segment(c.syn).time),
                       span_words(c.capture_end - c.segment(last).time));
  });
  if (at_server(c, survey)) {
    out.blames(facts::Side::kServer);
    out.says([] { return std::string{"The SYN arrived at the server, and the server did not answer it."}; });
  }
}

}  // namespace

extern const Cause kSynUnansweredCause;
const Cause kSynUnansweredCause = {
    .id = CauseId::kSynUnanswered,
    .title = "Nothing answered the SYN.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kSynRepeated,
    .settles = "a capture on the server at the same time: does the SYN arrive, does a SYN-ACK leave",
    .fix = {"capture on the server: if the SYN does not arrive, look at the path (tcptraceroute) and its filters",
            "if it arrives: ss -lnt (Recv-Q above Send-Q: accept queue full), nstat -az TcpExtListenDrops "
            "TcpExtListenOverflows TcpExtTCPReqQFullDrop TcpExtPAWSPassive, then the packet filter's counters"},
    .specifics = {CauseId::kSynDroppedOnPath, CauseId::kSynDroppedByHostFilter, CauseId::kSynAckLost,
                  CauseId::kSynQueueOverflow, CauseId::kAcceptQueueOverflow, CauseId::kPerHostTimestampCheck,
                  CauseId::kPeerVanished},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
