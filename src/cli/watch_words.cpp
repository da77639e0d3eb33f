// How a kernel's verdict is written: a line for people, an object for programs.

#include <fmt/format.h>
#include <time.h>

#include <ctime>

#include "cli/watch.hpp"
#include "report/words.hpp"

namespace tcpwhy::cli {
namespace {

using Json = nlohmann::ordered_json;

std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

Json endpoint(const facts::Endpoint& e) { return Json{{"ip", facts::to_string(e.address)}, {"port", e.port}}; }

Json diagnosis(const host::KernelDiagnosis& d) {
  Json out;
  out["cause"] = d.cause;
  out["verdict"] = d.verdict;
  out["benign"] = false;
  out["side"] = report::side_word(d.side);
  out["summary"] = d.summary;
  out["evidence"] = Json::array();
  for (const std::string& text : d.evidence) out["evidence"].push_back({{"frames", Json::array()}, {"text", text}});
  out["settles"] = d.settles;
  out["fix"] = d.fix;
  out["rivals"] = Json::array();
  for (const host::KernelRival& r : d.rivals)
    out["rivals"].push_back({{"cause", r.cause}, {"verdict", "possible"}, {"because", r.because}});
  return out;
}

void put_kernel(Json& out, const host::KernelVerdict& v) {
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

}  // namespace

std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

std::string wall_time(std::uint64_t monotonic) {
  const std::uint64_t wall = clock_ns(CLOCK_REALTIME) - monotonic_ns() + monotonic;
  const auto whole = static_cast<std::time_t>(wall / 1'000'000'000u);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                     parts.tm_min, parts.tm_sec, wall % 1'000'000'000u);
}

Json kernel_object(const host::KernelVerdict& v, std::uint64_t id) {
  Json out;
  if (v.kind == host::KernelVerdict::Kind::kFinding) {
    const host::KernelDiagnosis& d = v.diagnoses.front();
    out["type"] = "finding";
    out["cause"] = d.cause;
    out["verdict"] = d.verdict;
    out["side"] = report::side_word(d.side);
    out["summary"] = d.summary;
    out["time"] = wall_time(v.end_ns);
    out["evidence"] = Json::array();
    for (const std::string& text : d.evidence) out["evidence"].push_back({{"frames", Json::array()}, {"text", text}});
    out["settles"] = d.settles;
    out["fix"] = d.fix;
    if (!v.listeners.empty()) {
      const host::KernelListener& l = v.listeners.front();
      out["listener"] = {{"ip", facts::to_string(l.at.address)}, {"port", l.at.port}, {"queue", l.queue}, {"limit", l.limit}, {"drops", l.drops}};
    }
    out["counters"] = v.counters;
    out["connections"] = v.connections;
    put_kernel(out, v);
    return out;
  }
  out["type"] = "connection";
  out["id"] = id;
  out["files"] = Json::array();
  out["client"] = endpoint(v.client);
  out["server"] = endpoint(v.server);
  if (v.roles_inferred) out["roles"] = "inferred";
  out["start"] = wall_time(v.start_ns);
  out["end"] = wall_time(v.end_ns);
  out["duration_s"] = static_cast<double>(v.end_ns - v.start_ns) * 1e-9;
  out["vantage"] = v.vantage == facts::Side::kPath ? "between" : report::side_word(v.vantage);
  const bool client = v.vantage == facts::Side::kClient;
  out["payload_bytes"] = {{"client", client ? v.bytes_sent : v.bytes_in}, {"server", client ? v.bytes_in : v.bytes_sent}};
  out["states"] = {{"client", v.client_state}, {"server", v.server_state}};
  out["outcome"] = v.outcome;
  switch (v.ended_by) {
    case facts::Side::kClient:
    case facts::Side::kServer: out["ended_by"] = report::side_word(v.ended_by); break;
    case facts::Side::kPath: out["ended_by"] = "network"; break;
    case facts::Side::kUnknown: out["ended_by"] = nullptr; break;
  }
  out["healthy"] = v.healthy;
  out["quality"] = Json::array();
  out["diagnoses"] = Json::array();
  for (const host::KernelDiagnosis& d : v.diagnoses) out["diagnoses"].push_back(diagnosis(d));
  put_kernel(out, v);
  return out;
}

std::string kernel_line(const host::KernelVerdict& v) {
  const host::KernelDiagnosis& d = v.diagnoses.front();
  std::string head = wall_time(v.end_ns).substr(11, 12);
  if (v.kind == host::KernelVerdict::Kind::kConnection)
    head += fmt::format("  {} > {}", facts::to_string(v.client), facts::to_string(v.server));
  head += fmt::format("  {} ({})", d.cause, d.verdict);
  if (v.process.pid != 0) head += fmt::format("  {}[{}]", v.process.comm, v.process.pid);
  std::string out = fmt::format("{}\n    {}\n", head, d.summary);
  for (const std::string& text : d.evidence) out += fmt::format("    - {}\n", text);
  std::string others;
  for (std::size_t i = 1; i < v.diagnoses.size(); ++i)
    others += fmt::format("{}{} ({})", others.empty() ? "" : ", ", v.diagnoses[i].cause, v.diagnoses[i].verdict);
  if (!others.empty()) out += fmt::format("    also: {}\n", others);
  if (d.verdict != "proven" && !d.settles.empty()) out += fmt::format("    settles it: {}\n", d.settles);
  return out;
}

}  // namespace tcpwhy::cli
