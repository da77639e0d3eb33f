#pragma once
// How a verdict on kernel events is written: lines for people, an object for programs.

#include <nlohmann/json.hpp>
#include <string>

#include "diagnose/kernel/verdict.hpp"

namespace tcpwhy::report {

/// What turns CLOCK_MONOTONIC into the wall's time: read once by whoever may read clocks.
struct WallClock {
  Duration offset{};
};

/// The connection or finding object of docs/formats/jsonl.md, with "process" and "kernel".
nlohmann::ordered_json kernel_object(const diagnose::kernel::Failure& failure, std::uint64_t id, WallClock wall);
/// One line, and below it the evidence.
std::string kernel_lines(const diagnose::kernel::Failure& failure, WallClock wall);

}  // namespace tcpwhy::report
