#include "diagnose/refusal.hpp"

#include <chrono>
#include <cstdlib>

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

// Below this a difference of round trips means nothing: queues and interrupts take as long.
constexpr Duration kTellableRoundTrip = 2ms;

/// The TTL of the host's other segments nearest to `ttl`.
std::optional<std::uint8_t> nearest_ttl(const facts::HostFacts& host, std::uint8_t ttl) {
  for (int away = 0; away < 256; ++away)
    for (int candidate : {ttl - away, ttl + away})
      if (candidate >= 0 && candidate < 256 && host.ttl_seen[static_cast<std::size_t>(candidate)] != 0)
        return static_cast<std::uint8_t>(candidate);
  return std::nullopt;
}

/// Several connections, and next to no other TTL in any of them.
bool always_at(const facts::HostFacts& host, std::uint8_t ttl) {
  constexpr std::uint64_t kSeveral = 3, kOneOf = 16;
  std::uint64_t all = 0;
  for (const std::uint32_t n : host.ttl_seen) all += n;
  return host.ttl_seen[ttl] >= kSeveral && (all - host.ttl_seen[ttl]) * kOneOf <= all;
}

}  // namespace

std::optional<Refusal> refusal_of(const facts::Connection& c, const facts::Survey& survey) {
  const std::int32_t rst = c.stream(facts::Party::kServer).rst;
  if (c.syn < 0 || c.syn_ack >= 0 || rst < 0) return std::nullopt;
  const facts::SegmentFact& r = c.segment(rst);
  Refusal out;
  out.rst = rst;
  for (std::int32_t i = 0; i < rst; ++i)
    if (const facts::SegmentFact& s = c.segment(i); !s.from_server && s.syn() && !s.has_ack()) out.syn = i;
  if (out.syn < 0) return std::nullopt;
  // A client that acknowledges had an answer: the SYN-ACK was not captured, and the RST ends a connection.
  for (std::int32_t i = 0; i < rst; ++i)
    if (const facts::SegmentFact& s = c.segment(i); !s.from_server && s.has_ack() && !s.rst()) return std::nullopt;
  // A RST that quotes another number answers an older segment of the same ports.
  const facts::SegmentFact& syn = c.segment(out.syn);
  if (r.has_ack() && r.ack != syn.end() && r.ack != syn.seq + 1) return std::nullopt;

  out.delay = r.time - syn.time;
  out.live_window = r.window != 0;
  out.has_options = r.options != 0;
  out.no_ack = !r.has_ack();
  const facts::HostFacts* host = survey.host(c.ends[index(facts::Party::kServer)].address);
  if (host == nullptr || host->syn_acks == 0) return out;
  // Routes are stable; two hops more or less are another device (linux-tcp: 11.5). One hop less is another as well,
  // where every segment of the host has the same distance.
  if (auto ttl = nearest_ttl(*host, r.ttl); ttl && (std::abs(int{*ttl} - int{r.ttl}) > 1 || (r.ttl == *ttl + 1 && always_at(*host, *ttl))))
    out.host_ttl = ttl;
  out.too_fast = host->fastest_syn_ack != Duration::max() && host->fastest_syn_ack > kTellableRoundTrip &&
                 out.delay * 3 < host->fastest_syn_ack;
  out.host_fastest = host->fastest_syn_ack;
  return out;
}

}  // namespace tcpwhy::diagnose
