#include "diagnose/siblings.hpp"

#include <algorithm>
#include <chrono>

#include "tcpwhy/seq.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;
using facts::Attempt;

// Linux reqsk_timer_handler(): with the default of five repeats a request is removed after 63 s.
constexpr Duration kRequestLife = 64s;
// Linux include/net/tcp.h TCP_PAWS_MSL: how long tcp_tw_recycle remembered a timestamp.
constexpr Duration kPawsMemory = 60s;

/// Could one host have stamped both? The check knows hosts whose connections share a clock; clients of Linux 4.10 and
/// later begin each connection's at random (secure_tcp_ts_off()), and that theirs lie below a mark is chance.
bool on_one_clock(std::uint32_t a, CaptureTime at_a, std::uint32_t b, CaptureTime at_b) {
  constexpr double kSlowest = 90, kFastest = 1100, kSlack = 50;  // ticks per second: 100 to 1000; a scheduler's delay
  const double passed = seconds(at_b - at_a);
  const double ticks = offset(SeqNum{a}, SeqNum{b}) * (passed < 0 ? -1.0 : 1.0), length = passed < 0 ? -passed : passed;
  return ticks >= kSlowest * length - kSlack && ticks <= kFastest * length + kSlack;
}

}  // namespace

Siblings siblings_of(const facts::Connection& c, const facts::ServiceFacts& service) {
  Siblings out;
  if (c.syn < 0) return out;
  const facts::SegmentFact& syn = c.segment(c.syn);
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  CaptureTime last_syn = syn.time;
  for (std::int32_t i = c.syn; i <= client.last && i - c.syn < 64; ++i)
    if (const facts::SegmentFact& s = c.segment(i); !s.from_server && s.syn()) last_syn = s.time;
  const facts::Address& address = c.ends[index(facts::Party::kClient)].address;
  const bool stamped = syn.has(wire::Opt::kTimestamps);

  for (const Attempt& a : service.attempts_sample.values) {
    if (a.connection == c.id) continue;
    const bool before_this = a.syn < syn.time;
    const bool meanwhile = a.syn > syn.time && a.syn < last_syn;
    const bool same_address = a.client == address;
    const bool accepted = a.fate == Attempt::Fate::kAccepted || a.fate == Attempt::Fate::kResetEarly;
    if (accepted && before_this) ++(a.server_spoke ? out.served : out.unserved);
    if (accepted && meanwhile) ++out.accepted_meanwhile;
    if (a.fate == Attempt::Fate::kIncomplete && before_this && syn.time - a.syn < kRequestLife) ++out.half_open;
    if (a.fate == Attempt::Fate::kUnanswered && !same_address) ++out.others_failed;
    if (!same_address || !stamped || !a.has_timestamps) continue;
    // Linux tcp_peer_is_proven() of old: refused when the stored value is ahead by more than one tick.
    const bool larger = offset(SeqNum{syn.tsval}, SeqNum{a.tsval}) > 1;
    if (accepted && (meanwhile || (before_this && syn.time - a.syn < kPawsMemory + 10s))) {
      if (!larger) {
        ++out.smaller_accepted;
        continue;
      }
      ++out.larger_accepted;
      ++(meanwhile ? out.larger_meanwhile : out.larger_before);
      out.larger_connection = a.connection;
      out.larger_tsval = a.tsval;
      out.larger_at = a.syn;
    }
  }
  if (out.larger_accepted == 0) return out;
  for (const Attempt& a : service.attempts_sample.values)
    if (a.connection != c.id && a.client == address && a.has_timestamps && a.fate == Attempt::Fate::kUnanswered &&
        offset(SeqNum{a.tsval}, SeqNum{out.larger_tsval}) > 1 && on_one_clock(syn.tsval, syn.time, a.tsval, a.syn))
      ++out.also_refused;
  return out;
}

std::optional<Attempt> refused_after(const facts::Connection& c, const facts::Survey& survey, CaptureTime since) {
  const facts::ServiceFacts* s = survey.service(c.ends[index(facts::Party::kServer)]);
  if (s == nullptr) return std::nullopt;
  for (const Attempt& a : s->failures_sample.values)
    if (a.fate == Attempt::Fate::kRefused && a.syn_acks == 0 && a.connection != c.id && a.syn >= since && a.syn - since < 30s) return a;
  return std::nullopt;
}

bool listener_seen_between(const facts::Connection& c, const facts::Survey& survey, CaptureTime since, CaptureTime until) {
  const facts::ServiceFacts* s = survey.service(c.ends[index(facts::Party::kServer)]);
  if (s == nullptr) return false;
  return std::any_of(s->attempts_sample.values.begin(), s->attempts_sample.values.end(), [&](const Attempt& a) {
    return a.connection != c.id && a.syn >= since && a.syn < until && a.syn_acks > 0;
  });
}

std::uint32_t waiting_beside(const facts::Connection& c, const facts::Survey& survey) {
  const facts::ServiceFacts* s = survey.service(c.ends[index(facts::Party::kServer)]);
  if (s == nullptr || c.syn < 0) return 0;
  return static_cast<std::uint32_t>(std::count_if(s->attempts_sample.values.begin(), s->attempts_sample.values.end(), [&](const Attempt& a) {
    return a.connection != c.id && a.syn < c.segment(c.syn).time && a.fate == Attempt::Fate::kAccepted && !a.server_spoke;
  }));
}

bool is_port_check(const facts::Connection& c, const facts::Survey& survey) {
  const facts::StreamFacts& client = c.stream(facts::Party::kClient);
  const facts::StreamFacts& server = c.stream(facts::Party::kServer);
  if (c.syn < 0 || c.syn_ack < 0 || client.rst < 0 || server.rst >= 0 || client.payload_bytes + server.payload_bytes > 0) return false;
  // The abort of a socket (tcp_send_active_reset()); a kernel without one, as below a SYN scanner, sends RST without ACK.
  const facts::SegmentFact& rst = c.segment(client.rst);
  if (!rst.has_ack() || rst.ack != c.segment(c.syn_ack).end()) return false;
  const facts::ServiceFacts* service = survey.service(c.ends[1]);
  if (service == nullptr) return false;
  const auto& attempts = service->attempts_sample.values;
  return std::count_if(attempts.begin(), attempts.end(), [&](const Attempt& a) { return a.probe && a.client == c.ends[0].address; }) >= 3;
}

}  // namespace tcpwhy::diagnose
