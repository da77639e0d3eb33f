// One of very many SYNs that nobody follows up.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// A population, not an accident: so many attempts at one service that nobody
// followed up, and so many of them in each second.
constexpr std::uint64_t kFlood = 50;
constexpr double kFloodPerSecond = 5.0;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  if (c.syn < 0 || c.handshake_ack >= 0) return;
  std::uint64_t copies = 0;
  for (const facts::Note& n : c.notes) copies += n.repeat == facts::Repeat::kCaptureDuplicate ? 1 : 0;
  if (client.packets != 1 && client.packets > 1 + copies) return;  // a client that means it asks again
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr) return;
  const std::uint64_t dead = service->lone_syns + service->incomplete;
  const double span = seconds(service->last_attempt - service->first_attempt);
  if (service->lone_syns < kFlood && dead < kFlood) return;
  if (dead * 2 < service->attempts || static_cast<double>(dead) < kFloodPerSecond * span) return;
  out.supports({c.syn}, [&] {
    return fmt::format("one of {} attempts in {} at {} that the client never followed up", dead,
                       span_words(service->last_attempt - service->first_attempt), facts::to_string(service->endpoint));
  });
  out.supports({c.syn, c.syn_ack}, [&] {
    return c.syn_ack >= 0 ? std::string{"the SYN-ACK met neither ACK nor RST, and the SYN was not repeated"}
                          : std::string{"the SYN was not repeated, as a client that waits for an answer would"};
  });
  // A full queue is what a flood does: more of the same explanation, not another one.
  out.supports({c.syn}, [&] {
    return fmt::format("{:.0f} such attempts a second", span > 0 ? static_cast<double>(dead) / span : static_cast<double>(dead));
  });
}

}  // namespace

extern const Cause kSynFloodCause;
const Cause kSynFloodCause = {
    .id = CauseId::kSynFlood,
    .title = "One SYN of a flood: nobody follows it up.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kHandshakeIncomplete,
    .settles = "the kernel log line \"Possible SYN flooding on port\", and `ss -nt state syn-recv | wc -l` on the server",
    .fix = {"keep net.ipv4.tcp_syncookies=1; then the flood costs no memory and true clients are still served",
            "filter at the border by what the SYNs have in common (TTL, window, missing options), not by address: "
            "sources are usually forged"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
