// A SYN reused a 4-tuple in TIME_WAIT and was accepted (RFC 6191).

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTimeWait = 60s;  // Linux include/net/tcp.h TCP_TIMEWAIT_LEN
// Linux tcp_timewait_state_process(), tcp_v4_connect(): the new ISN is the old snd_nxt + 65535 + 2.
constexpr std::uint32_t kIsnStep = 65537;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0 || !c.previous_end || !c.previous_closed) return;
  const facts::SegmentFact& syn = c.segment(c.syn);
  const Duration since = syn.time - *c.previous_end;
  if (distance(c.previous_server_next, c.segment(c.syn_ack).seq) == kIsnStep) {
    out.demands({c.syn, c.syn_ack}, [&] {
      return fmt::format("the SYN-ACK's number is the old connection's last plus {}, as Linux gives it to a SYN that "
                         "displaces TIME_WAIT", kIsnStep);
    });
    return;
  }
  if (distance(c.previous_client_next, syn.seq) == kIsnStep) {
    out.demands({c.syn}, [&] {
      return fmt::format("the SYN's number is the old connection's last plus {}: the client reused its own TIME_WAIT "
                         "(tcp_tw_reuse)", kIsnStep);
    });
    return;
  }
  if (since < kTimeWait && since > Duration{})
    out.supports({c.syn, c.syn_ack}, [&] {
      return fmt::format("the same ports had been closed {} before, and the new SYN was accepted", span_words(since));
    });
}

}  // namespace

extern const Cause kTimeWaitReuseCause;
const Cause kTimeWaitReuseCause = {
    .id = CauseId::kTimeWaitReuse,
    .title = "The client reused ports that were still in TIME_WAIT, and was let in.",
    .benign = true,
    .side = facts::Side::kClient,
    .role = Role::kNote,
    .signals = facts::Signal::kReuse,
    .settles = "`ss -nto state time-wait` at the side that closed first",
    .fix = {"nothing is wrong; if it happens all the time, the client is short of ports: reuse connections"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
