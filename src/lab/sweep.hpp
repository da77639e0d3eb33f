#pragma once
// What-if: one experiment over a range of values of one parameter or setting.
// Where does it begin to fail, and what would the client see?

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// "backlog=1..1024", "backlog=1..1024:8", "net.ipv4.tcp_syncookies=0,1,2", "kernel=3.10,4.4,6.18".
struct Range {
  std::string name;
  std::vector<std::string> list;            ///< as given; empty for a range of numbers
  std::int64_t first = 0, last = 0, step = 1;
  [[nodiscard]] std::uint64_t size() const;
  [[nodiscard]] std::string value(std::uint64_t index) const;
};

/// Errors: `lab.sweep`, with the forms there are.
[[nodiscard]] Result<Range> parse_range(std::string_view text);

/// How bad it is, worst last.
enum class Outcome : std::uint8_t {
  kWorks,
  kDrops,  ///< everybody was served, though the server dropped segments of a full queue
  kFails,  ///< an application got an error, or a SYN no answer
};

/// An error that applications got.
struct ClientError {
  std::string host, call, error;
  std::uint64_t times = 0;
  Duration first{};  ///< since the beginning of the experiment
};

/// One value, run.
struct Point {
  std::uint64_t index = 0;
  std::string value;
  Outcome outcome = Outcome::kWorks;
  std::vector<ClientError> errors;
  std::uint64_t connected = 0;           ///< connect() that succeeded
  std::uint64_t syns = 0, answered = 0;  ///< attempts seen at the tap, and those that got a SYN-ACK
  std::map<std::string, std::map<std::string, std::int64_t>> counters;  ///< by host, that moved
  [[nodiscard]] bool alike(const Point& other) const;
};

/// Values one after the other that end the same way.
struct Stretch {
  std::string from, to;
  const Point* like = nullptr;  ///< the first of them that was run
};

struct Sweep {
  const Experiment* experiment = nullptr;
  Range range;
  std::vector<Point> points;  ///< rising by index; not all of a long range were run
  [[nodiscard]] std::vector<Stretch> stretches() const;
};

using Runner = std::function<Result<Run>(const Options&)>;

/// Runs every value of a short range. Of a long one it runs values at even distances, and then, between neighbours that
/// end differently, halves the distance until it has the exact value where the outcome changes.
///
/// Errors: `lab.sweep` (the name is nobody's), and those of the run.
[[nodiscard]] Result<Sweep> sweep(const Experiment& experiment, const Options& options, const Range& range, const Runner& run);

[[nodiscard]] std::string text(const Sweep& sweep);
/// One object a line: the sweep, its points, its stretches; docs/formats/jsonl.md.
[[nodiscard]] std::string jsonl(const Sweep& sweep);

}  // namespace tcpwhy::lab
