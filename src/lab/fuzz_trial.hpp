#pragma once
// A short experiment by chance: calls of one application and segments of one peer, each at its time. What a segment
// carries is said relative to the conversation so far, so that any order of them means something.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lab/run.hpp"
#include "world/system.hpp"

namespace tcpwhy::lab {

/// A call of the application. Descriptors stand in slots: 0 is the listener, accept() fills the next.
struct TrialCall {
  enum class Kind : std::uint8_t {
    kSocket, kSet, kBind, kListen, kConnect, kAccept, kSend, kReceive, kShutdown, kClose, kError, kPoll
  } kind = Kind::kPoll;
  std::size_t slot = 0;
  int value = 0;                                            ///< backlog, octets, option's value
  world::Option option = world::Option::kReuseAddress;      ///< of kSet
  world::How how = world::How::kWrite;                      ///< of kShutdown
};

/// A segment of the peer. Distances count from what the peer would send next, and from all the host has sent.
struct TrialSegment {
  std::size_t port = 0;
  std::uint8_t flags = 0;
  std::int32_t seq = 0, ack = 0;
  std::uint16_t window = 0;
  std::uint32_t payload_bytes = 0;
  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;
  bool sack_permitted = false;
  struct Stamp {
    std::int32_t value = 0, echo = 0;  ///< distance from the peer's clock, and from the host's last stamp
  };
  std::optional<Stamp> stamp;
  std::vector<std::pair<std::int32_t, std::int32_t>> sack;  ///< as `ack`
};

/// An ICMP error, by the numbers of IPv4, about the host's segment at a distance from the first octet not acknowledged by the peer.
struct TrialIcmp {
  std::size_t port = 0;
  std::uint8_t type = 3, code = 0;
  std::uint16_t mtu = 0;
  std::int32_t seq = 0;
};

struct TrialAct {
  Duration at{};
  std::variant<TrialCall, TrialSegment, TrialIcmp> what;
};

struct Trial {
  std::uint64_t seed = 0;
  std::uint8_t ip_version = 4;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<TrialAct> acts;
  Duration end{};
};

/// Do openings carry data?
enum class FastOpenTrials : std::uint8_t { kNone, kOnly };

/// The trial of that number: the same every time.
[[nodiscard]] Trial generate(std::uint64_t seed, FastOpenTrials fast_open = FastOpenTrials::kNone, std::uint8_t ip_version = 4);

/// As an experiment, which any host can play.
[[nodiscard]] Experiment experiment_of(const Trial& trial);
[[nodiscard]] Options options_of(const Trial& trial);

/// What happened, in packetdrill's notation; nothing when the trial has several connections, which that tool cannot tell
/// apart, when an ICMP error of IPv6 is in it, or when a segment reaches over the end of the sequence space. Times are the run's.
[[nodiscard]] std::optional<std::string> packetdrill(const Trial& trial, const Run& run);

}  // namespace tcpwhy::lab
