// A snapshot as JSON Lines (docs/formats/host.md): written without building a
// document, read line by line, so that size costs memory only once.

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host/read.hpp"

namespace tcpwhy::host {
namespace {

using nlohmann::json;

Error broken(const std::string& path, std::uint64_t line, std::string_view what) {
  return {"host.snapshot", fmt::format("{} line {}: {}; `tcpwhy host --save FILE` writes this format", path, line, what)};
}

facts::Endpoint endpoint(const json& j, const char* address, const char* port) {
  facts::Endpoint e;
  if (auto a = facts::parse_address(j.value(address, std::string{"0.0.0.0"}))) e.address = *a;
  e.port = j.value(port, std::uint16_t{0});
  return e;
}

facts::Counters counters_of(const json& j) {
  facts::Counters out;
  for (const auto& [name, value] : j.items()) out[name] = value.get<std::int64_t>();
  return out;
}

void load_namespace(const json& j, facts::HostSnapshot& out) {
  facts::Namespace ns;
  ns.id = j.value("id", std::uint64_t{0});
  ns.name = j.value("name", std::string{});
  ns.sockets_total = j.value("sockets", std::uint64_t{0});
  ns.infos_wanted = j.value("infos_wanted", std::uint64_t{0});
  if (j.contains("by_state"))
    for (const auto& [word, n] : j.at("by_state").items())
      if (auto state = state_from_string(word)) ns.by_state[static_cast<std::size_t>(*state)] = n.get<std::uint64_t>();
  if (j.contains("counters")) ns.counters = counters_of(j.at("counters"));
  if (j.contains("earlier")) {
    const json& e = j.at("earlier");
    ns.earlier.emplace();
    ns.earlier->seconds = e.value("before_s", 0.0);
    ns.earlier->counters = counters_of(e.at("counters"));
    for (const auto& [cookie, n] : e.at("accept_queues").items())
      ns.earlier->accept_queues[std::stoull(cookie)] = n.get<std::uint32_t>();
  }
  if (j.contains("sysctls"))
    for (const auto& [name, value] : j.at("sysctls").items()) ns.sysctls[name] = value.get<std::string>();
  if (j.contains("conntrack_count")) ns.conntrack_count = j.at("conntrack_count").get<std::uint64_t>();
  if (j.contains("conntrack_max")) ns.conntrack_max = j.at("conntrack_max").get<std::uint64_t>();
  for (const auto& a : j.value("addresses", json::array()))
    if (auto address = facts::parse_address(a.get<std::string>())) ns.addresses.push_back(*address);
  out.namespaces.push_back(std::move(ns));
}

void load_socket(const json& j, facts::Namespace& ns) {
  facts::Socket s;
  s.local = endpoint(j, "local", "port");
  s.remote = endpoint(j, "peer", "peer_port");
  s.state = state_from_string(j.at("state").get<std::string>()).value_or(State::kClose);
  s.cookie = j.value("cookie", std::uint64_t{0});
  s.cgroup = j.value("cgroup", std::uint64_t{0});
  s.inode = j.value("inode", 0u);
  s.uid = j.value("uid", 0u);
  s.mark = j.value("mark", 0u);
  s.receive_queue = j.value("recv_q", 0u);
  s.send_queue = j.value("send_q", 0u);
  s.expires_ms = j.value("expires_ms", 0u);
  s.timer = static_cast<facts::SocketTimer>(j.value("timer", 0) % 5);
  s.retries = j.value("retries", std::uint8_t{0});
  if (j.contains("info")) {
    const json& i = j.at("info");
    facts::SocketInfo info;
    info.last_data_sent_ms = i.value("last_data_sent_ms", 0u);
    info.last_data_received_ms = i.value("last_data_received_ms", 0u);
    info.last_ack_received_ms = i.value("last_ack_received_ms", 0u);
    info.rto_us = i.value("rto_us", 0u);
    info.rtt_us = i.value("rtt_us", 0u);
    info.unacked = i.value("unacked", 0u);
    info.total_retrans = i.value("total_retrans", 0u);
    info.bytes_received = i.value("bytes_received", std::uint64_t{0});
    info.bytes_acked = i.value("bytes_acked", std::uint64_t{0});
    info.segments_in = i.value("segments_in", 0u);
    info.data_segments_out = i.value("data_segments_out", 0u);
    info.receive_window = i.value("receive_window", facts::SocketInfo::kUntold);
    info.send_window = i.value("send_window", facts::SocketInfo::kUntold);
    s.info = static_cast<std::int32_t>(ns.infos.size());
    ns.infos.push_back(info);
  }
  ns.sockets.push_back(s);
}

json counters_json(const facts::Counters& counters) {
  json out = json::object();
  for (const auto& [name, value] : counters) out[name] = value;
  return out;
}

json namespace_json(const facts::Namespace& ns) {
  json j = {{"type", "namespace"}, {"id", ns.id}, {"name", ns.name}, {"sockets", ns.sockets_total},
            {"infos_wanted", ns.infos_wanted}, {"counters", counters_json(ns.counters)}};
  for (std::size_t i = 1; i < kStates; ++i)
    if (ns.by_state[i] > 0) j["by_state"][std::string{to_string(static_cast<State>(i))}] = ns.by_state[i];
  if (ns.earlier) {
    json queues = json::object();
    for (const auto& [cookie, n] : ns.earlier->accept_queues) queues[std::to_string(cookie)] = n;
    j["earlier"] = {{"before_s", ns.earlier->seconds}, {"counters", counters_json(ns.earlier->counters)},
                    {"accept_queues", queues}};
  }
  for (const auto& [name, value] : ns.sysctls) j["sysctls"][name] = value;
  if (ns.conntrack_count) j["conntrack_count"] = *ns.conntrack_count;
  if (ns.conntrack_max) j["conntrack_max"] = *ns.conntrack_max;
  for (const facts::Address& a : ns.addresses) j["addresses"].push_back(facts::to_string(a));
  return j;
}

void save_socket(const facts::Namespace& ns, const facts::Socket& s, std::FILE* out) {
  fmt::print(out, R"({{"type":"socket","state":"{}","local":"{}","port":{},"peer":"{}","peer_port":{},"cookie":{},"inode":{},"uid":{},)"
                  R"("recv_q":{},"send_q":{},"timer":{},"expires_ms":{},"retries":{},"cgroup":{},"mark":{})",
             to_string(s.state), facts::to_string(s.local.address), s.local.port,
             facts::to_string(s.remote.address), s.remote.port, s.cookie, s.inode, s.uid, s.receive_queue, s.send_queue,
             static_cast<int>(s.timer), s.expires_ms, s.retries, s.cgroup, s.mark);
  if (const facts::SocketInfo* i = ns.info(s))
    fmt::print(out, R"(,"info":{{"last_data_sent_ms":{},"last_data_received_ms":{},"last_ack_received_ms":{},"rto_us":{},"rtt_us":{},)"
                    R"("unacked":{},"total_retrans":{},"bytes_received":{},"bytes_acked":{},"segments_in":{},"data_segments_out":{},)"
                    R"("receive_window":{},"send_window":{}}})",
               i->last_data_sent_ms, i->last_data_received_ms, i->last_ack_received_ms, i->rto_us, i->rtt_us, i->unacked,
               i->total_retrans, i->bytes_received, i->bytes_acked, i->segments_in, i->data_segments_out, i->receive_window,
               i->send_window);
  std::fputs("}\n", out);
}

}  // namespace

void save(const facts::HostSnapshot& snapshot, std::FILE* out) {
  const json head = {{"type", "host"}, {"format", 1}, {"kernel", snapshot.kernel},
                     {"time_ns", snapshot.time.time_since_epoch().count()}, {"quality", snapshot.quality}};
  fmt::print(out, "{}\n", head.dump(-1, ' ', false, json::error_handler_t::replace));
  std::vector<std::vector<std::uint32_t>> inodes(snapshot.processes.size());
  for (const auto& [inode, process] : snapshot.owner) inodes[process].push_back(inode);
  for (std::size_t i = 0; i < snapshot.processes.size(); ++i) {
    const facts::Process& p = snapshot.processes[i];
    const json j = {{"type", "process"}, {"pid", p.pid}, {"comm", p.comm}, {"state", std::string(1, p.state)},
                    {"descriptors", p.descriptors}, {"descriptor_limit", p.descriptor_limit}, {"inodes", inodes[i]}};
    fmt::print(out, "{}\n", j.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  for (const facts::Namespace& ns : snapshot.namespaces) {
    fmt::print(out, "{}\n", namespace_json(ns).dump(-1, ' ', false, json::error_handler_t::replace));
    for (const facts::Socket& s : ns.sockets) save_socket(ns, s, out);
  }
  fmt::print(out, "{}\n", json{{"type", "end"}}.dump());
}

Result<facts::HostSnapshot> load(const std::string& path) {
  std::ifstream in{path};
  if (!in) return Error{"host.snapshot", fmt::format("the snapshot {} cannot be opened: {}", path, std::strerror(errno))};
  facts::HostSnapshot out;
  std::string text;
  std::uint64_t line = 0;
  bool began = false, ended = false;
  while (std::getline(in, text)) {
    ++line;
    if (text.empty()) continue;
    try {
      const json j = json::parse(text);
      const std::string type = j.value("type", std::string{});
      if (type == "host") {
        began = true;
        out.kernel = j.value("kernel", std::string{});
        out.time = CaptureTime{std::chrono::nanoseconds{j.value("time_ns", std::int64_t{0})}};
        out.quality = j.value("quality", std::vector<std::string>{});
      } else if (!began) {
        return broken(path, line, "this is no host snapshot");
      } else if (type == "process") {
        facts::Process p{j.value("pid", std::int64_t{0}), j.value("comm", std::string{}), j.value("state", std::string{"?"})[0],
                         j.value("descriptors", 0u), j.value("descriptor_limit", std::uint64_t{0})};
        for (std::uint32_t inode : j.value("inodes", std::vector<std::uint32_t>{}))
          out.owner.emplace(inode, static_cast<std::uint32_t>(out.processes.size()));
        out.processes.push_back(std::move(p));
      } else if (type == "namespace") {
        load_namespace(j, out);
      } else if (type == "end") {
        ended = true;
      } else if (type == "socket") {
        if (out.namespaces.empty()) return broken(path, line, "a socket before its namespace");
        load_socket(j, out.namespaces.back());
      }
    } catch (const std::exception&) {
      return broken(path, line, "is damaged");
    }
  }
  if (!began) return Error{"host.snapshot", fmt::format("{}: this is no host snapshot; `tcpwhy host --save FILE` writes one", path)};
  if (!ended) out.quality.push_back("the snapshot ends early (the disk was full, or the copy was cut): what it does not show means nothing");
  for (facts::Namespace& ns : out.namespaces) {
    if (ns.sockets_total < ns.sockets.size()) ns.sockets_total = ns.sockets.size();
    std::array<std::uint64_t, kStates> counted{};
    for (const facts::Socket& s : ns.sockets) ++counted[static_cast<std::size_t>(s.state)];
    for (std::size_t i = 0; i < counted.size(); ++i) ns.by_state[i] = std::max(ns.by_state[i], counted[i]);
    std::stable_partition(ns.sockets.begin(), ns.sockets.end(),
                          [](const facts::Socket& s) { return s.state == State::kListen; });
  }
  return out;
}

}  // namespace tcpwhy::host
