#pragma once
// SYNs come in few shapes: options, MSS, scale, TTL, flags, file. Each distinct
// one is kept once and an embryo holds its number.

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <vector>

#include "flow/packet.hpp"
#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

struct SynShape {
  std::uint16_t mss = 0, options = 0, anomalies = 0;
  std::uint8_t flags = 0, ttl = 0, scale = 0, bits = 0, file = 0, spare = 0;
  friend bool operator==(const SynShape&, const SynShape&) = default;
};
static_assert(sizeof(SynShape) == 12);

class SynShapes {
 public:
  /// The number of this SYN's shape; none when the table is full.
  std::optional<std::uint16_t> number_of(const facts::SegmentFact& f, End sender) {
    const SynShape s{f.mss, f.options, f.anomalies, f.flags, f.ttl, f.window_scale,
                     static_cast<std::uint8_t>(f.dont_fragment | f.outbound << 1 | f.inbound << 2 | static_cast<int>(index(sender)) << 3), f.file, 0};
    // One SYN in sixty-four has had its checksum verified: two shapes take turns.
    for (const std::uint16_t recent : recent_)
      if (recent < shapes_.size() && shapes_[recent] == s) return recent;
    std::uint64_t a = 0;
    std::uint32_t b = 0;
    std::memcpy(&a, &s, 8);
    std::memcpy(&b, reinterpret_cast<const char*>(&s) + 8, 4);
    auto [it, fresh] = numbers_[b].try_emplace(a, static_cast<std::uint16_t>(shapes_.size()));
    if (fresh) {
      if (shapes_.size() == kMost) {
        numbers_[b].erase(it);
        return std::nullopt;
      }
      shapes_.push_back(s);
    }
    recent_ = {it->second, recent_[0]};
    return it->second;
  }
  [[nodiscard]] End sender(std::uint16_t number) const {
    return shapes_[number].bits >> 3 & 1 ? End::kHigh : End::kLow;
  }
  [[nodiscard]] std::uint8_t file(std::uint16_t number) const { return shapes_[number].file; }
  void restore(std::uint16_t number, facts::SegmentFact& f) const {
    const SynShape& s = shapes_[number];
    f.mss = s.mss;
    f.options = s.options;
    f.anomalies = s.anomalies;
    f.flags = s.flags;
    f.ttl = s.ttl;
    f.window_scale = s.scale & 15;
    f.dont_fragment = s.bits & 1;
    f.outbound = s.bits >> 1 & 1;
    f.inbound = s.bits >> 2 & 1;
    f.file = s.file;
  }

 private:
  static constexpr std::size_t kMost = 0xfffe;
  std::vector<SynShape> shapes_;
  std::unordered_map<std::uint32_t, std::unordered_map<std::uint64_t, std::uint16_t>> numbers_;
  std::array<std::uint16_t, 2> recent_{};
};

}  // namespace tcpwhy::flow
