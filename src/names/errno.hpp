#pragma once
// errno values by their Linux names and numbers.

#include <string_view>

namespace tcpwhy {

enum class Errno : int {
  kNone = 0,
#define ERRNO(name, number, sentence) k##name = number,
#include "names/errno.def"
#undef ERRNO
};

/// "ECONNRESET"; empty for kNone.
constexpr std::string_view name(Errno e) {
  switch (e) {
    case Errno::kNone: return "";
#define ERRNO(id, number, sentence) \
  case Errno::k##id: return #id;
#include "names/errno.def"
#undef ERRNO
  }
  return "";
}

/// "Connection reset by peer".
constexpr std::string_view sentence(Errno e) {
  switch (e) {
    case Errno::kNone: return "Success";
#define ERRNO(id, number, words) \
  case Errno::k##id: return words;
#include "names/errno.def"
#undef ERRNO
  }
  return "";
}

}  // namespace tcpwhy
