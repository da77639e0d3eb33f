// MD5 or TCP-AO option missing or wrong: segments are dropped without a word.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

constexpr std::uint16_t kSigned = wire::Opt::kMd5 | wire::Opt::kAo;

std::string_view kind(std::uint16_t options) { return options & wire::Opt::kAo ? "TCP-AO" : "MD5"; }

// RFC 2385 2.0, RFC 5925 7.3: an unsigned or wrongly signed segment is dropped silently.
void examine_unanswered(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const facts::SegmentFact& syn = c.segment(c.syn);
  const facts::Endpoint& server = c.ends[index(facts::Party::kServer)];
  const facts::ServiceFacts* service = survey.service(server);
  const facts::HostFacts* host = survey.host(server.address);
  const std::uint16_t theirs = host == nullptr ? 0 : (host->syn_options | host->syn_ack_options) & kSigned;
  const std::uint16_t ours = syn.options & kSigned;
  if (ours == 0 && theirs == 0) return;
  if (ours != 0 && service != nullptr && service->syn_ack_options != 0 && !(service->syn_ack_options & kSigned)) {
    out.supports({c.syn}, [&] {
      return fmt::format("the SYN is signed ({}) and got no answer; unsigned SYNs to {} are answered", kind(ours),
                         facts::to_string(server));
    });
    return;
  }
  if (theirs != ours && theirs != 0) {
    out.supports({c.syn}, [&] {
      return fmt::format("{} signs with {}; this SYN {}", facts::to_string(server.address), kind(theirs),
                         ours == 0 ? std::string{"is not signed, and got no answer"}
                                   : fmt::format("is signed with {}, and got no answer", kind(ours)));
    });
    return;
  }
  // The signature itself cannot be checked without the key.
  out.fits({c.syn}, [&] {
    return fmt::format("the SYN is signed ({}); a wrong key makes the other side drop it silently", kind(ours));
  });
  if (at_server(c, survey) && ours != 0)
    out.supports({c.syn}, [] { return std::string{"it arrived at the server and was not answered"}; });
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0) return;
  if (!c.stream(facts::Party::kServer).seen) {
    examine_unanswered(c, survey, out);
    return;
  }
  if (c.syn_ack < 0) return;
  const bool client_signs = c.segment(c.syn).options & kSigned, server_signs = c.segment(c.syn_ack).options & kSigned;
  const Opening o = opening_of(c);
  // Routers ask again by their SYN and are answered by bare ACKs; whoever signs takes no SYN-ACK that is not signed.
  if (client_signs != server_signs && o.third < 0 && o.syn_acks > 1 && c.stream(facts::Party::kServer).payload_bytes == 0) {
    out.supports({c.syn, c.syn_ack, o.last_syn_ack}, [&] {
      return fmt::format("the {} signs, the {} does not, and none of {} was acknowledged", client_signs ? "client" : "server",
                         client_signs ? "server" : "client", counted(o.syn_acks, "SYN-ACK"));
    });
    return;
  }
  if (o.progress >= 0 || o.repeats == 0) return;
  if (client_signs != server_signs)
    out.supports({c.syn, c.syn_ack, o.repeat}, [&] {
      return fmt::format("the {} signs its segments, the {} does not, and the handshake does not complete",
                         client_signs ? "client" : "server", client_signs ? "server" : "client");
    });
  else if (o.third >= 0 && (c.segment(o.third).options & kSigned) == 0)
    out.supports({c.syn, c.syn_ack, o.third}, [] {
      return std::string{"SYN and SYN-ACK are signed, the client's ACK is not, and the server ignores it"};
    });
}

}  // namespace

extern const Cause kAuthenticationMismatchCause;
const Cause kAuthenticationMismatchCause = {
    .id = CauseId::kAuthenticationMismatch,
    .title = "The TCP signature (MD5 or TCP-AO) is missing or wrong; segments are ignored.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kAuthentication | facts::Signal::kSynUnanswered,
    .settles = "TcpExtTCPMD5NotFound, TCPMD5Unexpected, TCPMD5Failure (or TCPAO…) of `nstat` at the side that is silent",
    .fix = {"configure the same key and algorithm for both addresses, exactly as each side sees the other",
            "a NAT between the two breaks the signature: it covers addresses and ports (RFC 2385, RFC 5925)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
