#include "diagnose/kernel/words.hpp"

#include <utility>

namespace tcpwhy::diagnose::kernel {

std::string_view state_name(std::uint8_t number) {
  const auto state = static_cast<State>(number);
  return to_string(state == State::kNewSynRecv ? State::kSynRecv : state);
}
bool has(const tw_event& e, std::uint32_t flag) { return (e.flags & flag) != 0; }
double in_seconds(std::uint64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::string who(const Owner& p) {
  if (p.pid == 0) return "an application";
  return fmt::format("{} (pid {})", p.comm.empty() ? "a process" : p.comm, p.pid);
}
Owner process_of(const tw_event& e) {
  Owner p;
  if (!has(e, TW_OWNER_KNOWN)) return p;
  p.pid = e.pid;
  p.comm.assign(e.comm, strnlen(e.comm, sizeof e.comm));
  p.signal = e.signal;
  return p;
}
Owner closer_of(const tw_event& e) {
  Owner p;
  if (!has(e, TW_REMEMBERED)) return p;
  p.pid = e.closed_pid;
  p.comm.assign(e.closed_comm, strnlen(e.closed_comm, sizeof e.closed_comm));
  return p;
}

Diagnosis& add(Failure& v, CauseId cause, Verdict verdict, Side side, std::string summary) {
  Diagnosis d;
  d.cause = cause;
  d.verdict = verdict;
  d.side = side;
  d.summary = std::move(summary);
  v.diagnoses.push_back(std::move(d));
  return v.diagnoses.back();
}
void note(Diagnosis& d, std::string text) { d.evidence.push_back({{}, 0, std::move(text)}); }
void possible(Failure& v, std::initializer_list<CauseId> causes, Side side, const char* because) {
  for (const CauseId cause : causes) {
    bool there = false;
    for (const Diagnosis& d : v.diagnoses) there |= d.cause == cause;
    if (there) continue;
    add(v, cause, Verdict::kPossible, side, because);
    v.diagnoses.front().rivals.push_back({cause, Verdict::kPossible, because, {}});
  }
}

const char* word(Side s) {
  switch (s) {
    case Side::kClient: return "client";
    case Side::kServer: return "server";
    case Side::kPath: return "path";
    case Side::kUnknown: return "host";
  }
  return "host";
}
Side opposite(Side s) { return s == Side::kClient ? Side::kServer : s == Side::kServer ? Side::kClient : s; }

std::string errno_word(int error) {
  const std::string_view known = tcpwhy::name(static_cast<Errno>(error));
  return known.empty() ? fmt::format("errno {}", error) : std::string{known};
}

}  // namespace tcpwhy::diagnose::kernel
