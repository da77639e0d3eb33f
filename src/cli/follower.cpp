#ifdef TCPWHY_HOST
#include "cli/follower.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "host/proc.hpp"

namespace tcpwhy::cli {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * kSecond + static_cast<std::uint64_t>(t.tv_nsec);
}

diagnose::kernel::Owner owner(const facts::Process* p) {
  return p == nullptr ? diagnose::kernel::Owner{} : diagnose::kernel::Owner{static_cast<std::uint32_t>(p->pid), p->comm, 0};
}

}  // namespace

std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
Duration wall_offset() { return Duration{static_cast<std::int64_t>(clock_ns(CLOCK_REALTIME) - monotonic_ns())}; }

diagnose::kernel::Owner Owners::of(std::uint64_t inode) {
  facts::Socket socket;
  socket.inode = static_cast<std::uint32_t>(inode);
  const facts::Process* found = all_.process(socket);
  if (found == nullptr && monotonic_ns() - walked_ns_ > kSecond / 2) {
    all_ = {};
    host::read_owners(all_, host::Owners::kYes);
    walked_ns_ = monotonic_ns();
    found = all_.process(socket);
  }
  return owner(found);
}

Follower::Follower(std::unique_ptr<host::KernelEvents> events, host::Namespaces::Reach reach, const std::vector<std::string>& only)
    : events_{std::move(events)},
      namespaces_{reach, events_ ? host::Namespaces::Stuck::kSkip : host::Namespaces::Stuck::kRead},
      judge_{events_ ? events_->names() : no_names_,
             [this](std::uint32_t netns, const facts::Address& a) { return namespaces_.is_local(netns, a); },
             [this](std::uint64_t inode) { return owners_.of(inode); },
             [this](const tw_event& e) { return look_at(e); },
             [this](const tw_event& e) { return has_sibling(e); }} {
  for (const std::string& which : only) (void)namespaces_.only(which);
  look_around();
}

std::optional<facts::Glance> Follower::look_at(const tw_event& e) {
  auto now = namespaces_.glance(e.netns, facts::local_end(e), facts::remote_end(e));
  if (now && now->state == State::kClose && events_)
    if (const auto end = events_->ended(e); end && facts::was_there(*end, e.time_ns)) {
      now->ended = true;
      now->empty = end->took_nothing != 0;
    }
  return now;
}

bool Follower::has_sibling(const tw_event& e) {
  // A flood of aborts must not make a flood of dumps.
  if (monotonic_ns() - siblings_ns_ > kSecond) {
    siblings_.clear();
    siblings_ns_ = monotonic_ns();
  }
  const facts::Endpoint local = facts::local_end(e), remote = facts::remote_end(e);
  const auto [known, first] = siblings_.try_emplace({e.netns, facts::to_string(remote.address)});
  if (first) known->second = namespaces_.connections(e.netns, local.address, remote.address);
  return std::any_of(known->second.begin(), known->second.end(), [&](const facts::Socket& s) {
    return s.local.port != local.port && s.remote.port != remote.port;
  });
}

void Follower::step(int milliseconds) {
  const auto observe = [this](tw_event e) {
    if (namespaces_.place(e)) judge_.observe(e);
  };
  if (events_)
    (void)events_->poll(milliseconds, observe);
  else
    usleep(static_cast<useconds_t>(milliseconds) * 1000);
  namespaces_.icmp_errors(monotonic_ns(), observe);
  if (monotonic_ns() - looked_ns_ >= kSecond) look_around();
}

std::vector<diagnose::kernel::Failure> Follower::rest() {
  step(0);
  look_around();
  return judge_.rest(monotonic_ns());
}

std::vector<std::string> Follower::losses() const {
  std::vector<std::string> out;
  if (const std::uint64_t n = lost(); n > 0)
    out.push_back(fmt::format("{} kernel events were lost: what the kernel did not say of a connection means nothing", n));
  if (const std::uint64_t missed = events_ ? events_->totals().missed : 0; missed > 0)
    out.push_back(fmt::format("{} times the kernel left a program out, because an interrupt found it running: an event may be missing for each", missed));
  return out;
}

void Follower::look_around() {
  const bool first = looked_ns_ == 0;
  looked_ns_ = monotonic_ns();
  const auto samples = namespaces_.sample();
  const std::uint64_t now = monotonic_ns();
  for (const auto& s : samples) {
    if (first)
      for (const auto& l : s.listeners)
        if (const auto known = owners_.of(l.inode); known.pid != 0) judge_.know_listener(s.netns, l.at.port, known);
    judge_.observe(s, now);
    if (!events_) say_stuck(s, now);
  }
}

// What sock_diag shows of sockets whose retransmission timer runs; for hosts without events.
void Follower::say_stuck(const facts::NamespaceSample& s, std::uint64_t now) {
  for (const facts::Socket& k : s.stuck) {
    tw_event e{};
    e.kind = TW_RETRANSMIT;
    e.time_ns = now;
    e.netns = s.netns;
    e.family = k.local.address.version;
    std::copy_n(k.local.address.bytes.begin(), 16, e.local);
    std::copy_n(k.remote.address.bytes.begin(), 16, e.remote);
    e.local_port = k.local.port;
    e.remote_port = k.remote.port;
    e.state = static_cast<std::uint8_t>(k.state);
    e.tries = k.retries;
    e.inode = k.inode;
    e.flags = TW_HAS_SOCKET;
    judge_.observe(e);
  }
}

}  // namespace tcpwhy::cli
#endif  // TCPWHY_HOST
