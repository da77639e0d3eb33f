// The listener's SYN queue was full and syncookies were off: the SYN was dropped.

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || !at_server(c, survey) || !syn_waited(c)) return;
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr || service->incomplete == 0) return;
  const Siblings others = siblings_of(c, *service);
  if (others.half_open == 0) return;
  // Linux tcp_conn_request(): inet_csk_reqsk_queue_is_full() and no cookie wanted: silent drop.
  out.supports({c.syn}, [&] {
    return fmt::format("{} on {} answered before this SYN were never completed and held the SYN queue",
                       counted(service->incomplete, "handshake"),
                       facts::to_string(c.ends[index(facts::Party::kServer)]));
  });
  if (service->unanswered > 1)
    out.supports({c.syn}, [&] {
      return fmt::format("{} to this listener went unanswered likewise", counted(service->unanswered, "attempt"));
    });
}

}  // namespace

extern const Cause kSynQueueOverflowCause;
const Cause kSynQueueOverflowCause = {
    .id = CauseId::kSynQueueOverflow,
    .title = "The listener dropped the SYN: its SYN queue was full.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered,
    .settles = "TcpExtTCPReqQFullDrop rises (3.10 and later), and `ss -nt state syn-recv` counts the queue",
    .fix = {"net.ipv4.tcp_syncookies=1 (default since 3.10): then a full queue answers by cookie instead of dropping",
            "raise the listen() backlog and net.core.somaxconn together; on 4.4 and later they alone set the limit, "
            "on 3.10 and RHEL 7 tcp_max_syn_backlog bounds the table as well",
            "with syncookies off, three quarters of tcp_max_syn_backlog is a second limit on every kernel"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
