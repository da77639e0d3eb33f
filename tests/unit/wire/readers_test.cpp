// Two readers of the same bytes must say the same.

#include <gtest/gtest.h>

#include <random>

#include "carriers.hpp"
#include "support/two_readers.hpp"

namespace tcpwhy::wire {
namespace {

using namespace tcpwhy::test;  // NOLINT: builders

constexpr LinkType kLinks[] = {
    LinkType::kNull,     LinkType::kEthernet, LinkType::kPpp,      LinkType::kRawBsd, LinkType::kPppHdlc, LinkType::kCiscoHdlc,
    LinkType::kPppEther, LinkType::kRaw,      LinkType::kLoop,     LinkType::kIpv4,   LinkType::kIpv6,
    LinkType::kLinuxSll, LinkType::kNflog,    LinkType::kLinuxSll2, AirLink::kIeee80211,
    AirLink::kRadiotap, AirLink::kPpi};

/// Frames from which the others are made by cutting and damaging.
std::vector<Row> seeds() {
  std::vector<Row> all = rows();
  const LinkType e = LinkType::kEthernet;
  const Bytes options[] = {
      {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 15},
      {1, 1, 5, 26, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6},
      {19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 28, 4, 0x80, 1, 30, 4, 0, 1},
      {34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 254, 4, 0xf9, 0x89, 29,
       16, 0,  0, 1, 2, 3, 4, 5, 6, 7, 8,   9, 10,   11,   12},
      {2, 5, 5, 0xb4, 0, 8, 2, 0, 3, 0},
  };
  for (const Bytes& o : options) {
    all.push_back({"options", e,
                   ethernet(ipv4(tcp({.flags = Flag::kSyn, .options = o, .payload = text("x")}))),
                   Tunnel::kNo});
  }
  const Bytes quoted = ipv4(tcp({.seq = 4711, .flags = Flag::kSyn, .payload = text("quoted")}));
  const Bytes quoted6 = ipv6(tcp({.seq = 4711, .flags = Flag::kSyn, .payload = text("quoted")}));
  all.push_back(
      {"ICMP", e, ethernet(ipv4(joined({3, 4, 0, 0, 0, 0, 5, 0x78}, quoted), {.protocol = 1})), Tunnel::kNo});
  all.push_back(
      {"ICMP, extended", e,
       ethernet(ipv4(joined(joined({11, 0, 0, 0, 0, 11, 0, 0}, quoted), Bytes(12, 0x20)), {.protocol = 1})),
       Tunnel::kNo});
  all.push_back({"ICMPv6", e, ethernet(ipv6(joined({2, 0, 0, 0, 0, 0, 5, 0}, quoted6), {.protocol = 58})),
                 Tunnel::kNo});
  all.push_back({"ND", e, ethernet(ipv6(joined({135, 0, 0, 0, 0, 0, 0, 0}, Bytes(16, 7)), {.protocol = 58})),
                 Tunnel::kNo});
  all.push_back(
      {"ARP", e,
       ethernet({0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9},
                0x0806),
       Tunnel::kNo});
  const Bytes whole = tcp({.payload = Bytes(64, 'x')});
  all.push_back({"first fragment", e, ethernet(ipv4(whole, {.fragment = 0x2000})), Tunnel::kNo});
  all.push_back({"later fragment", e, ethernet(ipv4(whole, {.fragment = 0x2010})), Tunnel::kNo});
  all.push_back(
      {"IPv6 fragment", e, ethernet(ipv6(whole, {.protocol = 44}, {6, 0, 0, 1, 1, 2, 3, 4})), Tunnel::kNo});
  all.push_back({"IPv6 route", e,
                 ethernet(ipv6(whole, {.protocol = 43}, joined({6, 2, 4, 1, 0, 0, 0, 0}, Bytes(16, 9)))),
                 Tunnel::kNo});
  Bytes jumbo = ipv6(whole, {.protocol = 0}, {6, 0, 0xc2, 4, 0, 0, 0, 92});
  set16(jumbo, 4, 0);
  all.push_back({"jumbo", e, ethernet(jumbo), Tunnel::kNo});
  Bytes super = ipv4(tcp({.payload = Bytes(64, 'x')}));
  set16(super, 2, 0);
  all.push_back({"super-frame", e, ethernet(super), Tunnel::kNo});
  Bytes endless = v4();
  for (int i = 0; i < 60; ++i) endless = ipv4(endless, kIpIp);
  all.push_back({"endless", e, ethernet(endless), Tunnel::kNo});
  Bytes tags = v4();
  for (int i = 0; i < 60; ++i) tags = vlan(tags, 7, i == 0 ? 0x0800 : 0x8100);
  all.push_back({"tags", e, ethernet(tags, 0x8100), Tunnel::kNo});
  return all;
}

class Readers : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Readers, testing::ValuesIn(seeds()));

TEST_P(Readers, AgreeOnTheWholeFrame) {
  const Row row = GetParam();
  EXPECT_EQ(disagreement(frame(row.bytes, row.link), Checksums::kVerify), "");
  EXPECT_EQ(disagreement(frame(row.bytes, row.link), Checksums::kSkip), "");
}

TEST_P(Readers, AgreeWhereverTheFrameIsCut) {
  const Row row = GetParam();
  for (std::size_t n = 0; n < row.bytes.size(); ++n) {
    const Bytes kept(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    Frame f = frame(kept, row.link);
    EXPECT_EQ(disagreement(f, Checksums::kVerify), "") << n;  // the file says that this was all
    f.original = static_cast<std::uint32_t>(row.bytes.size());
    EXPECT_EQ(disagreement(f, Checksums::kVerify), "") << n;
  }
}

TEST_P(Readers, AgreeWhateverIsDamaged) {
  constexpr unsigned kSeed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random{kSeed};
  const Row row = GetParam();
  for (int round = 0; round < 2000; ++round) {
    Bytes damaged = row.bytes;
    for (auto n = random() % 3 + 1; n != 0; --n) {
      damaged[random() % damaged.size()] =
          static_cast<std::uint8_t>(random() % 2 ? random() : 1u << random() % 8);
    }
    ASSERT_EQ(disagreement(frame(damaged, row.link), Checksums::kVerify), "") << "round " << round;
  }
}

TEST(Readers, AgreeOnNoise) {
  constexpr unsigned kSeed = 65537;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random{kSeed};
  for (int round = 0; round < 20'000; ++round) {
    Bytes noise(random() % 120);
    for (std::uint8_t& octet : noise) octet = static_cast<std::uint8_t>(random());
    ASSERT_EQ(disagreement(frame(noise, kLinks[random() % std::size(kLinks)]), Checksums::kVerify), "")
        << round;
  }
}

}  // namespace
}  // namespace tcpwhy::wire
