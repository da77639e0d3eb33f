#pragma once
// A run as a person reads it, as a program reads it, and as Wireshark reads it.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lab/run.hpp"

namespace tcpwhy::lab {

/// tcpdump's line for a packet, without the time: "IP A.p > B.q: Flags [S], seq …".
[[nodiscard]] std::string tcpdump_line(const world::Packet& packet);
/// tcpdump's letters: S, S., ., P., F., R, R.
[[nodiscard]] std::string flag_letters(const world::Packet& packet);
/// The sentence of `netstat -s` (net-tools) for a counter, with its number in front.
[[nodiscard]] std::string netstat_line(const std::string& counter, std::uint64_t value);

// The tables of a host, each line indented by two.

/// `ss -nta`; of many in one state the first few.
[[nodiscard]] std::string socket_table(const std::vector<world::SocketRow>& rows);
/// `netstat -s` before and after: what moved, and `always` even where it did not.
[[nodiscard]] std::string counter_table(const HostRun& host, std::span<const std::string_view> always);
[[nodiscard]] std::string rule_table(const HostRun& host);

struct TextOptions {
  std::string tap;             ///< whose packets; empty: the experiment's
  std::size_t most_packets = 60;  ///< of more, the first and the last
};
[[nodiscard]] std::string text(const Run& run, const TextOptions& options = {});

/// The object of `--format json`. `tap` empty: the experiment's; "all": every tap.
[[nodiscard]] std::string json(const Run& run, const std::string& tap = {});

/// Every tap's packets into one pcapng file, one interface each.
[[nodiscard]] Result<std::uint64_t> save_pcap(const Run& run, const std::string& path);

}  // namespace tcpwhy::lab
