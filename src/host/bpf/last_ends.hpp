#pragma once
// What the programs of watch.bpf.c noted of connections that ended, found by tuple. Nothing is read before somebody asks: a host whose
// connections end well costs nothing here.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "facts/kernel_event.h"

namespace tcpwhy::host {

class LastEnds {
 public:
  LastEnds() = default;
  /// `notes`: equally many for each of `cpus`, a power of 2. Both must outlive this, and change under it.
  LastEnds(std::span<const tw_cpu> cpus, std::span<const tw_ended> notes);
  /// The last end of a connection with this tuple (`tw_tuple_key()`), where it is still known.
  std::optional<tw_ended> find(std::uint64_t key);

 private:
  void take_new();

  std::span<const tw_cpu> cpus_;
  std::span<const tw_ended> notes_;
  std::vector<std::uint64_t> taken_;  ///< of each CPU's notes
  std::vector<tw_ended> table_;       ///< without chains: the newer end takes the place
};

}  // namespace tcpwhy::host
