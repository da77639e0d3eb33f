#pragma once
// What is held for every connection: 40 octets while it is one lone SYN, 128
// once it is more (72 and 160 over IPv6 or inside a tunnel). Everything that
// only unusual connections need lives elsewhere (story.hpp).
//
// The two ends are `low` and `high`, as in the key; who is the client is one bit
// that may be revised.

#include <cstdint>

#include "flow/packet.hpp"
#include "flow/slots.hpp"

namespace tcpwhy::flow {

/// One direction, by its sender.
struct Half {
  SeqNum iss;                      ///< with the syn bit; without it, what the other side's SYN-ACK says, if there was one
  SeqNum max_end, max_ack;
  std::uint32_t packets = 0;
  std::uint32_t payload_low = 0;   ///< payload octets, the low 32 bits
  std::uint32_t tsval = 0;
  std::uint16_t window = 0;        ///< of its last segment, as on the wire
  std::uint16_t mss = 0;
  std::uint16_t syn_shape = 0;     ///< options of its SYN (11 bits), window scale (4 bits)
  std::uint8_t payload_high = 0;
  std::uint8_t ttl = 0;

  [[nodiscard]] std::uint64_t payload() const { return static_cast<std::uint64_t>(payload_high) << 32 | payload_low; }
  void add_payload(std::uint32_t n) {
    const std::uint64_t sum = payload() + n;
    payload_low = static_cast<std::uint32_t>(sum);
    payload_high = static_cast<std::uint8_t>(sum >> 32);
  }
  [[nodiscard]] std::uint16_t syn_options() const { return syn_shape & 0x7ff; }
  [[nodiscard]] std::uint8_t syn_scale() const { return static_cast<std::uint8_t>(syn_shape >> 11 & 15); }
  void set_syn_shape(std::uint16_t options, std::uint8_t scale) {
    syn_shape = static_cast<std::uint16_t>((options & 0x7ff) | (scale & 15) << 11);
  }
};
static_assert(sizeof(Half) == 32);

/// Bits of Hot::flags. Those of an end are for the low one; `of(bit, end)` shifts.
struct Hold {
  static constexpr std::uint16_t kSeen = 1 << 0, kSyn = 1 << 2, kFin = 1 << 4, kFinAcked = 1 << 6;
  static constexpr std::uint16_t kClientHigh = 1 << 8,  ///< the client is the high end
      kInferred = 1 << 9,                               ///< the roles are a guess
      kIndexed = 1 << 10,                               ///< a slot refers to it
      kClosed = 1 << 11,                                ///< by FIN both ways, or RST
      kOutstanding = 1 << 12,                           ///< the client asked and was not answered
      kEstablished = 1 << 13,
      kSurveyed = 1 << 14,                              ///< its end was counted
      kUsed = 1 << 15;                                  ///< the record holds a connection
};
constexpr std::uint16_t of(std::uint16_t bit, End e) {
  return static_cast<std::uint16_t>(bit << index(e));
}

/// Ticks of 2^20 ns, about a millisecond, since the connection's first packet.
using Ticks = std::uint32_t;
constexpr Ticks kTicksPerSecond = 954;

struct Hot {
  std::int64_t start = 0;          ///< ns
  Ticks last = 0, request = 0;
  std::uint32_t first_frame = 0, last_frame = 0;
  std::uint32_t head = 0;          ///< newest segment in the history
  std::uint32_t side = 0;          ///< its side record + 1, 0 none
  std::uint32_t turns = 0;
  SeqNum response_end;             ///< where the announced response ends; 0 none
  std::uint16_t flags = 0;
  std::uint8_t first_file = 0, last_file = 0;
  std::uint32_t closing = 0;       ///< see first_closer() and quiet_before_close()
  Half halves[2];

  /// The silence before the first FIN or RST, and whose that was.
  [[nodiscard]] static std::uint32_t closing_of(End closer, Ticks quiet) {
    return (1u + static_cast<std::uint32_t>(closer)) << 30 | (quiet < kMostQuiet ? quiet : kMostQuiet);
  }
  void set_closing(End closer, Ticks quiet) { closing = closing_of(closer, quiet); }
  [[nodiscard]] bool is_closing() const { return closing >> 30 != 0; }
  [[nodiscard]] End first_closer() const { return closing >> 30 == 2 ? End::kHigh : End::kLow; }
  [[nodiscard]] Ticks quiet_before_close() const { return closing & kMostQuiet; }
  static constexpr Ticks kMostQuiet = (1u << 30) - 1;

  [[nodiscard]] std::int64_t last_ns() const { return start + (static_cast<std::int64_t>(last) << 20); }
  [[nodiscard]] bool is(std::uint16_t bits) const { return (flags & bits) != 0; }
  void set(std::uint16_t bits) { flags = static_cast<std::uint16_t>(flags | bits); }
  void clear(std::uint16_t bits) { flags = static_cast<std::uint16_t>(flags & ~bits); }
  [[nodiscard]] End client() const { return static_cast<End>(is(Hold::kClientHigh)); }
  void set_client(End e) {
    clear(Hold::kClientHigh);
    if (e == End::kHigh) set(Hold::kClientHigh);
  }
  [[nodiscard]] Half& half(End e) { return halves[index(e)]; }
  [[nodiscard]] const Half& half(End e) const { return halves[index(e)]; }
};
static_assert(sizeof(Hot) == 112);

template <class K>
struct alignas(sizeof(K) == sizeof(NarrowKey) ? 64 : 32) Record {
  Hot hot;
  K key;
  std::uint32_t rank = 0;          ///< order of first packets
};
static_assert(sizeof(Record<NarrowKey>) == 128);
static_assert(sizeof(Record<WideKey>) == 160);

/// One lone SYN. What would take more room is in the table of shapes.
template <class K>
struct Embryo {
  K key;
  std::uint32_t rank = 0, frame = 0;
  SeqNum seq;
  std::uint32_t tsval = 0;
  std::uint32_t time_low = 0;      ///< ns since the tracker's first packet, 48 bits
  std::uint16_t time_high = 0;
  std::uint16_t window = 0, ip_id = 0;
  std::uint16_t shape = 0;         ///< number in the table of shapes; kGone: not in use
  static constexpr std::uint16_t kGone = 0xffff;

  [[nodiscard]] std::uint64_t time() const { return static_cast<std::uint64_t>(time_high) << 32 | time_low; }
};
static_assert(sizeof(Embryo<NarrowKey>) == 40);
static_assert(sizeof(Embryo<WideKey>) == 72);

}  // namespace tcpwhy::flow
