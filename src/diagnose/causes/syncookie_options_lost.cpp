// The SYN-ACK was a syncookie and lost options the client had offered.

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

constexpr std::uint16_t kLosable = wire::Opt::kWindowScale | wire::Opt::kSackPermitted;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0) return;
  const facts::SegmentFact& syn = c.segment(c.syn);
  const facts::SegmentFact& syn_ack = c.segment(c.syn_ack);
  // Linux cookie_init_timestamp(): with timestamps the options travel in the TSval and nothing is lost.
  if (syn.has(wire::Opt::kTimestamps) || !(syn.options & kLosable)) return;
  if (syn_ack.options != wire::Opt::kMss) return;
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  const auto lost = [&] {
    return fmt::format("the SYN offered{}{}, the SYN-ACK has an MSS of {} and nothing else",
                       syn.has(wire::Opt::kWindowScale) ? " window scale" : "",
                       syn.has(wire::Opt::kSackPermitted) ? " SACK" : "", syn_ack.mss);
  };
  if (service == nullptr || !(service->syn_ack_options & kLosable & syn.options)) {
    out.fits({c.syn, c.syn_ack}, lost);
    return;
  }
  out.supports({c.syn, c.syn_ack}, lost);
  out.supports({c.syn_ack}, [&] {
    return fmt::format("other SYN-ACKs of {} do carry them: this listener knows the options",
                       facts::to_string(service->endpoint));
  });
}

}  // namespace

extern const Cause kSyncookieOptionsLostCause;
const Cause kSyncookieOptionsLostCause = {
    .id = CauseId::kSyncookieOptionsLost,
    .title = "The server answered by syncookie, and the client's options were lost.",
    .benign = true,
    .side = facts::Side::kServer,
    .role = Role::kNote,
    .signals = facts::Signal::kCookieLike,
    .settles = "TcpExtSyncookiesSent and TcpExtTCPReqQFullDoCookies rising on the server",
    .fix = {"without window scale a connection is held to 64 KB in flight: find what fills the SYN queue",
            "clients with timestamps lose nothing (net.ipv4.tcp_timestamps=1, the default)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
