#include "lab/fuzz.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "lab/kernel_host.hpp"

namespace tcpwhy::lab {
namespace {

/// Asked again so often before it is believed: a busy machine moves a packet across another.
constexpr int kConfirmations = 2;
/// Then so often while no other trial runs: what never comes back is the company's, not the model's.
constexpr int kAlone = 3;

struct Judged {
  std::unique_ptr<Experiment> experiment;  ///< the runs point to it
  Comparison comparison;
  Run model, kernel;
  bool by_lateness = false;  ///< they differ, and not when the model is as late as a real host
  [[nodiscard]] std::string difference() const { return by_lateness ? std::string{} : signature(comparison); }
};

/// Round trips of a real host are some microseconds longer. That decides which tick a timer falls on, and with it whether it
/// comes before or after an act beside it; and how many segments a burst holds. Does the model agree with the kernel when
/// each act comes later than the one before by as much, or its ticks lie elsewhere within one, or what it sends for the first
/// time leaves a moment after what it sends again?
bool agrees_if_late(const Trial& trial, const Run& kernel, Options o, const FuzzOptions& options) {
  if (!o.machine) return false;
  const Duration jiffies = o.machine->jiffies;
  for (const Duration late : {0us, 10us, 30us, 80us, 200us}) {
    Trial moved = trial;
    Duration so_far{};
    for (TrialAct& act : moved.acts) act.at += (so_far += late);
    const Experiment experiment = experiment_of(moved);
    for (int quarter = 0; quarter < 4; ++quarter) {
      o.machine->jiffies = jiffies + options.leeway.tick * quarter / 4;
      for (const Duration lag : {0us, 10us}) {
        o.machine->send_lag = lag;
        const auto model = run_on_model(experiment, o);
        if (model && signature(compare(*model, kernel, options.leeway)).empty()) return true;
      }
    }
  }
  return false;
}

/// A stopped tool (job control, a machine that sleeps) is late for everything at once. A thread that does nothing but wait
/// notices; time that the tool did not run does not count.
class Heart {
 public:
  [[nodiscard]] std::uint64_t gaps() const { return gaps_; }
  [[nodiscard]] std::chrono::milliseconds ran() const { return std::chrono::milliseconds{beats_ * kBeat.count()}; }

 private:
  static constexpr std::chrono::milliseconds kBeat{50}, kGap{500};
  void beat(const std::stop_token& enough) {
    for (auto last = std::chrono::steady_clock::now(); !enough.stop_requested();) {
      std::this_thread::sleep_until(last + kBeat);
      const auto now = std::chrono::steady_clock::now();
      const bool gap = now - last > kGap;
      if (gap) ++gaps_;
      beats_ += gap ? 1 : static_cast<std::uint64_t>((now - last) / kBeat);
      last = gap ? now : last + (now - last) / kBeat * kBeat;
    }
  }
  std::atomic<std::uint64_t> gaps_{0}, beats_{0};
  std::jthread thread_{[this](const std::stop_token& enough) { beat(enough); }};
};

enum class Company : std::uint8_t { kOthers, kNone };

/// Where trials meet the kernel: many beside each other, or one alone.
class Floor {
 public:
  [[nodiscard]] const Heart& heart() const { return heart_; }

  Result<Run> run(const Experiment& experiment, const Options& options, Company company) {
    // Who wants to be alone keeps newcomers out while those who are there finish.
    std::unique_lock turn{turnstile_};
    if (company == Company::kNone) {
      const std::unique_lock alone{floor_};
      return run_undisturbed(experiment, options);
    }
    const std::shared_lock beside{floor_};
    turn.unlock();
    return run_undisturbed(experiment, options);
  }

 private:
  /// Played again while the tool was stopped in the middle of it.
  Result<Run> run_undisturbed(const Experiment& experiment, const Options& options) const {
    while (true) {
      const std::uint64_t gaps = heart_.gaps();
      auto run = run_on_kernel(experiment, options);
      if (!run || heart_.gaps() == gaps) return run;
    }
  }

  Heart heart_;
  std::mutex turnstile_;
  std::shared_mutex floor_;
};

/// Both runs of one trial.
Result<Judged> play(const Trial& trial, const FuzzOptions& options, Floor& floor, Company company = Company::kOthers) {
  auto experiment = std::make_unique<Experiment>(experiment_of(trial));
  Options o = options_of(trial);
  auto kernel = floor.run(*experiment, o, company);
  if (!kernel) return kernel.error();
  o.kernel = o.client_kernel = options.kernel;
  o.machine = kernel->machine;
  auto model = run_on_model(*experiment, o);
  if (!model) return model.error();
  Comparison c = compare(*model, *kernel, options.leeway);
  const bool by_lateness = !signature(c).empty() && agrees_if_late(trial, *kernel, o, options);
  return Judged{std::move(experiment), std::move(c), std::move(*model), std::move(*kernel), by_lateness};
}

std::string signature_of(const Trial& trial, const FuzzOptions& options, Floor& floor, Company company = Company::kOthers) {
  const auto judged = play(trial, options, floor, company);
  return judged ? judged->difference() : std::string{};
}

/// Of a line what is not a number, for a packet from its flags on.
std::string shape(const std::string& line) {
  const std::size_t flags = line.find("Flags");
  std::string out;
  for (const char c : line.substr(flags == std::string::npos ? 0 : flags))
    if (c < '0' || c > '9') out += c;
  return out;
}

class Fuzzer {
 public:
  Fuzzer(const FuzzOptions& options, const std::function<void(const Find&)>& found) : options_{options}, found_{found} {}

