// Any bytes as a capture file. The first octet chooses into how large pieces the
// file is cut; whatever it is, the same frames must come out as from the whole,
// and every octet handed out must be there to read.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "capture/file_source.hpp"

namespace {

using tcpwhy::capture::Source;

struct Outcome {
  std::uint64_t frames = 0;
  std::uint64_t sum = 0;
  std::string troubles;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "capture_fuzz: %s\n", what);
  std::abort();
}

Outcome read(std::span<const std::uint8_t> file, std::size_t chunk) {
  auto source = tcpwhy::capture::open_memory(file, 3, chunk);
  if (!source) return {0, 0, source.error().id};
  Outcome outcome;
  std::uint32_t number = 0;
  for (auto batch = (*source)->next(); !batch.empty(); batch = (*source)->next()) {
    for (const tcpwhy::Frame& frame : batch) {
      if (frame.number <= number) wrong("frame numbers do not rise");
      number = frame.number;
      ++outcome.frames;
      outcome.sum = outcome.sum * 31 + static_cast<std::uint64_t>(frame.time.time_since_epoch().count());
      for (const std::uint8_t octet : frame.bytes()) outcome.sum = outcome.sum * 31 + octet;
    }
  }
  const tcpwhy::capture::Losses& losses = (*source)->losses();
  if (losses.frames != outcome.frames) wrong("frames are miscounted");
  if (losses.troubles.size() > 128) wrong("troubles are not bounded");
  for (const auto& trouble : losses.troubles)
    outcome.troubles += trouble.id + '@' + std::to_string(trouble.offset) + ' ';
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::span file{data + 1, size - 1};
  const Outcome whole = read(file, file.size() + 1);
  if (!(read(file, 1 + data[0]) == whole)) wrong("the pieces give another answer than the whole");
  return 0;
}
