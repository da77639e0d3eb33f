#include "facts/kernel.hpp"

#include <algorithm>

namespace tcpwhy::facts {
namespace {

Endpoint end(const tw_event& e, const std::uint8_t* bytes, std::uint16_t port) {
  Endpoint out;
  out.address.version = e.family == 6 ? 6 : 4;
  std::copy_n(bytes, e.family == 6 ? 16 : 4, out.address.bytes.begin());
  out.port = port;
  return out;
}

}  // namespace

bool was_there(const tw_ended& end, std::uint64_t at_ns) { return end.opened_ns != 0 && end.opened_ns <= at_ns && end.time_ns >= at_ns; }

Endpoint local_end(const tw_event& e) { return end(e, e.local, e.local_port); }
Endpoint remote_end(const tw_event& e) { return end(e, e.remote, e.remote_port); }

}  // namespace tcpwhy::facts
