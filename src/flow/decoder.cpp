#include "flow/decoder.hpp"

#include <algorithm>

#include "flow/classify.hpp"
#include "wire/common.hpp"

namespace tcpwhy::flow {
namespace {

/// Payload octets whose checksums are verified before sampling begins: all of an
/// ordinary capture, a negligible part of a huge one.
constexpr std::uint64_t kVerifiedFirst = 64ull << 20;
constexpr std::uint32_t kSampleOneIn = 64;

/// A network that is watched has a frame more often than once an hour.
constexpr Duration kPause = std::chrono::hours{1};

std::uint32_t big32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | p[3];
}

std::uint64_t big64(const std::uint8_t* p) { return static_cast<std::uint64_t>(big32(p)) << 32 | big32(p + 4); }

/// The high half of a 128-bit product folded onto the low one: every bit of
/// both operands reaches every bit of the result.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

constexpr std::uint64_t kSaltA = 0x9e37'79b9'7f4a'7c15ull, kSaltB = 0xd1b5'4a32'd192'ed03ull,
                        kSaltC = 0xa076'1d64'78bd'642full;

/// Whose segment it is: addresses in network order, ports in the host's.
struct Ends {
  const std::uint8_t* source;
  const std::uint8_t* destination;
  std::uint16_t source_port, destination_port;
};

std::uint32_t hash_narrow(std::uint64_t low, std::uint64_t high) { return static_cast<std::uint32_t>(mix(low ^ kSaltA, high ^ kSaltB) >> 32); }

/// Which end sends is as good as a coin's toss: no branch on it.
inline void set_narrow_key(Packet& out, const Ends& ends) {
  const std::uint64_t a = static_cast<std::uint64_t>(big32(ends.source)) << 16 | ends.source_port;
  const std::uint64_t b = static_cast<std::uint64_t>(big32(ends.destination)) << 16 | ends.destination_port;
  const std::uint64_t swapped = (a ^ b) & (0 - static_cast<std::uint64_t>(a > b));
  const std::uint64_t low = a ^ swapped, high = b ^ swapped;
  out.is_wide = false;
  out.sender = static_cast<End>(a > b);
  out.narrow = {static_cast<std::uint32_t>(low >> 16), static_cast<std::uint32_t>(high >> 16), static_cast<std::uint16_t>(low),
                static_cast<std::uint16_t>(high)};
  out.hash = hash_narrow(low, high);
}

/// Addresses of 4 octets, inside a tunnel, or of 16.
template <std::size_t kOctets>
void set_wide_key(Packet& out, const Ends& ends, std::uint32_t tunnel) {
  // The order of the octets, eight at a time; an IPv4 address has none behind its four.
  const auto first = [](const std::uint8_t* p) { return kOctets == 4 ? static_cast<std::uint64_t>(big32(p)) << 32 : big64(p); };
  std::uint64_t a = first(ends.source), b = first(ends.destination);
  if (kOctets == 16 && a == b) {
    a = big64(ends.source + 8);
    b = big64(ends.destination + 8);
  }
  const bool high = a > b || (a == b && ends.source_port > ends.destination_port);
  WideKey& key = out.wide;
  key = WideKey{};
  std::memcpy(key.low.data(), high ? ends.destination : ends.source, kOctets);
  std::memcpy(key.high.data(), high ? ends.source : ends.destination, kOctets);
  key.low_port = high ? ends.destination_port : ends.source_port;
  key.high_port = high ? ends.source_port : ends.destination_port;
  key.tunnel = tunnel;
  key.version = kOctets == 4 ? 4 : 6;
  out.is_wide = true;
  out.sender = static_cast<End>(high);
  out.hash = hash_key(key);
}

void set_key(Packet& out, const wire::Segment& s) {
  const Ends ends{s.source, s.destination, s.source_port, s.destination_port};
  if (s.ip_version == 4 && s.tunnel == 0) set_narrow_key(out, ends);
  else if (s.ip_version == 4) set_wide_key<4>(out, ends, s.tunnel);
  else set_wide_key<16>(out, ends, s.tunnel);
}

facts::Address address_of(const std::uint8_t* bytes, std::uint8_t version) {
  facts::Address a;
  a.version = version;
  if (bytes != nullptr) std::copy_n(bytes, version == 4 ? 4 : 16, a.bytes.begin());
  return a;
}

/// RFC 2883 4: the first block reports a duplicate when it lies below the ACK
/// number or inside the second block.
bool is_dsack(const wire::Segment& s, SeqNum left, SeqNum right) {
  if (after(s.ack, left) && !after(right, s.ack)) return true;
  if (s.sack_blocks < 2) return false;
  const SeqNum second_left{big32(s.sack + 8)}, second_right{big32(s.sack + 12)};
  return !before(left, second_left) && !after(right, second_right);
}

void fill_fact(facts::SegmentFact& f, const wire::Segment& s, const Frame& frame) {
  f.time = frame.time;
  f.frame = frame.number;
  f.link = 0;
  f.seq = s.seq;
  f.ack = s.ack;
  f.payload_bytes = s.payload_bytes;
  const bool stamps = s.has(wire::Opt::kTimestamps);
  f.tsval = stamps ? s.tsval : 0;
  f.tsecr = stamps ? s.tsecr : 0;
  f.window = s.window;
  f.ip_id = s.ip_id;
  f.mss = s.has(wire::Opt::kMss) ? s.mss : std::uint16_t{0};
  f.options = s.options;
  f.anomalies = s.anomalies;
  f.flags = s.flags;
  f.ttl = s.ttl;
  f.window_scale = static_cast<std::uint8_t>((s.has(wire::Opt::kWindowScale) ? std::min<std::uint8_t>(s.window_scale, 15) : 0) & 15);
  f.sack_blocks = static_cast<std::uint8_t>(std::min<std::uint8_t>(s.sack_blocks, 7) & 7);
  f.dont_fragment = s.dont_fragment;
  f.outbound = frame.direction == FrameDirection::kOutbound;
  f.inbound = frame.direction == FrameDirection::kInbound;
  f.dsack = 0;
  f.from_server = 0;
  f.file = frame.file;
  f.sack_left = f.sack_right = SeqNum{};
  if (s.sack_blocks > 0 && s.sack != nullptr) {
    f.sack_left = SeqNum{big32(s.sack)};
    f.sack_right = SeqNum{big32(s.sack + 4)};
    f.dsack = is_dsack(s, f.sack_left, f.sack_right);
  }
}

/// facts::SegmentFact::payload_digest(): never 0 when there is something to digest.
std::uint16_t digest(const std::uint8_t* payload, std::uint32_t captured) {
  if (captured < 16) return 0;
  std::uint64_t a, b;
  std::memcpy(&a, payload, 8);
  std::memcpy(&b, payload + 8, 8);
  return static_cast<std::uint16_t>(mix(a ^ kSaltA, b ^ kSaltB) >> 48 | 1);
}

/// What a payload says goes with the packet.
void take_view(Packet& out, const Payload& payload) {
  const AppView app = classify(payload);
  out.fact.app = app.app;
  out.fact.app_flags = app.flags;
  out.fact.app_length = app.length;
  out.speaker = app.speaker;
}

/// From where it lies in the frame into the packet. The fact is cleared first: where the octet of a bit field is not known,
/// setting one bit of it reads it, and waits for a line that the other core may have.
inline void fill_common(Packet& out, const Frame& frame, const wire::CommonFrame& common) {
  using wire::Anomaly;
  const std::uint8_t* const tcp = common.tcp;
  const std::uint8_t* const options = tcp + wire::kTcpHeader;
  const std::uint32_t header = common.header();
  const std::uint32_t payload = common.length - header, kept = common.captured - header;
  const std::uint8_t flags = tcp[13];
  const Ends ends{common.source(), common.destination(), wire::be16(tcp), wire::be16(tcp + 2)};
  if (common.is_ipv4) [[likely]] set_narrow_key(out, ends);
  else set_wide_key<16>(out, ends, 0);

  facts::SegmentFact& f = out.fact;
  f = facts::SegmentFact{};
  f.dont_fragment = common.dont_fragment();
  f.outbound = frame.direction == FrameDirection::kOutbound;
  f.inbound = frame.direction == FrameDirection::kInbound;
  f.from_server = out.sender == End::kHigh;
  f.time = frame.time;
  f.frame = frame.number;
  f.file = frame.file;
  f.seq = SeqNum{wire::be32(tcp + 4)};
  f.ack = SeqNum{wire::be32(tcp + 8)};
  f.payload_bytes = payload;
  f.window = wire::be16(tcp + 14);
  f.ip_id = common.ip_id();
  f.anomalies = static_cast<std::uint16_t>((tcp[12] & 0x0e ? Anomaly::kReservedBits : 0) |
                                           (kept < payload ? Anomaly::kTruncatedPayload : 0));
  f.flags = flags;
  f.ttl = common.ttl();
  if (header == wire::kTcpHeader + 12) [[likely]] {
    f.tsval = wire::be32(options + 4);
    f.tsecr = wire::be32(options + 8);
    f.options = wire::Opt::kTimestamps;
  } else if (header != wire::kTcpHeader) {
    f.tsval = wire::UsualSyn::tsval(options);
    f.tsecr = wire::UsualSyn::tsecr(options);
    f.options = wire::UsualSyn::kOptions;
    f.window_scale = wire::UsualSyn::window_scale(options) & 15;
    f.mss = wire::UsualSyn::mss(options);
  }
  out.speaker = Speaker::kUnknown;
  out.kind = PacketKind::kSegment;
  out.extra = -1;
  if (kept == 0) return;
  if (!(flags & wire::Flag::kSyn)) f.mss = digest(tcp + header, kept);
  take_view(out, {tcp + header, kept, payload, flags});
}

}  // namespace

