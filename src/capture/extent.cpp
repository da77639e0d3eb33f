// When a file begins and ends, by which a ring is told from captures of several
// places. The beginning is the first frame. The end would cost a reading of
// everything; in a classic file it is found from behind: the one place in the
// last few MiB from which plausible records follow one another to the end of the
// file, of which the last may be cut. Where there is none, and in all other
// formats, all is read.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "capture/bytes.hpp"
#include "capture/feed.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {
namespace {

constexpr std::size_t kFileHeader = 24, kRecordHeader = 16;
constexpr std::size_t kTail = 4u << 20;
// So many records in a row do not come about by chance.
constexpr int kEnough = 16;

void widen(Extent& extent, CaptureTime time) {
  if (extent.empty) extent = {time, time, false};
  extent.first = std::min(extent.first, time);
  extent.last = std::max(extent.last, time);
}

void widen(Extent& extent, std::span<const Frame> frames) {
  for (const Frame& frame : frames)
    if (frame.has_time) widen(extent, frame.time);
}

/// What the tail of a classic file spans, if it can be told.
template <Order order>
std::optional<Extent> span_of(std::span<const std::uint8_t> tail, std::int64_t tick, CaptureTime first) {
  constexpr std::int64_t kSecond = 1'000'000'000, kDay = 86'400 * kSecond;
  const std::int64_t earliest = first.time_since_epoch().count() - kDay;
  for (std::size_t begin = 0; begin + kRecordHeader * kEnough <= tail.size(); ++begin) {
    Extent extent;
    int records = 0;
    std::size_t at = begin;
    std::int64_t before = 0;
    bool cut = false;
    while (tail.size() - at >= kRecordHeader) {
      const std::uint8_t* p = tail.data() + at;
      const std::uint32_t fraction = load32<order>(p + 4), captured = load32<order>(p + 8);
      const std::int64_t time = std::int64_t{load32<order>(p)} * kSecond + fraction * tick;
      if (fraction * tick >= kSecond || captured > 262'144 || load32<order>(p + 12) < captured) break;
      if (time < earliest || (records > 0 && (time - before > kDay || before - time > kDay))) break;
      cut = captured > tail.size() - at - kRecordHeader;
      if (cut) break;
      widen(extent, CaptureTime{Duration{time}});
      before = time;
      at += kRecordHeader + captured;
      ++records;
    }
    // Records that end elsewhere end at damage. Trying again from each of them would take the square of their number.
    if (records >= kEnough) return cut || tail.size() - at < kRecordHeader ? std::optional{extent} : std::nullopt;
  }
  return std::nullopt;
}

std::optional<Extent> from_behind(const std::string& path, CaptureTime first) {
  if (path == "-") return std::nullopt;
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < kFileHeader + 2 * kTail) return std::nullopt;  // soon read
  const auto read = [&](std::size_t place, std::size_t bytes) {
    std::vector<std::uint8_t> out(bytes);
    const ssize_t got = pread(file.get(), out.data(), bytes, static_cast<off_t>(place));
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
  };
  const auto header = read(0, kFileHeader);
  const auto tail = read(size - kTail, kTail);
  if (header.size() != kFileHeader || tail.size() != kTail) return std::nullopt;
  const std::uint32_t native = load32<Order::kNative>(header.data());
  const std::uint32_t swapped = load32<Order::kSwapped>(header.data());
  if (native == 0xa1b2c3d4) return span_of<Order::kNative>(tail, 1000, first);
  if (native == 0xa1b23c4d) return span_of<Order::kNative>(tail, 1, first);
  if (swapped == 0xa1b2c3d4) return span_of<Order::kSwapped>(tail, 1000, first);
  if (swapped == 0xa1b23c4d) return span_of<Order::kSwapped>(tail, 1, first);
  return std::nullopt;
}

}  // namespace

Result<Extent> extent(const std::string& path) {
  auto source = open_file(path, 0, {});
  if (!source && source.error().id == "capture.empty") return Extent{};
  if (!source) return source.error();
  Extent extent;
  auto batch = (*source)->next();
  widen(extent, batch);
  if (!extent.empty) {
    if (const auto end = from_behind(path, extent.first)) {
      widen(extent, end->last);
      return extent;
    }
  }
  for (; !batch.empty(); batch = (*source)->next()) widen(extent, batch);
  return extent;
}

}  // namespace tcpwhy::capture
