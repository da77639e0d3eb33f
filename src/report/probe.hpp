#pragma once
// What a probe found, as text and as JSON Lines (docs/formats/jsonl.md).

#include <cstdio>
#include <vector>

#include "diagnose/probe/judge.hpp"
#include "facts/probe.hpp"
#include "report/reporter.hpp"

namespace tcpwhy::report {

/// `answers`: one for each address, in their order.
void write_probe_text(std::FILE* out, const facts::Probe& probe, const std::vector<diagnose::probe::ProbeAnswer>& answers,
                      const TextOptions& options);
/// One object per address, then the summary.
void write_probe_jsonl(std::FILE* out, const facts::Probe& probe, const std::vector<diagnose::probe::ProbeAnswer>& answers);

}  // namespace tcpwhy::report
