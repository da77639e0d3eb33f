// A router had no way to the host and said so.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

/// RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1.
std::string_view unreachable_words(const facts::IcmpFact& e) {
  if (e.version == 4 && e.type == 3) {
    if (e.code == 0 || e.code == 6 || e.code == 11) return "network unreachable";
    if (e.code == 1 || e.code == 7 || e.code == 8 || e.code == 12) return "host unreachable";
    if (e.code == 2) return "protocol unreachable";
  }
  if (e.version == 6 && e.type == 1) {
    if (e.code == 0) return "no route to destination";
    if (e.code == 2) return "beyond scope of source address";
    if (e.code == 3) return "address unreachable";
  }
  return {};
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.handshake_ack >= 0) return;
  for (const facts::IcmpFact& e : c.icmp) {
    const std::string_view words = unreachable_words(e);
    if (words.empty()) continue;
    const bool of_syn = e.quoted_from == facts::Party::kClient;
    if (of_syn == (c.syn_ack >= 0)) continue;  // an answered SYN, or an error about another segment
    const facts::Endpoint& target = c.ends[index(of_syn ? facts::Party::kServer : facts::Party::kClient)];
    out.note(Bearing::kDemands, {of_syn ? c.syn : c.syn_ack}, {e.frame}, [&] {
      return fmt::format("{} answered the {} with ICMP{} {} (type {} code {})", facts::to_string(e.sender),
                         of_syn ? "SYN" : "SYN-ACK", e.version == 6 ? "v6" : "", words, e.type, e.code);
    });
    out.says([&] {
      return fmt::format("The router {} could not reach {}.", facts::to_string(e.sender),
                         facts::to_string(target.address));
    });
    return;
  }
}

}  // namespace

extern const Cause kHostUnreachableCause;
const Cause kHostUnreachableCause = {
    .id = CauseId::kHostUnreachable,
    .title = "A router could not reach the host and said so by ICMP.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynRefused | facts::Signal::kIcmp | facts::Signal::kHandshakeIncomplete,
    .settles = "on the router that sent the ICMP error: its route to the address, and `ip neigh` for it",
    .fix = {"host unreachable after about 3 s: the address does not answer ARP or ND on its own network; is it up?",
            "network unreachable at once: add the missing route on the router that sent the ICMP error"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
