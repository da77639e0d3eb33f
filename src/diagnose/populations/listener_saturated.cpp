// One listener cannot keep up: its accept queue (or SYN queue) overflows for many
// connections, while others of the same time get through.

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"
#include "diagnose/words.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Attempt;
using facts::Party;

constexpr std::uint64_t kFewest = 3;

struct Service {
  Members overflows;  ///< the answer says so
  Members unanswered; ///< the answer could not tell
};

bool queue_in_answer(const Answer& answer, Verdict at_least) {
  return says(answer, CauseId::kAcceptQueueOverflow, at_least) || says(answer, CauseId::kAcceptQueueOverflowReset, at_least);
}

/// Accepted and unanswered attempts alternate: neither the host nor the way to it was gone.
bool mixed(const facts::ServiceFacts& service) {
  CaptureTime first = CaptureTime::max(), last = CaptureTime::min();
  for (const Attempt& a : service.attempts_sample.values)
    if (a.fate == Attempt::Fate::kAccepted) first = std::min(first, a.syn), last = std::max(last, a.syn);
  return std::any_of(service.failures_sample.values.begin(), service.failures_sample.values.end(),
                     [&](const Attempt& a) { return a.syn > first && a.syn < last; });
}

class ListenerSaturated final : public Population {
 public:
  void add(const facts::Connection& c, const Answer& answer, std::uint64_t alike) override {
    if (c.syn < 0 || answer.diagnoses.empty()) return;
    if (!queue_in_answer(answer, Verdict::kPossible)) return;
    const bool firm = queue_in_answer(answer, Verdict::kLikely);
    Service* s = services_.at(c.ends[index(Party::kServer)]);
    if (s != nullptr) (firm ? s->overflows : s->unanswered).add(c, alike);
  }

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [endpoint, s] : services_.all()) {
      const facts::ServiceFacts* service = survey.service(endpoint);
      const bool firm = s.overflows.connections >= kFewest;
      // Lone SYNs of a flood or a scan never meant to connect.
      const bool guessed = service != nullptr && s.unanswered.connections >= 5 && service->accepted >= kFewest &&
                           2 * service->lone_syns < service->unanswered + 1 && mixed(*service);
      if (!firm && !guessed) continue;
      Members all = s.overflows;
      all.connections += s.unanswered.connections;
      for (std::uint64_t id : s.unanswered.ids)
        if (all.ids.size() < Members::kNamed) all.ids.push_back(id);
      if (s.overflows.connections == 0) all = s.unanswered;
      Finding f;
      f.cause = "listener-saturated";
      f.verdict = firm ? Verdict::kLikely : Verdict::kPossible;
      f.side = facts::Side::kServer;
      f.summary = fmt::format("The listener {} could not keep up: its queue overflowed.", to_string(endpoint));
      f.evidence.push_back(all.cite(fmt::format("{} connections met a full queue within {}", all.connections,
                                                span_words(all.last - all.first))));
      if (service != nullptr)
        f.evidence.push_back(all.cite(fmt::format("{} of {} attempts completed the handshake, as their clients saw it, in the same capture", service->accepted,
                                                  service->attempts)));
      f.settles = "ss -lnt on the server while it happens: Recv-Q above Send-Q; nstat ListenOverflows, ListenDrops";
      f.fix = {"find out why the process accepts too slowly; then raise the listen() backlog and net.core.somaxconn together "
               "(somaxconn is 128 up to 4.19 and el8, 4096 since 5.4)"};
      all.name_in(f);
      out.push_back(std::move(f));
    }
  }

 private:
  Bounded<facts::Endpoint, Service, facts::EndpointHash> services_{1024};
};

}  // namespace

std::unique_ptr<Population> make_listener_saturated() { return std::make_unique<ListenerSaturated>(); }

}  // namespace tcpwhy::diagnose
