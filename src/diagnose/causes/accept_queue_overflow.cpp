// The accept queue was full: third ACKs (or, from 4.10 on, SYNs) were ignored.

#include <fmt/format.h>

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

/// Linux tcp_conn_request() since 5ea8ea2cb7f1 (4.10): a full accept queue drops the SYN.
void examine_unanswered(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (c.syn < 0 || service == nullptr || !at_server(c, survey) || !syn_waited(c)) return;
  const Siblings others = siblings_of(c, *service);
  if (others.unserved == 0) return;
  out.supports({c.syn}, [&] {
    return fmt::format("{} to this listener had completed before; the application read none of them",
                       counted(others.unserved, "connection"));
  });
  if (others.half_open == 0 && service->unanswered > 1)
    out.supports({c.syn}, [&] {
      return fmt::format("{} went unanswered, and none waits half-open that could fill the SYN queue",
                         counted(service->unanswered, "attempt"));
    });
}

/// With syncookies nothing is kept of a SYN and no timer repeats the SYN-ACK: who finds the accept queue full, as Linux
/// cookie_v4_check() does, is met with silence alone. Others of the listener, taken in and never read, say who fills it.
void examine_cookie(const facts::Connection& c, const facts::Survey& survey, const Opening& o, EvidenceList& out) {
  constexpr auto kSoonestSynAck = std::chrono::milliseconds{2500};  // without cookies a repeat is due after 1 s
  constexpr auto kBeside = std::chrono::seconds{60};
  if (o.data < 0 || o.data_tries < 3 || o.server_rst >= 0 || o.client_rst >= 0 || o.syn_acks != 1 || o.syns != 1) return;
  if (c.segment(o.last_try).time - c.segment(o.syn_ack).time < kSoonestSynAck || !answers_would_show(c, survey)) return;
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr) return;
  std::uint32_t unread = 0, read = 0;
  for (const facts::Attempt& a : service->attempts_sample.values) {
    if (a.connection == c.id || a.syn < c.segment(o.syn).time - kBeside || a.syn > c.segment(o.last_try).time) continue;
    unread += a.unread;
    read += a.server_spoke;
  }
  if (unread == 0 || read > 0) return;
  out.supports({o.third, o.data, o.last_try}, [&] {
    return fmt::format("the client's data was sent {} from the handshake on and never acknowledged; no SYN-ACK was repeated, as none is where it was a syncookie",
                       counted(o.data_tries, "time"));
  });
  out.supports({o.syn}, [&] {
    return fmt::format("{} to this listener had {} data acknowledged, and the application spoke on none", counted(unread, "other connection"),
                       unread == 1 ? "its" : "their");
  });
}

/// Somebody else's handshake with this listener was complete before this one, as far as this capture shows.
bool others_came_before(const facts::Connection& c, const facts::Survey& survey) {
  const facts::ServiceFacts* service = survey.service(c.ends[index(facts::Party::kServer)]);
  if (service == nullptr) return false;
  const Siblings others = siblings_of(c, *service);
  return others.served + others.unserved > 0;
}

