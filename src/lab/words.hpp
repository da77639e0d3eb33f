#pragma once
// The words people know a number by.

#include <string>
#include <string_view>

namespace tcpwhy::lab {

/// net-tools' sentence for a counter; the counter's own name when it has none.
[[nodiscard]] std::string netstat_words(std::string_view counter);
/// "-1 ECONNRESET (Connection reset by peer)" for an error's name; anything else as it is.
[[nodiscard]] std::string result_words(std::string_view call, std::string_view result);

}  // namespace tcpwhy::lab
