#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/frames.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::wire {
namespace {

using namespace tcpwhy::test;  // NOLINT: builders

Segment decoded(const Frame& f, Checksums checksums = Checksums::kVerify) {
  Segment s;
  s.payload_bytes = 77;  // what was in `out` before must not matter
  s.anomalies = 0xffff;
  decode(f, checksums, s);
  return s;
}

const Bytes kTimestamps = {1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4};

TEST(Decode, ReadsEthernetIpv4TcpWithTimestamps) {
  const Bytes b =
      ethernet(ipv4(tcp({.ack = 17, .options = kTimestamps, .payload = text("hello")}), {.ttl = 57}));
  const Segment s = decoded(frame(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.ip_version, 4);
  EXPECT_EQ(s.source, b.data() + 26);
  EXPECT_EQ(s.destination, b.data() + 30);
  EXPECT_EQ(s.source_port, 40112);
  EXPECT_EQ(s.destination_port, 443);
  EXPECT_EQ(s.seq, SeqNum{0xfffffff0});
  EXPECT_EQ(s.ack, SeqNum{17});
  EXPECT_EQ(s.flags, Flag::kAck);
  EXPECT_EQ(s.window, 502);
  EXPECT_EQ(s.ttl, 57);
  EXPECT_EQ(s.ip_id, 0x1234);
  EXPECT_TRUE(s.dont_fragment);
  EXPECT_EQ(s.options, Opt::kTimestamps);
  EXPECT_EQ(s.tsval, 0x102u);
  EXPECT_EQ(s.tsecr, 0x304u);
  EXPECT_EQ(s.payload_bytes, 5u);
  EXPECT_EQ(s.captured_payload, 5u);
  EXPECT_EQ(s.payload, b.data() + 66);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
  EXPECT_EQ(s.tunnel, 0u);
}

TEST(Decode, ReadsEthernetIpv6Tcp) {
  const Bytes b = ethernet(ipv6(tcp({.options = kTimestamps, .payload = text("hello!")}), {.ttl = 58}));
  const Segment s = decoded(frame(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.ip_version, 6);
  EXPECT_EQ(s.source, b.data() + 22);
  EXPECT_EQ(s.ttl, 58);
  EXPECT_EQ(s.payload_bytes, 6u);
  EXPECT_EQ(s.tsval, 0x102u);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Decode, DoesNotCountEthernetPaddingAsPayload) {
  Bytes b = ethernet(ipv4(tcp({})));
  b.resize(60);
  const Segment s = decoded(frame(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.payload_bytes, 0u);
  EXPECT_EQ(s.payload, nullptr);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Decode, ReadsSynOptions) {
  const Bytes b = ethernet(ipv4(tcp(
      {.flags = Flag::kSyn, .options = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}})));
  const Segment s = decoded(frame(b));
  ASSERT_EQ(s.kind, Kind::kTcp);
  EXPECT_EQ(s.options, Opt::kMss | Opt::kSackPermitted | Opt::kTimestamps | Opt::kWindowScale);
  EXPECT_EQ(s.mss, 1460);
  EXPECT_EQ(s.window_scale, 7);
  EXPECT_EQ(s.tsval, 9u);
  EXPECT_EQ(s.anomalies, Anomaly::kChecksumSeen);
}

TEST(Decode, SeesACorruptedPayload) {
  Bytes b = ethernet(ipv4(tcp({.payload = text("hello")})));
  b.back() ^= 1;
  EXPECT_EQ(decoded(frame(b)).anomalies, Anomaly::kChecksumSeen | Anomaly::kBadTcpChecksum);
  EXPECT_EQ(decoded(frame(b), Checksums::kSkip).anomalies, 0);
}

TEST(Decode, ReadsTheSegmentAnIcmpErrorQuotes) {
  const Bytes quoted = ipv4(tcp({.seq = 4711, .flags = Flag::kSyn}));
  Bytes icmp = {3, 4, 0, 0, 0, 0, 0x05, 0x78};
  put(icmp, Bytes(quoted.begin(), quoted.begin() + 28));
  const Bytes b = ethernet(
      ipv4(icmp, {.source = {203, 0, 113, 1}, .destination = {192, 0, 2, 10}, .protocol = 1, .ttl = 250}));
  const Segment s = decoded(frame(b));
  ASSERT_EQ(s.kind, Kind::kIcmpError);
  EXPECT_EQ(s.icmp_type, 3);
  EXPECT_EQ(s.icmp_code, 4);
  EXPECT_EQ(s.icmp_mtu, 1400);
  EXPECT_EQ(s.icmp_ttl, 250);
  EXPECT_EQ(s.icmp_sender, b.data() + 26);
  EXPECT_EQ(s.seq, SeqNum{4711});
  EXPECT_EQ(s.source_port, 40112);
  EXPECT_EQ(s.ttl, 64);
  EXPECT_TRUE(s.anomalies & Anomaly::kTruncatedHeader);
}

TEST(Decode, AHeaderCutBehindItsWindowStillTellsTheWindow) {
  // RFC 9293 3.1: the window is octets 14 and 15 of the header.
  const Bytes whole = ethernet(ipv4(tcp({.ack = 17, .window = 0, .options = kTimestamps}), {}));
  for (std::size_t kept : {14u, 15u, 16u, 20u, 28u}) {
    Bytes b{whole.begin(), whole.begin() + 14 + 20 + static_cast<std::ptrdiff_t>(kept)};
    Frame f = frame(b);
    f.original = static_cast<std::uint32_t>(whole.size());
    const Segment s = decoded(f);
    ASSERT_EQ(s.kind, Kind::kTcp) << kept;
    EXPECT_TRUE(s.anomalies & Anomaly::kTruncatedHeader) << kept;
    EXPECT_EQ((s.anomalies & Anomaly::kWindowUnseen) != 0, kept < 16) << kept;
  }
}

// tcpdump's old snap length: 14 of Ethernet, 20 and 8 of the error, 20 of the quoted header, and 6 of what RFC 792 quotes.
TEST(Decode, NamesTheConnectionAnIcmpErrorQuotesWhereTheSnapLengthLeftItsPorts) {
  const Bytes icmp = [] {
    Bytes b = {3, 13, 0, 0, 0, 0, 0, 0};
    put(b, ipv4(tcp({.seq = 4711, .flags = Flag::kSyn})));
    return b;
  }();
  const Bytes b = ethernet(ipv4(icmp, {.source = {203, 0, 113, 1}, .destination = {192, 0, 2, 10}, .protocol = 1, .ttl = 250}));
  Frame cut = frame(b);
  cut.captured = 68;
  const Segment s = decoded(cut);
  ASSERT_EQ(s.kind, Kind::kIcmpError);
  EXPECT_EQ(s.source_port, 40112);
  EXPECT_TRUE(s.anomalies & Anomaly::kTruncatedHeader);
}

}  // namespace
}  // namespace tcpwhy::wire