/// Linux tcp_v4_syn_recv_sock(): whatever would create the connection is dropped, its data too.
void examine_ignored(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  const Opening o = opening_of(c);
  if (o.third < 0) {
    if (o.syn_acks > 1)
      out.contradicts({o.syn_ack}, [] { return std::string{"no ACK of the client passed here that could be ignored"}; });
    return;
  }
  if (o.repeats == 0) return examine_cookie(c, survey, o, out);
  const Duration first_gap = c.segment(o.repeat).time - c.segment(o.syn_ack).time;
  if (o.first_wait > kOldFirstSynAckRepeat && o.repeats == 1 && at_server(c, survey)) {
    out.contradicts({o.syn_ack, o.repeat}, [&] {
      return fmt::format("a full queue repeats the SYN-ACK after one second (2.6.32: three), not first after {}", span_words(first_gap));
    });
    return;
  }
  const auto ignored = [&] {
    return fmt::format("the SYN-ACK was sent again {} {} after the client's ACK had {}", o.repeats == 1 ? "once," : "up to",
                       span_words(c.segment(o.last_syn_ack).time - c.segment(o.third).time),
                       at_server(c, survey) ? "arrived" : "passed here");
  };
  // linux-tcp: 4.3: data is what a deferring listener waits for; only a full queue ignores it.
  const bool data_ignored = o.data_repeat >= 0 || o.data_tries >= 3;
  // A lost ACK, and the last repeat of a deferring listener, are mended by the client's next ACK.
  const bool ignored_again = o.repeats >= 2;
  // Before the server's host segments may be lost on the way, several in a row: where the next one is taken, and the path
  // loses one of ten, four are lost once in ten thousand.
  // An outage loses any number; a queue is full of others, whose handshakes came before this one.
  constexpr std::uint32_t kMoreThanLost = 4;
  const bool lost_as_well = o.progress >= 0 && !at_server(c, survey) && (o.in_vain < kMoreThanLost || !others_came_before(c, survey));
  // As long as the queue is full the listener repeats its SYN-ACK, doubling the wait (linux-tcp: 3.3); a listener that
  // held its peace for that long had taken the connection, and the client's segments were lost on the way.
  if (o.progress >= 0) {
    const Duration until = c.segment(o.progress).time - c.segment(o.syn_ack).time;
    std::uint32_t due = 0;
    for (Duration at = first_gap, gap = first_gap; at + at / 4 < until && due < 8; gap *= 2, at += gap) ++due;
    if (due >= o.repeats + 2) {
      out.contradicts({o.repeat, o.progress}, [&] {
        return fmt::format("a full queue would have repeated the SYN-ACK {} times before it let the client in, not {}", due, o.repeats);
      });
      return;
    }
  }
  if (lost_as_well || !(data_ignored || ignored_again)) {
    out.fits({o.third, o.repeat}, ignored);
    if (settled(c, o)) out.passed();
    return;
  }
  out.supports({o.third, o.repeat, o.last_syn_ack}, ignored);
  if (ignored_again)
    out.supports({o.third, o.repeat, o.last_try, o.last_syn_ack}, [&] {
      return fmt::format("{} of the client that would have completed the handshake had no effect",
                         counted(o.tries, "segment"));
    });
  if (data_ignored)
    out.supports({o.data, o.data_repeat, o.last_try}, [&] {
      return fmt::format("the client's data was sent {} and ignored as well",
                         o.data_tries == 1 ? std::string{"once"} : fmt::format("{} times", o.data_tries));
    });
  // The request expires; then the listener resets what it does not know (linux-tcp: 3.2, 7.2 N2).
  if (o.server_rst >= 0 && c.segment(o.server_rst).seq == c.segment(o.syn_ack).seq + 1)
    out.supports({o.last_try, o.server_rst}, [&] {
      return fmt::format("{} after the last SYN-ACK the request was gone and the listener answered with RST",
                         span_words(c.segment(o.server_rst).time - c.segment(o.last_syn_ack).time));
    });
  if (o.progress >= 0)
    out.says([&] {
      return fmt::format("The accept queue was full; the server took the connection {} after its ACK.",
                         span_words(c.segment(o.progress).time - c.segment(o.third).time));
    });
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn_ack < 0) examine_unanswered(c, survey, out);
  else examine_ignored(c, survey, out);
}

}  // namespace

extern const Cause kAcceptQueueOverflowCause;
const Cause kAcceptQueueOverflowCause = {
    .id = CauseId::kAcceptQueueOverflow,
    .title = "The listener's accept queue was full; the server ignored the client.",
    .benign = false,
    .side = facts::Side::kServer,
    .role = Role::kEnding,
    .signals = facts::Signal::kSynUnanswered | facts::Signal::kSynAckRepeated | facts::Signal::kUnackedAtEnd,
    .settles = "on the server while it happens: `ss -lnt` shows Recv-Q above Send-Q, TcpExtListenOverflows rises",
    .fix = {"find out why the application does not call accept(): blocked, out of descriptors, too few workers",
            "raise the listen() backlog and net.core.somaxconn together (the smaller one counts), and restart it",
            "4.10 and later drop the SYN itself: clients then time out in connect() instead of hanging after it"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
