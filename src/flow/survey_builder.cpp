#include "flow/survey_builder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

#include "flow/pipe.hpp"

namespace tcpwhy::flow {
namespace {

constexpr std::size_t kMostHosts = 65536, kMostServices = 65536, kMostPairs = 65536, kMostNeighbours = 4096;
/// Of the hosts, the busiest are handed on: their facts take a kilobyte each.
constexpr std::size_t kMostHostsTold = 8192;
/// Beyond this many lone SYNs a service is flooded, and whoever sent them is made up.
constexpr std::uint64_t kFlooded = 4096;

std::uint32_t shape_hash(const facts::SegmentFact& f) {
  std::uint32_t h = f.window;
  h = h * 0x9e37'79b1u + f.options;
  h = h * 0x9e37'79b1u + f.window_scale;
  return h * 0x9e37'79b1u + f.mss;
}

template <class T>
void fill(facts::Sample<T>& out, const HostEntry::Syns& from, T (*pick)(const SynSample&), bool (*keep)(const SynSample&)) {
  out.seen = from.seen();
  out.stride = from.stride();
  out.values.reserve(from.values().size());
  for (const SynSample& s : from.values())
    if (keep(s)) out.values.push_back(pick(s));
}

facts::Attempt attempt_of(const facts::Endpoint& client, const Ended& e) {
  facts::Attempt a;
  a.syn = e.start;
  a.fate = e.fate;
  a.syn_acks = static_cast<std::uint8_t>(std::min(e.syn_acks, 255u));
  a.client_port = client.port;
  a.client = client.address;
  // The last one of the client is known. A clock of 1 kHz, the fastest in use, cannot have been lower at the SYN.
  a.tsval = e.tsval - static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(e.end - e.start).count());
  a.has_timestamps = e.has_timestamps;
  a.connection = e.rank;
  a.server_spoke = e.server_spoke;
  a.unread = e.unread;
  a.probe = e.probe;
  return a;
}

}  // namespace

void Distinct::add(std::uint64_t hash) {
  if (registers_.empty()) {
    if (std::find(exact_.begin(), exact_.end(), hash) != exact_.end()) return;
    exact_.push_back(hash);
    if (exact_.size() <= kExact) return;
    registers_.assign(kRegisters, 0);
    for (std::uint64_t h : exact_) note(h);
    exact_ = {};
    return;
  }
  note(hash);
}

void Distinct::note(std::uint64_t hash) {
  const std::uint64_t rest = hash / kRegisters;
  const auto rank = static_cast<std::uint8_t>(std::countr_zero(rest | 1ull << 53) + 1);
  std::uint8_t& reg = registers_[hash % kRegisters];
  reg = std::max(reg, rank);
}

std::uint64_t Distinct::count() const {
  if (registers_.empty()) return exact_.size();
  constexpr double kM = static_cast<double>(kRegisters);
  double sum = 0;
  std::size_t zeros = 0;
  for (std::uint8_t r : registers_) {
    sum += std::ldexp(1.0, -r);
    zeros += r == 0;
  }
  const double raw = 0.7213 / (1 + 1.079 / kM) * kM * kM / sum;
  if (raw <= 2.5 * kM && zeros != 0) return static_cast<std::uint64_t>(kM * std::log(kM / static_cast<double>(zeros)));
  return static_cast<std::uint64_t>(raw);
}

void HostEntry::saw_ttl(std::uint8_t ttl) {
  for (std::size_t i = 0; i < ttls.size(); ++i) {
    if (ttl_counts[i] == 0) ttls[i] = ttl;
    if (ttls[i] != ttl) continue;
    ++ttl_counts[i];
    return;
  }
  if (other_ttls < 255) ++other_ttls;
}

/// The thread that applies events, and what it is given.
struct SurveyBuilder::Beside {
  Pipe<Queue> pipe;
  std::thread thread;
};

SurveyBuilder::SurveyBuilder() : hosts_{kMostHosts}, services_{kMostServices}, pairs_{kMostPairs} {}
SurveyBuilder::~SurveyBuilder() { drain(); }

