// Generic: segments arrived at the host and were not acted on. A capture on that
// very host shows it, since the tap stands before the packet filter, the checksum
// test and the socket; elsewhere only a host that answers each copy with an ACK
// for less tells that they arrived.

#include <fmt/format.h>

#include "diagnose/cause.hpp"
#include "diagnose/silence.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

void examine(const facts::Connection& c, const facts::Survey&, EvidenceList& out) {
  if (!established(c) || c.quality.one_direction || server_still_in_handshake(c)) return;
  for (Party sender : {Party::kClient, Party::kServer}) {
    const Party host = other(sender);
    if (const auto u = unanswered(c, sender); u && given_time(c, *u)) {
      // RFC 9293 3.10.7.4: what is not acceptable is answered with an ACK and dropped. It arrived.
      const std::vector<std::int32_t> answers = refusals(c, *u);
      if (answers.size() >= 3) {
        std::vector<std::int32_t> cited = u->sends;
        cited.insert(cited.end(), answers.begin(), answers.end());
        out.note(Bearing::kSupports, cited, {}, [&] {
          return fmt::format("{} answered {} of {} transmissions with an ACK that acknowledges none of it", name(host),
                             answers.size(), u->sends.size());
        });
        out.blames(side_of(host));
        out.says([&] { return fmt::format("{}'s data arrived, and {} refused it again and again.", capital(sender), name(host)); });
        return;
      }
    }
    const bool surely_there = captured_at(c, host);
    const bool seems_there =
        c.vantage == (host == Party::kClient ? facts::Vantage::kClient : facts::Vantage::kServer);
    if (captured_at(c, sender)) {
      if (const auto u = unanswered(c, sender); u && given_time(c, *u))
        out.contradicts({u->sends.front()}, [&] {
          return fmt::format("the capture was taken at {}: arrival at {} cannot be seen", name(sender), name(host));
        });
      continue;
    }
    if (!surely_there && !seems_there) continue;
    const std::optional<Unanswered> u = unanswered(c, sender);
    if (u && given_time(c, *u)) {
      auto text = [&] {
        return fmt::format("{}'s segment arrived at {} {} in {} and was never acknowledged", name(sender), name(host),
                           times(u->sends.size()), say(u->waited));
      };
      out.note(surely_there ? Bearing::kSupports : Bearing::kFits, u->sends, {}, text);
      out.blames(side_of(host));
      continue;
    }
    // The acknowledgments arrived, and the host goes on repeating.
    const std::optional<Deaf> d = deaf(c, host);
    if (d && d->repeats.size() >= 3) {
      std::vector<std::int32_t> cited = d->repeats;
      cited.push_back(d->acked_by);
      out.note(surely_there ? Bearing::kSupports : Bearing::kFits, cited, {}, [&] {
        return fmt::format("the acknowledgment arrived at {} (frame {}), which went on repeating its data {}", name(host),
                           c.segment(d->acked_by).frame, times(d->repeats.size()));
      });
      out.blames(side_of(host));
    }
  }
}

}  // namespace

extern const Cause kHostDroppedCause;
const Cause kHostDroppedCause = {
    .id = CauseId::kHostDropped,
    .title = "Segments arrived at the host, and the host did not act on them.",
    .benign = false,
    .side = facts::Side::kUnknown,
    .role = Role::kEnding,
    .signals = facts::Signal::kUnackedAtEnd | facts::Signal::kRepeat,
    .settles = "drop reasons on that host (skb:kfree_skb, dropwatch), nstat counters, its nft or iptables counters",
    .fix = {"look at nft list ruleset, rp_filter, InCsumErrors, PAWSEstab, TCPBacklogDrop and TCPRcvQDrop of that host",
            "drop reasons of skb:kfree_skb name the test that failed on kernels from 5.17 on"},
    .specifics = {},
    .examine = examine,
};

}  // namespace tcpwhy::diagnose
