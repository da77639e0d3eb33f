#pragma once
// Who owns a 4-tuple: an open-addressed table of slots, and the hashing that also makes ISNs and secrets.

#include <cstdint>
#include <cstring>
#include <vector>

#include "model/packet.hpp"

namespace tcpwhy::model {

enum class Kind : std::uint8_t { kNone, kEndpoint, kRequest, kTimeWait, kListener };

/// A socket of any kind.
struct Handle {
  Kind kind = Kind::kNone;
  std::uint32_t index = 0;
  explicit operator bool() const { return kind != Kind::kNone; }
  friend bool operator==(const Handle&, const Handle&) = default;
};

struct Tuple4 {
  Address local, remote;
  std::uint16_t local_port = 0, remote_port = 0;
  friend bool operator==(const Tuple4&, const Tuple4&) = default;
};

constexpr std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  return x;
}

inline std::uint64_t hash(const Address& a, std::uint64_t seed) {
  std::uint64_t lo = 0, hi = 0;
  std::memcpy(&lo, a.bytes.data(), 8);
  if (a.version == 4) return mix(seed ^ lo);
  std::memcpy(&hi, a.bytes.data() + 8, 8);
  return mix(mix(seed ^ lo) + hi);
}

inline std::uint64_t hash(const Tuple4& t, std::uint64_t seed) {
  if (t.local.version == 4) {
    std::uint32_t l = 0, r = 0;
    std::memcpy(&l, t.local.bytes.data(), 4);
    std::memcpy(&r, t.remote.bytes.data(), 4);
    return mix(mix(seed ^ ((std::uint64_t{l} << 32) | r)) ^ ((std::uint64_t{t.local_port} << 16) | t.remote_port));
  }
  return mix(hash(t.remote, hash(t.local, seed)) ^ ((std::uint64_t{t.local_port} << 16) | t.remote_port));
}

/// Linear probing, at most half full. The owner compares tuples: `is` says whether a slot is the one.
class Lookup {
 public:
  template <class Is>
  [[nodiscard]] Handle find(std::uint64_t h, Is&& is) const {
    if (slots_.empty()) return {};
    for (std::size_t i = h & mask_;; i = (i + 1) & mask_) {
      const Slot& s = slots_[i];
      if (s.handle.kind == Kind::kNone) return {};
      if (s.hash == static_cast<std::uint32_t>(h >> 16) && is(s.handle)) return s.handle;
    }
  }
  void insert(std::uint64_t h, Handle handle) {
    if ((used_ + 1) * 2 > slots_.size()) grow();
    place({static_cast<std::uint32_t>(h >> 16), static_cast<std::uint32_t>(h), handle});
    ++used_;
  }
  void erase(std::uint64_t h, Handle handle) {
    if (slots_.empty()) return;
    for (std::size_t i = h & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].handle.kind == Kind::kNone) return;
      if (!(slots_[i].handle == handle)) continue;
      // Close the gap, so that no tombstones collect.
      for (std::size_t j = (i + 1) & mask_; slots_[j].handle.kind != Kind::kNone; j = (j + 1) & mask_) {
        const std::size_t home = slots_[j].home & mask_;
        if (((j - home) & mask_) < ((j - i) & mask_)) continue;
        slots_[i] = slots_[j];
        i = j;
      }
      slots_[i] = {};
      --used_;
      return;
    }
  }

 private:
  struct Slot {
    std::uint32_t hash = 0, home = 0;
    Handle handle;
  };
  void place(const Slot& s) {
    std::size_t i = s.home & mask_;
    while (slots_[i].handle.kind != Kind::kNone) i = (i + 1) & mask_;
    slots_[i] = s;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& s : old)
      if (s.handle.kind != Kind::kNone) place(s);
  }
  std::vector<Slot> slots_;
  std::size_t mask_ = 0, used_ = 0;
};

}  // namespace tcpwhy::model
