// The client lost its side of a connection without a packet and came back.

#include "diagnose/cause.hpp"
#include "diagnose/challenge.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const auto met = challenge_of(c);
  if (!met || !met->previous_seen || met->previous_closed) return;
  if (const std::string_view what = other_client(c); !what.empty()) {
    out.contradicts({met->syn}, [&] { return fmt::format("the {} differs: another host sent this SYN", what); });
    return;
  }
  out.supports({met->syn, met->ack}, [&] {
    return fmt::format("the client's last connection on this port, {} before, was never closed, and the server held it",
                       span_words(met->since_previous));
  });
  // At its own host everything the client sends is seen: neither FIN nor RST was, and no
  // kernel gives out a port that one of its own connections to the same peer still has.
  if (at_client(c, survey)) {
    out.supports({met->syn}, [] {
      return std::string{"captured at the client's host: it sent neither FIN nor RST, yet used the port anew"};
    });
    out.supports({met->ack, met->rst}, [] {
      return std::string{"its kernel did not know the connection whose ACK came back, and reset it"};
    });
    out.supports({met->syn}, [] { return std::string{"no kernel gives out a port while a connection to the same peer has it"}; });
  }
}

}  // namespace

extern const Cause kClientRestartedCause;
const Cause kClientRestartedCause = {
    .id = CauseId::kClientRestarted,
    .title = "The client had lost its connection without a packet and dialled again.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynAnsweredByAck,
    .settles = "the client's uptime or its container's start time, against the last frame of the old connection",
    .fix = {"a client that crashes or is frozen leaves the server holding its connections: set keepalive on the server",
            "choose source ports at random (the default) so that a restarted client does not hit its own old ports"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
