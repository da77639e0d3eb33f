#pragma once
// Filters in libpcap's language, compiled for the link type of each frame.

#include <memory>
#include <string>

#include "tcpwhy/frame.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::capture {

class Bpf {
 public:
  virtual ~Bpf() = default;
  [[nodiscard]] virtual bool matches(const Frame& frame) = 0;
  /// Why frames of some link type were left out, or empty.
  [[nodiscard]] virtual const std::string& complaint() const = 0;
};

/// Errors: `capture.filter`.
Result<std::unique_ptr<Bpf>> compile_filter(const std::string& text);

}  // namespace tcpwhy::capture
