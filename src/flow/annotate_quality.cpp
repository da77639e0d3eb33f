// Where the capture was taken and what it cannot tell. TTLs are the first
// witness (a host's own packets still have 64, 128 or 255), the handshake's
// timing the second (who answers within microseconds is near), the capture's
// own direction marks the third. Two must not contradict each other; else the
// vantage stays unknown.

#include <algorithm>
#include <array>
#include <optional>

#include "facts/syn_timer.hpp"
#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::Vantage;
using wire::Anomaly;

namespace {

constexpr std::int64_t kMs = 1'000'000;
// A host answers a SYN, or a SYN-ACK, within this; one hop over a switch costs about as much again.
constexpr std::int64_t kAtHost = 1 * kMs;
constexpr std::uint32_t kLargestSegment = 9'000;  // jumbo frames; anything above is made by offload

bool is_initial(std::uint8_t ttl) { return ttl == 64 || ttl == 128 || ttl == 255; }

/// The client's RST bears the number after its SYN, sooner than it would have repeated that: it answers a SYN-ACK, which
/// nobody but the server can have sent it (RFC 9293 3.10.7.1; a device that times the opening out waits longer).
bool refused_unseen(const Connection& c) {
  const facts::StreamFacts& client = c.streams[0];
  if (c.syn < 0 || client.rst < 0 || client.syn_count != 1) return false;
  const SegmentFact& rst = c.segment(client.rst);
  return !rst.has_ack() && rst.seq == client.iss + 1 && rst.time - c.segment(c.syn).time < facts::kInitialTimeout;
}

Vantage by_direction(const Connection& c) {
  // bit 0: client's segments outbound, 1: inbound, 2: server's outbound, 3: inbound
  unsigned seen = 0;
  for (const SegmentFact& s : c.segments) {
    if (s.outbound) seen |= s.from_server ? 4u : 1u;
    if (s.inbound) seen |= s.from_server ? 8u : 2u;
  }
  if (seen == 0) return Vantage::kUnknown;
  if ((seen & 3u) == 3u || (seen & 12u) == 12u) return Vantage::kBetween;  // came in and went out again
  if (seen & 1u || seen & 8u) return (seen & 6u) ? Vantage::kUnknown : Vantage::kClient;
  return Vantage::kServer;
}

Vantage place(const Connection& c, const Reader& reader) {
  const facts::StreamFacts& client = c.streams[0];
  const facts::StreamFacts& server = c.streams[1];
  const Vantage marked = by_direction(c);
  const bool client_near = client.seen && is_initial(client.ttl);
  const bool server_near = server.seen && is_initial(server.ttl);
  const std::int64_t to_client = reader.side(Party::kClient).rtt, to_server = reader.side(Party::kServer).rtt;

  if (marked == Vantage::kBetween) return Vantage::kBetween;
  if (marked == Vantage::kClient) return client.seen && !client_near ? Vantage::kBetween : Vantage::kClient;
  if (marked == Vantage::kServer) return server.seen && !server_near ? Vantage::kBetween : Vantage::kServer;

  if (client.seen && server.seen) {
    if (!client_near && !server_near) return Vantage::kBetween;
    if (client_near && !server_near) {
      // On the client's wire. A client that takes longer than the server is not here.
      if (to_client >= 0 && to_server >= 0 && to_client > to_server && to_client > kAtHost) return Vantage::kBetween;
      return Vantage::kClient;
    }
    if (server_near && !client_near) {
      if (to_client >= 0 && to_server >= 0 && to_server > to_client && to_server > kAtHost) return Vantage::kBetween;
      return Vantage::kServer;
    }
    // Neighbours on one wire, or one host: only timing is left, and it must be clear.
    if (to_client >= 0 && to_server >= 0) {
      if (to_client * 8 < to_server && to_client < kAtHost && to_server > kMs / 2) return Vantage::kClient;
      if (to_server * 8 < to_client && to_server < kAtHost && to_client > kMs / 2) return Vantage::kServer;
    }
    return Vantage::kUnknown;
  }
  // One side only: a SYN that has not lost a hop was sent here, one that has did not come from here.
  if (client.seen) return client_near ? Vantage::kClient : Vantage::kUnknown;
  return server_near ? Vantage::kServer : Vantage::kUnknown;
}

}  // namespace

