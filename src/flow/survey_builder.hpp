#pragma once
// Builds the survey from what happens to connections, not from packets: a SYN,
// its answer, an end. Events wait in a short queue, so that the places they
// touch are fetched ahead, or are handed to a thread beside the tracker.

#include <array>
#include <cstdint>
#include <memory>

#include "flow/packet.hpp"
#include "flow/slots.hpp"
#include "flow/survey_tables.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::flow {

/// The two ends of a connection as its record knows them, and which of them is the client.
struct Parties {
  union {
    NarrowKey narrow;
    WideKey wide;
  };
  bool is_wide = false;
  End client = End::kLow;

  Parties() : narrow{} {}
  Parties(const NarrowKey& key, End caller) : narrow{key}, client{caller} {}
  Parties(const WideKey& key, End caller) : wide{key}, is_wide{true}, client{caller} {}
  [[nodiscard]] facts::Endpoint endpoint(End e) const { return is_wide ? endpoint_of(wide, e) : endpoint_of(narrow, e); }
  /// Writes an end to `out` and returns survey_hash() of its address, of the same words: a processor waits long for what
  /// it has just written in other pieces than it reads.
  std::uint64_t place(End e, facts::Endpoint& out) const {
    std::uint64_t words[2] = {0, 0};
    if (is_wide) std::memcpy(words, (e == End::kLow ? wide.low : wide.high).data(), sizeof words);
    else words[0] = word_of_ipv4(e == End::kLow ? narrow.low : narrow.high);
    out.address.version = static_cast<std::uint8_t>(is_wide ? wide.version : 4);
    out.port = is_wide ? (e == End::kLow ? wide.low_port : wide.high_port) : (e == End::kLow ? narrow.low_port : narrow.high_port);
    std::memcpy(out.address.bytes.data(), &words[0], 8);
    std::memcpy(out.address.bytes.data() + 8, &words[1], 8);
    return survey_hash_of_words(words[0], words[1], out.address.version);
  }
};

/// What one connection was, once it has ended or the input has.
struct Ended {
  std::uint64_t rank = 0;
  CaptureTime start{}, end{};
  Duration idle{};                             ///< silence before the first FIN or RST
  std::uint32_t syn_acks = 0;
  std::uint32_t requests = 0;
  std::uint32_t tsval = 0;
  facts::Attempt::Fate fate = facts::Attempt::Fate::kAccepted;
  bool lone_syn = false;
  bool opened = false;                         ///< opened() was called for it
  bool failed = false;
  bool both_directions = false;
  bool stray_syn_ack = false;                  ///< nothing but a SYN-ACK, and perhaps the RST it met: its SYN was not seen
  bool stray_rst = false;                      ///< nothing but RSTs of one side
  bool gap = false;
  bool server_spoke = false;                   ///< payload or FIN of the server
  bool unread = false;                         ///< payload of the client, all acknowledged, and the server silent
  bool probe = false;                          ///< answered by SYN-ACK and reset by the client, no payload either way
  bool has_timestamps = false;
  bool closed = false;                         ///< a FIN or RST ended it after it was established
  facts::Party closer = facts::Party::kServer;
  bool by_reset = false, crossed = false;
};
static_assert(sizeof(Ended) <= 64);

class SurveyBuilder {
 public:
  SurveyBuilder();
  ~SurveyBuilder();
  SurveyBuilder(const SurveyBuilder&) = delete;
  SurveyBuilder& operator=(const SurveyBuilder&) = delete;

  /// From here to the end of the input a thread of its own applies the events, in
  /// their order. Meanwhile nobody may look at what they change.
  void apply_beside();

  /// `ref` is the client's connection.
  void syn(const Parties& who, Ref ref, const facts::SegmentFact& syn);
  void syn_ack(const Parties& who, Ref ref, const facts::SegmentFact& syn_ack, Duration after_syn);
  void opened(const Parties& who, CaptureTime when);
  void reused(const Parties& who, Duration after_end);
  /// To be filled in at once, with what is not as in a fresh one.
  Ended& ended(const Parties& who);
  /// A lone SYN still waiting at the end of the input.
  void lone_syn(const Parties& who, const Ended& e);
  /// The same for one more of a flood of which no sample is due: nothing else of it is needed. False: lone_syn() is.
  bool lone_syn_of_flood(const facts::Endpoint& server, const facts::Address& client, CaptureTime when);
  void neighbour(const facts::Address& target, bool answer, const facts::SegmentFact& when);
  /// Turns the tables into the survey.
  void finish();

  facts::Survey survey;

 private:
  enum class Kind : std::uint8_t { kSyn, kSynAck, kBoth, kOpened, kReused, kEnded };
  /// What a SYN and a SYN-ACK say of their senders, and other kinds of the connection.
  struct Opening {
    CaptureTime time{};
    Duration span{};                           ///< from SYN to SYN-ACK, or from one use of the 4-tuple to the next
    std::uint32_t shape = 0, tsval = 0;
    std::uint16_t syn_window = 0, syn_options = 0, syn_ack_window = 0, syn_ack_options = 0;
    std::uint8_t syn_ttl = 0, syn_ack_ttl = 0;
  };
  /// As little as crosses to another core soon: two lines.
  struct alignas(64) Event {
    Parties who;
    Ref ref = 0;
    Kind kind = Kind::kSyn;
    union {
      Opening opening;
      Ended end;
    };
    Event() : opening{} {}
  };
  static_assert(sizeof(Event) == 128);
  /// Where in the tables an event belongs.
  struct Places {
    facts::Endpoint client, server;
    std::uint64_t client_hash = 0;
    std::uint32_t host_hash = 0, pair_hash = 0, service_hash = 0, server_hash = 0;
    HostEntry* host = nullptr;                 ///< the client's, and the pair's, when they were found ahead
    PairEntry* pair = nullptr;
  };
  struct Queue {
    static constexpr std::size_t kEvents = 64;
    std::array<Event, kEvents> events;
    std::size_t used = 0;
  };
  struct Beside;

  Event& add(Kind kind, const Parties& who);
  void pass_on();                            ///< the queue is full
  void drain();                              ///< everything has been applied when it returns
  void apply(Queue& queue);
  void fetch_ahead(const Event& e, Places& at) const;
  void fetch_entries(const Event& e, Places& at);
  void apply(const Event& e, const Places& at);
  void apply_syn(const Opening& o, const Places& at);
  void apply_syn_ack(const Opening& o, const Places& at);
  void apply_end(const Ended& e, const Places& at);
  void count_attempt(ServiceEntry& s, const facts::Endpoint& client, const Ended& e);

  std::array<Places, Queue::kEvents> places_;  ///< of the queue that is applied
  Queue own_;
  Queue* queue_ = &own_;
  std::unique_ptr<Beside> beside_;
  SurveyTable<facts::Address, HostEntry> hosts_;
  SurveyTable<facts::Endpoint, ServiceEntry> services_;
  SurveyTable<facts::PairKey, PairEntry> pairs_;
  ServiceEntry* last_service_ = nullptr;       ///< of the last lone SYN
};

}  // namespace tcpwhy::flow
