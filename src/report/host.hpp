#pragma once
// A host's findings as text and as JSON (docs/formats/jsonl.md).

#include <cstdio>
#include <vector>

#include "report/reporter.hpp"
#include "tcpwhy/host.hpp"
#include "tcpwhy/host_findings.hpp"

namespace tcpwhy::report {

void write_host_text(std::FILE* out, const facts::HostSnapshot& snapshot, const std::vector<diagnose::HostFinding>& findings,
                     const TextOptions& options);
/// One object per finding, then the summary.
void write_host_jsonl(std::FILE* out, const facts::HostSnapshot& snapshot, const std::vector<diagnose::HostFinding>& findings);
/// {"findings":[…],"summary":{…}}
void write_host_json(std::FILE* out, const facts::HostSnapshot& snapshot, const std::vector<diagnose::HostFinding>& findings);

}  // namespace tcpwhy::report
