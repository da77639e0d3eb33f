// A SYN with data vanished; a plain SYN was answered.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

bool is_fast_open(const facts::SegmentFact& s) { return s.payload_bytes != 0 || s.has(wire::Opt::kFastOpen); }

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0) return;
  std::uint32_t vanished = 0;
  std::int32_t first = -1, plain = -1;
  for (std::int32_t i = c.syn; i < c.syn_ack; ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from_server || !s.syn()) continue;
    if (is_fast_open(s)) {
      if (first < 0) first = i;
      ++vanished;
      plain = -1;
    } else {
      plain = i;
    }
  }
  if (first < 0 || plain < 0) return;
  if (c.handshake_ack >= 0) out.passed();  // a second late, and no more
  const facts::SegmentFact& fast = c.segment(first);
  // RFC 7413 4.1.3: after a timeout the SYN is repeated without data. Linux tcp_send_syn_data() keeps
  // the data, and with it the option, out of the SYN that is repeated.
  out.supports({first, plain}, [&] {
    return fmt::format("{} with {} went unanswered for {}", counted(vanished, "SYN"),
                       fast.payload_bytes ? counted(fast.payload_bytes, "byte") : std::string{"the Fast Open option"},
                       span_words(c.segment(plain).time - fast.time));
  });
  out.supports({plain, c.syn_ack}, [&] {
    return fmt::format("the plain SYN that followed was answered in {}",
                       span_words(c.segment(c.syn_ack).time - c.segment(plain).time));
  });
}

}  // namespace

extern const Cause kFastOpenBlackholeCause;
const Cause kFastOpenBlackholeCause = {
    .id = CauseId::kFastOpenBlackhole,
    .title = "The path dropped the Fast Open SYN; a plain SYN was answered.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kTrouble,
    .signals = facts::Signal::kFastOpen | facts::Signal::kSynWithData,
    .settles = "TcpExtTCPFastOpenBlackhole and TCPFastOpenActiveFail on the client; a capture behind the firewall",
    .fix = {"let firewalls pass SYNs with data and option 34 (RFC 7413)",
            "until then switch it off at the client: net.ipv4.tcp_fastopen=0; Linux 4.12 and later pauses it by itself "
            "(tcp_fastopen_blackhole_timeout_sec, off by default since 5.14)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
