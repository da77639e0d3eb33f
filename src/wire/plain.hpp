#pragma once
// What the parts of the plain decoder share: octets that know their bounds, and
// what the outer headers leave to the inner ones.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "wire/plain_decode.hpp"

namespace tcpwhy::wire::plain {

/// Octets of a packet: `captured()` can be read, `on_wire()` were there. Reading
/// beyond what was captured is a mistake of ours and stops the program.
class Octets {
 public:
  Octets(const std::uint8_t* data, std::size_t captured, std::size_t on_wire)
      : data_{data}, captured_{captured}, on_wire_{on_wire} {}

  [[nodiscard]] std::size_t captured() const { return captured_; }
  [[nodiscard]] std::size_t on_wire() const { return on_wire_; }
  [[nodiscard]] bool has(std::size_t octets) const { return captured_ >= octets; }

  [[nodiscard]] unsigned octet(std::size_t at) const {
    must(at < captured_);
    return data_[at];
  }
  [[nodiscard]] unsigned word(std::size_t at) const { return octet(at) << 8 | octet(at + 1); }
  [[nodiscard]] std::uint32_t long_word(std::size_t at) const {
    return static_cast<std::uint32_t>(word(at)) << 16 | word(at + 2);
  }
  [[nodiscard]] unsigned nibble() const { return octet(0) >> 4; }
  /// Where an address or a payload lies, `octets` of them, for the Segment to point to.
  [[nodiscard]] const std::uint8_t* place(std::size_t at, std::size_t octets) const {
    must(at + octets <= captured_);
    return data_ + at;
  }

  /// What follows a header of `octets`.
  [[nodiscard]] Octets after(std::size_t octets) const {
    must(octets <= captured_);
    return {data_ + octets, captured_ - octets, on_wire_ > octets ? on_wire_ - octets : 0};
  }
  /// A header says that only `octets` belong to it, or that there were more than
  /// the capture kept.
  [[nodiscard]] Octets limited_to(std::size_t octets) const {
    return {data_, captured_ < octets ? captured_ : octets, octets};
  }

 private:
  static void must(bool holds) {
    if (!holds) std::abort();
  }

  const std::uint8_t* data_;
  std::size_t captured_;
  std::size_t on_wire_;
};

/// What the headers outside have said, kept where the Segment will have it:
/// the VLAN, the tunnel, anomalies, and from an IP header on its fields.
struct Outside {
  Segment said = {};
  Checksums checksums = Checksums::kVerify;
  Fragment fragment = {};    ///< of the innermost IP packet
  bool in_fragment = false;  ///< which then is a first fragment
  int depth = 0;

  [[nodiscard]] Outside deeper() const {
    Outside inside = *this;
    ++inside.depth;
    return inside;
  }
  [[nodiscard]] Outside with(std::uint16_t anomaly) const {
    Outside more = *this;
    more.said.anomalies |= anomaly;
    return more;
  }
};

[[nodiscard]] Decoded ended(Kind kind, const Outside& outside);
/// A header of `needed` octets does not fit into `rest`.
[[nodiscard]] Decoded cut_or_malformed(Octets rest, std::size_t needed, const Outside& outside);

// plain_carriers.cpp: what carries IP
[[nodiscard]] Decoded link(LinkType link, Octets frame, const Outside& outside);
[[nodiscard]] Decoded mpls(Octets packet, const Outside& outside);
[[nodiscard]] Decoded gre(Octets packet, const Outside& outside);
[[nodiscard]] Decoded udp(Octets datagram, const Outside& outside);
[[nodiscard]] Decoded ip_in_ip(unsigned version, Octets packet, const Outside& outside);

// plain_ip.cpp: IP, and what it carries
[[nodiscard]] Decoded ip(Octets packet, const Outside& outside);
[[nodiscard]] bool ipv4_checksum_is_bad(Octets header);

// plain_tcp.cpp: the segment
[[nodiscard]] Decoded tcp(Octets segment, const Outside& outside);
/// `length` is what the IP header says that the segment has; `octets` may be fewer.
[[nodiscard]] Segment tcp_fields(Octets octets, std::size_t length, Segment said);
/// RFC 1071 2: one's complement sum of 16-bit words.
[[nodiscard]] unsigned ones_complement_sum(Octets octets, unsigned start);

}  // namespace tcpwhy::wire::plain
