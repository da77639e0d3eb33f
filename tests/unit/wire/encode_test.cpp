// Encode, then decode: the same. The random drafts print their seed.

#include "wire/encode.hpp"

#include <gtest/gtest.h>

#include <random>

#include "support/frames.hpp"
#include "support/two_readers.hpp"

namespace tcpwhy::wire {
namespace {

using test::Bytes;

Draft random_draft(std::mt19937& random) {
  const auto number = [&](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
  const auto any32 = [&] { return static_cast<std::uint32_t>(random()); };
  const auto any16 = [&] { return static_cast<std::uint16_t>(random()); };
  const auto any8 = [&] { return static_cast<std::uint8_t>(random()); };
  Draft d;
  d.ip_version = number(2) ? 4 : 6;
  const std::size_t octets = d.ip_version == 4 ? 4 : 16;
  for (std::size_t i = 0; i < octets; ++i) {
    d.source[i] = any8();
    d.destination[i] = any8();
  }
  d.source_port = any16();
  d.destination_port = any16();
  d.seq = SeqNum{any32()};
  d.ack = SeqNum{any32()};
  d.flags = any8();
  d.window = any16();
  d.ttl = any8();
  d.tos = any8();
  if (d.ip_version == 4) d.ip_id = any16();
  d.dont_fragment = d.ip_version == 4 && number(2) ? DontFragment::kYes : DontFragment::kNo;
  if (number(2)) d.mss = any16();
  if (number(2)) d.window_scale = static_cast<std::uint8_t>(number(15));
  if (number(2)) d.sack_permitted = SackPermitted::kYes;
  if (number(2)) d.timestamps = Timestamps{any32(), any32()};
  const bool syn_options = d.mss || d.window_scale;
  if (!syn_options) {
    for (std::uint32_t n = number(d.timestamps ? 4 : 5); n != 0; --n) {
      d.sack_blocks.push_back({SeqNum{any32()}, SeqNum{any32()}});
    }
  }
  d.payload.resize(number(4) ? number(100) : 0);
  for (std::uint8_t& octet : d.payload) octet = any8();
  return d;
}

/// The draft that a decoded segment would be encoded from.
Draft draft_of(const Segment& s) {
  Draft d;
  d.ip_version = s.ip_version;
  const std::ptrdiff_t octets = s.ip_version == 4 ? 4 : 16;
  std::copy(s.source, s.source + octets, d.source.begin());
  std::copy(s.destination, s.destination + octets, d.destination.begin());
  d.source_port = s.source_port;
  d.destination_port = s.destination_port;
  d.seq = s.seq;
  d.ack = s.ack;
  d.flags = s.flags;
  d.window = s.window;
  d.ttl = s.ttl;
  d.tos = s.tos;
  d.ip_id = s.ip_id;
  d.dont_fragment = s.dont_fragment ? DontFragment::kYes : DontFragment::kNo;
  if (s.has(Opt::kMss)) d.mss = s.mss;
  if (s.has(Opt::kWindowScale)) d.window_scale = s.window_scale;
  d.sack_permitted = s.has(Opt::kSackPermitted) ? SackPermitted::kYes : SackPermitted::kNo;
  if (s.has(Opt::kTimestamps)) d.timestamps = Timestamps{s.tsval, s.tsecr};
  for (std::size_t i = 0; i < s.sack_blocks; ++i) {
    const auto number = [&](std::size_t at) {
      const std::uint8_t* p = s.sack + at;
      return SeqNum{std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3]};
    };
    d.sack_blocks.push_back({number(8 * i), number(8 * i + 4)});
  }
  d.payload.assign(s.payload, s.payload + s.captured_payload);
  return d;
}

TEST(Encode, IsUndoneByDecode) {
  constexpr unsigned kSeed = 20'011;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random{kSeed};
  for (int round = 0; round < 5'000; ++round) {
    const Draft draft = random_draft(random);
    for (const Around around : {Around::kNothing, Around::kEthernet}) {
      const Bytes bytes = encode(draft, around);
      const Frame f = test::frame(bytes, around == Around::kNothing ? LinkType::kRaw : LinkType::kEthernet);
      Segment s;
      decode(f, Checksums::kVerify, s);
      ASSERT_EQ(s.kind, Kind::kTcp) << round;
      ASSERT_EQ(s.anomalies, Anomaly::kChecksumSeen) << round;
      ASSERT_EQ(test::disagreement(f, Checksums::kVerify), "") << round;
      ASSERT_EQ(draft_of(s), draft) << round;
    }
  }
}

// Linux's SYN: MSS, SACK permitted in the timestamps' place for NOPs, then the scale.
TEST(Encode, OrdersOptionsAsLinuxDoes) {
  Draft d;
  d.flags = Flag::kSyn;
  d.mss = 1460;
  d.sack_permitted = SackPermitted::kYes;
  d.timestamps = Timestamps{9, 0};
  d.window_scale = 7;
  const Bytes bytes = encode(d, Around::kNothing);
  EXPECT_EQ(Bytes(bytes.begin() + 40, bytes.end()),
            (Bytes{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}));
}

TEST(Encode, LeavesOutSackBlocksThatHaveNoRoom) {
  Draft d;
  d.timestamps = Timestamps{9, 8};
  for (std::uint32_t i = 0; i < 5; ++i) d.sack_blocks.push_back({SeqNum{17 * i}, SeqNum{17 * i + 5}});
  const Bytes bytes = encode(d, Around::kNothing);
  Segment s;
  decode(test::frame(bytes, LinkType::kRaw), Checksums::kVerify, s);
  EXPECT_EQ(s.sack_blocks, 3);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

}  // namespace
}  // namespace tcpwhy::wire
