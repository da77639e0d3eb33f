// Layers around the segment: what carries it, what cuts it, what is beside it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "carriers.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::wire {
namespace {

using namespace tcpwhy::test;  // NOLINT: builders

Segment decoded(const Bytes& bytes, LinkType link = LinkType::kEthernet) {
  Segment s;
  decode(frame(bytes, link), Checksums::kVerify, s);
  return s;
}

class Carrier : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Layers, Carrier, testing::ValuesIn(rows()));

TEST_P(Carrier, IsUnwrappedToTheSegment) {
  const Segment s = decoded(GetParam().bytes, GetParam().link);
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.source_port, 40112);
  EXPECT_EQ(s.destination_port, 443);
  EXPECT_EQ(s.ttl, 61);
  EXPECT_EQ(s.payload_bytes, 5u);
  ASSERT_EQ(s.captured_payload, 5u);
  EXPECT_EQ(Bytes(s.payload, s.payload + 5), text("inner"));
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
  EXPECT_EQ(s.tunnel != 0, GetParam().tunnel == Tunnel::kYes);
}

TEST_P(Carrier, CutAnywhereIsNeverReadBeyondItsEnd) {
  const Row row = GetParam();
  for (std::size_t n = 0; n < row.bytes.size(); ++n) {
    const Bytes kept(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    Frame f = frame(kept, row.link);
    f.original = static_cast<std::uint32_t>(row.bytes.size());
    Segment s;
    decode(f, Checksums::kVerify, s);
    if (s.kind == Kind::kTcp) {
      EXPECT_EQ(s.source_port, 40112) << n;
      EXPECT_TRUE(s.anomalies & (Anomaly::kTruncatedHeader | Anomaly::kTruncatedPayload)) << n;
    }
    if (s.kind == Kind::kTcp && n > row.bytes.size() - 5) {
      EXPECT_EQ(s.payload_bytes, 5u);
      EXPECT_EQ(s.captured_payload, 5 - (row.bytes.size() - n));
    }
  }
}

TEST(Tunnel, IsTheSameInBothDirections) {
  const Bytes f = ethernet(v4());
  const auto tunnel = [](const Bytes& b) { return decoded(ethernet(b)).tunnel; };
  EXPECT_EQ(tunnel(ipv4(v4(), kIpIp)), tunnel(ipv4(v4(), back(kIpIp))));
  EXPECT_EQ(tunnel(ipv4(vxlan(f, 5), kUdp)), tunnel(ipv4(vxlan(f, 5), back(kUdp))));
  EXPECT_EQ(tunnel(ipv4(gtp_u(v4(), 5), kUdp)), tunnel(ipv4(gtp_u(v4(), 6), back(kUdp))));
  EXPECT_EQ(tunnel(ipv4(gre(f, 0x2000, 0x6558, {0, 0, 5, 77}), kGre)),
            tunnel(ipv4(gre(f, 0x2000, 0x6558, {0, 0, 5, 13}), back(kGre))));
}

// Virtual switches mirror with one GRE session for each direction, both from the same host.
TEST(Tunnel, OfAMirrorOverGreBridgingIsOneForBothDirections) {
  const Bytes f = ethernet(v4());
  const auto tunnel = [](const Bytes& b) { return decoded(ethernet(b)).tunnel; };
  EXPECT_EQ(tunnel(ipv4(gre(f, 0x2000, 0x6558, {0, 0, 0, 0}), kGre)), tunnel(ipv4(gre(f, 0x2000, 0x6558, {2, 0, 0, 0}), kGre)));
}

TEST(Wifi, EncryptedAndAggregatedFramesStayClosed) {
  Bytes encrypted = wifi(v4()), aggregated = wifi(v4()), fragment = wifi(v4());
  encrypted[1] |= 0x40;
  aggregated[24] |= 0x80;
  fragment[22] |= 0x01;
  for (const Bytes& b : {encrypted, aggregated, fragment}) EXPECT_EQ(decoded(b, AirLink::kIeee80211).kind, Kind::kNotIp);
}

TEST(Tunnel, KeepsNetworksApart) {
  const Bytes f = ethernet(v4());
  const auto tunnel = [](const Bytes& b) { return decoded(ethernet(b)).tunnel; };
  EXPECT_NE(tunnel(ipv4(vxlan(f, 5), kUdp)), tunnel(ipv4(vxlan(f, 6), kUdp)));
  EXPECT_NE(tunnel(ipv4(gre(v4(), 0x2000, 0x0800, {0, 0, 0, 1}), kGre)),
            tunnel(ipv4(gre(v4(), 0x2000, 0x0800, {0, 0, 0, 2}), kGre)));
  Ip elsewhere = kIpIp;
  elsewhere.destination = {10, 0, 0, 3};
  EXPECT_NE(tunnel(ipv4(v4(), kIpIp)), tunnel(ipv4(v4(), elsewhere)));
}

TEST(UdpTunnel, IsNotBelievedInByPortAlone) {
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 4789), kUdp))).kind,
            Kind::kOtherIp);
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 6081), kUdp))).kind,
            Kind::kOtherIp);
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 4754), kUdp))).kind,
            Kind::kOtherIp);
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 2152), kUdp))).kind,
            Kind::kOtherIp);
  const Bytes vxlan_elsewhere = joined({8, 0, 0, 0, 0, 0, 5, 0}, ethernet(v4()));
  EXPECT_EQ(decoded(ethernet(ipv4(udp(vxlan_elsewhere, 4799), kUdp))).kind, Kind::kOtherIp);
}

