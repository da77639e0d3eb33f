#include "diagnose/silence.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/once.hpp"
#include "diagnose/timer.hpp"
#include "facts/farewell.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;
using namespace std::chrono_literals;

/// A SYN that belongs to the handshake, not to the conversation.
bool occupies(const facts::SegmentFact& s) { return !s.syn() && !s.rst() && s.length() > 0; }

/// Highest number the receiver acknowledged, impossible ones aside. Nothing when no ACK of it was seen.
std::optional<SeqNum> acknowledged(const facts::Connection& c, Party sender) {
  std::optional<SeqNum> una;
  for (std::size_t i = 0; i < c.segments.size(); ++i) {
    const facts::SegmentFact& s = c.segments[i];
    if (s.from() == sender || !s.has_ack() || s.rst()) continue;
    if (c.notes[i].ack_place == facts::AckPlace::kImpossible) continue;
    if (!una || after(s.ack, *una)) una = s.ack;
  }
  return una;
}

}  // namespace

Duration round_trip(const facts::Connection& c) {
  if (c.rtt_to_client && c.rtt_to_server) return *c.rtt_to_client + *c.rtt_to_server;
  if (c.handshake_rtt) return *c.handshake_rtt;
  if (c.rtt_to_client) return *c.rtt_to_client;
  if (c.rtt_to_server) return *c.rtt_to_server;
  return 100ms;
}

std::int32_t last_of(const facts::Connection& c, Party p, std::int32_t before) {
  const auto n = static_cast<std::int32_t>(c.segments.size());
  for (std::int32_t i = (before < 0 ? n : before) - 1; i >= 0; --i)
    if (c.segment(i).from() == p) return i;
  return -1;
}

bool carries_data(const facts::Connection& c, std::int32_t i) {
  return c.segment(i).payload_bytes > 0 && !c.segment(i).syn() && !c.segment(i).rst() && !facts::is_probe(c.note(i));
}

namespace {

std::optional<Unanswered> find_unanswered(const facts::Connection& c, Party sender) {
  const std::optional<SeqNum> una = acknowledged(c, sender);
  Unanswered u;
  u.sender = sender;
  const auto n = static_cast<std::int32_t>(c.segments.size());
  SeqNum oldest;
  for (std::int32_t i = 0; i < n; ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender || !occupies(s) || facts::is_probe(c.note(i))) continue;
    if (una && !after(s.end(), *una)) continue;
    if (facts::is_copy(c.note(i))) continue;
    if (u.sends.empty()) {
      oldest = una && before(s.seq, *una) ? *una : s.seq;
      u.sends.push_back(i);
    } else if (before(s.seq, oldest)) {
      // The sender went back further than before; or what came later was overtaken, and this is sent for the first time.
      if (c.note(i).repeat == Repeat::kOutOfOrder || c.note(i).repeat == Repeat::kAmbiguous) u.sends.clear();
      oldest = una && before(s.seq, *una) ? *una : s.seq;
      u.sends.push_back(i);
    } else if (in_window(oldest, s.seq, s.length())) {
      u.sends.push_back(i);
    }
    u.last = i;
    if (s.payload_bytes > 0) {
      u.largest = std::max(u.largest, s.payload_bytes);
      u.smallest = u.smallest == 0 ? s.payload_bytes : std::min(u.smallest, s.payload_bytes);
    }
  }
  if (u.sends.empty()) return std::nullopt;
  const std::int32_t first = u.sends.front();
  u.heard = last_of(c, other(sender), first);
  // What the other side sent within a round trip may have crossed it on the way.
  const CaptureTime could_know = c.segment(first).time + std::max<Duration>(10ms, 2 * round_trip(c));
  for (std::int32_t i = first + 1; i < n; ++i)
    if (c.segment(i).from() != sender && c.segment(i).time > could_know) u.heard_after = i;
  u.waited = facts::coverage_after(c, first);
  u.silent = facts::coverage_after(c, u.last);
  if (first > 0) u.idle_before = c.segment(first).time - c.segment(first - 1).time;
  return u;
}

std::optional<Deaf> find_deaf(const facts::Connection& c, Party sender) {
  Deaf d;
  const Duration crossing = std::max<Duration>(10ms, 2 * round_trip(c));
  std::optional<SeqNum> newest_ack_of_sender, newest_end;
  // ACKs of the other side that had time to arrive, and the highest number among them.
  std::int32_t arrived = 0, highest = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != sender || s.rst() || s.syn()) continue;
    for (; arrived < i && s.time - c.segment(arrived).time > crossing; ++arrived) {
      const facts::SegmentFact& a = c.segment(arrived);
      if (a.from() == sender || !a.has_ack() || a.rst()) continue;
      if (c.note(arrived).ack_place == facts::AckPlace::kImpossible) continue;
      if (highest < 0 || after(a.ack, c.segment(highest).ack)) highest = arrived;
    }
    // Progress of the sender shows that it heard something: what came before is history.
    const bool hears = s.has_ack() && newest_ack_of_sender && after(s.ack, *newest_ack_of_sender);
    const bool moves = s.length() > 0 && newest_end && after(s.end(), *newest_end);
    if (hears || moves) d = Deaf{};
    if (s.has_ack() && (!newest_ack_of_sender || after(s.ack, *newest_ack_of_sender))) newest_ack_of_sender = s.ack;
    if (s.length() > 0 && (!newest_end || after(s.end(), *newest_end))) newest_end = s.end();
    if (!occupies(s) || facts::is_probe(c.note(i)) || facts::is_copy(c.note(i))) continue;
    if (highest < 0 || after(s.end(), c.segment(highest).ack)) continue;
    if (d.acked_by < 0) d.acked_by = highest;
    d.repeats.push_back(i);
  }
  if (d.repeats.empty()) return std::nullopt;
  return d;
}

}  // namespace

