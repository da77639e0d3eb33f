#pragma once
// From facts to a diagnosis: which causes explain what was seen, how sure that
// is, what speaks for and against, and what would settle it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose {

/// Verdict words; product.md section 2. No percentages.
enum class Verdict : std::uint8_t { kProven, kLikely, kPossible, kRuledOut };
std::string_view to_string(Verdict verdict);  ///< "proven", "likely", "possible", "ruled-out"

/// One row per cause of the catalogue, in the order of causes.def.
enum class CauseId : std::uint8_t {
#define TCPWHY_CAUSE(name, id) name,
#include "tcpwhy/causes.def"
#undef TCPWHY_CAUSE
};
std::string_view to_string(CauseId cause);  ///< "accept-queue-overflow"
std::optional<CauseId> cause_from_string(std::string_view id);

struct Citation {
  std::vector<std::uint32_t> frames;  ///< 1-based in `file`, ascending
  std::uint8_t file = 0;
  std::string text;                   ///< one sentence, empty with Detail::kVerdicts
};

struct Rival {
  CauseId cause{};
  Verdict verdict = Verdict::kPossible;
  std::string because;                ///< why ruled out, or why it cannot be told apart
  std::vector<std::uint32_t> frames;
};

struct Diagnosis {
  CauseId cause{};
  Verdict verdict = Verdict::kPossible;
  bool benign = false;
  facts::Side side = facts::Side::kUnknown;
  std::string summary;                ///< the answer line: one sentence that names the actor
  std::vector<Citation> evidence;     ///< strongest first
  std::string settles;                ///< the one observation that would settle it
  std::vector<std::string> fix;
  std::vector<Rival> rivals;
};

/// What the kernel of this host said of a connection (live, with kernel events).
struct KernelWord {
  std::uint32_t pid = 0;              ///< of the process it belongs to, 0 unknown
  std::string comm;
  std::uint32_t signal = 0;           ///< that ended the process, 0 none
  std::string reset_reason, drop_reason;  ///< the kernel's names, empty when it gave none
};

/// The answer for one connection. `diagnoses` is ordered: the first is the one
/// that made the connection fail; empty means nothing to say (healthy) or
/// unexplained (see `first_unexplained_frame`).
struct Answer {
  std::vector<Diagnosis> diagnoses;
  bool healthy = true;
  std::uint32_t first_unexplained_frame = 0;  ///< 0 none
  std::optional<KernelWord> kernel;
};

/// One thing that holds for many connections.
struct Finding {
  std::string cause;                  ///< a cause's id or a population's
  Verdict verdict = Verdict::kLikely;
  facts::Side side = facts::Side::kUnknown;
  std::string summary;
  std::vector<Citation> evidence;
  std::string settles;
  std::vector<std::string> fix;
  std::uint64_t connections = 0;
  std::vector<std::uint64_t> ids;     ///< at most 1,000
  std::uint64_t ids_omitted = 0;
};

/// kVerdicts judges only: causes, verdicts and sides, no evidence and no sentences.
/// kSentences also cites every frame and writes every sentence.
enum class Detail : std::uint8_t { kVerdicts, kSentences };

/// Judges one connection against the catalogue.
Answer explain(const facts::Connection& connection, const facts::Survey& survey, Detail detail);
/// The same into an answer that was given before, whose memory is used again.
void explain(const facts::Connection& connection, const facts::Survey& survey, Detail detail, Answer& answer);

/// What a population needs to know of one answered connection.
class Populations {
 public:
  Populations();
  ~Populations();
  Populations(Populations&&) noexcept;
  Populations& operator=(Populations&&) noexcept;
  /// In order of id; `alike` as in flow::Told. Bounded memory.
  void add(const facts::Connection& connection, const Answer& answer, std::uint64_t alike);
  /// The findings, most connections first.
  [[nodiscard]] std::vector<Finding> findings(const facts::Survey& survey) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tcpwhy::diagnose