TEST(Tunnel, ThatNeverEndsIsGivenUp) {
  Bytes b = v4();
  for (int i = 0; i < 60; ++i) b = ipv4(b, kIpIp);
  EXPECT_EQ(decoded(b, LinkType::kRaw).kind, Kind::kMalformed);
}

TEST(Vlan, IsTheInnermostTag) {
  EXPECT_EQ(decoded(ethernet(vlan(vlan(v4(), 7), 9, 0x8100), 0x88a8)).vlan, 7);
}

// RFC 8200 4: hop-by-hop, destination options, routing, fragment, AH.
TEST(Ipv6, StepsOverExtensionHeaders) {
  const Bytes hop = {60, 0, 1, 4, 0, 0, 0, 0};
  const Bytes destination = {43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Bytes routing = {44, 0, 9, 0, 0, 0, 0, 0};
  const Bytes atomic = {51, 0, 0, 0, 0, 0, 0, 5};
  const Bytes ah = {6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  Bytes all = hop;
  put(all, destination);
  put(all, routing);
  put(all, atomic);
  put(all, ah);
  const Segment s = decoded(ethernet(ipv6(tcp({.payload = text("inner")}), {.protocol = 0}, all)));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 5u);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

// RFC 8200 8.1: the pseudo header has the final destination, and so has the connection.
TEST(Ipv6, TakesTheFinalDestinationFromTheRoutingHeader) {
  const Bytes final = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99};
  Bytes segment = tcp({});
  finish_tcp({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa}, final, 6, segment);
  const Bytes routing = joined({6, 2, 4, 1, 0, 0, 0, 0}, final);
  Bytes b = ipv6(segment, {.protocol = 43}, routing);
  std::copy(segment.begin() + 16, segment.begin() + 18, b.end() - 4);
  const Bytes whole = ethernet(b);
  const Segment s = decoded(whole);
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(Bytes(s.destination, s.destination + 16), final);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Ipv6, NoNextHeaderIsNoTcp) {
  EXPECT_EQ(decoded(ethernet(ipv6(Bytes(20), {.protocol = 59}))).kind, Kind::kOtherIp);
}

// RFC 2675 2; Linux writes one in front of IPv6 super-frames.
TEST(Ipv6, JumboPayloadHasItsLengthInAnOption) {
  const Bytes payload(70'000, 'x');
  Bytes segment = tcp({.payload = payload});
  Bytes jumbo = {6, 0, 0xc2, 4};
  put32(jumbo, static_cast<std::uint32_t>(8 + segment.size()));
  Bytes b = ipv6(segment, {.protocol = 0}, jumbo);
  set16(b, 4, 0);
  const Segment s = decoded(ethernet(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 70'000u);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Fragment, FirstOneIsASegmentThatSaysSo) {
  const Bytes whole = tcp({.payload = Bytes(1000, 'x')});
  const Bytes first(whole.begin(), whole.begin() + 520);
  const Bytes b = ethernet(ipv4(first, {.id = 77, .fragment = 0x2000}));
  const Segment s = decoded(b);
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 500u);
  EXPECT_EQ(s.anomalies, Anomaly::kFirstFragment);
  const Fragment f = decode_fragment(frame(b));
  EXPECT_EQ(f.id, 77u);
  EXPECT_EQ(f.offset, 0u);
  EXPECT_EQ(f.bytes, 520u);
  EXPECT_TRUE(f.more);
}

TEST(Fragment, LaterOneIsNoSegment) {
  const Bytes b = ethernet(ipv4(Bytes(480, 'x'), {.id = 77, .fragment = 520 / 8}));
  EXPECT_EQ(decoded(b).kind, Kind::kFragment);
  const Fragment f = decode_fragment(frame(b));
  EXPECT_EQ(f.id, 77u);
  EXPECT_EQ(f.offset, 520u);
  EXPECT_EQ(f.bytes, 480u);
  EXPECT_FALSE(f.more);
}

TEST(Fragment, OfIpv6HasItsIdentityInTheExtensionHeader) {
  const Bytes header = {6, 0, 0x02, 0x08, 0xde, 0xad, 0xbe, 0xef};
  const Bytes b = ethernet(ipv6(Bytes(16, 'x'), {.protocol = 44}, header, 99));
  EXPECT_EQ(decoded(b).kind, Kind::kFragment);
  const Fragment f = decode_fragment(frame(b));
  EXPECT_EQ(f.id, 0xdeadbeefu);
  EXPECT_EQ(f.offset, 520u);
  EXPECT_EQ(f.bytes, 16u);
  EXPECT_FALSE(f.more);
}

TEST(Fragment, OfATunnelIsNoFragmentOfTheSegmentInside) {
  const Bytes whole = vxlan(ethernet(ipv4(tcp({.payload = Bytes(1400, 'x')}))), 5);
  const Bytes first(whole.begin(), whole.begin() + 800);
  Ip outer = kUdp;
  outer.fragment = 0x2000;
  const Segment s = decoded(ethernet(ipv4(first, outer)));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 1400u);
  EXPECT_EQ(s.captured_payload, 800u - 8 - 8 - 14 - 40);
  EXPECT_EQ(s.anomalies, Anomaly::kTruncatedPayload);
}

TEST(Ipv4, TotalLengthZeroTakesTheFramesLength) {
  Bytes b = ipv4(tcp({.payload = Bytes(3000, 'x')}));
  set16(b, 2, 0);
  const Segment s = decoded(ethernet(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 3000u);
  EXPECT_TRUE(s.anomalies & Anomaly::kIpTotalLengthZero);
}

TEST(Ipv4, TotalLengthBeyondTheFrameIsTruncation) {
  Bytes b = ethernet(ipv4(tcp({.payload = Bytes(1460, 'x')})));
  b.resize(54 + 10);  // and the file claims that this was all
  const Segment s = decoded(b);
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 1460u);
  EXPECT_EQ(s.captured_payload, 10u);
  EXPECT_EQ(s.anomalies, Anomaly::kTruncatedPayload);
}

TEST(Ipv4, HeaderOptionsAreSteppedOver) {
  const Segment s = decoded(ethernet(ipv4(tcp({.payload = text("inner")}), {.options = {1, 1, 1, 0}})));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 5u);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Ipv4, BadHeaderChecksumIsSaid) {
  Bytes b = ethernet(v4());
  b[14 + 8] ^= 1;  // the time to live
  EXPECT_EQ(decoded(b).anomalies, Anomaly::kBadIpChecksum | Anomaly::kChecksumSeen);
}

TEST(Ipv4, HeaderChecksumOfZeroIsOffload) {
  Bytes b = ethernet(v4());
  set16(b, 14 + 10, 0);
  EXPECT_EQ(decoded(b).anomalies, Anomaly::kChecksumSeen);
}

TEST(Ipv4, LengthsThatCannotBeAreMalformed) {
  Bytes short_header = v4();
  short_header[0] = 0x44;
  EXPECT_EQ(decoded(ethernet(short_header)).kind, Kind::kMalformed);
  Bytes short_total = v4();
  set16(short_total, 2, 19);
  EXPECT_EQ(decoded(ethernet(short_total)).kind, Kind::kMalformed);
  Bytes no_room = v4();
  set16(no_room, 2, 39);
  EXPECT_EQ(decoded(ethernet(no_room)).kind, Kind::kMalformed);
}

TEST(Arp, AsksAndAnswers) {
  const Bytes ask = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9};
  const Bytes b = ethernet(ask, 0x0806);
  EXPECT_EQ(decoded(b).kind, Kind::kArp);
  const Neighbour question = decode_neighbour(frame(b));
  EXPECT_EQ(Bytes(question.target, question.target + 4), (Bytes{10, 0, 0, 9}));
  EXPECT_FALSE(question.answer);

  Bytes answered = b;
  answered[14 + 7] = 2;
  const Neighbour answer = decode_neighbour(frame(answered));
  EXPECT_EQ(Bytes(answer.target, answer.target + 4), (Bytes{10, 0, 0, 1}));
  EXPECT_TRUE(answer.answer);
}

TEST(NeighbourDiscovery, AsksAndAnswers) {
  Bytes solicitation = {135, 0, 0, 0, 0, 0, 0, 0};
  const Bytes target = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
  put(solicitation, target);
  const Bytes b = ethernet(ipv6(solicitation, {.protocol = 58, .ttl = 255}));
  EXPECT_EQ(decoded(b).kind, Kind::kArp);
  const Neighbour question = decode_neighbour(frame(b));
  EXPECT_EQ(Bytes(question.target, question.target + 16), target);
  EXPECT_FALSE(question.answer);
  EXPECT_EQ(question.version, 6);
}

}  // namespace
}  // namespace tcpwhy::wire
