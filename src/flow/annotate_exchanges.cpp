// Requests and responses as turns of the conversation. A request begins when the
// client sends new payload after the server's turn (or, in HTTP, with the next
// request head: pipelining); the response begins with the server's next new
// payload. Only octets not seen before count, so repeats change nothing. An
// announced length says when a response is whole; without one, the next request,
// the server's FIN or the final chunk does. Segments may come in any order: a head
// that another segment overtook is still the head, and a FIN's number tells where
// the answer ends whatever is still under way.

#include <algorithm>

#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::App;
using facts::AppFlag;
using facts::Exchange;

namespace {

constexpr std::size_t kMostExchanges = 512;

/// What the first octets of a response announce. `request` is null when the request was not seen.
void read_head(Exchange& e, const SegmentFact& s, const SegmentFact* request) {
  e.response_seq = s.seq;
  // The answer to HEAD announces a length and has no body (RFC 9112 6.3).
  const bool head = request != nullptr && request->app == App::kHttpRequest && (request->app_flags & AppFlag::kUntilClose);
  if (!head && s.app == App::kHttpResponse && (s.app_flags & AppFlag::kHasLength)) {
    e.announced = true;
    e.announced_bytes = s.app_length;
  }
}

/// The first octets of the response were lost or overtaken: others of it came before them. `earlier` is the exchange
/// before, null when there is none; what it still lacks is not this response's.
bool begins_earlier(const Exchange& e, const Exchange* earlier, const SegmentFact& s) {
  if (offset(e.response_seq, s.seq) >= 0) return false;
  if (earlier == nullptr || earlier->response < 0) return true;
  const std::uint64_t whole = std::max(earlier->delivered_bytes, earlier->announced ? earlier->announced_bytes : std::uint64_t{0});
  return !before(s.seq, earlier->response_seq + static_cast<std::uint32_t>(whole));
}

/// What lies between the first octet of the response and `to` was delivered, whether it was captured or not.
void reach(Exchange& e, SeqNum to) {
  const std::int32_t reached = offset(e.response_seq, to);
  if (reached > 0) e.delivered_bytes = std::max<std::uint64_t>(e.delivered_bytes, static_cast<std::uint32_t>(reached));
}

/// 1xx and other short heads may precede the real response in the same turn.
void continue_response(Exchange& e, const SegmentFact& s) {
  if (!e.response_complete || s.app != App::kHttpResponse || !(s.app_flags & AppFlag::kHasLength)) return;
  e.announced_bytes += s.app_length;
  e.response_complete = false;
}

void add_to_response(Exchange& e, const SegmentFact& s, Index i) {
  e.response_end = i;
  reach(e, s.seq + s.payload_bytes);
  if (e.announced && e.delivered_bytes >= e.announced_bytes) e.response_complete = true;
  if (s.app_flags & AppFlag::kChunkedEnd) e.response_complete = true;
  if (s.app == App::kTlsAlert) e.response_complete = true;
}

/// RFC 9112 7.1: a chunked body ends with a chunk of size 0, and these are its last octets. `end` is where the FIN stands.
bool ends_without_last_chunk(const Connection& c, const Exchange& e, SeqNum end) {
  const SegmentFact* head = nullptr;
  const SegmentFact* last = nullptr;
  for (std::size_t k = static_cast<std::size_t>(e.response); k < c.segments.size(); ++k) {
    const SegmentFact& s = c.segments[k];
    if (!s.from_server || s.payload_bytes == 0 || s.rst()) continue;
    if (s.seq == e.response_seq && s.app == App::kHttpResponse) head = &s;
    if (s.seq + s.payload_bytes == end) last = &s;
  }
  if (head == nullptr || last == nullptr || !(head->app_flags & AppFlag::kChunked)) return false;
  if (e.request >= 0 && (c.segments[static_cast<std::size_t>(e.request)].app_flags & AppFlag::kUntilClose)) return false;  // HEAD
  // Whether a segment ends with the last chunk was looked at only where it can be told.
  const bool looked_at = last->app == App::kHttpResponse || (last->app == App::kOpaque && (last->flags & wire::Flag::kPsh));
  constexpr std::uint32_t kLastChunk = 5;
  return looked_at && last->payload_bytes >= kLastChunk && !(last->anomalies & wire::Anomaly::kTruncatedPayload) &&
         !(last->app_flags & AppFlag::kChunkedEnd);
}

/// RFC 8446 5.1: the head of a record says how long it is. `end` is where the FIN stands.
void cut_record(const Connection& c, Exchange& e, SeqNum end) {
  const SegmentFact* last = nullptr;
  for (const SegmentFact& s : c.segments)
    if (s.from_server && facts::is_tls(s) && (s.app_flags & AppFlag::kHasLength) && !s.rst() && (last == nullptr || !before(s.seq, last->seq)))
      last = &s;
  if (last == nullptr || !before(last->seq, end) || !after(last->seq + last->app_length, end)) return;
  e.record_cut = true;
  e.record_octets = last->app_length;
  e.record_kept = distance(last->seq, end);
}

/// The number of the server's FIN tells where its last response ends, whatever was lost or overtaken.
void end_last_response(Connection& c) {
  const facts::StreamFacts& server = c.stream(Party::kServer);
  if (!server.fin_seen) return;
  for (auto e = c.exchanges.rbegin(); e != c.exchanges.rend(); ++e) {
    if (e->response < 0) continue;
    reach(*e, server.fin_seq);
    e->last_chunk_missing = !e->response_complete && ends_without_last_chunk(c, *e, server.fin_seq);
    cut_record(c, *e, server.fin_seq);
    if (!e->last_chunk_missing && !e->record_cut && (!e->announced || e->delivered_bytes >= e->announced_bytes)) e->response_complete = true;
    return;
  }
}

}  // namespace

