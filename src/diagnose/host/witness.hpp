#pragma once
// A host's snapshot beside a capture: counters, settings, queues and processes of one end become evidence for what
// the packets show. docs/decisions/0011-capture-with-host.md.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tcpwhy/explain.hpp"
#include "tcpwhy/host.hpp"

namespace tcpwhy::diagnose::host {

class Witness {
 public:
  /// `name` is how the reader knows the snapshot: its file. The snapshot must outlive the witness.
  Witness(const facts::HostSnapshot& host, std::string name);

  /// Adds what the host knows of this connection. Verdicts rise where a counter that counts nothing else rose meanwhile;
  /// a possible cause that the host's settings or counters exclude becomes a rival that is ruled out.
  void testify(const facts::Connection& connection, Answer& answer);

  /// What to tell of the snapshot as a whole, for a capture from `begin` to `end`: that it belongs to no end of it, that
  /// it is older or younger.
  [[nodiscard]] std::vector<std::string> shortcomings(CaptureTime begin, CaptureTime end) const;

 private:
  /// The namespace whose interface has this end's address; where several do, the one that knows the connection.
  [[nodiscard]] const facts::Namespace* home(const facts::Connection& connection, facts::Party party) const;
  [[nodiscard]] const facts::Socket* socket_of(const facts::Namespace& ns, const facts::Connection& c, facts::Party party) const;

  const facts::HostSnapshot& host_;
  std::string name_;
  std::unordered_multimap<std::size_t, const facts::Socket*> by_tuple_;
  std::uint64_t failed_ = 0, met_ = 0;  ///< connections with a fault; of them, those with an end on this host
};

}  // namespace tcpwhy::diagnose::host
