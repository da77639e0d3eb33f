// The client raced two ports or addresses and reset the slower one.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/once.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

constexpr Duration kTwoPorts = std::chrono::milliseconds{600}, kTwoAddresses = std::chrono::seconds{2};
constexpr std::size_t kMostServices = 4096;  ///< beyond it only the other SMB port is looked up

struct Sibling {
  facts::Endpoint service;
  Duration apart{};
};

/// Another accepted attempt of the same client that began within `within` of this one.
std::optional<Sibling> sibling_at(const facts::ServiceFacts& s, const facts::Connection& c, CaptureTime syn) {
  // RFC 8305 5: the next address is tried 250 ms later, two seconds at most; Windows tries both ports at once.
  const Duration within = s.endpoint.address == c.ends[1].address ? kTwoPorts : kTwoAddresses;
  for (const facts::Attempt& a : s.attempts_sample.values) {
    const Duration apart = a.syn > syn ? a.syn - syn : syn - a.syn;
    if (apart > within || a.connection == c.id || a.fate != facts::Attempt::Fate::kAccepted) continue;
    if (a.client == c.ends[0].address || a.client.version != c.ends[0].address.version) return Sibling{s.endpoint, apart};
  }
  return std::nullopt;
}

std::optional<Sibling> sibling(const facts::Connection& c, const facts::Survey& survey) {
  const CaptureTime syn = c.segment(c.syn).time;
  const facts::Endpoint& server = c.ends[1];
  if (server.port == 139 || server.port == 445) {
    facts::Endpoint twin = server;
    twin.port = server.port == 139 ? std::uint16_t{445} : std::uint16_t{139};
    if (const facts::ServiceFacts* s = survey.service(twin))
      if (auto found = sibling_at(*s, c, syn)) return found;
  }
  if (survey.services.size() > kMostServices) return std::nullopt;
  std::optional<Sibling> best;
  for (const auto& [endpoint, s] : survey.services) {
    const bool same_port = endpoint.port == server.port && endpoint.address != server.address;
    if (!same_port) continue;
    if (auto found = sibling_at(s, c, syn); found && (!best || found->apart < best->apart)) best = found;
  }
  return best;
}

/// One SYN to an address of the other family, not repeated: the attempt was given up for the one that was kept.
std::optional<Sibling> abandoned(const facts::Connection& c, const facts::Survey& survey) {
  if (c.stream(Party::kClient).packets != 1 || !c.icmp.empty()) return std::nullopt;
  auto found = sibling(c, survey);
  if (found && found->service.address.version == c.ends[1].address.version) found.reset();
  return found;
}

std::optional<Sibling> raced(const facts::Connection& c, const facts::Survey& survey) {
  if (c.syn >= 0 && !c.stream(Party::kServer).seen) return abandoned(c, survey);
  const std::int32_t rst = c.stream(Party::kClient).rst;
  if (c.syn < 0 || c.syn_ack < 0 || rst < 0 || rst < c.syn_ack) return std::nullopt;
  if (c.stream(Party::kClient).payload_bytes > 0 || c.stream(Party::kServer).payload_bytes > 0) return std::nullopt;
  // A socket closed before the SYN-ACK came answers it a round trip later, however long that is (linux-tcp 7.2 N1).
  const bool was_closed = c.handshake_ack < 0 && !c.segment(rst).has_ack() && c.segment(rst).seq == c.segment(c.syn_ack).ack;
  if (!was_closed && facts::between(c, c.syn_ack, rst) > std::chrono::seconds{1}) return std::nullopt;
  return sibling(c, survey);
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const std::int32_t rst = c.stream(Party::kClient).rst;
  if (!raced_another(c, survey)) return;  // remembered; few go on from here
  const auto other = raced(c, survey);
  if (rst < 0)
    out.supports({c.syn}, [] { return std::string{"the client sent one SYN and did not repeat it"}; });
  else
    out.supports({c.syn, c.syn_ack, rst}, [&] {
      return fmt::format("the client reset the connection {} after its SYN-ACK, before any data", ending::span(facts::between(c, c.syn_ack, rst)));
    });
  out.supports({c.syn}, [&] {
    return fmt::format("{} apart the client had called {} too, and that connection was kept", ending::span(other->apart), to_string(other->service));
  });
  const bool smb = c.ends[1].port == 139 || c.ends[1].port == 445;
  out.supports({c.syn}, [&] {
    return std::string{smb ? "ports 445 and 139 are the two an SMB client tries at once"
                           : "the same port at another address: Happy Eyeballs (RFC 8305)"};
  });
}

}  // namespace

bool raced_another(const facts::Connection& c, const facts::Survey& survey) {
  return ending::remembered(c, &ending::Once::raced, [&] { return raced(c, survey).has_value(); });
}

extern const Cause kDualPortRaceCause;
const Cause kDualPortRaceCause = {
    .id = CauseId::kDualPortRace,
    .title = "The client raced two connections and gave up the slower one.",
    .benign = true,
    .side = facts::Side::kClient,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset | facts::Signal::kSynUnanswered,
    .settles = "the client's other connection of the same instant: it carries the data",
    .fix = {"nothing to fix; a client that needs only port 445 can be told so (disable NetBIOS over TCP/IP)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