  Result<FuzzTally> run() {
    if (auto cannot = kernel_is_usable()) return *cannot;
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < options_.at_once; ++i) threads.emplace_back([this] { work(); });
    }
    if (error_) return *error_;
    return tally_;
  }

 private:
  void work() {
    while (true) {
      const std::uint64_t n = next_++;
      if (broken_ || (options_.trials != 0 ? n >= options_.trials : floor_.heart().ran() >= std::chrono::duration<double>{options_.seconds})) return;
      const Trial trial = generate(options_.first_seed + n, options_.fast_open, options_.ip_version);
      const auto judged = play(trial, options_, floor_);
      std::unique_lock lock{mutex_};
      if (!judged) {
        if (!error_) error_ = judged.error();
        broken_ = true;
        return;
      }
      ++tally_.trials;
      if (judged->by_lateness) ++tally_.by_lateness;
      if (const std::string kind = judged->difference(); !kind.empty()) suspects_.emplace_back(trial, kind);
      settle(lock);
    }
  }

  // Under the lock only while the book is changed; the runs themselves take seconds.
  void settle(std::unique_lock<std::mutex>& lock) {
    while (!suspects_.empty()) {
      auto [trial, kind] = std::move(suspects_.back());
      suspects_.pop_back();
      lock.unlock();
      const bool steady = comes_back(trial, kind);
      lock.lock();
      if (!steady) {
        tally_.unsteady.push_back(trial.seed);
        continue;
      }
      ++tally_.differ;
      if (++tally_.by_signature[kind] > 1) continue;
      lock.unlock();
      const Find find = cut_down(std::move(trial), kind);
      lock.lock();
      if (!find.text.empty()) found_(find);
    }
  }

  /// The same difference each time beside others, and any at least once alone.
  bool comes_back(const Trial& trial, const std::string& kind) {
    for (int i = 0; i < kConfirmations; ++i)
      if (signature_of(trial, options_, floor_) != kind) return false;
    for (int i = 0; i < kAlone; ++i)
      if (!signature_of(trial, options_, floor_, Company::kNone).empty()) return true;
    return false;
  }

  /// Leaves out one act after the other, as long as the difference stays what it is.
  Find cut_down(Trial trial, const std::string& kind) {
    for (bool again = true; again;) {
      again = false;
      std::vector<char> needless(trial.acts.size(), 0);
      {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < trial.acts.size(); ++i)
          threads.emplace_back([&, i] {
            Trial shorter = trial;
            shorter.acts.erase(shorter.acts.begin() + static_cast<std::ptrdiff_t>(i));
            needless[i] = signature_of(shorter, options_, floor_) == kind;
          });
      }
      for (std::size_t i = trial.acts.size(); i-- > 0;) {
        if (!needless[i]) continue;
        Trial shorter = trial;
        shorter.acts.erase(shorter.acts.begin() + static_cast<std::ptrdiff_t>(i));
        // The first was tried alone; each further one has to be needless beside those that are gone.
        if (again && signature_of(shorter, options_, floor_) != kind) continue;
        trial = std::move(shorter);
        again = true;
      }
    }
    const auto judged = play(trial, options_, floor_);
    if (!judged) return {};
    return {trial, kind, text(judged->comparison, judged->model, judged->kernel, options_.leeway), packetdrill(trial, judged->kernel)};
  }

  const FuzzOptions& options_;
  const std::function<void(const Find&)>& found_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> broken_{false};  ///< a trial could not be played: nothing new is begun
  Floor floor_;
  std::mutex mutex_;
  std::vector<std::pair<Trial, std::string>> suspects_;
  FuzzTally tally_;
  std::optional<Error> error_;
};

}  // namespace

// Of a counter that the model does not have nothing can be said.
std::string signature(const Comparison& c) {
  const auto first = [](const std::vector<Pair>& pairs, bool apart) {
    return std::find_if(pairs.begin(), pairs.end(), [apart](const Pair& p) { return apart ? p.apart : p.has != Pair::Has::kBoth; });
  };
  const auto mark = [](const Pair& p) { return p.has == Pair::Has::kModelOnly ? "model only: " : "kernel only: "; };
  if (const auto p = first(c.packets, false); p != c.packets.end()) return mark(*p) + shape(p->line);
  if (const auto p = first(c.calls, false); p != c.calls.end()) return mark(*p) + shape(p->line);
  std::string counters;
  for (const CounterPair& p : c.counters)
    if (p.model && !p.agrees()) counters += (counters.empty() ? "" : " ") + p.name;
  if (!counters.empty()) return "counters: " + counters;
  const auto late = first(c.packets, true);
  return late == c.packets.end() ? "" : "time: " + shape(late->line);
}

Result<FuzzTally> fuzz(const FuzzOptions& options, const std::function<void(const Find&)>& found) {
  return Fuzzer{options, found}.run();
}

}  // namespace tcpwhy::lab
