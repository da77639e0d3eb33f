#include "host/bpf/last_ends.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace tcpwhy::host {
namespace {

constexpr unsigned kSlotBits = 16;

std::size_t slot_of(std::uint64_t key) { return static_cast<std::size_t>(key >> (64 - kSlotBits)); }

/// Nothing where the note is being written, or was written over, while it is read.
std::optional<tw_ended> whole(const tw_ended& note, std::uint64_t index) {
  const auto serial = [&] { return std::atomic_ref{const_cast<std::uint32_t&>(note.serial)}.load(std::memory_order_acquire); };
  const std::uint32_t wanted = static_cast<std::uint32_t>(index + 1) & TW_SERIAL_BITS;
  if (serial() != wanted) return std::nullopt;
  const tw_ended copy = note;
  std::atomic_thread_fence(std::memory_order_acquire);
  return serial() == wanted ? std::optional{copy} : std::nullopt;
}

}  // namespace

LastEnds::LastEnds(std::span<const tw_cpu> cpus, std::span<const tw_ended> notes) : cpus_{cpus}, notes_{notes}, taken_(cpus.size()) {}

std::optional<tw_ended> LastEnds::find(std::uint64_t key) {
  take_new();
  if (table_.empty()) return std::nullopt;
  const tw_ended& end = table_[slot_of(key)];
  return end.key == key ? std::optional{end} : std::nullopt;
}

void LastEnds::take_new() {
  const std::size_t slots = cpus_.empty() ? 0 : notes_.size() / cpus_.size();
  for (std::size_t cpu = 0; cpu < cpus_.size(); ++cpu) {
    const std::uint64_t made = std::atomic_ref{const_cast<std::uint64_t&>(cpus_[cpu].ended)}.load(std::memory_order_acquire);
    std::uint64_t& at = taken_[cpu];
    if (at == made) continue;
    if (table_.empty()) table_.resize(std::size_t{1} << kSlotBits);
    for (at = std::max(at, made - std::min<std::uint64_t>(made, slots)); at != made; ++at) {
      const auto end = whole(notes_[cpu * slots + (at & (slots - 1))], at);
      if (!end) continue;
      tw_ended& place = table_[slot_of(end->key)];
      if (end->time_ns >= place.time_ns) place = *end;
    }
  }
}

}  // namespace tcpwhy::host
