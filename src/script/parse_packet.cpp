// Packets: direction, IP notes, flags, numbers, window, options; and ICMP.

#include <cmath>

#include "script/parser.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::script {
namespace {

constexpr std::uint32_t kMaxOptionBytes = 40;  // RFC 9293 3.1: the data offset counts to 15 words
constexpr std::int64_t kU8 = 0xFF, kU16 = 0xFFFF, kU24 = 0xFF'FFFF, kU32 = 0xFFFF'FFFF;

void parse_ip_info(Cursor& in, Packet& packet) {
  const char close = in.is_punct('(') ? ')' : ']';
  in.next();
  if (in.take_word("noecn")) {
    packet.tos_check = TosCheck::kEcn;
  } else if (in.take_word("ect0")) {
    packet.tos_check = TosCheck::kEcn;
    packet.tos = 2;
  } else if (in.take_word("ect1")) {
    packet.tos_check = TosCheck::kEcn;
    packet.tos = 1;
  } else if (in.take_word("ce")) {
    packet.tos_check = TosCheck::kEcn;
    packet.tos = 3;
  } else if (in.take_word("ect01")) {
    if (packet.direction == Direction::kIn) in.stop("[ect01] is for outgoing packets only");
    packet.tos_check = TosCheck::kEct01;
  } else if (in.take_word("tos")) {
    const Token tos = in.expect(Token::Kind::kHex, "the type of service");
    if (tos.number > kU8) in.stop("a type of service has eight bits");
    packet.tos_check = TosCheck::kTos;
    packet.tos = static_cast<std::uint8_t>(tos.number);
  } else if (in.take_word("ttl")) {
    packet.ttl = static_cast<std::uint8_t>(in.expect_integer("the TTL", kU8));
  } else {
    in.stop("not supported here: `" + in.peek().text + "`");
  }
  in.expect_punct(close);
}

std::uint8_t flag_bit(const Cursor& in, char c) {
  switch (c) {
    case 'F': return wire::Flag::kFin;
    case 'S': return wire::Flag::kSyn;
    case 'R': return wire::Flag::kRst;
    case 'P': return wire::Flag::kPsh;
    case '.': return wire::Flag::kAck;
    case 'U': return wire::Flag::kUrg;
    case 'E': return wire::Flag::kEce;
    case 'W': return wire::Flag::kCwr;
    default: in.stop_behind(std::string{"not a TCP flag: "} + c);
  }
}

// `SEW`, `P.`, `.`, `-`, and with an ACE counter `.5` or `P.5`.
void parse_flags(Cursor& in, TcpPacket& tcp) {
  std::string flags;
  if (in.is(Token::Kind::kWord)) flags = in.next().text;
  if (in.is(Token::Kind::kFloat))
    flags += in.next().text;
  else if (in.take_punct('.'))
    flags += '.';
  else if (flags.empty() && !in.take_punct('-'))
    in.stop("TCP flags expected, not `" + in.peek().text + "`");
  bool ecn = false;
  for (const char c : flags) {
    if (c >= '0' && c <= '7') {
      if (ecn || tcp.ace) in.stop_behind("an ACE counter beside other ECN flags");
      tcp.ace = static_cast<std::uint8_t>(c - '0');
    } else {
      if (c == 'E' || c == 'W' || c == 'A') {
        if (tcp.ace) in.stop_behind("an ACE counter beside other ECN flags");
        ecn = true;
      }
      if (c == 'A')
        tcp.ae = true;
      else
        tcp.flags |= flag_bit(in, c);
    }
  }
  if (tcp.ace && *tcp.ace == 0) tcp.ace.reset();
  if (tcp.ace) {
    if (*tcp.ace & 1) tcp.flags |= wire::Flag::kEce;
    if (*tcp.ace & 2) tcp.flags |= wire::Flag::kCwr;
    tcp.ae = (*tcp.ace & 4) != 0;
  }
}

struct Range {
  std::uint32_t start = 0, bytes = 0;
};

Range parse_range(Cursor& in) {
  const std::int64_t start = in.expect_integer("a sequence number", kU32);
  in.expect_punct(':');
  const std::int64_t end = in.expect_integer("a sequence number", kU32);
  in.expect_punct('(');
  const std::int64_t bytes = in.expect_integer("a payload length", kU16);
  in.expect_punct(')');
  if (end != start + bytes) in.stop_behind("sequence numbers and payload length do not agree");
  return {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(bytes)};
}

std::vector<std::uint8_t> parse_octets(Cursor& in) {
  std::vector<std::uint8_t> out;
  if (!in.is(Token::Kind::kWord) && !in.is(Token::Kind::kInteger)) return out;
  const std::string text = in.next().text;
  if (text.size() % 2 != 0) in.stop_behind("an odd number of hexadecimal digits: " + text);
  const auto digit = [&](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    in.stop_behind("not hexadecimal: " + text);
  };
  for (std::size_t i = 0; i < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  return out;
}

// draft of RFC 9768: kind 172 or 174, up to three 24-bit counters.
Option parse_accecn(Cursor& in) {
  Option option{.kind = Option::Kind::kAccEcn, .value = 0, .echo = 0, .blocks = {}, .octets = {}};
  if (!in.is_word("e0b") && !in.is_word("e1b")) in.stop("an ECN option begins with e0b or e1b");
  option.value = in.is_word("e0b") ? 172 : 174;
  const char* order[] = {in.is_word("e0b") ? "e0b" : "e1b", "ceb", in.is_word("e0b") ? "e1b" : "e0b"};
  for (const char* field : order) {
    if (!in.take_word(field)) break;
    const std::int64_t count = in.expect_integer("an ECN byte counter", kU24);
    for (int shift = 16; shift >= 0; shift -= 8)
      option.octets.push_back(static_cast<std::uint8_t>(count >> shift));
  }
  return option;
}

Option parse_option(Cursor& in) {
  const Token name = in.expect(Token::Kind::kWord, "a TCP option");
  Option option;
  if (name.text == "nop") {
    option.kind = Option::Kind::kNop;
  } else if (name.text == "eol") {
    option.kind = Option::Kind::kEol;
  } else if (name.text == "mss") {
    option.kind = Option::Kind::kMss;
    option.value = static_cast<std::uint32_t>(in.expect_integer("an MSS", kU16));
  } else if (name.text == "wscale") {
    option.kind = Option::Kind::kWindowScale;
    option.value = static_cast<std::uint32_t>(in.expect_integer("a shift count", kU8));
  } else if (name.text == "sackOK") {
    option.kind = Option::Kind::kSackPermitted;
  } else if (name.text == "sack") {
    option.kind = Option::Kind::kSack;
    do {
      SackBlock block;
      block.left = static_cast<std::uint32_t>(in.expect_integer("a sequence number", kU32));
      in.expect_punct(':');
      block.right = static_cast<std::uint32_t>(in.expect_integer("a sequence number", kU32));
      option.blocks.push_back(block);
    } while (in.is(Token::Kind::kInteger));
  } else if (name.text == "TS") {
    option.kind = Option::Kind::kTimestamps;
    if (!in.take_word("val")) in.stop("TS is written `TS val N ecr N`");
    option.value = static_cast<std::uint32_t>(in.expect_integer("a TSval", kU32));
    if (!in.take_word("ecr")) in.stop("TS is written `TS val N ecr N`");
    option.echo = static_cast<std::uint32_t>(in.expect_integer("a TSecr", kU32));
  } else if (name.text == "md5") {
    option.kind = Option::Kind::kMd5;
    option.octets = parse_octets(in);
    if (option.octets.size() != 16) in.stop_behind("an MD5 digest has 16 octets");
  } else if (name.text == "FO" || name.text == "FOEXP") {
    option.kind = name.text == "FO" ? Option::Kind::kFastOpen : Option::Kind::kFastOpenExperimental;
    option.octets = parse_octets(in);
  } else if (name.text == "ECN") {
    option = parse_accecn(in);
  } else {
    in.stop("a TCP option that is not known: " + name.text);
  }
  return option;
}

void parse_options(Cursor& in, Direction direction, TcpPacket& tcp) {
  if (!in.take_punct('<')) return;
  if (in.is(Token::Kind::kEllipsis)) {
    in.next();
    if (direction == Direction::kIn) in.stop("<...> is for outgoing packets only");
    tcp.any_options = true;
  } else {
    do tcp.options.push_back(parse_option(in));
    while (in.take_punct(','));
    std::uint32_t bytes = 0;
    for (const Option& option : tcp.options) bytes += length(option);
    if (bytes % 4 != 0) in.stop_behind("TCP options must fill whole words of four octets");
    if (bytes > kMaxOptionBytes) in.stop_behind("TCP options take more than 40 octets");
  }
  in.expect_punct('>');
}

TcpPacket parse_tcp(Cursor& in, Direction direction) {
  TcpPacket tcp;
  if (in.is(Token::Kind::kInteger) && in.is_punct('>', 1)) {
    tcp.source_port = static_cast<std::uint16_t>(in.expect_integer("a port", kU16));
    in.next();
    tcp.destination_port = static_cast<std::uint16_t>(in.expect_integer("a port", kU16));
  }
  parse_flags(in, tcp);
  const Range range = parse_range(in);
  tcp.seq = range.start;
  tcp.payload_bytes = range.bytes;
  if (in.take_word("ack")) tcp.ack = static_cast<std::uint32_t>(in.expect_integer("an ACK number", kU32));
  if (in.take_word("win")) tcp.window = static_cast<std::uint16_t>(in.expect_integer("a window", kU16));
  if (in.take_word("urg"))
    tcp.urgent = static_cast<std::uint16_t>(in.expect_integer("an urgent pointer", kU16));
  parse_options(in, direction, tcp);
  if (direction == Direction::kIn && !tcp.window) in.stop_behind("an incoming packet must say its window");
  return tcp;
}

IcmpPacket parse_icmp(Cursor& in) {
  IcmpPacket icmp;
  icmp.type = in.expect(Token::Kind::kWord, "an ICMP type").text;
  if (in.is(Token::Kind::kWord) && !in.is_word("mtu") && !in.is_word("id")) icmp.code = in.next().text;
  if (in.take_word("mtu")) icmp.mtu = static_cast<std::uint32_t>(in.expect_integer("an MTU", kU32));
  if (in.is_word("id")) in.stop("ICMP echo is not supported");
  if (in.is_punct('[') && in.peek(1).kind == Token::Kind::kInteger) {
    in.next();
    const Range range = parse_range(in);
    icmp.echoed_seq = range.start;
    icmp.echoed_payload_bytes = range.bytes;
    in.expect_punct(']');
  }
  return icmp;
}

}  // namespace

Packet parse_packet(Cursor& in) {
  Packet packet;
  packet.direction = in.is_punct('<') ? Direction::kIn : Direction::kOut;
  in.next();
  if (in.is_word("ipv4") || in.is_word("ipv6") || in.is_word("gre") || in.is_word("mpls"))
    in.stop("encapsulation is not supported: " + in.peek().text);
  if (in.is_punct('(') || in.is_punct('[')) parse_ip_info(in, packet);
  if (in.is_word("encap") || in.is_word("udp")) in.stop("not supported: " + in.peek().text);
  if (in.take_word("icmp")) {
    if (packet.direction == Direction::kOut) in.stop("outgoing ICMP is not supported");
    packet.content = parse_icmp(in);
  } else {
    packet.content = parse_tcp(in, packet.direction);
  }
  return packet;
}

}  // namespace tcpwhy::script
