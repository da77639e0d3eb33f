// The client had given up; the late SYN-ACK met a RST.

#include <chrono>

#include "diagnose/cause.hpp"
#include "diagnose/opening.hpp"
#include "diagnose/siblings.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Later than any path takes for one round trip and earlier than any client's patience.
constexpr Duration kLate = 500ms;

/// A repeat of the client's SYN behind its RST, -1 none: a socket that is gone repeats nothing.
std::int32_t syn_behind(const facts::Connection& c, std::int32_t rst) {
  for (std::int32_t i = rst + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (const facts::SegmentFact& s = c.segment(i); !s.from_server && s.syn() && s.seq == c.segment(c.syn).seq) return i;
  return -1;
}

void examine(const facts::Connection& c, const facts::Survey& survey, EvidenceList& out) {
  if (c.syn < 0 || c.syn_ack < 0 || raced_another(c, survey)) return;
  const Opening o = opening_of(c);
  if (o.third >= 0 || o.client_rst < 0 || o.client_rst < o.syn_ack || o.challenge >= 0) return;
  // Who has given up acknowledges nothing, not even another answer.
  for (std::int32_t i = o.syn_ack; i < o.client_rst; ++i)
    if (const facts::SegmentFact& s = c.segment(i); !s.from_server && s.has_ack() && !s.rst()) return;
  const facts::SegmentFact& rst = c.segment(o.client_rst);
  const Duration waited = rst.time - c.segment(o.syn).time;
  // Beside the server the wait is not seen, but a repeat of the SYN that left before the RST and comes after it is.
  const std::int32_t straggler = syn_behind(c, o.client_rst);
  if (waited < kLate && straggler < 0) return;
  // linux-tcp 7.2 N1: no socket any more: R, seq = the SYN-ACK's ACK number, window 0.
  const bool closed_port = !rst.has_ack() && rst.seq == c.segment(o.syn_ack).ack;
  if (!closed_port) return;
  out.supports({o.syn_ack, o.client_rst}, [&] {
    return fmt::format("the client's host answered the SYN-ACK with a RST (seq = its ACK number): no socket any more");
  });
  if (waited < kLate) {
    out.supports({o.syn, o.client_rst, straggler}, [&] {
      return fmt::format("a repeat of the SYN came {} after the RST: SYNs take longer on their way than the client waited",
                         span_words(c.segment(straggler).time - rst.time));
    });
    out.says([] { return std::string{"The client had given up before its SYN arrived."}; });
    return;
  }
  out.supports({o.syn, o.last_syn, o.client_rst}, [&] {
    return fmt::format("that was {} after the first of {}", span_words(waited), counted(o.syns, "SYN"));
  });
  out.says([&] {
    return fmt::format("The client had given up when the SYN-ACK came, {} after its first SYN.", span_words(waited));
  });
}

}  // namespace

extern const Cause kConnectTimeoutCause;
const Cause kConnectTimeoutCause = {
    .id = CauseId::kConnectTimeout,
    .title = "The client had given up; the late SYN-ACK met a RST.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kHandshakeIncomplete | facts::Signal::kReset,
    .settles = "the client's connect timeout, against the time the SYN-ACK took; a capture at both ends shows where",
    .fix = {"find what delays the SYN or the SYN-ACK: a path that was down, a queue, a host that was starting",
            "a connect timeout below 1 s allows no SYN to be repeated; 3 s or more survive one or two losses"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