std::optional<Unanswered> unanswered(const facts::Connection& c, Party sender) {
  return ending::remembered(c, &ending::Once::unanswered, sender, [&] { return find_unanswered(c, sender); });
}

std::optional<Deaf> deaf(const facts::Connection& c, Party sender) {
  return ending::remembered(c, &ending::Once::deaf, sender, [&] { return find_deaf(c, sender); });
}

std::vector<std::int32_t> refusals(const facts::Connection& c, const Unanswered& u) {
  std::vector<std::int32_t> answers;
  const Duration soon = round_trip(c) + 50ms;
  for (std::int32_t send : u.sends)
    for (std::int32_t i = send + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
      const facts::SegmentFact& s = c.segment(i);
      if (s.time - c.segment(send).time > soon) break;
      if (s.from() == u.sender || s.length() != 0 || s.rst() || !s.has_ack() || facts::is_probe(c.note(i))) continue;
      if (answers.empty() || answers.back() != i) answers.push_back(i);
      break;
    }
  if (2 * answers.size() < u.sends.size()) answers.clear();
  return answers;
}

std::optional<Waiting> waiting(const facts::Connection& c) {
  Waiting w;
  const auto n = static_cast<std::int32_t>(c.segments.size());
  for (std::int32_t i = 0; i < n; ++i) {
    if (!carries_data(c, i) || facts::is_copy(c.note(i))) continue;
    if (c.segment(i).from() == Party::kServer) {
      w.request = -1;
    } else if (w.request < 0 || after(c.segment(i).end(), c.segment(w.request).end())) {
      w.request = i;
    }
  }
  if (w.request < 0) return std::nullopt;
  const facts::SegmentFact& request = c.segment(w.request);
  for (std::int32_t i = w.request + 1; i < n; ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() == Party::kServer) {
      if (s.fin() || s.rst()) return std::nullopt;  // the server's answer was to end it
      if (w.acked_by < 0 && s.has_ack() && !s.syn() && !before(s.ack, request.seq + request.payload_bytes))
        w.acked_by = i;
    } else if (w.ended_by < 0 && (s.rst() || (s.fin() && s.time - request.time > facts::kRightBehind))) {
      w.ended_by = i;
    }
  }
  if (w.acked_by < 0 || facts::answered_unseen(c, w.request)) return std::nullopt;
  w.waited = w.ended_by >= 0 ? c.segment(w.ended_by).time - request.time : facts::coverage_after(c, w.request);
  w.answered_before = c.stream(Party::kServer).payload_bytes;
  return w;
}

std::optional<Broken> broken_off(const facts::Connection& c) {
  if (c.exchanges.empty() || c.stream(Party::kServer).fin_seen || c.stream(Party::kClient).fin_seen ||
      c.stream(Party::kServer).rst_seen || c.stream(Party::kClient).rst_seen)
    return std::nullopt;
  const facts::Exchange& x = c.exchanges.back();
  if (!x.announced || x.response_complete || x.response_end < 0 || x.delivered_bytes >= x.announced_bytes) return std::nullopt;
  if (c.has(facts::Signal::kUnackedAtEnd)) return std::nullopt;
  return Broken{&x, x.response_end, facts::coverage_after(c, x.response_end)};
}

bool service_never_spoke(const facts::Connection& c, const facts::Survey& survey) {
  const facts::ServiceFacts* service = survey.service(c.ends[index(Party::kServer)]);
  if (service == nullptr || service->accepted < 2) return false;
  const auto& attempts = service->attempts_sample.values;
  return std::none_of(attempts.begin(), attempts.end(), [](const facts::Attempt& a) { return a.server_spoke; });
}

