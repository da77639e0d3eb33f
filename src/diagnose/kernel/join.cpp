#include "diagnose/kernel/join.hpp"

#include <algorithm>
#include <utility>

#include "diagnose/kernel/words.hpp"

namespace tcpwhy::diagnose::kernel {
namespace {

// Two clocks of one host read a moment apart, and a kernel that gives up long after the last packet.
constexpr Duration kBefore = std::chrono::seconds{1}, kAfter = std::chrono::seconds{5};

std::string key(const facts::Endpoint& a, const facts::Endpoint& b) {
  std::string x = facts::to_string(a), y = facts::to_string(b);
  return x < y ? x + y : y + x;
}

KernelWord word_of(const Failure& f) {
  return {f.process.pid, f.process.comm, f.process.signal, f.reset_reason, f.drop_reason};
}

}  // namespace

void Words::add(Failure f) {
  if (f.kind != Failure::Kind::kConnection || f.diagnoses.empty()) return;
  std::string k = key(f.client, f.server);
  by_tuple_.emplace(std::move(k), std::move(f));
}

const Failure* Words::about(const facts::Connection& c) const {
  const auto [first, last] = by_tuple_.equal_range(key(c.ends[0], c.ends[1]));
  const Failure* best = nullptr;
  for (auto at = first; at != last; ++at) {
    const CaptureTime when = CaptureTime{Duration{static_cast<std::int64_t>(at->second.end_ns)} + offset_};
    if (when < c.start - kBefore || when > c.end + kAfter) continue;
    if (best == nullptr || at->second.diagnoses.front().verdict < best->diagnoses.front().verdict) best = &at->second;
  }
  return best;
}

void Words::forget(std::uint64_t before_ns) {
  std::erase_if(by_tuple_, [&](const auto& entry) { return entry.second.end_ns < before_ns; });
}

void join(const Failure& word, Answer& answer) {
  answer.kernel = word_of(word);
  const Diagnosis& said = word.diagnoses.front();
  std::vector<Citation> evidence = said.evidence;
  for (Citation& c : evidence) c.text = "the kernel: " + c.text;

  const auto known = std::find_if(answer.diagnoses.begin(), answer.diagnoses.end(), [&](const Diagnosis& d) { return d.cause == said.cause; });
  if (known != answer.diagnoses.end()) {
    Diagnosis d = *known;
    if (said.verdict < d.verdict) {
      d.verdict = said.verdict;
      d.side = said.side;
      d.summary = said.summary;
      if (d.verdict == Verdict::kProven) d.settles.clear();
    }
    if (d.summary.empty()) d.summary = said.summary;
    d.evidence.insert(d.evidence.end(), evidence.begin(), evidence.end());
    if (d.fix.empty()) d.fix = said.fix;
    // Among equals the order stays; what has become surer comes before what is less sure.
    const auto at = answer.diagnoses.erase(known);
    const auto place = std::find_if(answer.diagnoses.begin(), at, [&](const Diagnosis& other) { return d.verdict < other.verdict; });
    answer.diagnoses.insert(place, std::move(d));
  } else {
    Diagnosis d = said;
    d.evidence = std::move(evidence);
    // A proof of the capture's own stands before the kernel's: it is about what made the connection fail.
    const auto place = std::find_if(answer.diagnoses.begin(), answer.diagnoses.end(), [&](const Diagnosis& other) {
      return d.verdict < other.verdict || (d.verdict == Verdict::kLikely && other.verdict == Verdict::kPossible) || other.benign;
    });
    answer.diagnoses.insert(place, std::move(d));
  }
  if (!word.healthy && !answer.diagnoses.front().benign) {
    answer.healthy = false;
    answer.first_unexplained_frame = 0;
  }
}

}  // namespace tcpwhy::diagnose::kernel
