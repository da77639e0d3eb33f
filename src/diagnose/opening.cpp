#include "diagnose/opening.hpp"

#include <algorithm>
#include <utility>

#include "diagnose/cause.hpp"
#include "diagnose/once.hpp"
#include "diagnose/words.hpp"
#include "facts/questions.hpp"
#include "facts/syn_timer.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Connection;
using facts::Party;
using facts::SegmentFact;

/// The story of an opening is over after this many segments, whatever they are.
constexpr std::size_t kLongestOpening = 400;

/// TTLs that stacks start with; a segment that arrives with one has passed no router.
constexpr bool is_initial_ttl(std::uint8_t ttl) { return ttl == 64 || ttl == 128 || ttl == 255; }

// A SYN-ACK of a host on the same link or the same machine comes within this time;
// Linux answers a SYN in softirq, some tens of microseconds after it arrived.
constexpr Duration kOwnAnswer = std::chrono::microseconds{400};

// No system repeats a SYN earlier; Linux, Windows and the BSDs wait 0.5 to 3 s.
constexpr Duration kSoonestRepeat = std::chrono::milliseconds{100};

/// A SYN-ACK that passes within this time after the client's ACK may have left the
/// server before the ACK arrived: the round trip between here and the server.
Duration crossing(const Connection& c, const Opening& o) {
  const facts::Index asked_by = facts::syn_answered(c, o.syn_ack);
  if (asked_by < 0) return Duration{};
  const Duration took = facts::between(c, asked_by, o.syn_ack);
  return (o.syns > 1 && c.rtt_to_server ? std::max(took, *c.rtt_to_server) : took) * 5 / 4;
}

/// The client's segment that the server took, of those that passed before `progress`: the one whose timestamp that
/// echoes (RFC 7323 4.3); without timestamps, the last that a round trip allows. -1: none can be told.
std::int32_t taken_by(const Connection& c, const Opening& o) {
  const SegmentFact& answer = c.segment(o.progress);
  std::int32_t taken = -1;
  for (std::int32_t i = o.third; i >= 0 && i < o.progress; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from_server || s.rst() || s.syn()) continue;
    if (s.has(wire::Opt::kTimestamps) && answer.has(wire::Opt::kTimestamps)) {
      if (s.tsval == answer.tsecr) return i;
    } else if (answer.time - s.time > crossing(c, o) || taken < 0) {
      taken = i;
    }
  }
  return taken;
}

/// Of the client's tries those that had no effect: each of them was lost, or each was ignored. Bare ACKs after the last
/// SYN-ACK may have had theirs in silence.
std::uint32_t in_vain(const Connection& c, const Opening& o) {
  if (o.third < 0) return 0;
  const std::int32_t taken = o.progress >= 0 ? taken_by(c, o) : o.last_try + 1;
  std::uint32_t tries = 0;
  for (std::int32_t i = o.third; i < taken; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from_server || s.rst() || s.syn() || c.note(i).repeat == facts::Repeat::kCaptureDuplicate) continue;
    // The rest of the first flight is not another try of what opens it.
    if (s.payload_bytes == 0 ? i < o.last_syn_ack : o.data < 0 || !after(s.seq, c.segment(o.data).seq)) ++tries;
  }
  return tries;
}

Opening find_opening(const Connection& c) {
  Opening o;
  std::int32_t i = 0;
  std::uint32_t asked = 0;  // SYNs that passed and that no SYN-ACK has answered yet
  for (const SegmentFact& s : c.segments) {
    if (static_cast<std::size_t>(i) >= kLongestOpening || o.progress >= 0) break;
    if (c.note(i).repeat == facts::Repeat::kCaptureDuplicate) {
      ++i;
      continue;
    }
    if (!s.from_server) {
      if (s.rst()) {
        if (o.challenge >= 0 && o.challenge_rst < 0 && s.seq == c.segment(o.challenge).ack) o.challenge_rst = i;
        else if (o.client_rst < 0) o.client_rst = i;
      } else if (s.syn()) {
        if (o.syn < 0) o.syn = i;
        o.last_syn = i;
        ++o.syns;
        ++asked;
        // Sooner than the SYN-ACK can have been missed it was under way already: two SYNs that waited for the same
        // neighbour's address, or a copy.
        if (o.syn_ack >= 0 && o.syn_after_answer < 0 && s.time - c.segment(o.last_syn_ack).time > kSoonestRepeat) o.syn_after_answer = i;
      } else if (o.syn_ack >= 0 && s.has_ack() && s.ack == c.segment(o.syn_ack).seq + 1) {
        if (o.third < 0) o.third = i;
        o.last_try = i;
        ++o.tries;
        if (s.payload_bytes != 0) {
          if (o.data < 0) o.data = i;
          // The rest of the first flight is not another try of what opens it.
          if (!after(s.seq, c.segment(o.data).seq)) ++o.data_tries;
        }
      }
    } else if (s.rst()) {
      if (o.server_rst < 0) o.server_rst = i;
    } else if (s.syn() && s.has_ack()) {
      if (o.syn_ack < 0) o.syn_ack = i;
      if (s.seq == c.segment(o.syn_ack).seq) {
        // SYNs that were dropped are never answered: what comes so long after the last one is a timer's.
        if (asked > 0 && s.time - c.segment(o.last_syn).time > std::max<Duration>(std::chrono::milliseconds{700}, 3 * crossing(c, o))) asked = 0;
        const std::int32_t before_it = std::exchange(o.last_syn_ack, i);
        ++o.syn_acks;
        if (asked == 0) ++o.unasked;
        if (o.third >= 0 && asked == 0 && s.time - c.segment(o.third).time > crossing(c, o)) {
          if (o.repeat < 0) {
            o.repeat = i;
            o.first_wait = (s.time - c.segment(before_it).time) / (std::int64_t{1} << std::min(o.unasked - 1, 8u));
          }
          ++o.repeats;
          if (o.data >= 0 && o.data_repeat < 0 && s.time - c.segment(o.data).time > crossing(c, o)) o.data_repeat = i;
        }
        if (asked > 0) --asked;
      }
    } else if (o.syn_ack >= 0) {
      o.progress = i;
    } else if (o.syn >= 0 && o.challenge < 0 && s.has_ack() && s.payload_bytes == 0 && !s.fin() &&
               c.note(i).ack_place == facts::AckPlace::kImpossible && s.ack != c.segment(o.syn).seq + 1) {
      o.challenge = i;
    }
    ++i;
  }
  o.in_vain = in_vain(c, o);
  return o;
}

}  // namespace

