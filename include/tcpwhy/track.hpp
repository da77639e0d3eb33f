#pragma once
// From frames to connections. The tracker keeps a small record per connection
// and a bounded history of recent segments; when a connection turns out to be
// unusual, its segments are gathered into a facts::Connection, annotated, and
// told. Healthy ones are counted.

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tcpwhy/capture.hpp"
#include "tcpwhy/connection.hpp"
#include "tcpwhy/frame.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::flow {

struct Options {
  std::uint64_t max_connections = 20'000'000;  ///< open records kept; the oldest idle are let go beyond it
  std::uint64_t story_bytes = 2ull << 30;      ///< bound of the arena for the segments of unusual connections
  std::uint32_t history_segments = 1u << 19;   ///< recent segments kept for everyone (64 octets each)
  std::uint32_t story_segments = 4096;         ///< segments kept per told connection: its first and its last
  bool tell_all = false;                       ///< healthy connections too (`--only all`)
  unsigned threads = 1;                        ///< trackers in parallel, for reopenable inputs
  bool verify_checksums = false;               ///< all of them; otherwise a sample and the suspicious ones
  std::uint64_t first_id = 0;                  ///< id of the first connection: several captures share one numbering
  bool tell_as_they_end = false;               ///< live: hand over on end, not at the end of the input
};

/// A told connection, and how many others are exactly like it but for client
/// and time: lone SYNs of one flood come as one.
struct Told {
  const facts::Connection* connection = nullptr;
  std::uint64_t alike = 1;                     ///< connections this one stands for, itself included
  std::span<const std::uint64_t> ids;          ///< theirs, at most 1,000, ascending
  std::any* prepared = nullptr;                ///< what `prepare` made of it, null without one; the visitor may change it
};
/// Work on a connection that needs no order: called on any of the threads before the connection is told. The place for
/// what it makes still holds what was made of another connection: its memory can be used again.
using Prepare = std::function<void(const facts::Connection&, std::any&)>;
enum class Grouping : std::uint8_t { kEach, kLoneSynsTogether };

/// Source of the same frames, opened again for every tracker thread and for a
/// second look at incomplete stories. May return null when the input cannot be
/// read twice.
using Reopen = std::function<std::unique_ptr<capture::Source>()>;

class Tracker {
 public:
  explicit Tracker(Options options);
  ~Tracker();
  Tracker(Tracker&&) noexcept;
  Tracker& operator=(Tracker&&) noexcept;

  /// Frames in capture order. Decodes and updates; allocates nothing per frame
  /// while no new connection appears.
  void observe(std::span<const Frame> frames);

  /// Live: no frame has come until `now`. What has gone quiet can be told.
  void pass(CaptureTime now);

  /// Reads a source to its end, in parallel where `reopen` allows. Equivalent
  /// to observe() until the source is empty. `progress` is called now and then.
  void run(capture::Source& source, const Reopen& reopen, const std::function<void()>& progress);

  /// No more frames. Builds the survey.
  void finish(const capture::Losses& losses);

  [[nodiscard]] const facts::Survey& survey() const;

  /// Every connection with a signal (or every one, Options::tell_all), in order
  /// of id, as a complete annotated Connection, valid during the call.
  /// With Options::tell_as_they_end it may be called between observe() calls and
  /// delivers what has ended since the last call (closed and quiet, given up, or
  /// evicted), in order of ending; after finish() the rest.
  void tell(Grouping grouping, const std::function<void(const Told&)>& visit, const Prepare& prepare = {});

  /// One connection whole, by id or by its ends; false when there is none.
  bool tell_one(std::uint64_t id, const std::function<void(const facts::Connection&)>& visit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Annotates a connection from its segments: notes, streams, marks, exchanges,
/// states, outcome, vantage, quality, signals. `connection.segments`,
/// `ends` and the counters that cover dropped segments must be filled in.
/// Deterministic; uses nothing but its arguments.
void annotate(facts::Connection& connection);

}  // namespace tcpwhy::flow
