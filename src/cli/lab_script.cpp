#include "cli/lab_script.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "script/run.hpp"

namespace tcpwhy::cli {
namespace {

namespace fs = std::filesystem;
using script::IpFamily;
using script::Verdict;

std::optional<std::string> text_of(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>{in}, {}};
}

std::vector<fs::path> scripts_below(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> out;
  for (fs::recursive_directory_iterator it{path, error}, end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".pkt") out.push_back(it->path());
  std::sort(out.begin(), out.end());
  return out;
}

struct Tally {
  int passed = 0, failed = 0, refused = 0;
};

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed: return "passed";
    case Verdict::kFailed: return "failed";
    case Verdict::kRefused: return "refused";
  }
  return "";
}

class Runs {
 public:
  explicit Runs(const ScriptOptions& options) : options_{options} {}

  int run() {
    for (const std::string& file : options_.files)
      for (const fs::path& path : scripts_below(file)) one(path);
    const int runs = tally_.passed + tally_.failed + tally_.refused;
    if (runs > 1 && options_.format == Format::kText)
      std::printf("%d of %d passed, %d failed, %d refused\n", tally_.passed, runs, tally_.failed,
                  tally_.refused);
    if (unreadable_ > 0 || runs == 0) return Exit::kCouldNotWork;
    return tally_.failed > 0    ? Exit::kSomethingFailed
           : tally_.refused > 0 ? Exit::kCouldNotWork
                                : Exit::kNothingFailed;
  }

 private:
  void one(const fs::path& path) {
    const auto text = text_of(path);
    if (!text) {
      std::fprintf(stderr, "tcpwhy: cannot be read: %s\n", path.c_str());
      ++unreadable_;
      return;
    }
    for (const IpFamily family : families(*text, path)) {
      script::Definitions names = script::definitions(family);
      for (const auto& [name, value] : options_.definitions) names[name] = value;
      const auto parsed = script::parse(*text, path.string(), names);
      if (const auto* complaint = std::get_if<script::Complaint>(&parsed)) {
        say(path, family, {Verdict::kRefused, *complaint, {}}, false);
        continue;
      }
      const auto& read = std::get<script::Script>(parsed);
      const fs::path beside = path.parent_path();
      const auto report = script::run(read, {family, options_.kernel, options_.sysctls},
                                      [&beside](const std::string& name) { return text_of(beside / name); });
      say(path, family, report, script::as_expected(read, report));
    }
  }

  /// The families asked for, of those the script allows.
  std::vector<IpFamily> families(const std::string& text, const fs::path& path) const {
    std::optional<IpFamily> own;
    const auto parsed = script::parse(text, path.string(), script::definitions(IpFamily::kIpv4));
    if (const auto* read = std::get_if<script::Script>(&parsed)) own = script::family_of(*read);
    if (options_.families.empty()) return {own.value_or(IpFamily::kIpv4)};
    std::vector<IpFamily> out;
    for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6, IpFamily::kMapped}) {
      const bool asked =
          std::any_of(options_.families.begin(), options_.families.end(),
                      [&](const std::string& f) { return f == "all" || f == script::name(family); });
      if (asked && (!own || *own == family)) out.push_back(family);
    }
    return out;
  }

  void say(const fs::path& path, IpFamily family, const script::Report& report, bool as_expected) {
    switch (report.verdict) {
      case Verdict::kRefused: ++tally_.refused; break;
      case Verdict::kPassed:
      case Verdict::kFailed: ++(as_expected ? tally_.passed : tally_.failed);
    }
    const std::string family_name{script::name(family)};
    if (options_.format != Format::kText) {
      const nlohmann::json line{{"script", path.string()},         {"family", family_name},
                                {"verdict", word(report.verdict)}, {"as_expected", as_expected},
                                {"line", report.complaint.line},   {"message", report.complaint.message}};
      std::puts(line.dump().c_str());
      return;
    }
    const bool bad = report.verdict == Verdict::kRefused || !as_expected;
    if (options_.story == ScriptOptions::Story::kOfAll ||
        (bad && options_.story == ScriptOptions::Story::kOfFailures))
      for (const std::string& line : report.story) std::printf("    %s\n", line.c_str());
    if (report.verdict == Verdict::kPassed)
      std::printf("%s %-6s %s%s\n", bad ? "NOT OK" : "ok    ", family_name.c_str(), path.c_str(),
                  bad ? ": passed, and should have failed" : "");
    else
      std::printf("%s %-6s %s:%d: %s\n",
                  report.verdict == Verdict::kRefused ? "refuse"
                  : bad                               ? "FAIL  "
                                                      : "ok    ",
                  family_name.c_str(), path.c_str(), report.complaint.line, report.complaint.message.c_str());
  }

  const ScriptOptions& options_;
  Tally tally_;
  int unreadable_ = 0;
};

}  // namespace

int lab_script(const ScriptOptions& options) { return Runs{options}.run(); }

}  // namespace tcpwhy::cli
