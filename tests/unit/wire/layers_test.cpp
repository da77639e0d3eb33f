// Every way to carry a TCP segment that decode() knows, by hand from the RFCs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "support/frames.hpp"
#include "support/tunnels.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::wire {
namespace {

using namespace tcpwhy::test;  // NOLINT: builders

Segment decoded(const Bytes& bytes, LinkType link = LinkType::kEthernet) {
  Segment s;
  decode(frame(bytes, link), Checksums::kVerify, s);
  return s;
}

/// The packet that everything here carries: 5 octets of payload, ports 40112 and 443.
Bytes v4() { return ipv4(tcp({.payload = text("inner")}), {.ttl = 61}); }
Bytes v6() { return ipv6(tcp({.payload = text("inner")}), {.ttl = 61}); }

const Ip kGre = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 47, .ttl = 200};
const Ip kUdp = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 17, .ttl = 200};
const Ip kIpIp = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 4, .ttl = 200};
const Ip kIp6 = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 41, .ttl = 200};
Ip back(Ip ip) {
  std::swap(ip.source, ip.destination);
  return ip;
}

enum class Tunnel { kNo, kYes };

struct Row {
  const char* carrier;
  LinkType link;
  Bytes bytes;
  Tunnel tunnel;
  friend std::ostream& operator<<(std::ostream& to, const Row& row) { return to << row.carrier; }
};

Bytes sll(const Bytes& payload, unsigned protocol) {
  Bytes b = {0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0};
  put16(b, protocol);
  return joined(b, payload);
}
Bytes sll2(const Bytes& payload, unsigned protocol) {
  Bytes b;
  put16(b, protocol);
  put(b, {0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0});
  return joined(b, payload);
}
Bytes erspan2(const Bytes& inner) { return joined({0x10, 0x64, 0, 7, 0, 0, 0, 0}, inner); }
Bytes erspan3(const Bytes& inner, const Bytes& platform = {}) {
  Bytes b = {0x20, 0x64, 0, 7, 0, 0, 0, 1, 0, 0, 0, static_cast<std::uint8_t>(platform.empty() ? 0 : 1)};
  return joined(joined(b, platform), inner);
}
Bytes nflog(const Bytes& packet, bool big) {
  Bytes b = {2, 0, 0, 5};
  const Bytes prefix = {'x', 0};
  auto attribute = [&](unsigned type, const Bytes& value) {
    const auto n = static_cast<unsigned>(value.size() + 4);
    if (big) {
      put16(b, n);
      put16(b, type);
    } else {
      put(b, {static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(type), 0});
    }
    put(b, value);
  };
  attribute(10, prefix);
  while (b.size() % 4 != 0) b.push_back(0);
  attribute(9, packet);
  return b;
}