void SurveyBuilder::apply_beside() {
  drain();
  beside_ = std::make_unique<Beside>();
  queue_ = &beside_->pipe.empty();
  beside_->thread = std::thread{[this] {
    while (Queue* queue = beside_->pipe.filled()) {
      apply(*queue);
      beside_->pipe.done();
    }
  }};
}

void SurveyBuilder::pass_on() {
  if (beside_ == nullptr) {
    apply(*queue_);
    return;
  }
  beside_->pipe.send();
  queue_ = &beside_->pipe.empty();
}

void SurveyBuilder::drain() {
  if (beside_ != nullptr) {
    beside_->pipe.send();
    beside_->pipe.close();
    beside_->thread.join();
    queue_ = &own_;
    beside_.reset();
  }
  apply(*queue_);
}

SurveyBuilder::Event& SurveyBuilder::add(Kind kind, const Parties& who) {
  if (queue_->used == Queue::kEvents) pass_on();
  Event& e = queue_->events[queue_->used++];
  e.who = who;
  e.kind = kind;
  return e;
}

void SurveyBuilder::syn(const Parties& who, Ref ref, const facts::SegmentFact& f) {
  Event& e = add(Kind::kSyn, who);
  e.ref = ref;
  Opening& o = e.opening;
  o.time = f.time;
  o.shape = shape_hash(f);
  o.tsval = f.tsval;
  o.syn_window = f.window;
  o.syn_options = f.options;
  o.syn_ttl = f.ttl;
}

/// Nearly always the next event after that of the SYN, which waited for an answer: the two are one then.
void SurveyBuilder::syn_ack(const Parties& who, Ref ref, const facts::SegmentFact& f, Duration after_syn) {
  Event* e = queue_->used != 0 ? &queue_->events[queue_->used - 1] : nullptr;
  if (e != nullptr && e->kind == Kind::kSyn && e->ref == ref && e->who.client == who.client) e->kind = Kind::kBoth;
  else e = &add(Kind::kSynAck, who);
  Opening& o = e->opening;
  o.span = after_syn;
  o.syn_ack_window = f.window;
  o.syn_ack_options = f.options;
  o.syn_ack_ttl = f.ttl;
}

void SurveyBuilder::opened(const Parties& who, CaptureTime when) { add(Kind::kOpened, who).opening.time = when; }

void SurveyBuilder::reused(const Parties& who, Duration after_end) { add(Kind::kReused, who).opening.span = after_end; }

Ended& SurveyBuilder::ended(const Parties& who) {
  Event& e = add(Kind::kEnded, who);
  e.end = Ended{};
  return e.end;
}

/// The places in the tables that an event will touch.
void SurveyBuilder::fetch_ahead(const Event& e, Places& at) const {
  // What survey_hash() says of the pair and of its parts, each worked out once.
  at.client_hash = e.who.place(e.who.client, at.client);
  const std::uint64_t server = e.who.place(other(e.who.client), at.server), service = survey_mix(server, at.server.port);
  at.pair_hash = short_hash(survey_mix(at.client_hash, service));
  at.host_hash = short_hash(at.client_hash);
  at.server_hash = short_hash(server);
  at.service_hash = short_hash(service);
  switch (e.kind) {
    case Kind::kSyn:
    case Kind::kBoth: hosts_.prefetch(at.host_hash); break;
    case Kind::kSynAck: hosts_.prefetch(at.server_hash); break;
    case Kind::kOpened:
    case Kind::kReused: pairs_.prefetch(at.pair_hash); break;
    case Kind::kEnded:
      pairs_.prefetch(at.pair_hash);
      hosts_.prefetch(at.host_hash);
      services_.prefetch(at.service_hash);
      break;
  }
}

/// The entries in the places that fetch_ahead() fetched.
void SurveyBuilder::fetch_entries(const Event& e, Places& at) {
  at.host = nullptr;
  at.pair = nullptr;
  switch (e.kind) {
    case Kind::kSyn:
    case Kind::kBoth: at.host = hosts_.prefetch_entry(at.host_hash, HostEntry::kOfSyn); break;
    case Kind::kSynAck: hosts_.prefetch_entry(at.server_hash, HostEntry::kOfSyn); break;
    case Kind::kOpened:
    case Kind::kReused: at.pair = pairs_.prefetch_entry(at.pair_hash, sizeof(PairEntry)); break;
    case Kind::kEnded:
      at.pair = pairs_.prefetch_entry(at.pair_hash, sizeof(PairEntry));
      at.host = hosts_.prefetch_entry(at.host_hash, HostEntry::kCounters);
      break;
  }
}

