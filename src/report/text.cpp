// The answer for people: first how many connections failed and how many causes
// explain them, then each cause once with its best example, then who else.
// A thousand failures of one cause are one paragraph.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/ladder.hpp"
#include "report/reporter.hpp"
#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

constexpr std::size_t kExamplesKept = 12;   // connections named under a cause
constexpr std::size_t kScreenCauses = 6;    // causes shown with evidence before the rest get one line each

/// A connection as one line, and what an example paragraph needs beside it.
struct Example {
  std::string line;
  std::string paragraph;
};

struct Cluster {
  std::uint64_t connections = 0;
  std::array<std::uint64_t, 4> verdicts{};  // by Verdict
  std::string title;
  std::vector<Example> examples;
};

constexpr std::string_view kUnexplained{};  // sorts first; shown last

class Text final : public Reporter {
 public:
  Text(std::FILE* out, TextOptions options) : out_{out}, options_{std::move(options)}, style_{options_.colour} {}

  bool wants_sentences(const diagnose::Answer& judged) const override {
    if (judged.healthy) return false;
    auto it = failures_.find(key_of(judged));
    return it == failures_.end() || it->second.examples.size() < 1 || options_.only == Only::kAll;
  }

  void connection(const Entry& entry, const diagnose::Answer& answer) override {
    const facts::Connection& c = entry.connection;
    for (const diagnose::Diagnosis& d : answer.diagnoses)
      if (d.benign) harmless_[diagnose::to_string(d.cause)] += entry.alike;
    if (answer.healthy) {
      if (options_.only == Only::kAll) healthy_lines_.push_back(line_of(c, answer));
      return;
    }
    failed_ += entry.alike;
    Cluster& cluster = failures_[key_of(answer)];
    cluster.connections += entry.alike;
    if (!answer.diagnoses.empty()) ++cluster.verdicts[static_cast<std::size_t>(answer.diagnoses.front().verdict)];
    if (cluster.examples.size() < kExamplesKept || options_.only == Only::kAll) {
      Example example;
      example.line = line_of(c, answer);
      if (cluster.examples.empty()) {
        cluster.title = answer.diagnoses.empty() ? std::string{} : answer.diagnoses.front().summary;
        example.paragraph = paragraph_of(c, answer);
      }
      cluster.examples.push_back(std::move(example));
    }
  }

  void finding(const diagnose::Finding& finding) override { findings_.push_back(finding); }

