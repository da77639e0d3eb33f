#pragma once
// What the whole capture says beside its single connections: coverage, quality,
// how each host's stack looks, how each service and each client fared. Bounded:
// tables keep the busiest entries and samples keep a fixed number of values.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

/// Chance without chance: which of a population's values a sample keeps. Values may come in turns, as when a capture
/// holds both sides of a NAT; multiples of a golden ratio (Knuth, TAOCP 6.4) keep step with none.
constexpr bool chosen(std::uint64_t place, std::uint64_t one_of) {
  return ((place * 0x9e37'79b9'7f4a'7c15u) >> 32 & (one_of - 1)) == 0;
}

/// A bounded, deterministic sample of a population of values.
/// The first kCapacity values are kept, then about every second, fourth, … of the rest.
template <class T, std::size_t kCapacity = 64>
struct Sample {
  std::vector<T> values;
  std::uint64_t seen = 0;
  std::uint64_t stride = 1;  ///< a power of two
  /// Will the next value be kept? Of a long capture's next to none is.
  [[nodiscard]] bool keeps_next() const { return chosen(seen, stride); }
  /// One more value, which is not kept.
  void pass() { ++seen; }
  /// Adds a value that is made only if it is kept.
  template <class Make>
  void add_made(Make&& make) {
    if (keeps_next()) add(make());
    else pass();
  }
  void add(const T& v) {
    const bool keep = keeps_next();
    ++seen;
    if (keep) {
      if (values.size() == kCapacity) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
          if (chosen(i, 2)) values[kept++] = values[i];
        values.resize(kept);
        stride *= 2;
      }
      if (values.capacity() == 0) values.reserve(kCapacity / 4 < 8 ? kCapacity / 4 : 8);
      values.push_back(v);
    }
  }
};

/// A host's stack as seen from here.
struct HostFacts {
  std::array<std::uint32_t, 256> ttl_seen{};  ///< segments by TTL, RSTs excluded (first of each connection and direction)
  std::uint64_t connections_as_client = 0, connections_as_server = 0;
  std::uint64_t syn_acks = 0;
  std::uint16_t syn_ack_window = 0, syn_window = 0;
  std::uint16_t syn_options = 0, syn_ack_options = 0;   ///< union of Opt bits
  Duration fastest_syn_ack = Duration::max();           ///< SYN to SYN-ACK at this vantage
  bool uses_timestamps = false;
  std::uint32_t services_called = 0;                    ///< distinct address and port pairs it sent SYNs to
  std::uint32_t services_refusing = 0;                  ///< of them, those that accepted none of its connections
  std::uint64_t stray_syn_acks = 0;                     ///< SYN-ACKs that came to it without a SYN of its own
  std::uint64_t stray_rsts = 0;                         ///< RSTs that came to it on tuples it never used
  Sample<std::pair<CaptureTime, std::uint32_t>> syn_tsvals;  ///< (time, TSval) of its SYNs: clock lines
  Sample<std::uint8_t> syn_ttls;                        ///< TTLs of its SYNs: more than one value hints at several hosts
  Sample<std::uint32_t> syn_shapes;                     ///< hash of window, options and scale of its SYNs
  [[nodiscard]] std::uint8_t usual_ttl() const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < ttl_seen.size(); ++i)
      if (ttl_seen[i] > ttl_seen[best]) best = i;
    return static_cast<std::uint8_t>(best);
  }
};

/// How one attempt to reach a service went, for the neighbours' sake.
struct Attempt {
  enum class Fate : std::uint8_t { kAccepted, kRefused, kUnanswered, kIncomplete, kResetEarly };
  CaptureTime syn{};
  Fate fate = Fate::kAccepted;
  std::uint8_t syn_acks = 0;      ///< times the SYN-ACK was seen
  std::uint16_t client_port = 0;
  Address client;
  std::uint32_t tsval = 0;        ///< of the SYN, or the lowest it can have been
  bool has_timestamps = false;
  std::uint64_t connection = 0;   ///< id
  bool server_spoke = false;      ///< its application showed itself: payload or FIN of the server
  bool unread = false;            ///< the kernel acknowledged all the client said, and the application showed nothing of itself
  bool probe = false;             ///< answered by SYN-ACK and reset by the client, no payload either way
};

/// How one connection to a service ended when it was idle, for timers.
struct IdleEnd {
  Duration idle{};                ///< last payload or ACK before the end
  std::uint32_t requests = 0;
  Party closer = Party::kServer;
  bool by_reset = false;
  bool crossed = false;           ///< a request crossed it
  std::uint64_t connection = 0;
};

