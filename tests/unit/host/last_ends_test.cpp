// The notes are written here as the programs of watch.bpf.c write them: one behind the other, whole when the serial says so.

#include "host/bpf/last_ends.hpp"

#include <gtest/gtest.h>

#include <array>

namespace tcpwhy::host {
namespace {

constexpr std::size_t kCpus = 2, kSlots = 4;

struct Notes {
  std::array<tw_cpu, kCpus> cpus{};
  std::array<tw_ended, kCpus * kSlots> notes{};
  LastEnds ends{cpus, notes};

  tw_ended& add(std::size_t cpu, std::uint64_t key, std::uint64_t time_ns, std::uint32_t pid) {
    const std::uint64_t index = cpus[cpu].ended++;
    tw_ended& note = notes[cpu * kSlots + (index & (kSlots - 1))];
    note.key = key;
    note.time_ns = time_ns;
    note.pid = pid;
    note.serial = static_cast<std::uint32_t>(index + 1) & TW_SERIAL_BITS;
    return note;
  }
  std::uint32_t pid(std::uint64_t key) {
    const auto end = ends.find(key);
    return end ? end->pid : 0;
  }
};

TEST(LastEnds, FindsAConnectionByItsTupleWhicheverCpuSawItEnd) {
  Notes n;
  n.add(0, 1ull << 60, 100, 7);
  n.add(1, 2ull << 60, 200, 8);
  EXPECT_EQ(n.pid(1ull << 60), 7u);
  EXPECT_EQ(n.pid(2ull << 60), 8u);
  EXPECT_EQ(n.pid(3ull << 60), 0u);
}

TEST(LastEnds, KnowsTheLaterOfTwoConnectionsOfOneTuple) {
  Notes n;
  n.add(1, 1ull << 60, 300, 8);
  n.add(0, 1ull << 60, 100, 7);  // read last, ended first
  EXPECT_EQ(n.pid(1ull << 60), 8u);
  n.add(0, 1ull << 60, 400, 9);
  EXPECT_EQ(n.pid(1ull << 60), 9u);
}

TEST(LastEnds, KeepsWhatItTookWhenTheNotesHaveWrapped) {
  Notes n;
  n.add(0, 1ull << 60, 100, 7);
  EXPECT_EQ(n.pid(1ull << 60), 7u);
  for (std::uint64_t i = 2; i < 2 + 2 * kSlots; ++i) n.add(0, i << 56, 100 + i, 8);
  EXPECT_EQ(n.pid(1ull << 60), 7u);
  EXPECT_EQ(n.pid(2ull << 56), 0u);  // written over before anybody asked
  EXPECT_EQ(n.pid((1 + 2 * kSlots) << 56), 8u);
}

TEST(LastEnds, BelievesNoNoteThatIsBeingWritten) {
  Notes n;
  n.add(0, 1ull << 60, 100, 7).serial = ~static_cast<std::uint32_t>(TW_SERIAL_BITS);
  EXPECT_EQ(n.pid(1ull << 60), 0u);
}

}  // namespace
}  // namespace tcpwhy::host
