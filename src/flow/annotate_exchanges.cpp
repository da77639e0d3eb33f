// Requests and responses as turns of the conversation. A request begins when the
// client sends new payload after the server's turn (or, in HTTP, with the next
// request head: pipelining); the response begins with the server's next new
// payload. Only octets not seen before count, so repeats change nothing. An
// announced length says when a response is whole; without one, the next request,
// the server's FIN or the final chunk does.

#include <algorithm>

#include "flow/annotate.hpp"

namespace tcpwhy::flow {

using facts::App;
using facts::AppFlag;
using facts::Exchange;
using facts::Repeat;

namespace {

constexpr std::size_t kMostExchanges = 512;

bool is_new(const Note& n, const SegmentFact& s) {
  if (s.payload_bytes == 0 || s.rst()) return false;
  switch (n.repeat) {
    case Repeat::kNone: case Repeat::kOutOfOrder: case Repeat::kUnseenOriginal: case Repeat::kAmbiguous: return true;
    case Repeat::kRto: case Repeat::kFast: case Repeat::kTlp: return n.original < 0;  // fills a gap
    case Repeat::kSyn: case Repeat::kSynAck: case Repeat::kSpurious: case Repeat::kKeepalive: case Repeat::kZeroWindowProbe:
    case Repeat::kFin: case Repeat::kNetworkDuplicate: case Repeat::kCaptureDuplicate: return false;
  }
  return false;
}

/// `request` is null when the request was not seen.
void begin_response(Exchange& e, const SegmentFact& s, Index i, const SegmentFact* request) {
  e.response = i;
  // The answer to HEAD announces a length and has no body (RFC 9112 6.3).
  const bool head = request != nullptr && request->app == App::kHttpRequest && (request->app_flags & AppFlag::kUntilClose);
  if (!head && s.app == App::kHttpResponse && (s.app_flags & AppFlag::kHasLength)) {
    e.announced = true;
    e.announced_bytes = s.app_length;
  }
}

/// `first` is the response's first segment: what lies between was delivered, whether it was captured or not.
void add_to_response(Exchange& e, const SegmentFact& s, Index i, const SegmentFact& first) {
  // 1xx and other short heads may precede the real response in the same turn.
  if (e.response_complete && s.app == App::kHttpResponse && (s.app_flags & AppFlag::kHasLength)) {
    e.announced_bytes += s.app_length;
    e.response_complete = false;
  }
  e.response_end = i;
  const std::int32_t reached = offset(first.seq, s.seq + s.payload_bytes);
  if (reached > 0) e.delivered_bytes = std::max<std::uint64_t>(e.delivered_bytes, static_cast<std::uint32_t>(reached));
  if (e.announced && e.delivered_bytes >= e.announced_bytes) e.response_complete = true;
  if (s.app_flags & AppFlag::kChunkedEnd) e.response_complete = true;
  if (s.app == App::kTlsAlert) e.response_complete = true;
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
    if (s.fin() && s.from_server && now != nullptr && now->response >= 0) {
      // The FIN's number tells what was sent before it, captured or not.
      const std::int32_t reached = offset(c.segments[static_cast<std::size_t>(now->response)].seq, s.seq + s.payload_bytes);
      if (reached > 0 && s.payload_bytes == 0) now->delivered_bytes = std::max<std::uint64_t>(now->delivered_bytes, static_cast<std::uint32_t>(reached));
      if (!now->announced || now->delivered_bytes >= now->announced_bytes) now->response_complete = true;
    }
    if (!is_new(c.notes[k], s)) continue;
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
    if (target->response < 0) begin_response(*target, s, i, target->request >= 0 ? &c.segments[static_cast<std::size_t>(target->request)] : nullptr);
    add_to_response(*target, s, i, c.segments[static_cast<std::size_t>(target->response)]);
  }
  c.turns = std::max(c.turns, c.quality.story_incomplete ? counted : 0u);
}

}  // namespace tcpwhy::flow
