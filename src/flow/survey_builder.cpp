#include "flow/survey_builder.hpp"

#include <algorithm>

namespace tcpwhy::flow {
namespace {

constexpr std::size_t kMostHosts = 16384, kMostServices = 65536, kMostPairs = 65536, kMostNeighbours = 4096;

std::uint32_t shape_hash(const facts::SegmentFact& f) {
  std::uint32_t h = f.window;
  h = h * 0x9e37'79b1u + f.options;
  h = h * 0x9e37'79b1u + f.window_scale;
  return h * 0x9e37'79b1u + f.mss;
}

/// What is in the table already, or new while there is room.
template <class Map>
typename Map::mapped_type* entry(Map& map, const typename Map::key_type& key, std::size_t most, std::uint64_t& refused) {
  if (auto it = map.find(key); it != map.end()) return &it->second;
  if (map.size() >= most) {
    ++refused;
    return nullptr;
  }
  return &map[key];
}

}  // namespace

facts::HostFacts* SurveyBuilder::host(const facts::Address& a) {
  return entry(survey.hosts, a, kMostHosts, survey.table_entries_refused);
}
facts::ServiceFacts* SurveyBuilder::service(const facts::Endpoint& e) {
  facts::ServiceFacts* s = entry(survey.services, e, kMostServices, survey.table_entries_refused);
  if (s != nullptr) s->endpoint = e;
  return s;
}
facts::PairFacts* SurveyBuilder::pair(const facts::Address& client, const facts::Endpoint& server) {
  facts::PairFacts* p = entry(survey.pairs, facts::PairKey{client, server}, kMostPairs, survey.table_entries_refused);
  if (p != nullptr) {
    p->client = client;
    p->server = server;
  }
  return p;
}

void SurveyBuilder::syn(const facts::Address& client, const facts::SegmentFact& f) {
  facts::HostFacts* h = host(client);
  if (h == nullptr) return;
  ++h->ttl_seen[f.ttl];
  h->syn_window = f.window;
  h->syn_options |= f.options;
  h->syn_ttls.add(f.ttl);
  h->syn_shapes.add(shape_hash(f));
  if (f.has(wire::Opt::kTimestamps)) {
    h->uses_timestamps = true;
    h->syn_tsvals.add({f.time, f.tsval});
  }
}

void SurveyBuilder::syn_ack(const facts::Address& server, const facts::SegmentFact& f, Duration after_syn) {
  facts::HostFacts* h = host(server);
  if (h == nullptr) return;
  ++h->syn_acks;
  ++h->ttl_seen[f.ttl];
  h->syn_ack_window = f.window;
  h->syn_ack_options |= f.options;
  h->fastest_syn_ack = std::min(h->fastest_syn_ack, after_syn);
  if (f.has(wire::Opt::kTimestamps)) h->uses_timestamps = true;
}

void SurveyBuilder::opened(const facts::Endpoint& client, const facts::Endpoint& server, CaptureTime) {
  facts::PairFacts* p = pair(client.address, server);
  if (p == nullptr) return;
  ++p->open_now;
  p->open_peak = std::max(p->open_peak, p->open_now);
}

void SurveyBuilder::reused(const facts::Endpoint& client, const facts::Endpoint& server, Duration after_end) {
  facts::PairFacts* p = pair(client.address, server);
  if (p == nullptr) return;
  ++p->tuple_reuses;
  p->quickest_reuse = std::min(p->quickest_reuse, after_end);
}

void SurveyBuilder::ended(const Ended& e) {
  using Fate = facts::Attempt::Fate;
  if (e.both_directions) ++survey.two_direction_connections;
  else ++survey.one_direction_connections;
  if (e.gap) ++survey.capture_gap_connections;
  if (facts::PairFacts* p = pair(e.client.address, e.server)) {
    ++p->connections;
    if (e.failed) ++p->failed;
    if (p->open_now > 0 && e.fate != Fate::kUnanswered && e.fate != Fate::kRefused && e.fate != Fate::kIncomplete) --p->open_now;
  }
  if (facts::HostFacts* h = host(e.client.address)) ++h->connections_as_client;
  if (facts::HostFacts* h = host(e.server.address)) ++h->connections_as_server;
  facts::ServiceFacts* s = service(e.server);
  if (s == nullptr) return;
  if (s->attempts++ == 0) s->first_attempt = e.start;
  s->first_attempt = std::min(s->first_attempt, e.start);
  s->last_attempt = std::max(s->last_attempt, e.start);
  switch (e.fate) {
    case Fate::kAccepted: ++s->accepted; break;
    case Fate::kRefused: ++s->refused; break;
    case Fate::kUnanswered: ++s->unanswered; break;
    case Fate::kIncomplete: ++s->incomplete; break;
    case Fate::kResetEarly: ++s->reset_early; break;
  }
  if (e.lone_syn) ++s->lone_syns;
  if (e.syn_acks > 1) s->syn_ack_repeats += e.syn_acks - 1;
  facts::Attempt a;
  a.syn = e.start;
  a.fate = e.fate;
  a.syn_acks = static_cast<std::uint8_t>(std::min(e.syn_acks, 255u));
  a.client_port = e.client.port;
  a.client = e.client.address;
  a.tsval = e.tsval;
  a.has_timestamps = e.has_timestamps;
  a.connection = e.rank;
  s->attempts_sample.add(a);
  if (e.fate != Fate::kAccepted) s->failures_sample.add(a);
  if (e.closed_idle) {
    s->idle_ends.add({e.idle, e.requests, e.closer, e.by_reset, e.crossed, e.rank});
    if (e.closer == facts::Party::kServer && !e.by_reset) s->requests_at_server_close.add(e.requests);
  }
}

void SurveyBuilder::neighbour(const facts::Address& target, bool answer, const facts::SegmentFact& when) {
  auto it = std::find_if(survey.neighbours.begin(), survey.neighbours.end(),
                         [&](const facts::NeighbourFacts& n) { return n.target == target; });
  if (it == survey.neighbours.end()) {
    if (survey.neighbours.size() == kMostNeighbours) return;
    facts::NeighbourFacts n;
    n.target = target;
    n.first_frame = when.frame;
    n.file = when.file;
    n.first = when.time;
    it = survey.neighbours.insert(it, n);
  }
  ++(answer ? it->answers : it->questions);
  it->last_frame = when.frame;
  it->last = when.time;
}

}  // namespace tcpwhy::flow
