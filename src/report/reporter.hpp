#pragma once
// How answers reach a reader. Renders what diagnose decided and never decides.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/explain.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::report {

enum class Only : std::uint8_t { kFailed, kAll };
enum class Colour : std::uint8_t { kOff, kOn };

/// A connection, and the others that are exactly like it but for client and time.
struct Entry {
  const facts::Connection& connection;
  std::uint64_t alike = 1;              ///< connections it stands for, itself included
  std::span<const std::uint64_t> ids{}; ///< theirs, at most 1,000; empty: only its own
};

/// Writes to an open file, which it does not close.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// Does this reporter print sentences for this answer, which was judged without them?
  [[nodiscard]] virtual bool wants_sentences(const diagnose::Answer& judged) const = 0;
  /// One told connection with its answer, in order of id.
  virtual void connection(const Entry& entry, const diagnose::Answer& answer) = 0;
  virtual void finding(const diagnose::Finding& finding) = 0;
  /// The last word: totals. `troubles`: damage and shortcomings of the inputs, a sentence each.
  virtual void finish(const facts::Survey& survey, const std::vector<std::string>& troubles) = 0;

  /// Connections that failed, so far.
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

 protected:
  std::uint64_t failed_ = 0;
};

struct TextOptions {
  Only only = Only::kFailed;
  Colour colour = Colour::kOff;
  std::uint32_t columns = 100;     ///< width to wrap at
  std::vector<std::string> files{};  ///< as the user gave them, by Frame::file
  bool selected = false;             ///< a filter or a time window chose the packets
};
struct JsonOptions {
  Only only = Only::kFailed;
  std::vector<std::string> files;  ///< as the user gave them, by Frame::file
};

std::unique_ptr<Reporter> make_text(std::FILE* out, const TextOptions& options);
/// JSON Lines, product.md section 2.
std::unique_ptr<Reporter> make_jsonl(std::FILE* out, const JsonOptions& options);
/// The same objects as one document: {"connections":[…],"findings":[…],"causes":[…],"summary":{…}}.
std::unique_ptr<Reporter> make_json(std::FILE* out, const JsonOptions& options);

/// One connection whole: answer, evidence, rivals, and every segment as a ladder.
void write_ladder(std::FILE* out, const facts::Connection& connection, const diagnose::Answer& answer,
                  const TextOptions& options);

/// Wireshark display filter that selects exactly this connection's frames.
std::string display_filter(const facts::Connection& connection);

/// What limits the capture, a phrase each.
std::vector<std::string> quality_words(const facts::Survey& survey);
/// How an input is called in sentences: "-" is standard input.
std::string input_name(const std::string& path);
/// What limits the claims about one connection, as stable words for programs.
std::vector<std::string> quality_words(const facts::Quality& quality);

}  // namespace tcpwhy::report
