#include "flow/story.hpp"

#include <algorithm>

namespace tcpwhy::flow {

/// Stories get shorter as the room runs out, so that many short ones are still
/// whole when a few long ones have eaten most of it.
std::uint32_t Stories::limit(Interest interest) const {
  constexpr std::uint32_t kShortest = 64, kCalm = 256;
  std::uint32_t n = interest == Interest::kCalm ? std::min(bounds_.segments, kCalm) : bounds_.segments;
  if (live_bytes_ > bounds_.bytes / 2) n /= 8;
  if (live_bytes_ > bounds_.bytes / 4 * 3) n /= 8;
  return std::max(n, kShortest);
}

std::uint32_t Stories::take(std::uint32_t kind) {
  const std::uint64_t bytes = kSizes[kind] * sizeof(facts::SegmentFact);
  if (live_bytes_ + bytes > bounds_.bytes) return 0;
  live_bytes_ += bytes;
  if (free_[kind].empty()) {
    const std::uint32_t block = cells_.take_run(kBlock);
    for (std::uint32_t i = kBlock; i != 0; i -= kSizes[kind]) free_[kind].push_back(block + i - kSizes[kind]);
  }
  const std::uint32_t cell = free_[kind].back();
  free_[kind].pop_back();
  return cell + 1;
}

facts::SegmentFact* Stories::append(Story& story, const facts::SegmentFact& fact, Interest interest) {
  if (story.refused) {
    ++story.dropped;
    return nullptr;
  }
  if (story.chunks == 0 || story.in_last == kSizes[kind_of(story.chunks - 1)]) {
    std::uint32_t chunk = 0;
    const std::uint32_t most = limit(interest);
    if (story.turning == 0 && story.chunks >= kKinds - 1 && story.stored >= most / 2) {
      story.turning = story.last;
      story.stored_beginning = story.stored;
    }
    if (story.stored >= most && story.turning != 0 && story.turning != story.last) {
      // The oldest chunk after the beginning makes room for the newest.
      chunk = next(story.turning);
      const bool only = chunk == story.last;
      next(story.turning) = only ? 0 : next(chunk);
      if (only) story.last = story.turning;
      else before(next(chunk)) = story.turning;
      story.stored -= kBlock;
      story.dropped += kBlock;
      --story.chunks;
    } else {
      chunk = take(kind_of(story.chunks));
    }
    if (chunk == 0) {
      story.refused = true;
      ++story.dropped;
      return nullptr;
    }
    if (story.last != 0) next(story.last) = chunk;
    else story.first = chunk;
    next(chunk) = 0;
    before(chunk) = story.last;
    story.last = chunk;
    ++story.chunks;
    story.in_last = 0;
  }
  facts::SegmentFact& kept = cells_[story.last - 1 + story.in_last];
  const std::uint32_t link = kept.link;
  kept = fact;
  kept.link = link;
  ++story.in_last;
  ++story.stored;
  return &kept;
}

void Stories::copy(const Story& story, std::vector<facts::SegmentFact>& out) const {
  std::uint32_t ordinal = 0;
  for (std::uint32_t chunk = story.first; chunk != 0; chunk = cells_[chunk - 1].link, ++ordinal) {
    const std::uint32_t n = chunk == story.last ? story.in_last : kSizes[kind_of(ordinal)];
    const facts::SegmentFact* from = &cells_[chunk - 1];
    out.insert(out.end(), from, from + n);
    if (chunk == story.last) break;
  }
}

void Stories::forget(Story& story) {
  std::uint32_t ordinal = 0;
  for (std::uint32_t chunk = story.first; chunk != 0; ++ordinal) {
    const std::uint32_t next = chunk == story.last ? 0 : cells_[chunk - 1].link;
    free_[kind_of(ordinal)].push_back(chunk - 1);
    live_bytes_ -= kSizes[kind_of(ordinal)] * sizeof(facts::SegmentFact);
    chunk = next;
  }
  story = Story{};
}

}  // namespace tcpwhy::flow
