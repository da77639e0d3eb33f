#pragma once
// Short questions for tests of causes: what does a ladder get as its answer?

#include <algorithm>
#include <string>
#include <string_view>

#include "support/ladder.hpp"
#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose {

inline Answer answer_of(std::string_view story, const facts::Survey& survey = {}) {
  return explain(ladder::connection(story), survey, Detail::kSentences);
}

/// `story` beside one more attempt at the same server.
inline Answer answer_beside(std::string_view story, double syn, facts::Attempt::Fate fate) {
  const facts::Connection c = ladder::connection(story);
  facts::Survey survey;
  facts::ServiceFacts& service = survey.services[c.ends[1]];
  service.endpoint = c.ends[1];
  facts::Attempt a;
  a.syn = ladder::at(syn);
  a.fate = fate;
  a.syn_acks = fate == facts::Attempt::Fate::kRefused ? 0 : 1;
  a.connection = c.id + 1;
  service.attempts_sample.values.push_back(a);
  if (fate != facts::Attempt::Fate::kAccepted) service.failures_sample.values.push_back(a);
  return explain(c, survey, Detail::kSentences);
}

/// The first diagnosis' id, "" when there is none.
inline std::string first_of(const Answer& a) {
  return a.diagnoses.empty() ? std::string{} : std::string{to_string(a.diagnoses.front().cause)};
}
inline std::string first_of(std::string_view story) { return first_of(answer_of(story)); }

inline const Diagnosis* find(const Answer& a, CauseId id) {
  auto it = std::find_if(a.diagnoses.begin(), a.diagnoses.end(), [&](const Diagnosis& d) { return d.cause == id; });
  return it == a.diagnoses.end() ? nullptr : &*it;
}

/// "likely", "possible", …; "" when it is not among the diagnoses.
inline std::string verdict_of(const Answer& a, CauseId id) {
  const Diagnosis* d = find(a, id);
  return d == nullptr ? std::string{} : std::string{to_string(d->verdict)};
}

/// No fault is told: healthy, and whatever is said is benign.
inline bool no_fault(const Answer& a) {
  return a.healthy && std::all_of(a.diagnoses.begin(), a.diagnoses.end(), [](const Diagnosis& d) { return d.benign; });
}

}  // namespace tcpwhy::diagnose