void annotate_quality(Connection& c, const Reader& reader) {
  facts::Quality& q = c.quality;
  const facts::StreamFacts& client = c.streams[0];
  const facts::StreamFacts& server = c.streams[1];

  // A side that acknowledges what was never captured proves that the other was there.
  q.one_direction = false;
  if (client.seen != server.seen) {
    const facts::StreamFacts& only = client.seen ? client : server;
    const bool beyond_syn = c.segments.size() > only.syn_count;
    bool acknowledges = false;
    for (const SegmentFact& s : c.segments) acknowledges |= s.has_ack() && !s.rst() && !(s.syn() && s.from_server == 0);
    acknowledges |= facts::took_unseen(c, only.rst) || refused_unseen(c);
    q.one_direction = beyond_syn ? acknowledges : server.seen;
    q.only_from = client.seen ? Party::kClient : Party::kServer;
  }
  q.began_late = c.syn < 0 && c.syn_ack < 0 && !client.syn_seen && !server.syn_seen;

  std::uint16_t mss = 0;
  for (const facts::StreamFacts& s : c.streams)
    if (s.mss != 0 && (mss == 0 || s.mss < mss)) mss = s.mss;
  std::int64_t last = 0;
  bool truncated = false;
  // A wrong sum that is acknowledged before a right copy came was right on the wire.
  std::array<std::optional<SegmentFact>, 2> doubtful;
  std::array<bool, 2> acknowledged{};
  for (const SegmentFact& s : c.segments) {
    std::optional<SegmentFact>& own = doubtful[index(s.from())];
    const std::optional<SegmentFact>& peers = doubtful[index(other(s.from()))];
    if (s.length() > 0) {
      if (s.anomalies & Anomaly::kBadTcpChecksum) own = s;
      else if (own && own->seq == s.seq) own.reset();
    }
    if (peers && s.has_ack() && !before(s.ack, peers->end())) acknowledged[index(other(s.from()))] = true;
    if (s.payload_bytes > kLargestSegment || (mss >= 500 && s.payload_bytes > mss)) q.super_frames = true;
    if (s.anomalies & Anomaly::kPartialChecksum) c.streams[index(s.from())].checksum_offload = true;
    truncated |= (s.anomalies & Anomaly::kTruncatedPayload) != 0;
    const std::int64_t t = s.time.time_since_epoch().count();
    if (last - t > 100 * kMs) q.clock_stepped = true;
    else if (last - t > 0) q.capture_reordered = true;
    last = std::max(last, t);
  }
  q.truncated = q.truncated || truncated;
  for (Party p : {Party::kClient, Party::kServer}) {
    facts::StreamFacts& s = c.streams[index(p)];
    if (s.bad_checksums > 0 && s.bad_checksums * 2 >= s.packets && acknowledged[index(p)]) s.checksum_offload = true;
    q.checksum_offload = q.checksum_offload || s.checksum_offload;
  }

  c.vantage = place(c, reader);

  // The two halves of the handshake, as this vantage saw them.
  if (c.syn >= 0 && c.syn_ack > c.syn) {
    const Index syn = c.note(c.syn_ack).provoked_by >= 0 ? c.note(c.syn_ack).provoked_by : c.syn;
    const Duration there = c.segment(c.syn_ack).time - c.segment(syn).time;
    const bool back_seen = c.handshake_ack > c.syn_ack && c.streams[1].syn_count == 1;
    const Duration back = back_seen ? c.segment(c.handshake_ack).time - c.segment(c.syn_ack).time : Duration{0};
    switch (c.vantage) {
      case Vantage::kClient: c.handshake_rtt = there; break;
      case Vantage::kServer: if (back_seen) c.handshake_rtt = back; break;
      case Vantage::kBetween:
      case Vantage::kUnknown: if (back_seen) c.handshake_rtt = there + back; break;
    }
  }
}

}  // namespace tcpwhy::flow
