#pragma once
// A Packet is what one frame means to the tracker, self-contained: the fact
// that a story would keep, and the key of its connection. It points into no
// frame, so that it may cross to another thread.
//
// A key names the two ends in canonical order, low and high; which of them is
// the client is a property of the connection, decided (and revised) elsewhere.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::flow {

/// The two ends of a connection, in canonical order.
enum class End : std::uint8_t { kLow = 0, kHigh = 1 };
constexpr End other(End e) { return static_cast<End>(1 - static_cast<std::uint8_t>(e)); }
constexpr std::size_t index(End e) { return static_cast<std::size_t>(e); }

/// Identity of a connection over plain IPv4.
struct NarrowKey {
  std::uint32_t low = 0, high = 0;  ///< addresses as numbers
  std::uint16_t low_port = 0, high_port = 0;
  friend bool operator==(const NarrowKey&, const NarrowKey&) = default;
};
static_assert(sizeof(NarrowKey) == 12);

/// Identity of a connection over IPv6, or of anything inside a tunnel.
struct WideKey {
  std::array<std::uint8_t, 16> low{}, high{};
  std::uint16_t low_port = 0, high_port = 0;
  std::uint32_t tunnel = 0;
  std::uint32_t version = 0;
  /// In words, without a call.
  friend bool operator==(const WideKey& a, const WideKey& b) {
    std::uint64_t x[5], y[5];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0 && a.version == b.version;
  }
};
static_assert(sizeof(WideKey) == 44);

enum class PacketKind : std::uint8_t { kSegment, kIcmp, kFragment, kNeighbour, kNothing };

/// What the first octets of a payload say about who is speaking.
enum class Speaker : std::uint8_t { kUnknown, kClient, kServer };

/// A later IP fragment, or the first: what joins them.
struct FragmentPart {
  std::uint64_t datagram = 0;  ///< hash over addresses and identification
  std::uint32_t bytes = 0;
  bool first = false;
};

/// A question or answer about a next hop.
struct NeighbourPart {
  facts::Address target;
  bool answer = false;
};

/// What few packets have, kept beside them.
struct Extra {
  facts::IcmpFact icmp;
  NeighbourPart neighbour;
  FragmentPart fragment;
};

struct alignas(64) Packet {
  facts::SegmentFact fact;          ///< `from_server` says "from the high end" until a connection is told
  union {
    NarrowKey narrow;
    WideKey wide;
  };
  std::uint32_t hash = 0;           ///< of the key
  std::int32_t extra = -1;          ///< index into the block's extras
  PacketKind kind = PacketKind::kNothing;
  bool is_wide = false;
  End sender = End::kLow;
  Speaker speaker = Speaker::kUnknown;

  Packet() : narrow{} {}
};
static_assert(sizeof(Packet) == 128);

/// Finds the bucket, is no identity.
std::uint32_t hash_key(const NarrowKey& key);
std::uint32_t hash_key(const WideKey& key);

/// The first of the two words of an address of IPv4 in memory, of which the other is 0.
inline std::uint64_t word_of_ipv4(std::uint32_t ip) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(ip) : static_cast<std::uint64_t>(ip) << 32;
}
inline facts::Endpoint endpoint_of(const NarrowKey& key, End e) {
  const std::uint64_t word = word_of_ipv4(e == End::kLow ? key.low : key.high);
  facts::Endpoint out;
  std::memcpy(out.address.bytes.data(), &word, sizeof word);
  out.port = e == End::kLow ? key.low_port : key.high_port;
  return out;
}
inline facts::Endpoint endpoint_of(const WideKey& key, End e) {
  facts::Endpoint out;
  out.address.version = static_cast<std::uint8_t>(key.version);
  out.address.bytes = e == End::kLow ? key.low : key.high;
  out.port = e == End::kLow ? key.low_port : key.high_port;
  return out;
}

/// Consecutive packets on their way from decoding to tracking.
struct Block {
  static constexpr std::size_t kPackets = 256;
  CaptureTime latest{};             ///< of every frame that was read for it, TCP or not: the capture still watched then
  std::vector<Packet> packets = std::vector<Packet>(kPackets);
  std::array<std::uint32_t, kPackets> hashes{};  ///< of the packets, side by side: what is looked up ahead
  std::size_t used = 0;
  std::vector<Extra> extras;
  std::uint64_t expected_connections = 0;  ///< a guess for the whole input, once there is one
  /// The next packet has been filled in.
  void append() {
    hashes[used] = packets[used].hash;
    ++used;
  }
  void clear() {
    used = 0;
    extras.clear();
    expected_connections = 0;
  }
};

}  // namespace tcpwhy::flow
