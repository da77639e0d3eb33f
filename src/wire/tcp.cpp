// TCP options, and headers of which only the beginning is left.

#include "wire/tcp.hpp"

namespace tcpwhy::wire {
namespace {

/// Option kinds, IANA "TCP Option Kind Numbers".
struct OptionKind {
  static constexpr std::uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                                kTimestamps = 8, kMd5 = 19, kUserTimeout = 28, kAo = 29, kMptcp = 30,
                                kFastOpen = 34, kExperiment1 = 253, kExperiment2 = 254;
};
/// RFC 7413 4.1.1: the experimental form of Fast Open, by its RFC 6994 magic number.
constexpr std::uint16_t kFastOpenMagic = 0xF989;
/// Four blocks fill the 40 octets of options, RFC 2018 3.
constexpr std::uint32_t kMaxSackBlocks = 4;

/// One option, `length` octets with kind and length included and all of them
/// captured. False when the length cannot be this kind's.
bool read_option(const std::uint8_t* at, std::uint32_t length, Segment& out) {
  switch (at[0]) {
    case OptionKind::kMss:
      if (length != 4) return false;
      out.options |= Opt::kMss;
      out.mss = be16(at + 2);
      return true;
    case OptionKind::kWindowScale:
      if (length != 3) return false;
      out.options |= Opt::kWindowScale;
      out.window_scale = std::min(at[2], kMaxWindowShift);
      return true;
    case OptionKind::kSackPermitted:
      if (length != 2) return false;
      out.options |= Opt::kSackPermitted;
      return true;
    case OptionKind::kSack:
      if (length < 10 || (length - 2) % 8 != 0) return false;
      out.options |= Opt::kSack;
      out.sack = at + 2;
      out.sack_blocks = static_cast<std::uint8_t>(std::min((length - 2) / 8, kMaxSackBlocks));
      return true;
    case OptionKind::kTimestamps:
      if (length != 10) return false;
      out.options |= Opt::kTimestamps;
      out.tsval = be32(at + 2);
      out.tsecr = be32(at + 6);
      return true;
    case OptionKind::kMd5:
      if (length != 18) return false;  // RFC 2385 3
      out.options |= Opt::kMd5;
      return true;
    case OptionKind::kUserTimeout:
      if (length != 4) return false;  // RFC 5482 4
      out.options |= Opt::kUserTimeout;
      return true;
    case OptionKind::kAo:
      if (length < 4) return false;  // RFC 5925 2.2
      out.options |= Opt::kAo;
      return true;
    case OptionKind::kMptcp:
      if (length < 3) return false;  // RFC 8684 3: subtype in the third octet
      out.options |= Opt::kMptcp;
      return true;
    case OptionKind::kFastOpen:
      if (length != 2 && (length < 6 || length > 18 || length % 2 != 0)) return false;  // RFC 7413 4.1.1
      out.options |= Opt::kFastOpen;
      return true;
    case OptionKind::kExperiment1:
    case OptionKind::kExperiment2:
      out.options |= length >= 4 && be16(at + 2) == kFastOpenMagic ? Opt::kFastOpen : Opt::kOther;
      return true;
    default:  // a kind of the wire, not of ours
      out.options |= Opt::kOther;
      return true;
  }
}

}  // namespace

void read_tcp_options(const std::uint8_t* at, std::uint32_t octets, Segment& out) {
  const bool cut = out.anomalies & Anomaly::kTruncatedHeader;
  const std::uint8_t* const end = at + octets;
  while (at < end && *at != OptionKind::kEnd) {
    if (*at == OptionKind::kNop) {
      ++at;
      continue;
    }
    const auto left = static_cast<std::uint32_t>(end - at);
    const std::uint32_t length = left >= 2 ? at[1] : 0;
    if (left < 2 || length < 2 || length > left) {
      // Linux net/ipv4/tcp_input.c tcp_parse_options() stops here too. Past the end of
      // what was captured, it is the snap length's doing and no anomaly.
      const bool only_cut = cut && (left < 2 || length >= 2);
      if (!only_cut) out.anomalies |= Anomaly::kOptionLength;
      return;
    }
    if (!read_option(at, length, out)) out.anomalies |= Anomaly::kOptionLength;
    at += length;
  }
}

void read_cut_tcp(const std::uint8_t* tcp, std::uint32_t captured, std::uint32_t length, Segment& out) {
  out.tcp = tcp;
  out.anomalies |= Anomaly::kTruncatedHeader;
  out.source_port = be16(tcp);
  out.destination_port = be16(tcp + 2);
  if (captured >= 8) out.seq = SeqNum{be32(tcp + 4)};
  if (captured >= 12) out.ack = SeqNum{be32(tcp + 8)};
  if (captured >= 13) {
    const std::uint32_t header = (tcp[12] >> 4) * 4u;
    if (tcp[12] & 0x0e) out.anomalies |= Anomaly::kReservedBits;
    if (header < kTcpHeader || header > length) {
      out.anomalies |= Anomaly::kDataOffset;
    } else {
      out.payload_bytes = length - header;
      if (out.payload_bytes != 0) out.anomalies |= Anomaly::kTruncatedPayload;
    }
  }
  if (captured >= 14) out.flags = tcp[13];
  if (captured >= 16) out.window = be16(tcp + 14);
  else out.anomalies |= Anomaly::kWindowUnseen;
}

}  // namespace tcpwhy::wire
