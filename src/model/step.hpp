#pragma once
// What one event did: everything the world could notice, and the rules that made it so.

#include <vector>

#include "model/packet.hpp"
#include "model/rules.hpp"
#include "names/mib.hpp"

namespace tcpwhy::model {

/// Appended to by every entry of a Host; the caller clears and reuses it, so that a million segments
/// cost no allocation.
struct Step {
  std::vector<Packet> sent;
  std::vector<Mib> counted;  ///< once per increment
  std::vector<Rule> because;  ///< in the order they fired
  std::vector<int> woken;     ///< descriptors whose readiness or error may have changed

  void clear() {
    sent.clear();
    counted.clear();
    because.clear();
    woken.clear();
  }
};

}  // namespace tcpwhy::model
