#pragma once
// The pages of `tcpwhy why`, built into the program from docs/.

#include <span>
#include <string_view>

namespace tcpwhy::cli {

struct Page {
  std::string_view name;   ///< id or word: file name without .md
  std::string_view group;  ///< "cause", "population", "state", "errno", "counter", "sysctl", "flag"
  std::string_view text;   ///< Markdown
};
std::span<const Page> pages();

}  // namespace tcpwhy::cli