std::vector<Row> rows() {
  const LinkType e = LinkType::kEthernet;
  const Bytes f = ethernet(v4());
  return {
      {"Ethernet", e, ethernet(v4()), Tunnel::kNo},
      {"Ethernet, IPv6", e, ethernet(v6()), Tunnel::kNo},
      {"802.1Q", e, ethernet(vlan(v4(), 7), 0x8100), Tunnel::kNo},
      {"QinQ", e, ethernet(vlan(vlan(v6(), 7, 0x86dd), 9, 0x8100), 0x88a8), Tunnel::kNo},
      {"LLC and SNAP", e, ethernet(joined({0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, v4()), 8 + 45), Tunnel::kNo},
      {"IP over LLC", e, ethernet(joined({6, 6, 3}, v4()), 3 + 45), Tunnel::kNo},
      {"raw, IPv4", LinkType::kRaw, v4(), Tunnel::kNo},
      {"raw, IPv6", LinkType::kIpv6, v6(), Tunnel::kNo},
      {"BSD loopback, little", LinkType::kNull, joined({2, 0, 0, 0}, v4()), Tunnel::kNo},
      {"BSD loopback, big", LinkType::kNull, joined({0, 0, 0, 30}, v6()), Tunnel::kNo},
      {"OpenBSD loopback", LinkType::kLoop, joined({0, 0, 0, 24}, v6()), Tunnel::kNo},
      {"Linux cooked", LinkType::kLinuxSll, sll(v4(), 0x0800), Tunnel::kNo},
      {"Linux cooked, VLAN", LinkType::kLinuxSll, sll(vlan(v4(), 3), 0x8100), Tunnel::kNo},
      {"Linux cooked 2", LinkType::kLinuxSll2, sll2(v6(), 0x86dd), Tunnel::kNo},
      {"PPP", LinkType::kPpp, joined({0xff, 3, 0, 0x21}, v4()), Tunnel::kNo},
      {"PPP, compressed header", LinkType::kPpp, joined({0x21}, v4()), Tunnel::kNo},
      {"PPP in HDLC", LinkType::kPppHdlc, joined({0xff, 3, 0, 0x57}, v6()), Tunnel::kNo},
      {"Cisco HDLC", LinkType::kPppHdlc, joined({0x0f, 0, 8, 0}, v4()), Tunnel::kNo},
      {"PPPoE link", LinkType::kPppEther, pppoe(v4()), Tunnel::kNo},
      {"PPPoE", e, ethernet(pppoe(v6(), 0x57), 0x8864), Tunnel::kNo},
      {"NFLOG, little", LinkType::kNflog, nflog(v4(), false), Tunnel::kNo},
      {"NFLOG, big", LinkType::kNflog, nflog(v6(), true), Tunnel::kNo},
      {"MPLS", e, ethernet(mpls(v4()), 0x8847), Tunnel::kNo},
      {"MPLS, two labels, IPv6", e, ethernet(mpls(mpls(v6()), 17, 0), 0x8847), Tunnel::kNo},
      {"pseudo-wire with control word", e, ethernet(mpls(joined({0, 0, 0, 9}, f)), 0x8847), Tunnel::kNo},
      {"pseudo-wire without", e, ethernet(mpls(f), 0x8847), Tunnel::kNo},
      {"IPIP", e, ethernet(ipv4(v4(), kIpIp)), Tunnel::kYes},
      {"6in4", e, ethernet(ipv4(v6(), kIp6)), Tunnel::kYes},
      {"4in6", e, ethernet(ipv6(v4(), {.protocol = 4})), Tunnel::kYes},
      {"6in6", e, ethernet(ipv6(v6(), {.protocol = 41})), Tunnel::kYes},
      {"GRE", e, ethernet(ipv4(gre(v4(), 0, 0x0800), kGre)), Tunnel::kYes},
      {"GRE in IPv6", e, ethernet(ipv6(gre(v4(), 0, 0x0800), {.protocol = 47})), Tunnel::kYes},
      {"GRE, checksum, key, sequence", e,
       ethernet(ipv4(gre(v6(), 0xb000, 0x86dd, {1, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1}), kGre)), Tunnel::kYes},
      {"GRE, source routes", e,
       ethernet(ipv4(gre(v4(), 0x4000, 0x0800, {0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 9, 0, 0, 0, 0}), kGre)),
       Tunnel::kYes},
      {"NVGRE", e, ethernet(ipv4(gre(f, 0x2000, 0x6558, {0, 0, 5, 77}), kGre)), Tunnel::kYes},
      {"MPLS in GRE", e, ethernet(ipv4(gre(mpls(v4()), 0, 0x8847), kGre)), Tunnel::kYes},
      {"MPLS in IP", e, ethernet(ipv4(mpls(v4()), {.protocol = 137})), Tunnel::kYes},
      {"PPTP", e,
       ethernet(ipv4(gre(joined({0xff, 3, 0, 0x21}, v4()), 0x3081, 0x880b, {0, 49, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2}), kGre)),
       Tunnel::kYes},
      {"WCCP", e, ethernet(ipv4(gre(joined({0, 0, 0, 0}, v4()), 0, 0x883e), kGre)), Tunnel::kYes},
      {"ERSPAN I", e, ethernet(ipv4(gre(f, 0, 0x88be), kGre)), Tunnel::kNo},
      {"ERSPAN II", e, ethernet(ipv4(gre(erspan2(f), 0x1000, 0x88be, {0, 0, 0, 1}), kGre)), Tunnel::kNo},
      {"ERSPAN III", e, ethernet(ipv4(gre(erspan3(f), 0x1000, 0x22eb, {0, 0, 0, 1}), kGre)), Tunnel::kNo},
      {"ERSPAN III, platform header", e,
       ethernet(ipv4(gre(erspan3(f, {1, 2, 3, 4, 5, 6, 7, 8}), 0x1000, 0x22eb, {0, 0, 0, 1}), kGre)), Tunnel::kNo},
      {"VXLAN", e, ethernet(ipv4(vxlan(f, 5), kUdp)), Tunnel::kYes},
      {"VXLAN, group policy", e, ethernet(ipv4(vxlan(f, 5, 0x88), kUdp)), Tunnel::kYes},
      {"VXLAN GPE", e, ethernet(ipv4(vxlan(v6(), 5, 0x0c, 2), kUdp)), Tunnel::kYes},
      {"VXLAN in IPv6", e, ethernet(ipv6(vxlan(f, 5), {.protocol = 17})), Tunnel::kYes},
      {"Geneve", e, ethernet(ipv4(geneve(f, 5), kUdp)), Tunnel::kYes},
      {"Geneve, options, IPv6", e, ethernet(ipv4(geneve(v6(), 5, 0x86dd, {1, 2, 0x80, 1, 0, 0, 0, 9}), kUdp)),
       Tunnel::kYes},
      {"GTP-U", e, ethernet(ipv4(gtp_u(v4(), 99), kUdp)), Tunnel::kYes},
      {"GTP-U, extension headers", e, ethernet(ipv4(gtp_u(v4(), 99, {0x85, 1, 0, 9, 0x40, 1, 0, 0, 0}), kUdp)),
       Tunnel::kYes},
      {"VXLAN in GRE in IPIP", e, ethernet(ipv4(ipv4(gre(ipv4(vxlan(f, 5), kUdp), 0, 0x0800), kGre), kIpIp)),
       Tunnel::kYes},
  };
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
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 4789), kUdp))).kind, Kind::kOtherIp);
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 6081), kUdp))).kind, Kind::kOtherIp);
  EXPECT_EQ(decoded(ethernet(ipv4(udp(text("just a datagram, on some port"), 2152), kUdp))).kind, Kind::kOtherIp);
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
