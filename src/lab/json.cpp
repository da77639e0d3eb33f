// One object, keys as product.md section 6 names them; more may be added.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "capture/writer.hpp"
#include "lab/render.hpp"

namespace tcpwhy::lab {
namespace {

using Json = nlohmann::ordered_json;

/// To the nanosecond, and no further: 0.3 stays 0.3.
double since(ModelTime begin, ModelTime time) {
  return std::round(seconds(time - begin) * 1e9) / 1e9;
}

/// RFC 3986 3.2.2: brackets keep the port apart from IPv6.
std::string end_of(const world::Packet& p, std::uint32_t ip, std::uint16_t port) {
  const std::string address = world::ip_text(ip, p.ip_version);
  return (p.ip_version == 6 ? '[' + address + ']' : address) + ':' + std::to_string(port);
}

Json options_of(const world::Packet& p) {
  Json list = Json::array();
  if (p.mss) list.push_back("mss " + std::to_string(*p.mss));
  if (p.sack_permitted) list.push_back("sackOK");
  if (p.timestamps)
    list.push_back("TS val " + std::to_string(p.timestamps->value) + " ecr " + std::to_string(p.timestamps->echo));
  if (p.window_scale) list.push_back("wscale " + std::to_string(*p.window_scale));
  for (const auto& [left, right] : p.sack)
    list.push_back("sack " + std::to_string(left.raw()) + ":" + std::to_string(right.raw()));
  return list;
}

Json packet_of(const Run& run, const world::Seen& seen) {
  const world::Packet& p = seen.packet;
  Json j;
  j["t_s"] = since(run.begin, seen.time);
  j["tap"] = run.taps[seen.tap];
  j["direction"] = seen.direction == FrameDirection::kInbound ? "in" : "out";
  if (p.icmp) {
    j["src"] = world::ip_text(p.source, p.ip_version);
    j["dst"] = world::ip_text(p.destination, p.ip_version);
    j["icmp"] = {{"type", p.icmp->type}, {"code", p.icmp->code}, {"mtu", p.icmp->mtu},
                 {"about", end_of(p, p.icmp->quoted_source, p.source_port) + " > " +
                               end_of(p, p.icmp->quoted_destination, p.destination_port)}};
    return j;
  }
  j["src"] = end_of(p, p.source, p.source_port);
  j["dst"] = end_of(p, p.destination, p.destination_port);
  j["flags"] = flag_letters(p);
  j["seq"] = p.seq.raw();
  j["ack"] = p.ack.raw();
  j["window"] = p.window;
  j["payload_bytes"] = p.payload.size();
  j["options"] = options_of(p);
  j["ttl"] = p.ttl;
  j["ip_id"] = p.ip_id;
  return j;
}

}  // namespace

std::string json(const Run& run, const std::string& tap) {
  const std::string wanted = tap.empty() ? run.tap : tap;
  Json j;
  j["experiment"] = run.experiment->name;
  j["kernel"] = run.kernel;
  j["client_kernel"] = run.client_kernel;
  j["sysctls"] = Json::object();
  for (const auto& [name, value] : run.sysctls) j["sysctls"][name] = value;
  if (!run.without_effect.empty()) j["without_effect"] = run.without_effect;
  j["params"] = Json::object();
  for (const auto list : {network_params(), run.experiment->params})
    for (const Param& p : list) j["params"][std::string{p.name}] = p.value;
  for (const auto& [name, value] : run.params) j["params"][name] = value;
  j["duration_s"] = since(run.begin, run.end);

  j["counters"] = Json::object();
  for (const HostRun& h : run.hosts) {
    if (h.after.empty()) continue;
    Json& moved = j["counters"][h.name] = Json::object();
    for (const auto& [name, value] : h.after) {
      const bool named = std::find(run.experiment->counters.begin(), run.experiment->counters.end(), name) !=
                         run.experiment->counters.end();
      if (const std::int64_t by = h.moved(name); by != 0 || named) moved[name] = by;
    }
    for (const std::string_view name : run.experiment->counters)
      if (!moved.contains(std::string{name})) moved[std::string{name}] = 0;
  }

  j["packets"] = Json::array();
  for (const world::Seen& seen : run.packets)
    if (wanted == "all" || run.taps[seen.tap] == wanted) j["packets"].push_back(packet_of(run, seen));

  j["sockets"] = Json::array();
  for (const View& view : run.views)
    for (const world::SocketRow& row : view.rows) {
      Json s;
      s["t_s"] = since(run.begin, view.time);
      s["host"] = view.host;
      s["state"] = row.state;
      s["local"] = world::text(row.local);
      s["peer"] = world::text(row.remote);
      s["recv_q"] = row.recv_q;
      s["send_q"] = row.send_q;
      j["sockets"].push_back(std::move(s));
    }

  j["application"] = Json::array();
  for (const world::Note& note : run.notes)
    j["application"].push_back({{"t_s", since(run.begin, note.time)}, {"host", note.host}, {"call", note.call}, {"result", note.result}});

  std::map<std::string, std::uint64_t> totals;
  for (const HostRun& h : run.hosts)
    for (const auto& [rule, count] : h.rules) totals[rule] += count;
  j["rules"] = Json::array();
  for (const auto& [rule, count] : totals) {
    Json r{{"rule", rule}, {"count", count}, {"hosts", Json::object()}};
    for (const HostRun& h : run.hosts)
      if (const auto found = h.rules.find(rule); found != h.rules.end()) r["hosts"][h.name] = found->second;
    j["rules"].push_back(std::move(r));
  }
  return j.dump();
}

Result<std::uint64_t> save_pcap(const Run& run, const std::string& path) {
  // Virtual time has no date; 2026-01-01T00:00:00Z makes the stamps readable.
  constexpr std::int64_t kEpochNs = 1'767'225'600ll * 1'000'000'000ll;
  capture::PcapngWriter writer;
  // Not kRaw: libpcap compares that type's two numbers with each other and refuses the second interface.
  for (const std::string& tap : run.taps) writer.add_interface(tap, LinkType::kIpv4);
  for (const world::Seen& seen : run.packets)
    writer.add(seen.tap, CaptureTime{Duration{kEpochNs + (seen.time - run.begin).count()}}, seen.direction,
               world::encode(seen.packet));
  return writer.save(path);
}

}  // namespace tcpwhy::lab
