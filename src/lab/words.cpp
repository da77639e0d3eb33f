#include "lab/words.hpp"

#include "names/errno.hpp"
#include "names/mib.hpp"

namespace tcpwhy::lab {
namespace {

struct NamedErrno {
  std::string_view name, sentence;
};
constexpr NamedErrno kErrnos[] = {
#define ERRNO(id, number, words) {#id, words},
#include "names/errno.def"
#undef ERRNO
};

}  // namespace

std::string netstat_words(std::string_view counter) {
  for (const MibRow& row : kMibRows)
    if (row.name == counter && !row.sentence.empty()) return std::string{row.sentence};
  return std::string{counter};
}

std::string result_words(std::string_view call, std::string_view result) {
  for (const NamedErrno& e : kErrnos)
    if (e.name == result) return "-1 " + std::string{result} + " (" + std::string{e.sentence} + ")";
  if (call == "recv" && result == "0") return "0 (end of the stream)";
  return std::string{result};
}

}  // namespace tcpwhy::lab