/// What an event touches is fetched a few events ahead: its slots, then the entries they name, then the place of a SYN's
/// sample in the entry. More at a time than the core keeps track of would be fetched in vain.
void SurveyBuilder::apply(Queue& queue) {
  constexpr std::size_t kAhead = 6, kSampleAhead = 2;
  for (std::size_t i = 0; i < queue.used + 2 * kAhead; ++i) {
    if (i < queue.used) fetch_ahead(queue.events[i], places_[i]);
    if (i >= kAhead && i - kAhead < queue.used) fetch_entries(queue.events[i - kAhead], places_[i - kAhead]);
    if (const std::size_t k = i - (2 * kAhead - kSampleAhead); k < queue.used && queue.events[k].kind == Kind::kBoth && places_[k].host != nullptr)
      memory::fetch(places_[k].host->syns.place());
    if (i >= 2 * kAhead) apply(queue.events[i - 2 * kAhead], places_[i - 2 * kAhead]);
  }
  queue.used = 0;
}

void SurveyBuilder::apply(const Event& e, const Places& at) {
  switch (e.kind) {
    case Kind::kSyn: apply_syn(e.opening, at); return;
    case Kind::kSynAck: apply_syn_ack(e.opening, at); return;
    case Kind::kBoth:
      apply_syn(e.opening, at);
      apply_syn_ack(e.opening, at);
      return;
    case Kind::kOpened: {
      PairEntry* p = pairs_.find_or_add({at.client.address, at.server}, at.pair_hash, at.pair);
      if (p == nullptr) return;
      ++p->open_now;
      if (p->open_now > p->open_peak) {
        p->open_peak = p->open_now;
        p->at_peak = Duration{};
      }
      if (p->open_now == p->open_peak) p->at_peak_since = e.opening.time;
      p->lowest_port = std::min(p->lowest_port, at.client.port);
      p->highest_port = std::max(p->highest_port, at.client.port);
      return;
    }
    case Kind::kReused: {
      PairEntry* p = pairs_.find_or_add({at.client.address, at.server}, at.pair_hash, at.pair);
      if (p == nullptr) return;
      ++p->reuses;
      p->quickest_reuse = std::min(p->quickest_reuse, e.opening.span);
      return;
    }
    case Kind::kEnded: apply_end(e.end, at); return;
  }
}

