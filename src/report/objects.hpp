#pragma once
// The objects of docs/formats/jsonl.md that more than one report writes.

#include <nlohmann/json.hpp>
#include <string>

#include "tcpwhy/explain.hpp"

namespace tcpwhy::report {

/// `filter` empty: there is no capture to filter. `files` above 1: evidence names its file.
nlohmann::ordered_json diagnosis(const diagnose::Diagnosis& d, const std::string& filter, std::size_t files);
nlohmann::ordered_json endpoint(const facts::Endpoint& e);

}  // namespace tcpwhy::report