std::uint32_t hash_key(const NarrowKey& key) {
  const std::uint64_t low = static_cast<std::uint64_t>(key.low) << 16 | key.low_port;
  const std::uint64_t high = static_cast<std::uint64_t>(key.high) << 16 | key.high_port;
  return hash_narrow(low, high);
}

std::uint32_t hash_key(const WideKey& key) {
  std::uint64_t w[4];
  std::memcpy(w, key.low.data(), 16);
  std::memcpy(w + 2, key.high.data(), 16);
  const std::uint64_t ports = static_cast<std::uint64_t>(key.low_port) << 48 |
                              static_cast<std::uint64_t>(key.high_port) << 32 | key.tunnel;
  const std::uint64_t low_half = mix(w[0] ^ kSaltA, w[1] ^ kSaltB), high_half = mix(w[2] ^ kSaltC, w[3] ^ kSaltA);
  return static_cast<std::uint32_t>(mix(low_half ^ ports ^ key.version, high_half ^ kSaltB) >> 32);
}

/// Verifying touches every octet of the payload, which a large capture cannot
/// afford; the first megabytes, a sample, and the segments that decide a
/// connection's fate are verified always.
inline bool Decoder::wants_checksum(std::uint32_t number, std::uint32_t payload, bool reset) {
  if (policy_ == Checksums::kAll || number % kSampleOneIn == 0) return true;
  if (verified_bytes_ < kVerifiedFirst) [[unlikely]] {
    verified_bytes_ += 64 + payload;
    return true;
  }
  return reset && payload == 0;
}

