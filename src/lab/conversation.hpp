#pragma once
// A run's packets, each with its connection and with numbers that two runs can share.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// A packet or a call as two runs can be compared by it.
struct Line {
  Duration time{};
  std::size_t connection = 0;  ///< in Conversation::names
  /// The connection before of the same ports, where the packet bears its numbers: whatever set its timer was said there.
  std::optional<std::size_t> before = std::nullopt;
  std::uint8_t side = 0;    ///< which end of the connection sent it
  std::string key;          ///< equal in both runs where the same happened
  std::string shown;        ///< the same with the ports of this run
};

struct Conversation {
  /// Which connection this is in any run: the addresses, the ports that were not
  /// chosen by chance, and how many like it came before.
  std::vector<std::string> identities;
  std::vector<std::string> names;  ///< with the ports of this run
  std::vector<Line> lines;
};

/// The packets at the run's tap.
[[nodiscard]] Conversation packets_of(const Run& run);
/// What the applications got, descriptors left out.
[[nodiscard]] std::vector<Line> calls_of(const Run& run);

}  // namespace tcpwhy::lab