void SurveyBuilder::apply_syn(const Opening& o, const Places& at) {
  HostEntry* h = hosts_.find_or_add(at.client.address, at.host_hash, at.host);
  if (h == nullptr) return;
  h->saw_ttl(o.syn_ttl);
  h->syn_window = o.syn_window;
  h->syn_options |= o.syn_options;
  const bool stamps = o.syn_options & wire::Opt::kTimestamps;
  h->uses_timestamps |= stamps;
  h->syns.add({o.time, o.tsval, o.shape & 0x7f'ffff, o.syn_ttl, stamps});
}

void SurveyBuilder::apply_syn_ack(const Opening& o, const Places& at) {
  HostEntry* h = hosts_.find_or_add(at.server.address, at.server_hash);
  if (h == nullptr) return;
  h->saw_ttl(o.syn_ack_ttl);
  ++h->syn_acks;
  h->syn_ack_window = o.syn_ack_window;
  h->syn_ack_options |= o.syn_ack_options;
  h->fastest_syn_ack = std::min(h->fastest_syn_ack, o.span);
  if (o.syn_ack_options & wire::Opt::kTimestamps) h->uses_timestamps = true;
  if (ServiceEntry* s = services_.find_or_add(at.server, at.service_hash)) {
    s->facts.syn_ack_options |= o.syn_ack_options;
    s->facts.fastest_syn_ack = std::min(s->facts.fastest_syn_ack, o.span);
  }
}

void SurveyBuilder::apply_end(const Ended& e, const Places& at) {
  ++(e.both_directions ? survey.two_direction_connections : survey.one_direction_connections);
  if (e.gap) ++survey.capture_gap_connections;
  if (PairEntry* p = pairs_.find_or_add({at.client.address, at.server}, at.pair_hash, at.pair)) {
    ++p->connections;
    p->turns += e.requests;
    if (e.failed) ++p->failed;
    if (e.opened && p->open_now > 0) {
      if (p->open_now == p->open_peak) p->at_peak += e.end - p->at_peak_since;
      --p->open_now;
    }
    p->lowest_port = std::min(p->lowest_port, at.client.port);
    p->highest_port = std::max(p->highest_port, at.client.port);
  }
  if (HostEntry* h = hosts_.find_or_add(at.client.address, at.host_hash, at.host)) {
    ++h->as_client;
    if (e.stray_syn_ack) ++h->stray_syn_acks;
    if (e.stray_rst) ++h->stray_rsts;
  }
  if (HostEntry* h = hosts_.find_or_add(at.server.address, at.server_hash)) ++h->as_server;
  if (ServiceEntry* s = services_.find_or_add(at.server, at.service_hash)) {
    count_attempt(*s, at.client, e);
    s->clients.add(at.client_hash);
  }
}

void SurveyBuilder::count_attempt(ServiceEntry& entry, const facts::Endpoint& client, const Ended& e) {
  using Fate = facts::Attempt::Fate;
  facts::ServiceFacts& s = entry.facts;
  if (s.attempts++ == 0) s.first_attempt = s.last_attempt = e.start;
  s.first_attempt = std::min(s.first_attempt, e.start);
  s.last_attempt = std::max(s.last_attempt, e.start);
  switch (e.fate) {
    case Fate::kAccepted: ++s.accepted; break;
    case Fate::kRefused: ++s.refused; break;
    case Fate::kUnanswered: ++s.unanswered; break;
    case Fate::kIncomplete: ++s.incomplete; break;
    case Fate::kResetEarly: ++s.reset_early; break;
  }
  if (e.lone_syn) ++s.lone_syns;
  if (e.syn_acks > 1) s.syn_ack_repeats += e.syn_acks - 1;
  const auto attempt = [&] { return attempt_of(client, e); };
  s.attempts_sample.add_made(attempt);
  if (e.fate != Fate::kAccepted) s.failures_sample.add_made(attempt);
  if (!e.closed) return;
  s.idle_ends.add_made([&] { return facts::IdleEnd{e.idle, e.requests, e.closer, e.by_reset, e.crossed, e.rank}; });
  if (e.closer == facts::Party::kServer && !e.by_reset) s.requests_at_server_close.add_made([&] { return e.requests; });
}

void SurveyBuilder::lone_syn(const Parties& who, const Ended& e) {
  if (beside_ != nullptr) drain();  // it looks into a table
  const facts::Endpoint client = who.endpoint(who.client), server = who.endpoint(other(who.client));
  if (last_service_ == nullptr || !(last_service_->key == server))
    last_service_ = services_.find_or_add(server, services_.hash(server));
  if (last_service_ == nullptr || last_service_->facts.lone_syns < kFlooded) {
    ended(who) = e;
    drain();
    return;
  }
  ++survey.one_direction_connections;
  count_attempt(*last_service_, client, e);
  last_service_->clients.add(survey_hash(client.address));
}

bool SurveyBuilder::lone_syn_of_flood(const facts::Endpoint& server, const facts::Address& client, CaptureTime when) {
  if (beside_ != nullptr || own_.used != 0) return false;
  ServiceEntry* const entry = services_.find(server, services_.hash(server));
  if (entry == nullptr) return false;
  facts::ServiceFacts& s = entry->facts;
  if (s.lone_syns < kFlooded || s.attempts_sample.keeps_next() || s.failures_sample.keeps_next()) return false;
  ++survey.one_direction_connections;
  ++s.attempts;
  s.first_attempt = std::min(s.first_attempt, when);
  s.last_attempt = std::max(s.last_attempt, when);
  ++s.unanswered;
  ++s.lone_syns;
  s.attempts_sample.pass();
  s.failures_sample.pass();
  entry->clients.add(survey_hash(client));
  return true;
}

void SurveyBuilder::neighbour(const facts::Address& target, bool answer, const facts::SegmentFact& when) {
  auto it = std::find_if(survey.neighbours.begin(), survey.neighbours.end(),
                         [&](const facts::NeighbourFacts& n) { return n.target == target; });
  if (it == survey.neighbours.end()) {
    if (survey.neighbours.size() == kMostNeighbours) {
      ++survey.table_entries_refused;
      return;
    }
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

void SurveyBuilder::finish() {
  drain();
  survey.table_entries_refused += hosts_.refused() + services_.refused() + pairs_.refused();
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const PairEntry& pair = pairs_[i];
    HostEntry* caller = hosts_.find(pair.key.client, hosts_.hash(pair.key.client));
    if (caller == nullptr) continue;
    ++caller->services_called;
    if (pair.failed == pair.connections) ++caller->services_refusing;
  }

  std::vector<std::uint32_t> order(hosts_.size());
  std::iota(order.begin(), order.end(), 0u);
  if (order.size() > kMostHostsTold) {
    const auto busier = [&](std::uint32_t a, std::uint32_t b) {
      return std::pair{hosts_[b].weight(), a} < std::pair{hosts_[a].weight(), b};
    };
    std::nth_element(order.begin(), order.begin() + kMostHostsTold, order.end(), busier);
    survey.table_entries_refused += order.size() - kMostHostsTold;
    order.resize(kMostHostsTold);
    std::sort(order.begin(), order.end(), busier);
  }
  survey.hosts.reserve(order.size());
  for (std::uint32_t i : order) {
    const HostEntry& from = hosts_[i];
    facts::HostFacts& h = survey.hosts[from.key];
    for (std::size_t k = 0; k < from.ttls.size(); ++k)
      if (from.ttl_counts[k] != 0) h.ttl_seen[from.ttls[k]] += from.ttl_counts[k];
    h.connections_as_client = from.as_client;
    h.connections_as_server = from.as_server;
    h.syn_acks = from.syn_acks;
    h.services_called = from.services_called;
    h.services_refusing = from.services_refusing;
    h.stray_syn_acks = from.stray_syn_acks;
    h.stray_rsts = from.stray_rsts;
    h.syn_window = from.syn_window;
    h.syn_ack_window = from.syn_ack_window;
    h.syn_options = from.syn_options;
    h.syn_ack_options = from.syn_ack_options;
    h.fastest_syn_ack = from.fastest_syn_ack;
    h.uses_timestamps = from.uses_timestamps;
    constexpr auto kAll = [](const SynSample&) { return true; };
    fill<std::uint8_t>(h.syn_ttls, from.syns, [](const SynSample& s) { return static_cast<std::uint8_t>(s.ttl); }, kAll);
    fill<std::uint32_t>(h.syn_shapes, from.syns, [](const SynSample& s) { return static_cast<std::uint32_t>(s.shape); }, kAll);
    fill<std::pair<CaptureTime, std::uint32_t>>(
        h.syn_tsvals, from.syns, [](const SynSample& s) { return std::pair{s.time, s.tsval}; },
        [](const SynSample& s) { return s.has_timestamps != 0; });
  }
  survey.services.reserve(services_.size());
  for (std::size_t i = 0; i < services_.size(); ++i) {
    ServiceEntry& from = services_[i];
    from.facts.endpoint = from.key;
    from.facts.clients = from.clients.count();
    survey.services.emplace(from.key, std::move(from.facts));
  }
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const PairEntry& from = pairs_[i];
    if (from.connections < 2) continue;  // nothing can be said of a single one that the connection does not say
    facts::PairFacts p;
    p.client = from.key.client;
    p.server = from.key.server;
    p.connections = from.connections;
    p.failed = from.failed;
    p.open_now = from.open_now;
    p.open_peak = from.open_peak;
    p.at_peak = from.at_peak;
    p.turns = from.turns;
    p.tuple_reuses = from.reuses;
    p.quickest_reuse = from.quickest_reuse;
    p.distinct_ports_low = from.lowest_port;
    p.distinct_ports_high = from.highest_port;
    survey.pairs.emplace(from.key, p);
  }
}

}  // namespace tcpwhy::flow
