// Any bytes are a script that is read or refused, in bounded time.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "script/understand.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tcpwhy::script;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto read = parse(text, "fuzz.pkt", {{"NAME", "7"}});
  if (const auto* script = std::get_if<Script>(&read)) (void)first_not_understood(*script, {});
  return 0;
}
