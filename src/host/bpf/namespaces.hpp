#pragma once
// What events cannot tell, asked once a second in every network namespace watched: the counters of dropped SYNs, the
// listeners with their queues and drops, the addresses that are ours, and who owns a listener.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/bpf/verdict.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

struct ListenerSample {
  facts::Endpoint at;
  std::uint32_t queue = 0, limit = 0, drops = 0;
  std::uint64_t inode = 0;
};

/// A connection that stands still, for hosts where no event may be had.
struct StuckSample {
  facts::Endpoint local, remote;
  std::uint8_t state = 0, retransmits = 0;
  std::uint64_t inode = 0;
};

struct NamespaceSample {
  std::uint32_t netns = 0;
  bool from_birth = false;  ///< the namespace is younger than the watch: its counters began at 0
  std::map<std::string, std::uint64_t> counters;
  std::vector<ListenerSample> listeners;
  std::vector<StuckSample> stuck;
};

class Namespaces {
 public:
  enum class Reach : std::uint8_t { kOwn, kAll };
  enum class Stuck : std::uint8_t { kSkip, kRead };
  Namespaces(Reach reach, Stuck stuck);
  ~Namespaces();
  /// Adds one by name of /run/netns, path, or process id; instead of the own one.
  Result<std::uint32_t> only(const std::string& which);
  [[nodiscard]] std::uint32_t own() const;

  /// One round. Namespaces that are gone get their last sample and are let go.
  std::vector<NamespaceSample> sample();
  /// Is this address (network order) one of the namespace's own? True where that is not known.
  bool is_local(std::uint32_t netns, const facts::Address& address);
  /// The process that holds a socket's file, by looking through /proc; expensive.
  static KernelProcess owner_of(std::uint64_t inode);
  /// The same for many at once.
  static std::map<std::uint64_t, KernelProcess> owners_of(const std::vector<std::uint64_t>& inodes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tcpwhy::host
