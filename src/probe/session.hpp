#pragma once
// What one run of the probe shares: its clock, the bound on packets and the pace
// that keeps it polite, and the tap and the raw socket where the user may have them.

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "facts/probe.hpp"

namespace tcpwhy::probe {

class Tap;
class RawSender;

/// CLOCK_MONOTONIC in seconds.
double monotonic_s();
void sleep_s(double seconds);

/// Every question asks here first, with the most packets it can cost. What is refused is not asked.
class Budget {
 public:
  explicit Budget(std::uint32_t most) : most_{most} {}
  /// Takes `packets` or nothing.
  [[nodiscard]] bool take(std::uint32_t packets);
  /// What a question did not need after all.
  void give_back(std::uint32_t packets) { taken_ -= packets < taken_ ? packets : taken_; }
  [[nodiscard]] std::uint32_t taken() const { return taken_; }
  [[nodiscard]] std::uint32_t refused() const { return refused_; }

 private:
  std::uint32_t most_, taken_ = 0, refused_ = 0;
};

enum class Family : std::uint8_t { kAny, kIpv4, kIpv6 };
enum class RawUse : std::uint8_t { kIfAllowed, kNever };

struct Options {
  std::string host;
  std::uint16_t port = 0;
  Family family = Family::kAny;
  double timeout_s = 4;          ///< for one connect(): longer than a router's 3 s of ARP
  std::uint32_t max_packets = 300;
  std::uint32_t max_addresses = 8;
  std::uint32_t connects = 6;    ///< from so many local ports
  std::uint8_t max_hops = 20;
  std::vector<std::uint16_t> other_ports;  ///< empty: 443, 80, 22 and 1
  double idle_s = 0;             ///< bound of the idle test, 0: none
  facts::HalfOpenTest::Wanted half_open = facts::HalfOpenTest::Wanted::kNo;
  RawUse raw = RawUse::kIfAllowed;
  const volatile std::sig_atomic_t* stop = nullptr;
  std::function<void(std::string_view)> progress;  ///< told what is being asked; may be empty
};

struct Session {
  explicit Session(const Options& o);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Options& options;
  double began_s;
  Budget budget;
  std::unique_ptr<Tap> tap;        ///< null without the right to it
  std::unique_ptr<RawSender> raw;  ///< null likewise
  std::string no_tap, no_raw;      ///< why

  [[nodiscard]] double now() const { return monotonic_s() - began_s; }
  [[nodiscard]] bool stopped() const { return options.stop != nullptr && *options.stop != 0; }
  void say(std::string_view what) const {
    if (options.progress) options.progress(what);
  }
  /// At most 20 questions a second: waits until the next may be asked.
  void pace();
  /// Waits, reading the tap meanwhile.
  void wait(double seconds);

 private:
  double next_s_ = 0;
};

}  // namespace tcpwhy::probe
