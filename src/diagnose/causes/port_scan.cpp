// One probe of a scan: a client that asks many services and uses none.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

// So many different services called by one address, almost all in vain, are no accident.
constexpr std::uint32_t kScan = 20;

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0) return;
  if (c.stream(facts::Party::kClient).payload_bytes != 0 || c.stream(facts::Party::kServer).payload_bytes != 0) return;
  const facts::HostFacts* client = survey.host(c.ends[index(facts::Party::kClient)].address);
  if (client == nullptr) return;
  if (client->services_called < kScan || client->services_refusing * 10 < client->services_called * 8) return;
  out.supports({c.syn}, [&] {
    return fmt::format("{} called {} services, {} of them in vain", facts::to_string(c.ends[0].address),
                       client->services_called, client->services_refusing);
  });
  out.supports({c.syn}, [&] {
    return fmt::format("{} for {}", counted(client->connections_as_client, "connection"),
                       counted(client->services_called, "service"));
  });
}

}  // namespace

extern const Cause kPortScanCause;
const Cause kPortScanCause = {
    .id = CauseId::kPortScan,
    .title = "One probe of a scan: the client asks many services and uses none.",
    .benign = false,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kSynRefused | facts::Signal::kHandshakeIncomplete |
               facts::Signal::kReset | facts::Signal::kNoPayload,
    .settles = "who runs on the client's address: a scanner, a monitor, or a service with a stale list of peers",
    .fix = {"nothing is wrong with the server; each single answer is the right one",
            "a scanner of your own: let it keep to its targets; a stranger's: limit at the border"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
