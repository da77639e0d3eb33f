// A probe for programs. Keys are promised by docs/formats/jsonl.md.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "names/errno.hpp"
#include "report/objects.hpp"
#include "report/probe.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using Json = nlohmann::ordered_json;
using facts::Ask;
using facts::Came;
using facts::Question;

std::string line(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json of(const facts::IcmpWord& i) {
  Json j{{"sender", facts::to_string(i.sender)}, {"version", i.version}, {"type", i.type}, {"code", i.code}, {"text", facts::to_string(i)}};
  if (i.mtu != 0) j["mtu"] = i.mtu;
  return j;
}

Json of(const Question& q) {
  Json j{{"port", q.port}, {"local_port", q.local_port}, {"at_s", q.at_s}, {"took_s", q.took_s}, {"answer", facts::to_string(q.came)}};
  if (q.ask == Ask::kConnectShort) j["ttl"] = q.ttl;
  if (q.ask == Ask::kConnectOption) j["hop"] = q.ttl;
  if (q.ask == Ask::kSynStamped) j["tsval"] = *q.tsval;
  if (q.ask == Ask::kSynPlain) j["tsval"] = nullptr;
  if (q.error != 0) {
    j["errno"] = name(static_cast<Errno>(q.error));
    j["errno_number"] = q.error;
  }
  if (q.icmp) j["icmp"] = of(*q.icmp);
  if (q.header) {
    j["ttl_of_answer"] = q.header->ttl;
    j["ip_id"] = q.header->ip_id;
    j["window"] = q.header->window;
    if (q.header->mss != 0) j["mss"] = q.header->mss;
  }
  if (q.syns != 0) j["syns"] = q.syns;
  if (q.syn_acks != 0) j["syn_acks"] = q.syn_acks;
  return j;
}

Json list(const std::vector<Question>& questions) {
  Json out = Json::array();
  for (const Question& q : questions) out.push_back(of(q));
  return out;
}

Json of(const facts::Trace& t) {
  Json hops = Json::array();
  for (const facts::Hop& h : t.hops) {
    const Question& q = h.best();
    Json hop{{"hop", h.ttl}, {"answer", q.icmp && q.icmp->time_exceeded() ? "time-exceeded" : facts::to_string(q.came)}, {"asked", h.asked.size()}};
    if (q.icmp) {
      hop["ip"] = facts::to_string(q.icmp->sender);
      hop["icmp"] = of(*q.icmp);
    }
    if (!h.silent()) hop["took_s"] = q.took_s;
    if (q.header) hop["ttl_of_answer"] = q.header->ttl;
    hops.push_back(std::move(hop));
  }
  return Json{{"step", "path"}, {"port", t.port}, {"hops", std::move(hops)}};
}

Json route(const facts::ProbeRoute& r) {
  Json j{{"step", "route"}};
  if (r.error != 0) j["errno"] = name(static_cast<Errno>(r.error));
  if (r.source) j["source"] = facts::to_string(*r.source);
  j["gateway"] = r.gateway ? Json(facts::to_string(*r.gateway)) : Json(nullptr);
  j["interface"] = r.interface;
  j["mtu"] = r.mtu;
  if (!r.neighbour.empty()) j["neighbour"] = r.neighbour;
  return j;
}

Json names(const facts::Probe& p) {
  Json j{{"step", "name"}, {"host", p.host}, {"source", p.source}, {"dns", Json::array()}};
  for (const facts::NameAnswer& n : p.names) {
    Json one{{"type", n.type}, {"said", n.said}, {"took_s", n.took_s}, {"addresses", Json::array()}, {"aliases", n.aliases}};
    for (const facts::Address& a : n.addresses) one["addresses"].push_back(facts::to_string(a));
    if (!n.addresses.empty()) one["ttl_s"] = n.ttl_s;
    j["dns"].push_back(std::move(one));
  }
  return j;
}

Json sizes(const facts::SizeTest& t) {
  Json j{{"step", "size"}};
  if (!t.not_done.empty()) j["not_done"] = t.not_done;
  if (t.mss != 0) j["mss"] = t.mss;
  j["asked"] = Json::array();
  for (const facts::SizeQuestion& q : t.asked) {
    Json one{{"octets", q.octets}, {"answer", facts::to_string(q.came)}};
    if (q.icmp) one["icmp"] = of(*q.icmp);
    j["asked"].push_back(std::move(one));
  }
  return j;
}

Json idle(const facts::IdleTest& t) {
  Json j{{"step", "idle"}, {"bound_s", t.bound_s}, {"asked", Json::array()}};
  for (const facts::IdleQuestion& q : t.asked) {
    Json one{{"idle_s", q.idle_s}, {"end", facts::to_string(q.end)}};
    if (q.ended_s > 0) one["ended_s"] = q.ended_s;
    j["asked"].push_back(std::move(one));
  }
  return j;
}

Json steps_of(const facts::Probe& p, const facts::ProbeAddress& a) {
  Json out = Json::array();
  const auto asked = [&](const char* step, const std::vector<Question>& questions) {
    if (!questions.empty()) out.push_back({{"step", step}, {"asked", list(questions)}});
  };
  out.push_back(names(p));
  out.push_back(route(a.route));
  asked("connect", a.connects);
  asked("connect-again", a.again);
  asked("other-ports", a.others);
  if (a.trace) out.push_back(of(*a.trace));
  if (a.control) out.push_back(of(*a.control));
  asked("full-timestamp-option", a.options);
  asked("stray-ack", a.acks);
  asked("timestamps", a.stamps);
  if (!a.size.asked.empty() || !a.size.not_done.empty()) out.push_back(sizes(a.size));
  if (a.half_open.wanted == facts::HalfOpenTest::Wanted::kYes) {
    Json j{{"step", "half-open"}};
    if (a.half_open.asked) j["asked"] = Json::array({of(*a.half_open.asked)});
    else j["not_done"] = a.half_open.not_done;
    out.push_back(std::move(j));
  }
  if (a.idle.bound_s > 0) out.push_back(idle(a.idle));
  return out;
}

}  // namespace

void write_probe_jsonl(std::FILE* out, const facts::Probe& p, const std::vector<diagnose::probe::ProbeAnswer>& answers) {
  std::size_t failed = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const facts::ProbeAddress& a = p.addresses[i];
    Json j{{"type", "address"}, {"name", p.host}, {"target", endpoint(a.target)}, {"outcome", answers[i].outcome}, {"healthy", answers[i].healthy}};
    j["steps"] = steps_of(p, a);
    j["diagnoses"] = Json::array();
    for (const diagnose::Diagnosis& d : answers[i].diagnoses) j["diagnoses"].push_back(diagnosis(d, {}, 1));
    j["packets"] = a.packets;
    failed += answers[i].healthy ? 0 : 1;
    fmt::print(out, "{}\n", line(j));
  }
  const Json summary{{"type", "summary"}, {"addresses", answers.size()}, {"failed", failed}, {"packets", p.packets}, {"max_packets", p.max_packets},
                     {"packets_counted", p.counted == facts::Counted::kByTap}, {"took_s", p.took_s}, {"without_root", p.without_root}, {"quality", p.quality}};
  fmt::print(out, "{}\n", line(summary));
}

}  // namespace tcpwhy::report