bool waited_too_long(const facts::Connection& c, const facts::Survey& survey, const Waiting& w) {
  if (w.ended_by < 0) {
    if (c.outcome == facts::Outcome::kStalled) return true;  // flow has asked how long
    // A whole service that answers nobody is no long poll.
    return w.waited >= 4s && w.answered_before == 0 && c.segment(w.request).app == facts::App::kHttpRequest &&
           service_never_spoke(c, survey);
  }
  if (w.waited < 1s) return false;
  // Who only talks (a log, a metric) ends without an answer as a matter of course.
  switch (c.segment(w.request).app) {
    case facts::App::kHttpRequest:
    case facts::App::kTlsHandshake:
    case facts::App::kSmb: return true;
    case facts::App::kTlsAlert: return false;
    case facts::App::kNone:
    case facts::App::kOpaque:
    case facts::App::kHttpResponse:
    case facts::App::kTlsData:
    case facts::App::kSsh: break;
  }
  // Turns taken so far, every one of them answered, make the last one owed; but the last words may be a goodbye that
  // nobody answers. A wait of whole seconds is a timer's.
  std::size_t answered = 0;
  for (const facts::Exchange& x : c.exchanges) answered += x.response >= 0 ? 1 : 0;
  return ended_by_timer(w.waited) && answered >= 2 && answered + 1 >= c.exchanges.size();
}

std::optional<ClosedWindow> closed_window(const facts::Connection& c, Party receiver) {
  ClosedWindow opened;
  opened.receiver = receiver;
  ClosedWindow w = opened;
  std::int32_t end = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.rst()) {
      if (end < 0) end = i;
      continue;
    }
    if (s.syn()) continue;
    if (s.from() == receiver) {
      if (s.anomalies & wire::Anomaly::kWindowUnseen) continue;
      if (s.window != 0) {
        w = opened;
        continue;
      }
      if (w.closed < 0) w.closed = i;
      else if (!w.probes.empty() && w.probes.back() > w.last) ++w.answered;
      w.last = i;
    } else if (w.closed >= 0 && (facts::is_probe(c.note(i)) || (s.payload_bytes > 0 && !facts::is_copy(c.note(i))))) {
      w.probes.push_back(i);
    }
  }
  if (w.closed < 0) return std::nullopt;
  w.lasted = end > w.closed ? c.segment(end).time - c.segment(w.closed).time : facts::coverage_after(c, w.closed);
  return w;
}

bool service_answered_after(const facts::Connection& c, const facts::Survey& survey, CaptureTime since) {
  const facts::ServiceFacts* service = survey.service(c.ends[index(Party::kServer)]);
  if (service == nullptr) return false;
  return std::any_of(service->attempts_sample.values.begin(), service->attempts_sample.values.end(),
                     [&](const facts::Attempt& a) {
                       return a.fate == facts::Attempt::Fate::kAccepted && a.syn > since && a.connection != c.id;
                     });
}

bool given_time(const facts::Connection& c, const Unanswered& u) {
  // Linux tcp_rearm_rto(): the first timeout comes after smoothed RTT + at least 200 ms, then doubles. Two repeats
  // and a second of coverage (or four round trips) leave room for any answer to the first two; one repeat needs longer.
  const Duration rtts = 4 * round_trip(c);
  return (u.repeats() >= 2 && u.waited >= std::max<Duration>(900ms, rtts)) ||
         (u.repeats() == 1 && u.waited >= std::max<Duration>(3s, rtts));
}

bool established(const facts::Connection& c) {
  if (c.syn < 0 && c.syn_ack < 0) return c.stream(Party::kClient).seen && c.stream(Party::kServer).seen;
  return c.syn_ack >= 0 && c.handshake_ack >= 0;
}

bool server_still_in_handshake(const facts::Connection& c) {
  if (c.syn_ack < 0) return false;
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (server.syn_count < 2) return false;
  std::int32_t last_syn_ack = -1;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    const facts::SegmentFact& s = c.segment(i);
    if (s.from() != Party::kServer || s.rst()) continue;
    if (!s.syn()) return false;
    last_syn_ack = i;
  }
  // A second SYN, held up on its way, gets an answer of its own; only the listener's timer shows that it still waits.
  return c.handshake_ack >= 0 && last_syn_ack > c.handshake_ack && opening_of(c).repeats > 0;
}

bool captured_at(const facts::Connection& c, Party host) {
  // A router sees segments come in and go out as well; a host's own have not lost a hop.
  if (const facts::StreamFacts& own = c.stream(host); own.seen && own.ttl != 64 && own.ttl != 128 && own.ttl != 255) return false;
  for (const facts::SegmentFact& s : c.segments)
    if ((s.from() == host && s.outbound) || (s.from() != host && s.inbound)) return true;
  return false;
}

std::string_view name(Party p) { return p == Party::kClient ? "the client" : "the server"; }
std::string_view capital(Party p) { return p == Party::kClient ? "The client" : "The server"; }
facts::Side side_of(Party p) { return p == Party::kClient ? facts::Side::kClient : facts::Side::kServer; }

std::string say(Duration d) {
  const double s = seconds(d);
  if (s < 0.0995) return fmt::format("{:.1f} ms", s * 1e3);
  if (s < 0.9995) return fmt::format("{:.0f} ms", s * 1e3);
  if (s < 9.95) return fmt::format("{:.1f} s", s);
  if (s < 119.5) return fmt::format("{:.0f} s", s);
  const long whole = static_cast<long>(s + 0.5);
  if (whole < 7200) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string times(std::size_t n) { return n == 1 ? "once" : n == 2 ? "twice" : fmt::format("{} times", n); }

}  // namespace tcpwhy::diagnose
