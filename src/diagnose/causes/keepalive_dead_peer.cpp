// Keepalive probes went unanswered until the prober gave up. Linux
// tcp_keepalive_timer(): after tcp_keepalive_probes it sends RST+ACK and reports
// ETIMEDOUT; other stacks do the same.

#include <fmt/format.h>

#include <algorithm>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"
#include "facts/questions.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using facts::Repeat;

void examine_from(const facts::Connection& c, Party prober, EvidenceList& out) {
  const std::int32_t heard = last_of(c, other(prober));
  std::vector<std::int32_t> probes;
  std::int32_t rst = -1;
  for (std::int32_t i = heard + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i) {
    if (c.segment(i).rst()) rst = rst < 0 ? i : rst;
    else if (c.note(i).repeat == Repeat::kKeepalive && rst < 0) probes.push_back(i);
    else if (carries_data(c, i) || c.segment(i).fin()) return;  // then retransmission decides, not keepalive
  }
  const bool gave_up = rst >= 0 && c.segment(rst).has_ack();
  if (probes.empty() || probes.size() < (gave_up ? 1u : 3u)) return;
  if (captured_at(c, other(prober))) return;  // arrived and not answered: the host dropped them
  const Duration between = probes.size() > 1 ? c.segment(probes[1]).time - c.segment(probes[0]).time : Duration{};
  if (!gave_up && facts::coverage_after(c, probes.back()) < round_trip(c) * 2) return;
  std::vector<std::int32_t> cited = probes;
  if (gave_up) cited.push_back(rst);
  // A RST right after the interval that followed the last unanswered probe is that timer's own end.
  const bool own_end = gave_up && probes.size() >= 2 && c.segment(rst).time - c.segment(probes.back()).time < 2 * between;
  out.note(own_end ? Bearing::kDemands : Bearing::kSupports, cited, {}, [&] {
    std::string text = fmt::format("{} keepalive probe{} of {}", probes.size(), probes.size() == 1 ? "" : "s", name(prober));
    if (probes.size() > 1) text += fmt::format(", {} apart,", say(between));
    text += " got no answer";
    if (gave_up) text += fmt::format("; then it reset the connection (frame {})", c.segment(rst).frame);
    return text;
  });
  if (heard >= 0)
    out.supports({heard, probes.front()}, [&] {
      return fmt::format("{} was last heard {} before the first of them", name(other(prober)),
                         say(c.segment(probes.front()).time - c.segment(heard).time));
    });
  out.blames(side_of(other(prober)));
  out.says([&] {
    return fmt::format("{} answered none of {}'s keepalive probes{}.", capital(other(prober)), name(prober),
                       gave_up ? ", which gave up" : "");
  });
}

/// Probes that were answered here, and whose sender gave up all the same: the answers did not reach it. An answered probe
/// is followed by the next after the whole keepalive time, one without an answer after the shorter interval.
void examine_deaf(const facts::Connection& c, Party prober, EvidenceList& out) {
  const std::int32_t rst = c.stream(prober).rst;
  if (rst < 0 || !c.segment(rst).has_ack() || captured_at(c, prober)) return;
  std::vector<std::int32_t> probes;
  for (std::int32_t i = 0; i < rst; ++i) {
    if (c.note(i).repeat == Repeat::kKeepalive && c.segment(i).from() == prober) probes.push_back(i);
    else if (c.segment(i).length() > 0) probes.clear();
  }
  if (probes.size() < 3 || probes.front() == 0) return;
  const auto at = [&](std::size_t k) { return c.segment(probes[k]).time; };
  // A path that is not even moves each probe by a part of the interval, or loses one or two.
  Duration between = c.segment(rst).time - at(probes.size() - 1);
  for (std::size_t k = 1; k < probes.size(); ++k) between = std::min(between, at(k) - at(k - 1));
  const auto alike = [&](Duration d) {
    const auto times = (d + between / 2) / between;
    const Duration off = d - between * times;
    return times <= 3 && off < between / 5 && off > -between / 5;
  };
  for (std::size_t k = 1; k < probes.size(); ++k)
    if (!alike(at(k) - at(k - 1))) return;
  if (!alike(c.segment(rst).time - at(probes.size() - 1))) return;
  // With one time for both, a connection that is well looks the same until the RST.
  const Duration idle = at(0) - c.segment(probes.front() - 1).time;
  std::vector<std::int32_t> cited = probes;
  cited.push_back(rst);
  out.note(idle > between + between / 4 ? Bearing::kDemands : Bearing::kSupports, cited, {}, [&] {
    return fmt::format("{} probed {} times, {} apart, and reset one such time later: none of the answers that passed here reached it",
                       name(prober), probes.size(), say(between));
  });
  out.blames(facts::Side::kPath);
  out.says([&] { return fmt::format("The answers to {}'s keepalive probes were lost on their way; it gave up.", name(prober)); });
}

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction) return;
  examine_from(c, Party::kClient, out);
  if (out.empty()) examine_from(c, Party::kServer, out);
  if (out.empty()) examine_deaf(c, Party::kClient, out);
  if (out.empty()) examine_deaf(c, Party::kServer, out);
}

}  // namespace

extern const Cause kKeepaliveDeadPeerCause;
const Cause kKeepaliveDeadPeerCause = {
    .id = CauseId::kKeepaliveDeadPeer,
    .title = "Keepalive probes got no answer; the prober gave the connection up.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kKeepalive,
    .settles = "a capture on the silent side: do the probes arrive there",
    .fix = {"find out why the peer was silent: host down, route gone, or an idle timer of a NAT shorter than the "
            "keepalive time (net.ipv4.tcp_keepalive_time, 7200 s by default; TCP_KEEPIDLE per socket)"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
