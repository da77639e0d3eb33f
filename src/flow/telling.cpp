// What is to be told, in order, and what of it is so alike that telling it once
// is enough.

#include <algorithm>
#include <array>

#include "flow/table.hpp"

namespace tcpwhy::flow {
namespace {

/// A SYN younger than this may still be answered or repeated: the largest
/// initial RTO in use (RFC 6298 2.1 and its note on the older three seconds).
constexpr std::int64_t kStillHoping = 3'000'000'000;

/// The floods so far. Most are of few services: who was met last is tried first.
struct Floods {
  SurveyTable<FloodKey, Flood> all{~std::size_t{0}};
  std::array<Flood*, 4> recent{};
  std::size_t oldest = 0;

  Flood* of(const FloodKey& key) {
    for (Flood* f : recent)
      if (f != nullptr && f->key == key) return f;
    oldest = (oldest + 1) % recent.size();
    return recent[oldest] = all.find_or_add(key, all.hash(key));
  }
};

void join(Floods& floods, const FloodKey& key, std::uint32_t rank, Ref ref) {
  Flood* const f = floods.of(key);
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

Telling Table::ended_so_far() {
  constexpr std::int64_t kSettled = 2'000'000'000;     // late segments and answers have come
  constexpr std::int64_t kGivenUp = 180'000'000'000;   // longer than Linux's six SYN retries, linux-tcp: 8.2
  Telling out;
  const std::int64_t now = end_.time_since_epoch().count();
  const auto each = [&](auto& lane, Ref kind) {
    for (std::uint32_t i = 0; i < lane.embryos.high_water(); ++i) {
      const auto& e = lane.embryos[i];
      if (e.shape != 0xffff && now - base_ns_ - static_cast<std::int64_t>(e.time()) > kGivenUp)
        out.connections.push_back({e.rank, (i + 1) | kind | RefBits::kEmbryo, 0});
    }
    for (std::uint32_t i = 0; i < lane.records.high_water(); ++i) {
      Hot& h = lane.records[i].hot;
      if (!h.is(Hold::kUsed)) continue;
      const Ref ref = (i + 1) | kind;
      const std::int64_t quiet = now - h.last_ns();
      const bool over = h.is(Hold::kIndexed) ? h.is(Hold::kClosed) && quiet > kSettled
                                                 : h.is(Hold::kClosed) || !h.is(Hold::kEstablished);
      const bool given_up = !h.is(Hold::kEstablished) && quiet > kGivenUp;
      if (!over && !given_up) continue;
      if (h.is(Hold::kIndexed)) settle(ref, h);
      if (is_told(h)) out.connections.push_back({lane.records[i].rank, ref, 0});
    }
  };
  each(narrow_, 0);
  each(wide_, RefBits::kWide);
  const auto last = [&](const Tellable& t) {
    if (!is_embryo(t.ref)) return hot(t.ref).last_ns();
    const std::uint32_t n = number(t.ref);
    return base_ns_ + static_cast<std::int64_t>(is_wide(t.ref) ? wide_.embryos[n].time() : narrow_.embryos[n].time());
  };
  std::sort(out.connections.begin(), out.connections.end(), [&](const Tellable& a, const Tellable& b) {
    const std::int64_t x = last(a), y = last(b);
    return x != y ? x < y : a.rank < b.rank;
  });
  return out;
}

/// What was told stays only as long as late segments may come.
void Table::forget_told(const Telling& told) {
  const auto drop = [&](auto& lane, Ref ref) {
    auto& e = lane.embryos[number(ref)];
    survey_.lone_syn({e.key, shapes_.sender(e.shape)}, lone_end(e));
    slots_.erase(hash_key(e.key), ref);
    e.shape = 0xffff;
    lane.embryos.give_back(number(ref));
  };
  for (const Tellable& t : told.connections) {
    if (is_embryo(t.ref)) {
      if (is_wide(t.ref)) drop(wide_, t.ref);
      else drop(narrow_, t.ref);
      continue;
    }
    Hot& h = hot(t.ref);
    Side& s = side(h);
    s.told = true;
    count_end(t.ref, h);
    if (!h.is(Hold::kIndexed) || !h.is(Hold::kClosed)) {
      part_with_previous(h);
      retire(t.ref);
    }
  }
}

Telling Table::telling(Grouping grouping) const {
  Telling out;
  Floods floods;
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
    const std::uint32_t records = lane.records.high_water();
    for (std::uint32_t i = 0; i < records; ++i) {
      constexpr std::uint32_t kAhead = 16;
      if (i + kAhead < records)
        if (const Hot& later = lane.records[i + kAhead].hot; later.side != 0) memory::fetch(&sides_[later.side - 1]);
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

  out.floods.reserve(floods.all.size());
  for (std::size_t i = 0; i < floods.all.size(); ++i) out.floods.push_back(std::move(floods.all[i]));
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