/// A listening (or not listening) address and port.
struct ServiceFacts {
  Endpoint endpoint;
  std::uint64_t attempts = 0, accepted = 0, refused = 0, unanswered = 0, incomplete = 0, reset_early = 0;
  std::uint64_t syn_ack_repeats = 0;
  std::uint64_t lone_syns = 0;          ///< attempts that were a single SYN
  std::uint64_t clients = 0;            ///< distinct client addresses, estimated upward of 4096
  CaptureTime first_attempt{}, last_attempt{};
  Duration fastest_syn_ack = Duration::max();
  std::uint16_t syn_ack_options = 0;    ///< union of Opt bits of its SYN-ACKs
  Sample<Attempt> attempts_sample;      ///< all fates
  Sample<Attempt> failures_sample;      ///< those not accepted
  Sample<IdleEnd> idle_ends;
  Sample<std::uint32_t> requests_at_server_close;
  bool syn_acks_mirror_syns = false;    ///< repeated SYN, same ISN answered only on SYNs: cookie sign
};

/// One client address towards one service.
struct PairFacts {
  Address client;
  Endpoint server;
  std::uint64_t connections = 0, failed = 0;
  std::uint32_t open_now = 0, open_peak = 0;
  Duration at_peak{};                   ///< time spent at the peak
  std::uint64_t tuple_reuses = 0;
  Duration quickest_reuse = Duration::max();   ///< end of one incarnation to the next SYN
  std::uint32_t distinct_ports_low = 0, distinct_ports_high = 0;
  std::uint64_t turns = 0;              ///< requests of all its connections
};

/// ARP or ND questions about one address.
struct NeighbourFacts {
  Address target;
  std::uint32_t questions = 0, answers = 0;
  std::uint32_t first_frame = 0, last_frame = 0;
  std::uint8_t file = 0;
  CaptureTime first{}, last{};
};

struct AddressHash {
  std::size_t operator()(const Address& a) const noexcept {
    std::uint64_t w[2];
    std::memcpy(w, a.bytes.data(), sizeof w);
    std::uint64_t h = (w[0] ^ a.version) * 0x9e3779b97f4a7c15ull;
    h = (h ^ (h >> 32) ^ w[1]) * 0xd1b54a32d192ed03ull;
    return static_cast<std::size_t>(h ^ (h >> 29));
  }
};
struct EndpointHash {
  std::size_t operator()(const Endpoint& e) const noexcept { return AddressHash{}(e.address) * 31 + e.port; }
};
struct PairKey {
  Address client;
  Endpoint server;
  friend bool operator==(const PairKey&, const PairKey&) = default;
};
struct PairHash {
  std::size_t operator()(const PairKey& k) const noexcept {
    return AddressHash{}(k.client) * 0x9e3779b97f4a7c15ull + EndpointHash{}(k.server);
  }
};

struct Survey {
  std::vector<std::string> files;
  CaptureTime begin{}, end{};
  std::uint64_t frames = 0, tcp_frames = 0, other_frames = 0, malformed_frames = 0;
  std::uint64_t connections = 0;        ///< all, told or not
  std::uint64_t healthy_untold = 0;     ///< connections with no signal at all
  std::uint64_t evicted = 0;            ///< let go early to keep memory bounded
  std::uint64_t stories_cut = 0;        ///< told connections whose segments were not all kept
  std::uint64_t dropped_by_capture = 0;
  bool drops_reported = false;
  std::uint64_t truncated_frames = 0;
  std::uint64_t duplicate_frames = 0;
  std::uint64_t one_direction_connections = 0;
  std::uint64_t two_direction_connections = 0;
  std::uint64_t clock_steps = 0;
  std::uint64_t super_frames = 0;
  std::uint64_t capture_gap_connections = 0;  ///< connections that acknowledged data never recorded

  std::unordered_map<Address, HostFacts, AddressHash> hosts;
  std::unordered_map<Endpoint, ServiceFacts, EndpointHash> services;
  std::unordered_map<PairKey, PairFacts, PairHash> pairs;  ///< of at least two connections
  std::vector<NeighbourFacts> neighbours;
  std::uint64_t table_entries_refused = 0;     ///< hosts, services or pairs beyond the bound

  [[nodiscard]] const HostFacts* host(const Address& a) const {
    auto it = hosts.find(a);
    return it == hosts.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const ServiceFacts* service(const Endpoint& e) const {
    auto it = services.find(e);
    return it == services.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const PairFacts* pair(const Address& client, const Endpoint& server) const {
    auto it = pairs.find(PairKey{client, server});
    return it == pairs.end() ? nullptr : &it->second;
  }
};

}  // namespace tcpwhy::facts
