// What is to be told, in order, and what of it is so alike that telling it once
// is enough.

#include <algorithm>

#include "flow/table.hpp"

namespace tcpwhy::flow {
namespace {

/// A SYN younger than this may still be answered or repeated: the largest
/// initial RTO in use (RFC 6298 2.1 and its note on the older three seconds).
constexpr std::int64_t kStillHoping = 3'000'000'000;

void join(SurveyTable<FloodKey, Flood>& floods, const FloodKey& key, std::uint32_t rank, Ref ref) {
  Flood* f = floods.find_or_add(key, floods.hash(key));
  if (f == nullptr) return;
  ++f->alike;
  std::vector<std::uint64_t>& ranks = f->ranks;
  if (f->first == 0 || rank < f->first_rank) {
    f->first = ref;
    f->first_rank = rank;
  }
  if (ranks.size() < Flood::kMostIds) {
    ranks.push_back(rank);
    std::push_heap(ranks.begin(), ranks.end());
  } else if (rank < ranks.front()) {
    std::pop_heap(ranks.begin(), ranks.end());
    ranks.back() = rank;
    std::push_heap(ranks.begin(), ranks.end());
  }
}

}  // namespace

bool Table::is_recent(std::int64_t ns) const { return end_.time_since_epoch().count() - ns < kStillHoping; }

/// SYN, SYN-ACK, and nothing else at all.
bool Table::is_half_open_only(const Hot& h) const {
  constexpr std::uint64_t kAllowed = facts::Signal::kHandshakeIncomplete | facts::Signal::kCookieLike;
  return h.halves[0].packets == 1 && h.halves[1].packets == 1 && !h.is(Hold::kEstablished) &&
         h.is(of(Hold::kSyn, End::kLow)) && h.is(of(Hold::kSyn, End::kHigh)) && h.side != 0 &&
         !(sides_[h.side - 1].signals & ~kAllowed);
}

Telling Table::telling(Grouping grouping) const {
  Telling out;
  SurveyTable<FloodKey, Flood> floods{~std::size_t{0}};
  const bool together = grouping == Grouping::kLoneSynsTogether && !options_.tell_all;
  const auto each = [&](const auto& lane, Ref kind) {
    for (std::uint32_t i = 0; i < lane.embryos.high_water(); ++i) {
      const auto& e = lane.embryos[i];
      if (e.shape == 0xffff) continue;
      const Ref ref = (i + 1) | kind | RefBits::kEmbryo;
      if (!together) {
        out.connections.push_back({e.rank, ref, 0});
        continue;
      }
      FloodKey key;
      key.server = endpoint_of(e.key, other(shapes_.sender(e.shape)));
      key.recent = is_recent(base_ns_ + static_cast<std::int64_t>(e.time()));
      join(floods, key, e.rank, ref);
    }
    for (std::uint32_t i = 0; i < lane.records.high_water(); ++i) {
      const Hot& h = lane.records[i].hot;
      if (!h.is(Hold::kUsed) || !is_told(h)) continue;
      const Ref ref = (i + 1) | kind;
      if (!together || !is_half_open_only(h)) {
        out.connections.push_back({lane.records[i].rank, ref, 0});
        continue;
      }
      FloodKey key;
      key.server = endpoint_of(lane.records[i].key, other(h.client()));
      key.signals = sides_[h.side - 1].signals;
      key.answered = true;
      key.recent = is_recent(h.last_ns());
      join(floods, key, lane.records[i].rank, ref);
    }
  };
  each(narrow_, 0);
  each(wide_, RefBits::kWide);

  out.floods = std::move(floods.entries());
  for (std::size_t i = 0; i < out.floods.size(); ++i) {
    Flood& f = out.floods[i];
    std::sort(f.ranks.begin(), f.ranks.end());
    out.connections.push_back({f.first_rank, f.first, static_cast<std::uint32_t>(i + 1)});
  }
  std::sort(out.connections.begin(), out.connections.end(),
            [](const Tellable& a, const Tellable& b) { return a.rank < b.rank; });
  return out;
}

}  // namespace tcpwhy::flow