Opening opening_of(const Connection& c) {
  return ending::remembered(c, &ending::Once::opening, [&] { return find_opening(c); });
}

bool third_ack_refused(const Connection& c, const Opening& o) {
  if (o.syn_ack < 0 || o.third < 0 || o.server_rst < o.third || o.repeats > 0) return false;
  const SegmentFact& rst = c.segment(o.server_rst);
  const SegmentFact& third = c.segment(o.third);
  if (rst.has_ack() || rst.seq != third.ack) return false;
  const Duration trip = c.segment(o.syn_ack).time - c.segment(o.last_syn >= 0 ? o.last_syn : o.syn_ack).time;
  return rst.time - third.time <= std::chrono::milliseconds{200} + 3 * trip;
}

bool settled(const Connection& c, const Opening& o) {
  if (o.repeats != 1 || o.last_try < o.last_syn_ack || o.client_rst >= 0 || o.server_rst >= 0) return false;
  // Linux tcp_reqsk_timeout(): each wait is twice the one before; a quarter more for the path.
  const Duration gap = c.segment(o.repeat).time - c.segment(o.syn_ack).time;
  return c.capture_end - c.segment(o.last_syn_ack).time > 2 * gap + gap / 2;
}

bool at_server(const Connection& c, const facts::Survey& survey) {
  switch (c.vantage) {
    case facts::Vantage::kServer: return true;
    case facts::Vantage::kClient: return false;
    case facts::Vantage::kBetween: return false;
    case facts::Vantage::kUnknown: break;
  }
  const SegmentFact* syn = c.syn >= 0 ? &c.segment(c.syn) : nullptr;
  if (syn != nullptr && syn->inbound) return true;
  const facts::HostFacts* host = survey.host(c.ends[index(Party::kServer)].address);
  return host != nullptr && host->syn_acks > 0 && host->fastest_syn_ack <= kOwnAnswer &&
         is_initial_ttl(host->usual_ttl());
}

bool at_client(const Connection& c, const facts::Survey&) {
  switch (c.vantage) {
    case facts::Vantage::kClient: return true;
    case facts::Vantage::kServer: return false;
    case facts::Vantage::kBetween: return false;
    case facts::Vantage::kUnknown: break;
  }
  return c.syn >= 0 && c.segment(c.syn).outbound;
}

void note_repeats_left_out(const Connection& c, const Opening& o, const facts::Survey& survey, EvidenceList& out) {
  if (o.first_wait <= kFirstSynAckRepeat) return;
  const bool sure = o.first_wait > kOldFirstSynAckRepeat && at_server(c, survey);
  out.note(sure ? Bearing::kDemands : Bearing::kSupports, {o.syn_ack, o.repeat}, {}, [&] {
    return fmt::format("the repeats due before {} were left out, as only a deferring listener does (linux-tcp 4.2)",
                       span_words(c.segment(o.repeat).time - c.segment(o.syn_ack).time));
  });
}

bool syn_waited(const Connection& c) {
  return c.stream(Party::kClient).syn_count > 1 || c.capture_end - c.segment(c.syn).time >= facts::kSynRepeated;
}

bool answers_would_show(const Connection& c, const facts::Survey& survey) {
  const facts::HostFacts* host = survey.host(c.ends[index(Party::kServer)].address);
  if (host != nullptr && (host->syn_acks > 0 || host->connections_as_client > 0)) return true;
  return survey.two_direction_connections > 0 || survey.one_direction_connections <= 1;
}

}  // namespace tcpwhy::diagnose
