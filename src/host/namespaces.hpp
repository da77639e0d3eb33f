#pragma once
// What events cannot tell, asked once a second in every network namespace watched: the counters of dropped SYNs, the
// listeners with their queues and drops, and the addresses that are ours.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "facts/kernel.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

class Namespaces {
 public:
  enum class Reach : std::uint8_t { kOwn, kAll };
  enum class Stuck : std::uint8_t { kSkip, kRead };
  Namespaces(Reach reach, Stuck stuck);
  ~Namespaces();
  /// Adds one by name of /run/netns, path, or process id; instead of the own one.
  Result<std::uint32_t> only(const std::string& which);
  [[nodiscard]] std::uint32_t own() const;
  /// Events come from every namespace where several were chosen. False: not one of these. Fills in what an event does not
  /// know: a segment on its way into a socket has no device any more.
  bool place(tw_event& event);

  /// One round. Namespaces that are gone get their last sample and are let go.
  std::vector<facts::NamespaceSample> sample();
  /// The ICMP errors about TCP segments that have come since the last call.
  void icmp_errors(std::uint64_t now_ns, const std::function<void(const tw_event&)>& each);
  /// Is this address (network order) one of the namespace's own? True where that is not known.
  bool is_local(std::uint32_t netns, const facts::Address& address);
  /// The open connections between two hosts.
  std::vector<facts::Socket> connections(std::uint32_t netns, const facts::Address& local, const facts::Address& remote);
  /// What the kernel holds of a connection now; nothing when it cannot be asked.
  std::optional<facts::Glance> glance(std::uint32_t netns, const facts::Endpoint& local, const facts::Endpoint& remote);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tcpwhy::host
