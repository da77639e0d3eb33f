#pragma once
// Clocks without now(). Time comes from the input, or it does not compile; two
// different clocks do not subtract.

#include <chrono>
#include <cstdint>

namespace tcpwhy {

template <class Tag>
struct InputClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<InputClock>;
  static constexpr bool is_steady = Tag::kSteady;
};

/// Stamps of a capture file. Not steady: hosts step their clocks mid-capture.
struct CaptureTag {
  static constexpr bool kSteady = false;
};
/// Virtual time of the model. Moved by World::run_until() and by nothing else.
struct ModelTag {
  static constexpr bool kSteady = true;
};

/// Nanoseconds since the Unix epoch, as the capture says.
using CaptureTime = InputClock<CaptureTag>::time_point;
using ModelTime = InputClock<ModelTag>::time_point;
using Duration = std::chrono::nanoseconds;

constexpr double seconds(Duration d) { return static_cast<double>(d.count()) * 1e-9; }

}  // namespace tcpwhy
