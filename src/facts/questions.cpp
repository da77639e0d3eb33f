// Walking, timing, acknowledgment, requests: the plain questions. Each reads the
// segments and notes of one connection and decides nothing.

#include "facts/questions.hpp"

#include <algorithm>
#include <array>

namespace tcpwhy::facts {

using namespace std::chrono_literals;

namespace {

/// An ACK number one may believe.
bool credible(const SegmentFact& s, const Note& n) {
  if (!s.has_ack() || s.rst()) return false;
  switch (n.ack_place) {
    case AckPlace::kNew: case AckPlace::kDuplicate: case AckPlace::kCurrent: case AckPlace::kUnseen:
    case AckPlace::kUnknown: return true;
    case AckPlace::kNoAck: case AckPlace::kOld: case AckPlace::kImpossible: return false;
  }
  return false;
}

}  // namespace

Index first_after(const Connection& c, Party from, Index i) {
  for (Index k = i + 1; k < size_of(c); ++k)
    if (c.segment(k).from() == from) return k;
  return -1;
}

Index last_before(const Connection& c, Party from, Index i) {
  for (Index k = i - 1; k >= 0; --k)
    if (c.segment(k).from() == from) return k;
  return -1;
}

Index next_payload(const Connection& c, Party from, Index i) {
  for (Index k = i + 1; k < size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() != from || s.payload_bytes == 0 || s.rst()) continue;
    const Repeat r = c.note(k).repeat;
    if (r == Repeat::kNone || r == Repeat::kOutOfOrder || (c.note(k).original < 0 && !is_probe(c.note(k)))) return k;
  }
  return -1;
}

Index last_payload_before(const Connection& c, Party from, Index i) {
  for (Index k = i - 1; k >= 0; --k)
    if (c.segment(k).from() == from && c.segment(k).payload_bytes > 0 && !c.segment(k).rst() && !is_probe(c.note(k)))
      return k;
  return -1;
}

std::uint32_t segments_between(const Connection& c, Party from, Index a, Index b) {
  std::uint32_t count = 0;
  for (Index k = a + 1; k < b; ++k) count += c.segment(k).from() == from ? 1u : 0u;
  return count;
}

Index last_progress(const Connection& c) {
  for (Index k = size_of(c) - 1; k >= 0; --k) {
    const Note& n = c.note(k);
    if (n.repeat == Repeat::kNone && n.ack_place != AckPlace::kDuplicate && n.ack_place != AckPlace::kOld &&
        n.ack_place != AckPlace::kImpossible && !n.challenge && !c.segment(k).rst())
      return k;
  }
  return -1;
}

Duration between(const Connection& c, Index a, Index b) {
  return a < 0 || b < 0 ? Duration{0} : c.segment(b).time - c.segment(a).time;
}

Duration idle_before(const Connection& c, Index i) { return i <= 0 ? Duration{0} : between(c, i - 1, i); }

Duration quiet_before(const Connection& c, Index i) {
  for (Index k = i - 1; k >= 0; --k)
    if (c.segment(k).length() > 0 && !c.segment(k).rst() && !is_probe(c.note(k))) return between(c, k, i);
  return Duration{0};
}

Duration coverage_after(const Connection& c, Index i) {
  if (i < 0) return Duration{0};
  return std::max(Duration{0}, Duration{std::max(c.capture_end, c.segments.back().time) - c.segment(i).time});
}

std::optional<Duration> rtt_estimate(const Connection& c, Party party) {
  return party == Party::kServer ? c.rtt_to_server : c.rtt_to_client;
}

std::optional<Duration> rtt_estimate(const Connection& c) {
  if (c.handshake_rtt) return c.handshake_rtt;
  if (!c.rtt_to_server && !c.rtt_to_client) return std::nullopt;
  return c.rtt_to_server.value_or(Duration{0}) + c.rtt_to_client.value_or(Duration{0});
}

Duration answer_time(const Connection& c, Party party) {
  const auto rtt = rtt_estimate(c, party);
  return rtt ? 3 * *rtt + 200ms : Duration{1s};
}

