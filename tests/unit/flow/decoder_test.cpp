// Frames to packets: the short way that most frames of a long capture take says what the long way says.

#include "flow/decoder.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "support/frames.hpp"
#include "wire/encode.hpp"

namespace tcpwhy::flow {
namespace {

using wire::Flag;
using Bytes = std::vector<std::uint8_t>;

Frame frame_of(const Bytes& bytes, std::uint32_t number) {
  Frame f = test::frame(bytes);
  f.number = number;
  return f;
}

/// Has verified as much as it verifies of a long capture before it takes samples.
Decoder late_in_a_long_capture() {
  Decoder out{Decoder::Checksums::kSample};
  wire::Draft draft;
  draft.flags = Flag::kAck;
  draft.payload.resize(60'000);
  const Bytes bytes = wire::encode(draft, wire::Around::kEthernet);
  Block block;
  for (int i = 0; i < 1200; ++i) {
    out.decode(frame_of(bytes, 1), block);
    block.clear();
  }
  return out;
}

/// A segment of any kind, often a usual one.
Bytes any_frame(std::mt19937& random) {
  const auto below = [&](std::uint32_t n) { return random() % n; };
  wire::Draft d;
  d.ip_version = below(3) == 0 ? 6 : 4;
  for (std::uint8_t& b : d.source) b = static_cast<std::uint8_t>(below(3));
  for (std::uint8_t& b : d.destination) b = static_cast<std::uint8_t>(below(3));
  d.source_port = static_cast<std::uint16_t>(below(4));
  d.destination_port = static_cast<std::uint16_t>(below(4));
  d.seq = SeqNum{static_cast<std::uint32_t>(random())};
  d.ack = SeqNum{static_cast<std::uint32_t>(random())};
  constexpr std::uint8_t kFlags[] = {Flag::kSyn, Flag::kSyn | Flag::kAck, Flag::kAck, Flag::kPsh | Flag::kAck, Flag::kFin | Flag::kAck, Flag::kRst};
  d.flags = kFlags[below(6)];
  d.window = static_cast<std::uint16_t>(random());
  d.ttl = static_cast<std::uint8_t>(random());
  d.ip_id = static_cast<std::uint16_t>(random());
  d.dont_fragment = below(2) != 0 ? wire::DontFragment::kYes : wire::DontFragment::kNo;
  if (below(4) != 0) d.timestamps = wire::Timestamps{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
  if (d.flags & Flag::kSyn) {
    d.mss = static_cast<std::uint16_t>(random());
    if (below(4) != 0) d.sack_permitted = wire::SackPermitted::kYes;
    if (below(4) != 0) d.window_scale = static_cast<std::uint8_t>(below(256));
  } else if (below(4) == 0) {
    d.sack_blocks = {{SeqNum{1}, SeqNum{2}}};
  }
  d.payload.resize(below(2) * below(60));
  for (std::uint8_t& b : d.payload) b = static_cast<std::uint8_t>(random());
  if (d.payload.size() > 20 && below(3) == 0) std::memcpy(d.payload.data(), "HTTP/1.1 200 OK\r\n\r\n", 19);
  return wire::encode(d, wire::Around::kEthernet);
}

Packet decoded(Decoder& by, const Frame& frame) {
  Block block;
  by.decode(frame, block);
  Packet out = block.packets[0];
  if (block.used == 0) out.kind = PacketKind::kNothing;
  return out;
}

constexpr std::uint16_t kOfChecksums = wire::Anomaly::kChecksumSeen | wire::Anomaly::kBadTcpChecksum | wire::Anomaly::kPartialChecksum;

void expect_the_same(const Packet& a, const Packet& b, std::uint16_t but_for = 0) {
  ASSERT_EQ(a.kind, b.kind);
  if (a.kind != PacketKind::kSegment) return;
  facts::SegmentFact f = a.fact, g = b.fact;
  f.anomalies &= static_cast<std::uint16_t>(~but_for);
  g.anomalies &= static_cast<std::uint16_t>(~but_for);
  EXPECT_EQ(std::memcmp(&f, &g, sizeof f), 0);
  EXPECT_EQ(a.hash, b.hash);
  EXPECT_EQ(a.sender, b.sender);
  EXPECT_EQ(a.speaker, b.speaker);
  EXPECT_EQ(a.extra >= 0, b.extra >= 0);
  ASSERT_EQ(a.is_wide, b.is_wide);
  if (a.is_wide) EXPECT_EQ(a.wide, b.wide);
  else EXPECT_EQ(a.narrow, b.narrow);
}

/// The same frame with a VLAN tag (IEEE 802.1Q 9.6), which is walked through layer by layer: the long way.
Bytes tagged(Bytes frame) {
  const std::uint8_t tag[] = {0x81, 0x00, 0x00, 0x07};
  frame.insert(frame.begin() + 12, std::begin(tag), std::end(tag));
  return frame;
}

TEST(Decoder, SaysTheSameOfTheUsualFrameTheShortWayAndTheLong) {
  std::mt19937 random{1};
  Decoder late = late_in_a_long_capture();
  Decoder verifying{Decoder::Checksums::kAll};
  for (int i = 0; i < 8000; ++i) {
    Bytes bytes = any_frame(random);
    // Not in the Ethernet header, which the tag follows.
    if (random() % 2 != 0) bytes[14 + random() % (bytes.size() - 14)] ^= static_cast<std::uint8_t>(1u << random() % 8);
    const std::size_t kept = random() % 4 == 0 ? 14 + random() % (bytes.size() - 13) : bytes.size();
    const std::uint32_t number = 1 + static_cast<std::uint32_t>(random() % 200);
    Frame usual = frame_of(bytes, number);
    usual.captured = static_cast<std::uint32_t>(kept);
    const Bytes longer = tagged(bytes);
    Frame walked = frame_of(longer, number);
    walked.captured = static_cast<std::uint32_t>(kept) + 4;
    SCOPED_TRACE(i);
    const Packet long_way = decoded(verifying, walked);
    expect_the_same(decoded(verifying, usual), long_way);
    expect_the_same(decoded(late, usual), long_way, kOfChecksums);
  }
}

TEST(Decoder, VerifiesOneSegmentIn64OfALongCapture) {
  Decoder late = late_in_a_long_capture();
  wire::Draft draft;
  draft.flags = Flag::kAck;
  draft.payload.resize(100);
  const Bytes bytes = wire::encode(draft, wire::Around::kEthernet);
  int verified = 0;
  for (std::uint32_t number = 1; number <= 640; ++number)
    verified += (decoded(late, frame_of(bytes, number)).fact.anomalies & wire::Anomaly::kChecksumSeen) != 0;
  EXPECT_EQ(verified, 10);
}

TEST(Decoder, VerifiesEveryResetWithoutPayload) {
  Decoder late = late_in_a_long_capture();
  wire::Draft draft;
  draft.flags = Flag::kRst;
  const Bytes bytes = wire::encode(draft, wire::Around::kEthernet);
  EXPECT_TRUE(decoded(late, frame_of(bytes, 1)).fact.anomalies & wire::Anomaly::kChecksumSeen);
}

}  // namespace
}  // namespace tcpwhy::flow
