// JSON Lines and JSON after docs/formats/jsonl.md. Connections leave as they
// come; causes and the summary follow at the end.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "report/objects.hpp"
#include "report/reporter.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kIdsKept = 1000;

struct CauseTotal {
  std::uint64_t connections = 0;
  std::map<std::string, std::uint64_t> verdicts;
  std::vector<std::uint64_t> ids;
};

Json citation(const diagnose::Citation& c, std::size_t files) {
  Json out;
  if (files > 1) out["file"] = c.file;
  out["frames"] = c.frames;
  out["text"] = c.text;
  return out;
}

}  // namespace

Json diagnosis(const diagnose::Diagnosis& d, const std::string& filter, std::size_t files) {
  Json out;
  out["cause"] = diagnose::to_string(d.cause);
  out["verdict"] = diagnose::to_string(d.verdict);
  out["benign"] = d.benign;
  out["side"] = side_word(d.side);
  out["summary"] = d.summary;
  out["evidence"] = Json::array();
  for (const diagnose::Citation& e : d.evidence) out["evidence"].push_back(citation(e, files));
  out["settles"] = d.settles;
  out["fix"] = d.fix;
  if (!filter.empty()) out["filter"] = filter;
  out["rivals"] = Json::array();
  for (const diagnose::Rival& r : d.rivals) {
    Json rival;
    rival["cause"] = diagnose::to_string(r.cause);
    rival["verdict"] = diagnose::to_string(r.verdict);
    rival["because"] = r.because;
    if (!r.frames.empty()) rival["frames"] = r.frames;
    out["rivals"].push_back(std::move(rival));
  }
  return out;
}

Json endpoint(const facts::Endpoint& e) { return Json{{"ip", facts::to_string(e.address)}, {"port", e.port}}; }

namespace {

Json connection_object(const facts::Connection& c, std::uint64_t id, const diagnose::Answer& answer,
                       const std::vector<std::string>& files) {
  Json out;
  out["type"] = "connection";
  out["id"] = id;
  out["files"] = Json::array();
  for (std::uint8_t f : c.files)
    if (f < files.size()) out["files"].push_back(files[f]);
  out["client"] = endpoint(c.ends[0]);
  out["server"] = endpoint(c.ends[1]);
  if (c.roles_inferred) out["roles"] = "inferred";
  if (c.tunnel != 0) out["tunnel"] = c.tunnel;
  out["start"] = iso_time(c.start);
  out["end"] = iso_time(c.end);
  out["duration_s"] = seconds(c.end - c.start);
  out["first_frame"] = c.first_frame;
  out["last_frame"] = c.last_frame;
  out["frames"] = c.frames;
  out["packets"] = {{"client", c.streams[0].packets}, {"server", c.streams[1].packets}};
  out["payload_bytes"] = {{"client", c.streams[0].payload_bytes}, {"server", c.streams[1].payload_bytes}};
  facts::ZeekWords zeek = facts::zeek_words(c);
  out["history"] = std::move(zeek.history);
  out["conn_state"] = std::move(zeek.conn_state);
  out["vantage"] = facts::to_string(c.vantage);
  out["states"] = {{"client", to_string(c.states[0])}, {"server", to_string(c.states[1])}};
  out["outcome"] = facts::to_string(c.outcome);
  if (c.ended_by_network)
    out["ended_by"] = "network";
  else if (c.ended_by)
    out["ended_by"] = *c.ended_by == facts::Party::kClient ? "client" : "server";
  else
    out["ended_by"] = nullptr;
  out["healthy"] = answer.healthy;
  out["quality"] = quality_words(c.quality);
  out["diagnoses"] = Json::array();
  const std::string filter = display_filter(c);
  for (const diagnose::Diagnosis& d : answer.diagnoses) out["diagnoses"].push_back(diagnosis(d, filter, files.size()));
  if (answer.first_unexplained_frame != 0) out["first_unexplained_frame"] = answer.first_unexplained_frame;
  if (answer.kernel) {
    const diagnose::KernelWord& k = *answer.kernel;
    if (k.pid != 0) out["process"] = {{"pid", k.pid}, {"comm", k.comm}};
    if (k.pid != 0 && k.signal != 0) out["process"]["signal"] = k.signal;
    out["kernel"] = Json::object();
    if (!k.reset_reason.empty()) out["kernel"]["reset_reason"] = k.reset_reason;
    if (!k.drop_reason.empty()) out["kernel"]["drop_reason"] = k.drop_reason;
  }
  return out;
}

/// Collects totals; where an object goes is the subclass's matter.
class JsonBase : public Reporter {
 public:
  JsonBase(std::FILE* out, JsonOptions options) : out_{out}, options_{std::move(options)} {}

  bool wants_sentences(const diagnose::Answer& judged) const override {
    return !judged.healthy || options_.only == Only::kAll;
  }

