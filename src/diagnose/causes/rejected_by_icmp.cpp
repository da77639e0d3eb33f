// A filter answered with an ICMP error instead of letting the SYN through.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

/// RFC 792, 1812 5.2.7.1, 4443 3.1: what only a filter says. For TCP a port
/// unreachable is one too: a host answers a closed port with RST (RFC 9293 3.10.7.1).
std::string_view refusal_words(const facts::IcmpFact& e) {
  if (e.version == 4 && e.type == 3) {
    if (e.code == 3) return "port unreachable";
    if (e.code == 9) return "network administratively prohibited";
    if (e.code == 10) return "host administratively prohibited";
    if (e.code == 13) return "communication administratively prohibited";
  }
  if (e.version == 6 && e.type == 1) {
    if (e.code == 1) return "administratively prohibited";
    if (e.code == 4) return "port unreachable";
    if (e.code == 5) return "source address failed policy";
    if (e.code == 6) return "reject route";
  }
  return {};
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack >= 0) return;
  for (const facts::IcmpFact& e : c.icmp) {
    const std::string_view words = refusal_words(e);
    if (words.empty() || e.quoted_from != facts::Party::kClient) continue;
    const bool from_server = e.sender == c.ends[index(facts::Party::kServer)].address;
    out.note(Bearing::kDemands, {c.syn}, {e.frame}, [&] {
      return fmt::format("{} answered the SYN with ICMP{} {} (type {} code {})", facts::to_string(e.sender),
                         e.version == 6 ? "v6" : "", words, e.type, e.code);
    });
    out.blames(from_server ? facts::Side::kServer : facts::Side::kPath);
    out.says([&] {
      return from_server ? std::string{"The server's own packet filter rejected the SYN with an ICMP error."}
                         : fmt::format("A filter at {} rejected the SYN with an ICMP error.", facts::to_string(e.sender));
    });
    return;
  }
}

}  // namespace

extern const Cause kRejectedByIcmpCause;
const Cause kRejectedByIcmpCause = {
    .id = CauseId::kRejectedByIcmp,
    .title = "A packet filter rejected the SYN with an ICMP error.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynRefused | facts::Signal::kIcmp,
    .settles = "the rule's counter on the device that sent the ICMP error (nft list ruleset, iptables -L -v)",
    .fix = {"allow the port in the filter of the address that sent the ICMP error",
            "a REJECT rule of the server's own firewall sends it from the server's address"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
