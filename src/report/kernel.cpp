#include "report/kernel.hpp"

#include <fmt/format.h>

#include "report/objects.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using Json = nlohmann::ordered_json;
using diagnose::kernel::Failure;

std::string wall_time(std::uint64_t monotonic_ns, WallClock wall) {
  return iso_time(CaptureTime{Duration{static_cast<std::int64_t>(monotonic_ns)} + wall.offset});
}

void put_kernel(Json& out, const Failure& v) {
  if (v.process.pid != 0) {
    out["process"] = {{"pid", v.process.pid}, {"comm", v.process.comm}};
    if (v.process.signal != 0) out["process"]["signal"] = v.process.signal;
  }
  Json kernel = Json::object();
  if (!v.reset_reason.empty()) kernel["reset_reason"] = v.reset_reason;
  if (!v.drop_reason.empty()) kernel["drop_reason"] = v.drop_reason;
  out["kernel"] = std::move(kernel);
  out["netns"] = v.netns;
}

Json finding(const Failure& v, WallClock wall) {
  Json out = diagnosis(v.diagnoses.front(), {}, 1);
  out.erase("benign");
  out.erase("rivals");
  out["type"] = "finding";
  out["time"] = wall_time(v.end_ns, wall);
  if (!v.listeners.empty()) {
    const facts::ListenerSample& l = v.listeners.front();
    out["listener"] = endpoint(l.at);
    out["listener"]["accept_queue"] = l.queue;
    out["listener"]["limit"] = l.limit;
    out["listener"]["requests"] = l.requests;
    out["listener"]["drops"] = l.drops;
  }
  out["counters"] = v.counters;
  out["connections"] = v.connections;
  put_kernel(out, v);
  return out;
}

}  // namespace

Json kernel_object(const Failure& v, std::uint64_t id, WallClock wall) {
  if (v.kind == Failure::Kind::kFinding) return finding(v, wall);
  Json out;
  out["type"] = "connection";
  out["id"] = id;
  out["files"] = Json::array();
  out["client"] = endpoint(v.client);
  out["server"] = endpoint(v.server);
  if (v.roles_inferred) out["roles"] = "inferred";
  out["start"] = wall_time(v.start_ns, wall);
  out["end"] = wall_time(v.end_ns, wall);
  out["duration_s"] = static_cast<double>(v.end_ns - v.start_ns) * 1e-9;
  out["vantage"] = v.vantage == facts::Side::kPath ? "between" : side_word(v.vantage);
  const bool client = v.vantage == facts::Side::kClient;
  out["payload_bytes"] = {{"client", client ? v.bytes_sent : v.bytes_in}, {"server", client ? v.bytes_in : v.bytes_sent}};
  out["states"] = {{"client", v.client_state}, {"server", v.server_state}};
  out["outcome"] = v.outcome;
  switch (v.ended_by) {
    case facts::Side::kClient:
    case facts::Side::kServer: out["ended_by"] = side_word(v.ended_by); break;
    case facts::Side::kPath: out["ended_by"] = "network"; break;
    case facts::Side::kUnknown: out["ended_by"] = nullptr; break;
  }
  out["healthy"] = v.healthy;
  out["quality"] = Json::array();
  out["diagnoses"] = Json::array();
  for (const diagnose::Diagnosis& d : v.diagnoses) out["diagnoses"].push_back(diagnosis(d, {}, 1));
  put_kernel(out, v);
  return out;
}

std::string kernel_lines(const Failure& v, WallClock wall) {
  constexpr std::size_t kDay = 11, kMilliseconds = 12;  // of RFC 3339: the day is known, microseconds tell nobody anything
  const diagnose::Diagnosis& d = v.diagnoses.front();
  std::string head = wall_time(v.end_ns, wall).substr(kDay, kMilliseconds) + "Z";
  if (v.kind == Failure::Kind::kConnection)
    head += fmt::format("  {} > {}", facts::to_string(v.client), facts::to_string(v.server));
  head += fmt::format("  {} ({})", diagnose::to_string(d.cause), diagnose::to_string(d.verdict));
  if (v.process.pid != 0) head += fmt::format("  {}[{}]", v.process.comm, v.process.pid);
  std::string out = fmt::format("{}\n    {}\n", head, d.summary);
  for (const diagnose::Citation& e : d.evidence) out += fmt::format("    - {}\n", e.text);
  std::string others;
  for (std::size_t i = 1; i < v.diagnoses.size(); ++i)
    others += fmt::format("{}{} ({})", others.empty() ? "" : ", ", diagnose::to_string(v.diagnoses[i].cause),
                          diagnose::to_string(v.diagnoses[i].verdict));
  if (!others.empty()) out += wrap(others, "    also: ", "      ", 100);
  if (d.verdict != diagnose::Verdict::kProven && !d.settles.empty()) out += wrap(d.settles, "    settles it: ", "      ", 100);
  for (const std::string& fix : d.fix) out += wrap(fix, "    fix: ", "      ", 100);
  return out;
}

}  // namespace tcpwhy::report
