#pragma once
// What names come to: the addresses an application would get, and what DNS itself said.

#include <vector>

#include "probe/session.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::probe {

struct Resolved {
  std::string source;  ///< see facts::Probe::source
  std::vector<facts::NameAnswer> names;
  std::vector<facts::Address> addresses;  ///< in the order an application tries them (RFC 6724)
};
Result<Resolved> resolve(const std::string& host, Family family);

/// One answer of DNS, as bytes; for tests. What cannot be read is left out.
facts::NameAnswer parse_dns_answer(const unsigned char* bytes, std::size_t size, const char* type);

}  // namespace tcpwhy::probe
