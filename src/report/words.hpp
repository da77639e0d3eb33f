#pragma once
// Numbers, times and lists as people read them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::report {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t n);
/// RFC 3339 in UTC with nanoseconds.
std::string iso_time(CaptureTime t);
/// "7.1 s", "3.2 ms", "12 min".
std::string duration_words(Duration d);
/// "frame 7", "frames 3, 5, 8"; at most six, then the last.
std::string frames_words(const std::vector<std::uint32_t>& frames);
std::string_view side_word(facts::Side side);
/// Columns a UTF-8 text takes, one per code point.
std::size_t display_width(std::string_view text);
/// Breaks at spaces; lines start with `first`, then `rest`; ends with a newline.
std::string wrap(std::string_view text, std::string_view first, std::string_view rest, std::size_t columns);

}  // namespace tcpwhy::report
