// RFC 9293 3.1, the header:
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------------------------------+-------------------------------+  octet
//   |          source port          |       destination port        |   0
//   +-------------------------------+-------------------------------+
//   |                        sequence number                        |   4
//   +---------------------------------------------------------------+
//   |                     acknowledgment number                     |   8
//   +-------+-----+-+---------------+-------------------------------+
//   | offset| res |A|C E U A P R S F|            window             |  12
//   +-------+-----+-+---------------+-------------------------------+
//   |           checksum            |        urgent pointer         |  16
//   +-------------------------------+-------------------------------+
//   |                  options, then the payload                    |  20

#include <algorithm>

#include "wire/numbers.hpp"
#include "wire/plain.hpp"

namespace tcpwhy::wire::plain {
namespace {

/// RFC 9293 3.1 and the option's own document. False: this kind has no such length.
bool take_option(Octets option, Segment& s) {
  const unsigned kind = option.octet(0);
  const std::size_t length = option.captured();
  if (kind == 2) {  // RFC 9293 3.7.1: maximum segment size
    if (length != 4) return false;
    s.options |= Opt::kMss;
    s.mss = static_cast<std::uint16_t>(option.word(2));
  } else if (kind == 3) {  // RFC 7323 2.2, 2.3: window scale; more than 14 counts as 14
    if (length != 3) return false;
    s.options |= Opt::kWindowScale;
    s.window_scale = static_cast<std::uint8_t>(std::min(option.octet(2), 14u));
  } else if (kind == 4) {  // RFC 2018 2: SACK permitted
    if (length != 2) return false;
    s.options |= Opt::kSackPermitted;
  } else if (kind == 5) {  // RFC 2018 3: blocks of two numbers; forty octets hold four
    if (length < 2 + 8 || (length - 2) % 8 != 0) return false;
    s.options |= Opt::kSack;
    s.sack_blocks = static_cast<std::uint8_t>(std::min<std::size_t>((length - 2) / 8, 4));
    s.sack = option.place(2, length - 2);
  } else if (kind == 8) {  // RFC 7323 3.2: timestamps
    if (length != 10) return false;
    s.options |= Opt::kTimestamps;
    s.tsval = option.long_word(2);
    s.tsecr = option.long_word(6);
  } else if (kind == 19) {  // RFC 2385 3: MD5 signature, 16 octets of digest
    if (length != 18) return false;
    s.options |= Opt::kMd5;
  } else if (kind == 28) {  // RFC 5482 4: user timeout
    if (length != 4) return false;
    s.options |= Opt::kUserTimeout;
  } else if (kind == 29) {  // RFC 5925 2.2: authentication, two key ids at least
    if (length < 4) return false;
    s.options |= Opt::kAo;
  } else if (kind == 30) {  // RFC 8684 3: multipath, a subtype at least
    if (length < 3) return false;
    s.options |= Opt::kMptcp;
  } else if (kind == 34) {  // RFC 7413 4.1.1: no cookie, or 4 to 16 octets, an even number
    const std::size_t cookie = length - 2;
    const bool fits = cookie == 0 || (cookie >= 4 && cookie <= 16 && cookie % 2 == 0);
    if (!fits) return false;
    s.options |= Opt::kFastOpen;
  } else if ((kind == 253 || kind == 254) && length >= 4 && option.word(2) == 0xF989) {
    s.options |= Opt::kFastOpen;  // RFC 7413 appendix A.1: the experiment's number
  } else {
    s.options |= Opt::kOther;
  }
  return true;
}

/// RFC 9293 3.1: kind 0 ends the list, kind 1 is one octet alone, all others
/// have a length that counts kind and length as well. `cut`: the list goes on
/// where nothing was captured.
void take_options(Octets list, bool cut, Segment& s) {
  while (list.has(1)) {
    const unsigned kind = list.octet(0);
    if (kind == 0) return;
    if (kind == 1) {
      list = list.after(1);
      continue;
    }
    if (!list.has(2)) {
      if (!cut) s.anomalies |= Anomaly::kOptionLength;
      return;
    }
    const std::size_t length = list.octet(1);
    if (length < 2) {
      s.anomalies |= Anomaly::kOptionLength;
      return;
    }
    if (!list.has(length)) {
      if (!cut) s.anomalies |= Anomaly::kOptionLength;
      return;
    }
    if (!take_option(list.limited_to(length), s)) s.anomalies |= Anomaly::kOptionLength;
    list = list.after(length);
  }
}

/// RFC 9293 3.1: source, destination, zero and protocol, length.
unsigned pseudo_header_sum(const Segment& s, std::size_t length) {
  const std::size_t octets = s.ip_version == 4 ? 4 : 16;
  unsigned sum = ones_complement_sum(Octets{s.source, octets, octets}, 0);
  sum = ones_complement_sum(Octets{s.destination, octets, octets}, sum);
  const std::uint8_t rest[] = {static_cast<std::uint8_t>(length >> 24),
                               static_cast<std::uint8_t>(length >> 16),
                               static_cast<std::uint8_t>(length >> 8),
                               static_cast<std::uint8_t>(length),
                               0,
                               IpProtocol::kTcp};
  return ones_complement_sum(Octets{rest, sizeof rest, sizeof rest}, sum);
}

std::uint16_t checksum_anomalies(Octets segment, const Segment& s) {
  const bool header_known = !(s.anomalies & (Anomaly::kTruncatedHeader | Anomaly::kDataOffset));
  if (!header_known || (s.anomalies & Anomaly::kFirstFragment)) return 0;
  const std::size_t length = segment.on_wire();
  const bool whole = segment.has(length);
  const unsigned all_ones = 0xffff;
  if (whole && ones_complement_sum(segment.limited_to(length), pseudo_header_sum(s, length)) == all_ones) {
    return Anomaly::kChecksumSeen;
  }
  // An offloading sender leaves the sum of the pseudo header, with or without the length.
  const unsigned field = segment.word(16);
  const bool partial = field == pseudo_header_sum(s, length) || field == pseudo_header_sum(s, 0);
  const std::uint16_t seen = whole ? Anomaly::kChecksumSeen : 0;
  if (partial) return seen | Anomaly::kPartialChecksum;
  return whole ? seen | Anomaly::kBadTcpChecksum : 0;
}

}  // namespace

unsigned ones_complement_sum(Octets octets, unsigned start) {
  unsigned sum = start;
  for (std::size_t i = 0; i < octets.captured(); i += 2) {
    const bool odd_one_out = i + 1 == octets.captured();
    sum += odd_one_out ? octets.octet(i) << 8 : octets.word(i);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return sum;
}

Segment tcp_fields(Octets octets, std::size_t length, Segment s) {
  s.tcp = octets.place(0, 4);
  s.source_port = static_cast<std::uint16_t>(octets.word(0));
  s.destination_port = static_cast<std::uint16_t>(octets.word(2));
  if (octets.has(8)) s.seq = SeqNum{octets.long_word(4)};
  if (octets.has(12)) s.ack = SeqNum{octets.long_word(8)};
  if (octets.has(14)) s.flags = static_cast<std::uint8_t>(octets.octet(13));
  if (octets.has(16)) s.window = static_cast<std::uint16_t>(octets.word(14));
  if (!octets.has(16)) s.anomalies |= Anomaly::kWindowUnseen;
  if (!octets.has(20)) s.anomalies |= Anomaly::kTruncatedHeader;
  if (!octets.has(13)) return s;

  // Three reserved bits; the fourth is AE, RFC 9768.
  if ((octets.octet(12) & 0x0e) != 0) s.anomalies |= Anomaly::kReservedBits;
  const std::size_t header = (octets.octet(12) >> 4) * 4;
  if (header < 20 || header > length) {
    s.anomalies |= Anomaly::kDataOffset;
    return s;
  }
  s.payload_bytes = static_cast<std::uint32_t>(length - header);
  const bool header_cut = !octets.has(header);
  if (header_cut) s.anomalies |= Anomaly::kTruncatedHeader;
  if (octets.has(20)) take_options(octets.limited_to(header).after(20), header_cut, s);
  if (octets.captured() > header) {
    s.captured_payload = static_cast<std::uint32_t>(octets.captured() - header);
    s.payload = octets.place(header, s.captured_payload);
  }
  if (s.captured_payload < s.payload_bytes) s.anomalies |= Anomaly::kTruncatedPayload;
  return s;
}

Decoded tcp(Octets segment, const Outside& outside) {
  const std::size_t length = segment.on_wire();
  const Octets octets = segment.limited_to(length);
  const bool could_be_whole = length >= 20 || outside.in_fragment;
  // Without its ports a segment belongs to nobody.
  if (!could_be_whole || !octets.has(4)) {
    return cut_or_malformed(segment, 20,
                            outside.in_fragment ? outside.with(Anomaly::kFirstFragment) : outside);
  }
  Decoded decoded = ended(Kind::kTcp, outside);
  if (outside.in_fragment) decoded.segment.anomalies |= Anomaly::kFirstFragment;
  decoded.segment = tcp_fields(octets, length, decoded.segment);
  if (outside.checksums == Checksums::kVerify) {
    decoded.segment.anomalies |= checksum_anomalies(octets, decoded.segment);
  }
  return decoded;
}

}  // namespace tcpwhy::wire::plain
