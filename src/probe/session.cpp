#include "probe/session.hpp"

#include <algorithm>
#include <ctime>

#include "probe/raw.hpp"
#include "probe/tap.hpp"

namespace tcpwhy::probe {

namespace {
constexpr double kGap = 0.05;
}

double monotonic_s() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void sleep_s(double seconds) {
  if (seconds <= 0) return;
  timespec t{};
  t.tv_sec = static_cast<time_t>(seconds);
  t.tv_nsec = static_cast<long>((seconds - static_cast<double>(t.tv_sec)) * 1e9);
  nanosleep(&t, nullptr);
}

bool Budget::take(std::uint32_t packets) {
  if (taken_ + packets > most_) {
    ++refused_;
    return false;
  }
  taken_ += packets;
  return true;
}

Session::Session(const Options& o) : options{o}, began_s{monotonic_s()}, budget{o.max_packets} {}
Session::~Session() = default;

void Session::pace() {
  const double t = now();
  if (t < next_s_) sleep_s(next_s_ - t);
  next_s_ = now() + kGap;
}

void Session::wait(double seconds) {
  const double until = now() + seconds;
  while (now() < until && !stopped()) {
    sleep_s(std::min(0.05, until - now()));
    if (tap) tap->drain();
  }
}

}  // namespace tcpwhy::probe
