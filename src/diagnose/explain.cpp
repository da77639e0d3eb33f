// Judging one connection. Every cause whose signals are present is examined;
// specifics compete with specifics of the same role; a generic cause is the
// answer only where none of its specifics is likely or proven, and then its
// specifics follow it as possible unless something rules them out.

#include "tcpwhy/explain.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <string>

#include "diagnose/cause.hpp"
#include "diagnose/judge.hpp"
#include "diagnose/once.hpp"

namespace tcpwhy::diagnose {
namespace {

constexpr std::array kIds = {
#define TCPWHY_CAUSE(name, id) std::string_view{id},
#include "tcpwhy/causes.def"
#undef TCPWHY_CAUSE
};
constexpr std::size_t kCauses = kIds.size();
constexpr std::size_t index(CauseId id) { return static_cast<std::size_t>(id); }

using CauseSet = std::bitset<kCauses>;

/// The members of a set, in order: few of many.
template <class Visit>
void each_of(const CauseSet& set, Visit&& visit) {
  constexpr std::size_t kWord = 64;
  static const CauseSet low{~std::uint64_t{0}};
  for (std::size_t base = 0; base < kCauses; base += kWord)
    for (std::uint64_t word = (set >> base & low).to_ullong(); word != 0; word &= word - 1)
      visit(base + static_cast<std::size_t>(std::countr_zero(word)));
}

/// The catalogue, turned over once so that a connection is only asked what its
/// signals make worth asking.
struct Index {
  std::array<const Cause*, kCauses> by_id{};
  std::array<CauseSet, 64> by_signal{};
  CauseSet always;
  std::array<CauseSet, kCauses> covers{};  ///< of a generic: its specifics, and those of generics among them

  Index() {
    for (const Cause* cause : catalogue()) {
      by_id[index(cause->id)] = cause;
      if (cause->signals == 0) always.set(index(cause->id));
      for (std::size_t bit = 0; bit < 64; ++bit)
        if (cause->signals >> bit & 1u) by_signal[bit].set(index(cause->id));
      for (CauseId specific : cause->specifics) covers[index(cause->id)].set(index(specific));
    }
    // A generic may stand for another generic; two rounds reach every depth the catalogue has.
    for (int round = 0; round < 2; ++round)
      for (CauseSet& set : covers)
        for (std::size_t i = 0; i < kCauses; ++i)
          if (set.test(i)) set |= covers[i];
  }

  [[nodiscard]] CauseSet worth_asking(std::uint64_t signals) const {
    CauseSet set = always;
    for (; signals != 0; signals &= signals - 1) set |= by_signal[static_cast<std::size_t>(std::countr_zero(signals))];
    return set;
  }
};

const Index& the_index() {
  static const Index turned_over;
  return turned_over;
}

struct Examined {
  const Cause* cause = nullptr;
  EvidenceList evidence;
  std::optional<Verdict> verdict;

  [[nodiscard]] bool alive() const { return verdict && *verdict != Verdict::kRuledOut; }
  [[nodiscard]] bool firm() const { return verdict && *verdict <= Verdict::kLikely; }
};

/// Generic and specific of each other are no rivals; only endings compete, and
/// what did no harm did not end anything.
bool are_rivals(const Examined& a, const Examined& b) {
  return a.cause != b.cause && a.cause->role == Role::kEnding && b.cause->role == Role::kEnding &&
         !a.cause->generic() && !b.cause->generic() && !b.evidence.is_harmless() &&
         !a.evidence.has_passed();
}

/// Who explains less than another, or only as much, is no more than possible.
std::optional<Verdict> against_rivals(const Examined& e, const std::vector<Examined>& all) {
  std::size_t rivals = 0;
  if (e.alive() && e.cause->role == Role::kEnding && !e.cause->generic())
    for (const Examined& other : all)
      if (other.alive() && are_rivals(e, other) &&
          other.evidence.tally().explains() >= e.evidence.tally().explains())
        ++rivals;
  return judge(e.evidence.tally(), rivals);
}

Citation cite(const facts::Connection& c, const Evidence& e) {
  Citation out;
  out.text = e.text;
  out.frames = e.frames;
  for (std::int32_t s : e.segments) {
    out.frames.push_back(c.segment(s).frame);
    out.file = c.segment(s).file;
  }
  std::sort(out.frames.begin(), out.frames.end());
  out.frames.erase(std::unique(out.frames.begin(), out.frames.end()), out.frames.end());
  return out;
}

bool outcome_is_healthy(facts::Outcome o) {
  switch (o) {
    case facts::Outcome::kCompleted:
    case facts::Outcome::kOpen:
    case facts::Outcome::kHalfClosed:
    case facts::Outcome::kPartial: return true;
    case facts::Outcome::kRefused:
    case facts::Outcome::kUnanswered:
    case facts::Outcome::kHandshakeFailed:
    case facts::Outcome::kReset:
    case facts::Outcome::kTimedOut:
    case facts::Outcome::kStalled: return false;
  }
  return false;
}

std::uint32_t first_unexplained_frame(const facts::Connection& c) {
  for (facts::Party p : {facts::Party::kServer, facts::Party::kClient})
    if (c.stream(p).rst >= 0) return c.segment(c.stream(p).rst).frame;
  for (std::size_t i = 0; i < c.notes.size(); ++i)
    if (c.notes[i].repeat != facts::Repeat::kNone) return c.segments[i].frame;
  return c.segments.empty() ? c.first_frame : c.segments.back().frame;
}

/// A diagnosis before it is written down.
struct Found {
  const Cause* cause = nullptr;
  const EvidenceList* evidence = nullptr;  ///< null: a specific that only follows its generic
  Verdict verdict = Verdict::kPossible;

