#pragma once
// Builds the survey from what happens to connections, not from packets: a birth
// with its SYN, an answer to it, an end.

#include <cstdint>

#include "tcpwhy/survey.hpp"

namespace tcpwhy::flow {

/// What one connection was, once it has ended or the input has.
struct Ended {
  facts::Endpoint client, server;
  std::uint64_t rank = 0;
  CaptureTime start{}, end{};
  facts::Attempt::Fate fate = facts::Attempt::Fate::kAccepted;
  bool began_with_syn = false;
  bool lone_syn = false;
  bool failed = false;
  bool both_directions = false;
  bool gap = false;
  std::uint32_t syn_acks = 0;
  std::uint32_t requests = 0;
  bool has_timestamps = false;
  std::uint32_t tsval = 0;
  bool closed_idle = false;                    ///< closed with nothing outstanding
  facts::Party closer = facts::Party::kServer;
  bool by_reset = false, crossed = false;
  Duration idle{};
};

class SurveyBuilder {
 public:
  void syn(const facts::Address& client, const facts::SegmentFact& syn);
  void syn_ack(const facts::Address& server, const facts::SegmentFact& syn_ack, Duration after_syn);
  void first_segment(const facts::Address& sender, std::uint8_t ttl);
  void opened(const facts::Endpoint& client, const facts::Endpoint& server, CaptureTime when);
  void reused(const facts::Endpoint& client, const facts::Endpoint& server, Duration after_end);
  void ended(const Ended& e);
  void neighbour(const facts::Address& target, bool answer, const facts::SegmentFact& when);

  facts::Survey survey;

 private:
  facts::HostFacts* host(const facts::Address& a);
  facts::ServiceFacts* service(const facts::Endpoint& e);
  facts::PairFacts* pair(const facts::Address& client, const facts::Endpoint& server);
};

}  // namespace tcpwhy::flow
