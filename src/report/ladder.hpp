#pragma once
// Pieces of the text for people that the overview and the ladder share.

#include <string>
#include <string_view>

#include "report/reporter.hpp"

namespace tcpwhy::report {

/// Colours without which every word still says the same.
class Style {
 public:
  explicit Style(Colour colour) : on_{colour == Colour::kOn} {}
  [[nodiscard]] std::string strong(std::string_view s) const { return paint("1", s); }
  [[nodiscard]] std::string dim(std::string_view s) const { return paint("2", s); }
  [[nodiscard]] std::string warn(std::string_view s) const { return paint("33", s); }
  [[nodiscard]] std::string bad(std::string_view s) const { return paint("31", s); }

 private:
  [[nodiscard]] std::string paint(std::string_view code, std::string_view s) const {
    if (!on_) return std::string{s};
    return "\x1b[" + std::string{code} + "m" + std::string{s} + "\x1b[0m";
  }
  bool on_;
};

/// The sentence, and the verdict at the right margin.
std::string answer_line(std::string_view sentence, std::string_view verdict, const TextOptions& options, const Style& style);
/// "text (frames 3, 5)".
std::string cited(const diagnose::Citation& citation);
/// Evidence, rivals, what settles, fixes, filter, further diagnoses.
std::string answer_paragraph(const facts::Connection& connection, const diagnose::Answer& answer,
                             const TextOptions& options, const Style& style);

}  // namespace tcpwhy::report
