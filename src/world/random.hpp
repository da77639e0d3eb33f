#pragma once
// Chance with a seed: the same world runs the same way twice.
// splitmix64 (Steele, Lea and Flood 2014): small, and good enough for loss and jitter.

#include <cstdint>

namespace tcpwhy::world {

class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_{seed} {}

  constexpr std::uint64_t next() {
    state_ += 0x9E37'79B9'7F4A'7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9u;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBu;
    return z ^ (z >> 31);
  }
  /// 0 to `bound` - 1; 0 when `bound` is 0.
  constexpr std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  /// True `parts` times in a million.
  constexpr bool happens(std::uint32_t parts_per_million) { return below(1'000'000) < parts_per_million; }

 private:
  std::uint64_t state_;
};

}  // namespace tcpwhy::world
