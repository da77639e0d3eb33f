#pragma once
// Every way to carry a TCP segment that decode() knows, by hand from the RFCs.

#include <ostream>
#include <utility>

#include "support/frames.hpp"
#include "support/tunnels.hpp"
#include "wire/numbers.hpp"

namespace tcpwhy::test {

/// The packet that everything here carries: 5 octets of payload, ports 40112 and 443.
inline Bytes v4() { return ipv4(tcp({.payload = text("inner")}), {.ttl = 61}); }
inline Bytes v6() { return ipv6(tcp({.payload = text("inner")}), {.ttl = 61}); }

inline const Ip kGre = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 47, .ttl = 200};
inline const Ip kUdp = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 17, .ttl = 200};
inline const Ip kIpIp = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 4, .ttl = 200};
inline const Ip kIp6 = {.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}, .protocol = 41, .ttl = 200};
inline Ip back(Ip ip) {
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

inline Bytes sll(const Bytes& payload, unsigned protocol) {
  Bytes b = {0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0};
  put16(b, protocol);
  return joined(b, payload);
}
inline Bytes sll2(const Bytes& payload, unsigned protocol) {
  Bytes b;
  put16(b, protocol);
  put(b, {0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0});
  return joined(b, payload);
}
inline Bytes erspan2(const Bytes& inner) { return joined({0x10, 0x64, 0, 7, 0, 0, 0, 0}, inner); }
inline Bytes erspan3(const Bytes& inner, const Bytes& platform = {}) {
  Bytes b = {0x20, 0x64, 0, 7, 0, 0, 0, 1, 0, 0, 0, static_cast<std::uint8_t>(platform.empty() ? 0 : 1)};
  return joined(joined(b, platform), inner);
}
inline Bytes nflog(const Bytes& packet, bool big) {
  Bytes b = {2, 0, 0, 5};
  const Bytes prefix = {'x', 0};
  auto attribute = [&](unsigned type, const Bytes& value) {
    const auto n = static_cast<unsigned>(value.size() + 4);
    if (big) {
      put16(b, n);
      put16(b, type);
    } else {
      put(b, {static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8),
              static_cast<std::uint8_t>(type), 0});
    }
    put(b, value);
  };
  attribute(10, prefix);
  while (b.size() % 4 != 0) b.push_back(0);
  attribute(9, packet);
  return b;
}

/// IEEE 802.11 data with QoS from an access point, SNAP behind it.
inline Bytes wifi(const Bytes& packet, unsigned type = 0x0800) {
  Bytes b = {0x88, 0x02, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x10, 0, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0};
  put16(b, type);
  return joined(b, packet);
}
/// The same between access points: four addresses, no QoS.
inline Bytes wifi_bridge(const Bytes& packet) {
  return joined({0x08, 0x03, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x10, 0, 2, 0, 0, 0, 0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, packet);
}
inline Bytes ppi(std::uint8_t link, const Bytes& packet) { return joined({0, 0, 12, 0, link, 0, 0, 0, 2, 0, 0, 0}, packet); }

/// One row for every way to carry a segment.
inline std::vector<Row> rows() {
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
      {"Cisco HDLC of its own link type", LinkType::kCiscoHdlc, joined({0x8f, 0, 8, 0}, v4()), Tunnel::kNo},
      {"Cisco HDLC, said to be PPP", LinkType::kPpp, joined({0x8f, 0, 0x86, 0xdd}, v6()), Tunnel::kNo},
      {"PPPoE link", LinkType::kPppEther, pppoe(v4()), Tunnel::kNo},
      {"PPPoE", e, ethernet(pppoe(v6(), 0x57), 0x8864), Tunnel::kNo},
      {"NFLOG, little", LinkType::kNflog, nflog(v4(), false), Tunnel::kNo},
      {"NFLOG, big", LinkType::kNflog, nflog(v6(), true), Tunnel::kNo},
      {"802.11", wire::AirLink::kIeee80211, wifi(v4()), Tunnel::kNo},
      {"802.11, four addresses", wire::AirLink::kIeee80211, wifi_bridge(v4()), Tunnel::kNo},
      {"radiotap", wire::AirLink::kRadiotap, joined({0, 0, 9, 0, 0, 0, 0, 0, 0}, wifi(v6(), 0x86dd)), Tunnel::kNo},
      {"PPI, 802.11", wire::AirLink::kPpi, ppi(105, wifi(v4())), Tunnel::kNo},
      {"PPI, Ethernet", wire::AirLink::kPpi, ppi(1, ethernet(v6())), Tunnel::kNo},
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
       ethernet(
           ipv4(gre(joined({0xff, 3, 0, 0x21}, v4()), 0x3081, 0x880b, {0, 49, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2}),
                kGre)),
       Tunnel::kYes},
      {"WCCP", e, ethernet(ipv4(gre(joined({0, 0, 0, 0}, v4()), 0, 0x883e), kGre)), Tunnel::kYes},
      {"ERSPAN I", e, ethernet(ipv4(gre(f, 0, 0x88be), kGre)), Tunnel::kNo},
      {"ERSPAN II", e, ethernet(ipv4(gre(erspan2(f), 0x1000, 0x88be, {0, 0, 0, 1}), kGre)), Tunnel::kNo},
      {"ERSPAN III", e, ethernet(ipv4(gre(erspan3(f), 0x1000, 0x22eb, {0, 0, 0, 1}), kGre)), Tunnel::kNo},
      {"ERSPAN III, platform header", e,
       ethernet(ipv4(gre(erspan3(f, {1, 2, 3, 4, 5, 6, 7, 8}), 0x1000, 0x22eb, {0, 0, 0, 1}), kGre)),
       Tunnel::kNo},
      {"VXLAN", e, ethernet(ipv4(vxlan(f, 5), kUdp)), Tunnel::kYes},
      {"VXLAN, group policy", e, ethernet(ipv4(vxlan(f, 5, 0x88), kUdp)), Tunnel::kYes},
      {"VXLAN GPE", e, ethernet(ipv4(vxlan(v6(), 5, 0x0c, 2), kUdp)), Tunnel::kYes},
      {"VXLAN in IPv6", e, ethernet(ipv6(vxlan(f, 5), {.protocol = 17})), Tunnel::kYes},
      {"Geneve", e, ethernet(ipv4(geneve(f, 5), kUdp)), Tunnel::kYes},
      {"Geneve, options, IPv6", e, ethernet(ipv4(geneve(v6(), 5, 0x86dd, {1, 2, 0x80, 1, 0, 0, 0, 9}), kUdp)),
       Tunnel::kYes},
      {"GRE in UDP", e, ethernet(ipv4(udp(gre(v4(), 0, 0x0800), 4754), kUdp)), Tunnel::kYes},
      {"GRE in UDP, key, Ethernet", e, ethernet(ipv4(udp(gre(f, 0x2000, 0x6558, {0, 0, 0, 5}), 4754), kUdp)), Tunnel::kYes},
      {"GTP-U", e, ethernet(ipv4(gtp_u(v4(), 99), kUdp)), Tunnel::kYes},
      {"GTP-U, extension headers", e,
       ethernet(ipv4(gtp_u(v4(), 99, {0x85, 1, 0, 9, 0x40, 1, 0, 0, 0}), kUdp)), Tunnel::kYes},
      {"VXLAN in GRE in IPIP", e, ethernet(ipv4(ipv4(gre(ipv4(vxlan(f, 5), kUdp), 0, 0x0800), kGre), kIpIp)),
       Tunnel::kYes},
  };
}

}  // namespace tcpwhy::test
