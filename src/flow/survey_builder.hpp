#pragma once
// Builds the survey from what happens to connections, not from packets: a SYN,
// its answer, an end. Events wait in a short queue, so that the places they
// touch are fetched ahead, or are handed to a thread beside the tracker.

#include <array>
#include <cstdint>
#include <memory>

#include "flow/survey_tables.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::flow {

/// What one connection was, once it has ended or the input has.
struct Ended {
  facts::Endpoint client, server;
  std::uint64_t rank = 0;
  CaptureTime start{}, end{};
  facts::Attempt::Fate fate = facts::Attempt::Fate::kAccepted;
  bool lone_syn = false;
  bool opened = false;                         ///< opened() was called for it
  bool failed = false;
  bool both_directions = false;
  bool stray_syn_ack = false;                  ///< nothing but a SYN-ACK, and perhaps the RST it met: its SYN was not seen
  bool stray_rst = false;                      ///< nothing but RSTs of one side
  bool gap = false;
  std::uint32_t syn_acks = 0;
  std::uint32_t requests = 0;
  bool server_spoke = false;                   ///< payload or FIN of the server
  bool unread = false;                         ///< payload of the client, all acknowledged, and the server silent
  bool probe = false;                          ///< answered by SYN-ACK and reset by the client, no payload either way
  bool has_timestamps = false;
  std::uint32_t tsval = 0;
  bool closed = false;                         ///< a FIN or RST ended it after it was established
  facts::Party closer = facts::Party::kServer;
  bool by_reset = false, crossed = false;
  Duration idle{};                             ///< silence before the first FIN or RST
};

class SurveyBuilder {
 public:
  SurveyBuilder();
  ~SurveyBuilder();
  SurveyBuilder(const SurveyBuilder&) = delete;
  SurveyBuilder& operator=(const SurveyBuilder&) = delete;

  /// From here to the end of the input a thread of its own applies the events, in
  /// their order. Meanwhile nobody may look at what they change.
  void apply_beside();

  void syn(const facts::Endpoint& client, const facts::SegmentFact& syn);
  void syn_ack(const facts::Endpoint& client, const facts::Endpoint& server, const facts::SegmentFact& syn_ack,
               Duration after_syn);
  void first_segment(const facts::Endpoint& sender, std::uint8_t ttl);
  void opened(const facts::Endpoint& client, const facts::Endpoint& server, CaptureTime when);
  void reused(const facts::Endpoint& client, const facts::Endpoint& server, Duration after_end);
  void ended(const Ended& e);
  /// A lone SYN still waiting at the end of the input.
  void lone_syn(const Ended& e);
  /// The same for one more of a flood of which no sample is due: nothing else of it is needed. False: lone_syn() is.
  bool lone_syn_of_flood(const facts::Endpoint& server, const facts::Address& client, CaptureTime when);
  void neighbour(const facts::Address& target, bool answer, const facts::SegmentFact& when);
  /// Turns the tables into the survey.
  void finish();

  facts::Survey survey;

 private:
  enum class Kind : std::uint8_t { kSyn, kSynAck, kFirst, kOpened, kReused, kEnded };
  struct Event {
    Kind kind = Kind::kSyn;
    std::uint8_t ttl = 0;
    std::uint16_t window = 0, options = 0;
    std::uint32_t host_hash = 0, pair_hash = 0, service_hash = 0, server_hash = 0;
    std::uint64_t client_hash = 0;
    std::uint32_t shape = 0;
    Duration span{};
    Ended end;                                 ///< of other kinds only the ends, `start` and `tsval`
  };
  struct Queue {
    static constexpr std::size_t kEvents = 64;
    std::array<Event, kEvents> events;
    std::size_t used = 0;
  };
  struct Beside;

  Event& add(Kind kind, const facts::Endpoint& client, const facts::Endpoint& server);
  void pass_on();                            ///< the queue is full
  void drain();                              ///< everything has been applied when it returns
  void apply(Queue& queue);
  void fetch_ahead(Event& e);
  void fetch_entries(const Event& e) const;
  void apply(const Event& e);
  void apply_end(const Event& e);
  void count_attempt(ServiceEntry& s, const Ended& e);

  Queue own_;
  Queue* queue_ = &own_;
  std::unique_ptr<Beside> beside_;
  SurveyTable<facts::Address, HostEntry> hosts_;
  SurveyTable<facts::Endpoint, ServiceEntry> services_;
  SurveyTable<facts::PairKey, PairEntry> pairs_;
  ServiceEntry* last_service_ = nullptr;       ///< of the last lone SYN
};

}  // namespace tcpwhy::flow