/// The common frame with the usual options: what decode() comes to, without a wire::Segment in between.
inline bool Decoder::decode_common(const Frame& frame, Packet& out) {
  const wire::CommonFrame common = wire::find_common(frame);
  if (common.ip == nullptr) return false;
  const std::uint32_t header = common.header();
  const std::uint8_t flags = common.tcp[13];
  const bool usual = common.has_timestamps_alone() || header == wire::kTcpHeader ||
                     (flags & wire::Flag::kSyn && common.has_usual_syn_options());
  if (!usual) return false;
  fill_common(out, frame, common);
  if (common.captured == common.length && wants_checksum(frame.number, common.length - header, flags & wire::Flag::kRst)) [[unlikely]]
    out.fact.anomalies |= wire::checksum_anomalies(common);
  return true;
}

void Decoder::decode(const Frame& frame, Block& block) {
  ++counts_.frames;
  if (frame.truncated()) ++counts_.truncated;
  if (frame.time - latest_ > kPause) [[unlikely]] {
    if (latest_ != CaptureTime{}) pauses_.add(latest_, frame.time);
  }
  latest_ += std::max(frame.time - latest_, Duration{});
  block.latest = latest_;
  if (decode_common(frame, block.packets[block.used])) [[likely]] {
    ++counts_.tcp;
    block.append();
    return;
  }
  decode_other(frame, block);
}

