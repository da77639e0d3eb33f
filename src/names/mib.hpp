#pragma once
// Counters by their names in /proc/net/snmp (Tcp:) and /proc/net/netstat (TcpExt:).

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tcpwhy {

enum class Mib : std::uint8_t {
#define MIB(name, line, sentence) k##name,
#include "names/mib.def"
#undef MIB
  kCount
};

inline constexpr std::size_t kMibs = static_cast<std::size_t>(Mib::kCount);

struct MibRow {
  std::string_view name;      ///< "ListenOverflows"
  std::string_view line;      ///< "Tcp" or "TcpExt"
  std::string_view sentence;  ///< of `netstat -s`; empty where net-tools prints the name itself
};

inline constexpr MibRow kMibRows[] = {
#define MIB(name, line, sentence) {#name, #line, sentence},
#include "names/mib.def"
#undef MIB
};

constexpr const MibRow& row(Mib m) { return kMibRows[static_cast<std::size_t>(m)]; }

}  // namespace tcpwhy