  void finish(const facts::Survey& survey, const std::vector<std::string>& troubles) override {
    headline(survey);
    for (const std::string& trouble : troubles) print(style_.warn(trouble) + "\n");
    for (const std::string& words : quality_words(survey)) print(style_.dim("note: " + words) + "\n");
    std::vector<const std::pair<const std::string_view, Cluster>*> ordered;
    for (const auto& entry : failures_) ordered.push_back(&entry);
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
      if (a->first.empty() != b->first.empty()) return b->first.empty();
      return a->second.connections > b->second.connections;
    });
    for (const diagnose::Finding& f : findings_) show(f);
    std::size_t shown = 0;
    for (const auto* entry : ordered) {
      if (shown == kScreenCauses && ordered.size() > kScreenCauses + 2) print("\nAnd:\n");
      if (shown++ < kScreenCauses || ordered.size() <= kScreenCauses + 2)
        show(entry->first, entry->second);
      else
        print(fmt::format("  {:<9} {} {}\n", "×" + grouped(entry->second.connections), entry->first,
                          style_.dim(entry->second.examples.front().line)));
    }
    if (options_.only == Only::kAll && !healthy_lines_.empty()) {
      print("\nHealthy:\n");
      for (const std::string& line : healthy_lines_) print("  " + line + "\n");
    }
    if (!harmless_.empty()) {
      std::string words;
      for (const auto& [cause, n] : harmless_) words += fmt::format("{}{} ×{}", words.empty() ? "" : ", ", cause, grouped(n));
      print("\n" + wrap(words, "Also seen, harmless: ", "  ", options_.columns));
    }
    if (failed_ > 0)
      print(style_.dim("\n`tcpwhy why CAUSE` explains a cause, `--connection N` shows one connection packet by packet.") +
            "\n");
  }

 private:
  static std::string_view key_of(const diagnose::Answer& answer) {
    if (answer.diagnoses.empty() || answer.diagnoses.front().benign) return kUnexplained;
    return diagnose::to_string(answer.diagnoses.front().cause);
  }

  static std::string line_of(const facts::Connection& c, const diagnose::Answer& answer) {
    const facts::ZeekWords zeek = facts::zeek_words(c);
    std::string out = fmt::format("{} → {}  {}  {}, {}", facts::to_string(c.ends[0]), facts::to_string(c.ends[1]),
                                  zeek.history.empty() ? "-" : zeek.history, facts::to_string(c.outcome),
                                  duration_words(c.end - c.start));
    out += fmt::format("  (connection {})", c.id);
    if (answer.kernel && answer.kernel->pid != 0) out += fmt::format("  {}[{}]", answer.kernel->comm, answer.kernel->pid);
    if (answer.healthy && !answer.diagnoses.empty())
      out += fmt::format("  {}", diagnose::to_string(answer.diagnoses.front().cause));
    return out;
  }

  std::string paragraph_of(const facts::Connection& c, const diagnose::Answer& answer) const {
    return answer_paragraph(c, answer, options_, style_);
  }

  void headline(const facts::Survey& survey) {
    std::string line;
    const std::uint64_t causes = failures_.size() - failures_.count(kUnexplained);
    const std::uint64_t unexplained =
        failures_.contains(kUnexplained) ? failures_.at(kUnexplained).connections : 0;
    if (survey.connections == 0)
      line = survey.frames != 0 ? "The capture holds no TCP connection."
             : options_.selected ? "No packet of the capture matches the filter and the time window."
                                 : "The capture holds no packets.";
    else if (failed_ == 0)
      line = fmt::format("Nothing failed: {} connection{}, all healthy as far as this capture shows.",
                         grouped(survey.connections), survey.connections == 1 ? "" : "s");
    else {
      line = fmt::format("{} of {} connection{} failed", grouped(failed_), grouped(survey.connections),
                         survey.connections == 1 ? "" : "s");
      if (causes > 0)
        line += fmt::format("; {} cause{} explain{} {}", causes, causes == 1 ? "" : "s", causes == 1 ? "s" : "",
                            unexplained > 0 ? grouped(failed_ - unexplained) + " of them" : failed_ == 1 ? "it" : "them");
      if (unexplained > 0) line += fmt::format("; {} unexplained", grouped(unexplained));
      line += ".";
    }
    print(style_.strong(line) + "\n");
    std::string files;
    for (const std::string& f : options_.files) files += (files.empty() ? "" : ", ") + input_name(f);
    std::string size = fmt::format("{} · {} frame{}", files, grouped(survey.frames), survey.frames == 1 ? "" : "s");
    if (survey.connections > 0) size += fmt::format(" · {}", duration_words(survey.end - survey.begin));  // that of the TCP packets
    print(style_.dim(size) + "\n");
  }

  void show(std::string_view cause, const Cluster& cluster) {
    print("\n");
    if (cause.empty()) {
      print(answer_line("Nothing in the catalogue explains what was seen.", fmt::format("unexplained ×{}", grouped(cluster.connections)),
                        options_, style_));
    } else {
      std::string verdicts;
      for (std::size_t v = 0; v < cluster.verdicts.size(); ++v)
        if (cluster.verdicts[v] > 0)
          verdicts += fmt::format("{}{}", verdicts.empty() ? "" : "/", diagnose::to_string(static_cast<diagnose::Verdict>(v)));
      if (cluster.connections > 1) verdicts += " ×" + grouped(cluster.connections);
      print(answer_line(cluster.title, verdicts, options_, style_));
    }
    print(style_.dim(fmt::format("  {}", cause.empty() ? "the first frame nothing explains is named below" : cause)) + "\n");
    if (!cluster.examples.empty()) {
      print("  " + cluster.examples.front().line + "\n");
      print(cluster.examples.front().paragraph);
    }
    const std::size_t also = options_.only == Only::kAll ? cluster.examples.size() : std::min<std::size_t>(cluster.examples.size(), 4);
    for (std::size_t i = 1; i < also; ++i) print("  " + cluster.examples[i].line + "\n");
    if (cluster.connections > also && also > 0)
      print(style_.dim(fmt::format("  … and {} more like it (--format jsonl lists them)", grouped(cluster.connections - also))) + "\n");
  }

  void show(const diagnose::Finding& f) {
    print("\n");
    print(answer_line(f.summary, std::string{diagnose::to_string(f.verdict)}, options_, style_));
    print(style_.dim(fmt::format("  {} · {} connection{}", f.cause, grouped(f.connections), f.connections == 1 ? "" : "s")) + "\n");
    for (const diagnose::Citation& e : f.evidence) print(wrap(cited(e), "  ! ", "    ", options_.columns));
    if (!f.settles.empty()) print(wrap(f.settles, "  to be sure: ", "    ", options_.columns));
    for (const std::string& fix : f.fix) print(wrap(fix, "  fix: ", "    ", options_.columns));
  }

  void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), out_); }

  std::FILE* out_;
  TextOptions options_;
  Style style_;
  std::map<std::string_view, Cluster> failures_;  // by the name of the cause
  std::map<std::string_view, std::uint64_t> harmless_;
  std::vector<std::string> healthy_lines_;
  std::vector<diagnose::Finding> findings_;
};

}  // namespace

std::unique_ptr<Reporter> make_text(std::FILE* out, const TextOptions& options) {
  return std::make_unique<Text>(out, options);
}

}  // namespace tcpwhy::report
