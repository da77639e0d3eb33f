// The populations together: every answered connection is shown to each of them.

#include <algorithm>
#include <vector>

#include "diagnose/populations/population.hpp"

namespace tcpwhy::diagnose {

struct Populations::Impl {
  std::vector<std::unique_ptr<Population>> all;
};

Populations::Populations() : impl_{std::make_unique<Impl>()} {
  for (auto make : {make_syn_flood, make_backscatter, make_port_scan, make_client_connection_limit, make_port_exhaustion,
                    make_nat_address_sharing, make_idle_timer, make_listener_saturated})
    impl_->all.push_back(make());
}
Populations::~Populations() = default;
Populations::Populations(Populations&&) noexcept = default;
Populations& Populations::operator=(Populations&&) noexcept = default;

void Populations::add(const facts::Connection& connection, const Answer& answer, std::uint64_t alike) {
  for (const std::unique_ptr<Population>& p : impl_->all) p->add(connection, answer, alike);
}

std::vector<Finding> Populations::findings(const facts::Survey& survey) const {
  std::vector<Finding> out;
  for (const std::unique_ptr<Population>& p : impl_->all) {
    const auto before = static_cast<std::ptrdiff_t>(out.size());
    p->find(survey, out);
    // Tables have no order of their own: a run must repeat.
    std::sort(out.begin() + before, out.end(), [](const Finding& a, const Finding& b) {
      if (a.connections != b.connections) return a.connections > b.connections;
      return a.summary < b.summary;
    });
    // One population speaks of its largest members; the rest would bury the other answers.
    constexpr std::ptrdiff_t kMost = 20;
    if (std::ssize(out) - before > kMost) out.resize(static_cast<std::size_t>(before + kMost));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Finding& a, const Finding& b) { return a.connections > b.connections; });
  return out;
}

}  // namespace tcpwhy::diagnose
