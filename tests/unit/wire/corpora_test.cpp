// The two readers on real captures: those of the tree, and those under
// $TCPWHY_CORPORA, which `./dev corpora` fetches.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>

#include "support/two_readers.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::wire {
namespace {

struct Tally {
  std::size_t files = 0, frames = 0, segments = 0;
};

Tally compare_below(const std::filesystem::path& directory) {
  const std::set<std::string> kinds = {".pcap", ".pcapng", ".cap",  ".pcap.gz", ".gz",
                                       ".zst",  ".trace",  ".ntar", ".snoop"};
  Tally tally;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || !kinds.contains(entry.path().extension().string())) continue;
    auto source = capture::open_file(entry.path().string(), 0, {});
    if (!source) continue;  // other formats, and damage that is the file's whole point
    ++tally.files;
    for (auto frames = (*source)->next(); !frames.empty(); frames = (*source)->next()) {
      for (const Frame& frame : frames) {
        ++tally.frames;
        EXPECT_EQ(test::disagreement(frame, Checksums::kVerify), "")
            << entry.path() << " frame " << frame.number;
        Segment s;
        decode(frame, Checksums::kSkip, s);
        if (s.kind == Kind::kTcp) ++tally.segments;
      }
    }
  }
  return tally;
}

TEST(Corpora, BothReadersAgreeOnTheCasesOfTheTree) {
  const Tally tally = compare_below(std::filesystem::path{TCPWHY_SOURCE_DIR} / "tests" / "cases");
  EXPECT_GT(tally.segments, 0u);
}

TEST(Corpora, BothReadersAgreeOnPublicCaptures) {
  const char* directory = std::getenv("TCPWHY_CORPORA");
  if (directory == nullptr) GTEST_SKIP() << "TCPWHY_CORPORA names no directory";
  const Tally tally = compare_below(directory);
  EXPECT_GT(tally.segments, 0u);
  std::cout << tally.files << " files, " << tally.frames << " frames, " << tally.segments << " segments\n";
}

}  // namespace
}  // namespace tcpwhy::wire
