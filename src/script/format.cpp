// Packets and times in the script's own notation, for messages.

#include <fmt/format.h>

#include "script/script.hpp"
#include "tcpwhy/decode.hpp"

namespace tcpwhy::script {

std::uint32_t length(const Option& option) {
  const auto octets = static_cast<std::uint32_t>(option.octets.size());
  switch (option.kind) {
    case Option::Kind::kEol:
    case Option::Kind::kNop: return 1;
    case Option::Kind::kMss: return 4;
    case Option::Kind::kWindowScale: return 3;
    case Option::Kind::kSackPermitted: return 2;
    case Option::Kind::kSack: return 2 + 8 * static_cast<std::uint32_t>(option.blocks.size());
    case Option::Kind::kTimestamps: return 10;
    case Option::Kind::kFastOpen: return 2 + octets;
    case Option::Kind::kFastOpenExperimental: return 4 + octets;  // RFC 6994: kind 254 and two octets of id
    case Option::Kind::kMd5: return 18;
    case Option::Kind::kAccEcn: return 2 + octets;
  }
  return 0;
}

std::string format_time(Duration t) { return fmt::format("{:.6f}", seconds(t)); }

namespace {

std::string hex(const std::vector<std::uint8_t>& octets) {
  std::string out;
  for (const std::uint8_t octet : octets) out += fmt::format("{:02x}", octet);
  return out;
}

std::string format_option(const Option& option) {
  switch (option.kind) {
    case Option::Kind::kEol: return "eol";
    case Option::Kind::kNop: return "nop";
    case Option::Kind::kMss: return fmt::format("mss {}", option.value);
    case Option::Kind::kWindowScale: return fmt::format("wscale {}", option.value);
    case Option::Kind::kSackPermitted: return "sackOK";
    case Option::Kind::kSack: {
      std::string out = "sack";
      for (const SackBlock& block : option.blocks) out += fmt::format(" {}:{}", block.left, block.right);
      return out;
    }
    case Option::Kind::kTimestamps: return fmt::format("TS val {} ecr {}", option.value, option.echo);
    case Option::Kind::kFastOpen: return "FO " + hex(option.octets);
    case Option::Kind::kFastOpenExperimental: return "FOEXP " + hex(option.octets);
    case Option::Kind::kMd5: return "md5 " + hex(option.octets);
    case Option::Kind::kAccEcn: return fmt::format("ECN {} {}", option.value, hex(option.octets));
  }
  return {};
}

std::string format_flags(const TcpPacket& tcp) {
  struct Letter {
    std::uint8_t bit;
    char letter;
  };
  constexpr Letter kLetters[] = {{wire::Flag::kFin, 'F'}, {wire::Flag::kSyn, 'S'}, {wire::Flag::kRst, 'R'},
                                 {wire::Flag::kPsh, 'P'}, {wire::Flag::kUrg, 'U'}, {wire::Flag::kEce, 'E'},
                                 {wire::Flag::kCwr, 'W'}, {wire::Flag::kAck, '.'}};
  std::string out = tcp.ae ? "A" : "";
  for (const Letter& l : kLetters)
    if (tcp.flags & l.bit) out += l.letter;
  return out.empty() ? "-" : out;
}

std::string format_tcp(const TcpPacket& tcp) {
  std::string out = format_flags(tcp);
  out += fmt::format(" {}:{}({})", tcp.seq, tcp.seq + tcp.payload_bytes, tcp.payload_bytes);
  if (tcp.flags & wire::Flag::kAck) out += fmt::format(" ack {}", tcp.ack);
  if (tcp.window) out += fmt::format(" win {}", *tcp.window);
  if (tcp.urgent) out += fmt::format(" urg {}", tcp.urgent);
  if (tcp.any_options) return out + " <...>";
  if (tcp.options.empty()) return out;
  out += " <";
  for (const Option& option : tcp.options) out += format_option(option) + ",";
  out.back() = '>';
  return out;
}

}  // namespace

std::string format_packet(const Packet& packet) {
  std::string out = packet.direction == Direction::kIn ? "< " : "> ";
  if (packet.tos_check != TosCheck::kNone) out += fmt::format("[tos {:#x}] ", packet.tos);
  if (const auto* tcp = std::get_if<TcpPacket>(&packet.content)) return out + format_tcp(*tcp);
  const auto& icmp = std::get<IcmpPacket>(packet.content);
  return out + "icmp " + icmp.type + (icmp.code.empty() ? "" : " " + icmp.code);
}

}  // namespace tcpwhy::script