void annotate_exchanges(Connection& c) {
  const std::uint32_t counted = c.turns;
  c.turns = 0;
  Exchange* now = nullptr;
  bool clients_turn = true;  // a server that speaks first sends no response
  for (std::size_t k = 0; k < c.segments.size(); ++k) {
    const SegmentFact& s = c.segments[k];
    const Index i = static_cast<Index>(k);
    if (!facts::new_payload(c, i)) continue;
    if (!s.from_server) {
      const bool next_request = now == nullptr || now->response >= 0 || (s.app == App::kHttpRequest && clients_turn);
      if (next_request && !(s.app == App::kTlsAlert)) {
        if (now != nullptr && now->response >= 0 && !now->announced) now->response_complete = true;
        if (c.exchanges.size() == kMostExchanges) c.exchanges.erase(c.exchanges.begin(), c.exchanges.begin() + kMostExchanges / 2);
        c.exchanges.emplace_back();
        now = &c.exchanges.back();
        now->request = i;
        ++c.turns;
      }
      if (now != nullptr && now->response < 0) now->request_end = i;
      clients_turn = true;
      continue;
    }
    clients_turn = false;
    if (now == nullptr) continue;
    // With pipelining the answers come in order: this one belongs to the oldest request without an answer,
    // or to the response that is still incomplete.
    Exchange* target = now;
    for (auto e = c.exchanges.rbegin(); e != c.exchanges.rend(); ++e) {
      if (e->response >= 0 && (e->response_complete || !e->announced || &*e == now)) break;
      target = &*e;
    }
    if (target->response >= 0 && s.app == App::kHttpResponse && target < now) {
      // The next head: the response before it is over, whatever it announced (the answer to HEAD, a 304).
      target->response_complete = true;
      ++target;
    }
    const SegmentFact* request = target->request >= 0 ? &c.segments[static_cast<std::size_t>(target->request)] : nullptr;
    if (target->response < 0) {
      target->response = i;
      read_head(*target, s, request);
    } else if (begins_earlier(*target, target == c.exchanges.data() ? nullptr : target - 1, s)) {
      target->delivered_bytes += distance(s.seq, target->response_seq);
      target->response_complete = false;  // so far nothing had said how long it is
      read_head(*target, s, request);
    } else {
      continue_response(*target, s);
    }
    add_to_response(*target, s, i);
  }
  end_last_response(c);
  c.turns = std::max(c.turns, c.quality.story_incomplete ? counted : 0u);
}

}  // namespace tcpwhy::flow
