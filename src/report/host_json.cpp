// The findings of a host for programs. Keys are promised by docs/formats/jsonl.md.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/host.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using json = nlohmann::ordered_json;

std::string line(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

json of(const diagnose::ProcessEvidence& p) {
  json j = {{"pid", p.process.pid}, {"comm", p.process.comm}, {"state", std::string(1, p.process.state)}, {"sockets", p.sockets},
            {"descriptors", p.process.descriptors}};
  if (p.process.descriptor_limit > 0) j["descriptor_limit"] = p.process.descriptor_limit;
  return j;
}

json of(const diagnose::SocketsEvidence& s) {
  json j = {{"state", to_string(s.state)}, {"count", s.count}, {"where", s.where}};
  if (s.oldest_s) j["oldest_s"] = *s.oldest_s;
  if (s.unread_bytes) j["unread_bytes"] = *s.unread_bytes;
  if (s.unacknowledged_bytes) j["unacknowledged_bytes"] = *s.unacknowledged_bytes;
  j["examples"] = s.examples;
  return j;
}

json of(const diagnose::HostFinding& f) {
  json j = {{"type", "finding"}, {"cause", f.cause}, {"verdict", diagnose::to_string(f.verdict)}, {"side", side_word(f.side)},
            {"summary", f.summary}};
  if (!f.network_namespace.empty()) j["netns"] = f.network_namespace;
  if (f.listener) {
    const diagnose::ListenerEvidence& l = *f.listener;
    j["listener"] = {{"ip", facts::to_string(l.endpoint.address)}, {"port", l.endpoint.port}, {"accept_queue", l.queue},
                     {"limit", l.limit}, {"limit_from", l.limit_from}, {"syn_queue", l.requests}};
    if (l.oldest_wait_s) j["listener"]["oldest_wait_s"] = *l.oldest_wait_s;
  }
  if (!f.processes.empty()) {
    j["process"] = of(f.processes.front());
    if (f.processes.size() > 1)
      for (const auto& p : f.processes) j["processes"].push_back(of(p));
  }
  for (const auto& s : f.sockets) j["sockets"].push_back(of(s));
  for (const auto& c : f.counters) {
    j["counters"][c.name] = {{"value", c.value}};
    if (c.rise) {
      j["counters"][c.name]["rise"] = *c.rise;
      j["counters"][c.name]["seconds"] = c.seconds;
    }
  }
  for (const auto& s : f.sysctls) j["sysctls"][s.name] = s.value;
  j["evidence"] = f.notes;
  j["fix"] = f.fix;
  return j;
}

json summary_of(const facts::HostSnapshot& h, const std::vector<diagnose::HostFinding>& findings) {
  json j = {{"type", "summary"}, {"kernel", h.kernel}, {"time", iso_time(h.time)}, {"findings", findings.size()}};
  for (const facts::Namespace& ns : h.namespaces) {
    json n = {{"id", ns.id}, {"sockets", ns.sockets_total}};
    if (!ns.name.empty()) n["name"] = ns.name;
    n["states"] = json::object();
    for (std::size_t i = 1; i < kStates; ++i)
      if (ns.by_state[i] > 0) n["states"][std::string{to_string(static_cast<State>(i))}] = ns.by_state[i];
    if (ns.earlier) {
      n["seconds"] = ns.earlier->seconds;
      n["rises"] = json::object();
      for (const auto& [name, value] : ns.counters)
        if (const auto rise = ns.rise(name); rise && *rise != 0 && name.find("sockstat") == std::string::npos)
          n["rises"][name] = *rise;
    }
    j["namespaces"].push_back(std::move(n));
  }
  j["quality"] = h.quality;
  return j;
}

}  // namespace

void write_host_jsonl(std::FILE* out, const facts::HostSnapshot& h, const std::vector<diagnose::HostFinding>& findings) {
  for (const auto& f : findings) fmt::print(out, "{}\n", line(of(f)));
  fmt::print(out, "{}\n", line(summary_of(h, findings)));
}

void write_host_json(std::FILE* out, const facts::HostSnapshot& h, const std::vector<diagnose::HostFinding>& findings) {
  json list = json::array();
  for (const auto& f : findings) list.push_back(of(f));
  fmt::print(out, "{}\n", line({{"findings", list}, {"summary", summary_of(h, findings)}}));
}

}  // namespace tcpwhy::report
