// A client's own limit of connections per server: a plateau of N with requests
// queued behind it. Browsers open at most six to one host over HTTP/1.1; nothing
// in TCP is wrong, requests wait inside the client.

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

class ClientConnectionLimit final : public Population {
 public:
  void add(const facts::Connection&, const Answer&, std::uint64_t) override {}

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [key, pair] : survey.pairs) {
      if (pair.open_peak < 2 || pair.open_peak > 64 || pair.at_peak < 1s) continue;
      // Queued behind the plateau: every end is followed by a new connection, or the same ones carry request upon request.
      const bool replaced = pair.connections >= 3ull * pair.open_peak;
      const bool busy = pair.open_peak >= 4 && pair.turns >= 10ull * pair.open_peak && 2 * pair.busy_at_peak >= pair.at_peak;
      if (!replaced && !busy) continue;
      if (replaced && !busy && pair.open_peak != 6) continue;
      Finding f;
      f.cause = "client-connection-limit";
      f.verdict = busy && pair.open_peak == 6 ? Verdict::kLikely : Verdict::kPossible;
      f.side = facts::Side::kClient;
      f.summary = fmt::format("{} kept {} connections to {} and queued its requests behind them.", to_string(key.client),
                              pair.open_peak, to_string(key.server));
      Citation plateau;
      plateau.text = fmt::format("never more than {} open at once, {:.1f} s of them at that number; {} connections, {} requests",
                                 pair.open_peak, seconds(pair.at_peak), pair.connections, pair.turns);
      f.evidence.push_back(std::move(plateau));
      f.settles = "the client's own view of its queue (browser: Stalled or Queueing in the network timing)";
      f.fix = {"no TCP fault: use HTTP/2 or HTTP/3, fewer or larger requests, or raise the client's limit per host"};
      f.connections = pair.connections;
      f.ids_omitted = pair.connections;
      out.push_back(std::move(f));
    }
  }
};

}  // namespace

std::unique_ptr<Population> make_client_connection_limit() { return std::make_unique<ClientConnectionLimit>(); }

}  // namespace tcpwhy::diagnose
