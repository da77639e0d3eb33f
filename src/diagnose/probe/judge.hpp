#pragma once
// From the answers to active questions to diagnoses of the one catalogue. Pure: it
// asks nothing itself.

#include <string>
#include <vector>

#include "facts/probe.hpp"
#include "tcpwhy/explain.hpp"

namespace tcpwhy::diagnose::probe {

struct ProbeAnswer {
  std::string outcome;                ///< product.md section 3: "completed", "refused", "unanswered", "partial"
  bool healthy = true;
  std::vector<Diagnosis> diagnoses;   ///< the first is the answer
};

ProbeAnswer judge(const facts::ProbeAddress& address);

}  // namespace tcpwhy::diagnose::probe