Index syn_answered(const Connection& c, Index syn_ack) {
  const SegmentFact& answer = c.segment(syn_ack);
  Index asked_by = -1;
  for (Index i = 0; i < syn_ack; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from_server || !s.syn()) continue;
    asked_by = i;
    if (s.has(wire::Opt::kTimestamps) && answer.tsecr != 0 && s.tsval == answer.tsecr) break;
  }
  return asked_by;
}

Index acked_by(const Connection& c, Index i) {
  const SegmentFact& s = c.segment(i);
  for (Index k = i + 1; k < size_of(c); ++k) {
    const SegmentFact& a = c.segment(k);
    if (a.from_server != s.from_server && credible(a, c.note(k)) && !before(a.ack, s.end())) return k;
  }
  return -1;
}

bool was_acked(const Connection& c, Index i) {
  const StreamFacts& acker = c.stream(other(c.segment(i).from()));
  return acker.ack_seen && !before(acker.max_ack, c.segment(i).end());
}

std::uint32_t outstanding_at(const Connection& c, Index i, Party party) {
  bool sent = false, acked = false;
  SeqNum end, ack, first;
  for (Index k = 0; k <= i && k < size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.rst()) continue;
    if (s.from() == party) {
      if (is_probe(c.note(k)) || c.note(k).seq_place == SeqPlace::kBeyondWindow) continue;
      if (!sent) first = s.seq;
      if (!sent || after(s.end(), end)) end = s.end();
      sent = true;
    } else if (credible(s, c.note(k)) && (!acked || after(s.ack, ack))) {
      ack = s.ack;
      acked = true;
    }
  }
  if (!sent) return 0;
  const std::int32_t open = offset(acked ? ack : first, end);
  return open > 0 ? static_cast<std::uint32_t>(open) : 0;
}

Index first_unacked(const Connection& c, Party party) {
  const StreamFacts& acker = c.stream(other(party));
  for (Index k = 0; k < size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.from() != party || s.length() == 0 || s.rst() || is_probe(c.note(k))) continue;
    if (c.note(k).seq_place == SeqPlace::kBeyondWindow) continue;
    if (!acker.ack_seen || after(s.end(), acker.max_ack)) return k;
  }
  return -1;
}

bool answered(const Connection& c, Index i) { return first_after(c, other(c.segment(i).from()), i) >= 0; }

Index answer_to(const Connection& c, Index i) {
  const SegmentFact& s = c.segment(i);
  for (Index k = i + 1; k < size_of(c); ++k) {
    const SegmentFact& a = c.segment(k);
    if (a.from_server == s.from_server) continue;
    if (c.note(k).provoked_by == i) return k;
    if (s.length() > 0 && c.note(k).ack_place == AckPlace::kNew && !before(a.ack, s.end())) return k;
  }
  return -1;
}

bool bears_unscaled_window(const Connection& c, Index i) {
  constexpr std::uint8_t kVisible = 4;             // shifted by as much the window would be a few hundred at most
  constexpr std::uint16_t kWorthScaling = 8192;
  if (c.syn < 0 || c.syn_ack < 0) return false;
  const SegmentFact &syn = c.segment(c.syn), &answer = c.segment(c.syn_ack), &s = c.segment(i);
  const bool agreed = syn.has(wire::Opt::kWindowScale) && answer.has(wire::Opt::kWindowScale) && syn.window_scale >= kVisible;
  return agreed && !s.from_server && !s.syn() && syn.window >= kWorthScaling && s.window == syn.window;
}

bool answered_unseen(const Connection& c, Index i) {
  std::optional<SeqNum> reach;
  const auto take = [&](SeqNum n) {
    if (!reach || after(n, *reach)) reach = n;
  };
  for (Index k = 0; k <= i; ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.rst()) continue;
    if (s.from_server) take(s.end());
    else if (s.has_ack() && !s.syn() && c.note(k).ack_place != AckPlace::kImpossible) take(s.ack);
  }
  if (!reach) return false;
  for (Index k = i + 1; k < size_of(c); ++k) {
    const SegmentFact& s = c.segment(k);
    if (s.rst() || s.syn()) continue;
    if (s.from_server ? after(s.seq, *reach) && c.note(k).ack_place != AckPlace::kImpossible : c.note(k).ack_place == AckPlace::kUnseen) return true;
    if (s.from_server) take(s.end());
  }
  return false;
}

