#pragma once
// The tables behind the survey: compact while they are filled, turned into
// facts::Survey once at the end. Bounded: who comes when a table is full is
// counted and left out.

#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <vector>

#include "flow/memory.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::flow {

/// Hash table of entries that know their key. Entries keep their order of
/// arrival, so that nothing depends on the hash.
template <class Key, class Entry>
class SurveyTable {
 public:
  explicit SurveyTable(std::size_t most) : most_{most}, slots_(kSmallest) {}
  ~SurveyTable() {
    for (std::size_t i = 0; i < size_; ++i) (*this)[i].~Entry();
  }
  SurveyTable(const SurveyTable&) = delete;
  SurveyTable& operator=(const SurveyTable&) = delete;

  static std::uint32_t hash(const Key& key);

  void prefetch(std::uint32_t h) const { memory::fetch(&slots_[h & mask_]); }
  /// Fetches the first octets of the entry with this hash ahead, once its slot has been fetched; null when there is none.
  Entry* prefetch_entry(std::uint32_t h, std::size_t octets) {
    std::size_t i = h & mask_;
    while (slots_[i] != 0 && static_cast<std::uint32_t>(slots_[i] >> 32) != h) i = (i + 1) & mask_;
    if (slots_[i] == 0) return nullptr;
    Entry& entry = (*this)[static_cast<std::uint32_t>(slots_[i]) - 1];
    const char* at = reinterpret_cast<const char*>(&entry);
    for (std::size_t line = 0; line < octets; line += 64) memory::fetch(at + line);
    memory::fetch(at + octets - 1);  // an entry does not begin a line
    return &entry;
  }
  /// `likely` is what prefetch_entry() found.
  Entry* find_or_add(const Key& key, std::uint32_t h, Entry* likely) {
    return likely != nullptr && likely->key == key ? likely : find_or_add(key, h);
  }
  Entry* find(const Key& key, std::uint32_t h) {
    for (std::size_t i = h & mask_;; i = (i + 1) & mask_) {
      const std::uint64_t slot = slots_[i];
      if (slot == 0) return nullptr;
      if (static_cast<std::uint32_t>(slot >> 32) != h) continue;
      Entry& e = (*this)[static_cast<std::uint32_t>(slot) - 1];
      if (e.key == key) return &e;
    }
  }
  Entry* find_or_add(const Key& key, std::uint32_t h) {
    if (Entry* e = find(key, h)) return e;
    if (size_ >= most_) {
      ++refused_;
      return nullptr;
    }
    if ((size_ + 1) * 2 > slots_.size()) grow();
    if (size_ == chunks_.size() * kPerChunk)
      chunks_.push_back(memory::allocate(memory::kChunk, chunks_.empty() ? memory::Use::kPerhaps : memory::Use::kWhole));
    Entry& added = *new (static_cast<void*>(&(*this)[size_++])) Entry{};
    added.key = key;
    place(static_cast<std::uint64_t>(h) << 32 | size_);
    return &added;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// In order of arrival.
  [[nodiscard]] Entry& operator[](std::size_t i) { return const_cast<Entry&>(at(i)); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  [[nodiscard]] const Entry& at(std::size_t i) const {
    return reinterpret_cast<const Entry*>(chunks_[i / kPerChunk].get())[i % kPerChunk];
  }
  void place(std::uint64_t slot) {
    std::size_t i = (slot >> 32) & mask_;
    while (slots_[i] != 0) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
  void grow() {
    std::vector<std::uint64_t> before(slots_.size() * 2);
    before.swap(slots_);
    mask_ = slots_.size() - 1;
    for (std::uint64_t slot : before)
      if (slot != 0) place(slot);
  }

  static constexpr std::size_t kSmallest = 1024;
  std::size_t most_, mask_ = kSmallest - 1;
  std::vector<std::uint64_t> slots_;
  /// Chunks that never move: an entry owns memory, and moving it is dear.
  static constexpr std::size_t kPerChunk = memory::kChunk / sizeof(Entry);
  std::vector<memory::Chunk> chunks_;
  std::size_t size_ = 0;
  std::uint64_t refused_ = 0;
};

inline std::uint64_t survey_mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a ^ 0x9e37'79b9'7f4a'7c15ull) * (b ^ 0xd1b5'4a32'd192'ed03ull);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
inline std::uint64_t survey_hash_of_words(std::uint64_t first, std::uint64_t second, std::uint8_t version) {
  return survey_mix(first ^ static_cast<std::uint64_t>(version) << 56, second);
}
inline std::uint64_t survey_hash(const facts::Address& a) {
  std::uint64_t w[2];
  std::memcpy(w, a.bytes.data(), 16);
  return survey_hash_of_words(w[0], w[1], a.version);
}
inline std::uint64_t survey_hash(const facts::Endpoint& e) { return survey_mix(survey_hash(e.address), e.port); }
inline std::uint64_t survey_hash(const facts::PairKey& k) { return survey_mix(survey_hash(k.client), survey_hash(k.server)); }

/// As much of a hash as a table keeps.
inline std::uint32_t short_hash(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

template <class Key, class Entry>
std::uint32_t SurveyTable<Key, Entry>::hash(const Key& key) {
  return short_hash(survey_hash(key));
}

/// How many different values were seen: exact for few, an estimate for many
/// (Flajolet and others, "HyperLogLog", 2007).
class Distinct {
 public:
  static constexpr std::size_t kExact = 256;
  void add(std::uint64_t hash);
  [[nodiscard]] std::uint64_t count() const;

 private:
  static constexpr std::size_t kRegisters = 1024;
  void note(std::uint64_t hash);
  std::vector<std::uint64_t> exact_;
  std::vector<std::uint8_t> registers_;
};

struct SynSample {
  CaptureTime time{};
  std::uint32_t tsval = 0;
  std::uint32_t shape : 23 = 0;
  std::uint32_t ttl : 8 = 0;
  std::uint32_t has_timestamps : 1 = 0;
};
static_assert(sizeof(SynSample) == 16);

/// A facts::Sample that holds its values itself: an entry that is fetched ahead brings them along.
template <class T, std::size_t kCapacity>
class SampleInPlace {
 public:
  void add(const T& v) {
    if ((seen_++ & (stride_ - 1)) != 0) return;
    if (size_ == kCapacity) {
      size_ = 0;
      for (std::size_t i = 0; i < kCapacity; i += 2) values_[size_++] = values_[i];
      stride_ *= 2;
    }
    values_[size_++] = v;
  }
  /// Where the next value would go.
  [[nodiscard]] const T* place() const { return &values_[size_ % kCapacity]; }
  [[nodiscard]] std::span<const T> values() const { return {values_.data(), size_}; }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] std::uint64_t stride() const { return stride_; }

 private:
  std::uint64_t seen_ = 0, stride_ = 1;  ///< the stride is a power of two
  std::uint32_t size_ = 0;
  std::array<T, kCapacity> values_{};
};

struct HostEntry {
  /// As many as tell several hosts behind one address apart.
  static constexpr std::size_t kSynsKept = 16;
  /// What an end counts lies in the first octets, what a SYN says in these, apart from its sample.
  static constexpr std::size_t kCounters = 64, kOfSyn = 112;
  facts::Address key;
  std::uint8_t other_ttls = 0;                     ///< TTLs beyond the four below
  std::array<std::uint8_t, 4> ttls{};
  std::array<std::uint32_t, 4> ttl_counts{};
  std::uint32_t as_client = 0, as_server = 0, syn_acks = 0;
  std::uint32_t stray_syn_acks = 0, stray_rsts = 0;
  std::uint32_t services_called = 0, services_refusing = 0;
  std::uint16_t syn_window = 0, syn_ack_window = 0, syn_options = 0, syn_ack_options = 0;
  bool uses_timestamps = false;
  Duration fastest_syn_ack = Duration::max();
  using Syns = SampleInPlace<SynSample, kSynsKept>;
  Syns syns;
  void saw_ttl(std::uint8_t ttl);
  [[nodiscard]] std::uint64_t weight() const { return static_cast<std::uint64_t>(as_client) + 4ull * as_server; }
};

struct ServiceEntry {
  facts::Endpoint key;
  facts::ServiceFacts facts;
  Distinct clients;
};

struct PairEntry {
  facts::PairKey key;
  std::uint32_t connections = 0, failed = 0, open_now = 0, open_peak = 0, reuses = 0;
  std::uint16_t lowest_port = 0xffff, highest_port = 0;
  CaptureTime at_peak_since{};
  Duration at_peak{};
  Duration quickest_reuse = Duration::max();
  std::uint64_t turns = 0;
};

}  // namespace tcpwhy::flow
