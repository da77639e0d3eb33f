// What a connection that came about can carry, and for how long.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/probe/view.hpp"

namespace tcpwhy::diagnose::probe {

void judge_size(const View& v, ProbeAnswer& out) {
  std::uint32_t passed = 0, lost = 0, too_big = 0;
  int passes = 0, losses = 0;
  const facts::SizeQuestion* told = nullptr;
  for (const facts::SizeQuestion& q : v.a.size.asked) {
    if (q.came == Came::kAck) {
      passed = std::max(passed, q.octets);
      ++passes;
    }
    if (q.came == Came::kNothing) {
      lost = lost == 0 ? q.octets : std::min(lost, q.octets);
      ++losses;
    }
    if (q.came == Came::kIcmp && q.icmp && q.icmp->too_big()) {
      too_big = too_big == 0 ? q.octets : std::min(too_big, q.octets);
      if (told == nullptr) told = &q;
    }
  }
  if (told != nullptr && passed > 0 && passed < too_big && losses == 0) {
    Diagnosis d = diagnosis_of(CauseId::kPmtudAdjusted, Verdict::kProven, Side::kPath,
                               fmt::format("The path carries at most {} octets, and says so.", passed));
    note(d, fmt::format("{} answered a packet of {} octets with ICMP {}, MTU {}; {} octets passed", facts::to_string(told->icmp->sender), told->octets,
                        to_string(*told->icmp), told->icmp->mtu, passed));
    out.diagnoses.push_back(std::move(d));
    return;
  }
  if (losses == 0 || passed == 0 || passed >= lost) return;
  // Larger ones vanish, smaller ones pass, at more than one size each: only the size differs.
  Diagnosis d = diagnosis_of(CauseId::kPmtuBlackhole, passes > 2 && losses > 1 ? Verdict::kProven : Verdict::kLikely, Side::kPath,
                             "Large packets to the server vanish on the path; small ones pass, and no ICMP comes back.");
  note(d, fmt::format("packets of up to {} octets were acknowledged ({} of them), those of {} and more were not ({} sizes, twice each); MTU of {} is {}", passed,
                      passes, lost, losses, v.a.route.interface, v.a.route.mtu));
  if (told != nullptr)
    note(d, fmt::format("{} names an MTU of {} for larger ones, yet that size does not pass", facts::to_string(told->icmp->sender), told->icmp->mtu));
  out.diagnoses.push_back(std::move(d));
}

void judge_idle(const View& v, ProbeAnswer& out) {
  using End = facts::IdleQuestion::End;
  double alive = 0;
  for (const facts::IdleQuestion& q : v.a.idle.asked)
    if (q.end == End::kAlive) alive = std::max(alive, q.idle_s);
  const facts::IdleQuestion* dead = nullptr;
  const facts::IdleQuestion* closed = nullptr;
  for (const facts::IdleQuestion& q : v.a.idle.asked) {
    if ((q.end == End::kSilent || q.end == End::kReset) && q.idle_s > alive && (dead == nullptr || q.idle_s < dead->idle_s)) dead = &q;
    if (q.end == End::kClosedByServer && (closed == nullptr || q.ended_s < closed->ended_s)) closed = &q;
  }
  if (dead != nullptr && alive > 0) {
    const bool silent = dead->end == End::kSilent;
    Diagnosis d = diagnosis_of(silent ? CauseId::kIdleTimeoutSilent : CauseId::kIdleTimeoutReset, Verdict::kLikely, Side::kPath,
                               fmt::format("A connection idle for {:.0f} to {:.0f} s is {}.", alive, dead->idle_s, silent ? "forgotten on the path" : "reset"));
    note(d, fmt::format("idle for {:.0f} s it still answered keepalives, idle for {:.0f} s {}", alive, dead->idle_s,
                        silent ? "nothing came back" : "it was reset"));
    out.diagnoses.push_back(std::move(d));
  }
  if (closed != nullptr) {
    Diagnosis d = diagnosis_of(CauseId::kServerIdleClose, Verdict::kLikely, Side::kServer,
                               fmt::format("The server closes an idle connection after {:.3g} s.", closed->ended_s));
    note(d, fmt::format("FIN came after {:.3g} s without data", closed->ended_s));
    out.diagnoses.push_back(std::move(d));
  }
}

}  // namespace tcpwhy::diagnose::probe