  void connection(const Entry& entry, const diagnose::Answer& answer) override {
    if (!answer.healthy) {
      failed_ += entry.alike;
      if (answer.diagnoses.empty() || answer.diagnoses.front().benign) unexplained_ += entry.alike;
    }
    count(entry, answer);
    if (answer.healthy && options_.only != Only::kAll) return;
    put(List::kConnections, connection_object(entry.connection, entry.connection.id, answer, options_.files));
  }

  void finding(const diagnose::Finding& f) override {
    Json out;
    out["type"] = "finding";
    out["cause"] = f.cause;
    out["verdict"] = diagnose::to_string(f.verdict);
    out["side"] = side_word(f.side);
    out["summary"] = f.summary;
    out["evidence"] = Json::array();
    for (const diagnose::Citation& e : f.evidence) out["evidence"].push_back(citation(e, options_.files.size()));
    out["settles"] = f.settles;
    out["fix"] = f.fix;
    out["connections"] = f.connections;
    out["ids"] = f.ids;
    out["ids_omitted"] = f.ids_omitted;
    put(List::kFindings, out);
  }

  void finish(const facts::Survey& survey, const std::vector<std::string>& troubles) override {
    std::vector<std::pair<diagnose::CauseId, const CauseTotal*>> ordered;
    for (const auto& [id, total] : causes_) ordered.emplace_back(id, &total);
    std::stable_sort(ordered.begin(), ordered.end(),
                     [](const auto& a, const auto& b) { return a.second->connections > b.second->connections; });
    for (const auto& [id, total] : ordered) {
      Json out;
      out["type"] = "cause";
      out["cause"] = diagnose::to_string(id);
      out["connections"] = total->connections;
      out["verdicts"] = total->verdicts;
      out["ids"] = total->ids;
      out["ids_omitted"] = total->connections - std::min<std::uint64_t>(total->connections, total->ids.size());
      put(List::kCauses, out);
    }
    Json out;
    out["type"] = "summary";
    out["files"] = options_.files;
    out["frames"] = survey.frames;
    out["connections"] = survey.connections;
    out["failed"] = failed_;
    out["unexplained"] = unexplained_;
    out["quality"] = quality_words(survey);
    for (const std::string& trouble : troubles) out["quality"].push_back(trouble);
    summary(out);
  }

 protected:
  enum class List : std::uint8_t { kConnections, kFindings, kCauses };
  virtual void put(List list, const Json& object) = 0;
  virtual void summary(const Json& object) = 0;
  static std::string text(const Json& object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace); }
  void write(const std::string& s) { std::fwrite(s.data(), 1, s.size(), out_); }

 private:
  void count(const Entry& entry, const diagnose::Answer& answer) {
    for (std::size_t i = 0; i < answer.diagnoses.size(); ++i) {
      const diagnose::Diagnosis& d = answer.diagnoses[i];
      // A specific that is only possible beside its generic is no count of its own.
      if (i > 0 && d.verdict == diagnose::Verdict::kPossible) continue;
      CauseTotal& total = causes_[d.cause];
      total.connections += entry.alike;
      total.verdicts[std::string{diagnose::to_string(d.verdict)}] += entry.alike;
      if (entry.ids.empty() && total.ids.size() < kIdsKept) total.ids.push_back(entry.connection.id);
      for (std::uint64_t id : entry.ids)
        if (total.ids.size() < kIdsKept) total.ids.push_back(id);
    }
  }

  std::FILE* out_;
  JsonOptions options_;
  std::map<diagnose::CauseId, CauseTotal> causes_;
  std::uint64_t unexplained_ = 0;
};

class JsonLines final : public JsonBase {
  using JsonBase::JsonBase;
  void put(List, const Json& object) override { write(text(object) + "\n"); }
  void summary(const Json& object) override { write(text(object) + "\n"); }
};

/// Connections are streamed; the few findings and causes wait for their turn.
class JsonDocument final : public JsonBase {
  using JsonBase::JsonBase;
  void put(List list, const Json& object) override {
    switch (list) {
      case List::kConnections:
        write((any_ ? ",\n" : "{\"connections\":[") + text(object));
        any_ = true;
        return;
      case List::kFindings: findings_.push_back(object); return;
      case List::kCauses: causes_.push_back(object); return;
    }
  }
  void summary(const Json& object) override {
    write(any_ ? "],\n" : "{\"connections\":[],\n");
    write("\"findings\":" + text(findings_) + ",\n\"causes\":" + text(causes_) + ",\n\"summary\":" + text(object) + "}\n");
  }
  bool any_ = false;
  Json findings_ = Json::array(), causes_ = Json::array();
};

}  // namespace

std::unique_ptr<Reporter> make_jsonl(std::FILE* out, const JsonOptions& options) {
  return std::make_unique<JsonLines>(out, options);
}
std::unique_ptr<Reporter> make_json(std::FILE* out, const JsonOptions& options) {
  return std::make_unique<JsonDocument>(out, options);
}

}  // namespace tcpwhy::report
