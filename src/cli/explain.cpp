// The corridor: source → tracker → diagnosis → reporter, for one capture or for
// several in turn.

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <any>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "cli/heap.hpp"
#ifdef TCPWHY_HOST
#include "cli/kernel_words.hpp"
#include "diagnose/host/witness.hpp"
#include "diagnose/kernel/join.hpp"
#include "host/read.hpp"
#endif
#include "cli/options.hpp"
#include "tcpwhy/capture.hpp"
#include "tcpwhy/explain.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::cli {
namespace {

int fail(const Error& error) {
  fmt::print(stderr, "tcpwhy: {}\n", error.message);
  return Exit::kCouldNotWork;
}

volatile bool g_stop = false;
void on_signal(int) { g_stop = true; }

std::unique_ptr<report::Reporter> make_reporter(const ExplainOptions& o, const report::TextOptions& text) {
  switch (o.format) {
    case Format::kText: return report::make_text(stdout, text);
    case Format::kJsonl: return report::make_jsonl(stdout, {o.only, text.files});
    case Format::kJson: return report::make_json(stdout, {o.only, text.files});
  }
  return nullptr;
}

report::TextOptions text_options(const ExplainOptions& o) {
  report::TextOptions t;
  t.only = o.only;
  t.selected = !o.filter.empty() || !o.from.empty() || !o.to.empty();
  t.files = o.interface.empty() ? o.files : std::vector<std::string>{o.interface};
  const char* no_colour = std::getenv("NO_COLOR");
  if (isatty(STDOUT_FILENO) && (no_colour == nullptr || *no_colour == '\0')) t.colour = report::Colour::kOn;
  winsize size{};
  if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
    t.columns = std::min<std::uint32_t>(size.ws_col, 120);
  return t;
}

/// A line on a terminal's stderr, a few times a second, removed at the end.
class Progress {
 public:
  explicit Progress(const capture::Source& source) : source_{source}, on_{isatty(STDERR_FILENO) == 1} {}
  ~Progress() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void operator()() {
    if (!on_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds{250}) return;
    last_ = now;
    const double mb = static_cast<double>(source_.consumed()) * 1e-6;
    if (source_.size() > 0)
      fmt::print(stderr, "\r\x1b[Ktcpwhy: {:.0f} of {:.0f} MB", mb, static_cast<double>(source_.size()) * 1e-6);
    else
      fmt::print(stderr, "\r\x1b[Ktcpwhy: {:.0f} MB", mb);
    std::fflush(stderr);
    shown_ = true;
  }

 private:
  const capture::Source& source_;
  bool on_, shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// One capture: the indices of its files in the user's list.
using Group = std::vector<std::uint8_t>;

/// Files that overlap in time are vantages, others pieces of one ring.
Result<std::vector<Group>> group(const ExplainOptions& o) {
  std::vector<Group> out;
  auto each_alone = [&] {
    for (std::size_t i = 0; i < o.files.size(); ++i) out.push_back({static_cast<std::uint8_t>(i)});
  };
  if (o.files.size() > 255) return Error{"cli.files", "more than 255 files: give them in several calls"};
  Group all(o.files.size());
  std::iota(all.begin(), all.end(), std::uint8_t{0});
  switch (o.relation) {
    case Files::kVantages: each_alone(); return out;
    case Files::kRing: out.push_back(std::move(all)); return out;
    case Files::kGuess: break;
  }
  if (o.files.size() == 1) {
    out.push_back(std::move(all));
    return out;
  }
  std::vector<capture::Extent> extents;
  for (const std::string& file : o.files) {
    if (file == "-") return Error{"cli.stdin", "standard input cannot be combined with files"};
    auto extent = capture::extent(file);
    if (!extent) return extent.error();
    extents.push_back(*extent);
  }
  bool overlap = false;
  for (std::size_t i = 0; i < extents.size(); ++i)
    for (std::size_t j = i + 1; j < extents.size(); ++j)
      overlap |= !extents[i].empty && !extents[j].empty && extents[i].first < extents[j].last &&
                 extents[j].first < extents[i].last;
  if (overlap)
    each_alone();
  else
    out.push_back(std::move(all));
  return out;
}

struct Run {
  const ExplainOptions& options;
  report::TextOptions text;
  std::unique_ptr<report::Reporter> reporter;
  std::optional<ConnectionChoice> choice;
  facts::Survey totals;
  std::vector<std::string> troubles;
  std::uint64_t chosen = 0, chosen_failed = 0;
#ifdef TCPWHY_HOST
  std::optional<facts::HostSnapshot> snapshot{};
  std::optional<diagnose::host::Witness> witness{};
#endif

