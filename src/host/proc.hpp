#pragma once
// What /proc tells of the calling thread's network namespace, and of processes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/host.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

/// A whole small file; empty when it cannot be read.
std::string read_file(const std::string& path);

/// netstat, snmp, snmp6, sockstat and sockstat6, by the kernel's names; sockstat's as "sockstat.TCP.orphan".
facts::Counters read_counters();
/// Those of the parsers alone, for tests.
void parse_paired(std::string_view text, std::string_view wanted_groups, facts::Counters& out);
void parse_sockstat(std::string_view text, facts::Counters& out);

/// Every sysctl that matters to a finding, and those a reader wants to see.
void read_sysctls(facts::Namespace& out);
void read_addresses(facts::Namespace& out);

/// How the owners of sockets are found: kYes walks the kernel's tables where BPF may be used, and /proc elsewhere.
enum class Owners : std::uint8_t { kNo, kYes, kProc };
void read_owners(facts::HostSnapshot& out, Owners how);
/// State and descriptor limit of the processes that hold one of `inodes`.
void describe_process(facts::Process& process);

}  // namespace tcpwhy::host