std::uint32_t requests_outstanding(const Connection& c, Index i) {
  std::uint32_t open = 0;
  for (const Exchange& e : c.exchanges) {
    if (e.request >= i) break;
    const bool begun = e.response >= 0 && e.response < i;
    const bool whole = begun && (!e.announced || (e.response_complete && e.response_end < i));
    if (!whole) ++open;
  }
  return open;
}

const Exchange* exchange_at(const Connection& c, Index i) {
  for (auto e = c.exchanges.rbegin(); e != c.exchanges.rend(); ++e) {
    if (e->request > i) continue;
    if (e->response >= 0 && e->response_complete && e->response_end < i) return nullptr;
    return &*e;
  }
  return nullptr;
}

std::uint32_t requests_before(const Connection& c, Index i) {
  const auto after_i = static_cast<std::uint32_t>(
      std::count_if(c.exchanges.begin(), c.exchanges.end(), [&](const Exchange& e) { return e.request >= i; }));
  return c.turns > after_i ? c.turns - after_i : 0;
}

std::uint64_t payload_since_answer(const Connection& c, Party from, Index i) {
  std::uint64_t octets = 0;
  for (Index k = i - 1; k >= 0; --k) {
    const SegmentFact& s = c.segment(k);
    if (s.payload_bytes == 0 || s.rst() || is_probe(c.note(k)) || is_copy(c.note(k))) continue;
    if (s.from() != from) break;
    if (c.note(k).original < 0) octets += s.payload_bytes;
  }
  return octets;
}

bool new_payload(const Connection& c, Index i) {
  if (i < 0 || c.segment(i).payload_bytes == 0 || c.segment(i).rst()) return false;
  switch (c.note(i).repeat) {
    case Repeat::kNone:
    case Repeat::kOutOfOrder:
    case Repeat::kUnseenOriginal: return true;
    // Sent again because the first one was lost before it came here, or was not captured: nobody here has seen these octets.
    case Repeat::kRto:
    case Repeat::kFast:
    case Repeat::kTlp:
    case Repeat::kAmbiguous:
    case Repeat::kSpurious: return c.note(i).original < 0;
    case Repeat::kSyn:
    case Repeat::kSynAck:
    case Repeat::kKeepalive:
    case Repeat::kZeroWindowProbe:
    case Repeat::kFin:
    case Repeat::kNetworkDuplicate:
    case Repeat::kCaptureDuplicate: return false;
  }
  return false;
}

std::uint8_t usual_ttl(const Connection& c, Party party) {
  // Majority vote (Boyer and Moore): one pass, no table.
  std::uint8_t candidate = 0;
  std::uint32_t lead = 0;
  for (const SegmentFact& s : c.segments) {
    if (s.from() != party || s.rst()) continue;
    if (lead == 0) candidate = s.ttl;
    lead += s.ttl == candidate ? 1u : lead > 0 ? ~0u : 0u;
  }
  return candidate;
}

bool counts_ip_ids(const Connection& c, Party party) {
  std::uint32_t small = 0, other_steps = 0;
  bool have = false;
  std::uint16_t last = 0;
  for (std::size_t k = 0; k < c.segments.size(); ++k) {
    const SegmentFact& s = c.segments[k];
    // Stateless packets (SYN-ACK, answers with RST) take their ID from elsewhere; linux-tcp 11.2, 11.4.
    if (s.from() != party || s.rst() || (s.syn() && s.has_ack()) || is_copy(c.notes[k])) continue;
    const std::uint16_t step = static_cast<std::uint16_t>(s.ip_id - last);
    if (have) ++(step > 0 && step < 256 ? small : other_steps);
    have = true;
    last = s.ip_id;
  }
  return small >= 2 && small >= 4 * other_steps;
}

std::uint8_t hops(std::uint8_t ttl) {
  const int initial = ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;
  return static_cast<std::uint8_t>(initial - ttl);
}

bool at_rest_before(const Connection& c, Index i) {
  if (i <= 0) return true;
  return outstanding_at(c, i - 1, Party::kClient) == 0 && outstanding_at(c, i - 1, Party::kServer) == 0 &&
         requests_outstanding(c, i) == 0;
}

}  // namespace tcpwhy::facts