  /// Judges by the packets, and by the snapshot of an end where there is one.
  diagnose::Answer judge(const facts::Connection& c, const facts::Survey& survey, diagnose::Detail detail) {
    diagnose::Answer answer = diagnose::explain(c, survey, detail);
    hear(c, answer);
    return answer;
  }
  void hear([[maybe_unused]] const facts::Connection& c, [[maybe_unused]] diagnose::Answer& answer) {
#ifdef TCPWHY_HOST
    if (witness) witness->testify(c, answer);
#endif
  }

  /// What is judged on any thread, before it is this connection's turn to be told.
  struct Judged {
    diagnose::Answer answer;
    diagnose::Detail detail = diagnose::Detail::kVerdicts;
  };
  void judge_ahead(const facts::Connection& c, const facts::Survey& survey, std::any& place) const {
    if (!place.has_value()) place.emplace<Judged>();
    auto& [answer, detail] = std::any_cast<Judged&>(place);
    diagnose::explain(c, survey, detail = diagnose::Detail::kVerdicts, answer);
    // Of text next to nothing is printed, and which that is depends on what was told before.
    if (options.format == Format::kText || !reporter->wants_sentences(answer)) return;
    diagnose::explain(c, survey, detail = diagnose::Detail::kSentences, answer);
  }

  void tell(const flow::Told& told, const facts::Survey& survey, diagnose::Populations& populations) {
    const facts::Connection& c = *told.connection;
    if (choice) {
      if (!choice->matches(c)) return;
      ++chosen;
      const diagnose::Answer answer = judge(c, survey, diagnose::Detail::kSentences);
      if (!answer.healthy) ++chosen_failed;
      if (options.format == Format::kText) {
        if (chosen > 1) std::fputc('\n', stdout);
        report::write_ladder(stdout, c, answer, text);
      } else {
        reporter->connection({c, told.alike, told.ids}, answer);
      }
      return;
    }
    Judged own;
    Judged* judged = told.prepared != nullptr ? std::any_cast<Judged>(told.prepared) : nullptr;
    if (judged != nullptr) hear(c, judged->answer);
    else (judged = &own)->answer = judge(c, survey, diagnose::Detail::kVerdicts);
    if (judged->detail == diagnose::Detail::kVerdicts && reporter->wants_sentences(judged->answer))
      judged->answer = judge(c, survey, diagnose::Detail::kSentences);
    populations.add(c, judged->answer, told.alike);
    reporter->connection({c, told.alike, told.ids}, judged->answer);
  }

