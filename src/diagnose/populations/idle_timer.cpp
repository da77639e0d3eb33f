// An idle timer shows itself: connections of one service end after the same
// silence. The estimate is a range, because an end is seen later than the timer
// fired; the inequality that ends the races follows from its lower edge.

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;
using namespace std::chrono_literals;

constexpr std::size_t kFewest = 3;
constexpr Duration kShortest = 1s;

struct Estimate {
  Duration low{}, high{};
  std::vector<const facts::IdleEnd*> ends;
  std::size_t crossed = 0, total = 0;
};

/// The densest group of idle times whose spread a single timer explains: 1/8 of the timer (Linux's wheel,
/// linux-tcp.md 8) and a second of the application's own coarseness.
Estimate densest(std::vector<const facts::IdleEnd*> ends) {
  std::sort(ends.begin(), ends.end(), [](const facts::IdleEnd* a, const facts::IdleEnd* b) { return a->idle < b->idle; });
  Estimate best;
  best.total = ends.size();
  std::size_t from = 0, best_from = 0, best_n = 0;
  for (std::size_t to = 0; to < ends.size(); ++to) {
    while (ends[to]->idle - ends[from]->idle > std::max<Duration>(ends[from]->idle / 8, 1s)) ++from;
    if (to - from + 1 > best_n) best_n = to - from + 1, best_from = from;
  }
  for (std::size_t i = best_from; i < best_from + best_n; ++i) {
    best.ends.push_back(ends[i]);
    best.crossed += ends[i]->crossed ? 1 : 0;
  }
  if (best_n > 0) {
    best.low = ends[best_from]->idle;
    best.high = ends[best_from + best_n - 1]->idle;
  }
  return best;
}

class IdleTimer final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (!says(answer, CauseId::kKeepaliveRace, Verdict::kLikely)) return;
    if (Members* m = races_.at(c.ends[index(Party::kServer)])) m->add(c, alike);
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [endpoint, service] : survey.services)
      for (Party closer : {Party::kServer, Party::kClient}) {
        std::vector<const facts::IdleEnd*> ends;
        for (const facts::IdleEnd& e : service.idle_ends.values)
          if (e.closer == closer && e.idle >= kShortest) ends.push_back(&e);
        const auto it = races_.all().find(endpoint);
        const Members* races = it == races_.all().end() ? nullptr : &it->second;
        if (ends.size() < (races != nullptr && closer == Party::kServer ? 2 : kFewest)) continue;
        const Estimate e = densest(std::move(ends));
        if (e.ends.size() < 2 || 2 * e.ends.size() <= e.total) continue;
        out.push_back(say(endpoint, closer, e, races, service));
      }
  }

 private:
  static Finding say(const facts::Endpoint& endpoint, Party closer, const Estimate& e, const Members* races,
                     const facts::ServiceFacts& service) {
    const bool server = closer == Party::kServer;
    const std::string who = server ? to_string(endpoint) : "The clients of " + to_string(endpoint);
    Finding f;
    f.cause = "idle-timer";
    f.verdict = e.ends.size() >= kFewest ? Verdict::kLikely : Verdict::kPossible;
    f.side = server ? facts::Side::kServer : facts::Side::kClient;
    f.summary = fmt::format("{} close{} idle connections after {:.2f} s (+{:.2f} s).", who, server ? "s" : "", seconds(e.low),
                            seconds(e.high - e.low));
    Citation ends;
    ends.text = fmt::format("{} of {} idle ends of that side came after {:.3f} to {:.3f} s of silence", e.ends.size(), e.total,
                            seconds(e.low), seconds(e.high));
    f.evidence.push_back(std::move(ends));
    const Duration crossing = service.fastest_syn_ack == Duration::max() ? Duration{} : service.fastest_syn_ack;
    if (server) {
      if (e.crossed > 0 || races != nullptr) {
        Citation crossed = races != nullptr ? races->cite({}) : Citation{};
        crossed.text = fmt::format("a request crossed the close {} time{}", std::max<std::uint64_t>(e.crossed, races ? races->connections : 0),
                                   std::max<std::uint64_t>(e.crossed, races ? races->connections : 0) == 1 ? "" : "s");
        f.evidence.push_back(std::move(crossed));
      }
      Citation inequality;
      inequality.text = fmt::format("no race when client idle limit + round trip < server timer: limit < {:.3f} s - {:.1f} ms",
                                    seconds(e.low), 1e3 * seconds(crossing));
      f.evidence.push_back(std::move(inequality));
      f.fix = {fmt::format("let clients drop a connection that was idle for {:.2f} s or less, or raise the server's timer above theirs",
                           std::max(0.0, seconds(e.low - crossing) - 0.5)),
               "nginx: keepalive_timeout; Apache: KeepAliveTimeout; Go: Server.IdleTimeout; Node: server.keepAliveTimeout"};
    } else {
      f.fix = {fmt::format("keep the server's idle timer above {:.2f} s plus a round trip, so that the client closes first",
                           seconds(e.high))};
    }
    f.settles = "the setting itself, on that side or on the device that ends the connections";
    f.connections = e.ends.size();
    for (const facts::IdleEnd* end : e.ends) f.ids.push_back(end->connection);
    std::sort(f.ids.begin(), f.ids.end());
    return f;
  }

  Bounded<facts::Endpoint, Members, facts::EndpointHash> races_{1024};
};

}  // namespace

std::unique_ptr<Population> make_idle_timer() { return std::make_unique<IdleTimer>(); }

}  // namespace tcpwhy::diagnose
