#pragma once
// What holds for many connections at once. A population is told of every answered
// connection, keeps a bounded table of what may belong to it, and at the end says
// what it found. One population lives in one file of this directory.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose {

class Population {
 public:
  virtual ~Population() = default;
  /// `alike`: connections this one stands for, itself included.
  virtual void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) = 0;
  virtual void find(const facts::Survey& survey, std::vector<Finding>& out) const = 0;
};

std::unique_ptr<Population> make_syn_flood();
std::unique_ptr<Population> make_backscatter();
std::unique_ptr<Population> make_port_scan();
std::unique_ptr<Population> make_client_connection_limit();
std::unique_ptr<Population> make_port_exhaustion();
std::unique_ptr<Population> make_nat_address_sharing();
std::unique_ptr<Population> make_idle_timer();
std::unique_ptr<Population> make_listener_saturated();

/// Connections counted, the first of them by name.
struct Members {
  static constexpr std::size_t kNamed = 1000;
  std::uint64_t connections = 0;
  std::vector<std::uint64_t> ids;
  CaptureTime first = CaptureTime::max(), last = CaptureTime::min();
  std::uint32_t first_frame = 0, last_frame = 0;
  std::uint8_t file = 0;

  void add(const facts::Connection& c, std::uint64_t alike) {
    if (connections == 0) {
      first_frame = c.first_frame;
      file = c.segments.empty() ? std::uint8_t{0} : c.segments.front().file;
    }
    connections += alike;
    if (ids.size() < kNamed) ids.push_back(c.id);
    first = std::min(first, c.start);
    last = std::max(last, c.start);
    last_frame = std::max(last_frame, c.first_frame);
  }
  void name_in(Finding& finding) const {
    finding.connections = connections;
    finding.ids = ids;
    std::sort(finding.ids.begin(), finding.ids.end());
    finding.ids_omitted = connections > ids.size() ? connections - ids.size() : 0;
  }
  /// The frames that begin and end it.
  [[nodiscard]] Citation cite(std::string text) const {
    Citation citation;
    citation.frames = {first_frame};
    if (last_frame > first_frame) citation.frames.push_back(last_frame);
    citation.file = file;
    citation.text = std::move(text);
    return citation;
  }
  /// Connections a second, over the time they took.
  [[nodiscard]] double rate() const {
    const double took = seconds(last - first);
    return took <= 0 ? static_cast<double>(connections) : static_cast<double>(connections) / took;
  }
};

/// A table that refuses new keys when it is full: memory stays bounded, and what
/// came first and often is what a finding is about.
template <class Key, class Value, class Hash>
class Bounded {
 public:
  explicit Bounded(std::size_t most) : most_{most} {}
  /// Null when the key is new and the table is full.
  Value* at(const Key& key) {
    if (auto it = map_.find(key); it != map_.end()) return &it->second;
    if (map_.size() >= most_) return nullptr;
    return &map_[key];
  }
  [[nodiscard]] const std::unordered_map<Key, Value, Hash>& all() const { return map_; }

 private:
  std::unordered_map<Key, Value, Hash> map_;
  std::size_t most_;
};

/// The cause stands in the answer with a verdict no weaker than `at_least`.
inline bool says(const Answer& answer, CauseId cause, Verdict at_least) {
  return std::any_of(answer.diagnoses.begin(), answer.diagnoses.end(),
                     [&](const Diagnosis& d) { return d.cause == cause && d.verdict <= at_least; });
}

}  // namespace tcpwhy::diagnose
