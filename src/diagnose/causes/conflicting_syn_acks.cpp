// SYN-ACKs with different numbers for one SYN: two responders or a SYN proxy.

#include <chrono>
#include <cstdlib>

#include "diagnose/cause.hpp"
#include "diagnose/words.hpp"
#include "diagnose/wrong_ack.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Linux secure_tcp_syn_cookie() and an expired request both give a repeated SYN another number, the first from the next
// minute on, which may begin at any time, the second after tens of seconds.
constexpr Duration kSameAnswer = 5s;

/// Nothing but the number differs: one stack made both.
bool alike(const facts::SegmentFact& a, const facts::SegmentFact& b) {
  return a.ttl == b.ttl && a.window == b.window && a.options == b.options && a.mss == b.mss && a.window_scale == b.window_scale;
}

/// The other one did not pass here, but the client's answer to it did.
void examine_unseen(const facts::Connection& c, EvidenceList& out) {
  const auto w = ending::wrong_acks(c);
  if (!w || !ending::took_another_syn_ack(c, *w)) return;
  out.supports({c.syn_ack, w->first}, [&] {
    return fmt::format("the client acknowledged {}, and the SYN-ACK seen here is {}: it had another one", c.segment(w->first).ack.raw(),
                       c.segment(c.syn_ack).seq.raw());
  });
  out.supports({c.syn, c.syn_ack, w->first}, [] {
    return std::string{"it does not use the options (timestamps, window scale) that its SYN and this SYN-ACK agreed on (RFC 7323)"};
  });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0) return;
  const facts::SegmentFact& first = c.segment(c.syn_ack);
  std::int32_t second = -1;
  bool asked_again = false;
  for (std::int32_t i = c.syn_ack + 1; i < static_cast<std::int32_t>(c.segments.size()) && second < 0; ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (!s.from_server && s.syn()) asked_again = true;
    if (!s.from_server && s.rst()) return examine_unseen(c, out);  // the first answer was refused, then another socket answered
    if (s.from_server && s.syn() && s.has_ack() && s.ack == first.ack && s.seq != first.seq) second = i;
  }
  if (second < 0) return examine_unseen(c, out);
  const facts::SegmentFact& other = c.segment(second);
  const Duration apart = other.time - first.time;
  if (asked_again && (apart > kSameAnswer || alike(first, other))) {
    out.fits({c.syn_ack, second}, [&] {
      return fmt::format("{} apart a repeated SYN got another number: a cookie of the next minute does so too",
                         span_words(apart));
    });
    return;
  }
  if (c.stream(facts::Party::kServer).payload_bytes != 0 || c.stream(facts::Party::kServer).fin_seen) out.passed();
  out.demands({c.syn, c.syn_ack, second}, [&] {
    return fmt::format("two SYN-ACKs answer the SYN (ack {}) with different numbers, {} and {}, {} apart",
                       first.ack.raw(), first.seq.raw(), other.seq.raw(), span_words(apart));
  });
  if (std::abs(static_cast<int>(first.ttl) - static_cast<int>(other.ttl)) > 1)
    out.supports({c.syn_ack, second}, [&] {
      return fmt::format("they came with TTL {} and {}: from two places", first.ttl, other.ttl);
    });
  if (first.options != other.options || first.window != other.window)
    out.supports({c.syn_ack, second}, [&] {
      return fmt::format("their windows are {} and {}, and their options {}", first.window, other.window,
                         first.options == other.options ? "the same" : "differ");
    });
}

}  // namespace

extern const Cause kConflictingSynAcksCause;
const Cause kConflictingSynAcksCause = {
    .id = CauseId::kConflictingSynAcks,
    .title = "Two responders answered one SYN with different numbers.",
    .benign = false,
    .side = facts::Side::kPath,
    .role = Role::kEnding,
    .signals = facts::Signal::kSecondSynAck | facts::Signal::kImpossibleAck,
    .settles = "the MAC addresses and TTLs of both SYN-ACKs; a capture on the server shows which one it sent",
    .fix = {"the same address twice on one network (arping -D), or a virtual address that two balancers hold",
            "a SYN proxy in front (synproxy, DDoS protection) that lets the server's own answer through as well"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
