#pragma once
// The vocabulary of a cause: what it claims, where it may be examined, and how
// its evidence is written down. One cause lives in one file of causes/, which
// defines one `const Cause` and names it in causes/all.cpp.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose {

/// How an observation bears on a cause.
enum class Bearing : std::uint8_t {
  kDemands,      ///< cannot be seen unless this cause is at work
  kSupports,     ///< this cause predicts it; others may too
  kFits,         ///< it follows from this cause, and as well from much that the catalogue has no name for:
                 ///< alone it makes the cause possible and no more
  kContradicts,  ///< cannot be seen if this cause is at work
};

struct Evidence {
  Bearing bearing = Bearing::kSupports;
  std::vector<std::int32_t> segments;   ///< indices into Connection::segments
  std::vector<std::uint32_t> frames;    ///< frames that are no segment of it (ICMP, other connections)
  std::string text;                     ///< empty unless sentences were asked for
};

/// How much speaks for and against one cause.
struct Tally {
  std::uint16_t demands = 0, supports = 0, contradicts = 0, fits = 0;

  [[nodiscard]] constexpr bool empty() const { return demands + supports + contradicts + fits == 0; }
  /// Of two causes that are not ruled out, the one with more explains more: what
  /// only one cause produces outweighs any number of things that several predict.
  [[nodiscard]] constexpr std::uint32_t explains() const { return demands * 0x10000u + supports; }
};

/// Collects what speaks for and against one cause. One call per independent
/// observation: their number decides between rivals. Sentences are given as
/// callables, so that nobody formats what nobody reads; with Detail::kVerdicts
/// the observations are counted and nothing is kept. A segment of -1 is none and
/// is not cited.
class EvidenceList {
 public:
  explicit EvidenceList(Detail detail) : detail_{detail} {}

  using Segments = std::initializer_list<std::int32_t>;

  template <class Text>
  void demands(Segments segments, Text&& text) { add(Bearing::kDemands, segments, std::forward<Text>(text)); }
  template <class Text>
  void supports(Segments segments, Text&& text) { add(Bearing::kSupports, segments, std::forward<Text>(text)); }
  template <class Text>
  void fits(Segments segments, Text&& text) { add(Bearing::kFits, segments, std::forward<Text>(text)); }
  template <class Text>
  void contradicts(Segments segments, Text&& text) { add(Bearing::kContradicts, segments, std::forward<Text>(text)); }
  /// The same for a list that is computed, or for frames outside the connection's segments.
  template <class Text>
  void note(Bearing bearing, std::vector<std::int32_t> segments, std::vector<std::uint32_t> frames, Text&& text) {
    count(bearing);
    if (detail_ == Detail::kVerdicts) return;
    std::erase_if(segments, [](std::int32_t s) { return s < 0; });
    items_.push_back({bearing, std::move(segments), std::move(frames), text()});
  }

  /// Nothing went wrong by it, although the cause is not benign by definition (a loss that was repaired).
  void harmless() { harmless_ = true; }
  /// It happened on the way and was over before the end: harmless, and no ending, whatever the cause's role.
  void passed() { harmless_ = passed_ = true; }
  /// The side, where the cause itself leaves it open.
  void blames(facts::Side side) { side_ = side; }
  /// The answer line, when the cause's title does not say enough.
  template <class Text>
  void says(Text&& text) { if (detail_ == Detail::kSentences) summary_ = text(); }

  [[nodiscard]] const Tally& tally() const { return tally_; }
  /// Empty with Detail::kVerdicts.
  [[nodiscard]] const std::vector<Evidence>& items() const { return items_; }
  [[nodiscard]] bool empty() const { return tally_.empty(); }
  [[nodiscard]] bool is_harmless() const { return harmless_; }
  [[nodiscard]] bool has_passed() const { return passed_; }
  [[nodiscard]] std::optional<facts::Side> side() const { return side_; }
  [[nodiscard]] const std::string& summary() const { return summary_; }
  [[nodiscard]] Detail detail() const { return detail_; }

  /// What was noted without an observation; to be called when empty().
  void forget() {
    summary_.clear();
    side_.reset();
    harmless_ = passed_ = false;
  }

 private:
  void count(Bearing bearing) {
    switch (bearing) {
      case Bearing::kDemands: ++tally_.demands; break;
      case Bearing::kSupports: ++tally_.supports; break;
      case Bearing::kFits: ++tally_.fits; break;
      case Bearing::kContradicts: ++tally_.contradicts; break;
    }
  }

  template <class Text>
  void add(Bearing bearing, Segments segments, Text&& text) {
    count(bearing);
    if (detail_ == Detail::kVerdicts) return;
    Evidence e{bearing, {}, {}, {}};
    for (std::int32_t s : segments)
      if (s >= 0) e.segments.push_back(s);
    e.text = text();
    items_.push_back(std::move(e));
  }

  std::vector<Evidence> items_;
  std::string summary_;
  std::optional<facts::Side> side_;
  Tally tally_;
  Detail detail_;
  bool harmless_ = false;
  bool passed_ = false;
};

/// What a cause explains. Causes of one role compete with each other.
enum class Role : std::uint8_t {
  kEnding,   ///< why it failed, or how it ended
  kTrouble,  ///< something on the way that cost time or was worth noticing
  kNote,     ///< a property, never a fault
};

/// One entry of the catalogue.
struct Cause {
  CauseId id{};
  std::string_view title;     ///< the answer line, naming the actor; at most 80 columns
  bool benign = false;
  facts::Side side = facts::Side::kUnknown;
  Role role = Role::kEnding;
  std::uint64_t signals = 0;  ///< examined only when one of these bits is set; 0: always
  std::string_view settles;   ///< the one observation that would prove or refute it
  std::initializer_list<std::string_view> fix;  ///< what to do, with the kernels it applies to
  std::initializer_list<CauseId> specifics;     ///< of a generic: what it stands for (product.md section 4)
  void (*examine)(const facts::Connection&, const facts::Survey&, EvidenceList&) = nullptr;

  [[nodiscard]] bool generic() const { return specifics.size() != 0; }
};

/// Every cause, in the order of causes.def. causes/all.cpp.
std::span<const Cause* const> catalogue();
/// The catalogue's entry; null for an id whose file is missing.
const Cause* find_cause(CauseId id);

}  // namespace tcpwhy::diagnose