/// Any frame.
void Decoder::decode_other(const Frame& frame, Block& block) {
  Packet& out = block.packets[block.used];
  wire::Segment& s = segment_;
  wire::decode(frame, wire::Checksums::kSkip, s);
  switch (s.kind) {
    case wire::Kind::kTcp: {
      ++counts_.tcp;
      if (s.captured_payload == s.payload_bytes && wants_checksum(frame.number, s.captured_payload, s.rst()))
        wire::verify_checksum(s, frame);
      fill_fact(out.fact, s, frame);
      if (!(s.flags & wire::Flag::kSyn)) out.fact.mss = digest(s.payload, s.captured_payload);
      take_view(out, {s.payload, s.captured_payload, s.payload_bytes, s.flags});
      out.kind = PacketKind::kSegment;
      out.extra = -1;
      set_key(out, s);
      out.fact.from_server = out.sender == End::kHigh;
      if (s.anomalies & wire::Anomaly::kFirstFragment) {
        const wire::Fragment part = wire::decode_fragment(frame);
        Extra extra;
        extra.fragment = {mix(mix(part.id ^ kSaltA, big32(s.source) ^ kSaltB), big32(s.destination) ^ kSaltC), part.bytes, true};
        out.extra = static_cast<std::int32_t>(block.extras.size());
        block.extras.push_back(extra);
      }
      block.append();
      return;
    }
    case wire::Kind::kIcmpError: {
      ++counts_.other;
      fill_fact(out.fact, s, frame);
      set_key(out, s);
      Extra extra;
      extra.icmp = {frame.time, frame.number, frame.file, s.ip_version, s.icmp_type, s.icmp_code, s.icmp_mtu,
                    s.icmp_ttl, address_of(s.icmp_sender, s.ip_version), facts::Party::kClient, s.seq};
      out.kind = PacketKind::kIcmp;
      out.extra = static_cast<std::int32_t>(block.extras.size());
      block.extras.push_back(extra);
      block.append();
      return;
    }
    case wire::Kind::kFragment: {
      ++counts_.other;
      if (s.source == nullptr || s.destination == nullptr) return;
      const wire::Fragment part = wire::decode_fragment(frame);
      Extra extra;
      extra.fragment = {mix(mix(part.id ^ kSaltA, big32(s.source) ^ kSaltB), big32(s.destination) ^ kSaltC), part.bytes, false};
      out.fact.time = frame.time;
      out.kind = PacketKind::kFragment;
      out.extra = static_cast<std::int32_t>(block.extras.size());
      block.extras.push_back(extra);
      block.append();
      return;
    }
    case wire::Kind::kArp: {
      ++counts_.other;
      const wire::Neighbour n = wire::decode_neighbour(frame);
      if (n.target == nullptr) return;
      Extra extra;
      extra.neighbour = {address_of(n.target, n.version), n.answer};
      out.fact.time = frame.time;
      out.fact.frame = frame.number;
      out.fact.file = frame.file;
      out.kind = PacketKind::kNeighbour;
      out.extra = static_cast<std::int32_t>(block.extras.size());
      block.extras.push_back(extra);
      block.append();
      return;
    }
    case wire::Kind::kMalformed: ++counts_.malformed; return;
    case wire::Kind::kOtherIp:
    case wire::Kind::kNotIp: ++counts_.other; return;
  }
}

}  // namespace tcpwhy::flow