  void add(const facts::Survey& survey, const capture::Losses& losses, const std::vector<std::string>& files) {
    facts::Survey& t = totals;
    if (survey.frames > 0) {
      t.begin = t.frames == 0 ? survey.begin : std::min(t.begin, survey.begin);
      t.end = t.frames == 0 ? survey.end : std::max(t.end, survey.end);
    }
    t.frames += survey.frames;
    t.connections += survey.connections;
    t.evicted += survey.evicted;
    t.stories_cut += survey.stories_cut;
    t.dropped_by_capture += survey.dropped_by_capture;
    t.truncated_frames += survey.truncated_frames;
    t.duplicate_frames += survey.duplicate_frames;
    t.one_direction_connections += survey.one_direction_connections;
    t.two_direction_connections += survey.two_direction_connections;
    t.clock_steps += survey.clock_steps;
    t.super_frames += survey.super_frames;
    t.capture_gap_connections += survey.capture_gap_connections;
    for (const capture::Trouble& trouble : losses.troubles)
      troubles.push_back(fmt::format("damaged input: {}: {}", trouble.file < files.size() ? report::input_name(files[trouble.file]) : "input", trouble.message));
  }
};

Result<std::unique_ptr<capture::Source>> open(const ExplainOptions& o, const Group& files,
                                              const capture::OpenOptions& options) {
  if (files.size() == 1) return capture::open_file(o.files[files[0]], files[0], options);
  std::vector<std::string> paths;
  for (std::uint8_t f : files) paths.push_back(o.files[f]);
  return capture::open_ring(paths, options);
}

Result<capture::OpenOptions> open_options(const ExplainOptions& o) {
  capture::OpenOptions out;
  out.filter = o.filter;
  CaptureTime first{};
  const bool relative = (!o.from.empty() && o.from[0] != '@') || (!o.to.empty() && o.to[0] != '@');
  if (relative && !o.files.empty() && o.files[0] != "-")
    if (auto extent = capture::extent(o.files[0]); extent) first = extent->first;
  for (const auto& [text, time] : {std::pair{&o.from, &out.from}, std::pair{&o.to, &out.to}}) {
    if (text->empty()) continue;
    auto parsed = parse_time(*text, first);
    if (!parsed) return parsed.error();
    *time = *parsed;
  }
  return out;
}

int explain_files(Run& run, flow::Options tracking) {
  const ExplainOptions& o = run.options;
  auto groups = group(o);
  if (!groups) return fail(groups.error());
  auto opening = open_options(o);
  if (!opening) return fail(opening.error());

  for (const Group& files : *groups) {
    auto source = open(o, files, *opening);
    if (!source) return fail(source.error());
    constexpr std::uint64_t kLong = 64u << 20;
    if ((*source)->size() >= kLong) expect_a_long_capture();
    tracking.first_id = run.totals.connections;
    flow::Tracker tracker{tracking};
    {
      Progress progress{**source};
      auto reopen = [&]() -> std::unique_ptr<capture::Source> {
        auto again = open(o, files, *opening);
        return again ? std::move(*again) : nullptr;
      };
      tracker.run(**source, (*source)->reopenable() ? flow::Reopen{reopen} : flow::Reopen{}, [&] { progress(); });
    }
    tracker.finish((*source)->losses());
    diagnose::Populations populations;
    const flow::Grouping grouping = o.format == Format::kText && o.only == report::Only::kFailed && !run.choice
                                        ? flow::Grouping::kLoneSynsTogether
                                        : flow::Grouping::kEach;
    // Of one connection that was asked for nothing is judged before it is found.
    flow::Prepare prepare;
    if (!run.choice)
      prepare = [&](const facts::Connection& c, std::any& place) { run.judge_ahead(c, tracker.survey(), place); };
    tracker.tell(grouping, [&](const flow::Told& told) { run.tell(told, tracker.survey(), populations); }, prepare);
    if (!run.choice)
      for (const diagnose::Finding& f : populations.findings(tracker.survey())) run.reporter->finding(f);
    run.add(tracker.survey(), (*source)->losses(), o.files);
  }
  return Exit::kNothingFailed;
}

#ifdef TCPWHY_HOST
/// Answers of a live capture, kept back until the kernel has had the time to say its word.
class WithKernel {
 public:
  WithKernel(Run& run, diagnose::Populations& populations) : run_{run}, populations_{populations} {}

  /// Where kernel events cannot be had, the capture alone must do.
  void start() {
    auto words = KernelWords::start();
    if (words)
      reader_ = std::move(*words);
    else
      run_.troubles.push_back("no kernel events: " + words.error().message);
    for (const std::string& trouble : run_.troubles) fmt::print(stderr, "tcpwhy: {}\n", trouble);
  }

  void tell(const flow::Told& told, const facts::Survey& survey) {
    Held held{*told.connection, diagnose::explain(*told.connection, survey, diagnose::Detail::kSentences), told.alike,
              {told.ids.begin(), told.ids.end()}, monotonic_ns() + kPatience};
    held_.push_back(std::move(held));
  }

  void tell_due() {
    listen();
    const std::uint64_t now = monotonic_ns();
    std::size_t n = 0;
    while (n < held_.size() && held_[n].due_ns <= now) out(held_[n++]);
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(n));
    words_.forget(now - std::min(now, kMemory));
  }

  void finish() {
    if (reader_) reader_->stop();
    listen();
    for (Held& held : held_) out(held);
    held_.clear();
    if (reader_)
      for (std::string& trouble : reader_->shortcomings()) run_.troubles.push_back(std::move(trouble));
  }

 private:
  // A case of the kernel's events is judged after 1.2 s at the latest (diagnose/kernel/judge.cpp).
  static constexpr std::uint64_t kPatience = 1'500'000'000, kMemory = 300'000'000'000;
  struct Held {
    facts::Connection connection;
    diagnose::Answer answer;
    std::uint64_t alike;
    std::vector<std::uint64_t> ids;
    std::uint64_t due_ns;
  };

  void listen() {
    if (!reader_) return;
    for (auto& failure : reader_->take()) words_.add(std::move(failure));
  }
  void out(Held& held) {
    if (const auto* word = words_.about(held.connection)) diagnose::kernel::join(*word, held.answer);
    populations_.add(held.connection, held.answer, held.alike);
    run_.reporter->connection({held.connection, held.alike, held.ids}, held.answer);
  }

