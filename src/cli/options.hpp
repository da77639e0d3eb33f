#pragma once
// What the user asked for, after parsing and before any work.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/reporter.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::cli {

enum class Format : std::uint8_t { kText, kJsonl, kJson };
/// How several files relate.
enum class Files : std::uint8_t { kGuess, kRing, kVantages };

struct ExplainOptions {
  std::vector<std::string> files;
  std::string interface;           ///< live capture when not empty
  bool with_kernel = false;        ///< live: the kernel's own word on each connection as evidence
  std::string host;                ///< files: a snapshot of one end, written by `tcpwhy host --save`
  std::string filter;              ///< libpcap syntax
  std::string from, to;            ///< time window as given
  std::string connection;          ///< id or A:P-B:P; empty: all
  Format format = Format::kText;
  report::Only only = report::Only::kFailed;
  Files relation = Files::kGuess;
  unsigned threads = 0;            ///< 0: as many as there are cores, at most 4
  std::uint64_t max_connections = 0;  ///< 0: the default bound
  bool verify_checksums = false;
};

/// Exit status of every command.
enum Exit : int { kNothingFailed = 0, kSomethingFailed = 1, kCouldNotWork = 2 };

int explain(const ExplainOptions& options);
int host_command(const std::vector<std::string>& arguments);  ///< `tcpwhy host …`; only on Linux
int probe_command(const std::vector<std::string>& arguments);  ///< `tcpwhy probe HOST:PORT …`; only on Linux
int why(const std::vector<std::string>& words);
int lab_command(const std::vector<std::string>& arguments);

/// "17" or "192.0.2.10:40112-198.51.100.7:443" against a connection.
struct ConnectionChoice {
  std::optional<std::uint64_t> id;
  facts::Endpoint a, b;
  [[nodiscard]] bool matches(const facts::Connection& c) const;
};
Result<ConnectionChoice> parse_connection(const std::string& text);

/// Seconds after the first frame ("12.5"), seconds of the epoch ("@1700000000.5")
/// or RFC 3339 in UTC ("2026-11-22T18:00:00Z").
Result<CaptureTime> parse_time(const std::string& text, CaptureTime first_frame);

}  // namespace tcpwhy::cli
