// A client's own limit of connections per server: a plateau of N with requests
// queued behind it. Browsers open at most six to one host over HTTP/1.1; nothing
// in TCP is wrong, requests wait inside the client.

#include <fmt/format.h>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {
namespace {

using namespace std::chrono_literals;

/// Seconds from one request to the next on a connection that never rests, with a slow server.
constexpr double kLongestTurn = 1.0;

class ClientConnectionLimit final : public Population {
 public:
  void add(const facts::Connection&, const Answer&, std::uint64_t) override {}

  void find(const facts::Survey& survey, std::vector<Finding>& out) const override {
    for (const auto& [key, pair] : survey.pairs) {
      if (pair.at_peak < 500ms) continue;
      // Queued behind the plateau: the same connections carry request upon request, or each end is followed by a new one.
      const bool busy = pair.turns >= 5ull * pair.open_peak &&
                        seconds(pair.at_peak) * pair.open_peak <= kLongestTurn * static_cast<double>(pair.turns);
      const bool replaced = pair.connections >= 4ull * pair.open_peak;
      // Six is what browsers allow themselves; a pool of any other size may simply be as large as its work.
      if (pair.open_peak != 6 || !(busy || replaced)) continue;
      Finding f;
      f.cause = "client-connection-limit";
      f.verdict = busy ? Verdict::kLikely : Verdict::kPossible;
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
