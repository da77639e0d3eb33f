// Words that text, JSON and the ladder share, so that they are the same everywhere.

#include "report/words.hpp"

#include <fmt/format.h>

#include <ctime>

#include "report/reporter.hpp"

namespace tcpwhy::report {

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string iso_time(CaptureTime t) {
  const std::int64_t ns = t.time_since_epoch().count();
  std::int64_t s = ns / 1'000'000'000, rest = ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --s;
  }
  const std::time_t whole = static_cast<std::time_t>(s);
  std::tm tm{};
  gmtime_r(&whole, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, rest);
}

std::string duration_words(Duration d) {
  const double s = seconds(d);
  if (s >= 120) return fmt::format("{:.0f} min", s / 60);
  if (s >= 10) return fmt::format("{:.0f} s", s);
  if (s >= 1) return fmt::format("{:.1f} s", s);
  if (s >= 0.001) return fmt::format("{:.1f} ms", s * 1e3);
  return fmt::format("{:.0f} µs", s * 1e6);
}

std::string frames_words(const std::vector<std::uint32_t>& frames) {
  if (frames.empty()) return {};
  std::string out = frames.size() == 1 ? "frame " : "frames ";
  constexpr std::size_t kShown = 6;
  for (std::size_t i = 0; i < frames.size() && i < kShown; ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(frames[i]);
  }
  if (frames.size() > kShown) out += fmt::format(", … {}", frames.back());
  return out;
}

std::string_view side_word(facts::Side side) {
  switch (side) {
    case facts::Side::kClient: return "client";
    case facts::Side::kServer: return "server";
    case facts::Side::kPath: return "path";
    case facts::Side::kUnknown: return "unknown";
  }
  return "";
}

std::string display_filter(const facts::Connection& c) {
  const char* ip = c.ends[0].address.version == 4 ? "ip" : "ipv6";
  return fmt::format("{0}.addr == {1} && {0}.addr == {2} && tcp.port == {3} && tcp.port == {4} && "
                     "frame.number >= {5} && frame.number <= {6}",
                     ip, facts::to_string(c.ends[0].address), facts::to_string(c.ends[1].address), c.ends[0].port,
                     c.ends[1].port, c.first_frame, c.last_frame);
}

std::vector<std::string> quality_words(const facts::Survey& s) {
  std::vector<std::string> out;
  const auto say = [&](std::uint64_t n, std::string_view noun, std::string_view text) {
    if (n > 0) out.push_back(fmt::format("{} {}{} {}", grouped(n), noun, n == 1 ? "" : "s", text));
  };
  say(s.dropped_by_capture, "packet", "dropped by the capture: what is missing proves little");
  if (s.one_direction_connections > s.two_direction_connections && s.one_direction_connections > 10)
    say(s.one_direction_connections, "connection", "captured in one direction only");
  say(s.capture_gap_connections, "connection", "with acknowledged data that was never captured");
  say(s.duplicate_frames, "frame", "captured twice");
  say(s.truncated_frames, "frame", "cut by the snap length");
  say(s.super_frames, "frame", "larger than the wire carried (segmentation offload)");
  say(s.clock_steps, "step", "back of the clock");
  say(s.evicted, "connection", "let go early to keep memory bounded (--max-connections)");
  say(s.stories_cut, "connection", "too long to keep every segment");
  return out;
}

std::string input_name(const std::string& path) { return path == "-" ? "standard input" : path; }

std::vector<std::string> quality_words(const facts::Quality& q) {
  std::vector<std::string> out;
  if (q.one_direction) out.emplace_back("one-direction");
  if (q.began_late) out.emplace_back("began-late");
  if (q.ended_early) out.emplace_back("ended-early");
  if (q.capture_gap) out.emplace_back("capture-gap");
  if (q.coverage_cut) out.emplace_back("coverage-cut");
  if (q.capture_duplicates) out.emplace_back("capture-duplicates");
  if (q.capture_reordered) out.emplace_back("capture-reordered");
  if (q.truncated) out.emplace_back("truncated");
  if (q.super_frames) out.emplace_back("super-frames");
  if (q.checksum_offload) out.emplace_back("checksum-offload");
  if (q.clock_stepped) out.emplace_back("clock-stepped");
  if (q.story_incomplete) out.emplace_back("story-incomplete");
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t n = 0;
  for (char ch : text) n += (static_cast<unsigned char>(ch) & 0xC0) != 0x80 ? 1u : 0u;
  return n;
}

std::string wrap(std::string_view text, std::string_view first, std::string_view rest, std::size_t columns) {
  std::string out{first};
  std::size_t width = display_width(first);
  bool line_empty = true;
  std::size_t i = 0;
  while (i < text.size()) {
    std::size_t end = text.find(' ', i);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view word = text.substr(i, end - i);
    const std::size_t w = display_width(word);
    if (!line_empty && width + 1 + w > columns) {
      out += '\n';
      out += rest;
      width = display_width(rest);
      line_empty = true;
    }
    if (!line_empty) {
      out += ' ';
      ++width;
    }
    out += word;
    width += w;
    line_empty = false;
    i = end + 1;
  }
  out += '\n';
  return out;
}

}  // namespace tcpwhy::report