  Run& run_;
  diagnose::Populations& populations_;
  std::unique_ptr<KernelWords> reader_;
  diagnose::kernel::Words words_{wall_offset()};
  std::vector<Held> held_;
};
#endif

int explain_live(Run& run, flow::Options tracking) {
  const ExplainOptions& o = run.options;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  tracking.tell_as_they_end = true;
  tracking.threads = 1;
  diagnose::Populations populations;
#ifdef TCPWHY_HOST
  WithKernel with_kernel{run, populations};
  const bool kernel = o.with_kernel && !run.choice;
  // The kernel may know of a fault where the packets look well.
  tracking.tell_all |= kernel;
#endif
  flow::Tracker tracker{tracking};
  auto tell = [&] {
    tracker.tell(flow::Grouping::kEach, [&](const flow::Told& told) {
#ifdef TCPWHY_HOST
      if (kernel) return with_kernel.tell(told, tracker.survey());
#endif
      run.tell(told, tracker.survey(), populations);
    });
#ifdef TCPWHY_HOST
    if (kernel) with_kernel.tell_due();
#endif
    std::fflush(stdout);
  };
  // An interface that has fallen silent must not hold answers up.
  const auto meanwhile = [&](CaptureTime now) {
    tracker.pass(now);
    tell();
  };
  auto source = capture::open_live(o.interface, {o.filter, CaptureTime::min(), CaptureTime::max()}, &g_stop, meanwhile);
  if (!source) return fail(source.error());
#ifdef TCPWHY_HOST
  if (kernel) with_kernel.start();
#endif
  if (isatty(STDERR_FILENO) || o.with_kernel)
    fmt::print(stderr, "tcpwhy: capturing on {}{}; Ctrl-C ends and explains\n", o.interface, o.with_kernel ? ", with kernel events" : "");
  // Every open connection is looked at to tell the ended ones: not for each handful of frames.
  constexpr auto kTellEvery = std::chrono::milliseconds{50};
  auto told = std::chrono::steady_clock::now();
  for (auto frames = (*source)->next(); !frames.empty(); frames = (*source)->next()) {
    tracker.observe(frames);
    if (const auto now = std::chrono::steady_clock::now(); now - told >= kTellEvery) {
      tell();
      told = now;
    }
  }
  tracker.finish((*source)->losses());
  tell();
#ifdef TCPWHY_HOST
  if (kernel) with_kernel.finish();
#endif
  for (const diagnose::Finding& f : populations.findings(tracker.survey())) run.reporter->finding(f);
  run.add(tracker.survey(), (*source)->losses(), o.files);
  return Exit::kNothingFailed;
}

}  // namespace

int explain(const ExplainOptions& options) {
  Run run{options, text_options(options), nullptr, std::nullopt, {}, {}};
  run.reporter = make_reporter(options, run.text);
  flow::Options tracking;
  tracking.threads = options.threads != 0 ? options.threads : std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  if (options.max_connections != 0) tracking.max_connections = options.max_connections;
  tracking.tell_all = options.only == report::Only::kAll;
  tracking.verify_checksums = options.verify_checksums;
  if (!options.connection.empty()) {
    auto choice = parse_connection(options.connection);
    if (!choice) return fail(choice.error());
    run.choice = *choice;
    tracking.tell_all = true;
  }
#ifdef TCPWHY_HOST
  if (!options.host.empty()) {
    auto snapshot = host::load(options.host);
    if (!snapshot) return fail(snapshot.error());
    run.snapshot = std::move(*snapshot);
    run.witness.emplace(*run.snapshot, options.host);
  }
#endif
  const int status = options.interface.empty() ? explain_files(run, tracking) : explain_live(run, tracking);
  if (status != Exit::kNothingFailed) return status;
#ifdef TCPWHY_HOST
  if (run.witness)
    for (std::string& trouble : run.witness->shortcomings(run.totals.begin, run.totals.end)) run.troubles.push_back(std::move(trouble));
#endif
  if (run.choice) {
    if (run.chosen == 0)
      return fail({"cli.connection", fmt::format("no connection {} in this capture; --only all --format jsonl lists them all",
                                                 options.connection)});
    if (options.format != Format::kText) run.reporter->finish(run.totals, run.troubles);
    return run.chosen_failed > 0 ? Exit::kSomethingFailed : Exit::kNothingFailed;
  }
  run.reporter->finish(run.totals, run.troubles);
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    return fail({"cli.output", "the answer could not be written: is the disk full, or the pipe closed?"});
  return run.reporter->failed() > 0 ? Exit::kSomethingFailed : Exit::kNothingFailed;
}

}  // namespace tcpwhy::cli
