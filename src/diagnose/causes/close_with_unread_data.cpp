// The application closed with received data unread: the kernel sends RST, not FIN.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/parting.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Connection;
using facts::Party;

/// The closer's window was shut or nearly shut before the RST: its application was not reading.
bool window_was_shut(const Connection& c, const ending::Reset& r) {
  std::uint32_t widest = 0;
  std::int32_t last = -1;
  for (std::int32_t i = 0; i < r.at; ++i) {
    if (c.segment(i).from() != r.by || c.segment(i).rst() || c.segment(i).syn() || !c.note(i).window_known) continue;
    widest = std::max(widest, c.note(i).scaled_window);
    last = i;
  }
  if (last < 0) return false;
  const std::uint16_t mss = c.stream(r.by).mss ? c.stream(r.by).mss : std::uint16_t{536};
  return c.note(last).scaled_window == 0 || (c.note(last).scaled_window < mss && widest > 8u * mss);
}

void examine(const Connection& c, const facts::Survey&, EvidenceList& out) {
  const auto r = ending::ending_reset(c);
  if (!r || r->answer || !r->established || r->foreign() || ending::formality(c, *r)) return;
  const Party peer = r->peer();
  const ending::Talk t = ending::talk_before(c, r->at);
  const std::int32_t theirs = t.last_payload[facts::index(peer)], mine = t.last_payload[facts::index(r->by)];
  out.blames(ending::side(r->by));

  if (theirs < 0 && c.stream(peer).payload_bytes == 0) {
    // Linux tcp_close(): only data in the receive queue turns a close into a RST; a FIN alone does not count.
    out.contradicts({r->at}, [&] { return fmt::format("the {} had sent no data that could have been left unread", ending::who(peer)); });
    return;
  }
  if (window_was_shut(c, *r)) {
    out.demands({theirs, r->at}, [&] {
      return fmt::format("the {} had closed its receive window before it sent RST: its buffer was full of data nobody read",
                         ending::who(r->by));
    });
    return;
  }
  if (ending::unread_when_answering(c, *r)) {
    out.supports({mine, r->at}, [&] {
      return fmt::format("the {}'s last data still carried a window narrowed by what it had not read; the RST right after it shows the window open again, which tcp_close() does by discarding the queue",
                         ending::who(r->by));
    });
    out.supports({theirs, mine}, [&] {
      return fmt::format("{} of the {} had arrived before, and no wider window followed them", ending::octets(t.bytes[facts::index(peer)]), ending::who(peer));
    });
    out.supports({r->at}, [&] {
      return std::string{r->own_fin >= 0 ? "RST+ACK in sequence behind its FIN: shutdown(), then close() (tcp_send_active_reset())"
                                         : "RST+ACK in sequence without FIN (tcp_send_active_reset())"};
    });
    return;
  }
  // The RST's own ACK number names what had arrived in the socket.
  if (theirs <= mine || !t.acked[facts::index(peer)]) return;
  std::uint64_t unanswered = 0;
  std::uint32_t pieces = 0;
  for (std::int32_t i = mine + 1; i < r->at; ++i)
    if (c.segment(i).from() == peer && facts::new_payload(c, i)) unanswered += c.segment(i).payload_bytes, ++pieces;
  const Duration before_close = c.segment(r->at).time - c.segment(theirs).time;

  // Who was still sending: segments of the peer that left before it can have had the RST.
  std::int32_t in_flight = -1;
  for (std::int32_t i = r->at + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() == peer && facts::new_payload(c, i)) {
      in_flight = i;
      break;
    }
  const bool streaming = pieces >= 3 && before_close < std::chrono::milliseconds{5};
  const bool upload_short = r->by == Party::kServer && in_flight >= 0;

  // Read or unread cannot be seen from outside: alone it is no more than possible.
  if (r->by == Party::kServer)
    out.fits({theirs, r->at}, [&] {
      return fmt::format("{} of the client had been acknowledged by the kernel and not answered when the server sent RST, {} after the last of them",
                         ending::octets(unanswered), ending::span(before_close));
    });
  if (streaming || upload_short || (r->own_fin >= 0 && r->own_fin < theirs))
    out.supports({theirs, r->at, in_flight}, [&] {
      if (r->own_fin >= 0 && r->own_fin < theirs)
        return fmt::format("the {} had sent FIN, data came nevertheless and its socket took it in, then RST: nobody was going to read it",
                           ending::who(r->by));
      return fmt::format("the {} was in the middle of sending: {} segments arrived without pause, the last {} before the RST",
                         ending::who(peer), pieces, ending::span(before_close));
    });
  // An answer had been given while the request was still coming in: it was not read to its end.
  if (r->by == Party::kServer && mine >= 0 && t.answer >= 0 && c.segment(t.answer).app == facts::App::kHttpResponse &&
      c.segment(theirs).app != facts::App::kHttpRequest)
    out.supports({t.answer, theirs, r->at}, [&] {
      return std::string{"the server had answered while the request's body was still arriving, and closed without reading the rest"};
    });
  if (streaming || upload_short)
    out.supports({r->at}, [&] {
      return std::string{"what is unread at close() makes Linux send RST even under SO_LINGER 0 (tcp_close() tests it first)"};
    });
}

}  // namespace

extern const Cause kCloseWithUnreadDataCause;
const Cause kCloseWithUnreadDataCause = {
    .id = CauseId::kCloseWithUnreadData,
    .title = "An application closed its socket while received data was still unread.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kReset,
    .settles = "TcpExtTCPAbortOnClose rises by one on the host that sent the RST (`nstat -az TcpExtTCPAbortOnClose`)",
    .fix = {"read until end of file before close(), or shutdown(SHUT_WR), read what is left, then close (every kernel)",
            "for HTTP: read or refuse the request body; nginx does so with lingering_close on"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
