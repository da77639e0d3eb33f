#include "probe/size.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "probe/connect.hpp"
#include "probe/raw.hpp"
#include "probe/tap.hpp"

namespace tcpwhy::probe {
namespace {

using facts::Came;
using facts::SizeQuestion;

/// A connection and the numbers it stands at: nothing has been sent but the handshake.
struct Standing {
  OpenSocket socket;
  facts::Question opened;
  wire::Draft draft;  ///< an empty ACK of it
};

std::optional<Standing> stand(Session& s, const facts::ProbeAddress& a) {
  Standing out;
  auto [socket, question] = open_connection(s, {.target = a.target}, 2.5);
  if (!socket || !question.header || !a.route.source) return std::nullopt;
  out.socket = std::move(socket);
  out.opened = question;
  out.draft = draft_to(*a.route.source, question.local_port, a.target);
  out.draft.seq = question.header->ack;
  out.draft.ack = question.header->seq + 1u;
  out.draft.flags = wire::Flag::kAck;
  out.draft.window = 502;
  return out;
}

std::uint32_t headers(const wire::Draft& d) { return d.ip_version == 4 ? 40 : 60; }

/// What answers a segment sent at `at_s`.
template <class Take>
void listen(Session& s, const Standing& c, double at_s, double patience_s, Take&& take) {
  std::size_t next = s.tap->heard().size();
  while (s.now() - at_s < patience_s && !s.stopped()) {
    pollfd p{s.tap->descriptor(), POLLIN, 0};
    (void)poll(&p, 1, 20);
    s.tap->drain();
    for (; next < s.tap->heard().size(); ++next) {
      const Heard& h = s.tap->heard()[next];
      if (h.way != Way::kIn) continue;
      const bool icmp = h.icmp && h.source_port == c.opened.local_port;
      const bool segment = !h.icmp && h.source_port == c.opened.port && h.destination_port == c.opened.local_port;
      if ((icmp || segment) && take(h)) return;
    }
  }
}

/// Octets that the server has: it must acknowledge them again (RFC 9293 3.10.7.4), and its application sees nothing.
/// Before the SYN's own number there are none; a receiver does not look at what lies before its window.
SizeQuestion ask_size(Session& s, const Standing& c, std::uint32_t octets) {
  SizeQuestion q;
  q.octets = octets;
  q.came = Came::kNotAsked;
  for (int tries = 0; tries < 2 && (q.came == Came::kNothing || q.came == Came::kNotAsked); ++tries) {
    if (s.stopped() || !s.budget.take(1)) return q;
    wire::Draft d = c.draft;
    const std::uint32_t payload = octets - headers(d);
    d.seq = c.draft.seq + (0u - payload);
    d.payload.assign(payload, 0);
    s.pace();
    s.tap->drain();
    q.at_s = s.now();
    q.came = Came::kNothing;
    if (const int error = s.raw->send(d); error != 0) {
      q.came = Came::kLocal;
      return q;
    }
    listen(s, c, q.at_s, 0.6, [&](const Heard& h) {
      q.took_s = s.now() - q.at_s;
      if (h.icmp) {
        q.icmp = h.icmp;
        q.came = Came::kIcmp;
      } else if (h.header.flags & wire::Flag::kRst) {
        q.came = Came::kRst;
      } else if ((h.header.flags & wire::Flag::kAck) && !(h.header.flags & wire::Flag::kSyn) && h.payload_bytes == 0) {
        q.came = Came::kAck;
      } else {
        return false;  // the server speaks first, or repeats itself
      }
      return true;
    });
  }
  return q;
}

}  // namespace

void ask_sizes(Session& s, facts::ProbeAddress& a) {
  facts::SizeTest& test = a.size;
  if (!s.raw || !s.tap) {
    test.not_done = "needs root";
    return;
  }
  const std::uint32_t least = a.target.address.version == 4 ? 576 : 1280;
  const std::uint32_t most = std::min<std::uint32_t>(a.route.mtu == 0 ? 1500 : a.route.mtu, 9000);
  auto c = stand(s, a);
  if (!c) {
    test.not_done = "no connection came about for it";
    return;
  }
  test.mss = c->opened.header->mss;
  const auto ask = [&](std::uint32_t octets) { return test.asked.emplace_back(ask_size(s, *c, octets)).came; };
  if (most <= least || ask(headers(c->draft) + 100) != Came::kAck) {
    test.not_done = "the server does not acknowledge old octets again";
    return;
  }
  // What the other side says it can take in one segment bounds what a real connection sends.
  const std::uint32_t wanted = std::min(most, test.mss == 0 ? most : test.mss + headers(c->draft));
  Came came = ask(wanted);
  if (came == Came::kAck || came == Came::kNotAsked || came == Came::kRst) return;
  std::uint32_t low = least, high = wanted;
  if (test.asked.back().icmp && test.asked.back().icmp->mtu >= least && test.asked.back().icmp->mtu < wanted) {
    low = test.asked.back().icmp->mtu;
    if (ask(low) == Came::kAck) return;
    high = low;
    low = least;
  }
  if (ask(low) != Came::kAck) return;
  while (high - low > 8 && !s.stopped()) {
    const std::uint32_t middle = (low + high) / 2;
    came = ask(middle);
    if (came == Came::kNotAsked) return;
    (came == Came::kAck ? low : high) = middle;
  }
  if (high < wanted || test.asked.size() > 2) (void)ask(high);  // once more: were they lost by chance, it passes
}

void ask_half_open(Session& s, facts::ProbeAddress& a) {
  facts::HalfOpenTest& test = a.half_open;
  test.wanted = s.options.half_open;
  if (test.wanted == facts::HalfOpenTest::Wanted::kNo) return;
  if (!s.raw || !s.tap) {
    test.not_done = "needs root";
    return;
  }
  auto c = stand(s, a);
  if (!c || !s.budget.take(2)) {
    test.not_done = "no connection came about for it";
    return;
  }
  facts::Question q;
  q.ask = facts::Ask::kSynInConnection;
  q.port = a.target.port;
  q.local_port = c->opened.local_port;
  wire::Draft d = c->draft;
  d.flags = wire::Flag::kSyn;
  d.seq = c->draft.seq + 0x20000000u;  // a client that began anew, far outside the old window
  d.ack = SeqNum{};
  d.mss = 1460;
  s.pace();
  s.tap->drain();
  q.at_s = s.now();
  if (const int error = s.raw->send(d); error != 0) {
    q.came = Came::kLocal;
    q.error = error;
  } else {
    listen(s, *c, q.at_s, 1.5, [&](const Heard& h) {
      q.took_s = s.now() - q.at_s;
      q.header = h.header;
      if (h.icmp) q.icmp = h.icmp, q.came = Came::kIcmp;
      else if (h.header.flags & wire::Flag::kRst) q.came = Came::kRst;
      else if (h.header.flags & wire::Flag::kSyn) q.came = Came::kSynAck;
      else if (h.payload_bytes == 0) q.came = Came::kAck;
      else return false;
      return true;
    });
  }
  test.asked = q;
}

}  // namespace tcpwhy::probe
