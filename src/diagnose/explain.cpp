// Judging one connection. Every cause whose signals are present is examined;
// specifics compete with specifics of the same role; a generic cause is the
// answer only where none of its specifics is likely or proven, and then its
// specifics follow it as possible unless something rules them out.

#include "tcpwhy/explain.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "diagnose/cause.hpp"
#include "diagnose/judge.hpp"

namespace tcpwhy::diagnose {
namespace {

struct Examined {
  const Cause* cause = nullptr;
  EvidenceList evidence;
  std::size_t supports = 0;
  std::optional<Verdict> verdict;
};

std::size_t count(const EvidenceList& list, Bearing bearing) {
  return static_cast<std::size_t>(std::count_if(list.items().begin(), list.items().end(),
                                                [&](const Evidence& e) { return e.bearing == bearing; }));
}

bool alive(const Examined& e) {
  return e.verdict && *e.verdict != Verdict::kRuledOut;
}

bool stands_for(const Cause& generic, CauseId specific) {
  if (std::find(generic.specifics.begin(), generic.specifics.end(), specific) != generic.specifics.end()) return true;
  // A generic may stand for another generic, whose specifics it then covers too.
  for (CauseId id : generic.specifics)
    if (const Cause* inner = find_cause(id); inner && inner->generic() && stands_for(*inner, specific)) return true;
  return false;
}

/// Generic and specific of each other are no rivals; notes have none.
bool are_rivals(const Examined& a, const Examined& b) {
  if (a.cause == b.cause || a.cause->role != b.cause->role || a.cause->role != Role::kEnding) return false;
  // What did no harm does not compete for the failure.
  if (b.cause->benign || b.evidence.is_harmless()) return false;
  return !a.cause->generic() && !b.cause->generic();
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

/// Lower is earlier in the list of diagnoses.
int rank(const Diagnosis& d, const Cause& cause) {
  int r = 0;
  if (d.benign) r += 1000;
  r += 100 * static_cast<int>(cause.role);
  r += 10 * static_cast<int>(d.verdict);
  return r;
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

Diagnosis write(const facts::Connection& c, const Examined& e, Verdict verdict, Detail detail) {
  Diagnosis d;
  d.cause = e.cause->id;
  d.verdict = verdict;
  d.benign = e.cause->benign || e.evidence.is_harmless();
  d.side = e.evidence.side().value_or(e.cause->side);
  for (Bearing b : {Bearing::kDemands, Bearing::kSupports, Bearing::kFits})
    for (const Evidence& item : e.evidence.items())
      if (item.bearing == b) d.evidence.push_back(cite(c, item));
  if (detail == Detail::kVerdicts) return d;
  d.summary = e.evidence.summary().empty() ? std::string{e.cause->title} : e.evidence.summary();
  d.settles = e.cause->settles;
  d.fix.assign(e.cause->fix.begin(), e.cause->fix.end());
  return d;
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

}  // namespace

Answer explain(const facts::Connection& c, const facts::Survey& survey, Detail detail) {
  std::vector<Examined> all;
  all.reserve(16);
  for (const Cause* cause : catalogue()) {
    if (cause->signals != 0 && !c.has(cause->signals)) continue;
    Examined e{cause, EvidenceList{detail}, 0, std::nullopt};
    cause->examine(c, survey, e.evidence);
    if (e.evidence.empty()) continue;
    e.supports = count(e.evidence, Bearing::kSupports) + 100 * count(e.evidence, Bearing::kDemands);
    all.push_back(std::move(e));
  }
  for (Examined& e : all) e.verdict = judge(e.evidence.items(), 0);
  // Against their rivals: who explains less than another, or only as much, is no more than possible.
  std::vector<std::optional<Verdict>> final_verdicts;
  final_verdicts.reserve(all.size());
  for (const Examined& e : all) {
    std::size_t rivals = 0;
    if (alive(e))
      for (const Examined& other : all)
        if (alive(other) && are_rivals(e, other) && other.supports >= e.supports) ++rivals;
    final_verdicts.push_back(judge(e.evidence.items(), rivals));
  }
  for (std::size_t i = 0; i < all.size(); ++i) all[i].verdict = final_verdicts[i];

  auto firmly_specific = [&](const Cause& generic) {
    return std::any_of(all.begin(), all.end(), [&](const Examined& e) {
      return stands_for(generic, e.cause->id) && alive(e) && !e.cause->generic() && *e.verdict <= Verdict::kLikely;
    });
  };

  Answer answer;
  std::vector<std::pair<Diagnosis, const Cause*>> found;
  std::vector<CauseId> listed;
  auto list = [&](const Examined& e, Verdict verdict) {
    if (std::find(listed.begin(), listed.end(), e.cause->id) != listed.end()) return;
    listed.push_back(e.cause->id);
    found.emplace_back(write(c, e, verdict, detail), e.cause);
  };
  for (const Examined& e : all) {
    if (!alive(e)) continue;
    if (e.cause->generic() && firmly_specific(*e.cause)) continue;
    list(e, *e.verdict);
  }
  // What a generic stands for follows it as possible unless ruled out.
  const std::size_t direct = found.size();
  for (std::size_t i = 0; i < direct; ++i) {
    const Cause& generic = *found[i].second;
    if (!generic.generic()) continue;
    for (CauseId id : generic.specifics) {
      if (std::find(listed.begin(), listed.end(), id) != listed.end()) continue;
      const Cause* specific = find_cause(id);
      if (specific == nullptr || specific->generic()) continue;
      auto it = std::find_if(all.begin(), all.end(), [&](const Examined& e) { return e.cause == specific; });
      if (it != all.end() && it->verdict == Verdict::kRuledOut) continue;
      listed.push_back(id);
      Examined bare{specific, EvidenceList{detail}, 0, Verdict::kPossible};
      found.emplace_back(write(c, it != all.end() ? *it : bare, Verdict::kPossible, detail), specific);
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    const int ra = rank(a.first, *a.second), rb = rank(b.first, *b.second);
    if (ra != rb) return ra < rb;
    // Of two equally sure ones a generic stands before the specifics it covers.
    return a.second->generic() && !b.second->generic();
  });
  answer.healthy = outcome_is_healthy(c.outcome);
  for (const auto& [d, cause] : found)
    if (!d.benign && d.verdict <= Verdict::kLikely) answer.healthy = false;

  if (detail == Detail::kSentences)
    for (auto& [d, cause] : found)
      for (const Examined& e : all) {
        if (!e.verdict || e.cause->role != cause->role || e.cause == cause || cause->role != Role::kEnding) continue;
        if (e.cause->generic() || (cause->generic() && *e.verdict != Verdict::kRuledOut)) continue;
        d.rivals.push_back(rival_of(c, e));
      }

  for (auto& [d, cause] : found) answer.diagnoses.push_back(std::move(d));
  if (!answer.healthy && (answer.diagnoses.empty() || answer.diagnoses.front().benign))
    answer.first_unexplained_frame = first_unexplained_frame(c);
  return answer;
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

namespace {
constexpr std::array kIds = {
#define TCPWHY_CAUSE(name, id) std::string_view{id},
#include "tcpwhy/causes.def"
#undef TCPWHY_CAUSE
};
}  // namespace

std::string_view to_string(CauseId cause) { return kIds[static_cast<std::size_t>(cause)]; }

std::optional<CauseId> cause_from_string(std::string_view id) {
  auto it = std::find(kIds.begin(), kIds.end(), id);
  if (it == kIds.end()) return std::nullopt;
  return static_cast<CauseId>(it - kIds.begin());
}

const Cause* find_cause(CauseId id) {
  for (const Cause* cause : catalogue())
    if (cause->id == id) return cause;
  return nullptr;
}

}  // namespace tcpwhy::diagnose