  [[nodiscard]] bool benign() const { return cause->benign || (evidence != nullptr && evidence->is_harmless()); }
  [[nodiscard]] bool firm() const { return verdict <= Verdict::kLikely; }
  [[nodiscard]] std::uint32_t explains() const { return evidence == nullptr ? 0 : evidence->tally().explains(); }
  [[nodiscard]] Role role() const {
    return evidence != nullptr && evidence->has_passed() ? Role::kTrouble : cause->role;
  }
  /// Lower is earlier: what made it fail, then what troubled it, then what is merely so.
  [[nodiscard]] int rank() const {
    return (benign() ? 1000 : 0) + 100 * static_cast<int>(role()) + 10 * static_cast<int>(verdict);
  }
};

bool stands_before(const Found& a, const Found& b) {
  if (a.rank() != b.rank()) return a.rank() < b.rank();
  // A specific that is sure says more than a generic that is as sure and does not cover
  // it; among the merely possible the generic is the honest answer.
  if (a.cause->generic() != b.cause->generic()) return a.firm() ? b.cause->generic() : a.cause->generic();
  return a.explains() > b.explains();
}

void write(const facts::Connection& c, const Found& f, Detail detail, Diagnosis& d) {
  d.cause = f.cause->id;
  d.verdict = f.verdict;
  d.benign = f.benign();
  d.side = f.cause->side;
  if (f.evidence != nullptr) d.side = f.evidence->side().value_or(d.side);
  if (detail == Detail::kVerdicts) return;
  if (f.evidence != nullptr) {
    for (Bearing b : {Bearing::kDemands, Bearing::kSupports, Bearing::kFits})
      for (const Evidence& item : f.evidence->items())
        if (item.bearing == b) d.evidence.push_back(cite(c, item));
    d.summary = f.evidence->summary();
  }
  if (d.summary.empty()) d.summary = f.cause->title;
  d.settles = f.cause->settles;
  d.fix.assign(f.cause->fix.begin(), f.cause->fix.end());
}

Rival rival_of(const facts::Connection& c, const Examined& e) {
  Rival r;
  r.cause = e.cause->id;
  r.verdict = *e.verdict;
  for (const Evidence& item : e.evidence.items()) {
    if (r.verdict == Verdict::kRuledOut && item.bearing != Bearing::kContradicts) continue;
    Citation cited = cite(c, item);
    r.because = std::move(cited.text);
    r.frames = std::move(cited.frames);
    break;
  }
  return r;
}

std::vector<Rival> rivals_of(const facts::Connection& c, const Cause& cause, const std::vector<Examined>& all) {
  std::vector<Rival> rivals;
  if (cause.role != Role::kEnding) return rivals;
  for (const Examined& e : all) {
    if (!e.verdict || e.cause == &cause || e.cause->role != Role::kEnding || e.cause->generic()) continue;
    // What a generic stands for follows it as a diagnosis of its own.
    if (cause.generic() && *e.verdict != Verdict::kRuledOut) continue;
    rivals.push_back(rival_of(c, e));
  }
  return rivals;
}

std::vector<Examined> examine_all(const facts::Connection& c, const facts::Survey& survey, Detail detail) {
  std::vector<Examined> all;
  all.reserve(8);
  const Index& turned_over = the_index();
  const CauseSet set = turned_over.worth_asking(c.signals);
  const ending::Once once{c};
  EvidenceList evidence{detail};  // most causes leave it empty, and the next one gets it
  each_of(set, [&](std::size_t i) {
    const Cause* const cause = turned_over.by_id[i];
    if (cause == nullptr) return;
    cause->examine(c, survey, evidence);
    if (evidence.empty()) return evidence.forget();
    all.push_back({cause, std::move(evidence), std::nullopt});
    evidence = EvidenceList{detail};
  });
  for (Examined& e : all) e.verdict = judge(e.evidence.tally(), 0);
  // Rivals may lower it to possible, which leaves it alive for the others.
  for (Examined& e : all) e.verdict = against_rivals(e, all);
  return all;
}

/// The diagnoses that may be given: the firm ones and their possible rivals, and
/// behind a generic what it stands for.
std::vector<Found> find(const std::vector<Examined>& all) {
  const Index& turned_over = the_index();
  CauseSet firm, listed, refuted;
  for (const Examined& e : all) {
    if (e.firm() && !e.cause->generic()) firm.set(index(e.cause->id));
    if (e.verdict == Verdict::kRuledOut) refuted.set(index(e.cause->id));
  }
  std::vector<Found> found;
  found.reserve(8);
  for (const Examined& e : all) {
    if (!e.alive()) continue;
    if (e.cause->generic() && (turned_over.covers[index(e.cause->id)] & firm).any()) continue;
    listed.set(index(e.cause->id));
    found.push_back({e.cause, &e.evidence, *e.verdict});
  }
  const std::size_t direct = found.size();
  for (std::size_t i = 0; i < direct; ++i)
    for (CauseId id : found[i].cause->specifics) {
      const Cause* specific = turned_over.by_id[index(id)];
      if (specific == nullptr || specific->generic() || listed.test(index(id)) || refuted.test(index(id))) continue;
      listed.set(index(id));
      found.push_back({specific, nullptr, Verdict::kPossible});
    }
  return found;
}

}  // namespace

Answer explain(const facts::Connection& c, const facts::Survey& survey, Detail detail) {
  Answer answer;
  explain(c, survey, detail, answer);
  return answer;
}

void explain(const facts::Connection& c, const facts::Survey& survey, Detail detail, Answer& answer) {
  const std::vector<Examined> all = examine_all(c, survey, detail);
  std::vector<Found> found = find(all);

  // A benign ending explains what else would be a bad outcome: the client reset the slower of two
  // connections. Then a generic "somebody ended it" has nothing left to say.
  const bool excused = std::any_of(found.begin(), found.end(), [](const Found& f) {
    return f.firm() && f.benign() && f.role() == Role::kEnding;
  });
  if (excused)
    std::erase_if(found, [](const Found& f) {
      return f.role() == Role::kEnding && !f.benign() && (f.cause->generic() || !f.firm());
    });
  const bool fault = std::any_of(found.begin(), found.end(), [](const Found& f) { return f.firm() && !f.benign(); });
  answer.kernel.reset();
  answer.first_unexplained_frame = 0;
  answer.healthy = !fault && (excused || outcome_is_healthy(c.outcome));
  // Where nothing failed, a fault that is merely possible is no answer.
  if (answer.healthy) std::erase_if(found, [](const Found& f) { return !f.firm() && !f.benign(); });
  // What did no harm does not explain a failure: that stays unexplained.
  else if (std::all_of(found.begin(), found.end(), [](const Found& f) { return f.benign(); })) found.clear();
  // They are few: no buffer is allocated for them.
  for (auto f = found.begin(); f != found.end(); ++f) std::rotate(std::upper_bound(found.begin(), f, *f, stands_before), f, std::next(f));

  answer.diagnoses.clear();
  answer.diagnoses.reserve(found.size());
  for (const Found& f : found) {
    write(c, f, detail, answer.diagnoses.emplace_back());
    if (detail == Detail::kSentences) answer.diagnoses.back().rivals = rivals_of(c, *f.cause, all);
  }
  if (!answer.healthy && answer.diagnoses.empty()) answer.first_unexplained_frame = first_unexplained_frame(c);
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kProven: return "proven";
    case Verdict::kLikely: return "likely";
    case Verdict::kPossible: return "possible";
    case Verdict::kRuledOut: return "ruled-out";
  }
  return "";
}

std::string_view to_string(CauseId cause) { return kIds[index(cause)]; }

std::optional<CauseId> cause_from_string(std::string_view id) {
  auto it = std::find(kIds.begin(), kIds.end(), id);
  if (it == kIds.end()) return std::nullopt;
  return static_cast<CauseId>(it - kIds.begin());
}

const Cause* find_cause(CauseId id) { return the_index().by_id[index(id)]; }

}  // namespace tcpwhy::diagnose
